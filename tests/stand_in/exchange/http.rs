//! HTTP as the stand-in speaks it, and all that can go wrong with it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fault::{Fault, Stage};
use super::prices::Outcome;
use super::state::Shared;
use super::wire::Wire;
use super::{Seen, control, rest, stream};

/// A request, its body read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Who is meant.
    pub(super) authority: String,
    /// The path there, with the query.
    pub(super) target: String,
    /// What was asked for literally.
    whole_target: String,
    headers: Vec<(String, String)>,
}

/// An answer, before anything goes wrong with it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The numbers of the deliveries in it.
    pub(super) drawn: Vec<usize>,
}

/// What to do with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
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

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}

/// Serves one connection to its end.
pub(super) fn serve(shared: &Shared, socket: TcpStream, connection: u64) -> io::Result<()> {
    let mut wire = Wire::accept(socket, shared)?;
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut wire, &mut unread)? {
        if request.target.starts_with("/_") && request.authority.is_empty() {
            let answer = control::answer(shared, &request);
            send(&mut wire, &answer)?;
            continue;
        }
        let is_upgrade = request.header("upgrade").is_some();
        let source = match is_upgrade {
            true => stream::source(&request),
            false => rest::source(&request),
        };
        let stages = match is_upgrade {
            true => &[Stage::Head][..],
            false => &[Stage::Head, Stage::Body, Stage::Symbol, Stage::Price],
        };
        let fault = match request.whole_target.ends_with(REDIRECTED) {
            // What a redirect leads to is good.
            true => Fault::None,
            false => shared.fault(&source, stages).0,
        };
        let fault = match fault {
            // What is posted is not sent on.
            Fault::Redirect | Fault::RedirectAway | Fault::RedirectLoop
                if request.method == "POST" =>
            {
                Fault::None
            }
            fault => fault,
        };
        shared.saw(Seen {
            at: Instant::now(),
            source: source.clone(),
            target: request.target.clone(),
            connection,
            fault,
        });
        if is_upgrade && !matches!(fault, Fault::None | Fault::Delay(_)) {
            let refusal = refusal(fault).unwrap_or_default();
            let next = misanswer(shared, &mut wire, &request, fault, &refusal);
            return finish(wire, next?);
        }
        if is_upgrade {
            wire.wait(delay(fault));
            return stream::serve(shared, wire, &request, connection);
        }
        let answer = rest::answer(shared, &request, &source, connection, fault);
        let next = misanswer(shared, &mut wire, &request, fault, &answer);
        if next.is_err() && fault.is_harmless() {
            shared.settle(&answer.drawn, Outcome::Lost);
        }
        match next? {
            Next::KeepAlive => {}
            next => return finish(wire, next),
        }
    }
    wire.close();
    Ok(())
}

fn finish(wire: Wire, next: Next) -> io::Result<()> {
    match next {
        Next::KeepAlive | Next::Close => wire.close(),
        Next::Cut => wire.cut(),
        Next::Reset => wire.reset(),
    }
    Ok(())
}

fn delay(fault: Fault) -> Duration {
    match fault {
        Fault::Delay(delay) => delay,
        _ => Duration::ZERO,
    }
}

/// Reads one request; none when the client has no more.
fn read_request(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let bad = || io::Error::from(ErrorKind::InvalidData);
    let (mut request, head_length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(unread).map_err(|_| bad())? {
            httparse::Status::Complete(length) => break (request(&parsed), length),
            httparse::Status::Partial if unread.len() > HEAD_MAX => return Err(bad()),
            httparse::Status::Partial if !read_more(wire, unread)? => return Ok(None),
            httparse::Status::Partial => {}
        }
    };
    let length = request.header("content-length").map(str::parse::<usize>);
    let length = length.transpose().map_err(|_| bad())?.unwrap_or(0);
    while unread.len() < head_length + length.min(HEAD_MAX) {
        if !read_more(wire, unread)? {
            return Ok(None);
        }
    }
    unread.drain(..head_length + length);
    // With `--upstream` the authority stands in the path, else in the Host header.
    let known = |authority: &str| rest::knows(authority) || stream::knows(authority);
    let mut parts = request.whole_target[1..].splitn(2, ['/', '?']);
    let first = parts.next().unwrap_or_default().replace("%3A", ":");
    let host_header = request.header("host").unwrap_or_default().to_owned();
    if known(&first) {
        let length = request.whole_target[1..].find(['/', '?']);
        let rest = length.map_or("", |length| &request.whole_target[1 + length..]);
        request.target = match rest.strip_prefix('?') {
            Some(query) => format!("/?{query}"),
            None if rest.is_empty() => "/".to_owned(),
            None => rest.to_owned(),
        };
        request.authority = first;
    } else if known(&host_header) {
        request.authority = host_header;
    }
    if let Some(target) = request.target.strip_suffix(REDIRECTED) {
        request.target = target.to_owned();
    }
    Ok(Some(request))
}

fn request(parsed: &httparse::Request<'_, '_>) -> Request {
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_owned(), value)
    });
    let target = parsed.path.filter(|path| path.starts_with('/'));
    let target = target.unwrap_or("/").to_owned();
    Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        authority: String::new(),
        whole_target: target.clone(),
        target,
        headers: headers.collect(),
    }
}

fn read_more(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let length = wire.read(&mut buffer)?;
    unread.extend_from_slice(&buffer[..length]);
    Ok(length > 0)
}

/// Sends an answer in good order.
fn send(wire: &mut Wire, answer: &Answer) -> io::Result<()> {
    let mut bytes = head(answer, &[("Content-Length", answer.body.len().to_string())]);
    bytes.extend_from_slice(&answer.body);
    wire.write_all(&bytes)?;
    wire.flush()
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

/// Sends an answer, or what `fault` makes of it, and settles its deliveries.
fn misanswer(
    shared: &Shared,
    wire: &mut Wire,
    request: &Request,
    fault: Fault,
    answer: &Answer,
) -> io::Result<Next> {
    wire.wait(delay(fault));
    if wire.is_gone() {
        return Err(gone());
    }
    // Before it is sent: who has it all shall find it written down.
    let outcome = match fault.is_harmless() {
        true => Outcome::Good,
        false => Outcome::Spoiled,
    };
    shared.settle(&answer.drawn, outcome);
    let length = ("Content-Length", answer.body.len().to_string());
    let whole = head(answer, &[length]);
    let half = answer.body.len() / 2;
    let next = match fault {
        Fault::HangBefore => {
            wire.wait(shared.config.patience);
            return Ok(Next::Cut);
        }
        Fault::Reset => return Ok(Next::Reset),
        Fault::NotHttp => {
            wire.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
            Next::Close
        }
        Fault::HeaderFlood => {
            flood(wire)?;
            Next::Cut
        }
        Fault::Redirect | Fault::RedirectAway | Fault::RedirectLoop => {
            let (authority, target) = (&request.authority, &request.target);
            let location = match fault {
                Fault::Redirect => format!("{}{REDIRECTED}", request.whole_target),
                Fault::RedirectAway => format!("https://{authority}{target}{REDIRECTED}"),
                _ => request.whole_target.clone(),
            };
            let mut answer = Answer::new(302, "");
            answer.headers.push(("Location", location));
            send(wire, &answer)?;
            Next::KeepAlive
        }
        Fault::Drip(pause) => {
            wire.write_all(&whole)?;
            for piece in answer.body.chunks(answer.body.len() / PIECES + 1) {
                wire.wait(pause);
                if wire.is_gone() {
                    return Err(gone());
                }
                wire.write_all(piece)?;
                wire.flush()?;
            }
            Next::KeepAlive
        }
        Fault::Chunked => {
            let chunked = ("Transfer-Encoding", "chunked".to_owned());
            wire.write_all(&head(answer, &[chunked]))?;
            for piece in answer.body.chunks(answer.body.len() / 5 + 1) {
                write!(wire, "{:x}\r\n", piece.len())?;
                wire.write_all(piece)?;
                wire.write_all(b"\r\n")?;
            }
            wire.write_all(b"0\r\n\r\n")?;
            Next::KeepAlive
        }
        Fault::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&answer.body)?;
            let body = encoder.finish()?;
            let headers = [
                ("Content-Encoding", "gzip".to_owned()),
                ("Content-Length", body.len().to_string()),
            ];
            wire.write_all(&head(answer, &headers))?;
            wire.write_all(&body)?;
            Next::KeepAlive
        }
        Fault::EarlyClose | Fault::ResetInside | Fault::HangInside => {
            wire.write_all(&whole)?;
            wire.write_all(&answer.body[..half])?;
            wire.flush()?;
            match fault {
                Fault::EarlyClose => Next::Cut,
                Fault::ResetInside => Next::Reset,
                _ => {
                    wire.wait(shared.config.patience);
                    Next::Cut
                }
            }
        }
        Fault::HugeBody => {
            huge(wire)?;
            Next::KeepAlive
        }
        _ => {
            send(wire, answer)?;
            match fault {
                Fault::KeepAliveDropped => Next::Cut,
                _ => Next::KeepAlive,
            }
        }
    };
    wire.flush()?;
    Ok(next)
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the client has gone")
}

/// The answer of a server that does not even look at what is asked; none where it does.
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

/// Headers without end, but for a limit.
fn flood(wire: &mut Wire) -> io::Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
    let line = format!("X-Flood: {}\r\n", "x".repeat(1000));
    for _ in 0..FLOOD_BYTES / line.len() {
        wire.write_all(line.as_bytes())?;
    }
    wire.flush()
}

/// JSON without prices, and much of it.
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

/// How a target looks that a redirect led to.
const REDIRECTED: &str = "&_redirected";

const HEAD_MAX: usize = 64 * 1024;
const FLOOD_BYTES: usize = 2 << 20;
const HUGE_BYTES: usize = 10 << 20;
/// In so many pieces a body drips.
const PIECES: usize = 16;
