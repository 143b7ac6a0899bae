//! Connections end politely: the right code, no data after it, and then the end of the stream.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::common::{PATIENCE, TestServer, ask, close_code, next, read_to_end};
use socket2::SockRef;
use std::time::Duration;
use testkit::frames::{frame, handshake};
use tickertape::server::Config;

fn code_after(bytes: &[u8]) -> u16 {
    let server = TestServer::start(Config::default());
    let mut stream = server.open_raw();
    stream.write_all(bytes).unwrap();
    let code = close_code(&mut stream);
    server.wait_for_metric("clients", |clients| clients == 0);
    code
}

#[test]
fn each_violation_has_its_close_code() {
    let unmasked = b"\x81\x02hi".to_vec();
    assert_eq!(code_after(&unmasked), 1002);
    assert_eq!(code_after(&frame(0xc1, b"reserved bit")), 1002);
    assert_eq!(code_after(&frame(0x83, b"reserved opcode")), 1002);
    assert_eq!(code_after(&frame(0x80, b"a continuation of nothing")), 1002);
    assert_eq!(code_after(&frame(0x09, b"a fragmented ping")), 1002);
    assert_eq!(code_after(&frame(0x82, b"binary")), 1003);
    assert_eq!(code_after(&frame(0x81, b"\xff\xfe")), 1007);
    let split_badly = [frame(0x01, b"\xe2\x82"), frame(0x80, b"x")].concat();
    assert_eq!(code_after(&split_badly), 1007);
    assert_eq!(code_after(&frame(0x81, &[b'x'; 5000])), 1009);
    let in_pieces = [frame(0x01, &[b'x'; 3000]), frame(0x80, &[b'x'; 3000])].concat();
    assert_eq!(code_after(&in_pieces), 1009);
    let enormous = [
        0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
    ];
    assert_eq!(code_after(&enormous), 1009);
    let flood = frame(0x89, b"").repeat(101);
    assert_eq!(code_after(&flood), 1008);
}

#[test]
fn a_close_frame_is_answered_with_the_same_code() {
    let server = TestServer::start(Config::default());
    for (sent, expected) in [
        (&b"\x03\xe8bye"[..], Some(1000u16)),
        (b"", None),
        (b"\x03\xed", Some(1002)),
    ] {
        let mut stream = server.open_raw();
        stream.write_all(&frame(0x88, sent)).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let code = bytes
            .get(2..4)
            .map(|code| u16::from_be_bytes([code[0], code[1]]));
        assert_eq!((bytes[0], code), (0x88, expected), "{sent:?}: {bytes:?}");
    }
}

#[test]
fn invalid_requests_get_an_error_and_the_connection_stays() {
    let server = TestServer::start(Config::default());
    let mut client = server.open("/");
    for text in ["", "hello", "{}", "[1]", r#"{"op":"sell"}"#, "\u{0}"] {
        assert_eq!(ask(&mut client, text)["op"], "error", "{text}");
    }
    server.tick("A", 1);
    assert_eq!(next(&mut client)["price"], 1);
}

#[test]
fn a_message_in_fragments_with_a_ping_between_is_one_message() {
    let server = TestServer::start(Config::default());
    let mut stream = server.open_raw();
    let bytes = [
        frame(0x01, br#"{"op":"pi"#),
        frame(0x89, b"hey"),
        frame(0x80, br#"ng","id":7}"#),
    ]
    .concat();
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x8a\x03hey");
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], br#"{"op":"pong","id":7,"ti"#);
}

#[test]
fn clients_that_vanish_are_released() {
    let server = TestServer::start(Config::default());
    let gone = server.open_raw();
    let half_closed = server.open_raw();
    server.wait_for_metric("clients", |clients| clients == 2);
    drop(gone);
    half_closed.shutdown(Shutdown::Write).unwrap();
    server.wait_for_metric("clients", |clients| clients == 0);
    server.wait_for_metric("connections", |connections| connections == 1);
}

#[test]
fn a_request_followed_by_the_end_of_the_stream_is_answered() {
    let server = TestServer::start(Config::default());
    let mut stream = server.open_raw();
    stream.write_all(&frame(0x81, br#"{"op":"ping"}"#)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"\x81"), "{answer:?}");
}

#[test]
fn a_close_frame_together_with_the_end_of_the_stream_is_answered() {
    let server = TestServer::start(Config {
        close_timeout: PATIENCE * 6,
        ..Config::default()
    });
    let mut stream = server.open_raw();
    stream.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(close_code(&mut stream), 1000);
    server.wait_for_metric("connections", |connections| connections == 1);
}

#[test]
fn data_after_a_close_frame_does_not_destroy_the_answer() {
    let server = TestServer::start(Config::default());
    // Alternating with more than one read takes, as the end has often not arrived by the first.
    let lengths = [1, 1000, 20_000, 100_000].into_iter().cycle();
    for length in lengths.take(80) {
        let mut stream = server.open_raw();
        let rest = vec![0; length];
        let bytes = [frame(0x88, b"\x03\xe8"), rest].concat();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(close_code(&mut stream), 1000, "{length} bytes");
    }
}

#[test]
fn clients_that_reset_while_changing_symbols_are_released() {
    let server = TestServer::start(Config::default());
    for round in 0..200 {
        let mut stream = server.open_raw();
        let symbol = if round % 2 == 0 { "A" } else { "B" };
        let request = format!(r#"{{"op":"unsubscribe","symbols":["{symbol}"]}}"#);
        // Unread data, so that the server writes to a closed socket.
        server.tick("A", round);
        stream.write_all(&frame(0x81, request.as_bytes())).unwrap();
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    server.wait_for_metric("clients", |clients| clients == 0);
    server.wait_for_metric("lists", |lists| lists == 0);
}

#[test]
fn an_end_of_stream_with_the_request_is_noticed() {
    let server = TestServer::start(Config::default());
    let mut stream = server.connect();
    stream.write_all(handshake("/").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    server.wait_for_metric("connections", |connections| connections == 1);
}
