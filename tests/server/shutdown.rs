//! Shutdown: every client gets 1001, and the server ends in time.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, TestServer, closed_with, process, read_to_end, ticks};
use rustix::process::Signal;
use socket2::SockRef;
use tickertape::server::Config;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

#[test]
fn every_client_gets_the_last_tick_and_1001() {
    // The limits are so long that only the last client's end can end the server.
    let server = TestServer::start(Config {
        drain: Duration::ZERO,
        close_timeout: 6 * PATIENCE,
        shutdown_timeout: 6 * PATIENCE,
        ..Config::default()
    });
    let mut clients: Vec<_> = (0..20).map(|_| server.open("/")).collect();
    let mut waiting = server.connect();
    waiting.write_all(b"G").unwrap();
    server.wait_for_metric("clients", |clients| clients == 20);
    server.tick("A", 1);
    server.shut_down();
    for client in &mut clients {
        assert_eq!(ticks(client, 1), [(1, 1)]);
        assert_eq!(closed_with(client), CloseCode::Away);
        client.flush().ok();
    }
    assert!(read_to_end(&mut waiting).starts_with("HTTP/1.1 503 "));
    let address = server.address;
    drop((clients, waiting));
    server.join();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn clients_that_do_not_close_delay_the_shutdown_to_its_limit_only() {
    let shutdown_timeout = Duration::from_millis(150);
    let server = TestServer::start(Config {
        drain: Duration::ZERO,
        close_timeout: 6 * PATIENCE,
        shutdown_timeout,
        ..Config::default()
    });
    let silent = server.open_raw();
    server.wait_for_metric("clients", |clients| clients == 1);
    let began = Instant::now();
    server.shut_down();
    server.join();
    let took = began.elapsed();
    let soon = shutdown_timeout + Duration::from_secs(2);
    assert!((shutdown_timeout..soon).contains(&took), "{took:?}");
    drop(silent);
}

#[test]
fn a_client_that_lags_gets_1001_when_it_reads_again() {
    let server = TestServer::start(Config {
        tape_size: 64 << 10,
        send_buffer: 8 << 10,
        conflate_after: Duration::from_millis(1),
        drain: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(10),
        ..Config::default()
    });
    let mut slow = server.open("/");
    SockRef::from(slow.get_ref())
        .set_recv_buffer_size(4096)
        .unwrap();
    for price in 0..20_000 {
        server.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 20_000);
    server.shut_down();
    assert_eq!(closed_with(&mut slow), CloseCode::Away);
    slow.flush().ok();
    drop(slow);
    server.join();
}

#[test]
fn closes_are_spread_over_the_drain_and_ticks_go_on_until_then() {
    const CLIENTS: usize = 60;
    let server = TestServer::start(Config {
        drain: Duration::from_millis(600),
        ..Config::default()
    });
    let clients: Vec<_> = (0..CLIENTS).map(|_| server.open("/")).collect();
    let threads: Vec<_> = clients
        .into_iter()
        .map(|client| std::thread::spawn(|| last_tick(client)))
        .collect();
    server.shut_down();
    // The server ends when the last client has gone.
    for price in 1.. {
        if !server.offer("A", price) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut last: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    server.join();
    last.sort_unstable();
    let most_at_once = last.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
    assert!(most_at_once < Some(CLIENTS / 3), "{last:?}");
    assert!(last[CLIENTS - 1] - last[0] > 10, "{last:?}");
}

/// The number of the last tick before 1001. Ticks before that have no gaps.
fn last_tick(mut client: crate::common::Client) -> u64 {
    let mut last = 0;
    loop {
        match client.read().unwrap() {
            Message::Text(text) => {
                let tick: serde_json::Value = serde_json::from_str(&text).unwrap();
                let seq = tick["seq"].as_u64().unwrap();
                assert!(last == 0 || seq == last + 1, "{seq} behind {last}");
                last = seq;
            }
            Message::Close(Some(close)) => {
                assert_eq!(close.code, CloseCode::Away);
                client.flush().ok();
                return last;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_client_is_admitted_during_the_drain_and_a_second_signal_ends_it() {
    let mut server = crate::common::process(&["--drain", "1h", "--interval", "1h"]);
    let open = || {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/", server.address);
        tungstenite::client(url, stream).unwrap().0
    };
    let mut clients = [open(), open()];
    server.signal(Signal::TERM);
    server.wait_for("shutting down, 2 clients");
    // One of them is closed at once, the other one half an hour later.
    let codes = clients.each_mut().map(|client| {
        let stream = client.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        loop {
            match client.read() {
                Ok(Message::Close(close)) => return close.map(|close| close.code),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    });
    assert!(codes.contains(&Some(CloseCode::Away)), "{codes:?}");
    assert!(TcpStream::connect(&server.address).is_err());
    server.signal(Signal::TERM);
    let (status, log) = server.wait();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn sighup_without_anything_to_reload_is_logged() {
    let mut server = process(&["--drain", "0s"]);
    let url = format!("ws://{}/", server.address);
    let mut client = tungstenite::client(url, server.connect()).unwrap().0;
    server.signal(Signal::HUP);
    server.wait_for("nothing to reload");
    assert!(client.read().unwrap().is_text());
    server.signal(Signal::TERM);
    assert_eq!(closed_with(&mut client), CloseCode::Away);
    client.flush().ok();
    drop(client);
    assert_eq!(server.wait().0, Some(0));
}
