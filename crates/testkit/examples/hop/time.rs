//! Times of the command line.

use std::str::FromStr;
use std::time::Duration;

/// A TIME of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let seconds = match &text[number.len()..] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" | "" => 1.0,
            "m" => 60.0,
            _ => return Err(EXPECTED),
        };
        let number: f64 = number.parse().map_err(|_| EXPECTED)?;
        let time = Duration::try_from_secs_f64(number * seconds);
        time.map(Self).map_err(|_| EXPECTED)
    }
}

const EXPECTED: &str = "expected a time such as 250ms, 10s or 1m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_are_seconds_without() {
        for (text, expected) in [
            ("20", 20_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("2m", 120_000),
        ] {
            let expected = Time(Duration::from_millis(expected));
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "s", "1h", "-1s", "1 s"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
