//! Counts connections.

use std::time::{Duration, Instant};

/// How many connections there are, were, and for how long.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// All that exist, in whatever state.
    pub(super) alive: usize,
    /// Connections that are open now, without slow ones, which are no average clients.
    pub(super) open: usize,
    /// Slow ones that are open now.
    pub(super) slow_open: usize,
    /// Clients between two connections.
    pub(super) away: usize,
    /// Those that have ever joined.
    pub(super) joined: usize,
    /// Those that never will.
    pub(super) failed: usize,
    /// How long connections have been open in the measured window, summed over all.
    pub(super) listened: Duration,
    /// Until when that has been summed up; none outside the window.
    pub(super) listened_until: Option<Instant>,
}

impl Tally {
    /// Whether nobody is there, nor will come back.
    pub(super) fn is_nobody_there(&self) -> bool {
        self.open + self.slow_open + self.away == 0
    }

    /// One more connection is open.
    pub(super) fn enter(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open += 1;
        } else {
            self.change_open(|open| open + 1);
        }
    }

    /// One less is.
    pub(super) fn leave(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open -= 1;
        } else {
            self.change_open(|open| open - 1);
        }
    }

    /// Changes the number of open connections, after summing up what it has been until now.
    pub(super) fn change_open(&mut self, change: impl FnOnce(usize) -> usize) {
        if let Some(until) = &mut self.listened_until {
            let now = Instant::now();
            let open = u32::try_from(self.open).unwrap_or(u32::MAX);
            self.listened += (now - *until) * open;
            *until = now;
        }
        self.open = change(self.open);
    }
}
