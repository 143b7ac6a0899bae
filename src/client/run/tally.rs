//! Counts connections.

use std::time::{Duration, Instant};

/// How many connections there are and were, and for how long.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Connections in any state.
    pub(super) alive: usize,
    /// Open connections of normal clients.
    pub(super) open: usize,
    /// Open connections of slow readers, which are not counted as `open`.
    pub(super) slow_open: usize,
    /// Clients between two connections.
    pub(super) away: usize,
    /// Clients that have ever joined.
    pub(super) joined: usize,
    /// Clients that never will.
    pub(super) failed: usize,
    /// How long connections were open in the measured window, summed over all of them.
    pub(super) listened: Duration,
    /// Until when that is summed up; `None` outside the window.
    pub(super) listened_until: Option<Instant>,
}

impl Tally {
    /// Whether no client is connected or will come back.
    pub(super) fn is_nobody_there(&self) -> bool {
        self.open + self.slow_open + self.away == 0
    }

    /// Counts a connection that has opened.
    pub(super) fn enter(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open += 1;
        } else {
            self.change_open(|open| open + 1);
        }
    }

    /// Counts a connection that is no longer open.
    pub(super) fn leave(&mut self, is_slow: bool) {
        if is_slow {
            self.slow_open -= 1;
        } else {
            self.change_open(|open| open - 1);
        }
    }

    /// Changes the number of open connections, after summing up the time until now.
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
