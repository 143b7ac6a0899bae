//! What the port answers to who asks for no upgrade: a live page, health and metrics.

use ioloop::IoLoop;
use mio::Token;
use tungstenite::http::StatusCode;

use crate::server::Server;
use crate::server::close::CloseReason;
use crate::server::http::response::{HTML, Response};
use crate::server::http::router::Page;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Gives `token` a page, only its head if `head_only`, and ends its connection.
    pub(crate) fn give(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        (page, head_only): (Page, bool),
    ) {
        let answer = match page {
            Page::Metrics(format) => {
                return self.give_metrics(io_loop, token, (format, head_only));
            }
            Page::Live => Response {
                status: StatusCode::OK,
                content_type: HTML,
                body: include_str!("page.html"),
            }
            .to_bytes(head_only),
            Page::Health => Response::text(StatusCode::OK, "ok\n").to_bytes(head_only),
            Page::Ready => {
                let (status, body) = self.readiness(io_loop.time());
                Response::text(status, &body).to_bytes(head_only)
            }
        };
        self.close(io_loop, token, &CloseReason::Served, &answer);
    }
}
