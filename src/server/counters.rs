//! The server's counters. Plain numbers of one thread; [`metrics`](super::metrics) writes them out.

use crate::server::close::{self, CloseReason};
use crate::server::rejection::{self, RejectionCause};

/// Totals since the start, and two current numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Clients refused, by cause, in the order of the causes' labels. They count as closed too.
    pub(crate) refused: [u64; rejection::LABELS.len()],
    /// Requests answered other than handshakes, in the order of [`Route`].
    pub(crate) requests: [u64; Route::LABELS.len()],
    /// Handshakes completed.
    pub(crate) opened: u64,
    /// Connections closed, by reason, in the order of the reasons' names.
    pub(crate) closed: [u64; close::NAMES.len()],
    /// Ticks published.
    pub(crate) ticks: u64,
    /// Writes of prices and events to a client.
    pub(crate) writes: u64,
    /// Prices, events and pings delivered, counted once for each client.
    pub(crate) deliveries: u64,
    /// The bytes of those deliveries, in whole frames.
    pub(crate) bytes: u64,
    /// Messages read from clients.
    pub(crate) messages: u64,
    /// Times that a client skipped to the newest ticks.
    pub(crate) conflated: u64,
    /// Clients open at present.
    pub(crate) clients: u64,
    /// Those of them that read server-sent events.
    pub(crate) streams: u64,
    /// Connections at present whose request has not arrived yet. These, the open clients and the
    /// closed connections always add up to those accepted.
    pub(crate) handshaking: u64,
}

/// What a request is for, as the metrics count it. The set is fixed, so clients cannot add series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Live,
    Info,
    Metrics,
    Health,
    Ready,
    Check,
    Ticks,
    Symbols,
    History,
    Options,
}

impl Route {
    /// The labels of the metric, in the order of the routes.
    pub(crate) const LABELS: [&str; Self::Options as usize + 1] = [
        "/",
        "/ as JSON",
        "/metrics",
        "/healthz",
        "/readyz",
        "/check",
        "/ticks",
        "/symbols",
        "/history",
        "OPTIONS",
    ];
}

impl Counters {
    /// Counts a request that is answered.
    pub(crate) fn answered(&mut self, route: Route) {
        self.requests[route as usize] += 1;
    }

    /// Counts a write to a client, unless the socket took nothing of it.
    pub(crate) fn wrote(&mut self, messages: u64, bytes: u64) {
        self.writes += u64::from(bytes > 0);
        self.deliveries += messages;
        self.bytes += bytes;
    }

    /// Counts a connection that is accepted.
    pub(crate) fn accepted(&mut self) {
        self.accepted += 1;
        self.handshaking += 1;
    }

    /// Counts a connection that is closed.
    pub(crate) fn closed(&mut self, reason: &CloseReason) {
        self.closed[reason.index()] += 1;
        match reason {
            CloseReason::Refused(rejection) => {
                self.refused[RejectionCause::of(rejection.status).index()] += 1;
            }
            CloseReason::HandshakeTimeout => self.refused[RejectionCause::Timeout.index()] += 1,
            _ => {}
        }
    }

    /// Counts a connection that is rejected as soon as it is accepted.
    pub(crate) fn rejected(&mut self, cause: RejectionCause) {
        self.accepted += 1;
        self.closed[close::REFUSED] += 1;
        self.refused[cause.index()] += 1;
    }
}
