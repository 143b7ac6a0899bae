//! How servers write times.

use std::fmt;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Unix time in microseconds, as our server does.
    Microseconds,
    /// Unix time in milliseconds.
    Milliseconds,
    /// Unix time in seconds, usually with a fraction.
    Seconds,
    /// Unix time in nanoseconds.
    Nanoseconds,
    /// `2024-11-22T07:11:13.456Z` (ISO 8601).
    Iso,
}

impl Unit {
    /// Those that are written as numbers.
    pub(in crate::client) const NUMBERS: [Self; 4] = [
        Self::Microseconds,
        Self::Milliseconds,
        Self::Seconds,
        Self::Nanoseconds,
    ];

    /// Reads the word for it.
    ///
    /// # Errors
    /// A sentence that shows what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "us" | "µs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "ns" => Self::Nanoseconds,
            "iso" => Self::Iso,
            _ => return Err(format!("'{text}' is no unit, try us, ms, s, ns or iso")),
        })
    }

    /// `number` of it in µs.
    pub(in crate::client) fn us(self, number: u64) -> Option<u64> {
        match self {
            Self::Microseconds => Some(number),
            // What is beyond all times shows as one that is far off.
            Self::Milliseconds => Some(number.saturating_mul(1_000)),
            Self::Seconds => Some(number.saturating_mul(1_000_000)),
            Self::Nanoseconds => Some(number / 1_000),
            Self::Iso => None,
        }
    }

    /// A JSON number or string in µs.
    pub(super) fn read(self, text: &str) -> Option<u64> {
        let text = unquoted(text);
        if self == Self::Iso {
            let time: jiff::Timestamp = text.parse().ok()?;
            return time.as_microsecond().try_into().ok();
        }
        if let Ok(number) = text.parse() {
            return self.us(number);
        }
        // A float has some fifteen digits, and ten of them are seconds: that leaves 10 µs or so
        // out of reach, which a text with a point has, and one with an exponent has not.
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: f64 = text.parse().ok()?;
            let us = number * self.us(1_000_000_000)? as f64 / 1e9;
            return (us >= 0.0).then_some(us as u64);
        }
        // One unit is at most a million µs, so six digits behind the point are all that matter.
        let millionths: u64 = format!("{fraction:0<6.6}").parse().ok()?;
        let part =
            u128::from(millionths) * u128::from(self.us(1_000_000_000)?) / 1_000_000_000_000_000;
        let whole_us = self.us(whole.parse().ok()?)?;
        Some(whole_us.saturating_add(u64::try_from(part).ok()?))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Nanoseconds => "ns",
            Self::Iso => "iso",
        })
    }
}

/// A JSON text without the quotes that it has if it is a string.
pub(super) fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}
