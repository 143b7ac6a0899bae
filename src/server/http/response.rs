//! HTTP responses to requests that do not become WebSockets.
//!
//! After an answer the connection is free for the next request, unless either side ends it. A
//! rejection always ends it, since a client that errs may be out of step.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};

use exchanges::text::printable;
use tungstenite::http::StatusCode;

use crate::server::rejection::{Form, Rejection};

/// An HTTP response before it is encoded.
pub(crate) struct Response<'a> {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    /// The tag of the content, for answers that may be kept as long as it is the same.
    pub(crate) tag: Option<String>,
}

impl<'a> Response<'a> {
    /// A response with content that may be asked for again. A client that has it already, by the
    /// tags that it knows, is told only that.
    pub(crate) fn tagged(content_type: &'a str, body: &'a [u8], known: Option<&[u8]>) -> Self {
        let tag = tag(body);
        let is_known = known.is_some_and(|known| names(known, &tag));
        Self {
            status: if is_known {
                StatusCode::NOT_MODIFIED
            } else {
                StatusCode::OK
            },
            content_type,
            body: if is_known { &[] } else { body },
            tag: Some(tag),
        }
    }

    /// A response with plain text.
    pub(crate) fn text(status: StatusCode, body: &'a str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.as_bytes(),
            tag: None,
        }
    }

    /// A response with one JSON value.
    pub(crate) fn json(status: StatusCode, body: &'a [u8]) -> Self {
        Self {
            status,
            content_type: JSON,
            body,
            tag: None,
        }
    }

    /// A response without a body.
    pub(crate) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: "",
            body: &[],
            tag: None,
        }
    }

    /// Encodes the response; for HEAD only its head, which still states the length of the body.
    /// With `keep_alive` the connection goes on after it.
    pub(crate) fn to_bytes(&self, form: &Form, keep_alive: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.body.len());
        let written = self.write_head(form, keep_alive, &mut out);
        written.expect("a vector takes every write");
        if !form.head_only {
            out.extend_from_slice(self.body);
        }
        out
    }

    fn write_head(&self, form: &Form, keep_alive: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let (status, length) = (self.status, self.body.len());
        let reason = status.canonical_reason().unwrap_or_default();
        write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16())?;
        // RFC 9110 sections 8.6 and 15.4.5: these have no body, whose length could be told.
        if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
            let content_type = self.content_type;
            write!(
                out,
                "Content-Type: {content_type}\r\nContent-Length: {length}\r\n"
            )?;
        }
        match &self.tag {
            Some(tag) => write!(out, "Cache-Control: no-cache\r\nETag: {tag}\r\n")?,
            None => out.write_all(b"Cache-Control: no-store\r\n")?,
        }
        write!(
            out,
            "Vary: Origin, Accept, Accept-Encoding\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: {}\r\n{}",
            connection(status, keep_alive),
            status_headers(status),
        )?;
        if let Some(origin) = &form.readable_by {
            write!(out, "Access-Control-Allow-Origin: {origin}\r\n")?;
        }
        if self.content_type == HTML {
            out.write_all(PAGE_POLICY.as_bytes())?;
        }
        out.write_all(b"\r\n")
    }
}

/// The answer to a browser that asks whether a page of another origin may make a request, and to
/// anybody who asks for the methods.
pub(crate) fn options(form: &Form, keep_alive: bool) -> Vec<u8> {
    let mut out = Response::empty().to_bytes(form, keep_alive);
    // In front of the empty line.
    out.truncate(out.len() - 2);
    out.extend_from_slice(b"Allow: GET, HEAD, OPTIONS\r\n");
    if form.readable_by.is_some() {
        out.extend_from_slice(PREFLIGHT.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The response to a request that is rejected.
pub(crate) fn reject(rejection: &Rejection) -> Vec<u8> {
    let Rejection {
        status,
        message,
        form,
        ..
    } = rejection;
    let message = printable(message);
    if form.json_errors {
        let body = error_json(*status, &message);
        Response::json(*status, body.as_bytes()).to_bytes(form, false)
    } else {
        Response::text(*status, &format!("{message}\n")).to_bytes(form, false)
    }
}

/// `{"error":"unknown symbol 'X'","status":404}`.
fn error_json(status: StatusCode, message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(r#"{{"error":{message},"status":{}}}"#, status.as_u16()) + "\n"
}

/// A strong tag: equal for equal content, also of another server.
fn tag(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("\"{:016x}-{:x}\"", hasher.finish(), body.len())
}

/// Whether a list of tags has `tag`, weak or not (RFC 9110 section 13.1.2).
fn names(list: &[u8], tag: &str) -> bool {
    let mut items = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    items.any(|item| item == b"*" || item.strip_prefix(b"W/").unwrap_or(item) == tag.as_bytes())
}

fn connection(status: StatusCode, keep_alive: bool) -> &'static str {
    match status {
        // RFC 9110 section 7.8: a sender of Upgrade names it in Connection.
        StatusCode::UPGRADE_REQUIRED => "close, upgrade",
        _ if keep_alive => "keep-alive",
        _ => "close",
    }
}

/// The headers that some statuses require.
fn status_headers(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "Allow: GET, HEAD, OPTIONS\r\n",
        // RFC 6455 section 4.4: name the supported version.
        StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        // RFC 6750 section 3.
        StatusCode::UNAUTHORIZED => "WWW-Authenticate: Bearer realm=\"tickertape\"\r\n",
        StatusCode::SERVICE_UNAVAILABLE => "Retry-After: 5\r\n",
        _ => "",
    }
}

/// The live page.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// One JSON value.
pub(crate) const JSON: &str = "application/json";

/// The page needs its own style and script, and a connection to its own server. Its address may
/// contain a token, so no referrer is sent.
const PAGE_POLICY: &str = "Referrer-Policy: no-referrer\r\n\
     Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'\r\n";

/// What pages of other origins may send, and for how many seconds a browser need not ask again.
const PREFLIGHT: &str = "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
     Access-Control-Allow-Headers: Authorization, Accept, If-None-Match, Last-Event-ID\r\n\
     Access-Control-Max-Age: 600\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_to_head_states_the_length_of_the_omitted_body() {
        let response = Response::text(StatusCode::OK, "hello");
        let to_head = Form {
            head_only: true,
            ..Form::default()
        };
        let whole = String::from_utf8(response.to_bytes(&Form::default(), true)).unwrap();
        let head = String::from_utf8(response.to_bytes(&to_head, true)).unwrap();
        assert!(head.contains("\r\nContent-Length: 5\r\n"));
        assert_eq!(whole, head + "hello");
    }

    #[test]
    fn a_rejection_tells_the_client_what_is_expected() {
        let rejection = Rejection::new(StatusCode::UPGRADE_REQUIRED, "speak 13");
        let bytes = String::from_utf8(reject(&rejection)).unwrap();
        assert!(bytes.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
        assert!(bytes.contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert!(bytes.ends_with("\r\n\r\nspeak 13\n"));
    }

    #[test]
    fn a_rejection_is_json_for_programs() {
        let form = Form {
            json_errors: true,
            ..Form::default()
        };
        let rejection = Rejection::new(StatusCode::NOT_FOUND, "no \"X\"").in_form(form);
        let bytes = String::from_utf8(reject(&rejection)).unwrap();
        assert!(bytes.contains("\r\nContent-Type: application/json\r\n"));
        assert!(bytes.ends_with("\r\n\r\n{\"error\":\"no \\\"X\\\"\",\"status\":404}\n"));
    }
}
