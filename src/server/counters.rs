//! What the server counts. Plain numbers of one thread; [`metrics`](super::metrics) writes them out.

use super::close::{self, CloseReason};

/// Everything that has happened since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Connections accepted.
    pub(crate) accepted: u64,
    /// Connections answered with 503 because the server was full.
    pub(crate) turned_away: u64,
    /// Handshakes completed.
    pub(crate) opened: u64,
    /// Connections closed, by reason, in the order of the reasons' names.
    pub(crate) closed: [u64; close::NAMES.len()],
    /// Ticks printed.
    pub(crate) ticks: u64,
    /// Writes of tape to a client.
    pub(crate) writes: u64,
    /// Bytes of tape that clients were given, in whole frames.
    pub(crate) bytes: u64,
    /// Messages read from clients.
    pub(crate) messages: u64,
    /// Times that a client skipped to now.
    pub(crate) conflated: u64,
    /// Bytes of tape that clients skipped.
    pub(crate) skipped_bytes: u64,
    /// Clients open at the moment.
    pub(crate) clients: u64,
}

impl Counters {
    /// A write of tape; one of which the socket took nothing is none.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.writes += u64::from(bytes > 0);
        self.bytes += bytes;
    }

    pub(crate) fn skipped(&mut self, bytes: u64) {
        self.conflated += 1;
        self.skipped_bytes += bytes;
    }

    pub(crate) fn closed(&mut self, reason: &CloseReason) {
        self.closed[reason.index()] += 1;
    }
}
