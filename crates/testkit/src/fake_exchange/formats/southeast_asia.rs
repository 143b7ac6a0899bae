//! Exchanges with markets in the currencies of Southeast Asia.

use super::super::notation::{lower, lower_underscored, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, seconds};

const BITKUB: &str = r#"{"symbol":"$market","base_volume":"86.4","high_24_hr":"3300000","highest_bid":"$bid","last":"$last","low_24_hr":"3200000","lowest_ask":"$ask","percent_change":"1.2","quote_volume":"280000000"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "indodax",
        authority: "indodax.com",
        spell: lower,
        key: lower_underscored,
        asks: &[
            ask(
                "/api/ticker/$market",
                r#"{"ticker":$entries}"#,
                r#"{"high":"1560000000","low":"1540000000","vol_$base":"39.38","vol_$quote":"61000000000","last":"$last","buy":"$bid","sell":"$ask","server_time":$s}"#,
            ),
            ask(
                "/api/ticker_all",
                r#"{"tickers":{$entries}}"#,
                r#""$key":{"high":"1560000000","low":"1540000000","vol_$base":"39.38","vol_$quote":"61000000000","last":"$last","buy":"$bid","sell":"$ask","server_time":$s}"#,
            ),
        ],
        unknown: (
            200,
            r#"{"error":"invalid_pair","error_description":"Invalid Pair"}"#,
        ),
        ..REST
    },
    Rest {
        id: "bitkub",
        authority: "api.bitkub.com",
        spell: underscored,
        key: underscored,
        asks: &[
            ask("/api/v3/market/ticker?sym=$market", "[$entries]", BITKUB),
            ask("/api/v3/market/ticker", "[$entries]", BITKUB),
        ],
        unknown: (400, r#"{"error":11,"message":"Invalid symbol"}"#),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[Stream {
    id: "bitkub",
    authority: "api.bitkub.com",
    path: "/websocket-api/market.ticker.$items",
    spell: |base, quote| lower_underscored(quote, base),
    // Unknown markets are ignored, and no message is expected.
    tick: r#"{"stream":"market.ticker.$market","id":1,"last":$last,"lowestAsk":$ask,"lowestAskSize":0.00192875,"highestBid":$bid,"highestBidSize":0.02877144,"change":12149.35,"percentChange":0.43,"baseVolume":85.99558595,"quoteVolume":245145589.16,"isFrozen":0,"high24hr":2875813.95,"low24hr":2827000,"open":2846168.94,"close":2858318.29}"#,
    rule: Rule::Pong(seconds(5), seconds(60)),
    ..PLAIN
}];
