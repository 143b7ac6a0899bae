//! Exchanges with markets in yen.

use super::super::notation::{base_only, lower_underscored, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, seconds};

const GMOCOIN: &str = r#"{"ask":"$ask","bid":"$bid","high":"15100000","last":"$last","low":"14800000","symbol":"$market","timestamp":"$iso","volume":"194785.8"}"#;
const GMOCOIN_ANSWER: &str = r#"{"status":0,"data":[$entries],"responsetime":"$iso"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "bitbank",
        authority: "public.bitbank.cc",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[
            ask(
                "/$market/ticker",
                r#"{"success":1,"data":$entries}"#,
                r#"{"sell":"$ask","buy":"$bid","open":"14900000","high":"15100000","low":"14800000","last":"$last","vol":"123.4567","timestamp":$ms}"#,
            ),
            ask(
                "/tickers",
                r#"{"success":1,"data":[$entries]}"#,
                r#"{"pair":"$market","sell":"$ask","buy":"$bid","open":"14900000","high":"15100000","low":"14800000","last":"$last","vol":"123.4567","timestamp":$ms}"#,
            ),
        ],
        unknown: (404, r#"{"success":0,"data":{"code":10000}}"#),
        ..REST
    },
    Rest {
        id: "bitflyer",
        authority: "api.bitflyer.com",
        spell: underscored,
        key: underscored,
        asks: &[ask(
            "/v1/getticker?product_code=$market",
            "$entries",
            r#"{"product_code":"$market","state":"RUNNING","timestamp":"$naive","tick_id":3579,"best_bid":$bid,"best_ask":$ask,"best_bid_size":0.1,"best_ask_size":0.5,"total_bid_depth":15.13,"total_ask_depth":20.0,"ltp":$last,"volume":1681.26,"volume_by_product":1681.26}"#,
        )],
        unknown: (
            400,
            r#"{"status":-1,"error_message":"Invalid product","data":null}"#,
        ),
        limited: (
            429,
            r#"{"status":-1,"error_message":"Over API limit per period","data":null}"#,
        ),
        ..REST
    },
    Rest {
        id: "coincheck",
        authority: "coincheck.com",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[ask(
            "/api/ticker?pair=$market",
            "$entries",
            r#"{"last":$last,"bid":$bid,"ask":$ask,"high":15100000.0,"low":14800000.0,"volume":1313.4,"timestamp":$s}"#,
        )],
        unknown: (404, r#"{"success":false,"error":"invalid pair"}"#),
        limited: (429, r#"{"success":false,"error":"too many requests"}"#),
        ..REST
    },
    Rest {
        id: "gmocoin",
        authority: "api.coin.z.com",
        spell: base_only,
        key: base_only,
        asks: &[
            ask("/public/v1/ticker?symbol=$market", GMOCOIN_ANSWER, GMOCOIN),
            ask("/public/v1/ticker", GMOCOIN_ANSWER, GMOCOIN),
        ],
        unknown: (
            404,
            r#"{"status":5,"messages":[{"message_code":"ERR-5207","message_string":"The symbol is invalid."}],"responsetime":"$iso"}"#,
        ),
        limited: (
            200,
            r#"{"status":4,"messages":[{"message_code":"ERR-5003","message_string":"Requests are too many."}],"responsetime":"$iso"}"#,
        ),
        home: Some("JPY"),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "bitbank",
        authority: "stream.bitbank.cc",
        path: "/socket.io/",
        spell: lower_underscored,
        greeting: r#"0{"sid":"Fqxpf1PqISvnQiX_Bftk","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
        opening: Some(("40", r#"40{"sid":"0owQaFFDanTLHmpXBftl"}"#)),
        subscribe: r#"42["join-room","ticker_$market"]"#,
        most: 1,
        // It sends no confirmation and ignores unknown markets.
        tick: r#"42["message",{"room_name":"ticker_$market","message":{"data":{"sell":"$ask","buy":"$bid","open":"13470001","high":"13655000","low":"13368518","last":"$last","vol":"91.1477","timestamp":$ms}}}]"#,
        rule: Rule::Reply(seconds(25), seconds(20), "2", "3"),
        ..PLAIN
    },
    Stream {
        id: "bitflyer",
        authority: "ws.lightstream.bitflyer.com",
        path: "/json-rpc",
        spell: underscored,
        subscribe: r#"{"jsonrpc":"2.0","method":"subscribe","params":{"channel":"lightning_ticker_$market"},"id":"$id"}"#,
        most: 1,
        ack: r#"{"jsonrpc":"2.0","id":$id,"result":true}"#,
        // It confirms unknown products and sends no prices for them.
        unknown: r#"{"jsonrpc":"2.0","id":$id,"result":true}"#,
        invalid: r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error","data":"Invalid JSON"},"id":null}"#,
        tick: r#"{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"lightning_ticker_$market","message":{"product_code":"$market","state":"RUNNING","timestamp":"$iso","tick_id":17524168,"best_bid":$bid,"best_ask":$ask,"best_bid_size":0.03013129,"best_ask_size":0.005,"total_bid_depth":57.71920633,"total_ask_depth":41.53653104,"market_bid_size":0.0,"market_ask_size":0.0,"ltp":$last,"volume":1104.266230520000,"volume_by_product":1104.266230520000,"preopen_end":null,"circuit_break_end":null}}}"#,
        rule: Rule::Pong(seconds(15), seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "coincheck",
        authority: "ws-api.coincheck.com",
        spell: lower_underscored,
        subscribe: r#"{"type":"subscribe","channel":"$market-trades"}"#,
        most: 1,
        // It answers to no request.
        tick: r#"[["$s","309542297","$market","$last","0.007","sell","9248698311","9248697472",null]]"#,
        rule: Rule::Sign(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "gmocoin",
        authority: "api.coin.z.com",
        path: "/ws/public/v1",
        spell: base_only,
        subscribe: r#"{"command":"subscribe","channel":"ticker","symbol":"$market"}"#,
        most: 1,
        // It sends no confirmation.
        unknown: r#"{"error":"ERR-5106 Invalid request parameter. symbol"}"#,
        invalid: r#"{"error":"ERR-5003 Request too many."}"#,
        tick: r#"{"channel":"ticker","ask":"$ask","bid":"$bid","high":"13685467","last":"$last","low":"13540729","symbol":"$market","timestamp":"$iso","volume":"963.33"}"#,
        rule: Rule::Pong(seconds(60), seconds(180)),
        pace: seconds(1),
        ..PLAIN
    },
];
