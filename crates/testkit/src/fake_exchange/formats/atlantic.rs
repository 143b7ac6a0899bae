//! Exchanges of Europe and North America.

use super::super::notation::{dashed, slashed, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, lenient, seconds};

const ONETRADING: &str = r#"{"instrument_code":"$market","sequence":602562,"time":"$iso","state":"ACTIVE","is_frozen":0,"quote_volume":"1695555.17","base_volume":"18.67","last_price":"$last","best_bid":"$bid","best_ask":"$ask","price_change":"-147.47","price_change_percentage":"-0.16","high":"92337.45","low":"90110.0"}"#;
const COINMATE: &str = r#"{"last":$last,"high":92000,"low":90000,"amount":34.7,"bid":$bid,"ask":$ask,"change":-0.74,"open":91500,"timestamp":$s}"#;
const BLOCKCHAINCOM: &str =
    r#"{"symbol":"$market","price_24h":96000.1,"volume_24h":362.88,"last_trade_price":$last}"#;
const REVOLUTX: &str = r#"{"data":[$entries],"metadata":{"timestamp":$ms}}"#;
const REVOLUTX_ENTRY: &str = r#"{"symbol":"$BASE/$QUOTE","bid":"$bid","ask":"$ask","mid":"97000.25","last_price":"$last","high_24h":"98000","low_24h":"95500","price_change_24h":"1000","volume_24h":"120.1"}"#;

/// The answers of these exchanges.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "onetrading",
        authority: "api.onetrading.com",
        spell: underscored,
        asks: &[
            ask("/fast/v1/market-ticker/$market", "$entries", ONETRADING),
            ask("/fast/v1/market-ticker", "[$entries]", ONETRADING),
        ],
        unknown: (404, r#"{"error":"INSTRUMENT_NOT_FOUND"}"#),
        ..REST
    },
    Rest {
        id: "coinmate",
        authority: "coinmate.io",
        spell: underscored,
        asks: &[
            ask(
                "/api/ticker?currencyPair=$market",
                r#"{"error":false,"errorMessage":null,"data":$entries}"#,
                COINMATE,
            ),
            ask(
                "/api/tickerAll",
                r#"{"error":false,"errorMessage":null,"data":{$entries}}"#,
                r#""$market":{"last":$last,"high":92000,"low":90000,"amount":34.7,"bid":$bid,"ask":$ask,"change":-0.74,"open":91500,"timestamp":$s}"#,
            ),
        ],
        unknown: (
            200,
            r#"{"error":true,"errorMessage":"Currency pair does not exist","data":null}"#,
        ),
        limited: (
            200,
            r#"{"error":true,"errorMessage":"TOO MANY REQUESTS","data":null}"#,
        ),
        ..REST
    },
    Rest {
        id: "blockchaincom",
        authority: "api.blockchain.com",
        spell: dashed,
        asks: &[
            ask("/v3/exchange/tickers/$market", "$entries", BLOCKCHAINCOM),
            ask("/v3/exchange/tickers", "[$entries]", BLOCKCHAINCOM),
        ],
        unknown: (
            404,
            r#"{"timestamp":"$iso","status":404,"error":"Not Found","message":"Symbol not found"}"#,
        ),
        ..REST
    },
    Rest {
        id: "revolutx",
        authority: "revx.revolut.com",
        spell: dashed,
        asks: &[
            ask(
                "/api/1.0/public/tickers?symbols=$market",
                REVOLUTX,
                REVOLUTX_ENTRY,
            ),
            ask("/api/1.0/public/tickers", REVOLUTX, REVOLUTX_ENTRY),
        ],
        unknown: (400, r#"{"message":"Unknown symbol"}"#),
        ..REST
    },
    Rest {
        id: "ndax",
        authority: "api.ndax.io",
        spell: underscored,
        asks: &[ask(
            "/AP/summary",
            "[$entries]",
            r#"{"trading_pairs":"$market","last_price":$last,"lowest_ask":$ask,"highest_bid":$bid,"base_volume":12.3,"quote_volume":1660000.1,"price_change_percent_24h":0.5,"highest_price_24h":136000,"lowest_price_24h":133000}"#,
        )],
        unknown: (200, "[]"),
        ..REST
    },
    Rest {
        id: "alpacacrypto",
        authority: "data.alpaca.markets",
        spell: slashed,
        asks: &[lenient(
            "/v1beta3/crypto/us/snapshots?symbols=$list",
            r#"{"snapshots":{$entries}}"#,
            r#""$market":{"dailyBar":{"c":97000.1,"h":98000,"l":95500,"n":9,"o":96000,"t":"2026-11-30T06:00:00Z","v":0.21,"vw":96900.1},"latestQuote":{"ap":$ask,"as":0.6,"bp":$bid,"bs":0.6,"t":"$iso"},"latestTrade":{"i":5272941104897543146,"p":$last,"s":0.02,"t":"$iso","tks":"B"}}"#,
        )],
        unknown: (200, r#"{"snapshots":{}}"#),
        ..REST
    },
];

/// The streams of these exchanges.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "onetrading",
        authority: "streams.fast.onetrading.com",
        spell: underscored,
        subscribe: r#"{"type":"SUBSCRIBE","channels":[{"name":"MARKET_TICKER","price_points_mode":"INLINE","instrument_codes":["$market"]}]}"#,
        ack: r#"{"type":"SUBSCRIPTIONS","channels":[{"name":"MARKET_TICKER","instrument_codes":["$market"]}],"time":1790133754838659000}"#,
        unknown: r#"{"channel_name":"MARKET_TICKER","error":"INVALID_INSTRUMENT_CODES","invalid_instruments":["$market"]}"#,
        invalid: r#"{"error":"INVALID_MESSAGE_FORMAT"}"#,
        tick: r#"{"ticker_updates":[{"instrument":"$market","last_price":"$last","price_change":"0.000623","price_change_percentage":"1.17","high":"0.055","low":"0.052662","volume":"6.3821593247"}],"channel_name":"MARKET_TICKER","type":"MARKET_TICKER_UPDATES","time":$ns}"#,
        heartbeat: Some((
            r#"{"channel_name":"SYSTEM","subscription":"SYSTEM","time":1790133756435892700,"type":"HEARTBEAT"}"#,
            seconds(10),
        )),
        ..PLAIN
    },
    Stream {
        id: "coinmate",
        authority: "coinmate.io",
        path: "/api/websocket",
        spell: underscored,
        subscribe: r#"{"event":"subscribe","data":{"channel":"trades-$market"}}"#,
        ack: r#"{"event":"subscribe_success","data":{"channel":"trades-$market"}}"#,
        unknown: r#"{"event":"error","message":"Unknown channel trades-$market"}"#,
        invalid: r#"{"event":"error","message":"Invalid message"}"#,
        tick: r#"{"event":"data","channel":"trades-$market","payload":[{"date":$ms,"price":$last,"amount":0.5,"type":"BUY","buyOrderId":123456,"sellOrderId":123457}]}"#,
        rule: Rule::Reply(
            seconds(30),
            seconds(30),
            r#"{"event":"ping"}"#,
            r#"{"event":"pong"}"#,
        ),
        ..PLAIN
    },
    Stream {
        id: "blockchaincom",
        authority: "ws.blockchain.info",
        path: "/mercury-gateway/v1/ws",
        spell: dashed,
        subscribe: r#"{"action":"subscribe","channel":"ticker","symbol":"$market"}"#,
        ack: r#"{"seqnum":0,"event":"subscribed","channel":"ticker","symbol":"$market"}"#,
        unknown: r#"{"seqnum":0,"event":"rejected","channel":"ticker","text":"Unknown symbol $market"}"#,
        invalid: r#"{"seqnum":0,"event":"rejected","text":"Invalid message"}"#,
        tick: r#"{"seqnum":1,"event":"snapshot","channel":"ticker","symbol":"$market","price_24h":23071.4,"volume_24h":236.28398636,"last_trade_price":$last,"mark_price":23935.335240262}"#,
        needs: Some("origin"),
        ..PLAIN
    },
];
