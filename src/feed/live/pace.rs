//! When an exchange may be asked again. Its prices and its list of markets are fetched by different
//! fibers, and both have to keep to its limit.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::fiber;

/// The earliest time of the next request to an exchange. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Pace(Rc<Cell<Instant>>);

impl Pace {
    pub(super) fn new(not_before: Instant) -> Self {
        Self(Rc::new(Cell::new(not_before)))
    }

    pub(super) fn not_before(&self) -> Instant {
        self.0.get()
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
        self.0.set(self.0.get().max(instant));
    }
}
