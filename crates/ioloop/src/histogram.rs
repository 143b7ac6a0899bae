//! A histogram of durations with fixed bounds, as Prometheus takes it: exact in its counts and its
//! sum, and as cheap to write out when it has counted millions as when it has counted one.

use std::time::Duration;

/// How many durations were how long. `N` is the number of bounds.
#[derive(Clone, Debug)]
pub struct Durations<const N: usize> {
    bounds: &'static [Duration; N],
    /// Of each bound, how many were up to it and longer than the one before.
    counts: [u64; N],
    /// Those longer than the last bound.
    longer: u64,
    sum: Duration,
}

impl<const N: usize> Durations<N> {
    /// None yet. The bounds must ascend.
    pub const fn new(bounds: &'static [Duration; N]) -> Self {
        Self {
            bounds,
            counts: [0; N],
            longer: 0,
            sum: Duration::ZERO,
        }
    }

    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        // Most are short, and the bounds few: quicker than halving.
        match self.bounds.iter().position(|bound| duration <= *bound) {
            Some(index) => self.counts[index] += 1,
            None => self.longer += 1,
        }
        self.sum = self.sum.saturating_add(duration);
    }

    /// All of them together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// The upper bounds in seconds, infinity last, each with how many are up to it and longer than
    /// the one before.
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
    fn every_duration_is_in_the_one_bucket_that_it_belongs_to() {
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
