//! Exchanges with markets in rand.

use super::super::notation::joined;
use super::{PLAIN, REST, Rest, Rule, Stream, ask, seconds};

pub(super) fn luno(base: &str, quote: &str) -> String {
    let name = |code: &str| code.replace("BTC", "XBT");
    joined(&name(base), &name(quote))
}

const LUNO: &str = r#"{"pair":"$market","timestamp":$ms,"bid":"$bid","ask":"$ask","last_trade":"$last","rolling_24_hour_volume":"91.89","status":"ACTIVE"}"#;
const VALR: &str = r#"{"currencyPair":"$market","askPrice":"$ask","bidPrice":"$bid","lastTradedPrice":"$last","previousClosePrice":"1750000","baseVolume":"64.1","quoteVolume":"112816000","highPrice":"1770000","lowPrice":"1745000","created":"$iso","changeFromPrevious":"0.57","markPrice":"1760001"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "luno",
        authority: "api.luno.com",
        spell: luno,
        key: luno,
        asks: &[
            ask("/api/1/ticker?pair=$market", "$entries", LUNO),
            ask("/api/1/tickers", r#"{"tickers":[$entries]}"#, LUNO),
        ],
        unknown: (
            400,
            r#"{"error":"Invalid currency pair.","error_code":"ErrInvalidMarketPair"}"#,
        ),
        limited: (
            429,
            r#"{"error":"Too many requests.","error_code":"ErrTooManyRequests"}"#,
        ),
        ..REST
    },
    Rest {
        id: "valr",
        authority: "api.valr.com",
        asks: &[
            ask("/v1/public/$market/marketsummary", "$entries", VALR),
            ask("/v1/public/marketsummary", "[$entries]", VALR),
        ],
        unknown: (400, r#"{"code":-21,"message":"Unsupported Currency Pair"}"#),
        limited: (429, r#"{"code":-95,"message":"API rate limit exceeded"}"#),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[Stream {
    id: "valr",
    authority: "api.valr.com",
    path: "/ws/trade",
    subscribe: r#"{"type":"SUBSCRIBE","subscriptions":[{"event":"MARKET_SUMMARY_UPDATE","pairs":["$market"]}]}"#,
    ack: r#"{"type":"SUBSCRIBED","message":"MARKET_SUMMARY_UPDATE:$market"}"#,
    ack_each: true,
    unknown: r#"{"type":"ERROR","message":"Channel MARKET_SUMMARY_UPDATE, pair $market combination invalid"}"#,
    invalid: r#"{"type":"ERROR","message":"Invalid message - Invalid JSON"}"#,
    tick: r#"{"type":"MARKET_SUMMARY_UPDATE","currencyPairSymbol":"$market","data":{"currencyPairSymbol":"$market","askPrice":"$ask","bidPrice":"$bid","lastTradedPrice":"$last","previousClosePrice":"1750000","baseVolume":"64.1","quoteVolume":"112816000","highPrice":"1770000","lowPrice":"1745000","created":"$iso","changeFromPrevious":"0.57","markPrice":"1760001"}}"#,
    ping: Some((r#"{"type":"PING"}"#, r#"{"type":"PONG"}"#)),
    rule: Rule::Ping(seconds(60)),
    // A second subscription replaces the first.
    replaces: true,
    ..PLAIN
}];
