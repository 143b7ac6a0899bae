//! The client's opening handshake (RFC 6455 section 4.1) as text in and text out.
//!
//! tungstenite's own handshake needs a blocking stream, or 128 KiB for each connection; here it
//! only computes the key and the accept value, the rest is a request and a check of the response.

use std::borrow::Cow;
use std::mem;

use httparse::{Header, Response, Status};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::client::config::url::Url;
use crate::client::ws::error::{ConnectionError, ONLY_TLS};

/// One handshake in progress.
#[derive(Debug)]
pub(crate) struct Handshake {
    key: String,
    request: Vec<u8>,
    /// How much of the request has been sent.
    sent: usize,
    /// The part of the response that has arrived.
    response: Vec<u8>,
}

impl Handshake {
    /// A handshake for `url` with a new key. With `since` it asks for the ticks after that stamp,
    /// with `symbols` for these, encoded for a query.
    pub(crate) fn new(
        url: &Url,
        headers: &[(String, String)],
        (since, symbols): (Option<u64>, &str),
    ) -> Self {
        let key = generate_key();
        let target = match (since, symbols) {
            (None, "") => url.target().into(),
            _ => Cow::Owned(url.target_for(since, symbols)),
        };
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
            url.authority(),
        );
        let authorization = url.authorization();
        let own = authorization.iter().map(|value| ("Authorization", value));
        let given = headers.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in own.chain(given) {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        Self {
            key,
            request: request.into_bytes(),
            sent: 0,
            response: Vec::new(),
        }
    }

    /// The unsent part of the request.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.request[self.sent..]
    }

    /// Notes that the socket took `length` bytes.
    pub(crate) fn advance(&mut self, length: usize) {
        self.sent += length;
    }

    /// Takes the next piece of the response. Once the response is complete and valid, returns the
    /// bytes that follow it: the first frames.
    ///
    /// # Errors
    /// [`ConnectionError::HandshakeRefused`] or [`ConnectionError::BadHandshake`].
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
        self.response.extend_from_slice(bytes);
        // An alert, because a TLS server cannot parse our request (RFC 8446, section 5.1).
        if self.response.starts_with(&[0x15, 0x03]) {
            return Err(bad("the server speaks TLS on this port (use wss://)"));
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let parsed = response
            .parse(&self.response)
            .map_err(|error| ConnectionError::BadHandshake(Cow::Owned(error.to_string())))?;
        match parsed {
            Status::Complete(length) if length <= HEAD_LENGTH_MAX => {
                self.check(&response, &self.response[length..])?;
                Ok(Some(mem::take(&mut self.response).split_off(length)))
            }
            Status::Partial if self.response.len() <= HEAD_LENGTH_MAX => Ok(None),
            _ => Err(bad("the header is longer than 16 KiB")),
        }
    }

    /// The error for a stream that ends here; `is_plain` if it is without TLS.
    pub(crate) fn end_of_stream(&self, is_plain: bool) -> ConnectionError {
        match (self.response.is_empty(), is_plain) {
            (true, true) => ConnectionError::BadHandshake(
                format!("the connection ended first {ONLY_TLS}").into(),
            ),
            (true, false) => bad("the connection ended first"),
            (false, _) => bad("the connection ended in the middle of it"),
        }
    }

    fn check(&self, response: &Response<'_, '_>, body: &[u8]) -> Result<(), ConnectionError> {
        let status = response.code.unwrap_or_default();
        if status != 101 {
            let mut reason = response.reason.unwrap_or_default().to_owned();
            if let Some(location) = values(response.headers, "Location").next() {
                reason.push_str(", try ");
                reason.push_str(&String::from_utf8_lossy(location));
            } else if status == 400 && body.windows(5).any(|word| word == b"HTTPS") {
                // The responses of nginx, Apache and Go to plain HTTP each say this in their own
                // words.
                reason.push_str(", try wss://");
            }
            return Err(ConnectionError::HandshakeRefused {
                status,
                reason,
                words: first_line(response.headers, body),
            });
        }
        let headers = &*response.headers;
        let accept = derive_accept_key(self.key.as_bytes());
        if !has_token(headers, "Upgrade", "websocket") {
            return Err(bad("missing 'Upgrade: websocket'"));
        }
        if !has_token(headers, "Connection", "upgrade") {
            return Err(bad("missing 'Connection: upgrade'"));
        }
        if !values(headers, "Sec-WebSocket-Accept").eq([accept.as_bytes()]) {
            return Err(bad("wrong Sec-WebSocket-Accept"));
        }
        // The request offered neither, so the server must not choose one.
        for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            if values(headers, name).next().is_some() {
                return Err(ConnectionError::BadHandshake(Cow::Owned(format!(
                    "unexpected {name}, which was not offered"
                ))));
            }
        }
        Ok(())
    }
}

fn values<'a>(headers: &'a [Header<'_>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let named = headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// The first line of a text, which says what the status cannot: the symbol that is unknown. It is
/// only looked for beside the head: most servers send both in one piece.
fn first_line(headers: &[Header<'_>], body: &[u8]) -> String {
    let is_text = values(headers, "Content-Type").any(|value| value.starts_with(b"text/plain"));
    let body = if is_text { body } else { &[] };
    let line = body.split(|&byte| byte == b'\n').next();
    String::from_utf8_lossy(line.unwrap_or_default().trim_ascii()).into_owned()
}

/// Whether `token` is among the comma-separated values of the header `name`.
fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn bad(what: &'static str) -> ConnectionError {
    ConnectionError::BadHandshake(Cow::Borrowed(what))
}

/// No WebSocket server needs this much.
const HEAD_LENGTH_MAX: usize = 16 * 1024;

const HEADERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn handshake() -> Handshake {
        Handshake::new(&url("ws://example.org:8888/?since=5"), &[], (None, ""))
    }

    fn answer(handshake: &Handshake) -> String {
        let accept = derive_accept_key(handshake.key.as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
             Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    }

    #[test]
    fn the_request_has_the_required_headers() {
        let mut handshake = handshake();
        let request = String::from_utf8(handshake.unsent().to_vec()).unwrap();
        assert!(request.starts_with("GET /?since=5 HTTP/1.1\r\nHost: example.org:8888\r\n"));
        assert!(request.ends_with("Sec-WebSocket-Version: 13\r\n\r\n"));
        assert_ne!(
            request.as_bytes(),
            self::handshake().unsent(),
            "keys differ"
        );
        handshake.advance(request.len() - 2);
        assert_eq!(handshake.unsent(), b"\r\n");
    }

    #[test]
    fn the_request_has_the_configured_headers() {
        let headers = [("X-Key".to_owned(), "a b".to_owned())];
        let handshake = Handshake::new(&url("ws://u:p@h/?a=b"), &headers, (Some(7), "A,B"));
        let request = String::from_utf8(handshake.unsent().to_vec()).unwrap();
        assert!(
            request.starts_with("GET /?a=b&since=7&symbols=A,B HTTP/1.1\r\nHost: h\r\n"),
            "{request}"
        );
        let end = "Version: 13\r\nAuthorization: Basic dTpw\r\nX-Key: a b\r\n\r\n";
        assert!(request.ends_with(end), "{request}");
    }

    #[test]
    fn a_tls_answer_is_recognized() {
        let error = handshake().take(b"\x15\x03\x03\0\x02\x02\x16").unwrap_err();
        assert!(error.to_string().contains("wss://"), "{error}");
    }

    #[test]
    fn an_invalid_answer_is_explained() {
        for (from, to, part) in [
            ("101 Switching Protocols", "403 Forbidden", "403 Forbidden"),
            (
                "upgrade: WebSocket",
                "upgrade: h2c",
                "missing 'Upgrade: websocket'",
            ),
            (
                "keep-alive, Upgrade",
                "keep-alive",
                "missing 'Connection: upgrade'",
            ),
            ("Accept: ", "Accept: x", "wrong Sec-WebSocket-Accept"),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Protocol: a\r\n\r\n",
                "not offered",
            ),
            ("HTTP/1.1", "SSH-2.0", "invalid handshake response"),
        ] {
            let mut handshake = handshake();
            let answer = answer(&handshake).replace(from, to);
            let error = handshake.take(answer.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn an_endless_header_is_refused() {
        let mut handshake = handshake();
        let line = format!("X: {}\r\n", "x".repeat(1000));
        assert!(handshake.take(b"HTTP/1.1 101 OK\r\n").unwrap().is_none());
        let error = (0..17).find_map(|_| handshake.take(line.as_bytes()).err());
        assert!(error.unwrap().to_string().contains("longer than 16 KiB"));
    }

    proptest! {
        #[test]
        fn frames_after_the_response_are_found(cut in 0usize..170) {
            let mut handshake = handshake();
            let bytes = answer(&handshake) + "frames";
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut behind = handshake.take(first.as_bytes()).unwrap();
            match &mut behind {
                Some(behind) => behind.extend_from_slice(second.as_bytes()),
                None => behind = handshake.take(second.as_bytes()).unwrap(),
            }
            prop_assert_eq!(behind.as_deref(), Some(&b"frames"[..]));
        }
    }
}
