//! Measures how late the client's own loop is, since all its measurements include that.
//!
//! A loop that freezes for 1.5 s misses 150 beats of 10 ms but is late for only one of them. All
//! messages that arrived meanwhile have waited, so the missed beats count, too, each an interval
//! less late than the one before: the client must not hide its own stalls when it does not let a
//! server hide any.

use std::time::{Duration, Instant};

use ioloop::periodic::next_deadline;

use crate::client::measure::latency::Latency;

/// The beats of the client's loop, every [`INTERVAL`].
#[derive(Debug)]
pub(super) struct LoopLag {
    /// The next beat.
    due: Instant,
    /// From when on lateness counts; `None` outside the window.
    counts_from: Option<Instant>,
    /// The lateness of beats in the measured window, in µs.
    pub(super) lag: Latency,
}

impl LoopLag {
    /// The first beat is an interval after `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now + INTERVAL,
            counts_from: None,
            lag: Latency::default(),
        }
    }

    /// Notes the beginning of the measured window.
    pub(super) fn begin_window(&mut self, now: Instant) {
        self.counts_from = Some(now);
    }

    /// Notes the end of the measured window: a beat that is overdue is at least that late.
    pub(super) fn end_window(&mut self, now: Instant) {
        if now > self.due {
            self.note(now);
        }
        self.counts_from = None;
    }

    /// Notes a beat.
    pub(super) fn beat(&mut self, now: Instant) {
        self.note(now);
        self.due = next_deadline(self.due, INTERVAL, now);
    }

    fn note(&mut self, now: Instant) {
        let Some(from) = self.counts_from else {
            return;
        };
        let late = now.saturating_duration_since(self.due.max(from));
        let us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.lag.record_correct(us, INTERVAL_US);
    }
}

/// How often the loop measures how late it is.
pub(super) const INTERVAL: Duration = Duration::from_micros(INTERVAL_US);

const INTERVAL_US: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The lateness of beats at these times, in a window from `from` to `to`, all in ms.
    fn late(beats: &[u64], from: u64, to: u64) -> Latency {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut loop_lag = LoopLag::new(began);
        for &ms in beats.iter().filter(|ms| **ms < from) {
            loop_lag.beat(at(ms));
        }
        loop_lag.begin_window(at(from));
        for &ms in beats.iter().filter(|ms| (from..to).contains(*ms)) {
            loop_lag.beat(at(ms));
        }
        loop_lag.end_window(at(to));
        loop_lag.lag
    }

    #[test]
    fn a_freeze_counts_for_its_whole_length() {
        let beats: Vec<_> = (1..=100).chain(251..=500).map(|beat| beat * 10).collect();
        let late = late(&beats, 5, 5_005);
        assert_eq!(late.len(), 499, "150 of the freeze, 349 others");
        assert!(late.value_at_quantile(0.9) > 900_000, "{late:?}");
        assert!(late.value_at_quantile(0.99) > 1_400_000, "{late:?}");
        assert!(late.max() > 1_490_000, "{late:?}");
    }

    #[test]
    fn late_beats_do_not_move_the_grid() {
        let late = late(&[13, 24, 32, 49], 5, 50);
        let at = |ms: u64| late.count_between(ms * 1_000 - 10, ms * 1_000 + 10);
        assert_eq!([3, 4, 2, 9].map(at), [1, 1, 1, 1]);
    }

    #[test]
    fn lag_outside_the_window_does_not_count() {
        let late = late(&[10, 300, 310, 800], 290, 500);
        assert_eq!(late.count_between(9_000, 11_000), 2, "{late:?}");
        assert_eq!(late.max() / 1_000, 180, "due at 320, and not there at 500");
    }
}
