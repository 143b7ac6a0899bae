//! The connections, counted.

use std::time::{Duration, Instant};

/// How many connections there are, were, and for how long.
#[derive(Debug, Default)]
pub(in crate::client) struct Tally {
    /// All that exist, in whatever state.
    pub(in crate::client) alive: usize,
    /// Those that are open now, without the slow ones: the average client is none of these.
    pub(in crate::client) open: usize,
    /// Slow ones that are open now.
    pub(in crate::client) slow_open: usize,
    /// Clients between two connections.
    pub(in crate::client) away: usize,
    /// Those that have ever joined.
    pub(in crate::client) joined: usize,
    /// Those that never will.
    pub(in crate::client) failed: usize,
    /// Errors that other processes have told of, while they run; what they are, the outcomes tell.
    pub(in crate::client) errors_elsewhere: u64,
    /// How long connections have been open in the measured window, summed over all.
    pub(in crate::client) listened: Duration,
    /// Until when that has been summed up; none outside the window.
    pub(in crate::client) listened_until: Option<Instant>,
}

impl Tally {
    /// Whether nobody is there, nor will come back.
    pub(in crate::client) fn is_nobody_there(&self) -> bool {
        self.open + self.slow_open + self.away == 0
    }

    /// One more connection is open.
    pub(in crate::client) fn enter(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open += 1;
        } else {
            self.change_open(|open| open + 1);
        }
    }

    /// One less is.
    pub(in crate::client) fn leave(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open -= 1;
        } else {
            self.change_open(|open| open - 1);
        }
    }

    /// Changes the number of open connections, after summing up what it has been until now.
    pub(in crate::client) fn change_open(&mut self, change: impl FnOnce(usize) -> usize) {
        if let Some(until) = &mut self.listened_until {
            let now = Instant::now();
            let open = u32::try_from(self.open).unwrap_or(u32::MAX);
            self.listened += (now - *until) * open;
            *until = now;
        }
        self.open = change(self.open);
    }
}
