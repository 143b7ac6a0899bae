//! Every failure is counted under its own kind, and ends the run in time.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use tickertape::client;
use tickertape::client::config::Config;
use tickertape::client::error_kind::ErrorKind;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::{
    ENDLESS, WINDOW, accept, begin, bind, config, finish, join, kinds, run, run_bare, send, tick,
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
        assert_eq!(report.counters.ticks, 2);
        assert_eq!(kinds(&report), [(ErrorKind::Closed(Some(1006)), 1)]);
    }
}

#[test]
fn a_close_from_the_server_is_answered_and_ends_the_run() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        send(peer, tick(2, 0));
        peer.close(None).unwrap();
        finish(peer);
    });
    assert_eq!(report.counters.ticks, 2);
    assert_eq!(kinds(&report), [(ErrorKind::Closed(Some(1005)), 1)]);
    assert_eq!(
        report.errors.examples,
        ["the server closed the connection without a status"]
    );
}

#[test]
fn a_reset_has_its_own_error_kind() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        let stream = socket2::SockRef::from(peer.get_ref());
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_eq!(kinds(&report), [(ErrorKind::Reset, 1)]);
}

#[test]
fn a_masked_frame_is_answered_with_a_protocol_error() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        peer.get_mut().write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        let Message::Close(Some(close)) = peer.read().unwrap() else {
            panic!("no close")
        };
        assert_eq!(close.code, CloseCode::Protocol);
    });
    assert_eq!(kinds(&report), [(ErrorKind::Protocol, 1)]);
}

#[test]
fn a_server_that_never_finishes_closing_is_abandoned() {
    let (listener, address) = bind();
    thread::scope(|scope| {
        // The thread ends, but its connection stays open with the handle.
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
fn a_refused_connection_is_reported_at_once() {
    let (listener, address) = bind();
    drop(listener);
    let report = client::run(config(address, ENDLESS), None).unwrap();
    assert_eq!(kinds(&report), [(ErrorKind::ConnectRefused, 1)]);
    assert_eq!((report.clients.connected, report.clients.failed), (0, 1));
    let error = report.error().unwrap();
    assert_eq!(
        error,
        format!("cannot connect to {address}: connection refused (is the server running?)")
    );
}

#[test]
fn a_refused_handshake_names_the_status_and_what_the_server_says() {
    for (answer, kind, sentence) in [
        (
            "403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
            ErrorKind::HandshakeRefused(Some(403)),
            "the server refused the WebSocket handshake: 403 Forbidden",
        ),
        (
            "400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             unknown symbol 'A\x1b', similar are: A/B\r\nand more",
            ErrorKind::HandshakeRefused(Some(400)),
            "the server refused the WebSocket handshake: 400 Bad Request: unknown symbol 'A ', \
             similar are: A/B",
        ),
        (
            "301 Moved Permanently\r\nLocation: wss://example.org/\x01\r\n\r\n",
            ErrorKind::BadHandshake,
            "invalid handshake response: invalid header value",
        ),
        (
            "301 Moved Permanently\r\nLocation: https://example.org/\r\n\r\n",
            ErrorKind::HandshakeRefused(Some(301)),
            "the server refused the WebSocket handshake: 301 Moved Permanently, try \
             https://example.org/",
        ),
        (
            "400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port",
            ErrorKind::HandshakeRefused(Some(400)),
            "the server refused the WebSocket handshake: 400 Bad Request, try wss://",
        ),
        (
            "200 OK\r\n\r\n<html>",
            ErrorKind::HandshakeRefused(Some(200)),
            "the server refused the WebSocket handshake: 200 OK",
        ),
    ] {
        let report = run_bare(
            |address| config(address, ENDLESS),
            |mut stream| {
                write!(stream, "HTTP/1.1 {answer}").unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            },
        );
        assert_eq!(kinds(&report), [(kind, 1)]);
        assert_eq!(report.error().as_deref(), Some(sentence));
    }
}

#[test]
fn an_oversized_frame_is_refused_by_its_header() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        // 127 announces a length of eight bytes: a tebibyte.
        let claim = b"\x81\x7f\0\0\x01\0\0\0\0\0";
        peer.get_mut().write_all(claim).unwrap();
        let _ = peer.get_mut().read_to_end(&mut Vec::new());
    });
    assert_eq!(kinds(&report), [(ErrorKind::Protocol, 1)]);
    let sentence = "the server violated the WebSocket protocol: a message of more than 1 MiB";
    assert_eq!(report.errors.examples, [sentence]);
}

#[test]
fn endless_fragments_are_refused() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        let stream = peer.get_mut();
        let mut fragment = vec![0x01, 126, 0xff, 0xff];
        fragment.resize(4 + 0xffff, b'x');
        // Until the client closes: after at most a mebibyte, and whatever the buffers hold.
        for _ in 0..1_000 {
            if stream.write_all(&fragment).is_err() {
                break;
            }
            fragment[0] = 0;
        }
    });
    assert_eq!(kinds(&report), [(ErrorKind::Protocol, 1)]);
    let sentence = &report.errors.examples[0];
    assert_eq!(
        sentence,
        "the server violated the WebSocket protocol: a message of more than 1 MiB"
    );
}

#[test]
fn endless_empty_fragments_are_refused() {
    let report = run(ENDLESS, |peer| {
        begin(peer);
        let stream = peer.get_mut();
        let mut written = stream.write_all(b"\x01\x00");
        while written.is_ok() {
            written = stream.write_all(&[0; 2 * 1024]);
        }
    });
    assert_eq!((report.counters.ticks, report.counters.messages), (1, 1));
    let sentence =
        "the server violated the WebSocket protocol: a message in more than 4096 fragments";
    assert_eq!(report.errors.examples, [sentence]);
}

#[test]
fn a_message_that_is_not_json_is_not_a_tick() {
    let report = run(WINDOW, |peer| {
        join(peer);
        for text in ["hello", "{\"symbol\":", "[[[[[[", "\u{1f600}"] {
            send(peer, text);
        }
        finish(peer);
    });
    assert_eq!(report.counters.ticks, 0);
    assert_eq!(kinds(&report), [(ErrorKind::NoTick, 1)]);
    let error = report.error().unwrap();
    assert!(
        error.starts_with("no tick among 4 messages (4 not JSON)"),
        "{error}"
    );
}

#[test]
fn garbage_and_an_early_end_are_bad_handshakes() {
    let tls = "the connection ended first (does it speak TLS on this port? then use wss://)";
    for (answer, what) in [
        (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "invalid HTTP version"),
        (b"", tls),
        (
            b"HTTP/1.1 101 Switch",
            "the connection ended in the middle of it",
        ),
    ] {
        let report = run_bare(
            |address| config(address, ENDLESS),
            |mut stream| {
                // Reads the whole request first, or the end of the stream would be a reset.
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                stream.write_all(answer).unwrap();
            },
        );
        assert_eq!(kinds(&report), [(ErrorKind::BadHandshake, 1)], "{answer:?}");
        let sentence = format!("invalid handshake response: {what}");
        assert_eq!(report.error(), Some(sentence));
    }
}

#[test]
fn the_client_gives_up_on_a_server_that_never_answers() {
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
    assert_eq!(kinds(&report), [(ErrorKind::HandshakeTimedOut, 1)]);
    let sentence = "the server did not answer the handshake within 100ms";
    assert_eq!(report.error().as_deref(), Some(sentence));
}
