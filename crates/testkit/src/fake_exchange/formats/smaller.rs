//! Smaller exchanges with users everywhere.

use super::super::notation::{dashed, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, Wrapping, ask, post, seconds};

const PHEMEX: &str = r#"{"askEp":9700020000000,"bidEp":9700010000000,"highEp":9800000000000,"lastEp":$scaled,"lowEp":9550000000000,"openEp":9600000000000,"symbol":"$market","timestamp":$ns,"turnoverEv":111822826123103,"volumeEv":11880532281}"#;
const DIGIFINEX: &str = r#"{"ticker":[$entries],"date":$s,"code":0}"#;
const DIGIFINEX_ENTRY: &str = r#"{"vol":10244.35,"change":-0.6,"base_vol":992249352.1,"sell":$ask,"last":$last,"symbol":"$market","low":95500,"buy":$bid,"high":98000}"#;
const CEX: &str = r#"{"ok":"ok","data":{$entries}}"#;
const CEX_ENTRY: &str = r#""$market":{"bestBid":"$bid","bestAsk":"$ask","low":"95500","high":"98000","lastTradeDateISO":"$iso","volume":"12.73","quoteVolume":"1235000.1","lastTradeVolume":"0.01","volumeUSD":"1235000.1","last":"$last","lastTradePrice":"$last"}"#;
const HASHKEY: &str = r#"{"t":$ms,"s":"$market","c":"$last","h":"98000","l":"95500","o":"96000","b":"$bid","a":"$ask","v":"160.4","qv":"15560000.1"}"#;
const BIGONE: &str = r#"{"asset_pair_name":"$market","bid":{"price":"$bid","order_count":1,"quantity":"0.2"},"ask":{"price":"$ask","order_count":1,"quantity":"2.8"},"open":"96000","high":"98000","low":"95500","close":"$last","volume":"1170.9","daily_change":"1000.1"}"#;
const BTSE: &str = r#"{"symbol":"$market","lastPrice":"$last","bidPrice":"$bid","bidQty":"0.1","askPrice":"$ask","askQty":"0.2","openPrice":"96000","highPrice":"98000","lowPrice":"95500","amount":"120.5","volume":"11680000","priceChange":"1000.1","openTime":1795900000,"closeTime":$s}"#;
const BITRUE: &str = r#"{"symbol":"$market","priceChange":"248","priceChangePercent":"0.25","weightedAvgPrice":null,"prevClosePrice":null,"lastPrice":"$last","lastQty":null,"bidPrice":"$bid","askPrice":"$ask","openPrice":"96752","highPrice":"98000","lowPrice":"95500","volume":"1311.4","quoteVolume":"127000000.1","openTime":0,"closeTime":0,"firstId":0,"lastId":0,"count":0}"#;

/// The answers of these exchanges.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "hashkey",
        authority: "api-glb.hashkey.com",
        asks: &[
            ask(
                "/quote/v1/ticker/24hr?symbol=$market",
                "[$entries]",
                HASHKEY,
            ),
            ask("/quote/v1/ticker/24hr", "[$entries]", HASHKEY),
        ],
        unknown: (400, r#"{"code":"-100012","msg":"Symbol is invalid"}"#),
        ..REST
    },
    Rest {
        id: "bullish",
        authority: "api.exchange.bullish.com",
        asks: &[ask(
            "/trading-api/v1/markets/$market/tick",
            "$entries",
            r#"{"createdAtDatetime":"$iso","createdAtTimestamp":"$ms","symbol":"$market","high":"98000.0000","low":"95500.0000","bestBid":"$bid","bidVolume":"1.0","bestAsk":"$ask","askVolume":"1.0","vwap":"97010.0","open":"96000.0","close":"$last","last":"$last","change":"1000.1","percentage":"1.04","average":"96500","baseVolume":"965.1","quoteVolume":"93600000.1","markPrice":"97001.0"}"#,
        )],
        unknown: (404, r#"{"message":"Market Not Found"}"#),
        ..REST
    },
    Rest {
        id: "bigone",
        authority: "big.one",
        spell: dashed,
        asks: &[
            ask(
                "/api/v3/asset_pairs/$market/ticker",
                r#"{"code":0,"data":$entries}"#,
                BIGONE,
            ),
            ask(
                "/api/v3/asset_pairs/tickers?pair_names=$list",
                r#"{"code":0,"data":[$entries]}"#,
                BIGONE,
            ),
        ],
        unknown: (404, r#"{"code":10014,"message":"asset pair not found"}"#),
        ..REST
    },
    Rest {
        id: "btse",
        authority: "api.btse.com",
        spell: dashed,
        asks: &[
            // One market is sometimes in a list and sometimes not.
            ask(
                "/public-api/market/v1/ticker/24hr?symbol=$market",
                r#"{"success":true,"data":$entries}"#,
                BTSE,
            ),
            ask(
                "/public-api/market/v1/ticker/24hr",
                r#"{"success":true,"data":[$entries]}"#,
                BTSE,
            ),
        ],
        unknown: (200, r#"{"success":true,"data":[]}"#),
        ..REST
    },
    Rest {
        id: "bitrue",
        authority: "www.bitrue.com",
        asks: &[
            ask("/api/v1/ticker/24hr?symbol=$market", "[$entries]", BITRUE),
            ask("/api/v1/ticker/24hr", "[$entries]", BITRUE),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        ..REST
    },
    Rest {
        id: "phemex",
        authority: "api.phemex.com",
        spell: phemex,
        asks: &[
            ask(
                "/v1/md/spot/ticker/24hr?symbol=$market",
                r#"{"error":null,"id":0,"result":$entries}"#,
                PHEMEX,
            ),
            ask(
                "/v1/md/spot/ticker/24hr/all",
                r#"{"error":null,"id":0,"result":[$entries]}"#,
                PHEMEX,
            ),
        ],
        unknown: (400, r#"{"code":11027,"msg":"Invalid symbol","data":null}"#),
        ..REST
    },
    Rest {
        id: "digifinex",
        authority: "openapi.digifinex.com",
        spell: |base, quote| underscored(base, quote).to_lowercase(),
        asks: &[
            ask("/v3/ticker?symbol=$market", DIGIFINEX, DIGIFINEX_ENTRY),
            ask("/v3/ticker", DIGIFINEX, DIGIFINEX_ENTRY),
        ],
        unknown: (200, r#"{"code":20019}"#),
        limited: (200, r#"{"code":10005}"#),
        ..REST
    },
    Rest {
        id: "cex",
        authority: "trade.cex.io",
        spell: dashed,
        asks: &[post(
            "/api/spot/rest-public/get_ticker",
            r#"{"pairs":["$market"]}"#,
            CEX,
            CEX_ENTRY,
        )],
        unknown: (400, r#"{"error":"Unsupported pair"}"#),
        ..REST
    },
];

/// The letter tells spot markets from contracts.
fn phemex(base: &str, quote: &str) -> String {
    format!("s{base}{quote}")
}

/// The streams of these exchanges.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "hashkey",
        authority: "stream-glb.hashkey.com",
        path: "/quote/ws/v1",
        subscribe: r#"{"symbol":"$market","topic":"realtimes","event":"sub"}"#,
        // It confirms nothing: the first price is the answer.
        unknown: r#"{"code":"-100010","desc":"Invalid Symbols!"}"#,
        invalid: r#"{"code":"-10001","desc":"Invalid JSON!"}"#,
        tick: r#"{"symbol":"$market","symbolName":"$market","topic":"realtimes","params":{"realtimeInterval":"24h"},"data":[{"t":$ms,"s":"$market","sn":"$market","c":"$last","h":"2918.85","l":"2135.5","o":"2915.78","b":"$bid","a":"$ask","v":"666.5019","qv":"1586902.757079","m":"-0.2472","e":301}],"f":false,"sendTime":$ms,"shared":false}"#,
        ping: Some((r#"{"ping":"$number"}"#, r#"{"pong":$ms}"#)),
        rule: Rule::Ping(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "bullish",
        authority: "api.exchange.bullish.com",
        path: "/trading-api/v1/market-data/tick",
        subscribe: r#"{"jsonrpc":"2.0","type":"command","method":"subscribe","id":"$id","params":{"topic":"tick","symbol":"$market"}}"#,
        ack: r#"{"id":$id,"jsonrpc":"2.0","result":{"responseCodeName":"OK","responseCode":"200","message":"Successfully subscribed to tick"}}"#,
        unknown: r#"{"id":$id,"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid symbol $market"}}"#,
        invalid: r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request"}}"#,
        tick: r#"{"type":"update","dataType":"V1TATickerResponse","data":{"askVolume":"0.00100822","average":"104423.1806","baseVolume":"472.83799258","bestAsk":"$ask","bestBid":"$bid","bidVolume":"0.00020146","change":"-198.4864","close":"$last","createdAtTimestamp":"$ms","publishedAtTimestamp":"$ms","high":"105966.6577","last":"$last","lastTradeDatetime":"$iso","lastTradeSize":"0.02396100","low":"104246.6662","open":"104522.4238","percentage":"-0.19","quoteVolume":"49662592.6712","symbol":"$market","type":"ticker","vwap":"105030.6996","createdAtDatetime":"$iso"}}"#,
        ping: Some((
            r#"{"jsonrpc":"2.0","type":"command","method":"keepalivePing","id":"$id"}"#,
            r#"{"id":$id,"jsonrpc":"2.0","result":{"responseCodeName":"OK","responseCode":"200","message":"Keep alive pong"}}"#,
        )),
        rule: Rule::Ping(seconds(100)),
        ..PLAIN
    },
    Stream {
        id: "btse",
        authority: "ws.btse.com",
        path: "/ws/spot",
        spell: dashed,
        subscribe: r#"{"op":"subscribe","args":["tradeHistoryApi:$market"]}"#,
        ack: r#"{"event":"subscribe","channel":["tradeHistoryApi:$market"]}"#,
        unknown: r#"{"severity":"ERROR","errors":[{"arg":"tradeHistoryApi:$market","error":{"code":1000,"message":"Market pair provided is currently not supported."}}]}"#,
        invalid: r#"{"severity":"ERROR","errors":[{"error":{"code":1002,"message":"Invalid request. Please check again your request and provide all information required."}}]}"#,
        tick: r#"{"topic":"tradeHistoryApi:$market","data":[{"symbol":"$market","side":"SELL","size":0.007,"price":$last,"tradeId":118974855,"timestamp":$ms}]}"#,
        ping: Some(("ping", "pong")),
        rule: Rule::Ping(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "phemex",
        authority: "ws.phemex.com",
        spell: phemex,
        subscribe: r#"{"id":"$id","method":"spot_market24h.subscribe","params":[]}"#,
        ack: r#"{"error":null,"id":$id,"result":{"status":"success"}}"#,
        invalid: r#"{"error":{"code":6001,"message":"invalid argument"},"id":null,"result":null}"#,
        tick: r#"{"spot_market24h":{"askEp":9700020000000,"bidEp":9700010000000,"highEp":9800000000000,"lastEp":$scaled,"lowEp":9550000000000,"openEp":9600000000000,"symbol":"$market","turnoverEv":111822826123103,"volumeEv":11880532281},"timestamp":$ns}"#,
        ping: Some((
            r#"{"id":"$id","method":"server.ping","params":[]}"#,
            r#"{"error":null,"id":$id,"result":"pong"}"#,
        )),
        rule: Rule::Sign(seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "digifinex",
        authority: "openapi.digifinex.com",
        path: "/ws/v1/",
        spell: underscored,
        subscribe: r#"{"id":"$id","method":"ticker.subscribe","params":["$market"]}"#,
        most: 30,
        ack: r#"{"error":null,"result":{"status":"success"},"id":$id}"#,
        unknown: r#"{"error":{"code":2,"message":"invalid param $market"},"result":null,"id":$id}"#,
        invalid: r#"{"error":{"code":2,"message":"invalid param"},"result":null,"id":null}"#,
        tick: r#"{"method":"ticker.update","params":[{"symbol":"$market","open_24h":"1760","low_24h":"1.00","base_volume_24h":"11.40088557","quote_volume_24h":"29786.30588557","last":"$last","last_qty":"1","best_bid":"$bid","best_bid_size":"0.003","best_ask":"$ask","best_ask_size":"108.2542","timestamp":$ms}],"id":null}"#,
        ping: Some((
            r#"{"id":"$id","method":"server.ping","params":[]}"#,
            r#"{"error":null,"result":"pong","id":$id}"#,
        )),
        rule: Rule::Ping(seconds(60)),
        wrapping: Wrapping::Zlib,
        ..PLAIN
    },
];
