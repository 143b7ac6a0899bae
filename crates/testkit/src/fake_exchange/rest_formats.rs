//! The formats in which each exchange answers requests for prices, from their documentation and
//! from recordings.
//!
//! They were written without looking at the catalogue of the server, in order to test it. The
//! placeholders in targets are those of [`matches_target`](super::template::matches_target).
//! Answers contain `$entries` for the requested markets, and in each entry `$market` (as
//! requested), `$key` (as answered, where that differs), `$BASE`, `$QUOTE`, `$last`, `$bid`,
//! `$ask`, and the time as `$ms`, `$s`, `$us` or `$iso`.

use super::notation::{dashed, joined, lower, quote_first, slashed, underscored};

/// An exchange that answers requests.
pub(crate) struct Rest {
    pub(crate) id: &'static str,
    pub(crate) authority: &'static str,
    /// The exchange's notation for a base and a quote currency.
    pub(crate) spell: fn(&str, &str) -> String,
    /// The notation in answers, where it differs.
    pub(crate) key: fn(&str, &str) -> String,
    pub(crate) asks: &'static [Ask],
    /// Status and body for an unknown symbol.
    pub(crate) unknown: (u16, &'static str),
    /// Status and body for a client that sends too many requests.
    pub(crate) limited: (u16, &'static str),
    /// Whether small numbers have exponents.
    pub(crate) exponents: bool,
}

/// A kind of request.
pub(crate) struct Ask {
    pub(crate) target: &'static str,
    /// The text around the entries.
    pub(crate) answer: &'static str,
    pub(crate) entry: &'static str,
    /// The effect of an unknown market among others.
    pub(crate) unknown: Unknown,
}

impl Ask {
    /// Whether it names no market.
    pub(crate) fn lists_all(&self) -> bool {
        !self.target.contains("=$") && !self.target.contains("/$")
    }
}

/// The effect of an unknown market in a request for several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The whole answer is an error.
    Spoils,
    /// The market is omitted.
    IsLeftOut,
}

const fn ask(target: &'static str, answer: &'static str, entry: &'static str) -> Ask {
    Ask {
        target,
        answer,
        entry,
        unknown: Unknown::Spoils,
    }
}

const fn lenient(target: &'static str, answer: &'static str, entry: &'static str) -> Ask {
    Ask {
        target,
        answer,
        entry,
        unknown: Unknown::IsLeftOut,
    }
}

fn xbt(code: &str) -> &str {
    match code {
        "BTC" => "XBT",
        _ => code,
    }
}

fn kraken(base: &str, quote: &str) -> String {
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

fn bitfinex(base: &str, quote: &str) -> String {
    let name = |code| match code {
        "USDT" => "UST",
        "USDC" => "UDC",
        _ => code,
    };
    let (base, quote) = (name(base), name(quote));
    let between = match base.len() > 3 || quote.len() > 3 {
        true => ":",
        false => "",
    };
    format!("t{base}{between}{quote}")
}

fn bitmex(base: &str, quote: &str) -> String {
    underscored(xbt(base), xbt(quote))
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
const BITMEX: &str =
    r#"{"symbol":"$market","lastPrice":$last,"bidPrice":$bid,"askPrice":$ask,"timestamp":"$iso"}"#;
const POLONIEX: &str = r#"{"symbol":"$market","open":"45755.35","low":"44934.8","high":"46677.1","close":"$last","quantity":"1400.05","amount":"64000000.1","tradeCount":16422,"startTime":1648051200000,"closeTime":1648137600000,"displayName":"$BASE/$QUOTE","dailyChange":"0.0128","bid":"$bid","bidQuantity":"0.1","ask":"$ask","askQuantity":"0.2","ts":$ms,"markPrice":"46000.1"}"#;
const BITVAVO: &str = r#"{"market":"$market","startTimestamp":1684998400000,"timestamp":$ms,"open":"49000","openTimestamp":1684998401000,"high":"51000","low":"48000","last":"$last","closeTimestamp":1685084799000,"bid":"$bid","bidSize":"0.1","ask":"$ask","askSize":"0.2","volume":"100","volumeQuote":"5000000"}"#;

/// All exchanges of the catalogue.
pub(crate) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "binance",
        authority: "api.binance.com",
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
        exponents: false,
    },
    Rest {
        id: "coinbase",
        authority: "api.exchange.coinbase.com",
        spell: dashed,
        key: dashed,
        asks: &[ask("/products/$market/ticker", "$entries", COINBASE)],
        unknown: (404, r#"{"message":"NotFound"}"#),
        limited: (429, r#"{"message":"Public rate limit exceeded"}"#),
        exponents: false,
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
        exponents: false,
    },
    Rest {
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
        exponents: false,
    },
    Rest {
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
        exponents: false,
    },
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
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
                r#"{"bid":"$bid","ask":"$ask","volume":{"$BASE":"1615.46861748","$QUOTE":"14727307.57545006088","timestamp":$ms},"last":"$last"}"#,
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
    },
    Rest {
        id: "bithumb",
        authority: "api.bithumb.com",
        spell: quote_first,
        key: quote_first,
        asks: &[ask("/v1/ticker?markets=$list", "[$entries]", UPBIT)],
        unknown: (404, r#"{"error":{"name":404,"message":"Code not found"}}"#),
        limited: (429, ""),
        exponents: true,
    },
    Rest {
        id: "bitmex",
        authority: "www.bitmex.com",
        spell: bitmex,
        key: bitmex,
        asks: &[
            ask(
                "/api/v1/instrument?symbol=$market&columns=symbol,lastPrice,timestamp",
                "[$entries]",
                BITMEX,
            ),
            ask(
                "/api/v1/instrument/active",
                r#"[{"symbol":"XBTUSD","lastPrice":1.5,"timestamp":"2025-02-07T10:43:59.245Z"},$entries]"#,
                BITMEX,
            ),
        ],
        unknown: (200, "[]"),
        limited: (
            429,
            r#"{"error":{"message":"Rate limit exceeded, retry in 1 seconds.","name":"HTTPError"}}"#,
        ),
        exponents: false,
    },
    Rest {
        id: "deribit",
        authority: "www.deribit.com",
        spell: underscored,
        key: underscored,
        asks: &[ask(
            "/api/v2/public/ticker?instrument_name=$market",
            r#"{"jsonrpc":"2.0","result":$entries,"usIn":1597244851056,"usOut":1597244851057,"usDiff":1,"testnet":false}"#,
            r#"{"timestamp":$ms,"state":"open","stats":{"volume":1,"low":1,"high":2},"last_price":$last,"instrument_name":"$market","index_price":1,"best_bid_price":$bid,"best_bid_amount":0.1,"best_ask_price":$ask,"best_ask_amount":0.2}"#,
        )],
        unknown: (
            400,
            r#"{"jsonrpc":"2.0","error":{"message":"Invalid params","data":{"reason":"wrong format","param":"instrument_name"},"code":-32602},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        ),
        limited: (
            429,
            r#"{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}"#,
        ),
        exponents: false,
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
        exponents: false,
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
        exponents: false,
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
        exponents: false,
    },
];

const BYBIT_ANSWER: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[$entries]},"retExtInfo":{},"time":$ms}"#;
const BITGET_ANSWER: &str =
    r#"{"code":"00000","msg":"success","requestTime":$ms,"data":[$entries]}"#;
