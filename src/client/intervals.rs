//! The measuring, second by second: what was counted in each interval, and its latencies.
//!
//! The counts of a run only grow, so an interval is what they are at its end less what they were at
//! its beginning. That is worked out once a second, and a tick that arrives pays nothing for it.
//! Intervals of several processes can be [merged](merge): their places are on one grid, and each
//! carries its whole histogram, not only percentiles.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

use super::statistics::{Statistics, delivery_histogram};
use crate::tick::unix_us;

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
    pub delivery_us: Latencies,
    /// Those in full.
    #[serde(skip)]
    pub histogram: Compact,
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

/// An interval's latencies, in µs. None where there is no delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// How many deliveries there were.
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

/// The intervals of a run under way.
#[derive(Debug)]
pub(super) struct Recorder {
    period: Duration,
    window_began: Instant,
    began_unix_s: f64,
    /// Up to when it is recorded.
    until: Instant,
    counts: Counts,
    delivery_us: Histogram<u64>,
    place: u64,
    intervals: Vec<Interval>,
}

impl Recorder {
    /// Records a window that begins at `now`, with what had been counted before, and is to last for
    /// `duration`: by the second, or as far apart that there are [`INTERVALS_MAX`] of them.
    pub(super) fn new(now: Instant, duration: Duration, statistics: &Statistics) -> Self {
        let seconds = duration.as_secs().div_ceil(INTERVALS_MAX).max(1);
        Self {
            period: Duration::from_secs(seconds),
            window_began: now,
            began_unix_s: unix_us() as f64 / 1e6,
            until: now,
            counts: Counts::of(statistics),
            delivery_us: statistics.delivery_us.clone(),
            place: 0,
            intervals: Vec::new(),
        }
    }

    /// Ends the present interval at `now`.
    pub(super) fn record(&mut self, now: Instant, connected: usize, statistics: &Statistics) {
        let counts = Counts::of(statistics);
        let histogram = since(&statistics.delivery_us, &self.delivery_us);
        self.intervals.push(Interval {
            time_s: (self.until - self.window_began).as_secs_f64(),
            length_s: (now - self.until).as_secs_f64(),
            connected,
            counts: counts.since(&self.counts),
            delivery_us: Latencies::of(&histogram),
            histogram: Compact::of(&histogram),
            place: self.place,
        });
        self.counts = counts;
        self.delivery_us.clone_from(&statistics.delivery_us);
        self.until = now;
        // A loop that was late for whole intervals has made one long one of them.
        let elapsed = (now - self.window_began).as_nanos() / self.period.as_nanos();
        self.place = u64::try_from(elapsed).unwrap_or(u64::MAX);
    }

    /// When the present interval is to end: on the grid, however late the last one was.
    pub(super) fn next(&self) -> Instant {
        let place = u32::try_from(self.place + 1).unwrap_or(u32::MAX);
        self.window_began + self.period * place
    }

    /// When the window began, in Unix time.
    pub(super) fn began_unix_s(&self) -> f64 {
        self.began_unix_s
    }

    /// What has been recorded.
    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

/// What a process has recorded, as it tells it to another one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recorded {
    began_unix_s: f64,
    intervals: Vec<RecordedInterval>,
}

/// An interval, its histogram in base64.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedInterval {
    place: u64,
    time_s: f64,
    length_s: f64,
    connected: usize,
    counts: Counts,
    histogram: String,
}

impl Recorder {
    /// What has been recorded, to be told.
    pub(super) fn recorded(&self) -> Recorded {
        let intervals = self.intervals.iter().map(|interval| RecordedInterval {
            place: interval.place,
            time_s: interval.time_s,
            length_s: interval.length_s,
            connected: interval.connected,
            counts: interval.counts,
            histogram: BASE64_STANDARD.encode(interval.histogram.as_bytes()),
        });
        Recorded {
            began_unix_s: self.began_unix_s,
            intervals: intervals.collect(),
        }
    }

    /// What several processes have recorded side by side; none if none has.
    ///
    /// # Errors
    /// When a histogram is none: another program has sent it.
    pub(super) fn merged(recorded: Vec<Recorded>) -> io::Result<Option<Self>> {
        let Some(first) = recorded.first() else {
            return Ok(None);
        };
        let began_unix_s = first.began_unix_s;
        let processes: io::Result<Vec<Vec<Interval>>> =
            recorded.into_iter().map(Recorded::intervals).collect();
        let now = Instant::now();
        Ok(Some(Self {
            period: Duration::from_secs(1),
            window_began: now,
            began_unix_s,
            until: now,
            counts: Counts::default(),
            delivery_us: delivery_histogram(),
            place: 0,
            intervals: merge(&processes?),
        }))
    }
}

impl Recorded {
    fn intervals(self) -> io::Result<Vec<Interval>> {
        let intervals = self.intervals.into_iter();
        intervals.map(RecordedInterval::interval).collect()
    }
}

impl RecordedInterval {
    fn interval(self) -> io::Result<Interval> {
        let bytes = BASE64_STANDARD.decode(self.histogram);
        let bytes = bytes.map_err(io::Error::other)?;
        let histogram = Compact::from_bytes(bytes).map_err(io::Error::other)?;
        Ok(Interval {
            time_s: self.time_s,
            length_s: self.length_s,
            connected: self.connected,
            counts: self.counts,
            delivery_us: Latencies::of(&histogram.histogram()),
            histogram,
            place: self.place,
        })
    }
}

impl Counts {
    fn of(statistics: &Statistics) -> Self {
        Self {
            messages: statistics.messages,
            ticks: statistics.ticks,
            bytes: statistics.bytes,
            errors: statistics.failures.values().map(|(count, _)| count).sum(),
            gaps: statistics.gaps,
            missed: statistics.missed,
            repeats: statistics.repeats,
        }
    }

    fn since(&self, earlier: &Self) -> Self {
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

    /// Decodes it.
    pub fn histogram(&self) -> Histogram<u64> {
        if self.0.is_empty() {
            return delivery_histogram();
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
        let mut histogram = self.histogram.histogram();
        // All of them have the same bounds.
        if histogram.add(other.histogram.histogram()).is_ok() {
            self.delivery_us = Latencies::of(&histogram);
            self.histogram = Compact::of(&histogram);
        }
    }
}

/// What `now` has more than `earlier`.
fn since(now: &Histogram<u64>, earlier: &Histogram<u64>) -> Histogram<u64> {
    let mut between = now.clone();
    // It cannot fail: counts only grow, in buckets that stay the same.
    if between.subtract(earlier).is_err() {
        between.reset();
    }
    between
}

/// Two hours by the second. Longer runs have longer intervals, so that memory stays bounded.
const INTERVALS_MAX: u64 = 7200;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An interval of a second at `place`, with these latencies in µs.
    pub(in crate::client) fn interval(place: u64, latencies: &[u64]) -> Interval {
        let mut histogram = delivery_histogram();
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
            delivery_us: Latencies::of(&histogram),
            histogram: Compact::of(&histogram),
            place,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_interval_has_what_came_in_it() {
        let began = Instant::now();
        let mut statistics = Statistics::new();
        statistics.ticks = 7;
        statistics.delivery_us.saturating_record(9_000);
        let mut recorder = Recorder::new(began, SECOND * 10, &statistics);
        assert_eq!(recorder.next(), began + SECOND);
        statistics.ticks += 2;
        for latency in [100, 300] {
            statistics.delivery_us.saturating_record(latency);
        }
        recorder.record(began + SECOND * 11 / 10, 3, &statistics);
        recorder.record(began + SECOND * 2, 2, &statistics);
        let [first, second] = recorder.intervals() else {
            panic!("{recorder:?}")
        };
        assert_eq!((first.time_s, first.length_s), (0.0, 1.1));
        assert_eq!((first.counts.ticks, first.connected), (2, 3));
        let latencies = first.delivery_us;
        assert_eq!(
            (latencies.count, latencies.p50, latencies.max),
            (2, Some(100), Some(300))
        );
        assert_eq!(first.histogram.histogram().len(), 2);
        assert_eq!((second.time_s, second.length_s), (1.1, 0.9));
        assert_eq!(second.delivery_us, Latencies::default());
        assert!(second.histogram.histogram().is_empty());
    }

    #[test]
    fn a_late_loop_returns_to_the_grid() {
        let began = Instant::now();
        let statistics = Statistics::new();
        let mut recorder = Recorder::new(began, SECOND * 10, &statistics);
        recorder.record(began + SECOND * 7 / 2, 1, &statistics);
        assert_eq!(recorder.next(), began + SECOND * 4);
        recorder.record(began + SECOND * 4, 1, &statistics);
        let places: Vec<_> = recorder.intervals().iter().map(|it| it.place).collect();
        assert_eq!(places, [0, 3]);
    }

    #[test]
    fn long_runs_have_a_bounded_number_of_intervals() {
        let (began, statistics) = (Instant::now(), Statistics::new());
        for (duration, period) in [(7200, 1), (7201, 2), (86_400, 12)] {
            let recorder = Recorder::new(began, SECOND * duration, &statistics);
            assert_eq!(recorder.next() - began, SECOND * period);
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
        assert_eq!(middle.delivery_us.p50, Some(200));
        assert_eq!(middle.histogram.histogram().max(), 5_003);
        assert_eq!((middle.time_s, middle.length_s), (1.0, 1.0));
        assert_eq!(merged[0], interval(0, &[100]));
        assert_eq!(merged[2], interval(2, &[]));
    }

    #[test]
    fn histograms_travel_as_bytes() {
        let sent = interval(0, &[100, 5_000]).histogram;
        let received = Compact::from_bytes(sent.as_bytes().to_vec()).unwrap();
        assert_eq!(received, sent);
        assert!(sent.as_bytes().len() < 100, "{}", sent.as_bytes().len());
        assert!(Compact::from_bytes(b"no histogram".to_vec()).is_err());
        assert_eq!(Compact::from_bytes(Vec::new()).unwrap(), Compact::default());
    }
}
