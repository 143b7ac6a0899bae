//! Server-sent events: the ticks of the tape in the framing that browsers' `EventSource` reads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::common::{TestServer, next, ticks};
use serde_json::Value;
use socket2::SockRef;
use tickertape::server::{Config, Origins};

/// A client of a stream.
struct Events {
    head: String,
    lines: BufReader<TcpStream>,
}

/// An event, or a comment.
#[derive(Debug, PartialEq)]
struct Event {
    id: Option<u64>,
    kind: Option<String>,
    data: Value,
}

impl Events {
    fn open(server: &TestServer, path: &str, headers: &str) -> Self {
        Self::open_at(server.connect(), path, headers)
    }

    fn open_at(mut stream: TcpStream, path: &str, headers: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self { head, lines }
    }

    /// The lines up to the next empty one; `None` at the end of the stream.
    fn block(&mut self) -> Option<Vec<String>> {
        let mut block = Vec::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                assert!(block.is_empty(), "torn: {block:?}");
                return None;
            }
            match line.strip_suffix('\n').expect("a whole line") {
                "" => return Some(block),
                line => block.push(line.to_owned()),
            }
        }
    }

    /// The next event, and how many comments came before it.
    fn next_with_comments(&mut self) -> (Option<Event>, usize) {
        let mut comments = 0;
        while let Some(block) = self.block() {
            let mut event = Event {
                id: None,
                kind: None,
                data: Value::Null,
            };
            for line in &block {
                match line.split_once(": ") {
                    Some(("id", id)) => event.id = Some(id.parse().unwrap()),
                    Some(("event", kind)) => event.kind = Some(kind.to_owned()),
                    Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                    Some(("retry", _)) => {}
                    _ => {
                        assert_eq!(line, ":");
                        comments += 1;
                    }
                }
            }
            if !event.data.is_null() {
                return (Some(event), comments);
            }
        }
        (None, comments)
    }

    fn next(&mut self) -> Event {
        self.next_with_comments().0.expect("an event")
    }

    /// The numbers and prices of the next ticks.
    fn ticks(&mut self, count: usize) -> Vec<(u64, u64)> {
        let numbers = |event: Event| {
            assert_eq!(event.id, event.data["sent"].as_u64());
            let number = |name: &str| event.data[name].as_u64().unwrap();
            (number("seq"), number("price"))
        };
        (0..count).map(|_| numbers(self.next())).collect()
    }

    fn stream(&self) -> &TcpStream {
        self.lines.get_ref()
    }
}

#[test]
fn a_stream_begins_with_the_newest_ticks_and_goes_on_with_the_very_bytes_of_the_tape() {
    let server = TestServer::start(Config::default());
    server.tick("A", 1);
    let mut websocket = server.open("/");
    let first = next(&mut websocket);
    let mut events = Events::open(&server, "/sse", "");
    assert!(
        events.head.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        events.head
    );
    assert!(
        events
            .head
            .contains("\r\nContent-Type: text/event-stream; charset=utf-8\r\n")
    );
    assert_eq!(events.next().data, first);
    server.tick("B", 2);
    let tick = websocket.read().unwrap().into_text().unwrap();
    let sent: Value = serde_json::from_str(&tick).unwrap();
    let block = events.block().unwrap();
    assert_eq!(
        block,
        [format!("id: {}", sent["sent"]), format!("data: {tick}")]
    );
    assert_eq!(server.metric("event_streams"), 1);
    assert_eq!(server.metric("clients"), 2);
    drop(events);
    server.wait_for_metric("event_streams", |count| count == 0);
    server.wait_for_metric(r#"closed_total{reason="closed_by_client"}"#, |count| {
        count == 1
    });
}

#[test]
fn who_comes_back_with_the_last_id_misses_and_repeats_nothing() {
    let server = TestServer::start(Config::default());
    let mut expected = 1;
    let mut last_id = String::new();
    let mut price = 0;
    for round in 0..20 {
        // The address has an old stamp: that of the header counts.
        let path = if round == 0 { "/sse" } else { "/sse?since=1" };
        let mut events = Events::open(&server, path, &last_id);
        for _ in 0..30 {
            price += 1;
            server.tick("A", price);
        }
        // It goes away with ticks unread, in the middle of one even, except the last time.
        let is_last = round == 19;
        let count = if is_last { 601 - expected } else { 7 };
        for _ in 0..count {
            let event = events.next();
            assert_eq!(event.data["seq"], expected);
            last_id = format!("Last-Event-ID: {}\r\n", event.id.unwrap());
            expected += 1;
        }
        if !is_last {
            events.lines.read_exact(&mut [0; 5]).unwrap();
        }
    }
    assert_eq!(expected, 601);
}

#[test]
fn lists_rates_and_json_lists_are_asked_for_as_on_the_websocket() {
    let server = TestServer::with_symbols(Config::default(), &["A", "B", "C"]);
    for (symbol, price) in [("A", 1), ("B", 2), ("C", 3)] {
        server.tick(symbol, price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 3);
    let mut some = Events::open(&server, "/sse?symbols=A,C", "");
    assert_eq!(some.ticks(2), [(1, 1), (1, 3)]);
    let mut lists = Events::open(&server, "/sse?batch", "");
    let list = lists.next();
    let stamps = list.data.as_array().unwrap();
    assert_eq!(stamps.len(), 3);
    assert_eq!(list.id, stamps[2]["sent"].as_u64());
    let mut paced = Events::open(&server, "/sse?symbols=A&every=100ms", "");
    assert_eq!(paced.ticks(1), [(1, 1)]);
    for price in 2..=50 {
        server.tick("A", price);
    }
    let mut count = 0;
    while paced.ticks(1) != [(50, 50)] {
        count += 1;
    }
    assert!(count < 20, "{count}");
    assert_eq!(some.ticks(49).last(), Some(&(50, 50)));
}

#[test]
fn news_of_symbols_have_their_type() {
    let server = TestServer::start(Config::default());
    server.tick("A", 1);
    let mut events = Events::open(&server, "/sse?symbols=*", "");
    assert_eq!(events.ticks(1), [(1, 1)]);
    server.delist("A");
    let event = events.next();
    assert_eq!((event.id, event.kind.as_deref()), (None, Some("delisted")));
    assert_eq!(event.data["symbol"], "A");
}

#[test]
fn a_silent_stream_gets_comments_and_owes_no_answer() {
    let beat = Duration::from_millis(100);
    let server = TestServer::start(Config {
        ping_interval: beat,
        ping_timeout: beat,
        ..Config::default()
    });
    let mut events = Events::open(&server, "/sse", "");
    let mut comments = 0;
    while comments < 5 {
        let block = events.block().expect("it goes on");
        comments += block.iter().filter(|line| *line == ":").count();
    }
    server.tick("A", 1);
    assert_eq!(events.ticks(1), [(1, 1)]);
}

#[test]
fn the_last_event_says_why_the_stream_ends() {
    let server = TestServer::start(Config::default());
    let mut events = Events::open(&server, "/sse", "");
    server.tick("A", 1);
    assert_eq!(events.ticks(1), [(1, 1)]);
    server.shut_down();
    let event = events.next();
    assert_eq!(event.kind.as_deref(), Some("close"));
    assert_eq!(event.data["code"], 1001);
    assert_eq!(events.block(), None);
    drop(events);
    server.join();
}

#[test]
fn a_client_that_says_more_than_its_request_is_closed() {
    let server = TestServer::start(Config::default());
    let mut events = Events::open(&server, "/sse", "");
    events.stream().write_all(b"GET /sse HTTP/1.1\r\n").unwrap();
    let event = events.next();
    assert_eq!(event.kind.as_deref(), Some("close"));
    assert_eq!(event.data["code"], 1008);
    assert_eq!(events.block(), None);
    let both =
        b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\nGET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(server.ask(both).starts_with("HTTP/1.1 400 "));
}

#[test]
fn requests_that_get_no_stream_are_told_why() {
    let server = TestServer::start(Config::default());
    for (request, status, words) in [
        ("HEAD /sse HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, ""),
        (
            "GET /sse?symbols=X HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
            "X",
        ),
        (
            "GET /sse?since=x HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
            "since",
        ),
        (
            "GET /sse?evry=1s HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
            "every",
        ),
        (
            "GET /sse HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: x\r\n\r\n",
            400,
            "Last-Event-ID",
        ),
        (
            "GET /sse HTTP/1.1\r\nHost: localhost\r\nOrigin: http://b\r\n\r\n",
            403,
            "--allow-origin",
        ),
    ] {
        let answer = server.ask(request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains(words), "{answer}");
    }
    assert_eq!(server.metric("event_streams"), 0);
}

#[test]
fn a_page_that_may_connect_may_read_the_stream() {
    let mut listed = Origins::default();
    listed.allow("http://b").unwrap();
    for (origins, expected) in [
        (listed, "\r\nAccess-Control-Allow-Origin: http://b\r\n"),
        (Origins::any(), "\r\nAccess-Control-Allow-Origin: *\r\n"),
    ] {
        let server = TestServer::start(Config {
            origins,
            ..Config::default()
        });
        let events = Events::open(&server, "/sse", "Origin: http://b\r\n");
        assert!(events.head.contains(expected), "{}", events.head);
    }
}

/// Opens a stream with a small receive buffer, so that a test can fill it.
fn open_narrow(server: &TestServer) -> Events {
    let events = Events::open(server, "/sse", "");
    let socket = SockRef::from(events.stream());
    socket.set_recv_buffer_size(4096).unwrap();
    events
}

fn narrow(slow_timeout: Duration) -> TestServer {
    TestServer::start(Config {
        tape_size: 256 << 10,
        send_buffer: 8 << 10,
        slow_timeout,
        ..Config::default()
    })
}

#[test]
fn a_stream_that_falls_behind_skips_to_the_newest_ticks() {
    let server = narrow(Duration::from_secs(30));
    let mut slow = open_narrow(&server);
    let mut good = server.open("/");
    let last = 20_000;
    for price in 1..=last {
        server.tick("A", price);
        if price % 100 == 0 {
            ticks(&mut good, 100);
        }
    }
    let (mut seq, mut gaps) = (0, 0);
    while seq < last {
        let (next, _) = slow.ticks(1)[0];
        assert!(next > seq, "{next} after {seq}");
        gaps += u64::from(next > seq + 1);
        seq = next;
    }
    assert!(gaps >= 1, "nothing was skipped");
    assert!(server.metric("conflated_total") >= 1);
}

#[test]
fn a_stream_that_is_not_read_ends_at_the_limit_and_others_go_on() {
    let server = narrow(Duration::from_millis(200));
    let stuck = open_narrow(&server);
    let mut good = server.open("/");
    let mut price = 0;
    while server.metric("event_streams") == 1 {
        for _ in 0..200 {
            price += 1;
            server.tick("A", price);
        }
        ticks(&mut good, 200);
    }
    server.tick("A", price + 1);
    assert_eq!(ticks(&mut good, 1), [(price + 1, price + 1)]);
    drop(stuck);
}

#[test]
fn a_client_that_ends_its_side_has_left() {
    let server = TestServer::start(Config::default());
    let mut events = Events::open(&server, "/sse", "");
    events.stream().shutdown(Shutdown::Write).unwrap();
    while events.block().is_some() {}
    server.wait_for_metric("event_streams", |count| count == 0);
}

#[test]
fn stale_and_live_prices_are_told() {
    let mut shell = std::process::Command::new("sh");
    let script =
        r#"tick='{"symbol":"A/USDT","price":1}'; echo "$tick"; sleep 2; echo "$tick"; cat"#;
    let mut shell = shell
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0", "--source", "-", "--stale-after", "500ms"]);
    let prices = shell.stdout.take().unwrap();
    let server = testkit::ServerProcess::spawn_with_input(&mut command, prices);
    let mut events = Events::open_at(server.connect(), "/sse", "");
    let mut kinds = Vec::new();
    while kinds.last().map(String::as_str) != Some("live") {
        kinds.extend(events.next().kind);
    }
    assert_eq!(kinds, ["stale", "live"]);
    shell.kill().unwrap();
    shell.wait().unwrap();
}
