//! Pauses between failed attempts: they grow, and are random so that not all peers retry at once.

use std::time::Duration;

use fastrand::Rng;

/// The growing pause between failed attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    /// The first and longest pause that the last failure asked for.
    limits: (Duration, Duration),
    rng: Rng,
}

impl Backoff {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            failures: 0,
            limits: Default::default(),
            rng,
        }
    }

    /// Notes a success, so the next failure counts as the first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether the pause after another failure like the last one would be longer.
    pub(crate) fn grows(&self) -> bool {
        let (first, longest) = self.limits;
        first.saturating_mul(1 << self.failures.saturating_sub(1).min(DOUBLINGS_MAX)) < longest
    }

    /// Notes a failure, and returns the pause after it: about `first` after the first failure,
    /// doubled with each further one, up to `longest`.
    ///
    /// Up to half of the pause is random, or all peers that an outage has cut off would come back
    /// at the same moment. Limits that differ from the last ones mean another kind of failure, and
    /// start over.
    pub(crate) fn failed(&mut self, first: Duration, longest: Duration) -> Duration {
        if self.limits != (first, longest) {
            self.limits = (first, longest);
            self.failures = 0;
        }
        let doubled = first.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        self.failures = self.failures.saturating_add(1);
        doubled.min(longest).mul_f64(0.5 + self.rng.f64() / 2.0)
    }
}

/// Further doublings would overflow, and every pause has reached its limit by then.
const DOUBLINGS_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_half_random() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        for seed in 0..20 {
            let mut backoff = Backoff::new(Rng::with_seed(seed));
            for whole in [100, 200, 400, 800, 1000, 1000] {
                let pause = backoff.failed(first, longest);
                let whole = Duration::from_millis(whole);
                assert!((whole / 2..=whole).contains(&pause), "{pause:?}");
                assert_eq!(backoff.grows(), whole < longest, "after {whole:?}");
            }
            backoff.succeeded();
            assert!(backoff.failed(first, longest) <= first);
        }
    }

    #[test]
    fn any_number_of_failures_is_survived() {
        let mut backoff = Backoff::new(Rng::with_seed(1));
        let (first, longest) = (Duration::from_secs(3_600), Duration::from_secs(10_000));
        backoff.failed(first, longest);
        backoff.failures = u32::MAX;
        assert!(backoff.failed(first, longest) <= longest);
    }
}
