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
    /// When the newest of them came back, or when the bucket was last seen full.
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
        self.refill(rate, now);
        let is_taken = self.tokens > 0;
        self.tokens -= u32::from(is_taken);
        is_taken
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        let returned = u32::try_from(passed.as_nanos() / rate.every.as_nanos());
        let returned = returned.unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(returned);
        if self.tokens >= rate.burst {
            self.tokens = rate.burst;
            self.refilled = now;
        } else {
            // Not `now`: the time that the next token has waited already would be lost.
            self.refilled += rate.every * returned;
        }
    }

    /// How many tokens are left.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn asking_out_of_step_does_not_slow_the_bucket() {
        let rate = Rate {
            burst: 2,
            every: Duration::from_secs(2),
        };
        let start = Instant::now();
        let mut bucket = TokenBucket::full(rate, start);
        let asked_at = (0..1_000).map(|index| start + index * Duration::from_millis(1_900));
        let taken = asked_at.filter(|&now| bucket.take(rate, now)).count();
        assert_eq!(taken, 951, "two, and one each 2 s of 1,898 s");
    }

    proptest! {
        #[test]
        fn a_bucket_agrees_with_one_that_counts_parts_of_tokens(
            burst in 1_u32..10,
            every_ms in 1_u64..50,
            waits_ms in prop::collection::vec(0_u64..100, 1..200),
        ) {
            let every = Duration::from_millis(every_ms);
            let rate = Rate { burst, every };
            let mut now = Instant::now();
            let mut bucket = TokenBucket::full(rate, now);
            let full_ms = u64::from(burst) * every_ms;
            let mut saved_ms = full_ms;
            for wait_ms in waits_ms {
                now += Duration::from_millis(wait_ms);
                saved_ms = (saved_ms + wait_ms).min(full_ms);
                let is_due = saved_ms >= every_ms;
                saved_ms -= if is_due { every_ms } else { 0 };
                prop_assert_eq!(bucket.take(rate, now), is_due);
            }
        }
    }
}
