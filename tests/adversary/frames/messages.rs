//! The content of frames: texts, fragments, close frames, and too many of each.

use super::Answer::{Closed, Error, Flooded, Nothing};
use super::{Case, all, case};
use testkit::frames::frame;

pub(super) fn texts() -> Vec<Case> {
    let text = |name, payload: &[u8], answer| case(name, frame(0x81, payload), answer);
    let cut = |name, first: &[u8], second: &[u8], answer| {
        all(name, &[frame(0x01, first), frame(0x80, second)], answer)
    };
    vec![
        text("no text", b"\xff\xfe", Closed(1007)),
        text(
            "a character that ends too early",
            b"hello \xe2\x82",
            Closed(1007),
        ),
        text("longer than needed", b"\xc0\x80", Closed(1007)),
        text("half of a pair", b"\xed\xa0\x80", Closed(1007)),
        text("beyond Unicode", b"\xf4\x90\x80\x80", Closed(1007)),
        text("a continuation byte alone", b"\x80", Closed(1007)),
        text("empty", b"", Error),
        text("a null byte", b"\0", Error),
        cut("a character across fragments", b"\xe2\x82", b"\xac", Error),
        cut(
            "no character across fragments",
            b"\xe2\x82",
            b"x",
            Closed(1007),
        ),
        cut(
            "ends too early in the last fragment",
            b"x",
            b"\xe2",
            Closed(1007),
        ),
        cut(
            "no text in the second fragment",
            b"x",
            b"\xff",
            Closed(1007),
        ),
    ]
}

pub(super) fn fragments() -> Vec<Case> {
    let between = frame(0x89, b"between");
    let answered = [
        frame(0x01, b"{"),
        between.clone(),
        frame(0x00, b"]"),
        between,
        frame(0x80, b""),
    ];
    vec![
        all("pings between fragments", &answered, Error),
        all(
            "a message within a message",
            &[frame(0x01, b"a"), frame(0x81, b"b")],
            Closed(1002),
        ),
        all(
            "a fragment within another's",
            &[frame(0x01, b"a"), frame(0x01, b"b")],
            Closed(1002),
        ),
        all(
            "binary within text",
            &[frame(0x01, b"a"), frame(0x02, b"b")],
            Closed(1002),
        ),
        all(
            "binary in fragments",
            &[frame(0x02, b"a"), frame(0x80, b"b")],
            Closed(1003),
        ),
        case("a continuation of nothing", frame(0x80, b"a"), Closed(1002)),
        case("a fragment of nothing", frame(0x00, b"a"), Closed(1002)),
        all(
            "a continuation after the end",
            &[frame(0x81, b"a"), frame(0x80, b"b")],
            Closed(1002),
        ),
        all(
            "empty fragments",
            &[
                frame(0x01, b""),
                frame(0x00, b"").repeat(50),
                frame(0x80, b""),
            ],
            Error,
        ),
        all(
            "a close between fragments",
            &[frame(0x01, b"a"), frame(0x88, b"\x03\xe8")],
            Closed(1000),
        ),
    ]
}

pub(super) fn closes() -> Vec<Case> {
    let close = |code: u16, answer| {
        case(
            &format!("close code {code}"),
            frame(0x88, &code.to_be_bytes()),
            Closed(answer),
        )
    };
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    let bad = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    let goodbye = frame(0x88, b"\x03\xe8");
    let others = [
        case("a close without a code", frame(0x88, b""), Closed(1005)),
        case("a close of one byte", frame(0x88, b"\x03"), Closed(1002)),
        case(
            "a close with words",
            frame(0x88, b"\x03\xe8goodbye"),
            Closed(1000),
        ),
        case(
            "a close with words that are no text",
            frame(0x88, b"\x03\xe8\xff"),
            Closed(1007),
        ),
        all(
            "a message after the close",
            &[goodbye.clone(), frame(0x81, b"x")],
            Closed(1000),
        ),
        all(
            "a close after the close",
            &[goodbye.clone(), frame(0x88, b"\x03\xe9")],
            Closed(1000),
        ),
        all(
            "a ping after the close",
            &[goodbye.clone(), frame(0x89, b"x")],
            Closed(1000),
        ),
        all(
            "nonsense after the close",
            &[goodbye.clone(), vec![0xff; 100]],
            Closed(1000),
        ),
        all(
            "much after the close",
            &[goodbye, vec![b'x'; 1 << 20]],
            Closed(1000),
        ),
    ];
    let good = good.map(|code| close(code, code));
    good.into_iter()
        .chain(bad.map(|code| close(code, 1002)))
        .chain(others)
        .collect()
}

pub(super) fn floods() -> Vec<Case> {
    let request = frame(0x81, br#"{"op":"ping"}"#);
    vec![
        case(
            "as many messages as allowed",
            frame(0x8a, b"").repeat(99),
            Nothing,
        ),
        case("requests", request.repeat(1000), Flooded),
        case("pings", frame(0x89, b"x").repeat(1000), Flooded),
        case("pongs", frame(0x8a, b"x").repeat(1000), Flooded),
        case("empty messages", frame(0x81, b"").repeat(1000), Flooded),
        case(
            "fragments of one byte",
            [frame(0x01, b"x"), frame(0x00, b"x").repeat(1000)].concat(),
            Flooded,
        ),
        case(
            "empty fragments",
            [frame(0x01, b""), frame(0x00, b"").repeat(1000)].concat(),
            Flooded,
        ),
        case(
            "ten megabytes of requests",
            request.repeat(500_000),
            Flooded,
        ),
    ]
}
