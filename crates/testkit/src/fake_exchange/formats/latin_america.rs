//! Exchanges with markets in the currencies of Latin America.

use super::super::notation::{dashed, joined, lower_underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, lenient, seconds};

const BITSO: &str = r#"{"high":"1980000","last":"$last","created_at":"$iso","book":"$market","volume":"7.29","vwap":"1958000.43","low":"1940000","ask":"$ask","bid":"$bid","change_24":"-105.64"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "bitso",
        authority: "bitso.com",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[
            ask(
                "/api/v3/ticker?book=$market",
                r#"{"success":true,"payload":$entries}"#,
                BITSO,
            ),
            ask(
                "/api/v3/ticker",
                r#"{"success":true,"payload":[$entries]}"#,
                BITSO,
            ),
        ],
        unknown: (
            400,
            r#"{"success":false,"error":{"message":"Unknown OrderBook","code":"0301"}}"#,
        ),
        limited: (
            429,
            r#"{"success":false,"error":{"message":"Too many requests","code":"0200"}}"#,
        ),
        ..REST
    },
    Rest {
        id: "mercado",
        authority: "api.mercadobitcoin.net",
        spell: dashed,
        key: dashed,
        asks: &[lenient(
            "/api/v4/tickers?symbols=$list",
            "[$entries]",
            r#"{"pair":"$market","high":"546821.0","low":"536167.0","vol":"22.41274093","last":"$last","buy":"$bid","sell":"$ask","open":"538113.0","date":$ns}"#,
        )],
        unknown: (200, "[]"),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "bitso",
        authority: "ws.bitso.com",
        spell: lower_underscored,
        subscribe: r#"{"action":"subscribe","book":"$market","type":"trades"}"#,
        most: 1,
        ack: r#"{"action":"subscribe","response":"ok","time":$ms,"type":"trades","book":"$market"}"#,
        unknown: r#"{"action":"subscribe","type":"trades","error":"This book is not supported - $market","time":$ms}"#,
        invalid: r#"{"error":"invalid message","time":$ms}"#,
        // The last trade of a message is the newest.
        tick: r#"{"type":"trades","book":"$market","payload":[{"i":72022,"a":"0.0035","r":"1.25","v":"0.01","mo":"a","to":"b","t":0,"x":1795986400000},{"i":72023,"a":"0.0035","r":"$last","v":"0.01","mo":"a","to":"b","t":0,"x":$ms}],"sent":$ms}"#,
        heartbeat: Some((r#"{"type":"ka"}"#, seconds(20))),
        ..PLAIN
    },
    Stream {
        id: "mercado",
        authority: "ws.mercadobitcoin.net",
        path: "/ws",
        spell: |base, quote| joined(quote, base),
        subscribe: r#"{"type":"subscribe","subscription":{"name":"ticker","id":"$market"}}"#,
        most: 1,
        ack: r#"{"id":"$market","name":"ticker"}"#,
        unknown: r#"{"type":"error","message":"invalid pair to subscribe"}"#,
        invalid: r#"{"type":"error","message":"unknown message type"}"#,
        tick: r#"{"type":"ticker","id":"$market","ts":$ns,"data":{"high":"446821.00000000","low":"436167.00000000","vol":"22.41274093","last":"$last","buy":"$bid","sell":"$ask","open":"438113.00000000","date":$s}}"#,
        ping: Some((r#"{"type":"ping"}"#, r#"{"type":"pong"}"#)),
        rule: Rule::Ping(seconds(60)),
        ..PLAIN
    },
];
