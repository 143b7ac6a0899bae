//! Measures how late ticks are against their own schedule, so that a stalled server cannot hide:
//! the ticks that it did not send meanwhile are late, too, although no client ever saw them.
//!
//! A schedule is a grid of beats, one per interval, for each symbol on each connection. The phase
//! of the grid is inferred from the ticks: no tick can precede its beat, so a tick that seems early
//! moves the grid to an earlier phase. As clocks run at slightly different speeds, the grid also
//! follows the ticks at up to 0.02 %, which is too slow to follow a stall.
//!
//! Ticks take the beats one after the other, so a server that catches up after a stall shows how
//! late each of its ticks is. A server that skips the beats of a stall would seem late for ever. So
//! when the tick after a late one comes at its usual distance and not in a burst, the beats before
//! the late tick are given up: each was as late as that tick, less one interval for every beat in
//! between, which is how HdrHistogram corrects for an expected interval. Numbers missing in `seq`
//! are beats given up at once, and beats still due at the end were at least as late as they are
//! then.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::measure::latency::Latency;
use crate::client::measure::sequence::SeqEvent;

/// The settings of all schedules, and the results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cadence {
    /// The time between beats, in ns.
    #[serde(skip)]
    interval: i64,
    /// The instant that all times are counted from.
    #[serde(skip, default = "Instant::now")]
    epoch: Instant,
    /// How late ticks were.
    pub lateness: Latency,
    /// How many of those beats got no tick.
    pub skipped: u64,
    /// How far apart ticks arrived.
    pub inter_arrival: InterArrival,
}

/// One schedule. Times are in ns since the cadence's epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// The next beat, or the oldest one that has no tick yet.
    due: i64,
    /// When the newest tick arrived.
    last: i64,
}

impl Cadence {
    /// Schedules with a beat every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            // Options allow at most a century.
            interval: i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX),
            epoch: Instant::now(),
            lateness: Latency::default(),
            skipped: 0,
            inter_arrival: InterArrival::default(),
        }
    }

    /// Takes a tick of the symbol at `place`; `event` is what its number showed.
    pub(crate) fn follow(
        &mut self,
        schedules: &mut Vec<Schedule>,
        place: usize,
        step: SeqEvent,
        at: Instant,
        counts: bool,
    ) {
        let lost = match step {
            SeqEvent::Gap(lost) => lost,
            SeqEvent::First
            | SeqEvent::Next
            | SeqEvent::Conflated(_)
            | SeqEvent::Restart
            | SeqEvent::Unknown => 0,
            // This tick already had its beat, or the beat was given up.
            SeqEvent::Repeat | SeqEvent::Reordered => return,
        };
        match schedules.get_mut(place) {
            Some(schedule) if step == SeqEvent::First => *schedule = self.begin(at),
            Some(schedule) => self.tick(schedule, at, lost, counts),
            // Places are assigned in this order.
            None => schedules.push(self.begin(at)),
        }
    }

    /// Begins the schedule of a symbol whose first tick arrived at `at`.
    pub(crate) fn begin(&self, at: Instant) -> Schedule {
        let last = self.ns(at);
        Schedule {
            due: last + self.interval,
            last,
        }
    }

    /// Takes a tick that arrived at `at`, with `lost` numbers missing before it. Records how late
    /// it and they were if it `counts`.
    pub(crate) fn tick(&mut self, schedule: &mut Schedule, at: Instant, lost: u64, counts: bool) {
        let at = self.ns(at);
        let distance = at - schedule.last;
        schedule.due += distance / DRIFT;
        let given_up = if distance >= self.interval / 4 * 3 {
            self.give_up(schedule, counts)
        } else {
            0
        };
        schedule.last = at;
        let lost = i64::try_from(lost).unwrap_or(i64::MAX).min(BEATS_MAX);
        if counts {
            self.inter_arrival.note(distance, lost + 1, self.interval);
        }
        self.beats(at - schedule.due, lost, counts);
        schedule.due += lost * self.interval;
        let late = at - schedule.due;
        if counts {
            self.lateness.record(us(late));
        }
        // Right after giving up whole beats, an early tick says nothing about the phase.
        let early = if given_up > 0 { 0 } else { late.min(0) };
        schedule.due += self.interval + early;
    }

    /// Ends a schedule at `at`, when the beats still due have got no tick.
    pub(crate) fn end(&mut self, mut schedule: Schedule, at: Instant) {
        let at = self.ns(at);
        if at - schedule.last >= self.interval / 4 * 3 {
            self.give_up(&mut schedule, true);
        }
        let late = at - schedule.due;
        // A tick that is due at this very moment may still be in flight.
        let overdue = late - self.interval / 16;
        if overdue > 0 {
            self.beats(late, overdue / self.interval + 1, true);
        }
    }

    /// Gives up the beats before the newest tick, which took the oldest. Returns how many.
    fn give_up(&mut self, schedule: &mut Schedule, counts: bool) -> i64 {
        let late = schedule.last - schedule.due;
        // Even a punctual tick is not exact to the nanosecond.
        let tolerated = late + self.interval / 16;
        if tolerated < 0 {
            return 0;
        }
        let beats = tolerated / self.interval + 1;
        self.beats(late, beats, counts);
        schedule.due += beats * self.interval;
        beats
    }

    /// Records `count` beats without a tick: the first was `late`, each further one an interval
    /// less.
    fn beats(&mut self, late: i64, count: i64, counts: bool) {
        if !counts || count <= 0 {
            return;
        }
        self.skipped += count.unsigned_abs();
        // The beats of a long stall are recorded in steps: a thousandth of the stall is precise
        // enough.
        let step = (count / STEPS_MAX).max(1);
        let mut from = 0;
        while from < count {
            let beats = step.min(count - from);
            let lateness = us(late.saturating_sub(from.saturating_mul(self.interval)));
            let beats = beats.unsigned_abs();
            self.lateness.record_n(lateness, beats);
            from += step;
        }
    }

    fn ns(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.epoch).as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    }
}

impl AddAssign for Cadence {
    fn add_assign(&mut self, other: Self) {
        self.lateness += other.lateness;
        self.skipped += other.skipped;
        self.inter_arrival += other.inter_arrival;
    }
}

/// Converts a lateness from ns to µs; an early tick is on time.
fn us(late: i64) -> u64 {
    u64::try_from(late / 1000).unwrap_or_default()
}

/// The grid follows the ticks by at most one part in this many: 0.02 %.
const DRIFT: i64 = 5_000;

/// More missing numbers than this are no longer a schedule, and sums of this many do not overflow.
const BEATS_MAX: i64 = 1_000_000;

const STEPS_MAX: i64 = 1_000;

/// The distances between ticks, of all schedules together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterArrival {
    /// The sum of all distances.
    total: Duration,
    count: u64,
    /// How many distances were shorter or longer than expected by more than [`TOLERATED`].
    short: u64,
    long: u64,
}

impl InterArrival {
    /// Records that `count` ticks, including lost ones, arrived `ns` after the one before, where
    /// each was expected `expected` ns after its predecessor.
    pub(crate) fn note(&mut self, ns: i64, count: i64, expected: i64) {
        let (ns, count) = (ns.unsigned_abs(), count.unsigned_abs());
        self.total = self.total.saturating_add(Duration::from_nanos(ns));
        self.count = self.count.saturating_add(count);
        let of_expected = ns as f64 / (expected as f64 * count as f64);
        if of_expected < 1.0 - TOLERATED {
            self.short = self.short.saturating_add(count);
        } else if of_expected > 1.0 + TOLERATED {
            self.long = self.long.saturating_add(count);
        }
    }

    /// The mean in seconds; `None` without ticks.
    pub(crate) fn mean_s(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total.as_secs_f64() / self.count as f64)
    }

    /// Whether ticks keep to an interval other than `expected_s`. A single stall raises the mean,
    /// and bursts make most distances shorter, so mean and majority must be off in the same
    /// direction.
    pub(crate) fn differs(&self, expected_s: f64) -> bool {
        let of_expected = self.mean_s().unwrap_or(expected_s) / expected_s;
        let most = |count: u64| count > self.count / 2;
        let is_short = of_expected < 1.0 - TOLERATED && most(self.short);
        let is_long = of_expected > 1.0 + TOLERATED && most(self.long);
        self.count >= COUNT_MIN && (is_short || is_long)
    }
}

impl AddAssign for InterArrival {
    fn add_assign(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.count = self.count.saturating_add(other.count);
        self.short = self.short.saturating_add(other.short);
        self.long = self.long.saturating_add(other.long);
    }
}

/// By what fraction distances may differ: a schedule that is further off is wrong by a whole tick
/// after a hundred.
const TOLERATED: f64 = 0.01;

/// Fewer distances are not conclusive.
const COUNT_MIN: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL_MS: u64 = 100;

    fn cadence(epoch: Instant) -> Cadence {
        Cadence {
            epoch,
            ..Cadence::new(Duration::from_millis(INTERVAL_MS))
        }
    }

    /// Plays ticks at these times in ms, the first of which begins the schedule, and ends the
    /// schedule.
    fn play(ticks_ms: impl IntoIterator<Item = u64>, end_ms: u64) -> Cadence {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let mut grid = cadence(epoch);
        let mut ticks = ticks_ms.into_iter();
        let mut schedule = grid.begin(at(ticks.next().unwrap()));
        for ms in ticks {
            grid.tick(&mut schedule, at(ms), 0, true);
        }
        grid.end(schedule, at(end_ms));
        grid
    }

    /// The lateness of all beats in ms, in ascending order.
    fn lateness_ms(grid: &Cadence) -> Vec<u64> {
        let values = grid.lateness.iter_recorded();
        values
            .flat_map(|value| {
                let ms = (value.value_iterated_to() as f64 / 1e3).round() as u64;
                vec![ms; value.count_at_value() as usize]
            })
            .collect()
    }

    #[test]
    fn a_late_first_tick_does_not_make_the_others_early() {
        let grid = play([0, 100, 200, 300], 350);
        assert_eq!(lateness_ms(&grid), [0, 0, 0]);
        let grid = play([30, 100, 200, 300], 350);
        assert_eq!(lateness_ms(&grid), [0, 0, 0], "the first was late");
    }

    #[test]
    fn jitter_of_one_tick_does_not_delay_the_next() {
        let grid = play([0, 110, 200, 360, 400, 500], 510);
        assert_eq!(lateness_ms(&grid), [0, 0, 0, 10, 60]);
    }

    #[test]
    fn each_tick_of_a_server_that_catches_up_is_late() {
        let late = [0, 100, 650, 651, 652, 653, 654, 700, 800];
        let grid = play(late, 850);
        assert_eq!(lateness_ms(&grid), [0, 0, 0, 54, 153, 252, 351, 450]);
        assert_eq!(grid.skipped, 0);
    }

    #[test]
    fn skipped_beats_count_as_late() {
        for second in [610, 600] {
            let grid = play([0, 100, second, 700, 800, 900], 950);
            let off = second - 600;
            let stall = [off, 100 + off, 200 + off, 300 + off, 400 + off];
            // In both cases the beat at 600 takes a tick, and so does each beat after it.
            let late = lateness_ms(&grid);
            assert_eq!(late.iter().filter(|&&ms| ms > 60).count(), 4, "{late:?}");
            assert_eq!(late[late.len() - 4..], stall[1..], "{late:?}");
            assert_eq!(grid.lateness.len(), 9, "{late:?}");
        }
    }

    #[test]
    fn a_tick_due_at_the_very_end_is_not_late() {
        for (end_ms, skipped) in [(200, 0), (206, 0), (207, 1), (306, 1), (307, 2)] {
            assert_eq!(play([0, 100], end_ms).skipped, skipped, "{end_ms}");
        }
    }

    #[test]
    fn a_stall_at_the_end_is_counted() {
        let grid = play([0, 100], 450);
        assert_eq!(lateness_ms(&grid), [0, 50, 150, 250]);
        assert_eq!(grid.skipped, 3);
    }

    #[test]
    fn missing_numbers_count_as_skipped_beats() {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let mut grid = cadence(epoch);
        let mut schedule = grid.begin(at(0));
        grid.tick(&mut schedule, at(410), 3, true);
        grid.tick(&mut schedule, at(500), 0, true);
        grid.tick(&mut schedule, at(600), u64::MAX, true);
        grid.tick(&mut schedule, at(700), 0, false);
        assert_eq!(grid.skipped, 3 + BEATS_MAX as u64);
        let late = lateness_ms(&grid);
        assert_eq!(late[late.len() - 4..], [10, 110, 210, 310]);
    }

    #[test]
    fn clock_drift_is_not_lateness_but_a_slow_server_is() {
        let drifting = |per_million: u64| {
            let epoch = Instant::now();
            let interval = Duration::from_millis(INTERVAL_MS);
            let mut grid = cadence(epoch);
            let mut schedule = grid.begin(epoch);
            let step = interval + Duration::from_nanos(100 * per_million);
            for beat in 1..=600 {
                grid.tick(&mut schedule, epoch + step * beat, 0, true);
            }
            grid.lateness.max()
        };
        assert!(drifting(150) <= 20, "{}", drifting(150));
        assert!(drifting(1_150) > 50_000, "{}", drifting(1_150));
    }

    #[test]
    fn a_day_of_silence_is_counted_in_steps() {
        let day_ms = 86_400_000;
        let grid = play([0], day_ms + 50);
        assert_eq!(grid.skipped, day_ms / INTERVAL_MS);
        assert_eq!(grid.lateness.len(), grid.skipped);
    }

    proptest! {
        #[test]
        fn each_beat_is_counted_about_once_and_jitter_is_bounded(
            jitter in proptest::collection::vec(0u64..40, 3..100),
        ) {
            let ticks: Vec<_> = (0..).zip(&jitter).map(|(beat, off)| beat * 100 + off).collect();
            let grid = play(ticks.clone(), ticks[ticks.len() - 1]);
            prop_assert_eq!(grid.lateness.len(), ticks.len() as u64 - 1);
            prop_assert!(grid.lateness.max() <= 40_100, "{}", grid.lateness.max());
        }

        #[test]
        fn arbitrary_arrivals_never_panic(spacings in proptest::collection::vec(0u64..5_000, 1..100)) {
            let mut now = 0;
            let ticks: Vec<_> = spacings.iter().map(|spacing| { now += spacing; now }).collect();
            play(ticks, now + 1_000);
        }
    }

    /// Records ticks at these distances in ms, where 100 is expected; returns the mean in ms and
    /// whether it differs.
    fn mean_and_difference(apart_ms: &[i64]) -> (f64, bool) {
        let mut spacing = InterArrival::default();
        for ms in apart_ms {
            spacing.note(ms * 1_000_000, 1, 100_000_000);
        }
        let mean_ms = spacing.mean_s().unwrap() * 1e3;
        ((mean_ms * 1e6).round() / 1e6, spacing.differs(0.1))
    }

    #[test]
    fn a_different_interval_is_distinguished_from_stalls_and_bursts() {
        assert_eq!(mean_and_difference(&[100; 10]), (100.0, false));
        assert_eq!(mean_and_difference(&[102; 10]), (102.0, true));
        assert_eq!(mean_and_difference(&[25; 10]), (25.0, true));
        assert_eq!(mean_and_difference(&[25; 4]), (25.0, false), "too few");
        let stall = [100, 100, 2_100, 100, 100];
        assert_eq!(mean_and_difference(&stall), (500.0, false));
        let bursts = [1, 1, 1, 397, 1, 1, 1, 397];
        assert_eq!(mean_and_difference(&bursts), (100.0, false));
        assert_eq!(InterArrival::default().mean_s(), None);
        assert!(!InterArrival::default().differs(0.1));
    }

    #[test]
    fn lost_ticks_count_and_processes_add_up() {
        let (mut one, mut other) = (InterArrival::default(), InterArrival::default());
        one.note(500_000_000, 5, 100_000_000);
        other.note(2_500_000_000, 5, 100_000_000);
        assert!(!one.differs(0.1) && other.differs(0.1));
        one += other;
        assert_eq!(one.mean_s(), Some(0.3));
    }
}
