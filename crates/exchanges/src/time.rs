//! Times as exchanges write them: where they are, and in which unit.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::document::Origin;
use super::json::Pointer;
use super::price::Price;

/// Where a time is and how it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeField {
    pub(super) at: Pointer,
    #[serde(default)]
    pub(super) unit: TimeUnit,
    /// Whether `at` starts from the whole answer or from the symbol's entry in it.
    #[serde(default)]
    pub(super) of: Origin,
    /// Where to look next if it is not there.
    pub(super) or: Option<Box<TimeField>>,
}

/// The unit of a time. Numbers, strings and fractions are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
    /// ISO 8601; without an offset it is UTC.
    Iso,
    /// Inferred from its length: times since 2009 in different units differ by three digits.
    #[default]
    Auto,
}

/// `text` in Unix ms, truncated; `None` if it is invalid. Anything before 1970 becomes zero: many
/// servers are written in Go, whose zero time is the year 1.
pub(super) fn unix_ms(text: &str, unit: TimeUnit) -> Option<u64> {
    let (unit, number) = match (unit, Price::parse(text)) {
        (TimeUnit::Auto, Ok(number)) => (infer_unit(&number), Some(number)),
        (TimeUnit::Auto, Err(_)) => (TimeUnit::Iso, None),
        (unit, number) => (unit, number.ok()),
    };
    let exponent = match unit {
        TimeUnit::S => 3,
        TimeUnit::Ms => 0,
        TimeUnit::Us => -3,
        TimeUnit::Ns => -6,
        TimeUnit::Iso | TimeUnit::Auto => return iso_ms(text),
    };
    // The exact arithmetic of prices moves the point: times do not go through floats either.
    let number = number?;
    if number.as_str().starts_with('-') {
        return Some(0);
    }
    let moved = Price::parse(&format!("{number}e{exponent}")).ok()?;
    let whole = moved.as_str().split('.').next()?;
    whole.parse().ok()
}

fn infer_unit(number: &Price) -> TimeUnit {
    match number.as_str().split('.').next().map_or(0, str::len) {
        0..=11 => TimeUnit::S,
        12..=14 => TimeUnit::Ms,
        15..=17 => TimeUnit::Us,
        _ => TimeUnit::Ns,
    }
}

fn iso_ms(text: &str) -> Option<u64> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })?;
    Some(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
}

/// Whether a price can have that time. An implausible time says nothing about the price, only that
/// some clock or unit is wrong, so it is treated as missing.
pub(super) fn is_plausible(time_ms: u64, now_ms: u64) -> bool {
    (FIRST_PRICE_MS..=now_ms.saturating_add(AHEAD_MS_MAX)).contains(&time_ms)
}

/// 2009-01-01: these exchanges traded no market before.
pub(super) const FIRST_PRICE_MS: u64 = 1_230_768_000_000;

/// How far the exchange's clock may be ahead of ours: a minute. Some exchanges send local time as
/// UTC, which is hours ahead, and a price of the future would make all later ones look old.
pub(super) const AHEAD_MS_MAX: u64 = 60_000;
