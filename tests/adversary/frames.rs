//! Frames: everything that a client may not send, with the close code that answers it, and frames
//! that look odd but are allowed.
//!
//! The contract: the right close code, nothing behind it, then the end. 1002 for a
//! protocol error, 1003 for binary, 1007 for invalid UTF-8, 1008 for too many, 1009 for too big.

mod messages;

use crate::cases::{self, Check};
use crate::fixture::Fixture;

/// The bytes that a client sends once it is open.
struct Case {
    name: String,
    bytes: Vec<u8>,
    answer: Answer,
}

/// The expected result.
enum Answer {
    /// A close frame with this code, and the end.
    Closed(u16),
    /// Closed with 1008, for sending too much rather than for anything else.
    Flooded,
    /// A pong with this payload; the connection stays.
    Pong(Vec<u8>),
    /// An error in words; the connection stays.
    Error,
    /// No answer; the connection stays.
    Nothing,
}

use Answer::{Closed, Error, Flooded, Nothing, Pong};
use testkit::frames::{frame, server_frames};
use testkit::{End, Peer};

/// Runs all cases; returns what failed.
pub(crate) fn run(fixture: &Fixture) -> Vec<String> {
    let tables = [
        headers(),
        controls(),
        lengths(),
        messages::texts(),
        messages::fragments(),
        messages::closes(),
        messages::floods(),
    ];
    let cases: Vec<_> = tables.into_iter().flatten().collect();
    cases::run(
        "frames",
        &cases,
        |case| &case.name,
        |case| case.check(fixture),
    )
}

impl Case {
    fn check(&self, fixture: &Fixture) -> Check {
        let mut peer = Peer::open(&fixture.address)?;
        peer.send(&self.bytes);
        match &self.answer {
            Closed(code) => closed(&mut peer, *code, ""),
            Flooded => closed(&mut peer, 1008, "too many messages (--message-rate)"),
            Pong(payload) => {
                let pong = peer.frame(|first, _| first == 0x8a)?;
                cases::equal("pong", &pong, payload)?;
                stays(peer)
            }
            Error => {
                peer.frame(|_, payload| payload.starts_with(br#"{"op":"error""#))?;
                stays(peer)
            }
            Nothing => stays(peer),
        }
    }
}

/// The close frame is the last that comes, and then comes the end.
fn closed(peer: &mut Peer, code: u16, reason: &str) -> Check {
    let received = peer.read_and_probe();
    cases::equal("close code", received.close_code()?, code)?;
    let frames = server_frames(&received.bytes);
    let closes = frames.iter().filter(|(first, _)| *first == 0x88).count();
    cases::equal("close frames", closes, 1)?;
    let said = frames
        .last()
        .map(|(_, payload)| String::from_utf8_lossy(payload));
    let said = said.unwrap_or_default();
    cases::must(said.contains(reason), || format!("the reason is {said}"))?;
    cases::equal("the end", received.end, End::Fin)
}

/// It is still there, and answers the next request.
fn stays(mut peer: Peer) -> Check {
    peer.send(&frame(0x81, br#"{"op":"ping","id":"after"}"#));
    let pong = peer.frame(|first, payload| first == 0x81 && payload.starts_with(br#"{"op":"#))?;
    let expected = r#"{"op":"pong","id":"after","#;
    let pong = String::from_utf8_lossy(&pong);
    cases::must(pong.starts_with(expected), || {
        format!("the next answer is {pong}")
    })
}

fn case(name: &str, bytes: impl AsRef<[u8]>, answer: Answer) -> Case {
    Case {
        name: name.to_owned(),
        bytes: bytes.as_ref().to_vec(),
        answer,
    }
}

/// All of the frames, one after the other.
fn all(name: &str, frames: &[Vec<u8>], answer: Answer) -> Case {
    case(name, frames.concat(), answer)
}

fn headers() -> Vec<Case> {
    let bits = [
        ("RSV1", 0x40),
        ("RSV2", 0x20),
        ("RSV3", 0x10),
        ("all reserved bits", 0x70),
    ];
    let bits = bits.into_iter().flat_map(|(name, bit)| {
        [("text", 0x81), ("ping", 0x89), ("close", 0x88)].map(|(kind, first)| {
            case(
                &format!("{name} in a {kind}"),
                frame(first | bit, b""),
                Closed(1002),
            )
        })
    });
    let opcodes = [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map(|opcode| {
        case(
            &format!("opcode {opcode}"),
            frame(0x80 | opcode, b"x"),
            Closed(1002),
        )
    });
    let others = [
        case("unmasked text", b"\x81\x02hi", Closed(1002)),
        case("unmasked ping", b"\x89\x00", Closed(1002)),
        case("unmasked close", b"\x88\x02\x03\xe8", Closed(1002)),
        case("masked with zeros", b"\x81\x82\0\0\0\0hi", Error),
        case("binary", frame(0x82, b"x"), Closed(1003)),
        case("empty binary", frame(0x82, b""), Closed(1003)),
        case(
            "a request for a page",
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Closed(1002),
        ),
        case("null bytes", [0; 50], Closed(1002)),
        case("0xff", [0xff; 5000], Closed(1002)),
    ];
    bits.chain(opcodes).chain(others).collect()
}

fn controls() -> Vec<Case> {
    vec![
        case("a ping", frame(0x89, b"hey"), Pong(b"hey".to_vec())),
        case("an empty ping", frame(0x89, b""), Pong(Vec::new())),
        case(
            "a ping of 125 bytes",
            frame(0x89, &[b'x'; 125]),
            Pong(vec![b'x'; 125]),
        ),
        case(
            "a ping that is no text",
            frame(0x89, b"\xff"),
            Pong(b"\xff".to_vec()),
        ),
        case(
            "a ping of 126 bytes",
            frame(0x89, &[b'x'; 126]),
            Closed(1002),
        ),
        case(
            "a pong of 126 bytes",
            frame(0x8a, &[b'x'; 126]),
            Closed(1002),
        ),
        case(
            "a close of 126 bytes",
            frame(0x88, &[b'x'; 126]),
            Closed(1002),
        ),
        case("a fragmented ping", frame(0x09, b"x"), Closed(1002)),
        case("a fragmented pong", frame(0x0a, b"x"), Closed(1002)),
        case("a fragmented close", frame(0x08, b"\x03\xe8"), Closed(1002)),
        case("a pong that nobody asked for", frame(0x8a, b"x"), Nothing),
        case(
            "a pong from the future",
            frame(0x8a, b"4294967295"),
            Nothing,
        ),
        case(
            "a pong of a number too large",
            frame(0x8a, b"99999999999999999999"),
            Nothing,
        ),
    ]
}

/// Lengths that are only claimed: nothing must be kept for them.
fn lengths() -> Vec<Case> {
    let claim = |name, length: u64, answer| {
        let header = [&[0x81, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]];
        case(name, header.concat(), answer)
    };
    let limit = 4096;
    vec![
        claim("2^62 bytes to come", 1 << 62, Closed(1009)),
        claim("2^63 - 1 bytes to come", u64::MAX >> 1, Closed(1009)),
        claim("the highest bit set", 1 << 63, Closed(1009)),
        claim("all bits set", u64::MAX, Closed(1009)),
        claim("4 GiB to come", 1 << 32, Closed(1009)),
        claim("a byte more than allowed to come", limit + 1, Closed(1009)),
        case(
            "2^62 bytes of a ping",
            b"\x89\xff\x40\0\0\0\0\0\0\0\x01\x02\x03\x04",
            Closed(1009),
        ),
        case("as much as allowed", frame(0x81, &[b'x'; 4096]), Error),
        case("a byte more", frame(0x81, &[b'x'; 4097]), Closed(1009)),
        case("a megabyte", frame(0x81, &[b'x'; 1 << 20]), Closed(1009)),
        case(
            "a byte more in two",
            [frame(0x01, &[b'x'; 4096]), frame(0x80, b"x")].concat(),
            Closed(1009),
        ),
        case(
            "a byte more in many",
            [frame(0x01, b""), frame(0x00, &[b'x'; 100]).repeat(41)].concat(),
            Closed(1009),
        ),
        case(
            "a length of two bytes for five",
            b"\x81\xfe\x00\x05\0\0\0\0hello",
            Error,
        ),
        case(
            "a length of eight bytes for five",
            b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello",
            Error,
        ),
    ]
}
