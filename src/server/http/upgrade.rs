//! The opening handshake of RFC 6455: the checks of a request, and its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;
use tungstenite::http::StatusCode;

use crate::server::admission::origin::check_origin;
use crate::server::http::headers::Headers;
use crate::server::http::query::{Query, WISHES};
use crate::server::http::router::{Policy, not_found};
use crate::server::packing::Wire;
use crate::server::protocol::Delivery;
use crate::server::rejection::Rejection;

/// A valid handshake, or a valid request for a stream of events.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The 101 answer, or the head of the stream.
    pub(crate) response: Vec<u8>,
    /// How the client gets its messages.
    pub(crate) wire: Wire,
    /// The names and patterns of the requested symbols; `None` for all.
    pub(crate) symbols: Option<Vec<String>>,
    /// The last stamp that the client saw, Unix µs.
    pub(crate) since: Option<u64>,
    /// How the client wants its messages.
    pub(crate) delivery: Delivery,
}

/// A request to upgrade.
pub(crate) struct Handshake<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) modern: bool,
    pub(crate) get: bool,
    pub(crate) more: bool,
}

impl Handshake<'_> {
    /// Checks the request.
    ///
    /// # Errors
    /// The answer to a request that cannot become a WebSocket.
    pub(crate) fn check(
        &self,
        headers: &Headers<'_>,
        policy: Policy<'_>,
    ) -> Result<Upgrade, Rejection> {
        if !self.get {
            return Err(Rejection::bad_request(
                "invalid handshake: expected the method GET",
            ));
        }
        if !self.modern {
            return Err(Rejection::bad_request(
                "invalid handshake: expected HTTP/1.1",
            ));
        }
        if self.path != "/" {
            return Err(not_found(policy));
        }
        if !headers.connection_upgrade {
            return Err(Rejection::bad_request(
                "invalid Connection header: expected Upgrade",
            ));
        }
        if headers.version != Some(b"13") {
            let message = "invalid Sec-WebSocket-Version: expected 13";
            return Err(Rejection::new(StatusCode::UPGRADE_REQUIRED, message));
        }
        check_origin(headers.origin, headers.host, policy.origins)?;
        if self.more {
            // RFC 6455 section 4.1: the client waits for the answer.
            return Err(Rejection::bad_request(
                "invalid handshake: data arrived before it was answered",
            ));
        }
        let query = Query::read(self.query, &WISHES)?;
        Ok(Upgrade {
            response: response(headers.key)?,
            wire: Wire::WebSocket,
            symbols: query.symbols,
            since: query.since,
            delivery: query.delivery,
        })
    }
}

/// The 101 answer to a key (RFC 6455 section 4.2.2).
///
/// Tungstenite's `create_response` gives the same answer to the same requests, but takes them as a
/// header map, which would have to be filled from headers that are already checked.
fn response(key: Option<&[u8]>) -> Result<Vec<u8>, Rejection> {
    let key = key.filter(|key| is_key(key)).ok_or_else(|| {
        Rejection::bad_request("invalid Sec-WebSocket-Key: expected 16 bytes in base64")
    })?;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(derive_accept_key(key).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    Ok(out)
}

/// Whether `key` is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    // The decoder requires room for whole groups of three bytes.
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

#[cfg(test)]
mod tests;
