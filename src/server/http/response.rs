//! HTTP responses to requests that do not become WebSockets. Each response ends its connection, so
//! there is no keep-alive to abuse.

use std::io::Write;

use tungstenite::http::StatusCode;

use crate::server::rejection::Rejection;

/// An HTTP response before it is encoded.
pub(crate) struct Response<'a> {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a str,
}

impl<'a> Response<'a> {
    /// A response with plain text.
    pub(crate) fn text(status: StatusCode, body: &'a str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body,
        }
    }

    /// Encodes the response; with `head_only` only its head, which still states the length of the
    /// body.
    pub(crate) fn to_bytes(&self, head_only: bool) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
        } = self;
        let mut out = Vec::with_capacity(512 + body.len());
        let reason = status.canonical_reason().unwrap_or_default();
        let length = body.len();
        write!(
            out,
            "HTTP/1.1 {} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
            status.as_u16(),
        )
        .expect("a vector takes every write");
        out.extend_from_slice(status_headers(*status).as_bytes());
        if *content_type == HTML {
            out.extend_from_slice(PAGE_POLICY.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(body.as_bytes());
        }
        out
    }
}

/// The response to a request that is rejected.
pub(crate) fn reject(rejection: &Rejection) -> Vec<u8> {
    let body = format!("{}\n", rejection.message);
    Response::text(rejection.status, &body).to_bytes(rejection.head_only)
}

/// The headers that some statuses require.
fn status_headers(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "Connection: close\r\nAllow: GET, HEAD\r\n",
        // RFC 6455 section 4.4: name the supported version. RFC 9110 section 7.8: a sender of
        // Upgrade names it in Connection.
        StatusCode::UPGRADE_REQUIRED => {
            "Connection: close, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        }
        // RFC 6750 section 3.
        StatusCode::UNAUTHORIZED => {
            "Connection: close\r\nWWW-Authenticate: Bearer realm=\"tickertape\"\r\n"
        }
        StatusCode::SERVICE_UNAVAILABLE => "Connection: close\r\nRetry-After: 5\r\n",
        _ => "Connection: close\r\n",
    }
}

/// The live page.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// The page needs its own style and script, and a connection to its own server. Its address may
/// contain a token, so no referrer is sent.
const PAGE_POLICY: &str = "Referrer-Policy: no-referrer\r\n\
     Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_to_head_states_the_length_of_the_omitted_body() {
        let response = Response::text(StatusCode::OK, "hello");
        let whole = String::from_utf8(response.to_bytes(false)).unwrap();
        let head = String::from_utf8(response.to_bytes(true)).unwrap();
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
}
