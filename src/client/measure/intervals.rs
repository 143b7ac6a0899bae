//! The measuring, second by second: what was counted in each interval, and its latencies.
//!
//! The counts of a run only grow, so an interval is what they are at its end less what they were at
//! its beginning (`recorder.rs`). That is worked out once a second, and a tick that arrives pays
//! nothing for it. Intervals of several processes can be [merged](merge): their places are on one
//! grid, and each carries its whole histograms, not only percentiles.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

use crate::client::measure::observer::{Statistics, latency_histogram};

/// What arrived in one interval of the measured window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// When it began, from the beginning of the window.
    pub time_s: f64,
    /// How long it was: a second, less at the end of the window, more if the client was late.
    pub length_s: f64,
    /// Connections open at its end.
    pub connected: usize,
    /// What was counted in it.
    #[serde(flatten)]
    pub counts: Counts,
    /// Delivery latencies of the ticks that arrived in it, in µs.
    pub delivery_us: Series,
    /// How late ticks were that should have come in it, in µs; none without a schedule.
    pub lateness_us: Option<Series>,
    /// Latencies of the replies that came in it, in µs, since they were due; none without requests.
    pub reply_us: Option<Series>,
    /// Its place on the grid of all intervals, by which those of several processes are merged.
    #[serde(skip)]
    pub place: u64,
}

/// What is counted, by its beginning or in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages of any kind.
    pub messages: u64,
    /// Those of them that are ticks.
    pub ticks: u64,
    /// The payloads of all messages.
    pub bytes: u64,
    /// Failures of connections, those of joining among them.
    pub errors: u64,
    /// Places where ticks are missing.
    pub gaps: u64,
    /// The ticks missing there.
    pub missed: u64,
    /// Ticks that came again, or after a newer one.
    pub repeats: u64,
}

/// One of the distributions of an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Series {
    /// In a few numbers.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// In full.
    #[serde(skip)]
    pub histogram: Compact,
}

/// An interval's latencies, in µs. None where there is no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// How many there were.
    pub count: u64,
    /// Half of them were no longer.
    pub p50: Option<u64>,
    /// Nine of ten were no longer.
    pub p90: Option<u64>,
    /// 99 of 100 were no longer.
    pub p99: Option<u64>,
    /// The longest, to three digits like all of them.
    pub max: Option<u64>,
}

/// A histogram of µs in HdrHistogram's V2 encoding: a few hundred bytes instead of 140 KiB, so that
/// every interval can keep its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compact(Vec<u8>);

impl Counts {
    pub(in crate::client) fn of(statistics: &Statistics) -> Self {
        Self {
            messages: statistics.messages,
            ticks: statistics.ticks,
            bytes: statistics.bytes,
            errors: statistics.failures.values().map(|(count, _)| count).sum(),
            gaps: statistics.losses.gaps,
            missed: statistics.losses.missed,
            repeats: statistics.losses.repeats,
        }
    }

    pub(in crate::client) fn since(&self, earlier: &Self) -> Self {
        self.combine(earlier, u64::saturating_sub)
    }

    fn combine(&self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            messages: with(self.messages, other.messages),
            ticks: with(self.ticks, other.ticks),
            bytes: with(self.bytes, other.bytes),
            errors: with(self.errors, other.errors),
            gaps: with(self.gaps, other.gaps),
            missed: with(self.missed, other.missed),
            repeats: with(self.repeats, other.repeats),
        }
    }
}

impl Series {
    /// That of a histogram of µs.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            latencies: Latencies::of(histogram),
            histogram: Compact::of(histogram),
        }
    }

    fn add(&mut self, other: &Self) {
        let mut histogram = self.histogram.histogram();
        // All of them have the same bounds.
        if histogram.add(other.histogram.histogram()).is_ok() {
            *self = Self::of(&histogram);
        }
    }
}

impl Latencies {
    /// Those of a histogram of µs.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut values = histogram.value_at_quantiles([0.5, 0.9, 0.99]);
        let mut next = || values.next().filter(|_| !histogram.is_empty());
        Self {
            count: histogram.len(),
            p50: next(),
            p90: next(),
            p99: next(),
            max: (!histogram.is_empty()).then(|| histogram.max()),
        }
    }
}

impl Compact {
    /// Encodes `histogram`.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        if !histogram.is_empty() {
            V2Serializer::new()
                .serialize(histogram, &mut bytes)
                .expect("a vector takes whatever is written");
            bytes.shrink_to_fit();
        }
        Self(bytes)
    }

    /// What another process has encoded.
    ///
    /// # Errors
    /// When the bytes are no such histogram.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, DeserializeError> {
        if !bytes.is_empty() {
            Deserializer::new().deserialize::<u64, _>(&mut &bytes[..])?;
        }
        Ok(Self(bytes))
    }

    /// The encoding; nothing where there is no sample.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoding in base64.
    pub(in crate::client) fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }

    /// What another process has told in base64.
    ///
    /// # Errors
    /// When it is no such histogram.
    pub(in crate::client) fn from_base64(text: &str) -> std::io::Result<Self> {
        let bytes = BASE64_STANDARD.decode(text);
        let bytes = bytes.map_err(std::io::Error::other)?;
        Self::from_bytes(bytes).map_err(std::io::Error::other)
    }

    /// Decodes it.
    pub fn histogram(&self) -> Histogram<u64> {
        if self.0.is_empty() {
            return latency_histogram();
        }
        Deserializer::new()
            .deserialize(&mut &self.0[..])
            .expect("it was encoded here, or has been decoded before")
    }
}

/// One series of what several processes have recorded side by side.
pub fn merge(processes: &[Vec<Interval>]) -> Vec<Interval> {
    let mut merged: BTreeMap<u64, Interval> = BTreeMap::new();
    for interval in processes.iter().flatten() {
        merged
            .entry(interval.place)
            .and_modify(|into| into.add(interval))
            .or_insert_with(|| interval.clone());
    }
    merged.into_values().collect()
}

impl Interval {
    fn add(&mut self, other: &Self) {
        let end_s = (self.time_s + self.length_s).max(other.time_s + other.length_s);
        self.time_s = self.time_s.min(other.time_s);
        self.length_s = end_s - self.time_s;
        self.connected += other.connected;
        self.counts = self.counts.combine(&other.counts, u64::saturating_add);
        self.delivery_us.add(&other.delivery_us);
        add(&mut self.lateness_us, other.lateness_us.as_ref());
        add(&mut self.reply_us, other.reply_us.as_ref());
    }
}

pub(in crate::client) fn add(sum: &mut Option<Series>, other: Option<&Series>) {
    match (sum, other) {
        (Some(sum), Some(other)) => sum.add(other),
        (sum, other) => *sum = sum.take().or_else(|| other.cloned()),
    }
}

#[cfg(test)]
pub(in crate::client) mod tests {
    use super::*;

    /// An interval of a second at `place`, with these latencies in µs.
    pub(in crate::client) fn interval(place: u64, latencies: &[u64]) -> Interval {
        let mut histogram = latency_histogram();
        for &latency in latencies {
            histogram.saturating_record(latency);
        }
        let count = latencies.len() as u64;
        Interval {
            time_s: place as f64,
            length_s: 1.0,
            connected: 2,
            counts: Counts {
                messages: count,
                ticks: count,
                bytes: count * 97,
                ..Counts::default()
            },
            delivery_us: Series::of(&histogram),
            lateness_us: None,
            reply_us: None,
            place,
        }
    }

    #[test]
    fn what_processes_recorded_side_by_side_is_added() {
        let one = vec![interval(0, &[100]), interval(1, &[5_000])];
        let other = vec![interval(1, &[100, 200]), interval(2, &[])];
        let merged = merge(&[one, other]);
        assert_eq!(merged.len(), 3);
        let middle = &merged[1];
        assert_eq!((middle.connected, middle.counts.ticks), (4, 3));
        assert_eq!(middle.delivery_us.latencies.p50, Some(200));
        assert_eq!(middle.delivery_us.histogram.histogram().max(), 5_003);
        assert_eq!((middle.time_s, middle.length_s), (1.0, 1.0));
        assert_eq!(merged[0], interval(0, &[100]));
        assert_eq!(merged[2], interval(2, &[]));
    }

    #[test]
    fn what_only_some_runs_have_is_added_too() {
        let mut one = interval(0, &[]);
        one.reply_us = Some(interval(0, &[7, 8]).delivery_us);
        let mut other = interval(0, &[]);
        other.reply_us = Some(interval(0, &[9]).delivery_us);
        let merged = merge(&[vec![one.clone()], vec![other], vec![interval(0, &[])]]);
        let reply_us = merged[0].reply_us.as_ref().unwrap();
        assert_eq!(
            (reply_us.latencies.count, reply_us.latencies.max),
            (3, Some(9))
        );
        assert_eq!(merged[0].lateness_us, None);
    }

    #[test]
    fn histograms_travel_as_bytes() {
        let sent = interval(0, &[100, 5_000]).delivery_us.histogram;
        let received = Compact::from_bytes(sent.as_bytes().to_vec()).unwrap();
        assert_eq!(received, sent);
        assert!(sent.as_bytes().len() < 100, "{}", sent.as_bytes().len());
        assert!(Compact::from_bytes(b"no histogram".to_vec()).is_err());
        assert_eq!(Compact::from_bytes(Vec::new()).unwrap(), Compact::default());
    }
}
