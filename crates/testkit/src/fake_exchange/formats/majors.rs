//! The exchanges with the most users worldwide.

use super::super::notation::{dashed, joined, lower, quote_first, slashed, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, Wrapping, ask, lenient, seconds};

fn xbt(code: &str) -> &str {
    match code {
        "BTC" => "XBT",
        _ => code,
    }
}

pub(super) fn kraken(base: &str, quote: &str) -> String {
    let name = |code| match code {
        "DOGE" => "XDG".to_owned(),
        _ => xbt(code).to_owned(),
    };
    name(base) + &name(quote)
}

/// Old coins and currencies have an additional letter in answers.
fn kraken_key(base: &str, quote: &str) -> String {
    match (base, quote) {
        ("BTC", "USD" | "EUR") => format!("XXBTZ{quote}"),
        ("ETH", "USD" | "EUR") => format!("XETHZ{quote}"),
        _ => kraken(base, quote),
    }
}

pub(super) fn bitfinex(base: &str, quote: &str) -> String {
    let name = |code| match code {
        "USDT" => "UST",
        "USDC" => "UDC",
        _ => code,
    };
    let (base, quote) = (name(base), name(quote));
    let between = if base.len() > 3 || quote.len() > 3 {
        ":"
    } else {
        ""
    };
    format!("t{base}{between}{quote}")
}

const BINANCE: &str = r#"{"symbol":"$market","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.29628482","prevClosePrice":"0.10002000","lastPrice":"$last","lastQty":"200.00000000","bidPrice":"$bid","bidQty":"100.00000000","askPrice":"$ask","askQty":"100.00000000","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,"closeTime":$ms,"firstId":28385,"lastId":28460,"count":76}"#;
const COINBASE: &str = r#"{"trade_id":843439,"price":"$last","size":"80.29769","time":"$iso","bid":"$bid","ask":"$ask","volume":"1903188.03750000"}"#;
const KRAKEN: &str = r#""$key":{"a":["$ask","1","1.000"],"b":["$bid","1","1.000"],"c":["$last","0.00067643"],"v":["4083.67001100","4412.73601799"],"p":["30706.77771","30689.13205"],"t":[34619,38907],"l":["29868.30000","29868.30000"],"h":["31631.00000","31631.00000"],"o":"30502.80000"}"#;
const OKX: &str = r#"{"instType":"SPOT","instId":"$market","last":"$last","lastSz":"0.1","askPx":"$ask","askSz":"11","bidPx":"$bid","bidSz":"5","open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"2222","vol24h":"2222","sodUtc0":"2222","sodUtc8":"2222","ts":"$ms"}"#;
const BYBIT: &str = r#"{"symbol":"$market","bid1Price":"$bid","bid1Size":"2","ask1Price":"$ask","ask1Size":"1.862172","lastPrice":"$last","prevPrice24h":"20393.48","price24hPcnt":"0.0068","highPrice24h":"21128.12","lowPrice24h":"20318.89","turnover24h":"243765620.65899866","volume24h":"11801.27771","usdIndexPrice":"20784.12009279"}"#;
const KUCOIN_ALL: &str = r#"{"symbol":"$market","symbolName":"$market","buy":"$bid","sell":"$ask","changeRate":"-0.0014","changePrice":"-41.2","high":"29200","low":"28600","vol":"3211.65","volValue":"92800000.1","last":"$last","averagePrice":"28900","takerFeeRate":"0.001","makerFeeRate":"0.001"}"#;
const GATE: &str = r#"{"currency_pair":"$market","last":"$last","lowest_ask":"$ask","highest_bid":"$bid","change_percentage":"-8.91","change_utc0":"-8.91","change_utc8":"-8.91","base_volume":"656614.0845820589","quote_volume":"1602221.66468375534639404191","high_24h":"2.7431","low_24h":"1.9863"}"#;
const BITSTAMP: &str = r#"{"timestamp":"$s","high":"26252","last":"$last","bid":"$bid","vwap":"25681","volume":"3563.13819902","low":"25350","ask":"$ask","open":"25730","open_24":"25895","percent_change_24":"1.24","pair":"$BASE/$QUOTE"}"#;
const BITFINEX: &str =
    r#"$bid,31.89055171,$ask,43.358118629999986,-550.8,-0.0674,$last,8314.71200815,8257.8,7500"#;
const MEXC: &str = r#"{"symbol":"$market","priceChange":"184.34","priceChangePercent":"0.00400048","prevClosePrice":"46079.37","lastPrice":"$last","bidPrice":"$bid","bidQty":"","askPrice":"$ask","askQty":"","openPrice":"46079.37","highPrice":"47550.01","lowPrice":"45555.5","volume":"1732.461487","quoteVolume":null,"openTime":1641349500000,"closeTime":$ms,"count":null}"#;
const BITGET: &str = r#"{"symbol":"$market","high24h":"37775.65","open":"35134.2","low24h":"34413.1","lastPr":"$last","quoteVolume":"0","baseVolume":"0","usdtVolume":"0","bidPr":"$bid","askPr":"$ask","bidSz":"0.0663","askSz":"0.0119","openUtc":"23856.72","ts":"$ms","changeUtc24h":"0.00301","change24h":"0.00069"}"#;
const CRYPTOCOM: &str = r#"{"h":"51790.00","l":"47895.50","a":"$last","i":"$market","v":"879.5024","vv":"26370000.12","oi":"12345.12","c":"0.03955106","b":"$bid","k":"$ask","t":$ms}"#;
const UPBIT: &str = r#"{"market":"$market","trade_date":"20250704","trade_timestamp":$ms,"opening_price":148737000.0,"high_price":149360000.0,"low_price":148288000.0,"trade_price":$last,"prev_closing_price":148737000.0,"change":"FALL","trade_volume":0.00016823,"acc_trade_volume_24h":961.1,"timestamp":$ms}"#;
/// It sends Korean local time as if it were UTC.
const BITHUMB: &str = r#"{"market":"$market","trade_date":"20250704","trade_timestamp":$korea,"opening_price":148737000.0,"high_price":149360000.0,"low_price":148288000.0,"trade_price":$last,"prev_closing_price":148737000.0,"change":"FALL","trade_volume":0.00016823,"acc_trade_volume_24h":961.1,"timestamp":$korea}"#;
const POLONIEX: &str = r#"{"symbol":"$market","open":"45755.35","low":"44934.8","high":"46677.1","close":"$last","quantity":"1400.05","amount":"64000000.1","tradeCount":16422,"startTime":1648051200000,"closeTime":1648137600000,"displayName":"$BASE/$QUOTE","dailyChange":"0.0128","bid":"$bid","bidQuantity":"0.1","ask":"$ask","askQuantity":"0.2","ts":$ms,"markPrice":"46000.1"}"#;
const BITVAVO: &str = r#"{"market":"$market","startTimestamp":1684998400000,"timestamp":$ms,"open":"49000","openTimestamp":1684998401000,"high":"51000","low":"48000","last":"$last","closeTimestamp":1685084799000,"bid":"$bid","bidSize":"0.1","ask":"$ask","askSize":"0.2","volume":"100","volumeQuote":"5000000"}"#;

pub(super) const BINANCE_REST: Rest = Rest {
    id: "binance",
    authority: "data-api.binance.vision",
    spell: joined,
    key: joined,
    asks: &[
        ask("/api/v3/ticker/24hr?symbol=$market", "$entries", BINANCE),
        ask("/api/v3/ticker/24hr?symbols=$json", "[$entries]", BINANCE),
        ask(
            "/api/v3/ticker/24hr",
            r#"[{"symbol":"BCCUSDT","lastPrice":"0.00000000","closeTime":1542664800000},$entries]"#,
            BINANCE,
        ),
    ],
    unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
    limited: (
        429,
        r#"{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE."}"#,
    ),
    ..REST
};

pub(super) const OKX_REST: Rest = Rest {
    id: "okx",
    authority: "www.okx.com",
    spell: dashed,
    key: dashed,
    asks: &[
        ask(
            "/api/v5/market/ticker?instId=$market",
            r#"{"code":"0","msg":"","data":[$entries]}"#,
            OKX,
        ),
        ask(
            "/api/v5/market/tickers?instType=SPOT",
            r#"{"code":"0","msg":"","data":[$entries,{"instType":"SPOT","instId":"LUNC-OLD","last":"","ts":"1597026383085"}]}"#,
            OKX,
        ),
    ],
    unknown: (
        200,
        r#"{"code":"51001","msg":"Instrument ID does not exist","data":[]}"#,
    ),
    limited: (
        429,
        r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#,
    ),
    ..REST
};

pub(super) const BYBIT_REST: Rest = Rest {
    id: "bybit",
    authority: "api.bybit.com",
    spell: joined,
    key: joined,
    asks: &[
        ask(
            "/v5/market/tickers?category=spot&symbol=$market",
            BYBIT_ANSWER,
            BYBIT,
        ),
        ask("/v5/market/tickers?category=spot", BYBIT_ANSWER, BYBIT),
    ],
    unknown: (
        200,
        r#"{"retCode":10001,"retMsg":"Not supported symbols","result":{},"retExtInfo":{},"time":$ms}"#,
    ),
    limited: (
        200,
        r#"{"retCode":10006,"retMsg":"Too many visits!","result":{},"retExtInfo":{},"time":$ms}"#,
    ),
    ..REST
};

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    BINANCE_REST,
    Rest {
        id: "coinbase",
        authority: "api.exchange.coinbase.com",
        spell: dashed,
        key: dashed,
        asks: &[ask("/products/$market/ticker", "$entries", COINBASE)],
        unknown: (404, r#"{"message":"NotFound"}"#),
        limited: (429, r#"{"message":"Public rate limit exceeded"}"#),
        ..REST
    },
    Rest {
        id: "kraken",
        authority: "api.kraken.com",
        spell: kraken,
        key: kraken_key,
        asks: &[ask(
            "/0/public/Ticker?pair=$list",
            r#"{"error":[],"result":{$entries}}"#,
            KRAKEN,
        )],
        unknown: (200, r#"{"error":["EQuery:Unknown asset pair"]}"#),
        limited: (200, r#"{"error":["EGeneral:Too many requests"]}"#),
        ..REST
    },
    OKX_REST,
    BYBIT_REST,
    Rest {
        id: "kucoin",
        authority: "api.kucoin.com",
        spell: dashed,
        key: dashed,
        asks: &[
            ask(
                "/api/v1/market/orderbook/level1?symbol=$market",
                r#"{"code":"200000","data":$entries}"#,
                r#"{"sequence":"1550467636704","price":"$last","size":"0.17","bestAsk":"$ask","bestAskSize":"1.788","bestBid":"$bid","bestBidSize":"3.803","time":$ms}"#,
            ),
            ask(
                "/api/v1/market/allTickers",
                r#"{"code":"200000","data":{"time":$ms,"ticker":[$entries]}}"#,
                KUCOIN_ALL,
            ),
        ],
        unknown: (200, r#"{"code":"200000","data":null}"#),
        limited: (429, r#"{"code":"429000","msg":"Too Many Requests"}"#),
        ..REST
    },
    Rest {
        id: "gate",
        authority: "api.gateio.ws",
        spell: underscored,
        key: underscored,
        asks: &[
            ask(
                "/api/v4/spot/tickers?currency_pair=$market",
                "[$entries]",
                GATE,
            ),
            ask("/api/v4/spot/tickers", "[$entries]", GATE),
        ],
        unknown: (
            400,
            r#"{"label":"INVALID_CURRENCY_PAIR","message":"Invalid currency pair"}"#,
        ),
        limited: (
            429,
            r#"{"label":"TOO_MANY_REQUESTS","message":"Request Rate limit Exceeded"}"#,
        ),
        ..REST
    },
    Rest {
        id: "bitstamp",
        authority: "www.bitstamp.net",
        spell: lower,
        key: slashed,
        asks: &[
            ask("/api/v2/ticker/$market/", "$entries", BITSTAMP),
            ask("/api/v2/ticker/", "[$entries]", BITSTAMP),
        ],
        unknown: (404, ""),
        limited: (
            429,
            r#"{"status":"error","reason":"Request rate limit exceeded","code":"400.002"}"#,
        ),
        ..REST
    },
    Rest {
        id: "bitfinex",
        authority: "api-pub.bitfinex.com",
        spell: bitfinex,
        key: bitfinex,
        asks: &[
            ask("/v2/ticker/$market", "[$entries]", BITFINEX),
            lenient(
                "/v2/tickers?symbols=$list",
                "[$entries]",
                r#"["$market",$bid,31.89055171,$ask,43.358118629999986,-550.8,-0.0674,$last,8314.71200815,8257.8,7500]"#,
            ),
        ],
        unknown: (500, r#"["error",10020,"symbol: invalid"]"#),
        limited: (429, r#"["error",11010,"ratelimit: error"]"#),
        ..REST
    },
    Rest {
        id: "gemini",
        authority: "api.gemini.com",
        spell: lower,
        key: joined,
        asks: &[
            ask(
                "/v1/pubticker/$market",
                "$entries",
                r#"{"bid":"$bid","ask":"$ask","volume":{"$BASE":"1615.46861748","$QUOTE":"14727307.57545006088","timestamp":1594982700000},"last":"$last"}"#,
            ),
            ask(
                "/v1/pricefeed",
                "[$entries]",
                r#"{"pair":"$key","price":"$last","percentChange24h":"0.0128"}"#,
            ),
        ],
        unknown: (
            400,
            r#"{"result":"error","reason":"Bad Request","message":"Supplied value for symbol is not valid"}"#,
        ),
        limited: (
            429,
            r#"{"result":"error","reason":"RateLimit","message":"Requests were made too frequently"}"#,
        ),
        ..REST
    },
    Rest {
        id: "htx",
        authority: "api.huobi.pro",
        spell: lower,
        key: lower,
        asks: &[
            ask(
                "/market/detail/merged?symbol=$market",
                r#"{"ch":$entries}"#,
                r#""market.$market.detail.merged","status":"ok","ts":$ms,"tick":{"id":272156789143,"version":272156789143,"open":50080,"close":$last,"low":48767,"high":50500,"amount":12055.365781937457,"vol":598561868.5709001,"count":420573,"bid":[$bid,2.58112],"ask":[$ask,0.002411]}"#,
            ),
            ask(
                "/market/tickers",
                r#"{"status":"ok","ts":$ms,"data":[$entries]}"#,
                r#"{"symbol":"$market","open":50080,"high":50500,"low":48767,"close":$last,"amount":12055.36,"vol":598561868.57,"count":420573,"bid":$bid,"bidSize":2.58,"ask":$ask,"askSize":0.002411}"#,
            ),
        ],
        unknown: (
            200,
            r#"{"ts":$ms,"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}"#,
        ),
        limited: (
            200,
            r#"{"ts":$ms,"status":"error","err-code":"rate-too-many-requests","err-msg":"Too many requests"}"#,
        ),
        exponents: true,
        ..REST
    },
    Rest {
        id: "mexc",
        authority: "api.mexc.com",
        spell: joined,
        key: joined,
        asks: &[
            ask("/api/v3/ticker/24hr?symbol=$market", "$entries", MEXC),
            ask("/api/v3/ticker/24hr", "[$entries]", MEXC),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        limited: (429, ""),
        ..REST
    },
    Rest {
        id: "bitget",
        authority: "api.bitget.com",
        spell: joined,
        key: joined,
        asks: &[
            ask(
                "/api/v2/spot/market/tickers?symbol=$market",
                BITGET_ANSWER,
                BITGET,
            ),
            ask("/api/v2/spot/market/tickers", BITGET_ANSWER, BITGET),
        ],
        unknown: (
            400,
            r#"{"code":"40034","msg":"Parameter symbol does not exist","requestTime":$ms,"data":null}"#,
        ),
        limited: (
            429,
            r#"{"code":"429","msg":"Too Many Requests","requestTime":$ms,"data":null}"#,
        ),
        ..REST
    },
    Rest {
        id: "cryptocom",
        authority: "api.crypto.com",
        spell: underscored,
        key: underscored,
        asks: &[
            ask(
                "/exchange/v1/public/get-tickers?instrument_name=$market",
                r#"{"id":-1,"method":"public/get-tickers","code":0,"result":{"data":[$entries]}}"#,
                CRYPTOCOM,
            ),
            ask(
                "/exchange/v1/public/get-tickers",
                r#"{"id":-1,"method":"public/get-tickers","code":0,"result":{"data":[$entries,{"i":"DEAD_USD","a":null,"b":null,"k":null,"t":0}]}}"#,
                CRYPTOCOM,
            ),
        ],
        unknown: (
            400,
            r#"{"id":-1,"method":"public/get-tickers","code":30003,"message":"Instrument not found"}"#,
        ),
        limited: (
            429,
            r#"{"id":-1,"method":"public/get-tickers","code":42901,"message":"RATE_LIMIT"}"#,
        ),
        ..REST
    },
    Rest {
        id: "upbit",
        authority: "api.upbit.com",
        spell: quote_first,
        key: quote_first,
        asks: &[ask("/v1/ticker?markets=$list", "[$entries]", UPBIT)],
        unknown: (404, r#"{"error":{"name":404,"message":"Code not found"}}"#),
        limited: (
            429,
            r#"{"error":{"name":"too_many_requests","message":"Too many API requests"}}"#,
        ),
        ..REST
    },
    Rest {
        id: "bithumb",
        authority: "api.bithumb.com",
        spell: quote_first,
        key: quote_first,
        asks: &[ask("/v1/ticker?markets=$list", "[$entries]", BITHUMB)],
        unknown: (404, r#"{"error":{"name":404,"message":"Code not found"}}"#),
        limited: (429, ""),
        exponents: true,
        ..REST
    },
    Rest {
        id: "deribit",
        authority: "www.deribit.com",
        spell: underscored,
        key: underscored,
        asks: &[ask(
            "/api/v2/public/ticker?instrument_name=$market",
            r#"{"jsonrpc":"2.0","result":$entries,"usIn":1597244851056,"usOut":1597244851057,"usDiff":1,"testnet":false}"#,
            r#"{"timestamp":$ms,"state":"open","stats":{"volume":93.35,"volume_usd":10876000.5,"volume_notional":10876000.5,"price_change":-0.6802,"low":1,"high":2},"last_price":$last,"instrument_name":"$market","index_price":1,"best_bid_price":$bid,"best_bid_amount":0.1,"best_ask_price":$ask,"best_ask_amount":0.2}"#,
        )],
        unknown: (
            400,
            r#"{"jsonrpc":"2.0","error":{"message":"Invalid params","data":{"reason":"wrong format","param":"instrument_name"},"code":-32602},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        ),
        limited: (
            429,
            r#"{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}"#,
        ),
        ..REST
    },
    Rest {
        id: "whitebit",
        authority: "whitebit.com",
        spell: underscored,
        key: underscored,
        asks: &[
            ask(
                "/api/v1/public/ticker?market=$market",
                r#"{"success":true,"message":"","result":$entries}"#,
                r#"{"bid":"$bid","ask":"$ask","open":"9001","high":"9200","low":"9000","last":"$last","volume":"4723.2","deal":"43341942.9","change":"0.57"}"#,
            ),
            ask(
                "/api/v4/public/ticker",
                "{$entries}",
                r#""$market":{"base_id":1,"quote_id":825,"last_price":"$last","quote_volume":"43341942.90416876","base_volume":"4723.286463","isFrozen":false,"change":"0.57"}"#,
            ),
        ],
        unknown: (
            200,
            r#"{"success":false,"message":{"market":["Market is not available"]},"result":[]}"#,
        ),
        limited: (429, ""),
        ..REST
    },
    Rest {
        id: "poloniex",
        authority: "api.poloniex.com",
        spell: underscored,
        key: underscored,
        asks: &[
            ask("/markets/$market/ticker24h", "$entries", POLONIEX),
            ask("/markets/ticker24h", "[$entries]", POLONIEX),
        ],
        unknown: (400, r#"{"code":24101,"message":"Invalid symbol"}"#),
        limited: (429, ""),
        ..REST
    },
    Rest {
        id: "bitvavo",
        authority: "api.bitvavo.com",
        spell: dashed,
        key: dashed,
        asks: &[
            ask("/v2/ticker/24h?market=$market", "$entries", BITVAVO),
            ask(
                "/v2/ticker/24h",
                r#"[{"market":"OLD-EUR","timestamp":1685084800000,"last":null,"bid":null,"ask":null},$entries]"#,
                BITVAVO,
            ),
        ],
        unknown: (
            400,
            r#"{"errorCode":205,"error":"market parameter is invalid."}"#,
        ),
        limited: (
            429,
            r#"{"errorCode":105,"error":"Your IP has been banned by the rate limit."}"#,
        ),
        ..REST
    },
];

const BYBIT_ANSWER: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[$entries]},"retExtInfo":{},"time":$ms}"#;
const BITGET_ANSWER: &str =
    r#"{"code":"00000","msg":"success","requestTime":$ms,"data":[$entries]}"#;

/// The address that KuCoin's token is for. The handshake checks the token.
pub(crate) const KUCOIN: &str = "ws-api-spot.kucoin.com";

pub(super) const BINANCE_STREAM: Stream = Stream {
    id: "binance",
    authority: "data-stream.binance.vision",
    path: "/ws",
    spell: lower,
    subscribe: r#"{"method":"SUBSCRIBE","params":["$market@ticker"],"id":"$id"}"#,
    most: 200,
    ack: r#"{"result":null,"id":$id}"#,
    // It confirms every well-formed request, and sends no prices for unknown markets.
    unknown: r#"{"result":null,"id":$id}"#,
    invalid: r#"{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":null}"#,
    tick: r#"{"e":"24hrTicker","E":$ms,"s":"$MARKET","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"$last","Q":"10","b":"$bid","B":"10","a":"$ask","A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}"#,
    rule: Rule::Pong(seconds(20), seconds(60)),
    leave: r#"{"e":"serverShutdown","E":$ms}"#,
    ..PLAIN
};

pub(super) const OKX_STREAM: Stream = Stream {
    id: "okx",
    authority: "ws.okx.com",
    path: "/ws/v5/public",
    spell: dashed,
    subscribe: r#"{"op":"subscribe","args":[{"channel":"tickers","instId":"$market"}]}"#,
    ack: r#"{"event":"subscribe","arg":{"channel":"tickers","instId":"$market"},"connId":"a4d3ae55"}"#,
    ack_each: true,
    unknown: r#"{"event":"error","code":"60018","msg":"The specified channel doesn't exist: instId $market","connId":"a4d3ae55"}"#,
    invalid: r#"{"event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}"#,
    tick: r#"{"arg":{"channel":"tickers","instId":"$market"},"data":[{"instType":"SPOT","instId":"$market","last":"$last","lastSz":"0.1","askPx":"$ask","askSz":"11","bidPx":"$bid","bidSz":"5","open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"2222","vol24h":"2222","sodUtc0":"2222","sodUtc8":"2222","ts":"$ms"}]}"#,
    ping: Some(("ping", "pong")),
    rule: Rule::Ping(seconds(30)),
    leave: r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#,
    ..PLAIN
};

pub(super) const BYBIT_STREAM: Stream = Stream {
    id: "bybit",
    authority: "stream.bybit.com",
    path: "/v5/public/spot",
    subscribe: r#"{"op":"subscribe","args":["tickers.$market"],"req_id":"$id"}"#,
    most: 10,
    ack: r#"{"success":true,"ret_msg":"subscribe","conn_id":"2324d924","req_id":$id,"op":"subscribe"}"#,
    unknown: r#"{"success":false,"ret_msg":"Invalid symbol :[tickers.$market]","conn_id":"2324d924","req_id":$id,"op":"subscribe"}"#,
    invalid: r#"{"success":false,"ret_msg":"error:handler not found","conn_id":"2324d924","op":""}"#,
    tick: r#"{"topic":"tickers.$market","ts":$ms,"type":"snapshot","cs":2588407389,"data":{"symbol":"$market","lastPrice":"$last","highPrice24h":"21426.99","lowPrice24h":"20575","prevPrice24h":"20704.93","volume24h":"6780.866843","turnover24h":"141946527.22907118","price24hPcnt":"0.0196","usdIndexPrice":"21120.2400136"}}"#,
    ping: Some((
        r#"{"op":"ping"}"#,
        r#"{"success":true,"ret_msg":"pong","conn_id":"2324d924","op":"ping"}"#,
    )),
    rule: Rule::Ping(seconds(30)),
    ..PLAIN
};

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    BINANCE_STREAM,
    Stream {
        id: "coinbase",
        authority: "ws-feed.exchange.coinbase.com",
        spell: dashed,
        subscribe: r#"{"type":"subscribe","product_ids":["$market"],"channels":["ticker"]}"#,
        ack: r#"{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["$market"],"account_ids":null}]}"#,
        unknown: r#"{"type":"error","message":"Failed to subscribe","reason":"$market is not a valid product"}"#,
        invalid: r#"{"type":"error","message":"Malformed JSON"}"#,
        tick: r#"{"type":"ticker","sequence":12042642428,"product_id":"$market","price":"$last","open_24h":"9450.81000000","volume_24h":"9611.79166047","low_24h":"9195.49000000","high_24h":"9475.19000000","volume_30d":"327812.00311873","best_bid":"$bid","best_bid_size":"0.1","best_ask":"$ask","best_ask_size":"0.2","side":"buy","time":"$iso","trade_id":82062566,"last_size":"0.41969131"}"#,
        rule: Rule::Pong(seconds(30), seconds(30)),
        subscribe_within: Some(seconds(5)),
        ..PLAIN
    },
    Stream {
        id: "kraken",
        authority: "ws.kraken.com",
        path: "/v2",
        spell: slashed,
        greeting: r#"{"channel":"status","type":"update","data":[{"version":"2.0.0","system":"online","api_version":"v2","connection_id":12393906104898154338}]}"#,
        subscribe: r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["$market"],"event_trigger":"bbo"},"req_id":"$id"}"#,
        ack: r#"{"method":"subscribe","req_id":$id,"result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"$market"},"success":true,"time_in":"$iso","time_out":"$iso"}"#,
        ack_each: true,
        unknown: r#"{"error":"Currency pair not supported $market","method":"subscribe","req_id":$id,"success":false,"symbol":"$market","time_in":"$iso","time_out":"$iso"}"#,
        invalid: r#"{"error":"Malformed request","success":false,"time_in":"$iso","time_out":"$iso"}"#,
        tick: r#"{"channel":"ticker","type":"update","data":[{"symbol":"$market","bid":$bid,"bid_qty":740.0,"ask":$ask,"ask_qty":740.0,"last":$last,"volume":997038.98383185,"vwap":0.10148,"low":0.09979,"high":0.10285,"change":-0.00017,"change_pct":-0.17,"timestamp":"$iso"}]}"#,
        ping: Some((
            r#"{"method":"ping","req_id":"$id"}"#,
            r#"{"method":"pong","req_id":$id,"time_in":"$iso","time_out":"$iso"}"#,
        )),
        heartbeat: Some((r#"{"channel":"heartbeat"}"#, seconds(1))),
        ..PLAIN
    },
    OKX_STREAM,
    BYBIT_STREAM,
    Stream {
        id: "kucoin",
        authority: KUCOIN,
        path: "/",
        spell: dashed,
        greeting: r#"{"id":"hQvf8jkno","type":"welcome"}"#,
        subscribe: r#"{"id":"$id","type":"subscribe","topic":"/market/ticker:$list","response":true}"#,
        ack: r#"{"id":$id,"type":"ack"}"#,
        unknown: r#"{"id":$id,"type":"error","code":404,"data":"topic /market/ticker:$market is not found"}"#,
        invalid: r#"{"id":"0","type":"error","code":400,"data":"type is not supported"}"#,
        tick: r#"{"type":"message","topic":"/market/ticker:$market","subject":"trade.ticker","data":{"sequence":"1545896668986","price":"$last","size":"0.011","bestAsk":"$ask","bestAskSize":"0.18","bestBid":"$bid","bestBidSize":"0.036","time":$ms}}"#,
        ping: Some((
            r#"{"id":"$id","type":"ping"}"#,
            r#"{"id":$id,"type":"pong"}"#,
        )),
        rule: Rule::Ping(seconds(28)),
        ..PLAIN
    },
    Stream {
        id: "gate",
        authority: "api.gateio.ws",
        path: "/ws/v4/",
        spell: underscored,
        subscribe: r#"{"time":"$number","id":"$id","channel":"spot.tickers","event":"subscribe","payload":["$market"]}"#,
        ack: r#"{"time":$s,"time_ms":$ms,"id":$id,"conn_id":"5e74253e","channel":"spot.tickers","event":"subscribe","payload":["$market"],"result":{"status":"success"}}"#,
        unknown: r#"{"time":$s,"time_ms":$ms,"id":$id,"channel":"spot.tickers","event":"subscribe","error":{"code":2,"message":"unknown currency pair: $market"},"result":{"status":"fail"}}"#,
        invalid: r#"{"time":$s,"time_ms":$ms,"channel":"","event":"","error":{"code":1,"message":"invalid request"},"result":null}"#,
        tick: r#"{"time":$s,"time_ms":$ms,"conn_id":"5e74253e","channel":"spot.tickers","event":"update","result":{"currency_pair":"$market","last":"$last","lowest_ask":"$ask","highest_bid":"$bid","change_percentage":"-8.91","base_volume":"656614.0845820589","quote_volume":"1602221.66468375534639404191","high_24h":"2.7431","low_24h":"1.9863"}}"#,
        ping: Some((
            r#"{"time":"$number","channel":"spot.ping"}"#,
            r#"{"time":$s,"time_ms":$ms,"channel":"spot.pong","event":"","error":null,"result":null}"#,
        )),
        rule: Rule::Ping(seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "bitstamp",
        authority: "ws.bitstamp.net",
        spell: lower,
        subscribe: r#"{"event":"bts:subscribe","data":{"channel":"live_trades_$market"}}"#,
        ack: r#"{"event":"bts:subscription_succeeded","channel":"live_trades_$market","data":{}}"#,
        unknown: r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Incorrect channel name: live_trades_$market"}}"#,
        invalid: r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Incorrect JSON format."}}"#,
        tick: r#"{"event":"trade","channel":"live_trades_$market","data":{"id":286700000,"amount":0.01,"amount_str":"0.01000000","price":1.5,"price_str":"$last","type":0,"timestamp":"$s","microtimestamp":"$us"}}"#,
        ping: Some((
            r#"{"event":"bts:heartbeat"}"#,
            r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#,
        )),
        leave: r#"{"event":"bts:request_reconnect","channel":"","data":""}"#,
        ..PLAIN
    },
    Stream {
        id: "bitfinex",
        authority: "api-pub.bitfinex.com",
        path: "/ws/2",
        spell: bitfinex,
        greeting: r#"{"event":"info","version":2,"serverId":"95d67bb4","platform":{"status":1}}"#,
        subscribe: r#"{"event":"subscribe","channel":"trades","symbol":"$market"}"#,
        ack: r#"{"event":"subscribed","channel":"trades","chanId":$channel,"symbol":"$market","pair":"$BASE$QUOTE"}"#,
        unknown: r#"{"channel":"trades","symbol":"$market","event":"error","msg":"symbol: invalid","code":10300}"#,
        invalid: r#"{"event":"error","msg":"unknown event","code":10000}"#,
        tick: r#"[$channel,"te",[401597395,$ms,0.005,$last]]"#,
        ping: Some((
            r#"{"event":"ping","cid":"$id"}"#,
            r#"{"event":"pong","ts":$ms,"cid":$id}"#,
        )),
        heartbeat: Some((r#"[$channel,"hb"]"#, seconds(15))),
        leave: r#"{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}"#,
        ..PLAIN
    },
    Stream {
        id: "gemini",
        authority: "ws.gemini.com",
        spell: lower,
        subscribe: r#"{"id":"$id","method":"subscribe","params":["$market@trade"]}"#,
        // One unknown market refuses the whole message.
        most: 1,
        ack: r#"{"id":$id,"status":200,"result":null}"#,
        unknown: r#"{"id":$id,"status":400,"error":{"code":-1013,"msg":"Invalid symbol: $market"}}"#,
        invalid: r#"{"id":null,"status":400,"error":{"code":-1100,"msg":"Malformed request"}}"#,
        tick: r#"{"E":$ns,"s":"$market","t":2840140956529623,"p":"$last","q":"0.01","m":true}"#,
        ping: Some((
            r#"{"id":"$id","method":"ping"}"#,
            r#"{"id":$id,"status":200,"result":null}"#,
        )),
        rule: Rule::Pong(seconds(20), seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "mexc",
        authority: "wbs-api.mexc.com",
        path: "/ws",
        subscribe: r#"{"method":"SUBSCRIPTION","params":["spot@public.aggre.deals.v3.api.pb@100ms@$market"]}"#,
        most: 30,
        ack: r#"{"id":0,"code":0,"msg":"spot@public.aggre.deals.v3.api.pb@100ms@$market"}"#,
        unknown: r#"{"id":0,"code":0,"msg":"Not Subscribed successfully! [spot@public.aggre.deals.v3.api.pb@100ms@$market]. Reason: Blocked!"}"#,
        invalid: r#"{"id":0,"code":0,"msg":"msg format invalid"}"#,
        tick: r#"{"1":"spot@public.aggre.deals.v3.api.pb@100ms@$market","3":"$market","6":$ms,"314":{"1":[{"1":"$last","2":"0.01","3":1,"4":$ms}],"2":"spot@public.aggre.deals.v3.api.pb@100ms"}}"#,
        ping: Some((r#"{"method":"PING"}"#, r#"{"id":0,"code":0,"msg":"PONG"}"#)),
        rule: Rule::Ping(seconds(60)),
        wrapping: Wrapping::Protobuf,
        ..PLAIN
    },
    Stream {
        id: "bitget",
        authority: "ws.bitget.com",
        path: "/v2/ws/public",
        subscribe: r#"{"op":"subscribe","args":[{"instType":"SPOT","channel":"ticker","instId":"$market"}]}"#,
        ack: r#"{"event":"subscribe","arg":{"instType":"SPOT","channel":"ticker","instId":"$market"}}"#,
        ack_each: true,
        unknown: r#"{"event":"error","arg":{"instType":"SPOT","channel":"ticker","instId":"$market"},"code":30001,"msg":"instType:SPOT,channel:ticker,instId:$market doesn't exist","op":"subscribe"}"#,
        invalid: r#"{"event":"error","code":30003,"msg":"Invalid op"}"#,
        tick: r#"{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"$market"},"data":[{"instId":"$market","lastPr":"$last","open24h":"0.00","high24h":"0.00","low24h":"0.00","change24h":"0.00","bidPr":"$bid","askPr":"$ask","bidSz":"0.0084","askSz":"19740.8811","baseVolume":"0.00","quoteVolume":"0.00","openUtc":"0.00","changeUtc24h":"0","ts":"$ms"}],"ts":$ms}"#,
        ping: Some(("ping", "pong")),
        rule: Rule::Ping(seconds(120)),
        ..PLAIN
    },
    Stream {
        id: "cryptocom",
        authority: "stream.crypto.com",
        path: "/exchange/v1/market",
        spell: underscored,
        subscribe: r#"{"id":"$id","method":"subscribe","params":{"channels":["ticker.$market"]},"nonce":"$number"}"#,
        most: 400,
        ack: r#"{"id":$id,"method":"subscribe","code":0}"#,
        unknown: r#"{"id":$id,"method":"subscribe","code":40003,"message":"Unknown symbol","channel":"ticker.$market"}"#,
        invalid: r#"{"id":-1,"code":40003,"message":"Invalid request"}"#,
        tick: r#"{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"$market","subscription":"ticker.$market","channel":"ticker","data":[{"h":"51790.00","l":"47895.50","a":"$last","c":"0.03955106","b":"$bid","bs":"0.1","k":"$ask","ks":"0.2","i":"$market","v":"879.5024","vv":"26370000.12","oi":"0","t":$ms}]}}"#,
        rule: Rule::Reply(
            seconds(30),
            seconds(5),
            r#"{"id":$ms,"method":"public/heartbeat","code":0}"#,
            r#"{"id":"$id","method":"public/respond-heartbeat"}"#,
        ),
        settle: seconds(1),
        ..PLAIN
    },
    Stream {
        id: "htx",
        authority: "api.huobi.pro",
        path: "/ws",
        spell: lower,
        subscribe: r#"{"sub":"market.$market.ticker","id":"$id"}"#,
        ack: r#"{"id":$id,"status":"ok","subbed":"market.$market.ticker","ts":$ms}"#,
        ack_each: true,
        unknown: r#"{"status":"error","ts":$ms,"id":$id,"err-code":"bad-request","err-msg":"invalid topic market.$market.ticker"}"#,
        invalid: r#"{"status":"error","ts":$ms,"err-code":"bad-request","err-msg":"invalid request"}"#,
        tick: r#"{"ch":"market.$market.ticker","ts":$ms,"tick":{"open":51732,"high":52785.64,"low":51000,"close":1.5,"amount":13259.24137056181,"vol":687640987.4125315,"count":448737,"bid":$bid,"bidSize":0.036,"ask":$ask,"askSize":0.583653,"lastPrice":$last,"lastSize":0.03}}"#,
        rule: Rule::Reply(
            seconds(5),
            seconds(5),
            r#"{"ping":$ms}"#,
            r#"{"pong":"$id"}"#,
        ),
        wrapping: Wrapping::Gzip,
        ..PLAIN
    },
    UPBIT_STREAM,
    Stream {
        id: "bithumb",
        authority: "ws-api.bithumb.com",
        ..UPBIT_STREAM
    },
    Stream {
        id: "deribit",
        authority: "www.deribit.com",
        path: "/ws/api/v2",
        spell: underscored,
        subscribe: r#"{"jsonrpc":"2.0","id":"$id","method":"public/subscribe","params":{"channels":["ticker.$market.100ms"]}}"#,
        ack: r#"{"jsonrpc":"2.0","id":$id,"result":["ticker.$market.100ms"],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        // The confirmation omits channels of unknown markets.
        unknown: r#"{"jsonrpc":"2.0","id":$id,"result":[],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        invalid: r#"{"jsonrpc":"2.0","error":{"message":"Method not found","code":-32601}}"#,
        tick: r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.$market.100ms","data":{"timestamp":$ms,"state":"open","stats":{"volume":93.35,"volume_usd":10876000.5,"volume_notional":10876000.5,"price_change":-0.6802,"low":1,"high":2},"last_price":$last,"instrument_name":"$market","index_price":1,"best_bid_price":$bid,"best_bid_amount":0.1,"best_ask_price":$ask,"best_ask_amount":0.2}}}"#,
        ping: Some((
            r#"{"jsonrpc":"2.0","id":"$id","method":"public/test"}"#,
            r#"{"jsonrpc":"2.0","id":$id,"result":{"version":"1.2.26"},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        )),
        ..PLAIN
    },
    Stream {
        id: "whitebit",
        authority: "wss.whitebit.com",
        path: "/ws",
        spell: underscored,
        subscribe: r#"{"id":"$id","method":"market_subscribe","params":["$market"]}"#,
        most: 1000,
        ack: r#"{"id":$id,"result":{"status":"success"},"error":null}"#,
        unknown: r#"{"id":$id,"result":null,"error":{"message":"invalid argument","code":1}}"#,
        invalid: r#"{"id":null,"result":null,"error":{"message":"method not found","code":4}}"#,
        tick: r#"{"id":null,"method":"market_update","params":["$market",{"period":86400,"last":"$last","open":"9001","close":"9164.09","high":"9200","low":"9000","volume":"4723.2","deal":"43341942.9"}]}"#,
        ping: Some((
            r#"{"id":"$id","method":"ping","params":[]}"#,
            r#"{"id":$id,"result":"pong","error":null}"#,
        )),
        rule: Rule::Ping(seconds(60)),
        replaces: true,
        ..PLAIN
    },
    Stream {
        id: "poloniex",
        authority: "ws.poloniex.com",
        path: "/ws/public",
        spell: underscored,
        subscribe: r#"{"event":"subscribe","channel":["ticker"],"symbols":["$market"]}"#,
        ack: r#"{"channel":"ticker","event":"subscribe","symbols":["$market"]}"#,
        unknown: r#"{"event":"error","message":"Symbol not found: $market"}"#,
        invalid: r#"{"event":"error","message":"Bad request"}"#,
        tick: r#"{"channel":"ticker","data":[{"symbol":"$market","startTime":1648051200000,"open":"45755.35","high":"46677.1","low":"44934.8","close":"$last","quantity":"1400.05","amount":"64000000.1","tradeCount":16422,"dailyChange":"0.0128","markPrice":"46000.1","closeTime":1648137600000,"ts":$ms}]}"#,
        ping: Some((r#"{"event":"ping"}"#, r#"{"event":"pong"}"#)),
        rule: Rule::Ping(seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "bitvavo",
        authority: "ws.bitvavo.com",
        path: "/v2",
        spell: dashed,
        subscribe: r#"{"action":"subscribe","channels":[{"name":"ticker24h","markets":["$market"]}]}"#,
        ack: r#"{"event":"subscribed","subscriptions":{"ticker24h":["$market"]}}"#,
        unknown: r#"{"action":"subscribe","errorCode":205,"error":"market parameter is invalid."}"#,
        invalid: r#"{"errorCode":203,"error":"action parameter is required."}"#,
        tick: r#"{"event":"ticker24h","data":[{"market":"$market","startTimestamp":1684998400000,"timestamp":$ms,"open":"49000","high":"51000","low":"48000","last":"$last","bid":"$bid","bidSize":"0.1","ask":"$ask","askSize":"0.2","volume":"100","volumeQuote":"5000000"}]}"#,
        ..PLAIN
    },
];

/// Bithumb speaks the same protocol.
const UPBIT_STREAM: Stream = Stream {
    id: "upbit",
    authority: "api.upbit.com",
    path: "/websocket/v1",
    spell: quote_first,
    most: 1000,
    subscribe: r#"[{"ticket":"$any"},{"type":"ticker","codes":["$market"]}]"#,
    // It sends no confirmation and ignores unknown markets.
    invalid: r#"{"error":{"name":"WRONG_FORMAT","message":"Format is wrong."}}"#,
    tick: UPBIT_TICK,
    ping: Some(("PING", r#"{"status":"UP"}"#)),
    rule: Rule::Sign(seconds(60)),
    replaces: true,
    wrapping: Wrapping::Binary,
    ..PLAIN
};

const UPBIT_TICK: &str = r#"{"type":"ticker","code":"$market","opening_price":148737000.0,"high_price":149360000.0,"low_price":148288000.0,"trade_price":$last,"prev_closing_price":148737000.0,"change":"FALL","trade_timestamp":$ms,"timestamp":$ms,"stream_type":"REALTIME"}"#;
