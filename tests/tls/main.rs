//! TLS for clients: wss and https, what broken and hostile peers do to it, and certificates that
//! change while clients are served.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]
#![allow(unreachable_pub, reason = "each test is a crate of its own")]

#[path = "../common/mod.rs"]
mod common;
mod handshakes;
mod identities;
mod peer;
mod reload;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PATIENCE, read_to_end};
use peer::{Dribble, SecureServer, closed_with, next_seq, secure, trust};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use socket2::SockRef;
use tickertape::client::config::url::Url;
use tickertape::client::config::{Access, Config as LoadConfig};
use tickertape::server::Config;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

#[test]
fn ticks_come_over_both_versions_of_tls() {
    let server = SecureServer::start(Config::default());
    for (ticks, version, named) in [
        (1, &TLS12, ProtocolVersion::TLSv1_2),
        (2, &TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut config = trust(&server.authority, &[version]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = secure(server.inner.connect(), Arc::new(config));
        let url = format!("wss://{}/", server.inner.address);
        let (mut client, _) = tungstenite::client(url, stream).unwrap();
        let session = &client.get_ref().conn;
        assert_eq!(session.protocol_version(), Some(named));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        server.inner.tick("A", 1);
        // The one before it may come first.
        while next_seq(&mut client) < ticks {}
        let request = r#"{"op":"ping","id":1}"#;
        client.send(Message::text(request)).unwrap();
        let pong = client.read().unwrap().into_text().unwrap();
        assert!(pong.contains(r#""op":"pong""#), "{pong}");
    }
}

#[test]
fn pages_come_over_https_and_end_with_close_notify() {
    let server = SecureServer::start(Config::default());
    for (path, words) in [
        ("/", "<!doctype html>"),
        ("/metrics", "tickertape_clients"),
        ("/healthz", "ok\n"),
    ] {
        let answer = server.get(path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(words), "{answer}");
    }
}

#[test]
fn records_may_arrive_byte_by_byte() {
    let server = SecureServer::start(Config::default());
    let stream = server.inner.connect();
    stream.set_nodelay(true).unwrap();
    let stream = secure(Dribble(stream), Arc::clone(&server.trust));
    let url = format!("wss://{}/", server.inner.address);
    let (mut client, _) = tungstenite::client(url, stream).unwrap();
    server.inner.tick("A", 1);
    assert_eq!(next_seq(&mut client), 1);
    client.close(None).unwrap();
    while client.read().is_ok() {}
    server.wait_for_metric("clients", |clients| clients == 0);
}

#[test]
fn a_client_that_does_not_read_skips_to_now_and_gets_whole_frames() {
    let server = SecureServer::start(Config {
        tape_size: 64 << 10,
        send_buffer: 8 << 10,
        conflate_after: Duration::from_millis(1),
        ..Config::default()
    });
    let mut slow = server.open();
    SockRef::from(&slow.get_ref().sock)
        .set_recv_buffer_size(4096)
        .unwrap();
    let last = 20_000;
    for price in 0..last {
        server.inner.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == last);
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        seqs.push(next_seq(&mut slow));
    }
    assert!(seqs.is_sorted_by(|one, next| one < next));
    assert!((seqs.len() as u64) < last, "nothing was skipped");
}

#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let server = SecureServer::start(Config {
        send_buffer: 8 << 10,
        slow_timeout: Duration::from_millis(200),
        ..Config::default()
    });
    let stuck = server.open_raw();
    SockRef::from(&stuck.sock)
        .set_recv_buffer_size(4096)
        .unwrap();
    let dropped = "tickertape_closed_total{reason=\"slow\"} 1";
    let deadline = Instant::now() + PATIENCE;
    while !server.get("/metrics").contains(dropped) {
        (0..1_000).for_each(|price| server.inner.tick("A", price));
        assert!(Instant::now() < deadline, "it is still there");
    }
    drop(stuck);
}

#[test]
fn many_ticks_come_whole_and_in_order() {
    let server = SecureServer::start(Config::default());
    let mut client = server.open();
    for price in 0..5_000 {
        server.inner.tick("A", price);
    }
    let seqs: Vec<_> = (0..5_000).map(|_| next_seq(&mut client)).collect();
    assert!(seqs.iter().copied().eq(1..=5_000));
}

#[test]
fn a_record_that_holds_more_than_one_read_is_read_to_its_end() {
    let server = SecureServer::start(Config {
        message_burst: 5_000.0,
        ..Config::default()
    });
    let mut stream = server.open_raw();
    // Four records of the greatest length at once: no event announces those behind the first.
    let request = testkit::frames::frame(0x81, br#"{"op":"ping","id":1}"#);
    let count = 4 * 16_384 / request.len();
    stream.conn.set_buffer_limit(None);
    let requests: Vec<u8> = request.repeat(count);
    stream.conn.writer().write_all(&requests).unwrap();
    stream.flush().unwrap();
    let mut answers = 0;
    let mut seen = Vec::new();
    while answers < count {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
        answers = seen.windows(6).filter(|part| part == b"\"pong\"").count();
    }
    assert_eq!(answers, count);
}

#[test]
fn everybody_gets_1001_and_the_end_of_tls_at_shutdown() {
    let server = SecureServer::start(Config::default());
    let mut clients: Vec<_> = (0..5).map(|_| server.open()).collect();
    // It has no more than begun to agree on keys.
    let mut securing = server.inner.connect();
    securing.write_all(&[22]).unwrap();
    server.wait_for_metric("clients", |clients| clients == 5);
    server.inner.tick("A", 1);
    server.inner.shut_down();
    for client in &mut clients {
        assert_eq!(next_seq(client), 1);
        assert_eq!(closed_with(client), CloseCode::Away);
    }
    // Without keys this one cannot be told anything.
    assert_eq!(read_to_end(&mut securing), "");
    drop((clients, securing));
    server.inner.join();
}

#[test]
fn the_load_client_measures_it() {
    let server = SecureServer::start(Config::default());
    let url = format!("wss://{}/", server.inner.address);
    let config = LoadConfig {
        // Time for two handshakes, on any machine.
        duration: Duration::from_secs(1),
        clients: 2,
        access: Access {
            ca: Some(server.folder.path("ca.pem")),
            ..Access::default()
        },
        ..LoadConfig::new(Url::parse(&url).unwrap())
    };
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| tickertape::client::run(config, None).unwrap());
        let mut price = 0;
        while !running.is_finished() {
            price += 1;
            server.inner.tick("A", price);
            std::thread::sleep(Duration::from_millis(5));
        }
        running.join().unwrap()
    });
    assert_eq!(report.errors.total, 0, "{:?}", report.errors);
    assert_eq!(report.losses.gaps, 0);
    assert!(report.counters.ticks > 0);
    assert_eq!(report.error(), None);
}
