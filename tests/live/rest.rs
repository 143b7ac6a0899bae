use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exchanges::Place;
use testkit::temp_file;

use crate::audience::{listen, refusal, settings};
use crate::upstream::{Upstream, binance, now_ms};

const BTC: &str = "/data-api.binance.vision/api/v3/ticker/24hr?symbol=BTCUSDT";

fn ok(body: String) -> (u16, &'static str, String) {
    (200, "", body)
}

#[test]
fn each_answer_is_a_tick_with_its_digits_and_time() {
    let began = now_ms();
    let upstream = Upstream::http(move |number, path| {
        assert_eq!(path, BTC);
        ok(binance(
            &format!("97123.{number}500"),
            began + number as u64,
        ))
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| audience.ticks.len() >= 4);
    // The first answer was to the check.
    assert_eq!(audience.received()[0], "BTC/USDT 97123.1500");
    assert_eq!(audience.received()[3], "BTC/USDT 97123.4500");
    assert_eq!(audience.ticks[0].1.timestamp, began + 1);
}

#[test]
fn an_unchanged_price_is_a_tick_unless_only_changes_are_wanted() {
    let upstream = Upstream::http(|_, _| ok(binance("1.50", 1_732_270_000_123)));
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| audience.ticks.len() >= 3);
    assert_eq!(audience.received(), ["BTC/USDT 1.50"; 3]);
    settings.live.changes_only = true;
    let audience = listen("binance", &settings, |audience| {
        audience.confirmed.len() >= 2
    });
    assert_eq!(audience.received(), ["BTC/USDT 1.50"]);
}

#[test]
fn a_price_older_than_an_earlier_one_is_not_a_tick() {
    let began = now_ms();
    let upstream = Upstream::http(move |number, _| match number % 2 {
        0 => ok(binance("2", began - 60_000)),
        _ => ok(binance("1", began + number as u64)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| audience.ticks.len() >= 3);
    assert_eq!(audience.received(), ["BTC/USDT 1"; 3]);
    let standing = audience.sources.iter().next().unwrap();
    assert_eq!(standing.outdated(), 2);
}

#[test]
fn many_symbols_are_fetched_with_one_request_or_in_turn() {
    let upstream = Upstream::http(|_, path| {
        if path.starts_with("/data-api.binance.vision/") {
            let eth = r#"{"symbol":"ETHUSDT","lastPrice":"3","closeTime":1732270000123}"#;
            let btc = binance("9", 1_732_270_000_123);
            return ok(format!("[{eth},{btc}]"));
        }
        ok(r#"{"price":"7","time":"2024-11-22T10:00:00Z"}"#.to_owned())
    });
    let mut settings = settings(&upstream, &["BTC/USDT", "ETH/USDT"]);
    settings.interval = Duration::from_millis(10);
    let audience = listen("binance", &settings, |audience| audience.ticks.len() >= 4);
    let once = ["BTC/USDT 9", "ETH/USDT 3"];
    assert_eq!(audience.received(), [once, once].concat());
    let audience = listen("coinbase", &settings, |audience| audience.ticks.len() >= 8);
    let once = ["BTC/USDT 7", "ETH/USDT 7"];
    assert_eq!(audience.received(), [once, once, once, once].concat());
    // Never faster than the exchange allows, although a tick that is late is followed sooner by the
    // next one.
    let apart = audience.ticks[7].0 - audience.ticks[0].0;
    assert!(apart >= Duration::from_millis(500), "{apart:?}");
}

#[test]
fn beats_missed_by_a_slow_answer_are_skipped() {
    let upstream = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(120));
        ok(binance("1", 1_732_270_000_123))
    });
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    settings.interval = Duration::from_millis(100);
    listen("binance", &settings, |audience| audience.ticks.len() >= 4);
    let asked = upstream.asked();
    // Each answer takes slightly more than a beat, so every other beat is skipped. Without a rest
    // in between, three answers would take 360 ms; a busy machine may notice the first request
    // late.
    let apart = asked[4].0 - asked[1].0;
    assert!(apart >= Duration::from_millis(480), "{apart:?}");
}

#[test]
fn retry_after_is_obeyed() {
    let upstream = Upstream::http(|number, _| match number {
        2 => (429, "Retry-After: 1\r\n", "{}".to_owned()),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| audience.ticks.len() >= 2);
    assert_eq!(audience.failures("binance", "rate_limited"), 1);
    let asked = upstream.asked();
    assert!(asked[3].0 - asked[2].0 >= Duration::from_millis(1_000));
}

#[test]
fn a_retry_after_at_the_start_delays_the_first_request() {
    let upstream = Upstream::http(|number, _| match number {
        0 => (429, "Retry-After: 1\r\n", "{}".to_owned()),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    listen("binance", &settings, |audience| !audience.ticks.is_empty());
    let asked = upstream.asked();
    assert!(asked[1].0 - asked[0].0 >= Duration::from_millis(1_000));
}

#[test]
fn a_retry_after_of_zero_still_waits_a_second() {
    let upstream = Upstream::http(|number, _| match number {
        2 => (429, "Retry-After: 0\r\n", "{}".to_owned()),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    listen("binance", &settings, |audience| audience.ticks.len() >= 2);
    let asked = upstream.asked();
    assert!(asked[3].0 - asked[2].0 >= Duration::from_millis(1_000));
}

#[test]
fn failures_are_counted_by_kind_and_survived() {
    let upstream = Upstream::http(|number, _| match number {
        1 => (500, "", "oops".to_owned()),
        2 => (200, "", "<html>".to_owned()),
        3 => (451, "", r#"{"code":0,"msg":"not for you"}"#.to_owned()),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| !audience.ticks.is_empty());
    for kind in ["down", "garbage", "blocked"] {
        assert_eq!(audience.failures("binance", kind), 1, "{kind}");
    }
}

#[test]
fn one_delisted_symbol_does_not_affect_the_others() {
    let upstream = Upstream::http(|number, path| {
        let gone = || ok(r#"{"error":["EQuery:Unknown asset pair"]}"#.to_owned());
        let pairs: Vec<_> = path.rsplit('=').next().unwrap().split(',').collect();
        if pairs.contains(&"XRPUSDT") && (pairs.len() == 1 || number > 0) {
            return gone();
        }
        let answer = |pair: &&str| format!(r#""{pair}":{{"c":["5","1"]}}"#);
        let answers: Vec<_> = pairs.iter().map(answer).collect();
        let answers = answers.join(",");
        ok(format!(r#"{{"error":[],"result":{{{answers}}}}}"#))
    });
    let builtin = include_str!("../../crates/exchanges/exchanges.json");
    let catalogue = temp_file(builtin.replace("\"interval_ms\": 1000", "\"interval_ms\": 5"));
    let mut settings = settings(&upstream, &["BTC/USDT", "XRP/USDT"]);
    settings.live.exchanges = Some(catalogue.path().to_owned());
    let received_btc = |number: usize| {
        move |audience: &crate::audience::Audience| {
            audience
                .received()
                .iter()
                .filter(|tick| *tick == "BTC/USDT 5")
                .count()
                >= number
        }
    };
    let audience = listen("kraken", &settings, received_btc(4));
    assert_eq!(audience.failures("kraken", "unknown_symbol"), 1);
}

#[test]
fn an_unknown_symbol_at_the_start_is_named_with_similar_ones() {
    let upstream = Upstream::http(|_, path| match path {
        BTC => ok(binance("1", 1_732_270_000_123)),
        _ => (
            400,
            "",
            r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned(),
        ),
    });
    let settings = settings(&upstream, &["BTC/USDT", "BTC/UDST"]);
    assert_eq!(
        refusal("binance", &settings),
        "binance does not know BTC/UDST, did you mean BTC/USDT?"
    );
}

#[test]
fn any_price_on_the_web_can_be_a_source() {
    let upstream = Upstream::http(|_, path| {
        assert_eq!(path, "/example.com/a?b=c");
        ok(r#"{"data":{"price":0.10,"ts":1732270000}}"#.to_owned())
    });
    let mut settings = settings(&upstream, &["A/B"]);
    settings.live.places.price = Place::parse("/data/price").ok();
    settings.live.places.time = Place::parse("/data/ts").ok();
    let audience = listen("https://example.com/a?b=c", &settings, |audience| {
        !audience.ticks.is_empty()
    });
    assert_eq!(audience.received(), ["A/B 0.10"]);
    assert_eq!(audience.ticks[0].1.timestamp, 1_732_270_000_000);
}

#[test]
fn a_users_own_source_may_have_a_bad_minute_at_the_start() {
    for (status, bad) in [
        (200, "<!doctype html><title>Soon</title>"),
        (200, r#"{"data":{"price":null}}"#),
        (200, "{}"),
        (200, ""),
        (200, r#"{"data":{"price":"#),
        (404, r#"{"reason":"not yet"}"#),
        (503, ""),
    ] {
        let upstream = Upstream::http(move |number, _| match number {
            0 => (status, "", bad.to_owned()),
            _ => ok(r#"{"data":{"price":0.10}}"#.to_owned()),
        });
        let mut settings = settings(&upstream, &["A/B"]);
        settings.live.places.price = Place::parse("/data/price").ok();
        let audience = listen("https://example.com/", &settings, |audience| {
            !audience.ticks.is_empty()
        });
        assert_eq!(audience.received(), ["A/B 0.10"], "after {status} {bad}");
    }
}

#[test]
fn the_price_of_a_users_own_source_may_be_zero_or_negative_and_an_exchanges_may_not() {
    let upstream = Upstream::http(|number, path| {
        let price = ["-12.50", "0.00", "-0.01", "7"][number.min(3)];
        if path.contains("example.com") {
            return ok(format!(r#"{{"price":{price}}}"#));
        }
        ok(binance(price, 1_732_270_000_123))
    });
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| !audience.ticks.is_empty());
    assert_eq!(audience.received(), ["BTC/USDT 7"]);
    settings.live.places.price = Place::parse("/price").ok();
    let audience = listen("https://example.com/", &settings, |audience| {
        audience.ticks.len() >= 3
    });
    assert_eq!(
        audience.received(),
        ["BTC/USDT 0.00", "BTC/USDT -0.01", "BTC/USDT 7"],
        "the check had the first"
    );
}

#[test]
fn a_market_may_have_any_letters() {
    for (symbol, market, encoded) in [
        (
            "币安人生/USDT",
            "币安人生USDT",
            "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT",
        ),
        ("Ω/USDT", "ΩUSDT", "%CE%A9USDT"),
        ("ёж/USDT", "ЁЖUSDT", "%D0%81%D0%96USDT"),
        ("🐸/USDT", "🐸USDT", "%F0%9F%90%B8USDT"),
    ] {
        let upstream = Upstream::http(move |_, path| {
            assert!(path.ends_with(&format!("symbol={encoded}")), "{path}");
            ok(binance("1", 1_732_270_000_123).replace("BTCUSDT", market))
        });
        let settings = settings(&upstream, &[symbol]);
        let audience = listen("binance", &settings, |audience| !audience.ticks.is_empty());
        assert_eq!(audience.received(), [format!("{symbol} 1")]);
    }
}

#[test]
fn an_answer_that_is_too_long_is_refused() {
    let upstream = Upstream::http(|number, _| match number {
        1 => ok("x".repeat(10 << 20)),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| !audience.ticks.is_empty());
    assert_eq!(audience.failures("binance", "garbage"), 1);
}

#[test]
fn an_exchange_that_is_down_at_the_start_is_not_an_error() {
    let upstream = Upstream::http(|number, _| match number {
        0..3 => (503, "", String::new()),
        _ => ok(binance("1", 1_732_270_000_123)),
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance", &settings, |audience| !audience.ticks.is_empty());
    assert_eq!(audience.failures("binance", "down"), 2);
}

/// Three symbols of an exchange that is asked for each alone.
const THREE: [&str; 3] = ["BTC/USD", "ETH/USD", "SOL/USD"];

fn coinbase() -> (u16, &'static str, String) {
    ok(r#"{"price":"7","time":"2024-11-22T10:00:00Z"}"#.to_owned())
}

#[test]
fn after_a_rate_limit_the_check_asks_no_more_and_the_feed_waits() {
    let asked_first = Arc::new(AtomicUsize::new(0));
    for (headers, least_ms) in [("Retry-After: 2\r\n", 2_000), ("", 1_000)] {
        let count = Arc::clone(&asked_first);
        count.store(0, Ordering::Relaxed);
        let upstream = Upstream::http(move |_, _| match count.fetch_add(1, Ordering::Relaxed) {
            0 => (429, headers, r#"{"message":"rate limit"}"#.to_owned()),
            _ => coinbase(),
        });
        let settings = settings(&upstream, &THREE);
        let audience = listen("coinbase", &settings, |audience| !audience.ticks.is_empty());
        let asked = upstream.asked();
        let pause = asked[1].0 - asked[0].0;
        assert!(pause >= Duration::from_millis(least_ms), "{pause:?}");
        assert_eq!(
            audience.failures("coinbase", "rate_limited"),
            0,
            "it asked too soon"
        );
    }
}

#[test]
fn a_search_for_similar_symbols_ends_with_a_rate_limit() {
    let upstream = Upstream::http(|_, path| {
        if path.ends_with("BTCUDST") {
            let body = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
            return (400, "", body.to_owned());
        }
        (429, "Retry-After: 60\r\n", r#"{"code":-1003}"#.to_owned())
    });
    let settings = settings(&upstream, &["BTC/UDST"]);
    let refusal = refusal("binance", &settings);
    assert_eq!(refusal, "binance does not know BTC/UDST");
    assert_eq!(upstream.asked().len(), 2);
}

#[test]
fn a_check_that_takes_too_long_ends_without_another_request() {
    let upstream = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_secs(1));
        let body = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
        (400, "", body.to_owned())
    });
    let mut settings = settings(&upstream, &["BTC/UDST"]);
    settings.live.request_timeout = Duration::from_secs(10);
    let refusal = refusal("binance", &settings);
    assert_eq!(refusal, "binance does not know BTC/UDST");
    let asked = upstream.asked();
    // The check lasts 5.3 seconds at most, and each request takes one of them.
    assert!(asked.len() <= 6, "{} requests", asked.len());
    let last = asked.last().unwrap().0 - asked[0].0;
    assert!(last < Duration::from_millis(5_500), "{last:?}");
}
