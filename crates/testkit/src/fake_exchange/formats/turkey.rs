//! Exchanges with markets in lira.

use super::super::notation::{joined, underscored};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, seconds};

/// It writes the lira as `tl`.
fn paribu(base: &str, quote: &str) -> String {
    let quote = match quote {
        "TRY" => "TL",
        quote => quote,
    };
    underscored(base, quote).to_lowercase()
}

const BTCTURK: &str = r#"{"pair":"$market","pairNormalized":"$BASE_$QUOTE","timestamp":$ms,"last":$last,"high":98000,"low":95500,"bid":$bid,"ask":$ask,"open":96000,"volume":91.4,"average":97010.2,"daily":1001,"dailyPercent":1.04,"denominatorSymbol":"$QUOTE","numeratorSymbol":"$BASE","order":1001}"#;
const BTCTURK_ANSWER: &str = r#"{"data":[$entries],"success":true,"message":null,"code":0}"#;
const PARIBU: &str = r#"{"market":"$market","last":"$last","first":"4050000","high":"4150000","low":"4000000","average":"4090000","change":"50000","percentage":"1.23","volume":"12.5","pair_volume":"51250000"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "btcturk",
        authority: "api.btcturk.com",
        asks: &[
            ask("/api/v2/ticker?pairSymbol=$market", BTCTURK_ANSWER, BTCTURK),
            ask("/api/v2/ticker", BTCTURK_ANSWER, BTCTURK),
        ],
        unknown: (
            400,
            r#"{"data":null,"success":false,"message":"SYMBOL_NOT_FOUND","code":1032}"#,
        ),
        ..REST
    },
    Rest {
        id: "paribu",
        authority: "api.paribu.com",
        spell: paribu,
        key: paribu,
        asks: &[
            ask("/market/ticker?market=$market", "[$entries]", PARIBU),
            ask("/market/ticker", "[$entries]", PARIBU),
        ],
        unknown: (500, r#"{"message":"Internal Server Error","code":5001}"#),
        limited: (
            429,
            r#"{"code":429,"message":"Rate limit exceeded","retry_after":12}"#,
        ),
        ..REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "btcturk",
        authority: "ws-feed-pro.btcturk.com",
        spell: joined,
        greeting: r#"[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]"#,
        subscribe: r#"[151,{"type":151,"channel":"ticker","event":"$market","join":true}]"#,
        most: 1,
        ack: r#"[100,{"type":100,"ok":true,"message":"join|ticker:$market"}]"#,
        // It confirms unknown markets and never mentions them again.
        unknown: r#"[100,{"type":100,"ok":true,"message":"join|ticker:$market"}]"#,
        tick: r#"[402,{"B":"$bid","A":"$ask","BA":"0.5","AA":"0.2","PS":"$market","H":"98000","L":"95500","LA":"$last","O":"96000","V":"91.4","AV":"97010.2","D":"1001","DP":"1.04","DS":"$QUOTE","NS":"$BASE","PId":1,"channel":"ticker","event":"$market","type":402}]"#,
        rule: Rule::Pong(seconds(15), seconds(30)),
        ..PLAIN
    },
    Stream {
        id: "paribu",
        authority: "api.paribu.com",
        path: "/v1/wapi/stream",
        spell: paribu,
        subscribe: r#"{"method":"subscribe","channels":["match-price:$market"],"id":"$id"}"#,
        most: 64,
        ack: r#"{"r":{"channels":["match-price:$market"],"id":$id,"t":"subscribed"},"e":"status","E":$ms}"#,
        unknown: r#"{"r":{"code":2003,"id":$id,"msg":"unknown market: match-price:$market","t":"error"},"e":"status","E":$ms}"#,
        invalid: r#"{"r":{"code":3001,"msg":"invalid JSON","t":"error"},"e":"status","E":$ms}"#,
        tick: r#"{"e":"orderbook","s":"$market","r":{"p":"$last","t":"match-price","T":$ms},"E":$ms}"#,
        rule: Rule::Pong(seconds(30), seconds(11)),
        ..PLAIN
    },
];
