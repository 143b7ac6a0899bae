//! What the server counts. Plain numbers of one thread; [`metrics`](super::metrics) writes them out.

use crate::server::close::{self, CloseReason};
use crate::server::rejection::{self, RejectionCause};

/// Everything that has happened since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Clients refused, by cause, in the order of the causes' labels. They are among those closed.
    pub(crate) refused: [u64; rejection::LABELS.len()],
    /// Handshakes completed.
    pub(crate) opened: u64,
    /// Connections closed, by reason, in the order of the reasons' names.
    pub(crate) closed: [u64; close::NAMES.len()],
    /// Ticks printed.
    pub(crate) ticks: u64,
    /// Writes of prices and events to a client.
    pub(crate) writes: u64,
    /// Prices, events and pings that clients were given, one for each client.
    pub(crate) deliveries: u64,
    /// The bytes of them, in whole frames.
    pub(crate) bytes: u64,
    /// Messages read from clients.
    pub(crate) messages: u64,
    /// Times that a client skipped to now.
    pub(crate) conflated: u64,
    /// Clients open at the moment.
    pub(crate) clients: u64,
    /// Connections at the moment whose request has not come yet. With the clients and all that were
    /// closed they are those that were accepted, at any time.
    pub(crate) handshaking: u64,
}

impl Counters {
    /// A write to a client; one of which the socket took nothing is none.
    pub(crate) fn wrote(&mut self, messages: u64, bytes: u64) {
        self.writes += u64::from(bytes > 0);
        self.deliveries += messages;
        self.bytes += bytes;
    }

    /// A connection is accepted.
    pub(crate) fn accepted(&mut self) {
        self.accepted += 1;
        self.handshaking += 1;
    }

    /// A connection is closed.
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

    /// A connection is rejected as soon as it is accepted.
    pub(crate) fn rejected(&mut self, cause: RejectionCause) {
        self.accepted += 1;
        self.closed[close::REFUSED] += 1;
        self.refused[cause.index()] += 1;
    }
}
