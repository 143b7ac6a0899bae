//! The formats in which servers write times.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The format of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Unix time in microseconds, which `tickertape`'s own server uses.
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
    /// The units whose times are written as numbers.
    pub(crate) const NUMBERS: [Self; 4] = [
        Self::Microseconds,
        Self::Milliseconds,
        Self::Seconds,
        Self::Nanoseconds,
    ];

    /// Reads the name of a unit.
    ///
    /// # Errors
    /// A sentence that lists the valid names.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "us" | "µs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "ns" => Self::Nanoseconds,
            "iso" => Self::Iso,
            _ => {
                return Err(format!(
                    "invalid unit '{text}': expected us, ms, s, ns or iso"
                ));
            }
        })
    }

    /// Converts `number` to µs.
    pub(crate) fn us(self, number: u64) -> Option<u64> {
        match self {
            Self::Microseconds => Some(number),
            // Saturates: a time beyond the range is reported as implausible.
            Self::Milliseconds => Some(number.saturating_mul(1_000)),
            Self::Seconds => Some(number.saturating_mul(1_000_000)),
            Self::Nanoseconds => Some(number / 1_000),
            Self::Iso => None,
        }
    }

    /// Reads a JSON number or string as µs, rounded down.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        let text = unquoted(text);
        match self {
            Self::Iso => iso_us(text),
            _ => match text.parse() {
                Ok(number) => self.us(number),
                Err(_) => decimal(text, self.exponent()),
            },
        }
    }

    /// The power of ten that converts this unit to µs.
    fn exponent(self) -> i64 {
        match self {
            Self::Nanoseconds => -3,
            Self::Microseconds | Self::Iso => 0,
            Self::Milliseconds => 3,
            Self::Seconds => 6,
        }
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

/// Reads a time in ISO 8601 as Unix µs. Without an offset it is UTC, which is what servers that
/// omit it mean.
fn iso_us(text: &str) -> Option<u64> {
    let time = text.parse::<Timestamp>().or_else(|_| {
        let civil: DateTime = text.parse()?;
        civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    time.ok()?.as_microsecond().try_into().ok()
}

/// The integer part of a decimal number, possibly with an exponent, times a power of ten. It works
/// on the digits because a float has too few of them for the current time in µs.
fn decimal(text: &str, power: i64) -> Option<u64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let mut digits = whole.bytes().chain(fraction.bytes());
    let length = i64::try_from(whole.len()).ok()?;
    let before_point = length.saturating_add(exponent).saturating_add(power);
    let mut value: u64 = 0;
    // Twenty digits exceed every time, so a huge exponent need not be written out in zeros.
    for _ in 0..before_point.min(length + fraction.len() as i64 + 20) {
        let digit = digits.next().map_or(0, |digit| digit - b'0');
        value = value.saturating_mul(10).saturating_add(digit.into());
    }
    Some(value)
}

/// The contents of a JSON string, or the text of any other JSON value.
pub(crate) fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}
