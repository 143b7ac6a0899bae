//! `/metrics` and `/readyz`: their pages are well-formed, exact and about the right things.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, TestServer, ask, ticks};
use crate::exposition::Page;
use tickertape::server::Config;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The head and the body of the answer to a request for the page.
fn page(server: &TestServer, method: &str, accept: &str) -> (String, String) {
    let request =
        format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    let answer = server.ask(request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn read(server: &TestServer) -> Page {
    Page::read(&page(server, "GET", "*/*").1).unwrap()
}

/// A server that has counted some of everything.
fn busy() -> TestServer {
    let server = TestServer::with_symbols(Config::default(), &["A", "B \"quoted\\\n\""]);
    server.tick("A", 1);
    let mut client = server.open("/");
    ticks(&mut client, 1);
    server.ask(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server
}

#[test]
fn the_page_is_in_the_classic_format_whatever_is_requested() {
    let server = busy();
    for accept in [
        "*/*",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    ] {
        let (head, body) = page(&server, "GET", accept);
        let content_type = format!("\r\nContent-Type: {CONTENT_TYPE}\r\n");
        assert!(head.contains(&content_type), "{head}");
        let page = Page::read(&body).unwrap();
        let name = [("symbol", "B \"quoted\\\n\"")];
        assert_eq!(page.sum("tickertape_symbol_ticks_total", &name), 0.0);
    }
}

#[test]
fn the_checker_of_pages_finds_every_violation() {
    let good = "# HELP a_total help\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    Page::read(good).unwrap();
    for (from, to) in [
        ("help\n", "\n"),
        ("# HELP a_total help\n", ""),
        ("counter", "gauge"),
        ("1\n", "-1\n"),
        ("1\n", "one\n"),
        ("1\n", "1"),
        ("1\n", "1\n\n"),
        ("1\n", "1\na_total{b=\"c\"} 1\n"),
        ("\"c\"", "\"c\" "),
        ("\"c\"", "\"\\c\""),
        ("\"c\"", "\"\"c\""),
        ("{b=", "{b-c="),
        ("a_total", "a_ms_total"),
        ("a_total", "a"),
        ("1\n", "1\n# EOF\n"),
    ] {
        let bad = good.replace(from, to);
        assert!(Page::read(&bad).is_err(), "{bad}");
    }
    let head = "# HELP h help\n# TYPE h histogram\n";
    let good =
        format!("{head}h_sum 1\nh_count 2\nh_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\n");
    Page::read(&good).unwrap();
    for (from, to) in [
        ("t 2", "t 3"),
        ("} 1", "} 3"),
        ("\"1\"", "\"inf\""),
        ("h_sum 1\n", ""),
    ] {
        let bad = good.replace(from, to);
        assert!(Page::read(&bad).is_err(), "{bad}");
    }
}

#[test]
fn promtool_accepts_the_page() {
    let server = busy();
    let mut promtool = match Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(promtool) => promtool,
        // Optional for contributors, but required in CI.
        Err(error) => {
            assert!(!testkit::needs_all_tools(), "promtool: {error}");
            return eprintln!("promtool is missing, so it checks nothing: {error}");
        }
    };
    let (_, body) = page(&server, "GET", "*/*");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(body.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_answer_to_head_has_no_body() {
    let server = busy();
    let (head, body) = page(&server, "HEAD", "*/*");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    assert!(body.is_empty() && length > 1000, "{head}");
}

/// Checks the invariants of every page.
fn check_balance(page: &Page) {
    let sum = |name: &str| page.sum(&format!("tickertape_{name}"), &[]);
    let closed = |reason| page.sum("tickertape_closed_total", &[("reason", reason)]);
    let (clients, handshaking) = (sum("clients"), sum("handshaking_connections"));
    let accepted = sum("accepted_total");
    assert_eq!(accepted, clients + handshaking + sum("closed_total"));
    let refused = closed("refused") + closed("handshake_timeout");
    assert_eq!(sum("refused_total"), refused);
    assert!(sum("connections") >= clients + handshaking);
    assert!(sum("opened_total") >= clients);
    assert!(sum("slow_clients") <= clients);
}

#[test]
fn every_connection_is_accounted_for_under_churn() {
    let server = TestServer::start(Config {
        clients_max: Some(30),
        handshake_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    let mut kept = Vec::new();
    let mut silent = Vec::new();
    for round in 0_u8..12 {
        kept.push(server.open("/"));
        drop(server.open("/?symbols=A"));
        let mut leaving = server.open("/");
        leaving.close(None).unwrap();
        leaving.flush().unwrap();
        silent.push(server.connect());
        for request in ["GET /nowhere", "DELETE /", "GET /healthz", "what is this"] {
            let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            server.ask(request.as_bytes());
        }
        let mut rude = server.open_raw();
        rude.write_all(&testkit::frames::frame(0x82, b"binary"))
            .unwrap();
        server.tick("A", round.into());
        // The request itself may be refused, in which case there is no page to check.
        let (head, body) = page(&server, "GET", "*/*");
        if head.starts_with("HTTP/1.1 200 ") {
            check_balance(&Page::read(&body).unwrap());
        }
    }
    // More connections at once than there is room for.
    let crowd: Vec<_> = (0..30).map(|_| server.connect()).collect();
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    let end = loop {
        let (head, body) = page(&server, "GET", "*/*");
        assert!(Instant::now() < deadline, "{head}\n{body}");
        if !head.starts_with("HTTP/1.1 200 ") {
            continue;
        }
        let page = Page::read(&body).unwrap();
        check_balance(&page);
        // The connection that asks is neither a client nor closed yet.
        if page.sum("tickertape_connections", &[]) == kept.len() as f64 + 1.0 {
            break page;
        }
    };
    let refused = |cause| end.sum("tickertape_refused_total", &[("cause", cause)]);
    assert_eq!(end.sum("tickertape_clients", &[]), kept.len() as f64);
    assert_eq!((refused("not_found"), refused("method")), (12.0, 12.0));
    assert!(refused("full") > 0.0 && refused("timeout") > 0.0);
    let binary = end.sum("tickertape_closed_total", &[("reason", "binary")]);
    assert_eq!(binary, 12.0);
    assert_eq!(end.sum("tickertape_ticks_total", &[]), 12.0);
}

#[test]
fn deliveries_are_counted_one_by_one() {
    let server = TestServer::start(Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    });
    let mut clients: Vec<_> = (0..7).map(|_| server.open("/")).collect();
    let mut other = server.open("/?symbols=B");
    for price in 0..100 {
        server.tick("A", price);
    }
    server.tick("B", 1);
    for client in &mut clients {
        ticks(client, 101);
    }
    ticks(&mut other, 1);
    // An answer to a request is not a delivery.
    ask(&mut other, r#"{"op":"ping","id":1}"#);
    let page = read(&server);
    assert_eq!(
        page.sum("tickertape_deliveries_total", &[]),
        7.0 * 101.0 + 1.0
    );
    assert_eq!(page.sum("tickertape_messages_total", &[]), 1.0);
    let symbol = |name| page.sum("tickertape_symbol_ticks_total", &[("symbol", name)]);
    assert_eq!((symbol("A"), symbol("B")), (100.0, 1.0));
}

#[test]
fn readyz_says_what_is_missing_within_limits() {
    let symbols: Vec<_> = (0..1000).map(|number| format!("S{number:0>3}")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(Config::default(), &symbols);
    server.tick("S000", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    assert_eq!(server.metric("ready"), 0);
    let answer = server.ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with("S001: no price yet\n"), "{body}");
    assert!(body.ends_with("\nand 979 more\n"), "{body}");
    assert_eq!(body.lines().count(), 21);
}

#[test]
fn the_page_describes_the_loop_and_the_process() {
    let server = busy();
    let page = read(&server);
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "tickertape_loop_turn_seconds_count",
        "tickertape_loop_lateness_seconds_count",
        "tickertape_build_info",
    ] {
        assert!(page.sum(name, &[]) > 0.0, "{name}");
    }
    let now = tickertape::tick::unix_us() as f64 / 1e6;
    let age = page.sum("tickertape_newest_tick_age_seconds", &[("symbol", "A")]);
    let started = page.sum("process_start_time_seconds", &[]);
    assert!((0.0..PATIENCE.as_secs_f64()).contains(&age), "{age}");
    assert!(started < now && now - started < 3600.0, "{started}");
}

#[test]
fn clients_that_do_not_read_the_page_take_bounded_memory() {
    let symbols: Vec<_> = (0..1000).map(|number| format!("{number:0>60}")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(
        Config {
            // No connection may be dropped before the last one arrives, on the slowest machine.
            close_timeout: 12 * PATIENCE,
            ..Config::default()
        },
        &symbols,
    );
    let ask = |buffer: usize| -> (TcpStream, [u8; 12]) {
        let mut stream = server.connect();
        let socket = socket2::SockRef::from(&stream);
        socket.set_recv_buffer_size(buffer).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, answer)
    };
    let (mut first, answer) = ask(64 << 10);
    assert_eq!(&answer, b"HTTP/1.1 200");
    // The server keeps what each does not read; when that is enough, further ones get 503.
    let mut others = Vec::new();
    loop {
        let (stream, answer) = ask(4096);
        if answer == *b"HTTP/1.1 503" {
            break;
        }
        others.push(stream);
        assert!(others.len() < 500, "there is no end to it");
    }
    let mut rest = String::new();
    first.read_to_string(&mut rest).unwrap();
    let (_, body) = rest.split_once("\r\n\r\n").unwrap();
    Page::read(body).unwrap();
}
