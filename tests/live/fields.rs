//! Fields of live prices, from the exchange's answer to the tick.

use testkit::temp_file;

use crate::audience::{listen, settings};
use crate::upstream::Upstream;

const ENTRY: &str = r#"{"exchanges": [{
    "id": "mine", "name": "Mine", "interval_ms": 1,
    "spelling": {"market": "{base}-{quote}"},
    "one": {
        "url": "https://mine.example/{market}",
        "answer": {"last": "/p", "fields": {"bid": "/b", "ask": "/a", "change": {"at": "/c", "scale": 2}}}
    }
}]}"#;

#[test]
fn a_tick_has_the_wanted_fields_that_its_answer_has() {
    let upstream = Upstream::http(|number, path| {
        assert_eq!(path, "/mine.example/btc-usdt");
        let body = match number {
            // The answer to the check at the start comes first.
            ..=1 => r#"{"p":"1.50","b":"1.40","a":"1.60","c":"-0.0125"}"#,
            2 => r#"{"p":"1.60","b":null,"a":"","c":"0.0100"}"#,
            _ => r#"{"p":"1.70"}"#,
        };
        (200, "", body.to_owned())
    });
    let file = temp_file(ENTRY);
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    settings.live.exchanges = Some(file.path().to_owned());
    settings.fields = "bid,change,volume".parse().unwrap();
    let audience = listen("mine", &settings, |audience| audience.ticks.len() >= 3);
    let told: Vec<String> = audience
        .ticks
        .iter()
        .map(|(_, tick)| format!("{} {:?}", tick.price, tick.fields))
        .collect();
    assert_eq!(
        told[..3],
        [
            r#"1.50 {"bid": "1.40", "change": "-1.25"}"#,
            r#"1.60 {"change": "1.00"}"#,
            "1.70 {}",
        ]
    );
}

#[test]
fn nothing_is_read_that_was_not_asked_for() {
    let upstream = Upstream::http(|_, _| (200, "", r#"{"p":"1.50","b":"1.40"}"#.to_owned()));
    let file = temp_file(ENTRY);
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    settings.live.exchanges = Some(file.path().to_owned());
    let audience = listen("mine", &settings, |audience| !audience.ticks.is_empty());
    assert!(audience.ticks[0].1.fields.is_empty());
}
