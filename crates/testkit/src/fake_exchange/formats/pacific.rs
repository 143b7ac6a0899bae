//! Exchanges of Australia, Taiwan, the Philippines, India and Japan.

use super::super::notation::{dashed, lower, slashed, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, Wrapping, ask, seconds};

const BTCMARKETS: &str = r#"{"marketId":"$market","bestBid":"$bid","bestAsk":"$ask","lastPrice":"$last","volume24h":"56.19","volumeQte24h":"8360000.1","price24h":"1000.1","pricePct24h":"0.68","low24h":"147000","high24h":"149500","timestamp":"$iso"}"#;
const BITOPRO: &str = r#"{"pair":"$market","lastPrice":"$last","isBuyer":false,"priceChange24hr":"-0.99","volume24hr":"9.13","high24hr":"3126097.0","low24hr":"3081000.0"}"#;
const COINSPH: &str = r#"{"symbol":"$market","priceChange":"-10.00","priceChangePercent":"-0.01","weightedAvgPrice":"97005.1","prevClosePrice":"97010.00","lastPrice":"$last","lastQty":"0.1","bidPrice":"$bid","bidQty":"0.5","askPrice":"$ask","askQty":"0.4","openPrice":"97010.00","highPrice":"98000.00","lowPrice":"96000.00","volume":"1234.5","quoteVolume":"119000000.1","openTime":1795900000000,"closeTime":$ms,"firstId":0,"lastId":0,"count":0}"#;
const COINDCX: &str = r#"{"market":"$market","change_24_hour":"1.6","high":"8300000.0","low":"8100000.0","volume":"1234567.1","last_price":"$last","bid":"$bid","ask":"$ask","timestamp":$s}"#;

/// The answers of these exchanges.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "btcmarkets",
        authority: "api.btcmarkets.net",
        spell: dashed,
        key: dashed,
        asks: &[
            ask("/v3/markets/$market/ticker", "$entries", BTCMARKETS),
            ask(
                "/v3/markets/tickers?marketId=$each",
                "[$entries]",
                BTCMARKETS,
            ),
        ],
        unknown: (
            404,
            r#"{"code":"MarketNotFound","message":"market is not found"}"#,
        ),
        ..REST
    },
    Rest {
        id: "independentreserve",
        authority: "api.independentreserve.com",
        spell: |base, quote| slashed(xbt(base), xbt(quote)).to_lowercase(),
        asks: &[ask(
            "/Public/GetMarketSummary?primaryCurrencyCode=$base&secondaryCurrencyCode=$quote",
            "$entries",
            r#"{"CreatedTimestampUtc":"$iso","CurrentHighestBidPrice":$bid,"CurrentLowestOfferPrice":$ask,"DayAvgPrice":148743.9,"DayHighestPrice":149489.49,"DayLowestPrice":147998.32,"DayVolumeXbt":44.54,"DayVolumeXbtInSecondaryCurrrency":12.1,"LastPrice":$last,"PrimaryCurrencyCode":"$BASE","SecondaryCurrencyCode":"$QUOTE"}"#,
        )],
        unknown: (400, r#"{"Message":"Primary Currency Code is not valid"}"#),
        ..REST
    },
    Rest {
        id: "bitopro",
        authority: "api.bitopro.com",
        spell: |base, quote| underscored(base, quote).to_lowercase(),
        asks: &[
            ask("/v3/tickers/$market", r#"{"data":$entries}"#, BITOPRO),
            ask("/v3/tickers", r#"{"data":[$entries]}"#, BITOPRO),
        ],
        unknown: (404, r#"{"error":"Pair not found"}"#),
        ..REST
    },
    Rest {
        id: "coinsph",
        authority: "api.pro.coins.ph",
        asks: &[
            ask(
                "/openapi/quote/v1/ticker/24hr?symbol=$market",
                "$entries",
                COINSPH,
            ),
            ask(
                "/openapi/quote/v1/ticker/24hr?symbols=$json",
                "[$entries]",
                COINSPH,
            ),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        limited: (429, r#"{"code":-1003,"msg":"Too many requests."}"#),
        ..REST
    },
    Rest {
        id: "coindcx",
        authority: "api.coindcx.com",
        asks: &[ask(
            "/exchange/ticker",
            r#"[{"market":"OLDINR","change_24_hour":"0","high":"","low":"","volume":"0","last_price":"","bid":"","ask":"","timestamp":1795986400},$entries]"#,
            COINDCX,
        )],
        unknown: (200, "[]"),
        ..REST
    },
    Rest {
        id: "bittrade",
        authority: "api-cloud.bittrade.co.jp",
        spell: lower,
        asks: &[
            ask(
                "/market/detail/merged?symbol=$market",
                r#"{"status":"ok","ts":$ms,$entries}"#,
                r#""ch":"market.$market.detail.merged","tick":{"id":1,"amount":26.2,"open":14900000,"close":$last,"high":15100000,"low":14800000,"count":2658,"version":1,"ask":[$ask,0.15],"vol":390000000.1,"bid":[$bid,0.08]}"#,
            ),
            ask(
                "/market/tickers",
                r#"{"status":"ok","ts":$ms,"data":[$entries]}"#,
                r#"{"symbol":"$market","open":14900000,"high":15100000,"low":14800000,"close":$last,"amount":26.2,"vol":390000000.1,"count":2658}"#,
            ),
        ],
        unknown: (
            200,
            r#"{"ts":$ms,"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}"#,
        ),
        exponents: true,
        ..REST
    },
    Rest {
        id: "zaif",
        authority: "api.zaif.jp",
        spell: |base, quote| underscored(base, quote).to_lowercase(),
        asks: &[ask(
            "/api/1/ticker/$market",
            "$entries",
            r#"{"last": $last, "high": 15100000.0, "low": 14800000.0, "vwap": 14990000.1, "volume": 12.5, "bid": $bid, "ask": $ask}"#,
        )],
        unknown: (200, r#"{"error": "unsupported currency_pair"}"#),
        exponents: true,
        ..REST
    },
];

fn xbt(code: &str) -> &str {
    match code {
        "BTC" => "XBT",
        _ => code,
    }
}

/// The streams of these exchanges.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "btcmarkets",
        authority: "socket.btcmarkets.net",
        path: "/v2",
        spell: dashed,
        subscribe: r#"{"marketIds":["$market"],"channels":["tick","heartbeat"],"messageType":"subscribe"}"#,
        // It confirms nothing: the first price is the answer.
        unknown: r#"{"messageType":"error","code":3,"message":"invalid marketIds"}"#,
        invalid: r#"{"messageType":"error","code":3,"message":"invalid channel names"}"#,
        tick: r#"{"marketId":"$market","timestamp":"$iso","bestBid":"$bid","bestAsk":"$ask","lastPrice":"$last","volume24h":"56.19","price24h":"1000.1","low24h":"147000","high24h":"149500","snapshotId":1795986400000000,"messageType":"tick"}"#,
        heartbeat: Some((
            r#"{"messageType":"heartbeat","channels":[{"name":"tick"},{"name":"heartbeat"}]}"#,
            seconds(5),
        )),
        replaces: true,
        ..PLAIN
    },
    Stream {
        id: "coinsph",
        authority: "wsapi.pro.coins.ph",
        path: "/openapi/quote/stream",
        spell: lower,
        subscribe: r#"{"method":"SUBSCRIBE","params":["$market@ticker"],"id":"$id"}"#,
        most: 1024,
        ack: r#"{"id":"$id","result":null}"#,
        // It confirms every well-formed request, and sends no prices for unknown markets.
        unknown: r#"{"id":"$id","result":null}"#,
        invalid: r#"{"id":null,"error":{"code":7,"msg":"JSON incorrect"}}"#,
        tick: r#"{"e":"24hrTicker","E":$ms,"s":"$MARKET","p":"-10.00","P":"-0.01","w":"5705000.1","c":"$last","Q":"0.1","o":"5710000.1","h":"5800000","l":"5600000","v":"12.5","q":"71000000.1","O":1795900000000,"C":1795986400000,"F":1,"L":2,"n":2}"#,
        rule: Rule::Pong(seconds(30), seconds(300)),
        ..PLAIN
    },
    Stream {
        id: "bittrade",
        authority: "api-cloud.bittrade.co.jp",
        path: "/ws",
        spell: lower,
        subscribe: r#"{"sub":"market.$market.detail","id":"$id"}"#,
        ack: r#"{"id":$id,"status":"ok","subbed":"market.$market.detail","ts":$ms}"#,
        ack_each: true,
        unknown: r#"{"id":$id,"status":"error","ts":$ms,"err-code":"bad-request","err-msg":"invalid symbol $market"}"#,
        invalid: r#"{"status":"error","ts":$ms,"err-code":"bad-request","err-msg":"not json, is not json string"}"#,
        tick: r#"{"ch":"market.$market.detail","ts":$ms,"tick":{"id":1,"amount":26.2,"open":14900000,"close":$last,"high":15100000,"low":14800000,"count":2658,"version":1,"vol":390000000.1}}"#,
        rule: Rule::Reply(
            seconds(5),
            seconds(10),
            r#"{"ping":$ms}"#,
            r#"{"pong":"$id"}"#,
        ),
        wrapping: Wrapping::Gzip,
        ..PLAIN
    },
    Stream {
        id: "bitopro",
        authority: "stream.bitopro.com",
        // The path is all the subscription that there is.
        path: "/ws/v1/pub/tickers/$list",
        spell: |base, quote| underscored(base, quote).to_lowercase(),
        tick: r#"{"event":"TICKER","timestamp":$ms,"datetime":"$iso","pair":"$MARKET","lastPrice":"$last","lastPriceUSD":"40919.1328","lastPriceTWD":"1189110","isBuyer":true,"priceChange24hr":"1.23","volume24hr":"7.2090","volume24hrUSD":"294985.5375","volume24hrTWD":"8572279","high24hr":"1193656","low24hr":"1179321"}"#,
        ..PLAIN
    },
];
