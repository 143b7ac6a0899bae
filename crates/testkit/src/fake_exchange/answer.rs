//! Sends answers, intact or with a fault.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fault::Fault;
use super::prices::Outcome;
use super::request::Request;
use super::state::Shared;
use super::wire::Wire;

/// An answer without a fault.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The numbers of the deliveries in it.
    pub(super) drawn: Vec<usize>,
}

/// What to do with the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    KeepAlive,
    Close,
    Cut,
    Reset,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }
}

impl Next {
    /// Ends the connection as decided.
    pub(super) fn end(self, wire: Wire) {
        match self {
            Self::KeepAlive | Self::Close => wire.close(),
            Self::Cut => wire.cut(),
            Self::Reset => wire.reset(),
        }
    }
}

/// How long `fault` delays an answer.
pub(super) fn delay(fault: Fault) -> Duration {
    match fault {
        Fault::Delay(delay) => delay,
        _ => Duration::ZERO,
    }
}

/// Sends an intact answer.
pub(super) fn send(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    let mut bytes = head_of_whole(answer);
    bytes.extend_from_slice(&answer.body);
    wire.write_all(&bytes)?;
    wire.flush()
}

fn head_of_whole(answer: &Answer) -> Vec<u8> {
    head(answer, &[("Content-Length", answer.body.len().to_string())])
}

fn head(answer: &Answer, headers: &[(&'static str, String)]) -> Vec<u8> {
    let status = tungstenite::http::StatusCode::from_u16(answer.status);
    let reason = status.ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason.unwrap_or("Odd"));
    if !answer.body.is_empty() {
        head += "Content-Type: application/json; charset=utf-8\r\n";
    }
    for (name, value) in answer.headers.iter().chain(headers) {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Sends an answer with `fault`, and records the outcome of its deliveries.
pub(super) fn misanswer(
    shared: &Shared,
    wire: &mut Wire,
    request: &Request,
    fault: Fault,
    answer: &Answer,
) -> io::Result<Next> {
    wire.wait(delay(fault));
    // Recorded before it is sent: a client that has received it must find it recorded.
    let outcome = if fault.is_harmless() {
        Outcome::Good
    } else {
        Outcome::Spoiled
    };
    shared.settle(&answer.drawn, outcome);
    let sent = if wire.is_gone() {
        Err(gone())
    } else {
        send_with(shared, wire, request, fault, answer)
    };
    if sent.is_err() && fault.is_harmless() {
        shared.settle(&answer.drawn, Outcome::Lost);
    }
    sent
}

fn send_with(
    shared: &Shared,
    wire: &mut Wire,
    request: &Request,
    fault: Fault,
    answer: &Answer,
) -> io::Result<Next> {
    let patience = shared.config.patience;
    let mut next = Next::KeepAlive;
    match fault {
        Fault::HangBefore => {
            wire.wait(patience);
            next = Next::Cut;
        }
        Fault::Reset => next = Next::Reset,
        Fault::NotHttp => {
            wire.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
            next = Next::Close;
        }
        Fault::HeaderFlood => {
            flood(wire)?;
            next = Next::Cut;
        }
        fault if fault.redirects() => send(wire, &redirect(request, fault))?,
        Fault::Drip(pause) => drip(wire, answer, pause)?,
        Fault::Chunked => send_in_chunks(wire, answer)?,
        Fault::Gzip => send_compressed(wire, answer)?,
        Fault::EarlyClose => {
            send_half(wire, answer)?;
            next = Next::Cut;
        }
        Fault::ResetInside => {
            send_half(wire, answer)?;
            next = Next::Reset;
        }
        Fault::HangInside => {
            send_half(wire, answer)?;
            wire.wait(patience);
            next = Next::Cut;
        }
        Fault::HugeBody => huge(wire)?,
        Fault::KeepAliveDropped => {
            send(wire, answer)?;
            next = Next::Cut;
        }
        _ => send(wire, answer)?,
    }
    wire.flush()?;
    Ok(next)
}

fn redirect(request: &Request, fault: Fault) -> Answer {
    let (authority, target) = (&request.authority, &request.target);
    let location = match fault {
        Fault::Redirect => format!("{}{REDIRECTED}", request.whole_target),
        Fault::RedirectAway => format!("https://{authority}{target}{REDIRECTED}"),
        _ => request.whole_target.clone(),
    };
    Answer {
        headers: vec![("Location", location)],
        ..Answer::new(302, "")
    }
}

fn drip(wire: &mut Wire, answer: &Answer, pause: Duration) -> io::Result<()> {
    wire.write_all(&head_of_whole(answer))?;
    for piece in answer.body.chunks(answer.body.len() / PIECES + 1) {
        wire.wait(pause);
        if wire.is_gone() {
            return Err(gone());
        }
        wire.write_all(piece)?;
        wire.flush()?;
    }
    Ok(())
}

fn send_in_chunks(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    let chunked = ("Transfer-Encoding", "chunked".to_owned());
    wire.write_all(&head(answer, &[chunked]))?;
    for piece in answer.body.chunks(answer.body.len() / 5 + 1) {
        write!(wire, "{:x}\r\n", piece.len())?;
        wire.write_all(piece)?;
        wire.write_all(b"\r\n")?;
    }
    wire.write_all(b"0\r\n\r\n")
}

fn send_compressed(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&answer.body)?;
    let body = encoder.finish()?;
    let headers = [
        ("Content-Encoding", "gzip".to_owned()),
        ("Content-Length", body.len().to_string()),
    ];
    wire.write_all(&head(answer, &headers))?;
    wire.write_all(&body)
}

fn send_half(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    wire.write_all(&head_of_whole(answer))?;
    wire.write_all(&answer.body[..answer.body.len() / 2])?;
    wire.flush()
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the client has gone")
}

/// The answer of a server that rejects the request unread; `None` if the server reads it.
pub(super) fn refusal(fault: Fault) -> Option<Answer> {
    let wait = |status, after: Duration| Answer {
        headers: vec![("Retry-After", after.as_secs().max(1).to_string())],
        ..Answer::new(status, "")
    };
    match fault {
        Fault::TooMany(after) => Some(wait(429, after)),
        Fault::Banned(after) => Some(wait(418, after)),
        Fault::Blocked => Some(Answer::new(451, BLOCKED)),
        Fault::Broken => Some(Answer::new(500, "<html><h1>500 Internal Error</h1></html>")),
        _ => None,
    }
}

/// Sends headers without end, up to a limit.
fn flood(wire: &mut Wire) -> io::Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
    let line = format!("X-Flood: {}\r\n", "x".repeat(1000));
    for _ in 0..FLOOD_BYTES / line.len() {
        wire.write_all(line.as_bytes())?;
    }
    wire.flush()
}

/// Sends a lot of JSON without prices.
fn huge(wire: &mut Wire) -> io::Result<()> {
    let (begin, end) = (br#"{"filler":""#, br#""}"#);
    let length = begin.len() + HUGE_BYTES + end.len();
    write!(wire, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    wire.write_all(begin)?;
    let piece = [b'x'; 16 * 1024];
    for _ in 0..HUGE_BYTES / piece.len() {
        wire.write_all(&piece)?;
    }
    wire.write_all(end)?;
    wire.flush()
}

const BLOCKED: &str = r#"{"code":0,"msg":"Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms."}"#;

/// The suffix of a target that a redirect points to.
pub(super) const REDIRECTED: &str = "&_redirected";

const FLOOD_BYTES: usize = 2 << 20;
const HUGE_BYTES: usize = 10 << 20;
/// The number of pieces in which a dripping body is sent.
const PIECES: usize = 16;
