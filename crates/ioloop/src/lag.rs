//! How far a loop is behind, by its own measurement. Percentiles come from histograms with two
//! significant digits; scraped values have fixed buckets with exact counts and sums.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::histogram::Durations;

/// Lateness of timeouts and length of turns, in µs, each with two significant digits.
pub struct Lag {
    lateness: Histogram<u64>,
    turns: Histogram<u64>,
    lateness_buckets: LoopDurations,
    turn_buckets: LoopDurations,
}

/// Durations of a loop's work, in buckets from 50 µs on.
pub type LoopDurations = Durations<{ BOUNDS.len() }>;

impl Lag {
    pub(crate) fn new() -> Self {
        Self {
            lateness: histogram(),
            turns: histogram(),
            lateness_buckets: Durations::new(&BOUNDS),
            turn_buckets: Durations::new(&BOUNDS),
        }
    }

    /// How late timeouts ran, in µs.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }

    /// How long the loop worked between two polls, in µs; a new event may wait that long.
    pub fn turns(&self) -> &Histogram<u64> {
        &self.turns
    }

    /// The lateness of timeouts in buckets.
    pub fn lateness_buckets(&self) -> &LoopDurations {
        &self.lateness_buckets
    }

    /// The length of turns in buckets.
    pub fn turn_buckets(&self) -> &LoopDurations {
        &self.turn_buckets
    }

    pub(crate) fn late(&mut self, by: Duration) {
        self.lateness.saturating_record(microseconds(by));
        self.lateness_buckets.record(by);
    }

    pub(crate) fn turn(&mut self, lasted: Duration) {
        self.turns.saturating_record(microseconds(lasted));
        self.turn_buckets.record(lasted);
    }
}

/// Fine where a healthy loop has its values, and up to delays that a user would notice.
const BOUNDS: [Duration; 13] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// Up to a minute: a loop that hangs for longer has been killed by then.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("the bounds are constant and valid")
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
