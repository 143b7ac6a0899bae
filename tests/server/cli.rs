//! The server as a program: its options, its exit codes, its one thread, and recordings.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use testkit::{ServerProcess, TempDir};
use tungstenite::{Message, WebSocket};

use crate::common::process;

fn server(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = server(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn open(server: &ServerProcess) -> WebSocket<TcpStream> {
    try_open(server).unwrap()
}

fn try_open(server: &ServerProcess) -> Result<WebSocket<TcpStream>, String> {
    let url = format!("ws://{}/", server.address);
    let opened = tungstenite::client(url, server.connect());
    opened
        .map(|(client, _)| client)
        .map_err(|error| error.to_string())
}

fn tick(client: &mut WebSocket<TcpStream>) -> Value {
    match client.read().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn help_goes_to_stdout() {
    let (code, stdout, stderr) = output(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("--port PORT") && stdout.contains("Example:"));
    let (code, stdout, _) = output(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        stdout,
        format!("tickertape {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn fails_with_2_and_one_line_for_a_bad_option() {
    let (code, stdout, stderr) = output(&["--prot", "1"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_eq!(
        stderr,
        "error: unknown option '--prot', did you mean --port?\n"
    );
    let (code, _, stderr) = output(&["--source", "moon:x"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.starts_with("error: --source: invalid source 'moon:x'"),
        "{stderr}"
    );
}

#[test]
fn fails_with_1_and_similar_names_for_an_unknown_exchange() {
    let (code, stdout, stderr) = output(&["--source", "binnace"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let expected = "error: unknown exchange 'binnace', did you mean binance?\n";
    assert_eq!(stderr, expected);
}

#[test]
fn lists_all_exchanges() {
    let (code, stdout, stderr) = output(&["--list-sources"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.lines().count() > 20 && stdout.contains("\nkraken "),
        "{stdout}"
    );
    let heading = "bid  ask  volume  quote_volume  change  high  low  open\n";
    assert!(stdout.contains(heading), "{stdout}");
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 100),
        "{stdout}"
    );
}

#[test]
fn says_all_about_one_exchange() {
    let (code, stdout, stderr) = output(&["--list-sources", "Kraken"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("kraken: Kraken\n"), "{stdout}");
    assert!(stdout.contains("--source kraken+stream"), "{stdout}");
    let (code, _, stderr) = output(&["--list-sources", "krakn"]);
    assert_eq!(code, Some(1));
    let expected = "error: unknown exchange 'krakn', did you mean kraken?\n";
    assert_eq!(stderr, expected);
}

#[test]
fn fails_with_1_and_one_line_for_a_busy_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, stderr) = output(&["--port", &port, "--log", "error"]);
    assert_eq!(code, Some(1));
    let expected = format!("error: cannot listen on 127.0.0.1:{port}: ");
    assert!(
        stderr.starts_with(&expected) && stderr.lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn fails_with_1_for_a_missing_recording() {
    let (code, _, stderr) = output(&["--source", "replay:/nowhere/ticks.ndjson"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: ") && stderr.contains("/nowhere/ticks.ndjson"),
        "{stderr}"
    );
}

#[test]
fn simulated_prices_are_announced_and_served_from_one_thread() {
    let server = process(&["--interval", "5ms"]);
    let log = server.log();
    assert!(log.contains("simulated"), "{log}");
    let mut clients: Vec<_> = (0..50).map(|_| open(&server)).collect();
    for client in &mut clients {
        assert_eq!(tick(client)["symbol"], "sim:BTC/USDT");
    }
    if cfg!(target_os = "linux") {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        assert_eq!(tasks.count(), 1);
    }
}

#[test]
fn an_unreachable_exchange_causes_a_stale_event_and_no_error() {
    // It has a port, so that no other server takes it, but does not listen.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    deaf.bind(&any.into()).unwrap();
    let upstream = deaf.local_addr().unwrap().as_socket().unwrap();
    let upstream = format!("http://{upstream}");
    let server = process(&[
        "--source",
        "binance",
        "--upstream",
        &upstream,
        "--stale-after",
        "500ms",
    ]);
    let mut client = open(&server);
    let event = tick(&mut client);
    assert_eq!(
        (&event["event"], &event["symbol"]),
        (&"stale".into(), &"BTC/USDT".into())
    );
    let age = event["age"].as_u64().unwrap();
    assert!((500..15_000).contains(&age), "{event}");
    // A client that joins later gets the event too.
    assert_eq!(tick(&mut open(&server))["event"], "stale");
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let (symbol, source) = body.split_once('\n').unwrap();
    assert!(symbol.starts_with("BTC/USDT: no price for "), "{body}");
    assert!(
        source.starts_with("binance: failing (connect) for "),
        "{body}"
    );
    let since = source.split(", since ").nth(1).unwrap();
    assert!(since.starts_with("20") && since.ends_with("Z\n"), "{body}");
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("binance: cannot be reached: connection refused; trying again in"),
        "{log}"
    );
    assert!(
        log.contains("BTC/USDT is stale: no price yet, after"),
        "{log}"
    );
}

#[test]
fn stops_with_0_on_sigterm_and_tells_its_clients() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = process(&[]);
        let mut client = open(&server);
        tick(&mut client);
        server.signal(signal);
        let close = loop {
            match client.read().unwrap() {
                Message::Close(close) => break close.unwrap(),
                Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(u16::from(close.code), 1001);
        client.flush().ok();
        drop(client);
        let (code, log) = server.wait();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn a_recording_is_replayed_digit_for_digit() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recorded");
    let path = file.to_str().unwrap();
    let recorder = process(&["--interval", "2ms", "--record", path, "--seed", "7"]);
    let mut client = open(&recorder);
    while tick(&mut client)["seq"].as_u64().unwrap() < 50 {}
    recorder.signal(Signal::TERM);
    let (code, log) = recorder.wait();
    assert_eq!(code, Some(0), "{log}");
    let recorded = fs::read_to_string(&file).unwrap();
    assert!(recorded.lines().count() >= 50 && recorded.ends_with('\n'));

    // A crash may have torn the last line.
    fs::write(&file, format!("{recorded}{{\"symbol\":\"sim:BTC/US")).unwrap();
    let source = format!("replay:{path}");
    let player = process(&["--source", &source, "--speed", "0.5"]);
    let mut client = open(&player);
    let first = tick(&mut client)["seq"].as_u64().unwrap();
    let price = |line: &str| {
        line.split(r#""price":"#)
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .to_owned()
    };
    for number in first + 1..first + 20 {
        let Message::Text(text) = client.read().unwrap() else {
            panic!("no tick")
        };
        let line = recorded.lines().nth(number as usize - 1).unwrap();
        assert_eq!(price(&text), price(line));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_clients_get_503_and_accepting_goes_on() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let server = process(&[]);
    let limit = |current: u64| {
        let pid = Pid::from_raw(server.pid() as i32);
        let limit = Rlimit {
            current: Some(current),
            maximum: Some(4096),
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    };
    let mut client = open(&server);
    tick(&mut client);
    limit(16);
    let answers = (0..40).map(|_| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        stream.write_all(b"G").unwrap();
        stream
    });
    let mut streams: Vec<_> = answers.collect();
    let mut turned_away = 0;
    // The first few got descriptors and wait for their request to be read.
    for stream in streams.iter_mut().skip(20) {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        turned_away += u32::from(answer.starts_with("HTTP/1.1 503 "));
    }
    assert_eq!(turned_away, 20);
    drop(streams);
    limit(1024);
    // A client may still get a 503 while the last one is being sent.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while let Err(error) = try_open(&server) {
        assert!(std::time::Instant::now() < deadline, "{error}");
    }
    tick(&mut client);
}

#[test]
fn a_sighup_does_not_end_a_server_that_still_asks_an_exchange() {
    let exchange = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", exchange.local_addr().unwrap());
    let mut child = server(&[
        "--port",
        "0",
        "--source",
        "binance",
        "--upstream",
        &upstream,
    ])
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let asked = exchange.accept().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    // The exchange is not there after all.
    drop((asked, exchange));
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let server = ServerProcess::listening(child, &mut log);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, Some(0));
}
