//! The intervals of a run under way, and on their way from one process to another.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::client::measure::intervals;
use crate::client::measure::intervals::{Compact, Counts, Interval, Latencies, Series, merge};
use crate::client::measure::observer::{Statistics, latency_histogram};
use crate::tick::unix_us;

/// The intervals of a run under way.
#[derive(Debug)]
pub(in crate::client) struct Recorder {
    period: Duration,
    window_began: Instant,
    began_unix_s: f64,
    /// Up to when it is recorded.
    until: Instant,
    counts: Counts,
    before: Histograms,
    place: u64,
    intervals: Vec<Interval>,
}

/// The distributions of a run; those that it has not are none.
#[derive(Debug)]
struct Histograms {
    delivery_us: Histogram<u64>,
    lateness_us: Option<Histogram<u64>>,
    reply_us: Option<Histogram<u64>>,
}

impl Histograms {
    fn of(statistics: &Statistics) -> Self {
        let (grid, replies) = (&statistics.grid, &statistics.replies);
        Self {
            delivery_us: statistics.delivery_us.clone(),
            lateness_us: grid.as_ref().map(|grid| grid.lateness_us.clone()),
            reply_us: replies.as_ref().map(|replies| replies.latency_us.clone()),
        }
    }
}

impl Recorder {
    /// Records a window that begins at `now`, with what had been counted before, and is to last for
    /// `duration`: by the second, or as far apart that there are [`INTERVALS_MAX`] of them.
    pub(in crate::client) fn new(
        now: Instant,
        duration: Duration,
        statistics: &Statistics,
    ) -> Self {
        let seconds = duration.as_secs().div_ceil(INTERVALS_MAX).max(1);
        Self {
            period: Duration::from_secs(seconds),
            window_began: now,
            began_unix_s: unix_us() as f64 / 1e6,
            until: now,
            counts: Counts::of(statistics),
            before: Histograms::of(statistics),
            place: 0,
            intervals: Vec::new(),
        }
    }

    /// Ends the present interval at `now`.
    pub(in crate::client) fn record(
        &mut self,
        now: Instant,
        connected: usize,
        statistics: &Statistics,
    ) {
        let counts = Counts::of(statistics);
        let histograms = Histograms::of(statistics);
        let before = &self.before;
        self.intervals.push(Interval {
            time_s: (self.until - self.window_began).as_secs_f64(),
            length_s: (now - self.until).as_secs_f64(),
            connected,
            counts: counts.since(&self.counts),
            delivery_us: since(&histograms.delivery_us, &before.delivery_us),
            lateness_us: both_since(&histograms.lateness_us, &before.lateness_us),
            reply_us: both_since(&histograms.reply_us, &before.reply_us),
            place: self.place,
        });
        self.counts = counts;
        self.before = histograms;
        self.until = now;
        // A loop that was late for whole intervals has made one long one of them.
        let elapsed = (now - self.window_began).as_nanos() / self.period.as_nanos();
        self.place = u64::try_from(elapsed).unwrap_or(u64::MAX);
    }

    /// Adds the replies that came after the last interval to it: they were due by then.
    pub(in crate::client) fn note_late_replies(&mut self, statistics: &Statistics) {
        let histograms = Histograms::of(statistics);
        let late = both_since(&histograms.reply_us, &self.before.reply_us);
        if let Some(last) = self.intervals.last_mut() {
            intervals::add(&mut last.reply_us, late.as_ref());
        }
        self.before = histograms;
    }

    /// When the present interval is to end: on the grid, however late the last one was.
    pub(in crate::client) fn next(&self) -> Instant {
        let place = u32::try_from(self.place + 1).unwrap_or(u32::MAX);
        self.window_began + self.period * place
    }

    /// When the window began, in Unix time.
    pub(in crate::client) fn began_unix_s(&self) -> f64 {
        self.began_unix_s
    }

    /// What has been recorded.
    pub(in crate::client) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

/// What a process has recorded, as it tells it to another one.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct Recorded {
    began_unix_s: f64,
    intervals: Vec<RecordedInterval>,
}

/// An interval, its histograms in base64.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedInterval {
    place: u64,
    time_s: f64,
    length_s: f64,
    connected: usize,
    counts: Counts,
    delivery_us: String,
    lateness_us: Option<String>,
    reply_us: Option<String>,
}

impl Recorder {
    /// What has been recorded, to be told.
    pub(in crate::client) fn recorded(&self) -> Recorded {
        let intervals = self.intervals.iter().map(|interval| RecordedInterval {
            place: interval.place,
            time_s: interval.time_s,
            length_s: interval.length_s,
            connected: interval.connected,
            counts: interval.counts,
            delivery_us: interval.delivery_us.histogram.to_base64(),
            lateness_us: encoded(interval.lateness_us.as_ref()),
            reply_us: encoded(interval.reply_us.as_ref()),
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
    pub(in crate::client) fn merged(recorded: Vec<Recorded>) -> io::Result<Option<Self>> {
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
            before: Histograms {
                delivery_us: latency_histogram(),
                lateness_us: None,
                reply_us: None,
            },
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
        Ok(Interval {
            time_s: self.time_s,
            length_s: self.length_s,
            connected: self.connected,
            counts: self.counts,
            delivery_us: decoded(&self.delivery_us)?,
            lateness_us: self.lateness_us.as_deref().map(decoded).transpose()?,
            reply_us: self.reply_us.as_deref().map(decoded).transpose()?,
            place: self.place,
        })
    }
}

fn encoded(series: Option<&Series>) -> Option<String> {
    series.map(|series| series.histogram.to_base64())
}

fn decoded(text: &str) -> io::Result<Series> {
    let histogram = Compact::from_base64(text)?;
    Ok(Series {
        latencies: Latencies::of(&histogram.histogram()),
        histogram,
    })
}

/// What `now` has more than `earlier`.
fn since(now: &Histogram<u64>, earlier: &Histogram<u64>) -> Series {
    let mut between = now.clone();
    // It cannot fail: counts only grow, in buckets that stay the same.
    if between.subtract(earlier).is_err() {
        between.reset();
    }
    Series::of(&between)
}

fn both_since(now: &Option<Histogram<u64>>, earlier: &Option<Histogram<u64>>) -> Option<Series> {
    Some(since(now.as_ref()?, earlier.as_ref()?))
}

/// Two hours by the second. Longer runs have longer intervals, so that memory stays bounded.
const INTERVALS_MAX: u64 = 7200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::measure::observer::tests::statistics;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_interval_has_what_came_in_it() {
        let began = Instant::now();
        let mut statistics = statistics();
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
        let latencies = first.delivery_us.latencies;
        assert_eq!(
            (latencies.count, latencies.p50, latencies.max),
            (2, Some(100), Some(300))
        );
        assert_eq!(first.delivery_us.histogram.histogram().len(), 2);
        assert_eq!((second.time_s, second.length_s), (1.1, 0.9));
        assert_eq!(second.delivery_us, Series::default());
        assert!(second.delivery_us.histogram.histogram().is_empty());
    }

    #[test]
    fn a_late_loop_returns_to_the_grid() {
        let began = Instant::now();
        let statistics = statistics();
        let mut recorder = Recorder::new(began, SECOND * 10, &statistics);
        recorder.record(began + SECOND * 7 / 2, 1, &statistics);
        assert_eq!(recorder.next(), began + SECOND * 4);
        recorder.record(began + SECOND * 4, 1, &statistics);
        let places: Vec<_> = recorder.intervals().iter().map(|it| it.place).collect();
        assert_eq!(places, [0, 3]);
    }

    #[test]
    fn long_runs_have_a_bounded_number_of_intervals() {
        let (began, statistics) = (Instant::now(), statistics());
        for (duration, period) in [(7200, 1), (7201, 2), (86_400, 12)] {
            let recorder = Recorder::new(began, SECOND * duration, &statistics);
            assert_eq!(recorder.next() - began, SECOND * period);
        }
    }
}
