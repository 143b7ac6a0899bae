//! Whole markets: symbols from the lists of exchanges.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::{ServerProcess, temp_file};

use crate::audience::{Audience, listen, refusal, settings};
use crate::upstream::{Answer, Upstream, now_ms};

const LIST: &str = "/www.okx.com/api/v5/public/instruments?instType=SPOT";

fn ok(body: String) -> Answer {
    (200, "", body)
}

/// OKX's list of these markets, written as `BTC-USDT`.
fn okx_list(markets: &[&str]) -> String {
    let entry = |market: &&str| {
        let (base, quote) = market.split_once('-').unwrap();
        format!(r#"{{"baseCcy":"{base}","quoteCcy":"{quote}","instId":"{market}","state":"live"}}"#)
    };
    let entries: Vec<_> = markets.iter().map(entry).collect();
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, entries.join(","))
}

/// OKX's prices of these markets.
fn okx_prices(markets: &[String]) -> String {
    let now = now_ms();
    let entry = |market: &String| format!(r#"{{"instId":"{market}","last":"1.50","ts":"{now}"}}"#);
    let entries: Vec<_> = markets.iter().map(entry).collect();
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, entries.join(","))
}

/// The symbols that had a price.
fn priced(audience: &Audience) -> BTreeSet<&str> {
    let ticks = audience.ticks.iter();
    ticks.map(|(_, tick)| tick.symbol.as_str()).collect()
}

#[test]
fn a_pattern_stands_for_the_markets_in_the_list_of_the_exchange() {
    let upstream = Upstream::http(|_, path| match path {
        LIST => ok(okx_list(&["ETH-USDT", "BTC-EUR", "BTC-USDT"])),
        path if path.contains("tickers") => {
            let all = ["BTC-USDT", "ETH-USDT", "BTC-EUR", "XRP-USDT"];
            ok(okx_prices(&all.map(str::to_owned)))
        }
        path => {
            let market = path.rsplit('=').next().unwrap().to_owned();
            ok(okx_prices(&[market]))
        }
    });
    let settings = settings(&upstream, &["*/USDT"]);
    let audience = listen("okx", &settings, |audience| priced(audience).len() >= 2);
    assert_eq!(audience.listed, ["BTC/USDT", "ETH/USDT"]);
    assert_eq!(priced(&audience), BTreeSet::from(["BTC/USDT", "ETH/USDT"]));
    assert_eq!(upstream.asked()[0].1, LIST, "prices come after the list");
}

#[test]
fn names_are_served_while_a_list_that_is_refused_is_waited_for() {
    let is_refused = AtomicBool::new(false);
    let upstream = Upstream::http(move |_, path| match path {
        LIST if !is_refused.swap(true, Relaxed) => (429, "Retry-After: 1\r\n", "{}".to_owned()),
        LIST => ok(okx_list(&["BTC-EUR", "BTC-USDT"])),
        path if path.contains("tickers") => {
            ok(okx_prices(&["BTC-EUR", "BTC-USDT"].map(str::to_owned)))
        }
        path => {
            let market = path.rsplit('=').next().unwrap().to_owned();
            ok(okx_prices(&[market]))
        }
    });
    let settings = settings(&upstream, &["*/EUR", "okx:BTC/USDT"]);
    let audience = listen("okx", &settings, |audience| priced(audience).len() >= 2);
    assert_eq!(audience.listed, ["BTC/USDT", "BTC/EUR"]);
    let asked = upstream.asked();
    let lists: Vec<_> = asked.iter().filter(|(_, path)| path == LIST).collect();
    assert_eq!(lists.len(), 2);
    let refused = lists[0].0;
    // What was sent before the refusal arrived does not count.
    let known = refused + Duration::from_millis(300);
    let is_meanwhile = |at: Instant| at > known && at < refused + Duration::from_secs(1);
    let meanwhile = asked.iter().filter(|(at, _)| is_meanwhile(*at));
    assert_eq!(
        meanwhile.count(),
        0,
        "the exchange is left alone: {asked:?}"
    );
}

#[test]
fn a_list_that_cannot_be_read_delays_no_prices() {
    let upstream = Upstream::http(|_, path| match path {
        LIST => (404, "", "{}".to_owned()),
        path => ok(okx_prices(&[path.rsplit('=').next().unwrap().to_owned()])),
    });
    let mut settings = settings(&upstream, &["*/EUR", "BTC/USDT"]);
    settings.interval = Duration::from_millis(100);
    let began = Instant::now();
    let audience = listen("okx", &settings, |audience| audience.ticks.len() >= 20);
    // The pauses between the attempts to read the list soon grow to seconds.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(audience.listed, ["BTC/USDT"]);
}

#[test]
fn three_thousand_markets_share_one_request() {
    let markets: Vec<_> = (0..3_000).map(|n| format!("A{n}-USDT")).collect();
    let listed = markets.clone();
    let upstream = Upstream::http(move |_, path| {
        if path == LIST {
            let listed: Vec<_> = listed.iter().map(String::as_str).collect();
            return ok(okx_list(&listed));
        }
        assert!(path.ends_with("/tickers?instType=SPOT"), "{path}");
        ok(okx_prices(&markets))
    });
    let settings = settings(&upstream, &["*"]);
    let audience = listen("okx", &settings, |audience| audience.ticks.len() >= 6_000);
    assert_eq!(audience.listed.len(), 3_000);
    assert_eq!(priced(&audience).len(), 3_000);
    assert_eq!(audience.sources.iter().next().unwrap().answers(), 2);
}

#[test]
fn a_stream_is_split_over_connections_and_messages_by_the_limits_of_the_exchange() {
    let messages: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let noted = Arc::clone(&messages);
    let upstream = Upstream::start(
        |_, path| match path {
            LIST => ok(okx_list(&["A-X", "B-X", "C-X", "D-X", "E-X"])),
            path => panic!("{path}"),
        },
        move |number, mut peer| {
            while let Some(text) = peer.text() {
                noted.lock().unwrap().push((number, text.clone()));
                for market in ["A", "B", "C", "D", "E"] {
                    if text.contains(&format!("{market}-X")) {
                        let now = now_ms();
                        peer.send(&format!(
                            r#"{{"arg":{{"channel":"tickers","instId":"{market}-X"}},"data":[{{"instId":"{market}-X","last":"1","ts":"{now}"}}]}}"#
                        ));
                    }
                }
            }
        },
    );
    let own = r#"{"exchanges":[{"id":"okx","name":"OKX","spelling":{"market":"{BASE}-{QUOTE}"},
        "interval_ms":1,
        "one":{"url":"https://www.okx.com/one?instId={market}","answer":{"last":"/last"}},
        "markets":{"url":"https://www.okx.com/api/v5/public/instruments?instType=SPOT",
            "list":"/data","base":"/baseCcy","quote":"/quoteCcy"},
        "stream":{"url":"wss://ws.okx.com/public",
            "subscribe":{"op":"subscribe","args":[{"channel":"tickers","instId":"{market}"}]},
            "most":2,"per_connection":3,"subscribe_every_ms":50,"connect_every_ms":100,
            "ticks":{"when":"/data","message":{"list":"/data","symbol":"/instId","last":"/last"}}}}]}"#;
    let file = temp_file(own);
    let mut settings = settings(&upstream, &["*/X"]);
    settings.live.exchanges = Some(file.path().to_owned());
    let audience = listen("okx+stream", &settings, |audience| {
        priced(audience).len() >= 5
    });
    assert_eq!(priced(&audience).len(), 5);
    let messages = messages.lock().unwrap();
    let markets = |text: &String| text.matches("-X").count();
    let of = |number: usize| -> Vec<_> {
        let its = messages.iter().filter(|(peer, _)| *peer == number);
        its.map(|(_, text)| markets(text)).collect()
    };
    // Which of the two is accepted first is chance.
    let mut both = [of(0), of(1)];
    both.sort();
    assert_eq!(both, [vec![2], vec![2, 1]]);
}

#[test]
fn a_pattern_needs_an_exchange_that_has_a_list() {
    let upstream = Upstream::http(|_, path| panic!("{path}"));
    let of = |symbols: &[&str], source| refusal(source, &settings(&upstream, symbols));
    assert_eq!(
        of(&["*/USDT"], "sim"),
        "*/USDT stands for markets of an exchange: a simulation needs the names of its symbols"
    );
    assert_eq!(
        of(&["binnace:*/EUR"], "binance,kraken"),
        "binnace:*/EUR is from binnace, which is none of the sources: binance, kraken"
    );
}

#[test]
fn a_source_without_a_list_is_named_where_another_has_one() {
    let upstream = Upstream::http(|_, path| match path {
        LIST => ok(okx_list(&["BTC-USDT"])),
        path => ok(okx_prices(&[path.rsplit('=').next().unwrap().to_owned()])),
    });
    let own = r#"{"exchanges":[{"id":"mute","name":"Mute","spelling":{"market":"{BASE}"},
        "interval_ms":1,"one":{"url":"https://mute/{market}","answer":{"last":"/last"}}}]}"#;
    let file = temp_file(own);
    let arguments = [
        "--source",
        "okx,mute",
        "--symbols",
        "*/USDT",
        "--exchanges",
        file.path().to_str().unwrap(),
        "--upstream",
        &upstream.url(),
    ];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &arguments);
    let named = "warn: mute has no list of markets, so it serves nothing for */USDT";
    assert_eq!(server.lines(named), 1, "{}", server.log());
}
