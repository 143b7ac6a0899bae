//! Every client gets every tick, in order, starting with the newest one when it joins.

use std::io::Read;

use std::time::Duration;

use crate::common::{TestServer, ask, next, ticks};
use serde_json::Value;
use std::io::Write;
use testkit::frames::handshake;
use tickertape::server::Config;

#[test]
fn the_newest_tick_is_sent_together_with_the_answer() {
    let server = TestServer::start(Config::default());
    server.tick("A", 5);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    let mut stream = server.connect();
    stream.write_all(handshake("/").as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]);
    assert!(
        text.starts_with("HTTP/1.1 101") && text.contains(r#""price":5,"#),
        "{text}"
    );
}

#[test]
fn every_client_gets_every_tick_in_order() {
    // Long, so that a machine that stalls for a second causes no gap.
    let conflate_after = Duration::from_secs(60);
    let server = TestServer::start(Config {
        conflate_after,
        ..Config::default()
    });
    server.tick("A", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    let mut clients: Vec<_> = (0..50).map(|_| server.open("/")).collect();
    for price in 2..=200 {
        server.tick("A", price);
    }
    let expected: Vec<_> = (1..=200).map(|number| (number, number)).collect();
    for client in &mut clients {
        assert_eq!(ticks(client, 200), expected);
    }
}

#[test]
fn a_client_gets_the_symbols_it_requested() {
    let server = TestServer::start(Config::default());
    let mut only_b = server.open("/?symbols=B");
    let mut all = server.open("/");
    server.tick("A", 1);
    server.tick("B", 2);
    server.tick("A", 3);
    server.tick("B", 4);
    assert_eq!(ticks(&mut only_b, 2), [(1, 2), (2, 4)]);
    assert_eq!(ticks(&mut all, 4), [(1, 1), (1, 2), (2, 3), (2, 4)]);
    assert_eq!(server.metric("lists"), 2);
    only_b.close(None).unwrap();
    server.wait_for_metric("lists", |lists| lists == 1);
}

#[test]
fn subscriptions_change_while_connected() {
    let server = TestServer::start(Config::default());
    server.tick("A", 1);
    server.tick("B", 2);
    server.wait_for_metric("ticks_total", |ticks| ticks == 2);
    let mut client = server.open("/?symbols=A");
    assert_eq!(ticks(&mut client, 1), [(1, 1)]);
    let answer = ask(&mut client, r#"{"op":"subscribe","symbols":["B"],"id":1}"#);
    assert_eq!(answer["symbols"], serde_json::json!(["A", "B"]));
    assert_eq!(
        ticks(&mut client, 1),
        [(1, 2)],
        "the newest tick of the new symbol"
    );
    ask(
        &mut client,
        r#"{"op":"unsubscribe","symbols":["A"],"id":2}"#,
    );
    server.tick("A", 3);
    server.tick("B", 4);
    assert_eq!(ticks(&mut client, 1), [(2, 4)]);
    ask(
        &mut client,
        r#"{"op":"unsubscribe","symbols":["B"],"id":3}"#,
    );
    server.tick("B", 5);
    let pong = ask(&mut client, r#"{"op":"ping","id":4}"#);
    assert_eq!(
        (&pong["op"], &pong["id"]),
        (&Value::from("pong"), &Value::from(4))
    );
}

#[test]
fn a_client_that_returns_gets_what_it_missed() {
    // The client was away, not slow, so the limit for slow clients does not apply.
    let conflate_after = Duration::from_micros(1);
    let server = TestServer::start(Config {
        conflate_after,
        ..Config::default()
    });
    server.tick("A", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    let mut client = server.open("/");
    let since = next(&mut client)["sent"].as_u64().unwrap();
    drop(client);
    for price in 2..=4 {
        server.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 4);
    let mut client = server.open(&format!("/?since={since}"));
    assert_eq!(ticks(&mut client, 3), [(2, 2), (3, 3), (4, 4)]);
    let mut up_to_date = server.open(&format!("/?since={}", {
        let tick = ask(&mut client, r#"{"op":"get","symbol":"A","id":1}"#);
        tick["sent"].as_u64().unwrap()
    }));
    server.tick("A", 5);
    assert_eq!(ticks(&mut up_to_date, 1), [(5, 5)]);
}

#[test]
fn a_client_that_returns_gets_all_of_a_large_backlog() {
    let server = TestServer::start(Config::default());
    let mut client = server.open("/");
    server.tick("A", 0);
    let since = next(&mut client)["sent"].as_u64().unwrap();
    let count = 5000;
    for price in 1..=count {
        server.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == count + 1);
    let mut client = server.open(&format!("/?since={since}"));
    let expected: Vec<_> = (1..=count).map(|price| (price + 1, price)).collect();
    assert_eq!(ticks(&mut client, expected.len()), expected);
}

#[test]
fn a_get_is_never_older_than_what_was_sent() {
    let server = TestServer::start(Config::default());
    let mut client = server.open("/");
    for price in 1..=100 {
        server.tick("A", price);
        let (seen, _) = ticks(&mut client, 1)[0];
        if price % 10 == 0 {
            let got = ask(&mut client, r#"{"op":"get","symbol":"A","id":"x"}"#);
            assert!(
                got["seq"].as_u64().unwrap() >= seen && got["id"] == "x",
                "{got}"
            );
        }
    }
}

#[test]
fn stamps_and_numbers_only_grow() {
    let server = TestServer::start(Config::default());
    let mut client = server.open("/");
    for price in 1..=100 {
        server.tick(if price % 3 == 0 { "A" } else { "B" }, price);
    }
    let mut last = 0;
    for _ in 0..100 {
        let sent = next(&mut client)["sent"].as_u64().unwrap();
        assert!(sent > last);
        last = sent;
    }
}
