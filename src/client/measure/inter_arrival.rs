//! How far apart ticks really came, beside how far apart they should: a schedule with the wrong
//! interval says nothing about a server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The distances from tick to tick, of all schedules together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::client) struct Spacing {
    /// All of them, one after the other.
    total: Duration,
    count: u64,
    /// Those that were shorter than expected, and longer, by more than [`TOLERATED`].
    short: u64,
    long: u64,
}

impl Spacing {
    /// Notes that `count` ticks, those that were lost among them, came `ns` behind the one before,
    /// where each was expected `expected` ns behind the one before it.
    pub(in crate::client) fn note(&mut self, ns: i64, count: i64, expected: i64) {
        let (ns, count) = (ns.unsigned_abs(), count.unsigned_abs());
        self.total = self.total.saturating_add(Duration::from_nanos(ns));
        self.count = self.count.saturating_add(count);
        let of_expected = ns as f64 / (expected as f64 * count as f64);
        if of_expected < 1.0 - TOLERATED {
            self.short = self.short.saturating_add(count);
        } else if of_expected > 1.0 + TOLERATED {
            self.long = self.long.saturating_add(count);
        }
    }

    /// Adds what another process has noted.
    pub(in crate::client) fn add(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.count = self.count.saturating_add(other.count);
        self.short = self.short.saturating_add(other.short);
        self.long = self.long.saturating_add(other.long);
    }

    /// The mean, in seconds; none of no ticks.
    pub(in crate::client) fn mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total.as_secs_f64() / self.count as f64)
    }

    /// Whether it is not the interval of `expected_s` that ticks keep to. One stall makes the mean
    /// longer and bursts make most distances shorter, so both must be off in the same direction.
    pub(in crate::client) fn differs(&self, expected_s: f64) -> bool {
        let of_expected = self.mean_s().unwrap_or(expected_s) / expected_s;
        let most = |count: u64| count > self.count / 2;
        let is_short = of_expected < 1.0 - TOLERATED && most(self.short);
        let is_long = of_expected > 1.0 + TOLERATED && most(self.long);
        self.count >= COUNT_MIN && (is_short || is_long)
    }
}

/// The share by which distances may differ: a schedule that is off by more is off by a whole tick
/// after a hundred.
const TOLERATED: f64 = 0.01;

/// Fewer say nothing.
const COUNT_MIN: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks that were so many ms apart, 100 being expected: the mean in ms, and whether it differs.
    fn told(apart_ms: &[i64]) -> (f64, bool) {
        let mut spacing = Spacing::default();
        for ms in apart_ms {
            spacing.note(ms * 1_000_000, 1, 100_000_000);
        }
        let mean_ms = spacing.mean_s().unwrap() * 1e3;
        ((mean_ms * 1e6).round() / 1e6, spacing.differs(0.1))
    }

    #[test]
    fn another_interval_is_told_from_a_stall_and_from_bursts() {
        assert_eq!(told(&[100; 10]), (100.0, false));
        assert_eq!(told(&[102; 10]), (102.0, true));
        assert_eq!(told(&[25; 10]), (25.0, true));
        assert_eq!(told(&[25; 4]), (25.0, false), "too few");
        let stall = [100, 100, 2_100, 100, 100];
        assert_eq!(told(&stall), (500.0, false));
        let bursts = [1, 1, 1, 397, 1, 1, 1, 397];
        assert_eq!(told(&bursts), (100.0, false));
        assert_eq!(Spacing::default().mean_s(), None);
        assert!(!Spacing::default().differs(0.1));
    }

    #[test]
    fn ticks_that_were_lost_count_and_processes_add_up() {
        let (mut one, mut other) = (Spacing::default(), Spacing::default());
        one.note(500_000_000, 5, 100_000_000);
        other.note(2_500_000_000, 5, 100_000_000);
        assert!(!one.differs(0.1) && other.differs(0.1));
        one.add(other);
        assert_eq!(one.mean_s(), Some(0.3));
    }
}
