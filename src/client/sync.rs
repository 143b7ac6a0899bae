//! How far the server's clock is ahead of this one (Cristian's algorithm): a ping is answered with
//! the server's time, which was taken somewhere between its sending and the answer's arrival. So
//! half of that round trip bounds the error, and of the newest round trips the shortest one counts.
//!
//! Clocks drift apart, so it goes on asking: an estimate's error grows with its age, until a newer
//! one has less.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::clock::Arrival;

/// The comparison of the clocks.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// The ping on its way: its number, and when it was sent.
    asked: Option<(u64, Arrival)>,
    next_number: u64,
    /// The newest round trips.
    samples: VecDeque<Sample>,
    /// The one that counts.
    best: Option<Sample>,
    /// How many pings were answered.
    pub(super) answered: u64,
    /// The first estimate, to see the drift by.
    first: Option<Sample>,
    /// The largest error bound that was ever relied on in the measured window, in µs.
    error_us_max: u64,
}

/// What one round trip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    at: Instant,
    /// The server's clock less ours, in µs.
    pub(super) offset_us: i64,
    /// Half the round trip: by so much it may be wrong, in µs.
    pub(super) error_us: u64,
}

impl Sync {
    /// The text of the next ping, which is sent at `now`. One that is still unanswered is given up.
    pub(super) fn ping(&mut self, now: Arrival) -> String {
        let number = self.next_number;
        self.next_number += 1;
        self.asked = Some((number, now));
        format!(r#"{{"op":"ping","id":"{ID}{number}"}}"#)
    }

    /// Whether a ping is on its way.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Takes the answer `id` with the server's time, which came at `now`. Says no if it is none.
    pub(super) fn pong(&mut self, id: &str, server_us: u64, now: Arrival) -> bool {
        let Some(number) = number(id) else {
            return false;
        };
        let asked = self.asked.take_if(|(asked, _)| *asked == number);
        if let Some((_, sent)) = asked {
            let round_trip = (now.at - sent.at).as_nanos();
            // Rounded up, and one more because the server's clock was rounded down.
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
        while let Some(oldest) = self.samples.front() {
            let is_old = sample.at - oldest.at > AGE_MAX;
            if !is_old && self.samples.len() <= SAMPLES_MAX {
                break;
            }
            self.samples.pop_front();
        }
        let aged = self.samples.iter().map(|older| older.aged(sample.at));
        self.best = aged.min_by_key(|aged| aged.error_us);
        self.first = self.first.filter(|_| self.answered > FIRST).or(self.best);
        self.error_us_max = self
            .error_us_max
            .max(self.best.map_or(0, |best| best.error_us));
    }

    /// Forgets how wide the error was before the measured window.
    pub(super) fn begin_window(&mut self) {
        self.error_us_max = self.best.map_or(0, |best| best.error_us);
    }

    /// The estimate; none before the first answer.
    pub(super) fn best(&self) -> Option<Sample> {
        self.best
    }

    /// The widest error bound of the measured window, in µs.
    pub(super) fn error_us_max(&self) -> u64 {
        self.error_us_max
    }

    /// How far the clocks have drifted apart since the first estimate, in µs.
    pub(super) fn drift_us(&self) -> i64 {
        match (self.first, self.best) {
            (Some(first), Some(best)) => best.offset_us - first.offset_us,
            _ => 0,
        }
    }

    /// Our clock's `wall_us` as the server's clock shows it.
    pub(super) fn to_server_us(&self, wall_us: u64) -> u64 {
        let offset_us = self.best.map_or(0, |best| best.offset_us);
        wall_us.saturating_add_signed(offset_us)
    }
}

impl Sample {
    /// What it says at a later time: the clocks may have drifted apart meanwhile.
    fn aged(self, now: Instant) -> Self {
        let age_us = (now - self.at).as_micros();
        let drift_us = u64::try_from(age_us / DRIFT).unwrap_or(u64::MAX);
        Self {
            error_us: self.error_us.saturating_add(drift_us),
            ..self
        }
    }
}

/// The number in the JSON text of an id, if it is one of ours.
fn number(id: &str) -> Option<u64> {
    id.strip_prefix('"')?
        .strip_prefix(ID)?
        .strip_suffix('"')?
        .parse()
        .ok()
}

/// What the ids of pings begin with.
const ID: &str = "clock ";

/// Two clocks differ by no more than one part in so many of the time that passes: 0.01 %.
const DRIFT: u128 = 10_000;

/// By then two clocks may have drifted by a millisecond.
const AGE_MAX: Duration = Duration::from_secs(10);

const SAMPLES_MAX: usize = 64;

/// How many answers the first estimate is made of.
pub(super) const FIRST: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// A pair of clocks that can be played with: the server's is ahead by so many µs.
    struct Play {
        sync: Sync,
        epoch: Instant,
        now_us: u64,
        ahead_us: i64,
    }

    impl Play {
        fn new(ahead_us: i64) -> Self {
            Self {
                sync: Sync::default(),
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

        /// One round trip: so many µs there, and so many back.
        fn round_trip(&mut self, there_us: u64, back_us: u64) {
            let text = self.sync.ping(self.now());
            let (_, id) = text.split_once(r#""id":"#).unwrap();
            let id = id.strip_suffix('}').unwrap();
            self.now_us += there_us;
            let server_us = self.now().wall_us.saturating_add_signed(self.ahead_us);
            self.now_us += back_us;
            assert!(self.sync.pong(id, server_us, self.now()));
        }
    }

    #[test]
    fn the_shortest_round_trip_counts_and_the_truth_is_within_its_error() {
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
        }
        let drift = play.sync.drift_us();
        assert!((2_950..=3_050).contains(&drift), "{drift}");
        assert!(play.sync.samples.len() <= 12);
        let error = play.sync.error_us_max();
        assert!((102..=152).contains(&error), "{error}");
    }

    #[test]
    fn what_is_no_answer_changes_nothing() {
        let mut play = Play::new(0);
        let now = play.now();
        assert!(!play.sync.pong("7", 1, now));
        assert!(!play.sync.pong(r#""clock ""#, 1, now));
        assert!(
            play.sync.pong(r#""clock 0""#, 1, now),
            "ours, but not asked for"
        );
        play.sync.ping(now);
        play.sync.ping(now);
        assert!(play.sync.pong(r#""clock 0""#, 1, now), "given up");
        assert!(play.sync.is_asking() && play.sync.best().is_none());
        assert_eq!(play.sync.to_server_us(5), 5);
    }
}
