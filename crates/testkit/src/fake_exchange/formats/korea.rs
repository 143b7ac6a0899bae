//! Smaller exchanges with markets in won.

use super::super::notation::{lower_underscored, slashed};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, lenient, seconds};

const COINONE: &str = r#"{"quote_currency":"$quote","target_currency":"$base","timestamp":$ms,"high":"141000000.0","low":"138000000.0","first":"139000000.0","last":"$last","quote_volume":"21349804285.3","target_volume":"152.0","best_asks":[{"price":"$ask","qty":"0.18"}],"best_bids":[{"price":"$bid","qty":"0.04"}],"id":"1795986400000001"}"#;
const COINONE_ANSWER: &str =
    r#"{"result":"success","error_code":"0","server_time":$ms,"tickers":[$entries]}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "korbit",
        authority: "api.korbit.co.kr",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[lenient(
            "/v2/tickers?symbol=$list",
            r#"{"success":true,"data":[$entries]}"#,
            r#"{"symbol":"$market","open":"139000000","high":"141000000","low":"138000000","close":"$last","prevClose":"139000000","priceChange":"1000000","priceChangePercent":"0.72","volume":"52.1","quoteVolume":"7290000000","bestBidPrice":"$bid","bestAskPrice":"$ask","lastTradedAt":$ms}"#,
        )],
        unknown: (200, r#"{"success":true,"data":[]}"#),
        limited: (
            429,
            r#"{"success":false,"error":{"code":429,"message":"TOO_MANY_REQUESTS"}}"#,
        ),
        home: Some("KRW"),
        ..REST
    },
    Rest {
        id: "coinone",
        authority: "api.coinone.co.kr",
        spell: slashed,
        key: slashed,
        asks: &[
            ask(
                "/public/v2/ticker_new/$quote/$base",
                COINONE_ANSWER,
                COINONE,
            ),
            ask("/public/v2/ticker_new/KRW", COINONE_ANSWER, COINONE),
        ],
        unknown: (
            200,
            r#"{"result":"error","error_code":"108","error_msg":"Unknown cryptocurrency"}"#,
        ),
        limited: (
            200,
            r#"{"result":"error","error_code":"4","error_msg":"Blocked user access"}"#,
        ),
        home: Some("KRW"),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "korbit",
        authority: "ws-api.korbit.co.kr",
        path: "/v2/public",
        spell: lower_underscored,
        subscribe: r#"[{"requestId":"$id","method":"subscribe","type":"ticker","symbols":["$market"]}]"#,
        ack: r#"{"status":"success","requestId":$id}"#,
        unknown: r#"{"status":"fail","code":"INVALID_SYMBOL","message":"The symbol does not exist ($market)","requestId":$id}"#,
        invalid: r#"{"status":"fail","message":"invalid_format"}"#,
        tick: r#"{"type":"ticker","timestamp":$ms,"symbol":"$market","snapshot":true,"data":{"open":"139000000","high":"141000000","low":"138000000","close":"$last","prevClose":"139000000","priceChange":"1000000","priceChangePercent":"0.72","volume":"52.1","quoteVolume":"7290000000","bestBidPrice":"$bid","bestAskPrice":"$ask","lastTradedAt":$ms}}"#,
        rule: Rule::Pong(seconds(30), seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "coinone",
        authority: "stream.coinone.co.kr",
        spell: slashed,
        greeting: r#"{"response_type":"CONNECTED","data":{"session_id":"6f3e1d0f-f9ab-f300-1567-0eb31af6d6ef"}}"#,
        subscribe: r#"{"request_type":"SUBSCRIBE","channel":"TICKER","topic":{"quote_currency":"$quote","target_currency":"$base"}}"#,
        most: 1,
        ack: r#"{"response_type":"SUBSCRIBED","channel":"TICKER","data":{"quote_currency":"$QUOTE","target_currency":"$BASE"}}"#,
        unknown: r#"{"response_type":"ERROR","error_code":160012,"message":"Invalid Topic"}"#,
        invalid: r#"{"response_type":"ERROR","error_code":160010,"message":"Invalid Request"}"#,
        tick: r#"{"response_type":"DATA","channel":"TICKER","data":{"quote_currency":"$QUOTE","target_currency":"$BASE","timestamp":$ms,"quote_volume":"21349804285.3","target_volume":"152.0","high":"141000000","low":"138000000","first":"139000000","last":"$last","volume_power":"100","ask_best_price":"$ask","ask_best_qty":"0.18","bid_best_price":"$bid","bid_best_qty":"0.04","id":"1795986400000001"}}"#,
        ping: Some((r#"{"request_type":"PING"}"#, r#"{"response_type":"PONG"}"#)),
        rule: Rule::Ping(seconds(30 * 60)),
        ..PLAIN
    },
];
