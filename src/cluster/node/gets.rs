//! Which messages of the log have been asked for.

use std::collections::BTreeSet;
use std::time::Instant;

use super::RETRY;

/// The requests for single messages that are under way or to be repeated.
#[derive(Debug, Default)]
pub(super) struct Gets {
    under_way: BTreeSet<u64>,
    /// Those that failed, to be asked for again.
    again: BTreeSet<u64>,
    /// When they may be.
    again_at: Option<Instant>,
    /// The lowest number that was never asked for.
    next: u64,
}

impl Gets {
    /// The numbers in `from..=to` to ask for now; they are under way from here on.
    pub(super) fn next(
        &mut self,
        (from, to): (u64, u64),
        is_here: impl Fn(u64) -> bool,
        now: Instant,
    ) -> Vec<u64> {
        let mut room = UNDER_WAY_MAX.saturating_sub(self.under_way.len());
        let mut asked = Vec::new();
        if self.again_at.is_none_or(|at| now >= at) {
            self.again = self.again.split_off(&from);
            // Those behind a message that is here may be needed once that one is applied.
            while room > 0
                && let Some(seq) = self.again.first().copied().filter(|&seq| seq <= to)
            {
                self.again.remove(&seq);
                if !is_here(seq) {
                    asked.push(seq);
                    room -= 1;
                }
            }
        }
        self.next = self.next.max(from);
        while room > 0 && self.next <= to {
            if !is_here(self.next) && !self.under_way.contains(&self.next) {
                asked.push(self.next);
                room -= 1;
            }
            self.next += 1;
        }
        self.under_way.extend(&asked);
        asked
    }

    /// Notes that one is asked for out of turn. Returns whether it was not yet.
    pub(super) fn ask(&mut self, seq: u64) -> bool {
        self.under_way.insert(seq)
    }

    /// Whether the answer about this number is still due.
    pub(super) fn is_due(&self, seq: u64) -> bool {
        self.under_way.contains(&seq)
    }

    /// Notes an answer. Returns whether it was due.
    pub(super) fn answered(&mut self, seq: u64) -> bool {
        self.under_way.remove(&seq)
    }

    /// Asks for a message again after a moment.
    pub(super) fn failed(&mut self, seq: u64, now: Instant) {
        self.under_way.remove(&seq);
        self.again.insert(seq);
        self.again_at = Some(now + RETRY);
    }

    /// Whether none is under way or to be repeated.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.again.is_empty()
    }

    /// Forgets all requests, since no answers will come.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Messages from this number on may be asked for again.
    pub(super) fn rewind(&mut self, seq: u64) {
        self.next = self.next.min(seq);
    }
}

/// How many requests are under way at once: enough for thirty thousand messages a second.
const UNDER_WAY_MAX: usize = 64;
