//! Whatever goes wrong has its name, and ends the run in time.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use tickertape::client;
use tickertape::client::options::Config;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::{
    ENDLESS, WINDOW, accept, begin, bind, config, finish, kinds, run, run_bare, send, tick,
};

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
