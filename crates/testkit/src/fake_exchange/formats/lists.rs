//! How each exchange lists its markets: all of them in one answer, with some that are not traded.
//!
//! An exchange that is not here has no list, or its prices of all markets are one.

use super::super::notation::{slashed, underscored};
use super::List;
use super::africa::luno;
use super::majors::{bitfinex, kraken};

/// The lists of all exchanges that have one, apart from their prices.
pub(crate) fn lists() -> impl Iterator<Item = &'static List> {
    LISTS.iter()
}

const BINANCE: List = List {
    id: "binance",
    target: "/api/v3/exchangeInfo?symbolStatus=TRADING&showPermissionSets=false",
    answer: r#"{"timezone":"UTC","serverTime":$ms,"rateLimits":[],"exchangeFilters":[],"symbols":[$entries]}"#,
    entry: r#"{"symbol":"$market","status":"TRADING","baseAsset":"$BASE","baseAssetPrecision":8,"quoteAsset":"$QUOTE","quotePrecision":8,"isSpotTradingAllowed":true,"filters":[],"permissions":[]}"#,
    ..LIST
};

const OKX: List = List {
    id: "okx",
    target: "/api/v5/public/instruments?instType=SPOT",
    answer: r#"{"code":"0","msg":"","data":[$entries,{"baseCcy":"NEW","quoteCcy":"USDT","instId":"NEW-USDT","instType":"SPOT","state":"preopen"}]}"#,
    entry: r#"{"baseCcy":"$BASE","quoteCcy":"$QUOTE","instId":"$market","instType":"SPOT","lotSz":"0.00000001","tickSz":"0.1","state":"live"}"#,
    ..LIST
};

const BYBIT: List = List {
    id: "bybit",
    target: "/v5/market/instruments-info?category=spot",
    answer: r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[$entries]},"retExtInfo":{},"time":$ms}"#,
    entry: r#"{"symbol":"$market","baseCoin":"$BASE","quoteCoin":"$QUOTE","innovation":"0","status":"Trading","marginTrading":"both"}"#,
    ..LIST
};

static LISTS: &[List] = &[
    BINANCE,
    List {
        id: "coinbase",
        target: "/products",
        answer: r#"[{"id":"OLD-USD","base_currency":"OLD","quote_currency":"USD","status":"delisted","trading_disabled":true},$entries]"#,
        entry: r#"{"id":"$market","base_currency":"$BASE","quote_currency":"$QUOTE","quote_increment":"0.01","base_increment":"0.00000001","display_name":"$market","status":"online","trading_disabled":false}"#,
        ..LIST
    },
    List {
        id: "kraken",
        target: "/0/public/AssetPairs",
        answer: r#"{"error":[],"result":{$entries,"OLDUSD":{"altname":"OLDUSD","wsname":"OLD/USD","status":"cancel_only"}}}"#,
        entry: r#""$key":{"altname":"$market","wsname":"$name","aclass_base":"currency","lot":"unit","pair_decimals":1,"ordermin":"0.00005","status":"online"}"#,
        name: kraken_name,
        ..LIST
    },
    OKX,
    BYBIT,
    List {
        id: "kucoin",
        target: "/api/v2/symbols",
        answer: r#"{"code":"200000","data":[{"symbol":"OLD-USDT","name":"OLD-USDT","enableTrading":false},$entries]}"#,
        entry: r#"{"symbol":"$market","name":"$market","baseCurrency":"$BASE","quoteCurrency":"$QUOTE","feeCurrency":"$QUOTE","market":"USDS","enableTrading":true}"#,
        ..LIST
    },
    List {
        id: "gate",
        target: "/api/v4/spot/currency_pairs",
        answer: r#"[{"id":"OLD_USDT","base":"OLD","quote":"USDT","trade_status":"untradable"},$entries]"#,
        entry: r#"{"id":"$market","base":"$BASE","quote":"$QUOTE","fee":"0.2","precision":1,"trade_status":"tradable"}"#,
        ..LIST
    },
    List {
        id: "bitstamp",
        target: "/api/v2/trading-pairs-info/",
        answer: r#"[$entries,{"name":"OLD/EUR","url_symbol":"oldeur","trading":"Disabled"}]"#,
        entry: r#"{"name":"$BASE/$QUOTE","url_symbol":"$market","base_decimals":8,"minimum_order":"10 USD","trading":"Enabled","description":"$BASE / $QUOTE"}"#,
        ..LIST
    },
    List {
        id: "bitfinex",
        target: "/v2/conf/pub:list:pair:exchange",
        answer: "[[$entries]]",
        entry: r#""$name""#,
        name: bitfinex_name,
        ..LIST
    },
    List {
        id: "gemini",
        target: "/v1/symbols",
        answer: r#"["btcgusdperp",$entries]"#,
        entry: r#""$market""#,
        ..LIST
    },
    List {
        id: "htx",
        target: "/v1/common/symbols",
        answer: r#"{"status":"ok","data":[$entries,{"base-currency":"old","quote-currency":"usdt","symbol":"oldusdt","state":"offline"}]}"#,
        entry: r#"{"base-currency":"$base","quote-currency":"$quote","price-precision":2,"symbol-partition":"main","symbol":"$market","state":"online","api-trading":"enabled"}"#,
        ..LIST
    },
    List {
        id: "mexc",
        target: "/api/v3/exchangeInfo",
        answer: r#"{"timezone":"CST","serverTime":$ms,"rateLimits":[],"symbols":[$entries,{"symbol":"OLDUSDT","status":"2","baseAsset":"OLD","quoteAsset":"USDT"}]}"#,
        entry: r#"{"symbol":"$market","status":"1","baseAsset":"$BASE","quoteAsset":"$QUOTE","isSpotTradingAllowed":false,"permissions":["SPOT"]}"#,
        ..LIST
    },
    List {
        id: "bitget",
        target: "/api/v2/spot/public/symbols",
        answer: r#"{"code":"00000","msg":"success","requestTime":$ms,"data":[$entries,{"symbol":"OLDUSDT","baseCoin":"OLD","quoteCoin":"USDT","status":"offline"}]}"#,
        entry: r#"{"symbol":"$market","baseCoin":"$BASE","quoteCoin":"$QUOTE","minTradeAmount":"0","pricePrecision":"2","status":"online"}"#,
        ..LIST
    },
    List {
        id: "cryptocom",
        target: "/exchange/v1/public/get-instruments",
        answer: r#"{"id":-1,"method":"public/get-instruments","code":0,"result":{"data":[{"symbol":"BTCUSD-PERP","inst_type":"PERPETUAL_SWAP","base_ccy":"BTC","quote_ccy":"USD","tradable":true},$entries]}}"#,
        entry: r#"{"symbol":"$market","inst_type":"CCY_PAIR","display_name":"$BASE/$QUOTE","base_ccy":"$BASE","quote_ccy":"$QUOTE","tradable":true}"#,
        ..LIST
    },
    List {
        id: "upbit",
        target: "/v1/market/all",
        answer: "[$entries]",
        entry: r#"{"market":"$market","korean_name":"코인","english_name":"$BASE"}"#,
        ..LIST
    },
    List {
        id: "bithumb",
        target: "/v1/market/all",
        answer: "[$entries]",
        entry: r#"{"market":"$market","korean_name":"코인","english_name":"$BASE"}"#,
        ..LIST
    },
    List {
        id: "deribit",
        target: "/api/v2/public/get_instruments?currency=any&kind=spot",
        answer: r#"{"jsonrpc":"2.0","result":[$entries,{"instrument_name":"OLD_USDC","kind":"spot","base_currency":"OLD","quote_currency":"USDC","is_active":false}],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        entry: r#"{"instrument_name":"$market","kind":"spot","base_currency":"$BASE","quote_currency":"$QUOTE","counter_currency":"$QUOTE","state":"open","is_active":true}"#,
        ..LIST
    },
    List {
        id: "whitebit",
        target: "/api/v4/public/markets",
        answer: r#"[$entries,{"name":"BTC_PERP","stock":"BTC","money":"USDT","tradesEnabled":true,"type":"futures"}]"#,
        entry: r#"{"name":"$market","stock":"$BASE","money":"$QUOTE","stockPrec":"6","moneyPrec":"2","tradesEnabled":true,"isCollateral":true,"type":"spot"}"#,
        ..LIST
    },
    List {
        id: "poloniex",
        target: "/markets",
        answer: r#"[$entries,{"symbol":"OLD_USDT","baseCurrencyName":"OLD","quoteCurrencyName":"USDT","state":"PAUSE"}]"#,
        entry: r#"{"symbol":"$market","baseCurrencyName":"$BASE","quoteCurrencyName":"$QUOTE","displayName":"$BASE/$QUOTE","state":"NORMAL","visibleStartTime":1659018819512}"#,
        ..LIST
    },
    List {
        id: "bitvavo",
        target: "/v2/markets",
        answer: r#"[$entries,{"market":"OLD-EUR","status":"halted","base":"OLD","quote":"EUR"}]"#,
        entry: r#"{"market":"$market","status":"trading","base":"$BASE","quote":"$QUOTE","pricePrecision":5,"orderTypes":["market","limit"]}"#,
        ..LIST
    },
    List {
        id: "binanceus",
        ..BINANCE
    },
    List {
        id: "coinbaseadvanced",
        target: "/api/v3/brokerage/market/products?product_type=SPOT",
        answer: r#"{"products":[$entries,{"product_id":"NEW-USD","status":"online","trading_disabled":true,"quote_currency_id":"USD","base_currency_id":"NEW"}],"num_products":2}"#,
        entry: r#"{"product_id":"$market","price":"1","base_name":"$BASE","quote_name":"$QUOTE","is_disabled":false,"status":"online","cancel_only":false,"trading_disabled":false,"product_type":"SPOT","quote_currency_id":"$QUOTE","base_currency_id":"$BASE","view_only":false}"#,
        ..LIST
    },
    List {
        id: "bybiteu",
        ..BYBIT
    },
    List { id: "okxus", ..OKX },
    List {
        id: "okxeea",
        ..OKX
    },
    List {
        id: "bingx",
        target: "/openApi/spot/v1/common/symbols",
        answer: r#"{"code":0,"msg":"","debugMsg":"","data":{"symbols":[$entries,{"symbol":"OLD-USDT","status":0,"apiStateSell":false,"apiStateBuy":false}]}}"#,
        entry: r#"{"symbol":"$market","minQty":0.0001,"maxQty":50,"status":1,"tickSize":0.01,"stepSize":0.000001,"apiStateSell":true,"apiStateBuy":true,"timeOnline":0}"#,
        ..LIST
    },
    List {
        id: "xt",
        target: "/v4/public/symbol",
        answer: r#"{"rc":0,"mc":"SUCCESS","ma":[],"result":{"time":$ms,"version":"2c3a5b","symbols":[$entries,{"id":9,"symbol":"old_usdt","state":"OFFLINE","tradingEnabled":false,"baseCurrency":"old","quoteCurrency":"usdt"}]}}"#,
        entry: r#"{"id":614,"symbol":"$market","state":"ONLINE","tradingEnabled":true,"openapiEnabled":true,"baseCurrency":"$base","quoteCurrency":"$quote","pricePrecision":2}"#,
        ..LIST
    },
    List {
        id: "toobit",
        target: "/api/v1/exchangeInfo",
        answer: r#"{"timezone":"UTC","serverTime":"$ms","brokerFilters":[],"symbols":[$entries],"contracts":[{"symbol":"BTC-SWAP-USDT","status":"TRADING"}],"coins":[]}"#,
        entry: r#"{"filters":[],"exchangeId":"301","symbol":"$market","symbolName":"$market","status":"TRADING","baseAsset":"$BASE","quoteAsset":"$QUOTE"}"#,
        ..LIST
    },
    List {
        id: "lbank",
        target: "/v2/currencyPairs.do",
        answer: r#"{"result":"true","data":[$entries],"error_code":0,"ts":$ms}"#,
        entry: r#""$market""#,
        ..LIST
    },
    List {
        id: "weex",
        target: "/api/v3/exchangeInfo",
        answer: r#"{"timezone":"UTC","serverTime":$ms,"symbols":[$entries]}"#,
        entry: r#"{"symbol":"$market","status":"TRADING","baseAsset":"$BASE","baseAssetPrecision":"8","quoteAsset":"$QUOTE","tickSize":"0.1","stepSize":"0.00001"}"#,
        ..LIST
    },
    List {
        id: "hitbtc",
        target: "/api/3/public/symbol",
        answer: r#"{$entries,"BTCUSDT_PERP":{"type":"futures","contract_type":"perpetual","underlying":"BTC","base_currency":null,"quote_currency":"USDT","status":"working"}}"#,
        entry: r#""$market":{"type":"spot","base_currency":"$BASE","quote_currency":"$QUOTE","status":"working","tick_size":"0.000001","fee_currency":"$QUOTE"}"#,
        ..LIST
    },
    List {
        id: "btcturk",
        target: "/api/v2/server/exchangeinfo",
        answer: r#"{"data":{"timeZone":"UTC","serverTime":$ms,"symbols":[$entries],"currencies":[]},"success":true,"message":null,"code":0}"#,
        entry: r#"{"id":1,"name":"$market","nameNormalized":"$BASE_$QUOTE","status":"TRADING","numerator":"$BASE","denominator":"$QUOTE","filters":[]}"#,
        ..LIST
    },
    List {
        id: "bitso",
        target: "/api/v3/available_books",
        answer: r#"{"success":true,"payload":[$entries]}"#,
        entry: r#"{"book":"$market","minimum_amount":"0.0000003","maximum_amount":"3000","tick_size":"10"}"#,
        ..LIST
    },
    List {
        id: "mercado",
        target: "/api/v4/symbols",
        answer: r#"{"symbol":[$entries],"exchange-traded":[true],"type":["CRYPTO"]}"#,
        entry: r#""$market""#,
        ..LIST
    },
    List {
        id: "luno",
        target: "/api/exchange/1/markets",
        answer: r#"{"markets":[$entries,{"market_id":"OLDZAR","trading_status":"DISABLED","base_currency":"OLD","counter_currency":"ZAR"}]}"#,
        entry: r#"{"market_id":"$market","trading_status":"ACTIVE","base_currency":"$name","counter_currency":"$QUOTE","volume_scale":6}"#,
        name: |base, _| luno(base, ""),
        ..LIST
    },
    List {
        id: "valr",
        target: "/v1/public/pairs",
        answer: r#"[{"symbol":"BTCUSDTPERP","baseCurrency":"BTC","quoteCurrency":"USDT","active":true,"currencyPairType":"FUTURE"},$entries]"#,
        entry: r#"{"symbol":"$market","baseCurrency":"$BASE","quoteCurrency":"$QUOTE","shortName":"$BASE/$QUOTE","active":true,"currencyPairType":"SPOT"}"#,
        ..LIST
    },
    List {
        id: "bitbank",
        target: "/v1/spot/pairs",
        answer: r#"{"success":1,"data":{"pairs":[$entries,{"name":"old_jpy","base_asset":"old","quote_asset":"jpy","is_enabled":false}]}}"#,
        entry: r#"{"name":"$market","base_asset":"$base","quote_asset":"$quote","price_digits":0,"is_enabled":true,"stop_order":false}"#,
        elsewhere: Some("api.bitbank.cc"),
        ..LIST
    },
    List {
        id: "bitflyer",
        target: "/v1/getmarkets",
        answer: r#"[$entries,{"product_code":"FX_BTC_JPY","market_type":"FX"}]"#,
        entry: r#"{"product_code":"$market","market_type":"Spot"}"#,
        ..LIST
    },
    List {
        id: "coincheck",
        target: "/api/exchange_status",
        answer: r#"{"exchange_status":[$entries]}"#,
        entry: r#"{"pair":"$market","status":"available","timestamp":$s,"availability":{"order":true,"market_order":true,"cancel":true}}"#,
        ..LIST
    },
    List {
        id: "gmocoin",
        target: "/public/v1/symbols",
        answer: r#"{"status":0,"data":[$entries,{"symbol":"BTC_JPY","minOrderSize":"0.01"}],"responsetime":"$iso"}"#,
        entry: r#"{"symbol":"$market","minOrderSize":"0.0001","sizeStep":"0.0001","tickSize":"1"}"#,
        ..LIST
    },
    List {
        id: "korbit",
        target: "/v2/currencyPairs",
        answer: r#"{"success":true,"data":[$entries,{"symbol":"old_krw","status":"stopped"}]}"#,
        entry: r#"{"symbol":"$market","status":"launched"}"#,
        ..LIST
    },
    List {
        id: "coinone",
        target: "/public/v2/markets/KRW",
        answer: r#"{"result":"success","error_code":"0","server_time":$ms,"markets":[$entries,{"quote_currency":"KRW","target_currency":"OLD","maintenance_status":0,"trade_status":0}]}"#,
        entry: r#"{"quote_currency":"$QUOTE","target_currency":"$BASE","qty_unit":"0.0001","maintenance_status":0,"trade_status":1}"#,
        ..LIST
    },
    List {
        id: "indodax",
        target: "/api/pairs",
        answer: "[$entries]",
        entry: r#"{"id":"$market","symbol":"$BASE$QUOTE","base_currency":"$quote","traded_currency":"$base","traded_currency_unit":"$BASE","description":"$BASE/$QUOTE","ticker_id":"$key","is_maintenance":0,"is_market_suspended":0}"#,
        ..LIST
    },
    List {
        id: "bitkub",
        target: "/api/v3/market/symbols",
        answer: r#"{"error":0,"result":[$entries,{"base_asset":"OLD","quote_asset":"THB","status":"inactive","symbol":"OLD_THB"}]}"#,
        entry: r#"{"base_asset":"$BASE","quote_asset":"$QUOTE","market_segment":"SPOT","status":"active","symbol":"$market","source":"exchange"}"#,
        ..LIST
    },
    List {
        id: "btcmarkets",
        target: "/v3/markets",
        answer: r#"[$entries,{"marketId":"OLD-AUD","baseAssetName":"OLD","quoteAssetName":"AUD","status":"Offline"}]"#,
        entry: r#"{"marketId":"$market","baseAssetName":"$BASE","quoteAssetName":"$QUOTE","minOrderAmount":"0.0001","status":"Online"}"#,
        ..LIST
    },
    List {
        id: "bitopro",
        target: "/v3/provisioning/trading-pairs",
        answer: r#"{"data":[$entries,{"pair":"old_twd","base":"old","quote":"twd","maintain":true}]}"#,
        entry: r#"{"pair":"$market","base":"$base","quote":"$quote","basePrecision":"8","maintain":false}"#,
        ..LIST
    },
    List {
        id: "coinsph",
        target: "/openapi/v1/exchangeInfo",
        answer: r#"{"timezone":"UTC","serverTime":$ms,"exchangeFilters":[],"symbols":[$entries]}"#,
        entry: r#"{"symbol":"$market","status":"trading","baseAsset":"$BASE","quoteAsset":"$QUOTE","filters":[]}"#,
        ..LIST
    },
    List {
        id: "coindcx",
        target: "/exchange/v1/markets_details",
        answer: r#"[$entries,{"coindcx_name":"OLDINR","base_currency_short_name":"INR","target_currency_short_name":"OLD","status":"inactive"}]"#,
        entry: r#"{"coindcx_name":"$market","base_currency_short_name":"$QUOTE","target_currency_short_name":"$BASE","symbol":"$market","ecode":"I","pair":"I-$name","status":"active"}"#,
        name: underscored,
        ..LIST
    },
    List {
        id: "bittrade",
        target: "/v1/common/symbols",
        answer: r#"{"status":"ok","data":[$entries,{"base-currency":"old","quote-currency":"jpy","symbol":"oldjpy","state":"offline"}]}"#,
        entry: r#"{"base-currency":"$base","quote-currency":"$quote","symbol-partition":"main","symbol":"$market","state":"online"}"#,
        ..LIST
    },
    List {
        id: "zaif",
        target: "/api/1/currency_pairs/all",
        answer: "[$entries]",
        entry: r#"{"id":1,"name":"$BASE/$QUOTE","currency_pair":"$market","is_token":false,"item_unit_min":0.0001}"#,
        ..LIST
    },
    List {
        id: "backpack",
        target: "/api/v1/markets",
        answer: r#"[$entries,{"symbol":"BTC_USDC_PERP","baseSymbol":"BTC","quoteSymbol":"USDC","marketType":"PERP","orderBookState":"Open"}]"#,
        entry: r#"{"symbol":"$market","baseSymbol":"$BASE","quoteSymbol":"$QUOTE","marketType":"SPOT","orderBookState":"Open","visible":true}"#,
        ..LIST
    },
    List {
        id: "paradex",
        target: "/v1/markets",
        answer: r#"{"results":[$entries,{"symbol":"BTC-USD-97000-C","base_currency":"BTC","quote_currency":"USD","asset_kind":"PERP_OPTION"}]}"#,
        entry: r#"{"symbol":"$market","base_currency":"$BASE","quote_currency":"$QUOTE","settlement_currency":"USDC","asset_kind":"PERP"}"#,
        ..LIST
    },
    List {
        id: "dydx",
        target: "/v4/perpetualMarkets",
        answer: r#"{"markets":{$entries,"OLD-USD":{"ticker":"OLD-USD","status":"FINAL_SETTLEMENT"}}}"#,
        entry: r#""$market":{"clobPairId":"0","ticker":"$market","status":"ACTIVE","marketType":"CROSS"}"#,
        ..LIST
    },
    List {
        id: "aster",
        target: "/api/v3/exchangeInfo",
        answer: r#"{"timezone":"UTC","serverTime":$ms,"rateLimits":[],"exchangeFilters":[],"assets":[],"symbols":[$entries]}"#,
        entry: r#"{"status":"TRADING","baseAsset":"$BASE","quoteAsset":"$QUOTE","symbol":"$market","filters":[]}"#,
        ..LIST
    },
    List {
        id: "krakenfutures",
        target: "/derivatives/api/v3/instruments",
        answer: r#"{"result":"success","instruments":[{"symbol":"PI_XBTUSD","type":"futures_inverse","tradeable":true},$entries,{"symbol":"PF_OLDUSD","type":"flexible_futures","tradeable":false}],"serverTime":"$iso"}"#,
        entry: r#"{"symbol":"$market","type":"flexible_futures","base":"$BASE","quote":"$QUOTE","pair":"$BASE:$QUOTE","tradeable":true}"#,
        ..LIST
    },
    List {
        id: "onetrading",
        target: "/fast/v1/instruments",
        answer: r#"[$entries,{"state":"ACTIVE","base":{"code":"BTC","precision":8},"quote":{"code":"EUR","precision":2},"id":"BTC_EUR_P","type":"PERPETUAL_FUTURES"}]"#,
        entry: r#"{"state":"ACTIVE","base":{"code":"$BASE","precision":8},"quote":{"code":"$QUOTE","precision":2},"min_size":"10.0","id":"$market","type":"SPOT"}"#,
        ..LIST
    },
    List {
        id: "coinmate",
        target: "/api/tradingPairs",
        answer: r#"{"error":false,"errorMessage":null,"data":[$entries]}"#,
        entry: r#"{"name":"$market","firstCurrency":"$BASE","secondCurrency":"$QUOTE","priceDecimals":2,"lotDecimals":8,"minAmount":0.0002}"#,
        ..LIST
    },
    List {
        id: "blockchaincom",
        target: "/v3/exchange/symbols",
        answer: r#"{$entries,"OLD-USD":{"base_currency":"OLD","counter_currency":"USD","status":"close","id":2}}"#,
        entry: r#""$market":{"base_currency":"$BASE","base_currency_scale":8,"counter_currency":"$QUOTE","status":"open","id":1}"#,
        ..LIST
    },
    List {
        id: "hashkey",
        target: "/api/v1/exchangeInfo",
        answer: r#"{"timezone":"UTC","serverTime":"$ms","brokerFilters":[],"symbols":[$entries],"options":[],"contracts":[],"coins":[]}"#,
        entry: r#"{"symbol":"$market","symbolName":"$market","status":"TRADING","baseAsset":"$BASE","quoteAsset":"$QUOTE","filters":[]}"#,
        ..LIST
    },
    List {
        id: "bullish",
        target: "/trading-api/v1/markets",
        answer: r#"[$entries,{"marketId":"20000","symbol":"BTC-USDC-PERP","quoteSymbol":"USDC","baseSymbol":"BTC","marketEnabled":true,"marketType":"PERPETUAL"}]"#,
        entry: r#"{"marketId":"10000","symbol":"$market","quoteSymbol":"$QUOTE","baseSymbol":"$BASE","createOrderEnabled":true,"marketEnabled":true,"marketType":"SPOT"}"#,
        ..LIST
    },
    List {
        id: "bigone",
        target: "/api/v3/asset_pairs",
        answer: r#"{"code":0,"data":[$entries]}"#,
        entry: r#"{"id":"550b34db-696e-4434-a126-196f827d9172","quote_scale":2,"quote_asset":{"symbol":"$QUOTE","name":"$QUOTE"},"name":"$market","base_scale":6,"base_asset":{"symbol":"$BASE","name":"$BASE"}}"#,
        ..LIST
    },
    List {
        id: "bitrue",
        target: "/api/v1/exchangeInfo",
        answer: r#"{"timezone":"CTT","serverTime":$ms,"rateLimits":[],"exchangeFilters":[],"symbols":[$entries],"coins":[]}"#,
        entry: r#"{"symbol":"$market","status":"TRADING","baseAsset":"$base","quoteAsset":"$quote","filters":[]}"#,
        ..LIST
    },
    List {
        id: "phemex",
        target: "/public/products",
        answer: r#"{"code":0,"msg":"","data":{"currencies":[],"products":[{"symbol":"BTCUSD","type":"Perpetual","baseCurrency":"BTC","quoteCurrency":"USD","status":"Listed"},$entries]}}"#,
        entry: r#"{"symbol":"$market","type":"Spot","displaySymbol":"$BASE / $QUOTE","quoteCurrency":"$QUOTE","priceScale":8,"baseCurrency":"$BASE","status":"Listed"}"#,
        ..LIST
    },
    List {
        id: "digifinex",
        target: "/v3/spot/symbols",
        answer: r#"{"symbol_list":[$entries,{"quote_asset":"USDT","status":"HALT","symbol":"OLD_USDT","base_asset":"OLD"}],"code":0}"#,
        entry: r#"{"quote_asset":"$QUOTE","minimum_value":0.0001,"status":"TRADING","symbol":"$name","zone":"MAIN","base_asset":"$BASE"}"#,
        name: underscored,
        ..LIST
    },
];

/// With a slash, though requests have none.
fn kraken_name(base: &str, quote: &str) -> String {
    slashed(&kraken(base, ""), &kraken("", quote))
}

/// Without the letter that marks markets in requests.
fn bitfinex_name(base: &str, quote: &str) -> String {
    bitfinex(base, quote)[1..].to_owned()
}

/// The properties that most lists share.
const LIST: List = List {
    id: "",
    elsewhere: None,
    target: "",
    answer: "",
    entry: "",
    name: slashed,
};
