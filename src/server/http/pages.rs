//! The pages beside the WebSocket, except `/metrics`: a live view of the prices, and the health
//! pages.

use std::time::Instant;

use tungstenite::http::StatusCode;

use crate::server::http::readiness::Readiness;
use crate::server::http::response::{HTML, Response};

/// `/`: shows the prices in a browser.
pub(crate) fn live(head_only: bool) -> Vec<u8> {
    let response = Response {
        status: StatusCode::OK,
        content_type: HTML,
        body: include_str!("page.html"),
    };
    response.to_bytes(head_only)
}

/// `/healthz` answers so as long as the loop runs, and `/check` to a query that it would accept.
pub(crate) fn ok(head_only: bool) -> Vec<u8> {
    Response::text(StatusCode::OK, "ok\n").to_bytes(head_only)
}

/// `/readyz`.
pub(crate) fn ready(readiness: &Readiness<'_>, now: Instant, head_only: bool) -> Vec<u8> {
    let (status, body) = readiness.page(now);
    Response::text(status, &body).to_bytes(head_only)
}
