//! The client against servers that do, or do not do, what the protocol says. Each server is a few
//! lines in a thread; a connection that a test is done with listens for the client's close frame.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tickertape::client::options::Config;
use tickertape::client::report::Report;
use tickertape::client::{self, url::Url};
use tickertape::tick::unix_us;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

type Peer = WebSocket<TcpStream>;

/// Long enough for a busy machine, short enough for a suite.
const WINDOW: Duration = Duration::from_millis(200);

/// For runs that something else than the clock must end.
const ENDLESS: Duration = Duration::from_secs(60);

/// How soon that must be.
const SOON: Duration = Duration::from_secs(10);

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn config(address: SocketAddr, duration: Duration) -> Config {
    let url = Url::parse(&format!("ws://{address}/")).unwrap();
    Config {
        duration,
        ..Config::new(url)
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    // No test hangs because its client has failed.
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What one client reports of a server that gets one bare connection.
fn run_bare(
    config: impl FnOnce(SocketAddr) -> Config,
    serve: impl FnOnce(TcpStream) + Send,
) -> Report {
    let (listener, address) = bind();
    let began = Instant::now();
    let report = thread::scope(|scope| {
        scope.spawn(|| serve(accept(&listener)));
        client::run(config(address), None).unwrap()
    });
    assert!(began.elapsed() < SOON, "it ends in time");
    report
}

/// What one client reports of a server whose connection has been upgraded.
fn run(duration: Duration, serve: impl FnOnce(&mut Peer) + Send) -> Report {
    run_bare(
        |address| config(address, duration),
        |stream| serve(&mut tungstenite::accept(stream).unwrap()),
    )
}

fn tick(seq: u64, age_us: u64) -> String {
    let sent = unix_us() - age_us;
    format!(r#"{{"symbol":"A/B","price":1.50,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
}

fn send(peer: &mut Peer, text: impl Into<String>) {
    peer.send(Message::text(text.into())).unwrap();
}

/// A ping, then the first tick, which counts as a message but not as a delivery. Once the ping is
/// answered, the client is measuring: it answers in the turn in which it joins, the next turn begins
/// the window, and later events come after that.
fn begin(peer: &mut Peer) {
    peer.send(Message::Ping("joined?".into())).unwrap();
    let answer = peer.read().unwrap();
    assert_eq!(answer, Message::Pong("joined?".into()));
    send(peer, tick(1, 0));
}

/// Waits for the client's close frame and answers it. Returns its code.
fn finish(peer: &mut Peer) -> CloseCode {
    let mut code = CloseCode::Status;
    loop {
        match peer.read() {
            Ok(Message::Close(Some(close))) => code = close.code,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return code,
            Err(error) => panic!("{error}"),
        }
    }
}

fn kinds(report: &Report) -> Vec<(&str, u64)> {
    let kinds = report.errors.kinds.iter();
    kinds.map(|(kind, &count)| (kind.as_str(), count)).collect()
}

#[test]
fn ticks_are_counted_and_the_end_is_polite() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in 2..=3 {
            send(peer, tick(seq, 0));
        }
        assert_eq!(finish(peer), CloseCode::Normal);
    });
    assert_eq!(
        (report.messages, report.ticks, report.other_messages),
        (3, 3, 0)
    );
    assert_eq!(
        (report.gaps, report.repeats, report.errors.total),
        (0, 0, 0)
    );
    assert_eq!(report.delivery_us.count, 2, "the first is a snapshot");
    assert_eq!(report.response_s.count, 1);
    assert_eq!(
        report.message_size_bytes_mean,
        Some(tick(2, 0).len() as f64)
    );
    assert!(report.duration_s >= 0.2, "{}", report.duration_s);
    let between = report.time_between_messages_s_mean.unwrap();
    assert!(
        (between - report.duration_s / 3.0).abs() < 1e-3,
        "{between}"
    );
    assert_eq!(report.error(), None);
}

#[test]
fn latency_counts_from_the_stamp() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in 2..=101 {
            // One in a hundred is much older.
            let age_us = if seq == 50 { 5_000_000 } else { 500_000 };
            send(peer, tick(seq, age_us));
        }
        finish(peer);
    });
    let delivery = &report.delivery_us;
    assert_eq!(delivery.count, 100);
    assert!(
        (500_000..1_500_000).contains(&delivery.p50.unwrap()),
        "{delivery:?}"
    );
    assert!(
        (500_000..1_500_000).contains(&delivery.p99.unwrap()),
        "{delivery:?}"
    );
    assert!(
        (5_000_000..6_000_000).contains(&delivery.p999.unwrap()),
        "{delivery:?}"
    );
}

#[test]
fn gaps_repeats_and_ticks_from_the_future_are_seen() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in [2, 5, 5, 6] {
            send(peer, tick(seq, 0));
        }
        let future = tick(7, 0).replace("\"sent\":", "\"sent\":9");
        send(peer, future);
        finish(peer);
    });
    assert_eq!((report.gaps, report.missed, report.repeats), (1, 2, 1));
    assert_eq!(
        (report.negative_latencies, report.delivery_us.count),
        (1, 4)
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("future"))
    );
}

#[test]
fn messages_that_are_no_ticks_are_tolerated() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        send(peer, r#"{"event":"stale","symbol":"A/B","age":9}"#);
        send(peer, "hello");
        peer.send(Message::binary(vec![0, 159, 146, 150])).unwrap();
        send(peer, tick(2, 0));
        finish(peer);
    });
    assert_eq!(
        (report.messages, report.ticks, report.other_messages),
        (5, 2, 3)
    );
    assert_eq!(report.errors.total, 0);
}

#[test]
fn a_tick_in_single_bytes_and_one_in_fragments_count_as_one_each() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        let mut frame = Vec::new();
        tickertape::frame::text(&mut frame, tick(2, 0).as_bytes());
        for byte in frame {
            peer.get_mut().write_all(&[byte]).unwrap();
        }
        let text = tick(3, 0);
        let (first, last) = text.as_bytes().split_at(20);
        let fragments = [
            &[0x01, 20],
            first,
            &[0x89, 0],
            &[0x80, last.len() as u8],
            last,
        ];
        peer.get_mut().write_all(&fragments.concat()).unwrap();
        finish(peer);
    });
    assert_eq!((report.messages, report.ticks, report.gaps), (3, 3, 0));
    assert_eq!(report.errors.total, 0);
}

#[test]
fn the_end_of_a_stream_that_comes_with_the_last_tick_is_noticed() {
    for _ in 0..20 {
        let report = run(ENDLESS, |peer| {
            begin(peer);
            let mut frame = Vec::new();
            tickertape::frame::text(&mut frame, tick(2, 0).as_bytes());
            peer.get_mut().write_all(&frame).unwrap();
            peer.get_mut().shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(report.ticks, 2);
        assert_eq!(kinds(&report), [("closed by server (1006)", 1)]);
    }
}

#[test]
fn a_server_that_closes_is_answered_and_ends_the_run() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        send(peer, tick(2, 0));
        peer.close(None).unwrap();
        finish(peer);
    });
    assert_eq!(report.ticks, 2);
    assert_eq!(kinds(&report), [("closed by server (1005)", 1)]);
    assert_eq!(
        report.errors.examples,
        ["the server closed the connection without a status"]
    );
}

#[test]
fn a_reset_is_told_apart() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        let stream = socket2::SockRef::from(peer.get_ref());
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(kinds(&report), [("reset", 1)]);
}

#[test]
fn a_masked_frame_is_a_protocol_error_and_the_server_is_told() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        peer.get_mut().write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        let Message::Close(Some(close)) = peer.read().unwrap() else {
            panic!("no close")
        };
        assert_eq!(close.code, CloseCode::Protocol);
    });
    assert_eq!(kinds(&report), [("protocol error", 1)]);
}

#[test]
fn a_server_that_never_ends_the_closing_handshake_is_left() {
    let (listener, address) = bind();
    thread::scope(|scope| {
        // The thread ends, its connection stays with the handle.
        let held = scope.spawn(|| {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            peer
        });
        let began = Instant::now();
        client::run(config(address, WINDOW), None).unwrap();
        assert!(began.elapsed() < WINDOW + Duration::from_secs(5));
        held.join().unwrap();
    });
}

#[test]
fn nobody_there_is_said_at_once() {
    let (listener, address) = bind();
    drop(listener);
    let report = client::run(config(address, ENDLESS), None).unwrap();
    assert_eq!(kinds(&report), [("connect refused", 1)]);
    assert_eq!((report.clients.connected, report.clients.failed), (0, 1));
    let error = report.error().unwrap();
    assert_eq!(
        error,
        format!("cannot connect to {address}: connection refused (is the server running?)")
    );
}

#[test]
fn a_refused_handshake_names_the_status() {
    let report = run_bare(
        |address| config(address, ENDLESS),
        |mut stream| {
            stream
                .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                .unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        },
    );
    assert_eq!(kinds(&report), [("handshake refused (403)", 1)]);
    let sentence = "the server refused the WebSocket handshake: 403 Forbidden";
    assert_eq!(report.error().as_deref(), Some(sentence));
}

#[test]
fn garbage_and_an_early_end_are_bad_handshakes() {
    for answer in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"", b"HTTP/1.1 101 Switch"] {
        let report = run_bare(
            |address| config(address, ENDLESS),
            |mut stream| {
                // All of the request first, or the end of the stream would be a reset.
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                stream.write_all(answer).unwrap();
            },
        );
        assert_eq!(kinds(&report), [("bad handshake", 1)], "{answer:?}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let limit = Duration::from_millis(100);
    let report = run_bare(
        |address| Config {
            connect_timeout: limit,
            ..config(address, ENDLESS)
        },
        |mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        },
    );
    assert_eq!(kinds(&report), [("handshake timed out", 1)]);
    let sentence = "the server did not answer the handshake within 100ms";
    assert_eq!(report.error().as_deref(), Some(sentence));
}

/// Ticks every few milliseconds until the client closes.
fn serve_steadily(stream: TcpStream) {
    let mut peer = tungstenite::accept(stream).unwrap();
    let pause = Duration::from_millis(5);
    peer.get_ref().set_read_timeout(Some(pause)).unwrap();
    for seq in 1.. {
        if peer.can_write() {
            send(&mut peer, tick(seq, 0));
        }
        match peer.read() {
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
            Ok(_) => {}
        }
    }
}

#[test]
fn many_clients_join_few_at_a_time_and_on_a_ramp() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                let stream = accept(&listener);
                scope.spawn(|| serve_steadily(stream));
            }
        });
        let config = Config {
            clients: 40,
            in_flight: 3,
            ramp: Some(400.0),
            warmup: Duration::from_millis(20),
            pid: Some(std::process::id()),
            ..config(address, WINDOW)
        };
        client::run(config, None).unwrap()
    });
    assert_eq!((report.clients.connected, report.clients.failed), (40, 0));
    assert_eq!(report.response_s.count, 40);
    assert_eq!((report.gaps, report.errors.total), (0, 0));
    assert!(report.ticks >= 40, "{}", report.ticks);
    assert!(report.joining_s >= 39.0 / 400.0, "{}", report.joining_s);
    assert!(report.warmup_s >= 0.02, "{}", report.warmup_s);
    let server = report.server.as_ref().unwrap();
    assert!(
        server.cpu_s > 0.0 && server.rss_bytes_after > 0,
        "{server:?}"
    );
    assert!(
        server.joining_cpu_us_per_client.unwrap() > 0.0,
        "{server:?}"
    );
}

#[test]
fn a_client_without_a_tick_is_an_error_among_those_with() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let stream = accept(&listener);
            scope.spawn(|| serve_steadily(stream));
            finish(&mut tungstenite::accept(accept(&listener)).unwrap());
        });
        let config = Config {
            clients: 2,
            ..config(address, WINDOW)
        };
        client::run(config, None).unwrap()
    });
    assert_eq!(kinds(&report), [("no tick", 1)]);
    assert_eq!((report.clients.connected, report.response_s.count), (2, 1));
    assert_eq!(report.error(), None);
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program against one connection.
fn run_program(arguments: &[&str], serve: impl FnOnce(TcpStream) + Send) -> Output {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        scope.spawn(|| serve(accept(&listener)));
        let arguments = [&["--url", &url], arguments].concat();
        command(&arguments).output().unwrap()
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_program_prints_one_json_object_and_succeeds() {
    let output = run_program(&["--duration", "200ms", "--json"], serve_steadily);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["ticks"].as_u64().unwrap() > 0);
    assert_eq!(report["clients"]["connected"], 1);
    assert!(report["server"].is_null() && report["response_s"]["stdev"].is_null());
}

#[test]
fn the_program_fails_when_no_tick_came() {
    let output = run_program(&["--duration", "50ms"], |stream| {
        finish(&mut tungstenite::accept(stream).unwrap());
    });
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "error: connected, but no tick came\n");
    assert!(text(&output.stdout).contains("no tick"));
}

#[test]
fn the_program_ends_early_on_a_signal_with_a_report() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        let child = command(&["--url", &url, "--duration", "1h"])
            .spawn()
            .unwrap();
        let id = i32::try_from(child.id()).unwrap();
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            send(&mut peer, tick(2, 0));
            peer.send(Message::Ping("counted?".into())).unwrap();
            assert!(matches!(peer.read(), Ok(Message::Pong(_))));
            let pid = rustix::process::Pid::from_raw(id).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            assert_eq!(finish(&mut peer), CloseCode::Normal);
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("of which 2 are ticks"));
    });
}

#[test]
fn the_program_explains_itself_and_refuses_what_it_does_not_know() {
    let output = command(&["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), client::options::HELP);
    let output = command(&["--clients", "many"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = "error: --clients: 'many' is no count, try a whole number from 1\n";
    assert_eq!(text(&output.stderr), error);
    let output = command(&["--clients", "1000000000"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = command(&["--url", "ws://no-such-host.invalid/"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: cannot resolve no-such-host.invalid: "));
}
