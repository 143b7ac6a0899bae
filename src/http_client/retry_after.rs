//! How long an answer asks us to wait.

use std::time::Duration;

use jiff::fmt::rfc2822;
use ureq::http::{HeaderMap, header};

/// The wait that an answer asks for by `Retry-After`, in seconds or as a date (RFC 9110, section
/// 10.2.3). A date is measured from the answer's own `Date` rather than by our clock. `None` if the
/// answer asks for no wait or for zero, which does not mean that we may come back at once. At most
/// a day.
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

/// An HTTP date in Unix ms.
fn date_ms(text: &str) -> Option<u64> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text.trim());
    u64::try_from(date.ok()?.as_millisecond()).ok()
}

/// The longest wait that we accept: bans last hours, and a year would be a mistake.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_date_is_measured_by_the_clock_of_its_sender() {
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
