//! A token bucket limits how often something may happen, and allows bursts. Pure: the time is
//! handed in.

use std::time::{Duration, Instant};

/// How many tokens a bucket holds, and how often one comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) every: Duration,
}

/// The tokens that are left. The [`Rate`] is passed in, since all buckets of a kind share one.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    tokens: u32,
    /// When the newest of them came back.
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            refilled: now,
        }
    }

    /// Takes a token and returns whether there was one.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled);
        let returned = u32::try_from(passed.as_micros() / rate.every.as_micros());
        let returned = returned.unwrap_or(u32::MAX);
        if returned > 0 {
            self.tokens = self.tokens.saturating_add(returned).min(rate.burst);
            self.refilled = now;
        }
        let is_taken = self.tokens > 0;
        self.tokens -= u32::from(is_taken);
        is_taken
    }

    /// How many tokens are left.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_tokens_come_back_one_by_one() {
        let rate = Rate {
            burst: 3,
            every: Duration::from_secs(2),
        };
        let start = Instant::now();
        let mut bucket = TokenBucket::full(rate, start);
        let mut take = |second| bucket.take(rate, start + Duration::from_secs(second));
        assert_eq!([0, 0, 0, 0].map(&mut take), [true, true, true, false]);
        assert_eq!([1, 2, 3, 4].map(&mut take), [false, true, false, true]);
        let hour = 3_600;
        let taken = [hour; 4].map(&mut take);
        assert_eq!(
            taken,
            [true, true, true, false],
            "never more than one burst"
        );
    }
}
