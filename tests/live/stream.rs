use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::audience::{listen, settings};
use crate::upstream::{Upstream, binance, now_ms};

fn ticker(price: &str) -> String {
    let now = now_ms();
    format!(r#"{{"e":"24hrTicker","E":{now},"s":"BTCUSDT","c":"{price}"}}"#)
}

fn binance_rest(_: usize, _: &str) -> (u16, &'static str, String) {
    (200, "", binance("1", 1_732_270_000_123))
}

#[test]
fn a_stream_gets_a_subscription_and_answers_to_pings() {
    let upstream = Upstream::start(binance_rest, |_, mut peer| {
        let wanted = r#"{"id":1,"method":"SUBSCRIBE","params":["btcusdt@ticker"]}"#;
        assert_eq!(peer.text().as_deref(), Some(wanted));
        peer.send(r#"{"result":null,"id":1}"#);
        peer.send(&ticker("1.50"));
        peer.ping();
        let pong = peer.next();
        assert!(pong.is_some_and(|pong| pong.is_pong()));
        peer.send(&ticker("2.50"));
        peer.next();
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance+stream", &settings, |it| it.ticks.len() == 2);
    assert_eq!(audience.received(), ["BTC/USDT 1.50", "BTC/USDT 2.50"]);
}

#[test]
fn a_stream_that_closes_or_falls_silent_is_reopened() {
    let upstream = Upstream::start(binance_rest, |number, mut peer| {
        peer.text();
        peer.send(&ticker(&format!("{number}.5")));
        match number {
            0 => peer.close(),
            // The server sends no more until the client closes.
            1 => while peer.next().is_some() {},
            2 => drop(peer),
            _ => {
                peer.send(r#"{"e":"serverShutdown","E":1}"#);
                peer.next();
            }
        }
    });
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    settings.live.stale_after = Some(Duration::from_millis(100));
    let audience = listen("binance+stream", &settings, |it| it.ticks.len() == 5);
    let expected = ["0.5", "1.5", "2.5", "3.5", "4.5"].map(|it| format!("BTC/USDT {it}"));
    assert_eq!(audience.received(), expected);
    assert_eq!(audience.failures("binance+stream", "silent"), 1);
    assert_eq!(audience.failures("binance+stream", "broken"), 3);
}

#[test]
fn a_quiet_market_is_given_more_and_more_time() {
    let lives: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let noted = Arc::clone(&lives);
    let upstream = Upstream::start(binance_rest, move |number, mut peer| {
        peer.text();
        let began = Instant::now();
        peer.send(&ticker(&format!("{number}.5")));
        while peer.next().is_some() {}
        noted.lock().unwrap().push(began.elapsed());
    });
    let mut settings = settings(&upstream, &["BTC/USDT"]);
    settings.live.stale_after = Some(Duration::from_millis(50));
    let seen = Arc::clone(&lives);
    listen("binance+stream", &settings, move |_| {
        seen.lock().unwrap().len() >= 3
    });
    let lives = lives.lock().unwrap();
    for (life, least_ms) in lives.iter().zip([140, 290, 590]) {
        assert!(*life >= Duration::from_millis(least_ms), "{lives:?}");
    }
}

#[test]
fn a_token_is_fetched_first_where_needed_and_text_pings_keep_the_stream_alive() {
    let texts: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&texts);
    let rest = |_: usize, path: &str| {
        let body = match path {
            "/api.kucoin.com/api/v1/bullet-public" => {
                r#"{"code":"200000","data":{"token":"a/b","instanceServers":[
                    {"endpoint":"wss://ws.kucoin.com/","pingInterval":50}]}}"#
            }
            _ => r#"{"code":"200000","data":{"price":"1","time":1732270000123}}"#,
        };
        (200, "", body.to_owned())
    };
    let upstream = Upstream::start(rest, move |_, mut peer| {
        peer.send(r#"{"id":"x","type":"welcome"}"#);
        while let Some(text) = peer.text() {
            let is_ping = text.contains(r#""type":"ping""#);
            noted.lock().unwrap().push(text);
            let now = now_ms();
            peer.send(&match is_ping {
                true => r#"{"id":"1","type":"pong"}"#.to_owned(),
                false => format!(
                    r#"{{"type":"message","topic":"/market/ticker:BTC-USDT","subject":"trade.ticker","data":{{"price":"3.10","time":{now}}}}}"#
                ),
            });
        }
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let received = Arc::clone(&texts);
    let audience = listen("kucoin+stream", &settings, move |_| {
        received.lock().unwrap().len() >= 3
    });
    assert_eq!(audience.received(), ["BTC/USDT 3.10"]);
    let texts = texts.lock().unwrap();
    assert!(texts[0].contains(r#""topic":"/market/ticker:BTC-USDT""#));
    assert!(texts[1].contains(r#""type":"ping""#) && texts[2].contains(r#""type":"ping""#));
    let posted = "/api.kucoin.com/api/v1/bullet-public".to_owned();
    assert!(upstream.asked().iter().any(|(_, path)| *path == posted));
}

#[test]
fn a_stream_and_requests_of_one_exchange_share_their_symbol() {
    let upstream = Upstream::start(binance_rest, |_, peer| peer.close());
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance+stream,binance", &settings, |it| {
        it.ticks.len() >= 2
    });
    assert_eq!(audience.received()[0], "BTC/USDT 1");
}
