//! When to try again: later and later while it fails, never all at once, and never before the
//! exchange says so.

use std::time::Duration;

use fastrand::Rng;
use jiff::fmt::rfc2822;
use ureq::http::{HeaderMap, header};

/// The growing pause between attempts that fail.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    /// The limits of the last pause.
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

    /// An attempt went well: the next failure is a first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to pause after one more failure: about `first` after the first, doubled with each
    /// further one, up to `longest`.
    ///
    /// Up to half of it is left to chance, or all who were cut off by the same outage would come
    /// back at the same moment. Other limits are another kind of trouble and begin anew.
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

/// The wait that an answer asks for: its `Retry-After` in seconds, or a date (RFC 9110, section
/// 10.2.3), by the clock of its own `Date` rather than ours. None if it says neither or no time at
/// all, which is no leave to come back at once; not longer than a day in any case.
pub(crate) fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let value = text(header::RETRY_AFTER)?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now_ms = text(header::DATE).and_then(date_ms).unwrap_or(now_ms);
            Duration::from_millis(date_ms(value)?.saturating_sub(now_ms))
        }
    };
    (!wait.is_zero()).then_some(wait.min(RETRY_AFTER_MAX))
}

/// A date of HTTP in Unix ms.
fn date_ms(text: &str) -> Option<u64> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text.trim());
    u64::try_from(date.ok()?.as_millisecond()).ok()
}

/// More would overflow, and every limit has been reached by then.
const DOUBLINGS_MAX: u32 = 20;

/// The longest wait that is taken from an exchange: bans last hours, a year is a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_left_to_chance_by_half() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        for seed in 0..20 {
            let mut backoff = Backoff::new(Rng::with_seed(seed));
            for whole in [100, 200, 400, 800, 1000, 1000] {
                let pause = backoff.failed(first, longest);
                let whole = Duration::from_millis(whole);
                assert!((whole / 2..=whole).contains(&pause), "{pause:?}");
            }
            backoff.succeeded();
            assert!(backoff.failed(first, longest) <= first);
        }
    }

    #[test]
    fn no_number_of_failures_is_too_many() {
        let mut backoff = Backoff::new(Rng::with_seed(1));
        let (first, longest) = (Duration::from_secs(3_600), Duration::from_secs(10_000));
        backoff.failed(first, longest);
        backoff.failures = u32::MAX;
        assert!(backoff.failed(first, longest) <= longest);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // Wed, 21 Oct 2015 07:28:00 GMT
        let now_ms = 1_445_412_480_000;
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (value, wait) in [
            ("120", seconds(120)),
            (" 0 ", None),
            ("Wed, 21 Oct 2015 07:28:30 GMT", seconds(30)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", None),
            ("99999999999", seconds(86_400)),
            ("", None),
            ("soon", None),
            ("-5", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now_ms), wait, "{value}");
        }
    }

    #[test]
    fn a_date_is_by_the_clock_of_who_sent_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT"),
            (header::DATE, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let years_later_ms = 1_763_000_000_000;
        let wait = retry_after(&headers, years_later_ms);
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }
}
