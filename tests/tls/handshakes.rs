//! Bytes instead of a good handshake, or within one, or instead of keys.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedCipherSuite};
use tickertape::server::Config;

use crate::common::{PATIENCE, read_to_end};
use crate::peer::{Secure, SecureServer, get, next_seq, secure, trust_with};

/// The records that a client says first.
fn hello(server: &SecureServer) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut stream = server.connect();
    stream.conn.write_tls(&mut hello).unwrap();
    hello
}

/// All that comes until the end, which may be a reset.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

fn limited() -> SecureServer {
    SecureServer::start(Config {
        // Enough for a client that does not dawdle, on any machine.
        handshake_timeout: Duration::from_millis(500),
        ..Config::default()
    })
}

#[test]
fn a_stalled_handshake_ends_at_the_limit() {
    let server = limited();
    let hello = hello(&server);
    let began = Instant::now();
    let streams = [&[][..], &hello[..hello.len() / 2], &hello].map(|said| {
        let mut stream = server.inner.connect();
        stream.write_all(said).unwrap();
        stream
    });
    for mut stream in streams {
        rest(&mut stream);
    }
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    // Only those three were late.
    server.wait_for_metric("clients", |clients| clients == 0);
    let late = "tickertape_closed_total{reason=\"handshake_timeout\"} 3";
    let page = server.get("/metrics");
    assert!(page.contains(late), "{page}");
}

#[test]
fn a_client_that_is_silent_after_the_tls_handshake_gets_408() {
    let server = limited();
    let mut stream = server.connect();
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn bytes_that_are_not_tls_are_answered_with_an_alert() {
    let server = SecureServer::start(Config::default());
    let whole = hello(&server);
    let mut broken = whole.clone();
    broken[9..].fill(0xff);
    for said in [
        // Neither a record nor a letter.
        &[0; 64][..],
        &[0xff; 20_000],
        // A record longer than there are.
        &[22, 3, 1, 0xff, 0xff],
        &broken,
        // An answer, where a question is due.
        &[23, 3, 3, 0, 1, 0],
    ] {
        let mut stream = server.inner.connect();
        stream.write_all(said).unwrap();
        let answer = rest(&mut stream);
        let first: Vec<_> = said.iter().take(5).collect();
        assert_eq!(answer.first(), Some(&21), "to {first:?}…: {answer:?}");
    }
    assert!(server.get("/healthz").ends_with("ok\n"));
}

#[test]
fn plain_http_is_told_that_this_port_speaks_tls() {
    let server = SecureServer::start(Config::default());
    let words = "this port speaks TLS: use https:// or wss://\n";
    let upgrade = testkit::frames::handshake("/");
    let post = format!("POST / HTTP/1.1\r\n\r\n{}", "x".repeat(100_000));
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G",
        &upgrade,
        &post,
    ] {
        let answer = server.inner.ask(request.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with(words), "{answer}");
    }
    let answer = server
        .inner
        .ask(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_client_over_the_limit_gets_an_alert() {
    let server = SecureServer::start(Config {
        clients_max: Some(1),
        ..Config::default()
    });
    let mut only = server.open();
    let error = server.connect().write_all(b"x").err();
    let words = error.expect("there is no room").to_string();
    assert!(words.contains("InternalError"), "{words}");
    server.inner.tick("A", 1);
    assert_eq!(next_seq(&mut only), 1);
}

#[test]
fn sessions_are_resumed() {
    let server = SecureServer::start(Config::default());
    let kind = || {
        let mut stream = server.connect();
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
        stream.conn.handshake_kind().unwrap()
    };
    assert_eq!(kind(), HandshakeKind::Full);
    assert_eq!(kind(), HandshakeKind::Resumed);
}

#[test]
fn aes_128_is_agreed_on_wherever_the_client_ranks_it() {
    let server = SecureServer::start(Config::default());
    for version in [&TLS13, &TLS12] {
        for (offered, expected) in [
            (&["AES_256", "AES_128"][..], "AES_128"),
            (&["CHACHA20", "AES_256", "AES_128"], "AES_128"),
            (&["AES_256"], "AES_256"),
        ] {
            let trust = trust_with(ranked(offered), &server.authority, &[version]);
            let mut stream = secure(server.inner.connect(), Arc::new(trust));
            stream.conn.complete_io(&mut stream.sock).unwrap();
            let agreed = stream.conn.negotiated_cipher_suite().unwrap().suite();
            let agreed = format!("{agreed:?}");
            assert!(agreed.contains(expected), "{agreed} of {offered:?}");
        }
    }
}

/// A provider of the ciphers of these names, in this order.
fn ranked(names: &[&str]) -> CryptoProvider {
    let named = |name: &&str| {
        let has_name =
            |suite: &&SupportedCipherSuite| format!("{:?}", suite.suite()).contains(*name);
        let suites = ALL_CIPHER_SUITES.iter().filter(has_name);
        suites.copied().collect::<Vec<_>>()
    };
    CryptoProvider {
        cipher_suites: names.iter().flat_map(named).collect(),
        ..rustls::crypto::ring::default_provider()
    }
}

#[test]
fn an_end_of_stream_that_comes_with_the_hello_is_noticed() {
    let server = SecureServer::start(Config {
        handshake_timeout: PATIENCE * 6,
        ..Config::default()
    });
    let hello = hello(&server);
    // Again and again, for the end is often not there when the hello is read.
    for _ in 0..50 {
        let began = Instant::now();
        let mut stream = server.inner.connect();
        stream.write_all(&hello).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest(&mut stream);
        assert!(began.elapsed() < PATIENCE);
    }
    server.wait_for_metric("connections", |connections| connections == 1);
}

#[test]
fn keys_may_be_renewed_but_not_forever() {
    let server = SecureServer::start(Config::default());
    let mut stream = server.open_raw();
    let renew = |stream: &mut Secure| {
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush()
    };
    renew(&mut stream).unwrap();
    let ping = testkit::frames::frame(0x89, b"still there?");
    stream.write_all(&ping).unwrap();
    let mut pong = [0; 14];
    stream.read_exact(&mut pong).unwrap();
    assert!(pong.ends_with(b"still there?"));

    let mut renewals = 0;
    while renewals < 1_000 && renew(&mut stream).is_ok() {
        renewals += 1;
    }
    rest(&mut stream);
    server.wait_for_metric("clients", |clients| clients == 0);
    let page = server.get("/metrics");
    assert!(page.contains("closed_total{reason=\"tls\"} 1"), "{page}");
}

#[test]
fn an_end_of_stream_without_close_notify_is_an_end() {
    let server = SecureServer::start(Config::default());
    let stream = server.open_raw();
    server.wait_for_metric("clients", |clients| clients == 1);
    stream.sock.shutdown(Shutdown::Write).unwrap();
    server.wait_for_metric("clients", |clients| clients == 0);
    drop(stream);
}

#[test]
fn many_handshakes_at_once_all_succeed() {
    let server = SecureServer::start(Config::default());
    let hello = hello(&server);
    let strangers: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = server.inner.connect();
            stream.write_all(&hello).unwrap();
            stream
        })
        .collect();
    for mut stranger in strangers {
        // The server's hello: a handshake record.
        let mut first = [0];
        stranger.read_exact(&mut first).unwrap();
        assert_eq!(first, [22]);
        stranger.shutdown(Shutdown::Write).unwrap();
        read_to_end(&mut stranger);
    }
    let stream = crate::peer::connect(server.inner.address, &Arc::clone(&server.trust));
    assert!(get(stream, "/healthz").ends_with("ok\n"));
}
