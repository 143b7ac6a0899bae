//! Limits how many lines one source writes to the log: a change is worth a line, but not one each
//! second. Pure: the time is handed in.
//!
//! The log's own limit is for each call site and far wider, so one restless source would use up that
//! of all others. Besides, this limit says when it begins, since a source that goes on unnoticed
//! would look as if it had recovered.

use std::time::{Duration, Instant};

use crate::token_bucket::{Rate, TokenBucket};

/// The log lines that a source may still write.
#[derive(Debug)]
pub(super) struct LogQuota {
    bucket: TokenBucket,
    is_exhausted: bool,
    /// Lines suppressed since the last one that was logged.
    suppressed: u64,
}

/// Whether to log a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it; this many before it were suppressed.
    Log {
        suppressed: u64,
    },
    /// Log it, and say that further ones will be suppressed.
    LogLast,
    Suppress,
}

impl LogQuota {
    /// An unused quota.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            bucket: TokenBucket::full(RATE, now),
            is_exhausted: false,
            suppressed: 0,
        }
    }

    /// Asks to log one line.
    pub(super) fn ask(&mut self, now: Instant) -> Verdict {
        if self.bucket.take(RATE, now) {
            self.is_exhausted &= self.bucket.tokens() < RATE.burst / 2;
            let suppressed = std::mem::take(&mut self.suppressed);
            return Verdict::Log { suppressed };
        }
        if !std::mem::replace(&mut self.is_exhausted, true) {
            return Verdict::LogLast;
        }
        self.suppressed += 1;
        Verdict::Suppress
    }
}

/// Twenty changes in a row, then one every half minute.
const RATE: Rate = Rate {
    burst: 20,
    every: Duration::from_secs(30),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_changes_are_logged_now_and_then() {
        let start = Instant::now();
        let mut quota = LogQuota::new(start);
        let verdicts: Vec<_> = (0..3_600)
            .map(|second| quota.ask(start + Duration::from_secs(second)))
            .collect();
        let is_logged = |verdict: &Verdict| matches!(verdict, Verdict::Log { .. });
        let first = Verdict::Log { suppressed: 0 };
        assert!(verdicts[..20].iter().all(|&verdict| verdict == first));
        assert_eq!(verdicts[20], Verdict::LogLast);
        let count = verdicts.iter().filter(|verdict| is_logged(verdict)).count();
        assert!((100..=140).contains(&count), "{count}");
        let last = verdicts
            .iter()
            .filter(|&&verdict| verdict == Verdict::LogLast);
        assert_eq!(last.count(), 1);
        // `LogLast` is logged itself; all others are counted.
        let suppressed: u64 = verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Log { suppressed } => *suppressed,
                _ => 0,
            })
            .sum();
        assert_eq!(suppressed + quota.suppressed + count as u64 + 1, 3_600);
        let much_later = start + Duration::from_secs(7_200);
        assert!((0..20).all(|_| is_logged(&quota.ask(much_later))));
        assert_eq!(quota.ask(much_later), Verdict::LogLast);
    }
}
