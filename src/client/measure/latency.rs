//! Latencies as histograms of microseconds that add up and travel between processes.

use std::ops::{AddAssign, Deref};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// Latencies in µs. All histograms have the same bounds, so they can be added; a latency of more
/// than a minute counts as a minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Compact", from = "Compact")]
pub struct Latency(Histogram<u64>);

impl Latency {
    /// Records `us`.
    pub(crate) fn record(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    /// Records `us` `count` times.
    pub(crate) fn record_n(&mut self, us: u64, count: u64) {
        // Recording fails only outside the bounds, and the value is clamped to them.
        let _ = self.0.record_n(us.min(self.0.high()), count);
    }

    /// Records `us`, and one value more for each whole `interval_us` of waiting before it.
    pub(crate) fn record_correct(&mut self, us: u64, interval_us: u64) {
        // Recording fails only outside the bounds, and the value is clamped to them.
        let _ = self.0.record_correct(us.min(self.0.high()), interval_us);
    }

    /// How many values were above the bounds.
    pub(crate) fn saturated(&self) -> u64 {
        self.0.count_between(LATENCY_US_MAX, u64::MAX)
    }

    /// The values recorded since `earlier`, an older copy of this histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut between = self.0.clone();
        // It cannot fail: counts only grow, and the buckets stay the same.
        if between.subtract(&earlier.0).is_err() {
            between.reset();
        }
        Self(between)
    }
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Self(histogram.expect("the bounds are constant and valid"))
    }
}

impl Deref for Latency {
    type Target = Histogram<u64>;

    fn deref(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl AddAssign<&Self> for Latency {
    fn add_assign(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }
}

impl AddAssign for Latency {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl From<Latency> for Compact {
    fn from(latency: Latency) -> Self {
        Self::of(&latency)
    }
}

impl From<Compact> for Latency {
    fn from(compact: Compact) -> Self {
        compact.latency()
    }
}

/// Latencies in HdrHistogram's V2 encoding: a few hundred bytes instead of 140 KiB, so that every
/// interval can keep its own. In JSON they are base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Compact(Vec<u8>);

impl Compact {
    /// Encodes `latency`.
    pub fn of(latency: &Latency) -> Self {
        let mut bytes = Vec::new();
        if !latency.is_empty() {
            V2Serializer::new()
                .serialize(&latency.0, &mut bytes)
                .expect("a vector takes every write");
            bytes.shrink_to_fit();
        }
        Self(bytes)
    }

    /// Decodes it.
    pub fn latency(&self) -> Latency {
        decode(&self.0).expect("it was encoded here, or decoded before")
    }
}

impl AddAssign<&Self> for Compact {
    fn add_assign(&mut self, other: &Self) {
        let mut sum = self.latency();
        sum += &other.latency();
        *self = Self::of(&sum);
    }
}

impl From<Compact> for String {
    fn from(compact: Compact) -> Self {
        BASE64_STANDARD.encode(compact.0)
    }
}

impl TryFrom<String> for Compact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = BASE64_STANDARD.decode(text);
        let bytes = bytes.map_err(|error| error.to_string())?;
        decode(&bytes)?;
        Ok(Self(bytes))
    }
}

/// Reads a histogram with any bounds into one with ours.
fn decode(bytes: &[u8]) -> Result<Latency, String> {
    let mut latency = Latency::default();
    if !bytes.is_empty() {
        let histogram = Deserializer::new().deserialize(&mut &*bytes);
        let histogram: Histogram<u64> = histogram.map_err(|error| error.to_string())?;
        let added = latency.0.add(&histogram);
        added.map_err(|error| error.to_string())?;
    }
    Ok(latency)
}

/// One minute.
const LATENCY_US_MAX: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_survive_encoding_as_text() {
        let mut sent = Latency::default();
        for us in [100, 5_000, u64::MAX] {
            sent.record(us);
        }
        let text = serde_json::to_string(&sent).unwrap();
        assert!(text.len() < 150, "{text}");
        assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), sent);
        assert_eq!(sent.saturated(), 1);
        let none = serde_json::to_string(&Latency::default()).unwrap();
        assert_eq!(none, "\"\"");
        assert_eq!(
            serde_json::from_str::<Latency>(&none).unwrap(),
            Latency::default()
        );
    }

    #[test]
    fn invalid_histograms_are_refused() {
        let wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 3);
        let mut wide = wide.unwrap();
        wide.record(u64::MAX / 4).unwrap();
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&wide, &mut bytes).unwrap();
        for text in [
            "no base64".to_owned(),
            BASE64_STANDARD.encode("no histogram"),
            BASE64_STANDARD.encode(bytes),
        ] {
            assert!(Compact::try_from(text).is_err());
        }
    }
}
