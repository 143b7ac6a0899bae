//! The WebSocket protocol of each exchange, from their documentation and from recordings.
//!
//! Like the answers, these were written without looking at the catalogue of the server. The
//! placeholders in received messages are those of [`matches`](super::template::matches); sent
//! messages have those of answers, and `$id` as received, `$MARKET` in capitals, and `$channel`,
//! the number of a subscription.

use std::time::Duration;

use super::notation::{dashed, joined, lower, quote_first, slashed, underscored};

/// An exchange that has a stream.
pub(crate) struct Stream {
    pub(crate) id: &'static str,
    pub(crate) authority: &'static str,
    pub(crate) path: &'static str,
    pub(crate) spell: fn(&str, &str) -> String,
    /// The exchange's first message.
    pub(crate) greeting: &'static str,
    pub(crate) subscribe: &'static str,
    /// How many markets a subscribe message may name.
    pub(crate) most: usize,
    /// The confirmation: for each market, or for all at once.
    pub(crate) ack: &'static str,
    pub(crate) ack_each: bool,
    /// The answers for an unknown market, and for an invalid request.
    pub(crate) unknown: &'static str,
    pub(crate) invalid: &'static str,
    pub(crate) tick: &'static str,
    /// The ping that a client may send as text, and the answer to it.
    pub(crate) ping: Option<(&'static str, &'static str)>,
    pub(crate) rule: Rule,
    /// The exchange's own heartbeat, and its interval.
    pub(crate) heartbeat: Option<(&'static str, Duration)>,
    /// The message that asks clients to reconnect.
    pub(crate) leave: &'static str,
    /// Whether a new subscription replaces the old one.
    pub(crate) replaces: bool,
    /// Whether messages are binary frames.
    pub(crate) is_binary: bool,
    /// Whether each message is compressed separately.
    pub(crate) is_packed: bool,
    /// A client that sends within this time after connecting is told to slow down.
    pub(crate) settle: Duration,
    /// A client that has not subscribed within this time is dropped.
    pub(crate) subscribe_within: Option<Duration>,
}

/// A client's duty in order to stay connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No duty.
    Free,
    /// To send the ping at this interval. Ping frames do not count.
    Ping(Duration),
    /// To send any message at this interval, or a ping frame.
    Sign(Duration),
    /// To answer ping frames, sent at this interval, within the second time.
    Pong(Duration, Duration),
    /// To answer the text (the fourth is the answer), sent at this interval, within the second
    /// time.
    Reply(Duration, Duration, &'static str, &'static str),
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The properties that most exchanges share.
const PLAIN: Stream = Stream {
    id: "",
    authority: "",
    path: "",
    spell: joined,
    greeting: "",
    subscribe: "",
    most: 100,
    ack: "",
    ack_each: false,
    unknown: "",
    invalid: "",
    tick: "",
    ping: None,
    rule: Rule::Free,
    heartbeat: None,
    leave: "",
    replaces: false,
    is_binary: false,
    is_packed: false,
    settle: Duration::ZERO,
    subscribe_within: None,
};

/// The notation of the exchange's answers to requests.
fn spelled_by(id: &str, base: &str, quote: &str) -> String {
    let mut exchanges = super::rest_formats::EXCHANGES.iter();
    let exchange = exchanges.find(|exchange| exchange.id == id);
    (exchange.expect("it is there").spell)(base, quote)
}

/// The address that KuCoin's token is for. The handshake checks the token.
pub(crate) const KUCOIN: &str = "ws-api-spot.kucoin.com";

/// All exchanges of the catalogue that have a stream.
pub(crate) static STREAMS: &[Stream] = &[
    Stream {
        id: "binance",
        authority: "stream.binance.com:9443",
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
    },
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
        subscribe: r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["$market"]},"req_id":"$id"}"#,
        ack: r#"{"method":"subscribe","req_id":$id,"result":{"channel":"ticker","event_trigger":"trades","snapshot":true,"symbol":"$market"},"success":true,"time_in":"$iso","time_out":"$iso"}"#,
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
    Stream {
        id: "okx",
        authority: "ws.okx.com:8443",
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
    },
    Stream {
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
    },
    Stream {
        id: "kucoin",
        authority: KUCOIN,
        path: "/",
        spell: dashed,
        greeting: r#"{"id":"hQvf8jkno","type":"welcome"}"#,
        subscribe: r#"{"id":"$id","type":"subscribe","topic":"/market/ticker:$market","response":true}"#,
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
        spell: |base, quote| spelled_by("bitfinex", base, quote),
        greeting: r#"{"event":"info","version":2,"serverId":"95d67bb4","platform":{"status":1}}"#,
        subscribe: r#"{"event":"subscribe","channel":"ticker","symbol":"$market"}"#,
        ack: r#"{"event":"subscribed","channel":"ticker","chanId":$channel,"symbol":"$market","pair":"$BASE$QUOTE"}"#,
        unknown: r#"{"channel":"ticker","symbol":"$market","event":"error","msg":"symbol: invalid","code":10300}"#,
        invalid: r#"{"event":"error","msg":"unknown event","code":10000}"#,
        tick: "[$channel,[$bid,31.89055171,$ask,43.358118629999986,-550.8,-0.0674,$last,8314.71200815,8257.8,7500]]",
        ping: Some((
            r#"{"event":"ping","cid":"$id"}"#,
            r#"{"event":"pong","ts":$ms,"cid":$id}"#,
        )),
        heartbeat: Some((r#"[$channel,"hb"]"#, seconds(15))),
        leave: r#"{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}"#,
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
        is_binary: true,
        is_packed: true,
        ..PLAIN
    },
    Stream {
        id: "upbit",
        authority: "api.upbit.com",
        path: "/websocket/v1",
        spell: quote_first,
        subscribe: r#"[{"ticket":"$any"},{"type":"ticker","codes":["$market"]}]"#,
        // It sends no confirmation and ignores unknown markets.
        invalid: r#"{"error":{"name":"WRONG_FORMAT","message":"Format is wrong."}}"#,
        tick: UPBIT,
        ping: Some(("PING", r#"{"status":"UP"}"#)),
        rule: Rule::Sign(seconds(120)),
        replaces: true,
        is_binary: true,
        ..PLAIN
    },
    Stream {
        id: "bithumb",
        authority: "ws-api.bithumb.com",
        path: "/websocket/v1",
        spell: quote_first,
        subscribe: r#"[{"ticket":"$any"},{"type":"ticker","codes":["$market"]}]"#,
        invalid: r#"{"error":{"name":"WRONG_FORMAT","message":"Format is wrong."}}"#,
        tick: UPBIT,
        rule: Rule::Sign(seconds(120)),
        replaces: true,
        is_binary: true,
        ..PLAIN
    },
    Stream {
        id: "bitmex",
        authority: "ws.bitmex.com",
        path: "/realtime",
        spell: |base, quote| spelled_by("bitmex", base, quote),
        greeting: r#"{"info":"Welcome to the BitMEX Realtime API.","version":"2.0.0","timestamp":"$iso","docs":"https://www.bitmex.com/app/wsAPI","limit":{"remaining":39}}"#,
        subscribe: r#"{"op":"subscribe","args":["trade:$market"]}"#,
        ack: r#"{"success":true,"subscribe":"trade:$market","request":{"op":"subscribe","args":["trade:$market"]}}"#,
        ack_each: true,
        unknown: r#"{"status":400,"error":"Unknown or expired symbol: $market","meta":{},"request":{"op":"subscribe","args":["trade:$market"]}}"#,
        invalid: r#"{"status":400,"error":"Unrecognized request.","meta":{}}"#,
        tick: r#"{"table":"trade","action":"insert","data":[{"timestamp":"$iso","symbol":"$market","side":"Sell","size":4800,"price":$last,"tickDirection":"ZeroMinusTick","trdMatchID":"0c2a","grossValue":1,"homeNotional":1,"foreignNotional":1,"trdType":"Regular"}]}"#,
        ping: Some(("ping", "pong")),
        ..PLAIN
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
        tick: r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.$market.100ms","data":{"timestamp":$ms,"state":"open","stats":{"volume":1,"low":1,"high":2},"last_price":$last,"instrument_name":"$market","index_price":1,"best_bid_price":$bid,"best_bid_amount":0.1,"best_ask_price":$ask,"best_ask_amount":0.2}}}"#,
        ping: Some((
            r#"{"jsonrpc":"2.0","id":"$id","method":"public/test"}"#,
            r#"{"jsonrpc":"2.0","id":$id,"result":{"version":"1.2.26"},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
        )),
        ..PLAIN
    },
    Stream {
        id: "whitebit",
        authority: "api.whitebit.com",
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

const UPBIT: &str = r#"{"type":"ticker","code":"$market","opening_price":148737000.0,"high_price":149360000.0,"low_price":148288000.0,"trade_price":$last,"prev_closing_price":148737000.0,"change":"FALL","trade_timestamp":$ms,"timestamp":$ms,"stream_type":"REALTIME"}"#;
