//! When an exchange may be asked again. Its prices and its list of markets are fetched by different
//! fibers, and both have to keep to its limit.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::fiber;

/// The earliest time of the next request to an exchange, or of the next connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Rc<Cell<Option<Instant>>>);

impl Pace {
    pub(super) fn new(not_before: Instant) -> Self {
        Self(Rc::new(Cell::new(Some(not_before))))
    }

    pub(super) fn not_before(&self) -> Instant {
        self.0.get().unwrap_or_else(fiber::time)
    }

    /// Takes the next turn of those that are `interval` apart, and returns when it is.
    pub(super) fn turn(&self, interval: Duration) -> Instant {
        let turn = self.not_before().max(fiber::time());
        self.0.set(Some(turn + interval));
        turn
    }

    /// Notes a request that was due `at` that time, after which the exchange allows another one
    /// only after `interval`.
    pub(super) fn asks(&self, at: Instant, interval: Duration) {
        self.not_before_that(at + interval);
    }

    /// Notes that the exchange has to be left alone for as long as `pause`.
    pub(super) fn waits(&self, pause: Duration) {
        self.not_before_that(fiber::time() + pause);
    }

    fn not_before_that(&self, instant: Instant) {
        self.0.set(self.0.get().max(Some(instant)));
    }
}
