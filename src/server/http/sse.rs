//! A request for a stream of server-sent events: `GET /sse`, with the query of the WebSocket.

use tungstenite::http::StatusCode;

use crate::server::admission::origin::{Origins, check_origin};
use crate::server::event_stream;
use crate::server::http::headers::Headers;
use crate::server::http::query::{Query, WISHES};
use crate::server::http::router::Policy;
use crate::server::http::upgrade::Upgrade;
use crate::server::packing::Wire;
use crate::server::rejection::Rejection;

/// Checks a request for a stream. `more` tells whether anything arrived behind its head.
///
/// # Errors
/// The answer to a request that gets no stream.
pub(crate) fn check(
    (is_get, query, more): (bool, &str, bool),
    headers: &Headers<'_>,
    policy: Policy<'_>,
) -> Result<Upgrade, Rejection> {
    if !is_get {
        let message = "invalid method: expected GET, since a stream has no end";
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    check_origin(headers.origin, headers.host, policy.origins)?;
    if more {
        return Err(Rejection::bad_request(
            "data behind the request: a stream of events answers only one",
        ));
    }
    let query = Query::read(query, &WISHES)?;
    // A browser that comes back asks for the same address, with what it has seen in this header.
    let since = match headers.last_event_id {
        None | Some(b"") => query.since,
        Some(id) => Some(stamp(id)?),
    };
    Ok(Upgrade {
        response: head(headers.origin, policy.origins),
        wire: Wire::Events,
        symbols: query.symbols,
        since,
        delivery: query.delivery,
    })
}

fn stamp(id: &[u8]) -> Result<u64, Rejection> {
    let stamp = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
    stamp.ok_or_else(|| {
        Rejection::bad_request(
            "invalid Last-Event-ID: expected the id of an event, its 'sent' in Unix µs",
        )
    })
}

/// The head of the answer. The end of the connection ends the stream.
fn head(origin: Option<&[u8]>, origins: &Origins) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
          Cache-Control: no-store\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n\
          X-Accel-Buffering: no\r\n",
    );
    match origin {
        _ if origins.is_any() => {
            out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
        }
        Some(origin) => {
            out.extend_from_slice(b"Vary: Origin\r\nAccess-Control-Allow-Origin: ");
            out.extend_from_slice(origin);
            out.extend_from_slice(b"\r\n");
        }
        None => out.extend_from_slice(b"Vary: Origin\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(event_stream::BEGINNING);
    out
}
