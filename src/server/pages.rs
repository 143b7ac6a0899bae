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
        Page::Ready => readiness(server, head_only),
    }
}

/// Ready is who has a price of now to give, and is not about to go.
fn readiness(server: &Server, head_only: bool) -> Vec<u8> {
    let board = &server.board;
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let (status, body) = if server.shutdown.has_begun() {
        (status, "shutting down\n".to_owned())
    } else if board.is_ready() {
        (StatusCode::OK, "ready\n".to_owned())
    } else if board.stale().next().is_some() {
        let stale: Vec<_> = board.unserved().take(NAMES_MAX).collect();
        (status, format!("stale: {}\n", stale.join(", ")))
    } else {
        (status, "not every symbol has had a tick\n".to_owned())
    };
    Answer::text(status, &body).to_bytes(head_only)
}

/// Symbols named by the page.
const NAMES_MAX: usize = 20;
