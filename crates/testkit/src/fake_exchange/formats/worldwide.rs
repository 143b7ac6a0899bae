//! Exchanges with users in many countries, apart from the largest.

use super::super::notation::{base_only, dashed, joined, lower_underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, Wrapping, ask, post, seconds};

const BINGX: &str = r#"{"symbol":"$market","openPrice":96000.1,"highPrice":98000.0,"lowPrice":95500.0,"lastPrice":$last,"priceChange":"1000.05","priceChangePercent":"1.04%","volume":1161.79,"quoteVolume":112000000.4,"openTime":1795900000000,"closeTime":$ms,"bidPrice":$bid,"bidQty":0.05,"askPrice":$ask,"askQty":0.05}"#;
const BINGX_ANSWER: &str = r#"{"code":0,"timestamp":$ms,"data":[$entries]}"#;
const XT: &str = r#"{"s":"$market","t":$ms,"cv":"34.00","cr":"0.0015","o":"96966.15","l":"95500","h":"98000","c":"$last","q":"7962.25","v":"772000000.4"}"#;
const XT_ANSWER: &str = r#"{"rc":0,"mc":"SUCCESS","ma":[],"result":[$entries]}"#;
const TOOBIT: &str = r#"{"t":"$ms","s":"$market","o":"96000","h":"98000","l":"95500","c":"$last","b":"$bid","a":"$ask","v":"812.4","qv":"78700000.1","pc":"1000.15","pcp":"0.0104"}"#;
const LBANK: &str = r#"{"symbol":"$market","ticker":{"high":"98000","vol":"6890.27","low":"95500","change":"0.58","turnover":"668000000.1","latest":"$last"},"timestamp":$ms}"#;
const LBANK_ANSWER: &str = r#"{"result":"true","data":[$entries],"error_code":0,"ts":$ms}"#;
const WEEX: &str = r#"{"symbol":"$market","priceChange":"-10.00","priceChangePercent":"-0.01","lastPrice":"$last","bidPrice":"$bid","bidQty":"0.5","askPrice":"$ask","askQty":"0.4","openPrice":"97010.00","highPrice":"98000.00","lowPrice":"96000.00","volume":"1234.5","quoteVolume":"119000000.1","openTime":1795900000000,"closeTime":$ms}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "hyperliquid",
        authority: "api.hyperliquid.xyz",
        spell: base_only,
        key: base_only,
        asks: &[post(
            "/info",
            r#"{"type":"allMids"}"#,
            r#"{"@1":"14.3",$entries}"#,
            r#""$market":"$last""#,
        )],
        // It lists all coins, whatever the symbol.
        unknown: (200, r#"{"@1":"14.3"}"#),
        home: Some("USDC"),
        ..REST
    },
    Rest {
        id: "bingx",
        authority: "open-api.bingx.com",
        spell: dashed,
        key: dashed,
        asks: &[
            ask(
                "/openApi/spot/v1/ticker/24hr?symbol=$market&timestamp=$number",
                BINGX_ANSWER,
                BINGX,
            ),
            ask(
                "/openApi/spot/v1/ticker/24hr?timestamp=$number",
                BINGX_ANSWER,
                BINGX,
            ),
        ],
        unknown: (
            200,
            r#"{"code":109425,"msg":"symbol does not exist","timestamp":$ms}"#,
        ),
        ..REST
    },
    Rest {
        id: "xt",
        authority: "sapi.xt.com",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[
            ask("/v4/public/ticker/24h?symbol=$market", XT_ANSWER, XT),
            ask("/v4/public/ticker/24h", XT_ANSWER, XT),
        ],
        unknown: (200, r#"{"rc":1,"mc":"SYMBOL_001","ma":[],"result":null}"#),
        ..REST
    },
    Rest {
        id: "toobit",
        authority: "api.toobit.com",
        asks: &[
            ask("/quote/v1/ticker/24hr?symbol=$market", "[$entries]", TOOBIT),
            ask("/quote/v1/ticker/24hr", "[$entries]", TOOBIT),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        limited: (
            400,
            r#"{"code":-1003,"msg":"Too many requests; please use the websocket for live updates."}"#,
        ),
        ..REST
    },
    Rest {
        id: "lbank",
        authority: "api.lbank.info",
        spell: lower_underscored,
        key: lower_underscored,
        asks: &[
            ask("/v2/ticker/24hr.do?symbol=all", LBANK_ANSWER, LBANK),
            ask("/v2/ticker/24hr.do?symbol=$market", LBANK_ANSWER, LBANK),
        ],
        unknown: (
            200,
            r#"{"result":"false","msg":"currency pair nonsupport","error_code":10008,"ts":$ms}"#,
        ),
        ..REST
    },
    Rest {
        id: "weex",
        authority: "api-spot.weex.com",
        asks: &[
            ask(
                "/api/v3/market/ticker/24hr?symbol=$market",
                "[$entries]",
                WEEX,
            ),
            ask("/api/v3/market/ticker/24hr", "[$entries]", WEEX),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        ..REST
    },
    Rest {
        id: "hitbtc",
        authority: "api.hitbtc.com",
        asks: &[
            ask(
                "/api/3/public/ticker/$market",
                "$entries",
                r#"{"ask":"$ask","bid":"$bid","last":"$last","low":"95500","high":"98000","open":"96000","volume":"16719.5","volume_quote":"1621000000.1","timestamp":"$iso"}"#,
            ),
            ask(
                "/api/3/public/ticker?symbols=$list",
                "{$entries}",
                r#""$market":{"ask":"$ask","bid":"$bid","last":"$last","low":"95500","high":"98000","open":"96000","volume":"16719.5","volume_quote":"1621000000.1","timestamp":"$iso"}"#,
            ),
        ],
        unknown: (
            400,
            r#"{"error":{"code":2001,"message":"No such symbol","description":"No such symbol"}}"#,
        ),
        limited: (
            429,
            r#"{"error":{"code":429,"message":"Too many requests"}}"#,
        ),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "hyperliquid",
        authority: "api.hyperliquid.xyz",
        path: "/ws",
        spell: base_only,
        subscribe: r#"{"method":"subscribe","subscription":{"type":"trades","coin":"$market"}}"#,
        most: 1,
        ack: r#"{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"trades","coin":"$market"}}}"#,
        unknown: r#"{"channel":"error","data":"Invalid subscription {\"type\":\"trades\",\"coin\":\"$market\"}"}"#,
        invalid: r#"{"channel":"error","data":"Error parsing JSON into valid websocket request"}"#,
        tick: r#"{"channel":"trades","data":[{"coin":"$market","side":"B","px":"$last","sz":"0.01","hash":"0x0","time":$ms,"tid":1}]}"#,
        ping: Some((r#"{"method":"ping"}"#, r#"{"channel":"pong"}"#)),
        rule: Rule::Ping(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "bingx",
        authority: "open-api-ws.bingx.com",
        path: "/market",
        spell: dashed,
        subscribe: r#"{"id":"$id","dataType":"$market@ticker"}"#,
        most: 1,
        ack: r#"{"code":0,"id":$id}"#,
        unknown: r#"{"code":80014,"id":$id,"msg":"symbol $market is not supported"}"#,
        invalid: r#"{"code":80012,"id":"","msg":"service unavailable"}"#,
        tick: r#"{"code":0,"dataType":"$market@ticker","data":{"e":"24hTicker","E":$ms,"s":"$market","p":"1000.05","P":"1.04%","o":"96000.1","h":"98000.0","l":"95500.0","c":"$last","v":"1161.79","q":"112000000.4","O":1795900000000,"C":1795986400000,"B":"$bid","b":"0.05","A":"$ask","a":"0.05","n":18151},"success":true}"#,
        rule: Rule::Reply(
            seconds(5),
            seconds(5),
            r#"{"ping":"2177c68e4d0e45679965f482929b59c2","time":"$iso"}"#,
            r#"{"pong":"$any","time":"$any"}"#,
        ),
        wrapping: Wrapping::Gzip,
        ..PLAIN
    },
    Stream {
        id: "xt",
        authority: "stream.xt.com",
        path: "/public",
        spell: lower_underscored,
        subscribe: r#"{"method":"subscribe","params":["ticker@$market"],"id":"$id"}"#,
        ack: r#"{"id":$id,"code":0,"msg":""}"#,
        unknown: r#"{"id":$id,"code":1,"msg":"invalid symbol $market"}"#,
        invalid: r#"{"id":"","code":1,"msg":"invalid request"}"#,
        tick: r#"{"topic":"ticker","event":"ticker@$market","data":{"s":"$market","t":$ms,"cv":"34.00","cr":"0.0015","o":"96966.15","l":"95500","h":"98000","c":"$last","q":"7962.25","v":"772000000.4"}}"#,
        ping: Some(("ping", "pong")),
        rule: Rule::Ping(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "toobit",
        authority: "stream.toobit.com",
        path: "/quote/ws/v1",
        subscribe: r#"{"symbol":"$list","topic":"realtimes","event":"sub"}"#,
        // It sends no confirmation.
        unknown: r#"{"code":"-100010","desc":"Invalid Symbols!"}"#,
        invalid: r#"{"code":"-100001","desc":"Invalid request!"}"#,
        tick: r#"{"symbol":"$market","symbolName":"$market","topic":"realtimes","params":{"realtimeInterval":"24h","binary":"false"},"data":[{"t":$ms,"s":"$market","sn":"$market","c":"$last","h":"98000","l":"95500","o":"96000","v":"812.4","qv":"78700000.1","m":"0.0104","e":301}],"f":false,"sendTime":$ms,"shared":false}"#,
        ping: Some((r#"{"ping":"$number"}"#, r#"{"pong":$ms}"#)),
        rule: Rule::Sign(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "lbank",
        authority: "www.lbkex.net",
        path: "/ws/V2/",
        spell: lower_underscored,
        subscribe: r#"{"action":"subscribe","subscribe":"tick","pair":"$market"}"#,
        most: 1,
        // It sends no confirmation.
        unknown: r#"{"SERVER":"V2","message":"Invalid order pairs: $market","status":"error","TS":"2026-11-30T11:33:55.188"}"#,
        invalid: r#"{"SERVER":"V2","message":"Invalid action","status":"error","TS":"2026-11-30T11:33:55.188"}"#,
        // Its time is that of Hong Kong, without saying so.
        tick: r#"{"SERVER":"V2","tick":{"to_cny":6.8,"high":98000,"vol":6890.27,"low":95500,"change":0.58,"usd":97000.15,"to_usd":1.0,"dir":"sell","turnover":668000000.1,"latest":$last,"cny":659601.02},"type":"tick","pair":"$market","TS":"2026-11-30T11:33:55.188"}"#,
        rule: Rule::Reply(
            seconds(30),
            seconds(60),
            r#"{"action":"ping","ping":"0ca8f854-7ba7-4341-9d86-d3327e52804e"}"#,
            r#"{"action":"pong","pong":"$any"}"#,
        ),
        ..PLAIN
    },
    Stream {
        id: "weex",
        authority: "ws-spot.weex.com",
        path: "/v3/ws/public",
        greeting: r#"{"cid":"5e74253e","event":"connected","time":$ms}"#,
        subscribe: r#"{"id":"$id","method":"SUBSCRIBE","params":["$market@ticker"]}"#,
        ack: r#"{"id":$id,"result":true}"#,
        unknown: r#"{"id":$id,"result":false,"code":-1121,"msg":"Invalid symbol $market"}"#,
        invalid: r#"{"id":0,"result":false,"code":-1,"msg":"Invalid request"}"#,
        tick: r#"{"e":"ticker","E":$ms,"s":"$market","d":[{"e":"24hrTicker","p":"-10.00","P":"-0.01","o":"97010.00","h":"98000.00","l":"96000.00","c":"$last","v":"1234.5","q":"119000000.1"}]}"#,
        rule: Rule::Reply(
            seconds(20),
            seconds(60),
            r#"{"event":"ping","time":$ms}"#,
            r#"{"id":"$id","method":"PONG"}"#,
        ),
        ..PLAIN
    },
    Stream {
        id: "hitbtc",
        authority: "api.hitbtc.com",
        path: "/api/3/ws/public",
        spell: joined,
        subscribe: r#"{"method":"subscribe","ch":"ticker/1s","params":{"symbols":["$market"]},"id":"$id"}"#,
        ack: r#"{"result":{"ch":"ticker/1s","subscriptions":["$market"]},"id":$id}"#,
        unknown: r#"{"error":{"code":2001,"message":"No such symbol: $market"},"id":$id}"#,
        invalid: r#"{"error":{"code":2002,"message":"Invalid request"},"id":null}"#,
        tick: r#"{"ch":"ticker/1s","data":{"$market":{"t":$ms,"a":"$ask","A":"0.02","b":"$bid","B":"0.003","o":"96000","c":"$last","h":"98000","l":"95500","v":"16719.5","q":"1621000000.1","p":"1000.15","P":"1.04","L":1182694927}}}"#,
        ..PLAIN
    },
];
