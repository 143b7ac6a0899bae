//! The clock of a loop: the system's, or one that a test sets by hand.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The clock of one loop.
#[derive(Clone)]
pub(crate) enum Clock {
    System,
    Manual(ManualClock),
}

/// A clock that moves only when [`advance`](Self::advance) is called. Clones show the same time, so
/// that a simulation of the loop's environment can let time pass.
#[derive(Clone, Debug)]
pub struct ManualClock(Rc<Cell<Instant>>);

impl Clock {
    pub(crate) fn time(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Manual(clock) => clock.time(),
        }
    }
}

impl ManualClock {
    /// A clock that starts at `start`.
    pub fn new(start: Instant) -> Self {
        Self(Rc::new(Cell::new(start)))
    }

    /// The current time of this clock.
    pub fn time(&self) -> Instant {
        self.0.get()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}
