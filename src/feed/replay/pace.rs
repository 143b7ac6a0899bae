//! The pace of a replay: when each recorded tick is due.

use std::fmt;
use std::time::{Duration, Instant};

use super::recording::Recorded;

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was recorded.
    Times(f64),
    /// As fast as the loop turns.
    Max,
}

/// Maps recorded stamps to instants. The schedule is absolute, so rounding errors cannot add up to
/// a drift.
pub(super) struct Pace {
    speed: Speed,
    /// An instant and the stamp that it stands for; all others are counted from it.
    anchor: Option<(Instant, u64)>,
    /// The highest stamp since the anchor.
    newest: u64,
}

impl Pace {
    pub(super) fn new(speed: Speed) -> Self {
        Self {
            speed,
            anchor: None,
            newest: 0,
        }
    }

    pub(super) fn speed(&self) -> Speed {
        self.speed
    }

    /// When a tick is due; `now` or earlier means at once.
    pub(super) fn due(&mut self, recorded: &Recorded, now: Instant) -> Instant {
        let Speed::Times(times) = self.speed else {
            return now;
        };
        // `sent` only grows within one recording, so a lower one begins another recording, or the
        // clock was set back. Either way the old anchor means nothing any more: start a new one.
        if recorded.sent.is_some_and(|sent| sent < self.newest) {
            self.anchor = None;
            self.newest = 0;
        }
        // Timestamps of exchanges arrive a little out of order; a late one is due with its
        // neighbours.
        self.newest = self.newest.max(recorded.stamp());
        let (since, stamp) = *self.anchor.get_or_insert((now, self.newest));
        let due = since + Duration::from_micros(self.newest - stamp).div_f64(times);
        // After a pause of the process, all ticks since would be due at once: continue from here
        // instead.
        if now.saturating_duration_since(due) > LATE_MAX {
            self.anchor = Some((now, self.newest));
        }
        due
    }
}

impl Speed {
    /// Reads `1`, `2.5` or `max`.
    ///
    /// # Errors
    /// A sentence that shows a valid speed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().ok();
        times
            .filter(|times| (0.001..=1_000_000.0).contains(times))
            .map(Self::Times)
            .ok_or_else(|| format!("invalid speed '{text}': expected something like 1, 2.5 or max"))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x speed"),
            Self::Max => f.write_str("full speed"),
        }
    }
}

/// A tick that is later than this was held up by a pause, not by a delay.
const LATE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{Price, Tick};

    fn recorded(timestamp_ms: u64, sent_ms: Option<u64>) -> Recorded {
        Recorded {
            tick: Tick::new("A/B", Price::parse("1").unwrap(), timestamp_ms),
            sent: sent_ms.map(|ms| ms * 1_000),
        }
    }

    /// When each tick is due, in ms since the first, if each is asked for when the last was due.
    fn schedule(times: f64, ticks: &[Recorded]) -> Vec<u128> {
        let mut pace = Pace::new(Speed::Times(times));
        let start = Instant::now();
        let mut now = start;
        let due = |tick| {
            now = now.max(pace.due(tick, now));
            (now - start).as_millis()
        };
        ticks.iter().map(due).collect()
    }

    fn sent_at(stamps_ms: &[u64]) -> Vec<Recorded> {
        let tick = |&ms| recorded(1, Some(ms));
        stamps_ms.iter().map(tick).collect()
    }

    #[test]
    fn gaps_are_kept_and_scaled_by_the_speed() {
        let ticks = sent_at(&[1_000, 1_010, 1_015, 91_000]);
        assert_eq!(schedule(1.0, &ticks), [0, 10, 15, 90_000]);
        assert_eq!(schedule(5.0, &ticks), [0, 2, 3, 18_000]);
        assert_eq!(schedule(0.5, &ticks), [0, 20, 30, 180_000]);
    }

    #[test]
    fn rounding_never_adds_up() {
        let ticks = sent_at(&(1..=30_001).collect::<Vec<_>>());
        assert_eq!(schedule(3.0, &ticks).last(), Some(&10_000));
    }

    #[test]
    fn timestamps_out_of_order_are_due_with_their_neighbours() {
        let stamps = [1_000, 1_100, 1_050, 9, 1_101, 1_200];
        let ticks = stamps.map(|ms| recorded(ms, None));
        assert_eq!(schedule(1.0, &ticks), [0, 100, 100, 100, 101, 200]);
    }

    #[test]
    fn a_recording_appended_to_another_continues_where_that_ended() {
        let ticks = sent_at(&[5_000, 5_100, 100, 150, 250]);
        assert_eq!(schedule(1.0, &ticks), [0, 100, 100, 150, 250]);
    }

    #[test]
    fn a_short_delay_is_caught_up_and_a_long_pause_shifts_the_schedule() {
        let mut pace = Pace::new(Speed::Times(1.0));
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let ticks = sent_at(&[0, 100, 200, 300, 400]);
        assert_eq!(pace.due(&ticks[0], start), start);
        assert_eq!(pace.due(&ticks[1], ms(900)), ms(100));
        assert_eq!(pace.due(&ticks[2], ms(900)), ms(200));
        assert!(pace.due(&ticks[3], ms(5_000)) < ms(5_000));
        assert_eq!(pace.due(&ticks[4], ms(5_000)), ms(5_100));
    }

    #[test]
    fn at_full_speed_every_tick_is_due_at_once() {
        let now = Instant::now();
        let mut pace = Pace::new(Speed::Max);
        for tick in sent_at(&[1, 1_000_000, 5]) {
            assert_eq!(pace.due(&tick, now), now);
        }
    }

    #[test]
    fn a_speed_is_a_factor_or_max() {
        assert_eq!(Speed::parse("1"), Ok(Speed::Times(1.0)));
        assert_eq!(Speed::parse("2.5"), Ok(Speed::Times(2.5)));
        assert_eq!(Speed::parse("max"), Ok(Speed::Max));
        for text in ["", "0", "-1", "NaN", "inf", "fast", "1x", "1e9"] {
            let error = Speed::parse(text).unwrap_err();
            let expected = format!("invalid speed '{text}': expected something like 1, 2.5 or max");
            assert_eq!(error, expected);
        }
    }
}
