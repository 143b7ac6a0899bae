//! Exchanges whose main markets are perpetuals.

use super::super::notation::{dashed, lower, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, seconds};

const BACKPACK: &str = r#"{"symbol":"$market","firstPrice":"96000","lastPrice":"$last","priceChange":"1000.1","priceChangePercent":"0.0104","high":"98000","low":"95500","volume":"965.8","quoteVolume":"93584322.7","trades":"24500"}"#;
const PARADEX: &str = r#"{"symbol":"$market","oracle_price":"97001.1","mark_price":"97001.2","last_traded_price":"$last","bid":"$bid","ask":"$ask","volume_24h":"58155410.3","total_volume":"584031465000","created_at":$ms,"underlying_price":"97010.1","open_interest":"162.2","funding_rate":"0.0001","price_change_rate_24h":"0.009"}"#;
const ASTER: &str = r#"{"symbol":"$market","priceChange":"-10.00","priceChangePercent":"-0.01","lastPrice":"$last","bidPrice":"$bid","bidQty":"0.5","askPrice":"$ask","askQty":"0.4","openPrice":"97010.00","highPrice":"98000.00","lowPrice":"96000.00","volume":"1234.5","quoteVolume":"119000000.1","openTime":1795900000000,"closeTime":$ms}"#;
const LIGHTER: &str = r#"{"symbol":"$market","market_id":1,"status":"active","price_decimals":1,"last_trade_price":$last,"daily_trades_count":100,"daily_base_token_volume":965.1,"daily_quote_token_volume":93600000.1,"daily_price_low":95500,"daily_price_high":98000}"#;
const KRAKENFUTURES: &str = r#"{"tag":"perpetual","pair":"$BASE:$QUOTE","symbol":"$market","markPrice":97001.2,"bid":$bid,"bidSize":0.5,"ask":$ask,"askSize":0.4,"vol24h":3023.1,"volumeQuote":293000000.1,"openInterest":1580.1,"open24h":96000,"last":$last,"lastTime":"$iso","lastSize":0.01,"suspended":false}"#;

fn perpetual(base: &str, quote: &str) -> String {
    format!("{base}-{quote}-PERP")
}

/// Kraken's code of bitcoin is an old one.
fn krakenfutures(base: &str, quote: &str) -> String {
    let base = match base {
        "BTC" => "XBT",
        _ => base,
    };
    format!("PF_{base}{quote}")
}

/// The answers of these exchanges.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "backpack",
        authority: "api.backpack.exchange",
        spell: underscored,
        asks: &[
            ask("/api/v1/ticker?symbol=$market", "$entries", BACKPACK),
            ask("/api/v1/tickers", "[$entries]", BACKPACK),
        ],
        unknown: (
            400,
            r#"{"code":"INVALID_MARKET","message":"Invalid market"}"#,
        ),
        limited: (
            429,
            r#"{"code":"TOO_MANY_REQUESTS","message":"Too many requests"}"#,
        ),
        ..REST
    },
    Rest {
        id: "paradex",
        authority: "api.prod.paradex.trade",
        spell: perpetual,
        asks: &[
            ask(
                "/v1/markets/summary?market=ALL",
                r#"{"results":[{"symbol":"BTC-USD-97000-C","last_traded_price":"","bid":"","ask":"","volume_24h":"0","created_at":1795986400000},$entries]}"#,
                PARADEX,
            ),
            ask(
                "/v1/markets/summary?market=$market",
                r#"{"results":[$entries]}"#,
                PARADEX,
            ),
        ],
        unknown: (
            400,
            r#"{"error":"VALIDATION_ERROR","message":"market is invalid"}"#,
        ),
        home: Some("USD"),
        ..REST
    },
    Rest {
        id: "dydx",
        authority: "indexer.dydx.trade",
        spell: dashed,
        asks: &[ask(
            "/v4/trades/perpetualMarket/$market?limit=1",
            r#"{"trades":[$entries]}"#,
            r#"{"id":"0000000100000002","side":"BUY","size":"0.01","price":"$last","type":"LIMIT","createdAt":"$iso","createdAtHeight":"100"}"#,
        )],
        unknown: (
            400,
            r#"{"errors":[{"msg":"ticker must be a valid ticker (BTC-USD, etc)","param":"ticker","location":"params"}]}"#,
        ),
        home: Some("USD"),
        ..REST
    },
    Rest {
        id: "aster",
        authority: "sapi.asterdex.com",
        asks: &[
            ask("/api/v3/ticker/24hr?symbol=$market", "$entries", ASTER),
            ask("/api/v3/ticker/24hr", "[$entries]", ASTER),
        ],
        unknown: (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
        limited: (418, r#"{"code":-1003,"msg":"Too many requests."}"#),
        ..REST
    },
    Rest {
        id: "lighter",
        authority: "mainnet.zklighter.elliot.ai",
        spell: |base, _| base.to_owned(),
        asks: &[ask(
            "/api/v1/orderBookDetails",
            r#"{"code":200,"order_book_details":[$entries],"spot_order_book_details":[{"symbol":"ETH/USDC","last_trade_price":2769.5}]}"#,
            LIGHTER,
        )],
        unknown: (
            200,
            r#"{"code":200,"order_book_details":[],"spot_order_book_details":[]}"#,
        ),
        home: Some("USDC"),
        ..REST
    },
    Rest {
        id: "krakenfutures",
        authority: "futures.kraken.com",
        spell: krakenfutures,
        asks: &[
            ask(
                "/derivatives/api/v3/tickers/$market",
                r#"{"result":"success","serverTime":"2026-11-30T07:00:01.227Z","ticker":$entries}"#,
                KRAKENFUTURES,
            ),
            ask(
                "/derivatives/api/v3/tickers",
                r#"{"result":"success","serverTime":"2026-11-30T07:00:01.227Z","tickers":[{"symbol":"in_xbtusd","last":97002,"lastTime":"2026-11-30T07:00:00.000Z"},$entries]}"#,
                KRAKENFUTURES,
            ),
        ],
        unknown: (
            404,
            r#"{"result":"error","error":"notFound","serverTime":"2026-11-30T07:00:01.227Z"}"#,
        ),
        limited: (
            429,
            r#"{"result":"error","error":"apiLimitExceeded","serverTime":"2026-11-30T07:00:01.227Z"}"#,
        ),
        home: Some("USD"),
        ..REST
    },
];

/// The streams of these exchanges.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "backpack",
        authority: "ws.backpack.exchange",
        spell: underscored,
        subscribe: r#"{"method":"SUBSCRIBE","params":["ticker.$market"]}"#,
        // It confirms nothing and ignores unknown markets.
        invalid: r#"{"id":null,"error":{"code":4002,"message":"Parse error"}}"#,
        tick: r#"{"stream":"ticker.$market","data":{"E":$us,"V":"19419526.742584","c":"$last","e":"ticker","h":"3536.65","l":"3371.8","n":17152,"o":"3475.45","s":"$market","v":"5573.5827"}}"#,
        rule: Rule::Pong(seconds(60), seconds(120)),
        ..PLAIN
    },
    Stream {
        id: "paradex",
        authority: "ws.api.prod.paradex.trade",
        path: "/v1",
        spell: perpetual,
        subscribe: r#"{"jsonrpc":"2.0","id":"$id","method":"subscribe","params":{"channel":"markets_summary.$market"}}"#,
        ack: r#"{"jsonrpc":"2.0","result":{"channel":"markets_summary.$market"},"usIn":1,"usDiff":2,"id":$id}"#,
        unknown: r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"invalid params: market $market"},"usIn":1,"usDiff":2,"id":$id}"#,
        invalid: r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"invalid request"},"usIn":1,"usDiff":2}"#,
        tick: r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"markets_summary.$market","data":{"symbol":"$market","oracle_price":"97001.1","mark_price":"97001.2","last_traded_price":"$last","bid":"$bid","ask":"$ask","volume_24h":"58155410.3","total_volume":"584031465000","created_at":$ms,"underlying_price":"97010.1","open_interest":"162.2","funding_rate":"0.0001","price_change_rate_24h":"0.009"}}}"#,
        rule: Rule::Pong(seconds(55), seconds(5)),
        ..PLAIN
    },
    Stream {
        id: "dydx",
        authority: "indexer.dydx.trade",
        path: "/v4/ws",
        spell: dashed,
        greeting: r#"{"type":"connected","connection_id":"b8c0e5b6","message_id":0}"#,
        subscribe: r#"{"type":"subscribe","channel":"v4_trades","id":"$market","batched":false}"#,
        ack: r#"{"type":"subscribed","connection_id":"b8c0e5b6","message_id":1,"channel":"v4_trades","id":"$market","contents":{"trades":[]}}"#,
        unknown: r#"{"type":"error","message":"Invalid subscription id for channel: (v4_trades-$market)","connection_id":"b8c0e5b6","message_id":1}"#,
        invalid: r#"{"type":"error","message":"Invalid message: could not parse","connection_id":"b8c0e5b6","message_id":1}"#,
        tick: r#"{"type":"channel_data","connection_id":"b8c0e5b6","message_id":2,"id":"$market","channel":"v4_trades","version":"2.1.0","contents":{"trades":[{"id":"0000000100000003","size":"0.01","price":"$last","side":"BUY","createdAt":"$iso","type":"LIMIT"}]}}"#,
        rule: Rule::Pong(seconds(30), seconds(10)),
        ..PLAIN
    },
    Stream {
        id: "aster",
        authority: "sstream.asterdex.com",
        path: "/stream",
        spell: lower,
        subscribe: r#"{"method":"SUBSCRIBE","params":["$market@ticker"],"id":"$id"}"#,
        most: 200,
        ack: r#"{"result":null,"id":$id}"#,
        // It confirms every well-formed request, and sends no prices for unknown markets.
        unknown: r#"{"result":null,"id":$id}"#,
        invalid: r#"{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":null}"#,
        tick: r#"{"stream":"$market@ticker","data":{"e":"24hrTicker","E":$ms,"s":"$MARKET","p":"-10.00","P":"-0.01","w":"97001.1","c":"$last","Q":"0.1","o":"97010.00","h":"98000.00","l":"96000.00","v":"1234.5","q":"119000000.1","O":1795900000000,"C":1795986400000,"F":1,"L":2,"n":2}}"#,
        rule: Rule::Pong(seconds(300), seconds(900)),
        ..PLAIN
    },
    Stream {
        id: "krakenfutures",
        authority: "futures.kraken.com",
        path: "/ws/v1",
        spell: krakenfutures,
        greeting: r#"{"event":"info","version":1}"#,
        subscribe: r#"{"event":"subscribe","feed":"ticker","product_ids":["$market"]}"#,
        ack: r#"{"event":"subscribed","feed":"ticker","product_ids":["$market"]}"#,
        unknown: r#"{"event":"error","message":"Invalid product id"}"#,
        invalid: r#"{"event":"alert","message":"Bad websocket message"}"#,
        tick: r#"{"time":$ms,"product_id":"$market","funding_rate":0.001,"feed":"ticker","bid":$bid,"ask":$ask,"bid_size":0.5,"ask_size":0.4,"volume":3023.1,"dtm":0,"leverage":"50x","index":97001.2,"premium":0.0,"last":$last,"change":1.04,"suspended":false,"tag":"perpetual","pair":"$BASE:$QUOTE","openInterest":1580.1,"markPrice":97001.2,"maturityTime":0,"post_only":false,"volumeQuote":293000000.1}"#,
        rule: Rule::Sign(seconds(60)),
        ..PLAIN
    },
    Stream {
        id: "lighter",
        authority: "mainnet.zklighter.elliot.ai",
        path: "/stream",
        spell: |base, _| base.to_owned(),
        greeting: r#"{"session_id":"4f8b7c1e","type":"connected"}"#,
        subscribe: r#"{"type":"subscribe","channel":"market_stats/all"}"#,
        ack: r#"{"channel":"market_stats:all","market_stats":{},"type":"subscribed/market_stats"}"#,
        invalid: r#"{"error":{"code":30005,"message":"Invalid Channel"}}"#,
        tick: r#"{"channel":"market_stats:all","market_stats":{"1":{"symbol":"$market","market_id":1,"index_price":"3015.56","mark_price":"3013.91","open_interest":"122736286.659423","last_trade_price":"$last","current_funding_rate":"0.0012","funding_rate":"0.0012","funding_timestamp":1763532000004,"daily_base_token_volume":643235.2763,"daily_quote_token_volume":1983505435.673896,"daily_price_low":2977.42,"daily_price_high":3170.81,"daily_price_change":-0.3061987051035322}},"type":"update/market_stats"}"#,
        rule: Rule::Reply(
            seconds(60),
            seconds(60),
            r#"{"type":"ping"}"#,
            r#"{"type":"pong"}"#,
        ),
        ..PLAIN
    },
];
