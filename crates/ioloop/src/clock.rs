//! Where a loop takes the time from: the system, or a test that sets it by hand.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The clock of one loop.
pub(crate) enum Clock {
    System,
    Manual(ManualClock),
}

/// A clock that moves only when somebody moves it. Clones show the same time, so that whatever is
/// simulated around a loop can take time.
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
    /// A clock that stands at `start`.
    pub fn new(start: Instant) -> Self {
        Self(Rc::new(Cell::new(start)))
    }

    /// What it shows.
    pub fn time(&self) -> Instant {
        self.0.get()
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}
