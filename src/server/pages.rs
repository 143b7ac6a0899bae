//! What the port answers to who asks for no upgrade: a live page, health and metrics.

use tungstenite::http::StatusCode;

use super::answer::{Answer, HTML};
use super::head::Page;
use super::{Server, metrics};
use crate::io_loop::IoLoop;

/// Renders a page; only its head if `head_only`.
pub(crate) fn render(
    server: &Server,
    io_loop: &IoLoop<Server>,
    page: Page,
    head_only: bool,
) -> Vec<u8> {
    match page {
        Page::Live => {
            let body = include_str!("page.html");
            Answer {
                status: StatusCode::OK,
                content_type: HTML,
                body,
            }
            .to_bytes(head_only)
        }
        Page::Metrics => {
            let body = &metrics::render(server, io_loop);
            let content_type = metrics::CONTENT_TYPE;
            Answer {
                status: StatusCode::OK,
                content_type,
                body,
            }
            .to_bytes(head_only)
        }
        Page::Health => Answer::text(StatusCode::OK, "ok\n").to_bytes(head_only),
        Page::Ready => readiness(server).to_bytes(head_only),
    }
}

/// Ready is who has a price of every symbol to give, and is not about to go.
fn readiness(server: &Server) -> Answer<'static> {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    if server.shutdown.has_begun() {
        Answer::text(unavailable, "shutting down\n")
    } else if server.board.is_ready() {
        Answer::text(StatusCode::OK, "ready\n")
    } else {
        Answer::text(unavailable, "not every symbol has had a tick\n")
    }
}
