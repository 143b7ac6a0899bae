//! The marks between the phases of a run: what had been used by then.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::lag::Lag;
use crate::usage::Usage;

/// An instant, with the accounts of both processes at it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// When it was.
    pub at: Instant,
    /// What this client had used.
    pub own: Usage,
    /// What the server under test had used; none without its process id, or when it has gone.
    pub server: Option<Usage>,
    /// How late the loop's timeouts had been, in µs.
    lateness_us: Histogram<u64>,
}

impl Moment {
    /// This instant.
    pub(super) fn now(pid: Option<u32>, lag: &Lag) -> Self {
        Self {
            at: Instant::now(),
            // A system without /proc has no account of it; the report then shows zero.
            own: Usage::of_self().unwrap_or_default(),
            server: pid.and_then(|pid| Usage::of(pid).ok()),
            lateness_us: lag.lateness().clone(),
        }
    }

    /// A mark with accounts that have been summed up already.
    pub(super) fn with(
        at: Instant,
        own: Usage,
        server: Option<Usage>,
        lateness_us: Histogram<u64>,
    ) -> Self {
        Self {
            at,
            own,
            server,
            lateness_us,
        }
    }

    /// How late timeouts were between `earlier` and this moment, in µs.
    pub(super) fn lateness_us_since(&self, earlier: &Self) -> Histogram<u64> {
        let mut between = self.lateness_us.clone();
        // It cannot fail: counts only grow, in buckets that stay the same.
        if between.subtract(&earlier.lateness_us).is_err() {
            between.reset();
        }
        between
    }

    /// How late timeouts were between `earlier` and this moment, in µs: the 99th percentile.
    pub(super) fn lateness_us_p99_since(&self, earlier: &Self) -> u64 {
        self.lateness_us_since(earlier).value_at_quantile(0.99)
    }
}
