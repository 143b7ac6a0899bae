//! The request head of a client that has just connected.
//!
//! Pure: bytes in, a decision out. The head is parsed once, when its end has arrived, so that a
//! client that sends it byte by byte costs no more than one that sends it whole. The checks are
//! those of RFC 6455 section 4.2.1 and of Tornado's `WebSocketHandler.get`.

use tungstenite::http::StatusCode;

use crate::server::admission::origin::check_host;
use crate::server::http::headers::Headers;
use crate::server::http::router::{Endpoint, Page, Policy, not_found, page};
use crate::server::http::sse;
use crate::server::http::upgrade::{Handshake, Upgrade, Wishes};
use crate::server::rejection::Rejection;

/// The longest head that is read, in bytes.
pub(crate) const HEAD_LENGTH_MAX: usize = 16 * 1024;

/// The most header lines in a head; one with more is rejected.
const HEADERS_MAX: usize = 64;

/// The request that a head makes.
#[derive(Debug)]
pub(crate) enum Request {
    /// Become a WebSocket or a stream of events.
    Upgrade(Upgrade),
    /// Get a page; with `head_only` only its head.
    Page { page: Page, head_only: bool },
    /// Ask how a handshake for these symbols would be answered; `None` for all.
    Check {
        symbols: Option<Vec<String>>,
        head_only: bool,
    },
}

/// Takes the next bytes of a head. Returns the decision once the head is complete.
pub(crate) fn receive(
    head: &mut Vec<u8>,
    bytes: &[u8],
    policy: Policy<'_>,
) -> Option<Result<Request, Rejection>> {
    // Nearly every head arrives in one piece, and is then never copied.
    let known = head.len();
    let bytes = if known == 0 {
        bytes
    } else {
        head.extend_from_slice(bytes);
        &head[..]
    };
    match end(bytes, known) {
        Ok(Some(end)) => Some(read(&bytes[..end], bytes.len() > end, policy)),
        Ok(None) => {
            if known == 0 {
                *head = bytes.to_vec();
            }
            None
        }
        Err(rejection) => Some(Err(rejection)),
    }
}

/// The end of the head in `bytes`, searching only beyond the first `known` bytes.
///
/// # Errors
/// When the bytes cannot become a request, or are too long.
pub(crate) fn end(bytes: &[u8], known: usize) -> Result<Option<usize>, Rejection> {
    let from = known.saturating_sub(3);
    let line_ends = (from..bytes.len()).filter(|&at| bytes[at] == b'\n');
    for at in line_ends {
        let behind = &bytes[at + 1..];
        let empty_line = if behind.starts_with(b"\r\n") { 2 } else { 1 };
        if empty_line == 2 || behind.starts_with(b"\n") {
            return within_limit(at + 1 + empty_line).map(Some);
        }
    }
    // Other protocols, such as a TLS hello, are rejected at once instead of at the time limit.
    if bytes
        .first()
        .is_some_and(|byte| !byte.is_ascii_graphic() && !b"\r\n".contains(byte))
    {
        return Err(Rejection::bad_request(
            "this port speaks HTTP and WebSocket without TLS: use http:// or ws://",
        ));
    }
    within_limit(bytes.len()).map(|_| None)
}

fn within_limit(length: usize) -> Result<usize, Rejection> {
    if length <= HEAD_LENGTH_MAX {
        return Ok(length);
    }
    let message = format!("the request head exceeds {HEAD_LENGTH_MAX} bytes");
    Err(Rejection::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        message,
    ))
}

/// Reads a whole head. `more` tells whether anything arrived behind it.
///
/// # Errors
/// The answer to a request that cannot be served.
pub(crate) fn read(head: &[u8], more: bool, policy: Policy<'_>) -> Result<Request, Rejection> {
    let head_only = head.starts_with(b"HEAD ");
    parse(head, more, policy).map_err(|rejection| Rejection {
        head_only,
        ..rejection
    })
}

fn parse(head: &[u8], more: bool, policy: Policy<'_>) -> Result<Request, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(Rejection::bad_request("the request head is incomplete"));
        }
        Err(httparse::Error::TooManyHeaders) => {
            let message = format!("more than {HEADERS_MAX} header lines");
            return Err(Rejection::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                message,
            ));
        }
        Err(error) => {
            return Err(Rejection::bad_request(format!(
                "invalid request head: {error}"
            )));
        }
    }
    let method = request.method.unwrap_or_default();
    if method != "GET" && method != "HEAD" {
        return Err(Rejection::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid method: expected GET or HEAD",
        ));
    }
    let headers = Headers::of(request.headers)?;
    let modern = request.version == Some(1);
    if modern && headers.host.is_none_or(<[u8]>::is_empty) {
        return Err(Rejection::bad_request("missing Host header"));
    }
    check_host(headers.host, headers.upgrade, policy.origins)?;
    let (path, query) = target(request.path.unwrap_or_default())?;
    // The health pages are public: a monitor needs no token.
    if let Some(tokens) = policy.tokens
        && !matches!(path, "/healthz" | "/readyz")
    {
        tokens.check(headers.authorization, query)?;
    }
    if policy.endpoint == Endpoint::Admin && (headers.upgrade || path == "/") {
        return Err(not_found(policy));
    }
    if headers.upgrade {
        let request = Handshake {
            path,
            query,
            modern,
            get: method == "GET",
            more,
        };
        return request.check(&headers, policy).map(Request::Upgrade);
    }
    if path == "/sse" && policy.endpoint == Endpoint::Public {
        return sse::check((method, query, more), &headers, policy).map(Request::Upgrade);
    }
    let head_only = method == "HEAD";
    if path == "/check" && policy.endpoint == Endpoint::Public {
        let Wishes { symbols, .. } = Wishes::read(query)?;
        return Ok(Request::Check { symbols, head_only });
    }
    let page = page(path, policy)?;
    Ok(Request::Page { page, head_only })
}

/// The path and query of a request target in origin or absolute form (RFC 9112 section 3.2).
fn target(target: &str) -> Result<(&str, &str), Rejection> {
    let origin_form = match target.split_once("://") {
        Some(("http" | "https" | "ws" | "wss", rest)) => match rest.find(['/', '?']) {
            Some(at) => &rest[at..],
            None => "/",
        },
        _ => target,
    };
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    match path {
        "" => Ok(("/", query)),
        path if path.starts_with('/') => Ok((path, query)),
        _ => Err(Rejection::bad_request(
            "invalid request target: expected a path",
        )),
    }
}

/// The answer to the first bytes of a plain-text head where TLS is expected.
pub(crate) fn without_tls(head: &[u8]) -> Rejection {
    Rejection {
        head_only: head.starts_with(b"HEAD "),
        ..Rejection::bad_request("this port speaks TLS: use https:// or wss://")
    }
}

/// The answer to a head that ended too early.
pub(crate) fn cut_off() -> Rejection {
    Rejection::bad_request("the connection ended before the request head was complete")
}

#[cfg(test)]
mod tests;
