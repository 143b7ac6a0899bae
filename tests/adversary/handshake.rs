//! The request: everything that can come instead of a good one, and the answers.
//!
//! The contract: upgrades only for a GET of HTTP/1.1 with Host, Upgrade, Connection, version 13 and
//! a good key; else the fitting status, never a 5xx, never silence, and a polite end.

mod heads;
mod targets;

use std::time::Duration;

use crate::cases::{self, Check};
use crate::fixture::Fixture;

/// One way of asking.
struct Case {
    name: String,
    way: Way,
    bytes: Vec<u8>,
    answer: Answer,
}

/// How the bytes are sent.
#[derive(Clone, Copy)]
enum Way {
    AtOnce,
    ByteByByte,
    /// Byte by byte, and never so fast that it would be done within the limit.
    Slowly,
    /// Again and again until there is an answer.
    Endlessly,
}

/// The expected result.
#[derive(Clone, Copy)]
enum Answer {
    /// This status at once.
    Status(u16),
    /// 426, which must name the version that is spoken.
    NamesVersion,
    /// 408, when the limit is over and not before.
    Late,
    /// 101, and frames are understood.
    Upgraded,
}

use Answer::{Late, NamesVersion, Status, Upgraded};
use testkit::frames::{frame, handshake};
use testkit::{End, Peer, Received};

/// Runs all cases; returns what failed.
pub(crate) fn run(fixture: &Fixture) -> Vec<String> {
    let cases = [
        ways(),
        heads::lines(),
        heads::headers(),
        targets::bodies(),
        targets::foreign(),
        targets::origins(),
        targets::targets(),
    ]
    .concat();
    cases::run(
        "handshake",
        &cases,
        |case| &case.name,
        |case| case.check(fixture),
    )
}

impl Clone for Case {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            bytes: self.bytes.clone(),
            ..*self
        }
    }
}

impl Case {
    fn check(&self, fixture: &Fixture) -> Check {
        let mut peer = Peer::connect(&fixture.address);
        match self.way {
            Way::AtOnce => peer.send(&self.bytes),
            Way::ByteByByte => peer.trickle(&self.bytes, Duration::ZERO),
            Way::Slowly => peer.trickle(&self.bytes, fixture.limits.handshake / 20),
            Way::Endlessly => peer.flood(&self.bytes, FLOOD_MAX),
        }
        match self.answer {
            Upgraded => upgraded(peer),
            Status(status) => {
                let head_only = self.bytes.starts_with(b"HEAD ");
                let received = if status == 200 {
                    // The connection would go on.
                    peer.half_close();
                    peer.read_to_end()
                } else {
                    peer.read_and_probe()
                };
                answered(&received, status, head_only)
            }
            NamesVersion => {
                let received = peer.read_and_probe();
                let named = "\r\nSec-WebSocket-Version: 13\r\n";
                let names = String::from_utf8_lossy(&received.bytes).contains(named);
                cases::must(names, || "it does not name version 13".to_owned())?;
                answered(&received, 426, false)
            }
            Late => {
                let received = peer.read_to_end();
                answered(&received, 408, false)?;
                fixture.limits.kept(
                    "the handshake limit",
                    fixture.limits.handshake,
                    received.took,
                )
            }
        }
    }
}

/// The whole of an HTTP answer, one and no more, as long as it says, and then the end.
fn answered(received: &Received, status: u16, head_only: bool) -> Check {
    let text = String::from_utf8_lossy(&received.bytes);
    cases::equal("status", received.status(), status)?;
    cases::equal("the end", received.end, End::Fin)?;
    cases::equal("answers", text.matches("HTTP/1.1 ").count(), 1)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length
        .and_then(|length| length.parse().ok())
        .unwrap_or(usize::MAX);
    let said = if head_only { 0 } else { length };
    cases::equal("length of the body", body.len(), said)?;
    let ends = status == 200 || head.contains("\r\nConnection: close");
    cases::must(ends, || format!("it stays open: {head}"))?;
    cases::must(head.len() + body.len() < 32 << 10, || {
        format!("{} bytes", text.len())
    })
}

/// It is a WebSocket now: nothing was negotiated, and it closes like one.
fn upgraded(mut peer: Peer) -> Check {
    let head = peer.head();
    let value = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    };
    let accepts = value("Sec-WebSocket-Accept") == Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let is_good = head.starts_with("HTTP/1.1 101 ") && accepts;
    cases::must(is_good, || format!("no upgrade but {head:?}"))?;
    let negotiated = ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];
    let negotiated = negotiated.into_iter().any(|name| value(name).is_some());
    cases::must(!negotiated, || format!("something was negotiated: {head}"))?;
    peer.send(&frame(0x88, &1000_u16.to_be_bytes()));
    let received = peer.read_and_probe();
    cases::equal("close code", received.close_code()?, 1000)?;
    cases::equal("the end", received.end, End::Fin)
}

fn case(name: &str, bytes: impl AsRef<[u8]>, answer: Answer) -> Case {
    Case {
        name: name.to_owned(),
        way: Way::AtOnce,
        bytes: bytes.as_ref().to_vec(),
        answer,
    }
}

/// A good handshake but for one thing.
fn but(name: &str, good: &str, instead: &str, answer: Answer) -> Case {
    let request = handshake("/");
    assert!(request.contains(good), "{good:?} is not in {request}");
    case(name, request.replace(good, instead), answer)
}

/// A good handshake with more header lines.
fn with(name: &str, lines: &str, answer: Answer) -> Case {
    but(name, "\r\n\r\n", &format!("\r\n{lines}\r\n\r\n"), answer)
}

fn ways() -> Vec<Case> {
    let way = |name, way, bytes: &[u8], answer| Case {
        way,
        ..case(name, bytes, answer)
    };
    let padded = |length: usize| {
        let fill = length - handshake("/").len() - "X: \r\n".len();
        format!("X: {}", "x".repeat(fill))
    };
    let many = |count: usize| vec!["X: y"; count].join("\r\n");
    vec![
        case("a good one", handshake("/"), Upgraded),
        way(
            "byte by byte",
            Way::ByteByByte,
            handshake("/").as_bytes(),
            Upgraded,
        ),
        case("nothing at all", "", Late),
        case("a half", &handshake("/")[..60], Late),
        case(
            "all but the last byte",
            &handshake("/")[..handshake("/").len() - 1],
            Late,
        ),
        way(
            "byte by byte, too slowly",
            Way::Slowly,
            handshake("/").as_bytes(),
            Late,
        ),
        way(
            "endless header lines",
            Way::Endlessly,
            b"X-Again: and again\r\n",
            Status(431),
        ),
        way(
            "an endless line",
            Way::Endlessly,
            &[b'x'; 1000],
            Status(431),
        ),
        case("a head of a megabyte", vec![b'x'; 1 << 20], Status(431)),
        with("a head of 16 KiB", &padded(16 << 10), Upgraded),
        with(
            "a head of 16 KiB and one byte",
            &padded((16 << 10) + 1),
            Status(431),
        ),
        with("59 header lines more", &many(59), Upgraded),
        with("60 header lines more, 65 in all", &many(60), Status(431)),
        with("two thousand header lines", &many(2000), Status(431)),
    ]
}

/// More than any client gets to send without an answer.
const FLOOD_MAX: usize = 64 << 20;
