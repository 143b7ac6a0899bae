//! Detects whether the wall clock, which servers stamp their ticks with, was set during the run.

use std::time::Instant;

use crate::tick::unix_us;

/// Compares the wall clock with the monotonic one from time to time. Both run at the same speed,
/// even while the system slews them, so a change between them is a step of the wall clock.
#[derive(Debug)]
pub(crate) struct ClockStepDetector {
    epoch: Instant,
    /// The range of the wall clock's lead over the monotonic clock, in µs.
    range: Option<(i64, i64)>,
}

impl ClockStepDetector {
    /// A detector that has not compared the clocks yet.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            range: None,
        }
    }

    /// Compares the clocks.
    pub(crate) fn look(&mut self) {
        let before = Instant::now();
        let wall_us = unix_us();
        let took = before.elapsed();
        // The process may have waited for a core between its two readings.
        if took.as_micros() < LOOK_US_MAX {
            let mono_us = (before - self.epoch).as_micros();
            self.note(wall_us, u64::try_from(mono_us).unwrap_or(u64::MAX));
        }
    }

    fn note(&mut self, wall_us: u64, mono_us: u64) {
        let ahead =
            i64::try_from(wall_us).unwrap_or(i64::MAX) - i64::try_from(mono_us).unwrap_or(i64::MAX);
        let (least, most) = self.range.unwrap_or((ahead, ahead));
        self.range = Some((least.min(ahead), most.max(ahead)));
    }

    /// By how much the wall clock was set, in µs; zero if it was not.
    pub(crate) fn step_us(&self) -> u64 {
        self.range.map_or(0, |(least, most)| most.abs_diff(least))
    }
}

const LOOK_US_MAX: u128 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_in_either_direction_is_seen_even_if_reversed() {
        for steps in [[0, 5_000, 0], [0, -5_000, 0], [0, 0, 5_000]] {
            let mut watch = ClockStepDetector::new();
            assert_eq!(watch.step_us(), 0);
            for (second, step) in (1u64..).zip(steps) {
                let wall_us = (1_000_000_000 + second * 1_000_000).saturating_add_signed(step);
                watch.note(wall_us, second * 1_000_000);
            }
            assert_eq!(watch.step_us(), 5_000);
        }
    }

    #[test]
    fn clocks_left_alone_agree() {
        let mut watch = ClockStepDetector::new();
        (0..1000).for_each(|_| watch.look());
        assert!(watch.range.is_some());
        assert!(watch.step_us() < 1_000, "{}", watch.step_us());
    }
}
