//! How far a loop is behind: by what it measures itself. Percentiles come from histograms that tell
//! apart two digits; what is scraped has the bounds of its buckets, and counts and sums exactly.

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

/// What a loop does, in buckets from 50 µs on.
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

    /// How late timeouts ran after their deadlines, in µs.
    pub fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }

    /// How long the loop worked between two polls, in µs: what anything new has to wait for.
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

/// Fine where a loop that works has its values, and up to where a user would notice.
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
