//! The lists of markets of the exchanges, with the expected symbols written by hand.
//!
//! The answers in `data/market_lists.json` are made from the documented fields.

#![allow(clippy::unwrap_used, reason = "the helpers belong to the tests")]

use std::collections::BTreeSet;

use exchanges::{Catalogue, QuoteError};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Answer<'a> {
    exchange: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
    expect: Vec<String>,
}

/// The symbols that `exchange` reads from `body`, or its error.
fn read(exchange: &str, status: u16, body: &str) -> Result<Vec<String>, QuoteError> {
    let catalogue = Catalogue::builtin();
    let exchange = catalogue.get(exchange).unwrap();
    let read = exchange.read_market_list((status, body.as_bytes()), &mut || {});
    read.map(|symbols| symbols.iter().map(ToString::to_string).collect())
}

#[test]
fn every_list_gives_the_traded_markets_in_unified_notation() {
    let text = include_str!("data/market_lists.json");
    let answers: Vec<Answer<'_>> = serde_json::from_str(text).unwrap();
    let mut tested = BTreeSet::new();
    for answer in &answers {
        let symbols = read(answer.exchange, 200, answer.body.get());
        assert_eq!(symbols.as_ref(), Ok(&answer.expect), "{}", answer.exchange);
        tested.insert(answer.exchange);
    }
    for exchange in Catalogue::builtin().iter() {
        let id = exchange.id();
        assert_eq!(
            exchange.market_list_url().is_some(),
            tested.contains(id),
            "{id}: it has a list, and data/market_lists.json an answer"
        );
    }
    let without: Vec<_> = WITHOUT_A_LIST.map(|(id, _)| id).into();
    let catalogue = Catalogue::builtin();
    let ids = catalogue.iter().map(exchanges::Exchange::id);
    let untested: Vec<_> = ids.filter(|id| !tested.contains(id)).collect();
    assert_eq!(untested, without);
}

/// The exchanges of the catalogue that have no list, in its order, and why.
const WITHOUT_A_LIST: [(&str, &str); 4] = [
    ("hyperliquid", "asking for it takes a POST"),
    (
        "independentreserve",
        "it lists currencies, but not which of them have a market",
    ),
    ("alpacacrypto", "asking for it takes a key"),
    ("cex", "asking for it takes a POST"),
];

#[test]
fn an_error_is_an_error_and_an_empty_list_does_not_mean_that_all_markets_are_gone() {
    assert_eq!(read("binance", 429, "{}"), Err(QuoteError::RateLimited));
    let limited = r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#;
    assert_eq!(read("okx", 200, limited), Err(QuoteError::RateLimited));
    for (exchange, body) in [
        ("coinbase", "[]"),
        ("coinbase", "<html>"),
        (
            "binance",
            r#"{"symbols":[{"symbol":"BTCUSDT","status":"BREAK"}]}"#,
        ),
        ("kraken", r#"{"error":[],"result":{}}"#),
        ("gemini", r#"{"symbols":["btcusd"]}"#),
    ] {
        let error = read(exchange, 200, body).unwrap_err();
        assert!(
            matches!(error, QuoteError::Garbage(_)),
            "{exchange}: {error}"
        );
    }
}

#[test]
fn markets_that_cannot_be_asked_for_by_their_names_are_left_out() {
    let body = r#"[
        {"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","status":"online"},
        {"id":"ODD-OTHER","base_currency":"ODD","quote_currency":"USD","status":"online"},
        {"id":"A*-USD","base_currency":"A*","quote_currency":"USD","status":"online"},
        {"id":"A,B-USD","base_currency":"A,B","quote_currency":"USD","status":"online"},
        {"id":"-USD","base_currency":"","quote_currency":"USD","status":"online"},
        {"id":null,"base_currency":null,"quote_currency":[],"status":"online"},
        7
    ]"#;
    assert_eq!(read("coinbase", 200, body).unwrap(), ["BTC/USD"]);
}

#[test]
fn markets_whose_names_deceive_the_eye_are_left_out() {
    let market = |base: &str| {
        format!(
            r#"{{"id":"{base}-USD","base_currency":"{base}","quote_currency":"USD","status":"online"}}"#
        )
    };
    let bases = [
        "A\u{202e}B",
        "BTC\u{200b}",
        "\u{feff}ETH",
        "币安人生",
        "SOL",
    ];
    let body = format!("[{}]", bases.map(market).join(","));
    let markets = read("coinbase", 200, &body).unwrap();
    assert_eq!(markets, ["SOL/USD", "币安人生/USD"]);
}

#[test]
fn a_list_of_megabytes_is_read_in_pieces() {
    let entry = |number: usize| {
        let filters = "x".repeat(500);
        format!(
            r#"{{"symbol":"A{number}USDT","status":"TRADING","baseAsset":"A{number}","quoteAsset":"USDT","filters":"{filters}"}}"#
        )
    };
    let entries: Vec<_> = (0..3_000).map(entry).collect();
    let body = format!(r#"{{"symbols":[{}]}}"#, entries.join(","));
    let catalogue = Catalogue::builtin();
    let binance = catalogue.get("binance").unwrap();
    let mut pauses = 0;
    let symbols = binance.read_market_list((200, body.as_bytes()), &mut || pauses += 1);
    assert_eq!(symbols.unwrap().len(), 3_000);
    assert!(pauses > 2 * (body.len() / (32 << 10)) - 2, "{pauses}");
}

#[test]
fn the_prices_of_all_markets_are_a_list_if_their_names_can_be_taken_apart() {
    let catalogue = |market: &str, answer: &str| {
        let text = format!(
            r#"{{"exchanges":[{{"id":"mine","name":"Mine","interval_ms":1,
            "spelling":{{"market":"{market}","renames":{{"BTC":"XBT"}}}},
            "one":{{"url":"https://a/{{market}}","answer":{{"last":"/p"}}}},
            "many":{{"url":"https://a/all","answer":{{{answer},"last":"/p"}}}}}}]}}"#
        );
        let catalogue = Catalogue::builtin().with_file(&text).unwrap();
        catalogue.get("mine").unwrap().clone()
    };
    let read = |mine: &exchanges::Exchange, body: &str| {
        let symbols = mine.read_market_list((200, body.as_bytes()), &mut || {});
        let symbols = symbols.unwrap();
        symbols.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let list = catalogue("{BASE}-{QUOTE}", r#""list":"/l","symbol":"/s""#);
    assert_eq!(list.market_list_url().as_deref(), Some("https://a/all"));
    let body = r#"{"l":[{"s":"XBT-EUR","p":"1"},{"s":"ETH-EUR-PERP","p":"1"},{"s":"X"}]}"#;
    assert_eq!(read(&list, body), ["BTC/EUR"]);
    let map = catalogue("{quote}_{base}", r#""map":"""#);
    assert_eq!(read(&map, r#"{"eur_xbt":{"p":"1"}}"#), ["BTC/EUR"]);
    let joined = catalogue("{BASE}{QUOTE}", r#""list":"","symbol":"/s""#);
    assert_eq!(joined.market_list_url(), None);
}

#[test]
fn a_users_own_entry_may_have_a_list_and_mistakes_in_it_are_named() {
    let catalogue = |markets: &str| {
        let text = format!(
            r#"{{"exchanges":[{{"id":"mine","name":"Mine","interval_ms":1,
            "spelling":{{"market":"{{base}}{{quote}}","renames":{{"BTC":"XBT"}}}},
            "one":{{"url":"https://a/{{market}}","answer":{{"last":"/p"}}}},
            "markets":{markets}}}]}}"#
        );
        Catalogue::builtin().with_file(&text)
    };
    let mine = catalogue(r#"{"url":"https://a/","list":"","name":"","quotes":["EUR","DEUR"]}"#);
    let mine = mine.unwrap();
    let mine = mine.get("mine").unwrap();
    let read = mine.read_market_list((200, br#"["xbteur","ethdeur","eur","xbtusd"]"#), &mut || {});
    let symbols: Vec<_> = read.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(symbols, ["BTC/EUR", "ETH/DEUR"]);
    for (markets, mistake) in [
        (
            r#"{"url":"https://a/","name":""}"#,
            "field markets: needs either list or map",
        ),
        (
            r#"{"url":"https://a/","list":""}"#,
            "field markets: needs base and quote, or name",
        ),
        (
            r#"{"url":"a","list":"","name":""}"#,
            "field markets.url: invalid URL 'a'",
        ),
        (
            r#"{"url":"https://a/","list":"","name":"","written":["{market}"]}"#,
            "field markets.written: unknown placeholder {market}",
        ),
    ] {
        let error = catalogue(markets).unwrap_err().to_string();
        assert!(error.contains(mistake), "{error}");
    }
}
