//! A histogram of durations with fixed bounds, in Prometheus's sense: exact in its counts and its
//! sum, and as cheap to write out after millions of durations as after one.

use std::time::Duration;

/// Durations counted by length. `N` is the number of bounds.
#[derive(Clone, Debug)]
pub struct Durations<const N: usize> {
    bounds: &'static [Duration; N],
    /// For each bound, how many durations were at most that and above the previous bound.
    counts: [u64; N],
    /// How many durations were above the last bound.
    longer: u64,
    sum: Duration,
}

impl<const N: usize> Durations<N> {
    /// An empty histogram. The bounds must ascend.
    pub const fn new(bounds: &'static [Duration; N]) -> Self {
        Self {
            bounds,
            counts: [0; N],
            longer: 0,
            sum: Duration::ZERO,
        }
    }

    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        // Most are short and the bounds few, so this beats a binary search.
        match self.bounds.iter().position(|bound| duration <= *bound) {
            Some(index) => self.counts[index] += 1,
            None => self.longer += 1,
        }
        self.sum = self.sum.saturating_add(duration);
    }

    /// The sum of all durations, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// The upper bounds in seconds, infinity last, each with the number of durations up to it and
    /// above the previous bound.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().map(Duration::as_secs_f64);
        let counts = self.counts.iter().copied();
        bounds.zip(counts).chain([(f64::INFINITY, self.longer)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_one_bucket() {
        const BOUNDS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];
        let mut durations = Durations::new(&BOUNDS);
        for micros in [0, 50, 51, 1000, 1001, 5_000_000] {
            durations.record(Duration::from_micros(micros));
        }
        let buckets: Vec<_> = durations.buckets().collect();
        assert_eq!(buckets, [(0.00005, 2), (0.001, 2), (f64::INFINITY, 2)]);
        assert_eq!(durations.count(), 6);
        assert_eq!(durations.sum(), 5.002_102);
    }
}
