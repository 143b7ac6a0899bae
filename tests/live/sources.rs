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
        if up.load(Ordering::Relaxed) {
            (200, "", binance("1", 1_732_270_000_123))
        } else {
            (503, "", String::new())
        }
    })
}

#[test]
fn the_next_source_serves_under_its_own_name_while_the_first_is_down() {
    let up = Arc::new(AtomicBool::new(true));
    let upstream = two_exchanges(Arc::clone(&up));
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance,kraken", &settings, move |audience| {
        // After the first tick it is down; once the second source serves, it is up again.
        let served = audience
            .received()
            .iter()
            .any(|tick| tick == "kraken:BTC/USDT 2");
        up.store(served || audience.ticks.is_empty(), Ordering::Relaxed);
        served && audience.received().last().unwrap().starts_with("binance:")
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
        |_, path| {
            if path.contains("kraken") {
                let body = r#"{"error":[],"result":{"XBTUSDT":{"c":["2","1"]}}}"#;
                return (200, "", body.to_owned());
            }
            (200, "", binance("1", now_ms()))
        },
        |_, mut peer| {
            peer.text();
            peer.send(
                r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USDT","last":2}]}"#,
            );
            // It neither reads nor writes until the test is over.
            std::thread::park();
        },
    );
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    let stale_after = Duration::from_secs(6);
    settings.live.stale_after = Some(Duration::from_secs(1));
    let audience = listen("kraken+stream,binance", &settings, |audience| {
        let received = audience.received();
        received.iter().any(|tick| tick.starts_with("binance:"))
    });
    assert_eq!(
        audience.received(),
        ["kraken:BTC/USDT 2", "binance:BTC/USDT 1"]
    );
    let silence = audience.ticks[1].0 - audience.ticks[0].0;
    assert!(silence < stale_after, "{silence:?}");
}
