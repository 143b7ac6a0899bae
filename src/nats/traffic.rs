//! The bytes that all connections to one log have carried.

use std::cell::Cell;
use std::rc::Rc;

/// Counts bytes, without those that TLS adds. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Traffic {
    pub(super) fn count_received(&self, length: usize) {
        add(&self.0.received, length);
    }

    pub(super) fn count_sent(&self, length: usize) {
        add(&self.0.sent, length);
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// How many bytes have gone.
    pub(crate) fn sent(&self) -> u64 {
        self.0.sent.get()
    }
}

fn add(count: &Cell<u64>, length: usize) {
    count.set(count.get() + length as u64);
}
