//! A client that does not read does not affect others: it is conflated, then dropped.

use std::time::Duration;

use crate::common::{Client, TestServer, next, ticks};
use socket2::SockRef;
use tickertape::server::Config;
use tungstenite::Message;

/// Opens a client with a small receive buffer, so that a test can fill it.
fn open_narrow(server: &TestServer) -> Client {
    let client = server.open("/");
    SockRef::from(client.get_ref())
        .set_recv_buffer_size(4096)
        .unwrap();
    client
}

fn config() -> Config {
    Config {
        tape_size: 256 << 10,
        send_buffer: 8 << 10,
        ..Config::default()
    }
}

#[test]
fn a_client_that_falls_behind_skips_to_the_newest_tick_of_each_symbol() {
    let server = TestServer::start(config());
    let mut slow = open_narrow(&server);
    let mut good = server.open("/");
    server.tick("B", 7);
    let last = 20_000;
    for price in 1..=last {
        server.tick("A", price);
        if price % 100 == 0 {
            // The good client keeps up and misses no tick.
            let expected = if price == 100 { 101 } else { 100 };
            ticks(&mut good, expected);
        }
    }
    let (mut seen_a, mut gaps, mut seen_b) = (0, 0, 0);
    while seen_a < last {
        let tick = next(&mut slow);
        let seq = tick["seq"].as_u64().unwrap();
        if tick["symbol"] == "B" {
            seen_b += 1;
            continue;
        }
        assert!(seq > seen_a, "{seq} after {seen_a}");
        gaps += u64::from(seq > seen_a + 1);
        seen_a = seq;
    }
    assert!(gaps >= 1, "nothing was skipped");
    assert_eq!(seen_b, 1, "ticks already seen are not sent again");
    assert!(server.metric("conflated_total") >= 1);
}

#[test]
fn a_client_that_stops_reading_is_dropped_at_the_limit_and_others_continue() {
    let slow_timeout = Duration::from_millis(200);
    let server = TestServer::start(Config {
        slow_timeout,
        ..config()
    });
    let stuck = open_narrow(&server);
    let mut good = server.open("/");
    let mut price = 0;
    while server.metric("clients") == 2 {
        for _ in 0..200 {
            price += 1;
            server.tick("A", price);
        }
        ticks(&mut good, 200);
    }
    assert_eq!(server.metric("clients"), 1);
    server.tick("A", price + 1);
    assert_eq!(ticks(&mut good, 1), [(price + 1, price + 1)]);
    drop(stuck);
}

#[test]
fn the_server_stops_reading_a_client_that_does_not_read_answers() {
    let server = TestServer::start(Config {
        message_burst: 1e6,
        ..config()
    });
    let mut client = server.open("/");
    let request = r#"{"op":"get","symbol":"Z","id":"ID"}"#;
    let count = 3000;
    for id in 0..count {
        let request = request.replace("ID", &format!("{id:0>500}"));
        // The server reads until its answers find no room; then its own buffers fill, and the
        // writes here would block, so that the client begins to read.
        client.write(Message::text(request)).unwrap();
        if id % 4 == 3 {
            client.flush().unwrap();
            if id >= 800 {
                read_answers(&mut client, id - 803, 4);
            }
        }
    }
    client.flush().unwrap();
    read_answers(&mut client, count - 800, 800);
}

fn read_answers(client: &mut Client, first: usize, count: usize) {
    for id in first..first + count {
        let answer = next(client);
        assert_eq!(answer["id"], format!("{id:0>500}"));
    }
}
