//! How far a loop is behind: the two histograms by which it measures itself.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Lateness of timeouts and length of turns, in µs, each with two significant digits.
pub struct Lag {
    lateness: Histogram<u64>,
    turns: Histogram<u64>,
}

impl Lag {
    pub(crate) fn new() -> Self {
        Self {
            lateness: histogram(),
            turns: histogram(),
        }
    }

    /// How late timeouts ran after their deadlines, in µs.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }

    /// How long the loop worked between two polls, in µs: what anything new has to wait for.
    pub fn turns(&self) -> &Histogram<u64> {
        &self.turns
    }

    pub(crate) fn late(&mut self, by: Duration) {
        self.lateness.saturating_record(microseconds(by));
    }

    pub(crate) fn turn(&mut self, lasted: Duration) {
        self.turns.saturating_record(microseconds(lasted));
    }
}

/// Up to a minute: a loop that hangs for longer has been killed by then.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("the bounds are constant and valid")
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
