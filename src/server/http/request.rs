//! The request head of a client that has just connected.
//!
//! Pure: bytes in, a decision out. The head is parsed once, when its end has arrived, so that a
//! client that sends it byte by byte costs no more than one that sends it whole. The checks are
//! those of RFC 6455 section 4.2.1 and of Tornado's `WebSocketHandler.get`.

use tungstenite::http::StatusCode;

use crate::server::admission::origin::{Origins, check_host, check_origin};
use crate::server::http::headers::Headers;
use crate::server::http::router::{Endpoint, Policy, Target, is_for_programs, not_found, route};
use crate::server::http::sse;
use crate::server::http::upgrade::{Handshake, Upgrade};
use crate::server::rejection::{Form, Rejection};

/// The longest head that is read, in bytes.
pub(crate) const HEAD_LENGTH_MAX: usize = 16 * 1024;

/// The most header lines in a head; one with more is rejected.
const HEADERS_MAX: usize = 64;

/// The request that a head makes.
#[derive(Debug)]
pub(crate) enum Request {
    /// Become a WebSocket or a stream of events.
    Upgrade(Upgrade),
    /// Answer, and wait for the next request.
    Get(Get),
}

/// A request that is no handshake.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) target: Target,
    pub(crate) form: Form,
    /// The client may send another request on the same connection.
    pub(crate) keep_alive: bool,
    /// The tags of the answers that the client has already (If-None-Match).
    pub(crate) known: Option<Box<[u8]>>,
}

/// A decision, and how many of the newest bytes the head had.
pub(crate) type Received = (Result<Request, Rejection>, usize);

/// Takes the next bytes of a head. Returns the decision once the head is complete.
pub(crate) fn receive(head: &mut Vec<u8>, bytes: &[u8], policy: Policy<'_>) -> Option<Received> {
    // Nearly every head arrives in one piece, and is then never copied.
    let known = head.len();
    let all = if known == 0 {
        bytes
    } else {
        head.extend_from_slice(bytes);
        &head[..]
    };
    let (decision, end) = match end(all, known) {
        Ok(Some(end)) => (read(&all[..end], all.len() > end, policy), end),
        Ok(None) => {
            if known == 0 {
                *head = bytes.to_vec();
            }
            return None;
        }
        Err(rejection) => (Err(rejection), all.len()),
    };
    *head = Vec::new();
    Some((decision, end - known))
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
    let mut form = Form {
        head_only: head.starts_with(b"HEAD "),
        ..Form::default()
    };
    let request = parse(head, more, policy, &mut form);
    request.map_err(|rejection| rejection.in_form(form))
}

/// Reads a head, and notes in `form` how it wants to be answered, whatever the answer is.
fn parse(
    head: &[u8],
    more: bool,
    policy: Policy<'_>,
    form: &mut Form,
) -> Result<Request, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(head).map_err(invalid_head)?;
    if parsed.is_partial() {
        return Err(Rejection::bad_request("the request head is incomplete"));
    }
    let method = Method::read(request.method.unwrap_or_default())?;
    let headers = Headers::of(request.headers)?;
    let modern = request.version == Some(1);
    if modern && headers.host.is_none_or(<[u8]>::is_empty) {
        return Err(Rejection::bad_request("missing Host header"));
    }
    let (path, query) = target(request.path.unwrap_or_default(), method)?;
    form.json_errors = is_for_programs(path, headers.accept);
    check_host(headers.host, headers.upgrade, policy.origins)?;
    form.readable_by = readable_by(&headers, policy.origins);
    let get = |target| Get {
        target,
        form: form.clone(),
        keep_alive: !headers.close && (modern || headers.keep_alive),
        known: headers.if_none_match.map(Box::from),
    };
    if method == Method::Options {
        // A browser asks without a token.
        return Ok(Request::Get(get(Target::Options)));
    }
    // The health pages are public: a monitor needs no token.
    if let Some(tokens) = policy.tokens
        && !matches!(path, "/healthz" | "/readyz")
    {
        tokens.check(headers.authorization, query)?;
    }
    if path == "/sse" && policy.endpoint == Endpoint::Public && !headers.upgrade {
        let request = (method == Method::Get, query, more);
        return sse::check(request, &headers, policy).map(Request::Upgrade);
    }
    if !headers.upgrade {
        return Ok(Request::Get(get(route(
            (path, query),
            headers.accept,
            policy,
        )?)));
    }
    if policy.endpoint == Endpoint::Admin {
        return Err(not_found(policy));
    }
    let request = Handshake {
        path,
        query,
        modern,
        get: method == Method::Get,
        more,
    };
    request.check(&headers, policy).map(Request::Upgrade)
}

fn invalid_head(error: httparse::Error) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("more than {HEADERS_MAX} header lines"),
        ),
        error => Rejection::bad_request(format!("invalid request head: {error}")),
    }
}

/// The methods that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Head,
    Options,
}

impl Method {
    fn read(name: &str) -> Result<Self, Rejection> {
        match name {
            "GET" => Ok(Self::Get),
            "HEAD" => Ok(Self::Head),
            "OPTIONS" => Ok(Self::Options),
            _ => Err(Rejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid method: expected GET, HEAD or OPTIONS",
            )),
        }
    }
}

/// The origin whose pages may read the answer: the rule for handshakes, but a page that may not
/// connect is only told nothing, because browsers send requests such as those for images as well.
fn readable_by(headers: &Headers<'_>, origins: &Origins) -> Option<Box<str>> {
    let origin = headers.origin?;
    check_origin(Some(origin), headers.host, origins).ok()?;
    if origins.is_any() {
        return Some("*".into());
    }
    std::str::from_utf8(origin).ok().map(Box::from)
}

/// The path and query of a request target in origin or absolute form (RFC 9112 section 3.2).
fn target(target: &str, method: Method) -> Result<(&str, &str), Rejection> {
    if target == "*" && method == Method::Options {
        return Ok(("/", ""));
    }
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
    let form = Form {
        head_only: head.starts_with(b"HEAD "),
        ..Form::default()
    };
    Rejection::bad_request("this port speaks TLS: use https:// or wss://").in_form(form)
}

/// The answer to a head that ended too early.
pub(crate) fn cut_off() -> Rejection {
    Rejection::bad_request("the connection ended before the request head was complete")
}

#[cfg(test)]
mod tests;
