//! The histograms of a process and the counts around them, on their way to another one.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::client::measure::cadence::Grid;
use crate::client::measure::catching_up::Returns;
use crate::client::measure::inter_arrival::Spacing;
use crate::client::measure::requests::Replies;

/// A histogram in HdrHistogram's V2 encoding, base64 around it.
#[derive(Debug)]
pub(in crate::client) struct Encoded(pub(in crate::client) Histogram<u64>);

impl Serialize for Encoded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.0, &mut bytes)
            .map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        let histogram = Deserializer::new().deserialize(&mut &bytes[..]);
        histogram.map(Self).map_err(D::Error::custom)
    }
}

/// The counts of [`Returns`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct EncodedReturns {
    churned: u64,
    lost: u64,
    returned: u64,
    failed: u64,
    resumed: u64,
    missed: u64,
    restarts: u64,
    response_us: Encoded,
    away_us: Encoded,
}

/// What was found of [`Grid`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct EncodedSchedule {
    lateness_us: Encoded,
    skipped: u64,
    spacing: Spacing,
}

/// The counts of [`Replies`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct EncodedReplies {
    sent: u64,
    replies: u64,
    late: u64,
    failed: u64,
    missing: u64,
    unsent: u64,
    unexpected: u64,
    latency_us: Encoded,
    uncorrected_us: Encoded,
}

impl EncodedReturns {
    pub(in crate::client) fn of(returns: &Returns) -> Self {
        Self {
            churned: returns.churned,
            lost: returns.lost,
            returned: returns.returned,
            failed: returns.failed,
            resumed: returns.resumed,
            missed: returns.missed,
            restarts: returns.restarts,
            response_us: Encoded(returns.response_us.clone()),
            away_us: Encoded(returns.away_us.clone()),
        }
    }

    pub(in crate::client) fn add_to(&self, sum: &mut Returns) -> io::Result<()> {
        sum.churned += self.churned;
        sum.lost += self.lost;
        sum.returned += self.returned;
        sum.failed += self.failed;
        sum.resumed += self.resumed;
        sum.missed = sum.missed.saturating_add(self.missed);
        sum.restarts += self.restarts;
        add(&mut sum.response_us, &self.response_us)?;
        add(&mut sum.away_us, &self.away_us)
    }
}

impl EncodedSchedule {
    pub(in crate::client) fn of(grid: &Grid) -> Self {
        Self {
            lateness_us: Encoded(grid.lateness_us.clone()),
            skipped: grid.skipped,
            spacing: grid.spacing,
        }
    }

    pub(in crate::client) fn add_to(&self, sum: &mut Grid) -> io::Result<()> {
        sum.skipped += self.skipped;
        sum.spacing.add(self.spacing);
        add(&mut sum.lateness_us, &self.lateness_us)
    }
}

impl EncodedReplies {
    pub(in crate::client) fn of(replies: &Replies) -> Self {
        Self {
            sent: replies.sent,
            replies: replies.replies,
            late: replies.late,
            failed: replies.failed,
            missing: replies.missing,
            unsent: replies.unsent,
            unexpected: replies.unexpected,
            latency_us: Encoded(replies.latency_us.clone()),
            uncorrected_us: Encoded(replies.uncorrected_us.clone()),
        }
    }

    pub(in crate::client) fn add_to(&self, sum: &mut Replies) -> io::Result<()> {
        sum.sent += self.sent;
        sum.replies += self.replies;
        sum.late += self.late;
        sum.failed += self.failed;
        sum.missing += self.missing;
        sum.unsent += self.unsent;
        sum.unexpected += self.unexpected;
        add(&mut sum.latency_us, &self.latency_us)?;
        add(&mut sum.uncorrected_us, &self.uncorrected_us)
    }
}

pub(in crate::client) fn add(sum: &mut Histogram<u64>, one: &Encoded) -> io::Result<()> {
    sum.add(&one.0).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::measure::observer::latency_histogram;

    #[test]
    fn a_histogram_survives_the_way_exactly() {
        let mut histogram = latency_histogram();
        for value in [0, 1, 2, 999, 12_345, 59_000_000, u64::MAX] {
            histogram.saturating_record(value);
        }
        let text = serde_json::to_string(&Encoded(histogram.clone())).unwrap();
        let Encoded(back) = serde_json::from_str(&text).unwrap();
        assert_eq!(back, histogram);
        let mut sum = latency_histogram();
        add(&mut sum, &Encoded(back)).unwrap();
        assert_eq!(sum, histogram);
        for text in ["\"\"", "\"!\"", "5", "\"aGVsbG8=\""] {
            assert!(serde_json::from_str::<Encoded>(text).is_err(), "{text}");
        }
    }
}
