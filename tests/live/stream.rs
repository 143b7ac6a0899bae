use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    let audience = listen("binance+stream", &settings, |audience| {
        audience.ticks.len() == 2
    });
    assert_eq!(audience.received(), ["BTC/USDT 1.50", "BTC/USDT 2.50"]);
}

#[test]
fn a_stream_that_closes_is_reopened() {
    let upstream = Upstream::start(binance_rest, |number, mut peer| {
        peer.text();
        peer.send(&ticker(&format!("{number}.5")));
        match number {
            0 => peer.close(),
            1 => drop(peer),
            _ => {
                peer.send(r#"{"e":"serverShutdown","E":1}"#);
                peer.next();
            }
        }
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance+stream", &settings, |audience| {
        audience.ticks.len() == 4
    });
    let expected = ["0.5", "1.5", "2.5", "3.5"].map(|price| format!("BTC/USDT {price}"));
    assert_eq!(audience.received(), expected);
    assert_eq!(audience.failures("binance+stream", "broken"), 3);
}

#[test]
fn messages_that_cannot_be_read_are_counted_and_confirm_nothing() {
    let upstream = Upstream::start(binance_rest, |_, mut peer| {
        peer.text();
        peer.send(&ticker("1.5"));
        for text in ["<html>", "", r#"{"e":"24hrTicker""#] {
            peer.send(text);
        }
        peer.send(&ticker("2.5"));
        peer.next();
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("binance+stream", &settings, |audience| {
        audience.ticks.len() == 2
    });
    assert_eq!(audience.failures("binance+stream", "unreadable"), 3);
    assert_eq!(audience.failures("binance+stream", "complaint"), 0);
}

#[test]
fn a_request_that_a_stream_needs_first_obeys_limits_and_blocks() {
    let rest = |number: usize, path: &str| match (path, number) {
        ("/api.kucoin.com/api/v1/bullet-public", 0) => {
            let body = r#"{"code":"429000","msg":"Too Many Requests"}"#;
            (429, "Retry-After: 2\r\n", body.to_owned())
        }
        ("/api.kucoin.com/api/v1/bullet-public", 1) => {
            let body = r#"{"code":"400302","msg":"not from your country"}"#;
            (451, "Retry-After: 1\r\n", body.to_owned())
        }
        ("/api.kucoin.com/api/v1/bullet-public", _) => (200, "", token()),
        _ => {
            let body = r#"{"code":"200000","data":{"price":"1","time":1732270000123}}"#;
            (200, "", body.to_owned())
        }
    };
    let upstream = Upstream::start(rest, |_, mut peer| {
        peer.text();
        let now = now_ms();
        peer.send(&format!(
            r#"{{"type":"message","topic":"/market/ticker:BTC-USDT","subject":"trade.ticker","data":{{"price":"3.10","time":{now}}}}}"#
        ));
        peer.next();
    });
    let settings = settings(&upstream, &["BTC/USDT"]);
    let audience = listen("kucoin+stream", &settings, |audience| {
        !audience.ticks.is_empty()
    });
    assert_eq!(audience.failures("kucoin+stream", "rate_limited"), 1);
    assert_eq!(audience.failures("kucoin+stream", "blocked"), 1);
    let asked = upstream.asked();
    let tokens = asked.iter().filter(|(_, path)| path.contains("bullet"));
    let times: Vec<_> = tokens.map(|(at, _)| *at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(2));
    assert!(times[2] - times[1] >= Duration::from_secs(1));
}

fn token() -> String {
    r#"{"code":"200000","data":{"token":"a/b","instanceServers":[
        {"endpoint":"wss://ws.kucoin.com/","pingInterval":50}]}}"#
        .to_owned()
}

#[test]
fn a_token_is_fetched_first_where_needed_and_text_pings_keep_the_stream_alive() {
    let texts: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&texts);
    let rest = |_: usize, path: &str| {
        let body = match path {
            "/api.kucoin.com/api/v1/bullet-public" => token(),
            _ => r#"{"code":"200000","data":{"price":"1","time":1732270000123}}"#.to_owned(),
        };
        (200, "", body)
    };
    let upstream = Upstream::start(rest, move |_, mut peer| {
        peer.send(r#"{"id":"x","type":"welcome"}"#);
        while let Some(text) = peer.text() {
            let is_ping = text.contains(r#""type":"ping""#);
            noted.lock().unwrap().push(text);
            let now = now_ms();
            peer.send(&if is_ping { r#"{"id":"1","type":"pong"}"#.to_owned() } else { format!(
                    r#"{{"type":"message","topic":"/market/ticker:BTC-USDT","subject":"trade.ticker","data":{{"price":"3.10","time":{now}}}}}"#
                ) });
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
    let audience = listen("binance+stream,binance", &settings, |audience| {
        audience.ticks.len() >= 2
    });
    assert_eq!(audience.received()[0], "BTC/USDT 1");
}
