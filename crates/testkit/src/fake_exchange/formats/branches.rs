//! Exchanges that speak as a larger one does, at hosts of their own.

use super::super::notation::dashed;
use super::majors::{BINANCE_REST, BINANCE_STREAM, BYBIT_REST, BYBIT_STREAM, OKX_REST, OKX_STREAM};
use super::{PLAIN, REST, Rest, Rule, Stream, ask, lenient, seconds};

const COINBASE: &str = r#"{"product_id":"$market","price":"$last","price_percentage_change_24h":"1.2","volume_24h":"8732.9","volume_percentage_change_24h":"-3.1","approximate_quote_24h_volume":"847000000","base_increment":"0.00000001","status":"online"}"#;

/// Their answers to requests.
pub(super) static EXCHANGES: &[Rest] = &[
    Rest {
        id: "binanceus",
        authority: "api.binance.us",
        ..BINANCE_REST
    },
    Rest {
        id: "coinbaseadvanced",
        authority: "api.coinbase.com",
        spell: dashed,
        key: dashed,
        asks: &[
            ask(
                "/api/v3/brokerage/market/products/$market",
                "$entries",
                COINBASE,
            ),
            lenient(
                "/api/v3/brokerage/market/products?product_ids=$each",
                r#"{"products":[$entries],"num_products":2}"#,
                COINBASE,
            ),
        ],
        unknown: (
            404,
            r#"{"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid product_id is required"}"#,
        ),
        limited: (
            429,
            r#"{"error":"RESOURCE_EXHAUSTED","error_details":"rate limit exceeded","message":"rate limit exceeded"}"#,
        ),
        ..REST
    },
    Rest {
        id: "bybiteu",
        authority: "api.bybit.eu",
        ..BYBIT_REST
    },
    Rest {
        id: "okxus",
        authority: "us.okx.com",
        ..OKX_REST
    },
    Rest {
        id: "okxeea",
        authority: "eea.okx.com",
        ..OKX_REST
    },
];

/// Their streams.
pub(super) static STREAMS: &[Stream] = &[
    Stream {
        id: "binanceus",
        authority: "stream.binance.us:9443",
        ..BINANCE_STREAM
    },
    Stream {
        id: "coinbaseadvanced",
        authority: "advanced-trade-ws.coinbase.com",
        spell: dashed,
        subscribe: r#"{"type":"subscribe","product_ids":["$market"],"channel":"ticker"}"#,
        also: Some((
            r#"{"type":"subscribe","channel":"heartbeats"}"#,
            r#"{"channel":"subscriptions","client_id":"","timestamp":"$iso","sequence_num":1,"events":[{"subscriptions":{"heartbeats":["heartbeats"]}}]}"#,
        )),
        ack: r#"{"channel":"subscriptions","client_id":"","timestamp":"$iso","sequence_num":0,"events":[{"subscriptions":{"ticker":["$market"]}}]}"#,
        unknown: r#"{"type":"error","message":"unknown product $market"}"#,
        invalid: r#"{"type":"error","message":"failure to subscribe"}"#,
        tick: r#"{"channel":"ticker","client_id":"","timestamp":"$iso","sequence_num":7,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"$market","price":"$last","volume_24_h":"16038.28770938","low_24_h":"21835.29","high_24_h":"23011.18","low_52_w":"15460","high_52_w":"48240","price_percent_chg_24_h":"-4.15775596190603","best_bid":"$bid","best_ask":"$ask","best_bid_quantity":"0.1","best_ask_quantity":"0.2"}]}]}"#,
        // Channels that are quiet close after 60 to 90 seconds without heartbeats.
        rule: Rule::Also(seconds(60)),
        heartbeat: Some((
            r#"{"channel":"heartbeats","client_id":"","timestamp":"$iso","sequence_num":8,"events":[{"current_time":"$iso","heartbeat_counter":3049}]}"#,
            seconds(1),
        )),
        subscribe_within: Some(seconds(5)),
        ..PLAIN
    },
    Stream {
        id: "bybiteu",
        authority: "stream.bybit.eu",
        ..BYBIT_STREAM
    },
    Stream {
        id: "okxus",
        authority: "wsus.okx.com",
        ..OKX_STREAM
    },
    Stream {
        id: "okxeea",
        authority: "wseea.okx.com",
        ..OKX_STREAM
    },
];
