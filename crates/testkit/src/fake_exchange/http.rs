//! Reads HTTP requests and answers them.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Instant;

use super::answer::{Next, REDIRECTED, delay, misanswer, refusal, send};
use super::fault::{Fault, Stage};
use super::request::Request;
use super::state::Shared;
use super::wire::Wire;
use super::{Seen, control, rest, stream};

/// Serves one connection until its end.
pub(super) fn serve(shared: &Shared, socket: TcpStream, connection: u64) -> io::Result<()> {
    let mut wire = Wire::accept(socket, shared)?;
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut wire, &mut unread)? {
        if request.target.starts_with("/_") && request.authority.is_empty() {
            send(&mut wire, &control::answer(shared, &request))?;
            continue;
        }
        let is_upgrade = request.header("upgrade").is_some();
        let source = if is_upgrade {
            stream::source(&request)
        } else {
            rest::source(&request)
        };
        let fault = fault(shared, &request, &source, is_upgrade);
        shared.saw(Seen {
            at: Instant::now(),
            source: source.clone(),
            target: request.target.clone(),
            connection,
            fault,
        });
        let answer = match (is_upgrade, fault) {
            (true, Fault::None | Fault::Delay(_)) => {
                wire.wait(delay(fault));
                return stream::serve(shared, wire, &request, connection);
            }
            (true, _) => refusal(fault).unwrap_or_default(),
            (false, _) => rest::answer(shared, &request, &source, connection, fault),
        };
        match misanswer(shared, &mut wire, &request, fault, &answer)? {
            Next::KeepAlive if !is_upgrade => {}
            next => {
                next.end(wire);
                return Ok(());
            }
        }
    }
    wire.close();
    Ok(())
}

/// The fault that strikes a request.
fn fault(shared: &Shared, request: &Request, source: &str, is_upgrade: bool) -> Fault {
    let stages = if is_upgrade {
        &[Stage::Head][..]
    } else {
        &[Stage::Head, Stage::Body, Stage::Symbol, Stage::Price]
    };
    if request.whole_target.ends_with(REDIRECTED) {
        // The target of a redirect answers without a fault.
        return Fault::None;
    }
    match shared.fault(source, stages).0 {
        // A POST is not redirected.
        fault if fault.redirects() && request.method == "POST" => Fault::None,
        fault => fault,
    }
}

/// Reads one request; `None` when the client sends no more.
fn read_request(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let bad = || io::Error::from(ErrorKind::InvalidData);
    let (mut request, head_length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(unread).map_err(|_| bad())? {
            httparse::Status::Complete(length) => break (Request::from(parsed), length),
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
    let body = unread.drain(..head_length + length).skip(head_length);
    request.body = String::from_utf8_lossy(&body.collect::<Vec<_>>()).into_owned();
    // With `--upstream` the authority is in the path, otherwise in the Host header.
    let known = |authority: &str| rest::knows(authority) || stream::knows(authority);
    let mut parts = request.whole_target[1..].splitn(2, ['/', '?']);
    let first = parts.next().unwrap_or_default().replace("%3A", ":");
    let first = first.strip_suffix(":443").unwrap_or(&first).to_owned();
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

fn read_more(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let length = wire.read(&mut buffer)?;
    unread.extend_from_slice(&buffer[..length]);
    Ok(length > 0)
}

const HEAD_MAX: usize = 64 * 1024;
