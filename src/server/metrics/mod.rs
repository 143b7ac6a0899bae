//! `/metrics`: everything that is counted, for Prometheus, in either of its two text formats.
//!
//! A page is written in one go, from one moment. What can be read in a turn of the loop is read then,
//! and whoever asks within the same turn gets the same page, so that a flood of requests costs little
//! more than one.

mod format;
mod process;
mod sample;
mod sources;
mod writer;

use std::rc::Rc;

use ioloop::IoLoop;
use mio::Token;
use prometheus_client::registry::Registry;
use tungstenite::http::StatusCode;

pub(crate) use self::format::Format;
use self::process::Process;
use self::sample::Sample;
use super::Server;
use super::close::CloseReason;
use super::socket::Transport;
use crate::server::http::response::Response;
use crate::server::rejection::Rejection;

/// The pages on their way, and what of the process never changes.
#[derive(Default)]
pub(crate) struct Metrics {
    process: Process,
    newest: Option<Page>,
    /// Who has been given one and may not have taken all of it.
    takers: Vec<Token>,
}

/// A page as it was in one turn of the loop.
struct Page {
    turn: u64,
    format: Format,
    text: Rc<str>,
}

impl<S: Transport> Server<S> {
    /// Gives `token` the page and ends its connection.
    pub(super) fn give_metrics(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        (format, head_only): (Format, bool),
    ) {
        let page = self.page(io_loop, format);
        if self.bytes_untaken(page.len()) > UNTAKEN_MAX {
            let rejection = Rejection {
                head_only,
                ..Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "too many read this page")
            };
            return self.reject_or_close(io_loop, token, &CloseReason::Refused(rejection));
        }
        let answer = Response {
            status: StatusCode::OK,
            content_type: format.content_type(),
            body: &page,
        };
        self.metrics.takers.push(token);
        self.close(
            io_loop,
            token,
            &CloseReason::Served,
            &answer.to_bytes(head_only),
        );
    }

    fn page(&mut self, io_loop: &IoLoop<Self>, format: Format) -> Rc<str> {
        let turn = io_loop.turn_number();
        let known = self.metrics.newest.as_ref();
        if let Some(page) = known.filter(|page| (page.turn, page.format) == (turn, format)) {
            return Rc::clone(&page.text);
        }
        let text: Rc<str> = render(self, io_loop, format).into();
        self.metrics.newest = Some(Page {
            turn,
            format,
            text: Rc::clone(&text),
        });
        text
    }

    /// How much those who were given a page may hold in our memory, if each has `length` to come.
    fn bytes_untaken(&mut self, length: usize) -> usize {
        let connections = &mut self.connections;
        self.metrics.takers.retain(|token| {
            let taker = connections.get_mut(*token);
            taker.is_some_and(|connection| connection.has_pending())
        });
        self.metrics.takers.len() * length
    }
}

/// Writes out everything that is counted.
fn render<S: Transport>(
    server: &mut Server<S>,
    io_loop: &IoLoop<Server<S>>,
    format: Format,
) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(server.metrics.process.sample(format)));
    let own = registry.sub_registry_with_prefix("tickertape");
    own.register_collector(Box::new(Sample::of(server, io_loop, format)));
    format.encode(&registry).unwrap_or_else(|error| {
        // Formatting into a string does not fail; if it did, an empty page is no lie.
        log::error!("cannot write the metrics: {error}");
        String::new()
    })
}

/// What all who take their page slowly may hold in our memory: an answer is the one thing that a
/// client may have more of unsent than its share.
const UNTAKEN_MAX: usize = 16 << 20;
