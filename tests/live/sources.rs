use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::audience::{listen, settings};
use crate::upstream::{Upstream, binance, now_ms};

/// Binance while `up`, and Kraken.
fn two_exchanges(up: Arc<AtomicBool>) -> Upstream {
    Upstream::http(move |_, path| {
        if path.starts_with("/api.kraken.com/") {
            let body = r#"{"error":[],"result":{"XBTUSDT":{"c":["2","1"]}}}"#;
            return (200, "", body.to_owned());
        }
        match up.load(Ordering::Relaxed) {
            true => (200, "", binance("1", 1_732_270_000_123)),
            false => (503, "", String::new()),
        }
    })
}

#[test]
fn the_next_source_serves_under_its_own_name_while_the_first_is_down() {
    let up = Arc::new(AtomicBool::new(true));
    let upstream = two_exchanges(Arc::clone(&up));
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance,kraken", &settings, move |it| {
        // After the first tick it is down; once the second source serves, it is up again.
        let served = it.received().iter().any(|tick| tick == "kraken:BTC/USDT 2");
        up.store(served || it.ticks.is_empty(), Ordering::Relaxed);
        served && it.received().last().unwrap().starts_with("binance:")
    });
    let received = audience.received();
    assert_eq!(received[0], "binance:BTC/USDT 1");
    let down = received.iter().position(|tick| tick.starts_with("kraken:"));
    let up = received
        .iter()
        .rposition(|tick| tick.starts_with("kraken:"));
    let (down, up) = (down.unwrap(), up.unwrap());
    assert!(
        received[down..=up]
            .iter()
            .all(|tick| tick == "kraken:BTC/USDT 2")
    );
    // The server does not switch back at once.
    let lasted = audience.ticks[up + 1].0 - audience.ticks[down].0;
    assert!(lasted >= Duration::from_secs(4), "{lasted:?}");
}

#[test]
fn the_next_source_serves_before_the_price_of_a_silent_one_is_stale() {
    let upstream = Upstream::start(
        |_, path| match path.contains("kraken") {
            true => {
                let body = r#"{"error":[],"result":{"XBTUSDT":{"c":["2","1"]}}}"#;
                (200, "", body.to_owned())
            }
            false => (200, "", binance("1", now_ms())),
        },
        |_, mut peer| {
            peer.text();
            let now = now_ms();
            peer.send(&format!(
                r#"{{"e":"24hrTicker","E":{now},"s":"BTCUSDT","c":"1"}}"#
            ));
            while peer.next().is_some() {}
        },
    );
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    let stale_after = Duration::from_secs(6);
    settings.live.stale_after = Some(stale_after);
    let audience = listen("binance+stream,kraken", &settings, |it| {
        it.received().iter().any(|tick| tick.starts_with("kraken:"))
    });
    assert_eq!(
        audience.received(),
        ["binance:BTC/USDT 1", "kraken:BTC/USDT 2"]
    );
    let silence = audience.ticks[1].0 - audience.ticks[0].0;
    assert!(silence < stale_after, "{silence:?}");
}
