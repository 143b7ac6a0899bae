//! Records the intervals of a run in progress.

use std::time::{Duration, Instant};

use crate::client::measure::intervals::{Counts, Interval, Intervals, add};
use crate::client::measure::latency::{Compact, Latency};
use crate::client::measure::measurement::Measurement;
use crate::tick::unix_us;

/// The intervals of a run in progress.
#[derive(Debug)]
pub(crate) struct Recorder {
    period: Duration,
    window_began: Instant,
    /// The end of the last recorded interval.
    until: Instant,
    counts: Counts,
    before: Latencies,
    place: u64,
    intervals: Intervals,
}

/// The distributions of a run; `None` for those that it lacks.
#[derive(Debug)]
struct Latencies {
    delivery: Latency,
    lateness: Option<Latency>,
    reply: Option<Latency>,
}

impl Latencies {
    fn of(measurement: &Measurement) -> Self {
        let (cadence, requests) = (&measurement.cadence, &measurement.requests);
        Self {
            delivery: measurement.delivery.clone(),
            lateness: cadence.as_ref().map(|cadence| cadence.lateness.clone()),
            reply: requests.as_ref().map(|requests| requests.latency.clone()),
        }
    }
}

impl Counts {
    fn of(measurement: &Measurement) -> Self {
        let (counters, losses) = (&measurement.counters, &measurement.losses);
        Self {
            messages: counters.messages,
            ticks: counters.ticks,
            bytes: counters.bytes,
            errors: measurement.errors.total(),
            gaps: losses.gaps,
            missed: losses.missed,
            repeats: losses.repeats,
        }
    }
}

impl Recorder {
    /// Records a window that begins at `now`, counting from the state of `measurement`, and lasts for
    /// `duration`: in intervals of a second, or longer ones if there would be more than
    /// [`INTERVALS_MAX`].
    pub(crate) fn new(now: Instant, duration: Duration, measurement: &Measurement) -> Self {
        let seconds = duration.as_secs().div_ceil(INTERVALS_MAX).max(1);
        Self {
            period: Duration::from_secs(seconds),
            window_began: now,
            until: now,
            counts: Counts::of(measurement),
            before: Latencies::of(measurement),
            place: 0,
            intervals: Intervals {
                began_unix_s: unix_us() as f64 / 1e6,
                list: Vec::new(),
            },
        }
    }

    /// Ends the current interval at `now`.
    pub(crate) fn record(&mut self, now: Instant, connected: usize, measurement: &Measurement) {
        let counts = Counts::of(measurement);
        let latencies = Latencies::of(measurement);
        let before = &self.before;
        self.intervals.list.push(Interval {
            time_s: (self.until - self.window_began).as_secs_f64(),
            length_s: (now - self.until).as_secs_f64(),
            connected,
            counts: counts - self.counts,
            delivery: Compact::of(&latencies.delivery.since(&before.delivery)),
            lateness: since(latencies.lateness.as_ref(), before.lateness.as_ref()),
            reply: since(latencies.reply.as_ref(), before.reply.as_ref()),
            place: self.place,
        });
        self.counts = counts;
        self.before = latencies;
        self.until = now;
        // If the loop was late by whole intervals, this interval is a long one.
        let elapsed = (now - self.window_began).as_nanos() / self.period.as_nanos();
        self.place = u64::try_from(elapsed).unwrap_or(u64::MAX);
    }

    /// Adds the replies that arrived after the window to the last interval: they were due by then.
    pub(crate) fn note_late_replies(&mut self, measurement: &Measurement) {
        let latencies = Latencies::of(measurement);
        let late = since(latencies.reply.as_ref(), self.before.reply.as_ref());
        if let Some(last) = self.intervals.list.last_mut() {
            add(&mut last.reply, late.as_ref());
        }
        self.before = latencies;
    }

    /// When the current interval ends: on the grid, however late the last one was.
    pub(crate) fn next(&self) -> Instant {
        let place = u32::try_from(self.place + 1).unwrap_or(u32::MAX);
        self.window_began + self.period * place
    }

    /// Returns the recorded intervals.
    pub(crate) fn into_intervals(self) -> Intervals {
        self.intervals
    }
}

fn since(now: Option<&Latency>, earlier: Option<&Latency>) -> Option<Compact> {
    Some(Compact::of(&now?.since(earlier?)))
}

/// Two hours in seconds. Longer runs have longer intervals, so that memory stays bounded.
const INTERVALS_MAX: u64 = 7200;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_interval_counts_what_arrived_in_it() {
        let began = Instant::now();
        let mut measurement = Measurement::default();
        measurement.counters.ticks = 7;
        measurement.delivery.record(9_000);
        let mut recorder = Recorder::new(began, SECOND * 10, &measurement);
        assert_eq!(recorder.next(), began + SECOND);
        measurement.counters.ticks += 2;
        for latency in [100, 300] {
            measurement.delivery.record(latency);
        }
        recorder.record(began + SECOND * 11 / 10, 3, &measurement);
        recorder.record(began + SECOND * 2, 2, &measurement);
        let intervals = recorder.into_intervals().list;
        let [first, second] = &*intervals else {
            panic!("{intervals:?}")
        };
        assert_eq!((first.time_s, first.length_s), (0.0, 1.1));
        assert_eq!((first.counts.ticks, first.connected), (2, 3));
        let delivery = first.delivery.latency();
        let median = delivery.value_at_quantile(0.5);
        assert_eq!((delivery.len(), median, delivery.max()), (2, 100, 300));
        assert_eq!((second.time_s, second.length_s), (1.1, 0.9));
        assert_eq!(second.delivery, Compact::default());
    }

    #[test]
    fn a_late_loop_returns_to_the_grid() {
        let began = Instant::now();
        let measurement = Measurement::default();
        let mut recorder = Recorder::new(began, SECOND * 10, &measurement);
        recorder.record(began + SECOND * 7 / 2, 1, &measurement);
        assert_eq!(recorder.next(), began + SECOND * 4);
        recorder.record(began + SECOND * 4, 1, &measurement);
        let places: Vec<_> = recorder
            .intervals
            .list
            .iter()
            .map(|interval| interval.place)
            .collect();
        assert_eq!(places, [0, 3]);
    }

    #[test]
    fn long_runs_have_a_bounded_number_of_intervals() {
        let (began, measurement) = (Instant::now(), Measurement::default());
        for (duration, period) in [(7200, 1), (7201, 2), (86_400, 12)] {
            let recorder = Recorder::new(began, SECOND * duration, &measurement);
            assert_eq!(recorder.next() - began, SECOND * period);
        }
    }
}
