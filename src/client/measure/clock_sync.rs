//! Estimates how far the server's clock is ahead of this one (Cristian's algorithm). The server
//! answers a ping with its time, which it took somewhere between the sending of the ping and the
//! arrival of the answer, so half the round trip bounds the error. Of the newest round trips the
//! shortest one counts.
//!
//! Clocks drift apart, so pings go on: the error of an estimate grows with its age, until a newer
//! one has a smaller error. A silent server is pinged all the same, and its late answers still
//! count: their delay is part of the error.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::received::Arrival;

/// The comparison of the clocks.
#[derive(Debug, Default)]
pub(crate) struct ClockSync {
    /// The pings without an answer, oldest first: their numbers, and when they were sent.
    asked: VecDeque<(u64, Arrival)>,
    next_number: u64,
    /// The newest round trips.
    samples: VecDeque<Sample>,
    /// The round trip with the smallest error.
    best: Option<Sample>,
    /// How many pings were answered.
    pub(crate) answered: u64,
    /// The first estimate, to see the drift by.
    first: Option<Sample>,
    /// Arrivals to be converted to the server's clock before any estimate existed.
    pub(crate) uncorrected: u64,
    /// The largest error bound in use during the measured window, in µs.
    error_us_max: u64,
}

/// The result of one round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    at: Instant,
    /// The server's clock less ours, in µs.
    pub(crate) offset_us: i64,
    /// The largest possible error in µs: half the round trip.
    pub(crate) error_us: u64,
}

impl ClockSync {
    /// The text of the next ping, which is sent at `now`. If there are too many unanswered pings,
    /// the oldest is given up.
    pub(crate) fn ping(&mut self, now: Arrival) -> String {
        if !self.asked.is_empty() {
            // No newer answer has come, and a mute server's estimate loses precision with time.
            self.grow_older(now.at);
        }
        let number = self.next_number;
        self.next_number += 1;
        if self.asked.len() >= ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((number, now));
        format!(r#"{{"op":"ping","id":"{ID}{number}"}}"#)
    }

    /// How many pings are in flight or lost.
    pub(crate) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Whether a ping has been on its way at `now` for no longer than `patience`.
    pub(crate) fn is_asking(&self, now: Instant, patience: Duration) -> bool {
        let newest = self.asked.back();
        newest.is_some_and(|(_, sent)| now.saturating_duration_since(sent.at) < patience)
    }

    /// Takes the answer to the ping `id`, which arrived at `now`, with the server's time if it
    /// contains one. Returns false if there is no such ping.
    pub(crate) fn answer(&mut self, id: &str, server_us: Option<u64>, now: Arrival) -> bool {
        let Some(number) = number(id) else {
            return false;
        };
        let place = self.asked.iter().position(|(asked, _)| *asked == number);
        if let (Some(place), Some(server_us)) = (place, server_us) {
            let sent = self.asked[place].1;
            // Earlier pings are lost, or their round trips are longer.
            self.asked.drain(..=place);
            let round_trip = (now.at - sent.at).as_nanos();
            // Rounded up, plus one because the server's clock was rounded down.
            let error_us = u64::try_from(round_trip / 2_000)
                .unwrap_or(u64::MAX)
                .saturating_add(2);
            let middle = sent.wall_us.saturating_add(error_us);
            self.answered += 1;
            self.note(Sample {
                at: now.at,
                offset_us: i64::try_from(server_us).unwrap_or(i64::MAX)
                    - i64::try_from(middle).unwrap_or(i64::MAX),
                error_us,
            });
        }
        true
    }

    fn note(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.grow_older(sample.at);
        self.first = self.first.filter(|_| self.answered > FIRST).or(self.best);
    }

    /// Chooses the sample with the smallest error at `now`. The last one is kept, however old it
    /// is.
    fn grow_older(&mut self, now: Instant) {
        let is_old = |sample: &Sample| now.saturating_duration_since(sample.at) > AGE_MAX;
        while self.samples.len() > 1 && self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
        let aged = self.samples.iter().map(|older| older.aged(now));
        self.best = aged.min_by_key(|aged| aged.error_us);
    }

    /// Forgets how wide the error was before the measured window.
    pub(crate) fn begin_window(&mut self) {
        self.error_us_max = 0;
    }

    /// The estimate; `None` before the first answer.
    pub(crate) fn best(&self) -> Option<Sample> {
        self.best
    }

    /// The largest error bound in use during the measured window, in µs; the present one if that is
    /// larger, since it is reported beside the offset.
    pub(crate) fn error_us_max(&self) -> u64 {
        let error_us = self.best.map_or(0, |best| best.error_us);
        self.error_us_max.max(error_us)
    }

    /// How far the clocks have drifted apart since the first estimate, in µs, and the largest
    /// possible error of that.
    pub(crate) fn drift_us(&self) -> (i64, u64) {
        match (self.first, self.best) {
            (Some(first), Some(best)) => (
                best.offset_us - first.offset_us,
                first.error_us.saturating_add(best.error_us),
            ),
            _ => (0, 0),
        }
    }

    /// Converts our clock's `wall_us`, when a tick arrived, to the server's clock; with the largest
    /// possible error.
    pub(crate) fn arrival_us(&mut self, wall_us: u64) -> (u64, u64) {
        self.uncorrected += u64::from(self.best.is_none());
        let error_us = self.best.map_or(0, |best| best.error_us);
        self.error_us_max = self.error_us_max.max(error_us);
        (self.to_server_us(wall_us), error_us)
    }

    /// Converts our clock's `wall_us` to the server's clock.
    pub(crate) fn to_server_us(&self, wall_us: u64) -> u64 {
        let offset_us = self.best.map_or(0, |best| best.offset_us);
        wall_us.saturating_add_signed(offset_us)
    }
}

/// How the server's clock compares with this one (`--sync`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Pings that were answered.
    pub answered: u64,
    /// How far the server's clock was ahead at the end; `None` if no ping was answered.
    pub offset_us: Option<i64>,
    /// The largest possible error of the offset, and of each latency with it: half the shortest
    /// round trip, at its worst in the window.
    pub error_us: Option<u64>,
    /// By how much the offset changed over the run.
    pub drift_us: i64,
    /// The largest possible error of the drift.
    pub drift_error_us: u64,
    /// Deliveries in the window before the first answer, whose latencies are not corrected.
    pub uncorrected: u64,
}

impl ClockOffset {
    /// The result of `sync`.
    pub(super) fn of(sync: &ClockSync) -> Self {
        let best = sync.best();
        let (drift_us, drift_error_us) = sync.drift_us();
        Self {
            answered: sync.answered,
            offset_us: best.map(|best| best.offset_us),
            error_us: best.map(|_| sync.error_us_max()),
            drift_us,
            drift_error_us,
            uncorrected: sync.uncorrected,
        }
    }
}

impl AddAssign for ClockOffset {
    /// Takes the offset of the process that knows it better, but the larger error, since each
    /// process corrected its latencies by its own estimate. If one has no estimate, its latencies
    /// are uncorrected, so the sum has none either.
    fn add_assign(&mut self, other: Self) {
        let answered = self.answered + other.answered;
        let uncorrected = self.uncorrected + other.uncorrected;
        let sum = match (self.error_us, other.error_us) {
            (Some(error), Some(other_error)) => {
                let better = if error <= other_error { &*self } else { &other };
                Self {
                    error_us: Some(error.max(other_error)),
                    ..better.clone()
                }
            }
            _ => Self {
                offset_us: None,
                error_us: None,
                drift_us: 0,
                drift_error_us: 0,
                ..other
            },
        };
        *self = Self {
            answered,
            uncorrected,
            ..sum
        };
    }
}

impl Sample {
    /// The same sample at a later time: the clocks may have drifted apart meanwhile.
    fn aged(self, now: Instant) -> Self {
        let age_us = now.saturating_duration_since(self.at).as_micros();
        let drift_us = u64::try_from(age_us / DRIFT).unwrap_or(u64::MAX);
        Self {
            error_us: self.error_us.saturating_add(drift_us),
            ..self
        }
    }
}

/// The number in the JSON text of an id, if it is the id of a ping.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix('"')?
        .strip_prefix(ID)?
        .strip_suffix('"')?
        .parse()
        .ok()
}

/// The prefix of the ids of pings.
const ID: &str = "clock ";

/// Two clocks drift apart by at most one part in this many: 0.01 %.
const DRIFT: u128 = 10_000;

/// At this age two clocks may have drifted apart by a millisecond.
const AGE_MAX: Duration = Duration::from_secs(10);

const SAMPLES_MAX: usize = 64;

/// Half a minute of pings.
const ASKED_MAX: usize = 64;

/// How many answers the first estimate needs.
pub(crate) const FIRST: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clocks for tests: the server's is ahead by this many µs.
    struct Play {
        sync: ClockSync,
        epoch: Instant,
        now_us: u64,
        ahead_us: i64,
    }

    impl Play {
        fn new(ahead_us: i64) -> Self {
            Self {
                sync: ClockSync::default(),
                epoch: Instant::now(),
                now_us: 0,
                ahead_us,
            }
        }

        fn now(&self) -> Arrival {
            Arrival {
                wall_us: 1_000_000_000_000 + self.now_us,
                at: self.epoch + Duration::from_micros(self.now_us),
            }
        }

        /// Plays one round trip with these delays in µs.
        fn round_trip(&mut self, there_us: u64, back_us: u64) {
            let text = self.sync.ping(self.now());
            let (_, id) = text.split_once(r#""id":"#).unwrap();
            let id = id.strip_suffix('}').unwrap();
            self.now_us += there_us;
            let server_us = self.now().wall_us.saturating_add_signed(self.ahead_us);
            self.now_us += back_us;
            assert!(self.sync.answer(id, Some(server_us), self.now()));
        }
    }

    #[test]
    fn the_true_offset_is_within_the_error_of_the_shortest_round_trip() {
        let mut play = Play::new(-123_456);
        for (there, back) in [(900, 100), (50, 60), (10, 5_000)] {
            play.round_trip(there, back);
            let best = play.sync.best().unwrap();
            assert!(
                best.offset_us.abs_diff(-123_456) <= best.error_us,
                "{best:?}"
            );
        }
        let best = play.sync.best().unwrap();
        assert!((55..=57).contains(&best.error_us), "{best:?}");
        let server_us = play.sync.to_server_us(play.now().wall_us);
        let truth = play.now().wall_us - 123_456;
        assert!(server_us.abs_diff(truth) <= best.error_us);
    }

    #[test]
    fn a_drift_is_followed() {
        let mut play = Play::new(0);
        for _ in 0..FIRST {
            play.round_trip(50, 50);
        }
        for second in 1..=60 {
            play.now_us += 1_000_000;
            play.ahead_us = second * 50;
            play.round_trip(100, 100);
            play.sync.arrival_us(play.now().wall_us);
        }
        let (drift, error) = play.sync.drift_us();
        assert!((2_950..=3_050).contains(&drift), "{drift}");
        assert!(drift.abs_diff(3_000) <= error && error < 300, "{error}");
        assert!(play.sync.samples.len() <= 12);
        let error = play.sync.error_us_max();
        assert!((102..=152).contains(&error), "{error}");
    }

    #[test]
    fn unrelated_messages_do_not_change_the_estimate() {
        let mut play = Play::new(0);
        let now = play.now();
        assert!(!play.sync.answer("7", Some(1), now));
        assert!(!play.sync.answer(r#""clock ""#, Some(1), now));
        assert!(
            play.sync.answer(r#""clock 0""#, Some(1), now),
            "ours, but not asked for"
        );
        play.sync.ping(now);
        assert!(
            play.sync.answer(r#""clock 0""#, None, now),
            "an error, which says no time"
        );
        for _ in 0..ASKED_MAX {
            play.sync.ping(now);
        }
        assert!(
            play.sync.answer(r#""clock 0""#, Some(1), now),
            "given up by now"
        );
        assert_eq!(play.sync.unanswered(), ASKED_MAX);
        assert!(play.sync.best().is_none());
        assert_eq!(play.sync.to_server_us(5), 5);
    }

    #[test]
    fn late_answers_count_with_their_large_error() {
        let mut play = Play::new(5_000);
        for _ in 0..4 {
            play.sync.ping(play.now());
            play.now_us += 500_000;
        }
        assert!(
            !play
                .sync
                .is_asking(play.now().at, Duration::from_millis(500))
        );
        let server_us = play.now().wall_us + 5_000;
        assert!(
            play.sync
                .answer(r#""clock 1""#, Some(server_us), play.now())
        );
        let best = play.sync.best().unwrap();
        assert!((750_000..750_010).contains(&best.error_us), "{best:?}");
        assert!(best.offset_us.abs_diff(5_000) <= best.error_us, "{best:?}");
        assert_eq!(play.sync.unanswered(), 2, "the one before it is lost");
        assert!(
            play.sync
                .answer(r#""clock 3""#, Some(server_us), play.now())
        );
        assert!(play.sync.best().unwrap().error_us < 250_010);
        assert_eq!((play.sync.unanswered(), play.sync.answered), (0, 2));
    }

    #[test]
    fn the_error_of_an_old_estimate_grows() {
        let mut play = Play::new(0);
        play.round_trip(50, 50);
        for _ in 0..2 {
            play.now_us += 30_000_000;
            play.sync.ping(play.now());
        }
        let error_us = play.sync.error_us_max();
        assert!((6_050..6_060).contains(&error_us), "{error_us}");
    }

    #[test]
    fn several_processes_report_the_best_offset_and_the_worst_error() {
        let clocks = |offset_us, error_us| ClockOffset {
            answered: 16,
            offset_us,
            error_us,
            drift_us: 1,
            drift_error_us: 40,
            uncorrected: 2,
        };
        let sum = |one: &ClockOffset, other: &ClockOffset| {
            let mut sum = one.clone();
            sum += other.clone();
            sum
        };
        let (good, bad) = (clocks(Some(500), Some(20)), clocks(Some(480), Some(90)));
        for (one, other) in [(&good, &bad), (&bad, &good)] {
            let both = sum(one, other);
            assert_eq!((both.answered, both.offset_us), (32, Some(500)));
            assert_eq!((both.error_us, both.uncorrected), (Some(90), 4));
        }
        let none = clocks(None, None);
        for both in [sum(&good, &none), sum(&none, &good)] {
            assert_eq!(
                (both.answered, both.offset_us, both.error_us),
                (32, None, None)
            );
        }
    }
}
