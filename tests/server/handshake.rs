//! Every request gets a fitting answer: pages, upgrades and rejections, within the limits.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, TestServer, next, read_to_end};
use testkit::frames::handshake;
use tickertape::server::{Config, Origins};

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn pages_are_served_and_the_connection_ends() {
    let server = TestServer::start(Config::default());
    let page = server.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<title>tickertape"));
    assert_eq!(
        status(&server.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        "200"
    );
    let head = server.ask(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        head.contains("Content-Length: ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(
        status(&server.ask(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        "404"
    );
}

#[test]
fn the_server_is_ready_once_every_symbol_has_a_price() {
    let server = TestServer::start(Config::default());
    let ready = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    server.tick("A", 1);
    assert_eq!(status(&server.ask(ready)), "503");
    server.tick("B", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 2);
    assert_eq!(status(&server.ask(ready)), "200");
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = TestServer::start(Config::default());
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in handshake("/").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[test]
fn invalid_requests_are_explained() {
    let server = TestServer::start(Config::default());
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(20_000));
    let old = handshake("/").replace("Version: 13", "Version: 12");
    let foreign = handshake("/").replace("Host: localhost", "Host: localhost\r\nOrigin: http://b");
    for (request, expected) in [
        ("\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            "405",
        ),
        ("\x16\x03\x01 a TLS hello", "400"),
        (&old, "426"),
        (&foreign, "403"),
        (&long, "431"),
        (&handshake("/?symbols=C"), "400"),
        (&(handshake("/") + "early"), "400"),
    ] {
        let answer = server.ask(request.as_bytes());
        assert_eq!(status(&answer), expected, "{request}\n{answer}");
    }
    assert!(
        server
            .ask(handshake("/?symbols=C").as_bytes())
            .contains("there are: A, B")
    );
}

#[test]
fn origins_can_be_opened() {
    let mut origins = Origins::default();
    origins.allow("http://b").unwrap();
    let server = TestServer::start(Config {
        origins,
        ..Config::default()
    });
    let mut stream = server.connect();
    let request = handshake("/").replace("Host: localhost", "Host: localhost\r\nOrigin: http://b");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[test]
fn a_silent_client_gets_408_at_the_limit() {
    let limit = Duration::from_millis(80);
    // The second limit is for clients that keep the connection open after the answer.
    let server = TestServer::start(Config {
        handshake_timeout: limit,
        close_timeout: limit,
        ..Config::default()
    });
    let began = Instant::now();
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.write_all(b"GET / HT").unwrap();
    assert_eq!(status(&read_to_end(&mut silent)), "408");
    assert_eq!(status(&read_to_end(&mut slow)), "408");
    assert!(began.elapsed() >= limit);
    server.wait_for_metric("connections", |connections| connections == 1);
}

/// Long enough for accepting to be deferred, on systems that do that.
const LONG_LIMIT: Duration = Duration::from_secs(2);

#[test]
fn the_limit_of_a_silent_client_begins_when_it_connects() {
    let server = TestServer::start(Config {
        handshake_timeout: LONG_LIMIT,
        ..Config::default()
    });
    let began = Instant::now();
    // In rare cases the system holds one back for longer than a second.
    let silent: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let mut slow = server.connect();
    slow.write_all(b"GET / HT").unwrap();
    let told = |mut stream| {
        assert_eq!(status(&read_to_end(&mut stream)), "408");
        Instant::now()
    };
    let threads: Vec<_> = silent
        .into_iter()
        .map(|stream| thread::spawn(move || told(stream)))
        .collect();
    // The system passes on a client that sends data at once, and a silent one a second later.
    // Nevertheless, the limit of both ends at the same time.
    assert_eq!(status(&read_to_end(&mut slow)), "408");
    let of_the_slow = Instant::now();
    let told = threads.into_iter().map(|told| told.join().unwrap());
    let told = told.min().unwrap();
    let (took, behind) = (told - began, told.saturating_duration_since(of_the_slow));
    assert!(took >= LONG_LIMIT, "{took:?}");
    assert!(behind < Duration::from_millis(900), "{behind:?}");
}

#[test]
fn a_late_request_is_answered() {
    let server = TestServer::start(Config {
        handshake_timeout: LONG_LIMIT,
        ..Config::default()
    });
    let began = Instant::now();
    // About when the system passes on a silent connection, and long before and after.
    let mut late: Vec<_> = [1, 300, 990, 1000, 1010, 1500]
        .map(|delay| (Duration::from_millis(delay), server.connect()))
        .into();
    for (delay, stream) in &mut late {
        thread::sleep(delay.saturating_sub(began.elapsed()));
        stream.write_all(handshake("/").as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "after {delay:?}");
    }
    server.wait_for_metric("clients", |clients| clients == late.len() as u64);
}

#[test]
fn a_client_over_the_limit_gets_503_until_others_leave() {
    let server = TestServer::start(Config {
        clients_max: Some(2),
        ..Config::default()
    });
    server.tick("A", 1);
    let mut first = server.open("/");
    next(&mut first);
    let mut second = server.connect();
    second.write_all(b"G").unwrap();
    // The second may not have been accepted yet when the third arrives, but they are in order.
    assert_eq!(status(&server.ask(handshake("/").as_bytes())), "503");
    drop(second);
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while status(&server.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")) == "503" {
        assert!(Instant::now() < deadline);
    }
}
