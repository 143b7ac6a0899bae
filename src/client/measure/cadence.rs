//! How late ticks were against their own schedule, so that a server that stalls cannot hide: the
//! ticks that it did not send meanwhile are late, too, although nobody has ever seen them.
//!
//! A schedule is a grid of beats, one every [`Grid::interval`], for each symbol on each connection.
//! Its phase is not known, so it is taken from the ticks: none may come before its beat, so the one
//! that seems to moves the grid to an earlier phase. As clocks run at slightly different speeds,
//! the grid also follows at up to 0.02 %, too slowly to follow a stall.
//!
//! Ticks take the beats one after the other, so a server that catches up after a stall shows how
//! late each of its ticks is. A server that skips the beats of a stall would seem late for ever;
//! so when the tick behind a late one comes at its usual distance and not in a burst, the beats
//! before the late one are given up: each was as late as that one, less one interval for every beat
//! in between, which is how HdrHistogram corrects for an expected interval. Numbers missing in
//! `seq` are beats given up at once, and those that are due at the end were at least so late.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::client::measure::inter_arrival::Spacing;
use crate::client::measure::sequence::Step;

/// The settings of all schedules, and what was found.
#[derive(Debug)]
pub(in crate::client) struct Grid {
    /// From beat to beat, in ns.
    interval: i64,
    /// What all instants are counted from.
    epoch: Instant,
    /// How late ticks were, in µs.
    pub(in crate::client) lateness_us: Histogram<u64>,
    /// The beats without a tick among those.
    pub(in crate::client) skipped: u64,
    /// How far apart ticks were.
    pub(in crate::client) spacing: Spacing,
}

/// One schedule. Instants are in ns since the grid's epoch.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Schedule {
    /// The coming beat, or the oldest that still has no tick.
    due: i64,
    /// When the newest tick came.
    last: i64,
}

impl Grid {
    /// A grid with a beat every `interval_ns`.
    pub(in crate::client) fn new(
        interval_ns: i64,
        epoch: Instant,
        lateness_us: Histogram<u64>,
    ) -> Self {
        Self {
            interval: interval_ns,
            epoch,
            lateness_us,
            skipped: 0,
            spacing: Spacing::default(),
        }
    }

    /// Takes a tick of the symbol at `place`, which its number says that of.
    pub(in crate::client) fn follow(
        &mut self,
        schedules: &mut Vec<Schedule>,
        place: usize,
        step: Step,
        at: Instant,
        counts: bool,
    ) {
        let lost = match step {
            Step::Gap(lost) => lost,
            Step::First | Step::Next | Step::Conflated(_) | Step::Restart | Step::Unknown => 0,
            // It has had its beat, or was given up.
            Step::Repeat | Step::Reordered => return,
        };
        match schedules.get_mut(place) {
            Some(schedule) if step == Step::First => *schedule = self.begin(at),
            Some(schedule) => self.tick(schedule, at, lost, counts),
            // Places are given out in this order.
            None => schedules.push(self.begin(at)),
        }
    }

    /// The schedule of a symbol whose first tick came at `at`.
    pub(in crate::client) fn begin(&self, at: Instant) -> Schedule {
        let last = self.ns(at);
        Schedule {
            due: last + self.interval,
            last,
        }
    }

    /// Takes a tick that came at `at`, before which the numbers of `lost` are missing. Counts how
    /// late it and they were if it `counts`.
    pub(in crate::client) fn tick(
        &mut self,
        schedule: &mut Schedule,
        at: Instant,
        lost: u64,
        counts: bool,
    ) {
        let at = self.ns(at);
        let spacing = at - schedule.last;
        schedule.due += spacing / DRIFT;
        let given_up = match spacing >= self.interval / 4 * 3 {
            true => self.give_up(schedule, counts),
            false => 0,
        };
        schedule.last = at;
        let lost = i64::try_from(lost).unwrap_or(i64::MAX).min(BEATS_MAX);
        if counts {
            self.spacing.note(spacing, lost + 1, self.interval);
        }
        self.beats(at - schedule.due, lost, counts);
        schedule.due += lost * self.interval;
        let late = at - schedule.due;
        if counts {
            self.lateness_us.saturating_record(us(late));
        }
        // Where whole beats have just been given up, too early is no news about the phase.
        let early = if given_up > 0 { 0 } else { late.min(0) };
        schedule.due += self.interval + early;
    }

    /// Ends a schedule at `at`: what is due has not come.
    pub(in crate::client) fn end(&mut self, mut schedule: Schedule, at: Instant) {
        let at = self.ns(at);
        if at - schedule.last >= self.interval / 4 * 3 {
            self.give_up(&mut schedule, true);
        }
        let late = at - schedule.due;
        // What is due at this very moment may be on its way.
        let overdue = late - self.interval / 16;
        if overdue > 0 {
            self.beats(late, overdue / self.interval + 1, true);
        }
    }

    /// Gives up the beats before the newest tick, which took the oldest. Returns how many.
    fn give_up(&mut self, schedule: &mut Schedule, counts: bool) -> i64 {
        let late = schedule.last - schedule.due;
        // A tick on a beat is not to the nanosecond on it.
        let tolerated = late + self.interval / 16;
        if tolerated < 0 {
            return 0;
        }
        let beats = tolerated / self.interval + 1;
        self.beats(late, beats, counts);
        schedule.due += beats * self.interval;
        beats
    }

    /// Counts `count` beats without a tick: the first was `late`, each other one interval less.
    fn beats(&mut self, late: i64, count: i64, counts: bool) {
        if !counts || count <= 0 {
            return;
        }
        self.skipped += count.unsigned_abs();
        // A stall of many beats need not be counted one by one: a thousandth of it is precise.
        let step = (count / STEPS_MAX).max(1);
        let mut from = 0;
        while from < count {
            let beats = step.min(count - from);
            let lateness = us(late.saturating_sub(from.saturating_mul(self.interval)));
            let beats = beats.unsigned_abs();
            // It only fails for values out of bounds, and those are brought into them.
            let _ = self
                .lateness_us
                .record_n(lateness.min(self.lateness_us.high()), beats);
            from += step;
        }
    }

    fn ns(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.epoch).as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    }
}

/// Nanoseconds late, in µs; early is on time.
fn us(late: i64) -> u64 {
    u64::try_from(late / 1000).unwrap_or_default()
}

/// The grid follows one part in so many of the time that passes: 0.02 %.
const DRIFT: i64 = 5_000;

/// Numbers missing at once beyond this are no schedule any more; and sums of them still fit.
const BEATS_MAX: i64 = 1_000_000;

const STEPS_MAX: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const INTERVAL_MS: u64 = 100;

    fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 60_000_000, 3).unwrap()
    }

    /// Plays ticks at these ms, the first of which begins the schedule, and ends it.
    fn play(ticks_ms: impl IntoIterator<Item = u64>, end_ms: u64) -> Grid {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let mut grid = Grid::new(INTERVAL_MS as i64 * 1_000_000, epoch, histogram());
        let mut ticks = ticks_ms.into_iter();
        let mut schedule = grid.begin(at(ticks.next().unwrap()));
        for ms in ticks {
            grid.tick(&mut schedule, at(ms), 0, true);
        }
        grid.end(schedule, at(end_ms));
        grid
    }

    /// The lateness of all beats, to the ms, in ascending order.
    fn lateness_ms(grid: &Grid) -> Vec<u64> {
        let values = grid.lateness_us.iter_recorded();
        values
            .flat_map(|value| {
                let ms = (value.value_iterated_to() as f64 / 1e3).round() as u64;
                vec![ms; value.count_at_value() as usize]
            })
            .collect()
    }

    #[test]
    fn ticks_on_their_beats_are_on_time_whatever_the_first_one_was() {
        let grid = play([0, 100, 200, 300], 350);
        assert_eq!(lateness_ms(&grid), [0, 0, 0]);
        let grid = play([30, 100, 200, 300], 350);
        assert_eq!(lateness_ms(&grid), [0, 0, 0], "the first was late");
    }

    #[test]
    fn jitter_is_not_passed_on() {
        let grid = play([0, 110, 200, 360, 400, 500], 510);
        assert_eq!(lateness_ms(&grid), [0, 0, 0, 10, 60]);
    }

    #[test]
    fn a_server_that_catches_up_was_late_with_each_tick() {
        let late = [0, 100, 650, 651, 652, 653, 654, 700, 800];
        let grid = play(late, 850);
        assert_eq!(lateness_ms(&grid), [0, 0, 0, 54, 153, 252, 351, 450]);
        assert_eq!(grid.skipped, 0);
    }

    #[test]
    fn a_server_that_skips_was_late_with_what_never_came() {
        for second in [610, 600] {
            let grid = play([0, 100, second, 700, 800, 900], 950);
            let off = second - 600;
            let stall = [off, 100 + off, 200 + off, 300 + off, 400 + off];
            // The beat at 600 takes a tick in both cases, and so does each after it.
            let late = lateness_ms(&grid);
            assert_eq!(late.iter().filter(|&&ms| ms > 60).count(), 4, "{late:?}");
            assert_eq!(late[late.len() - 4..], stall[1..], "{late:?}");
            assert_eq!(grid.lateness_us.len(), 9, "{late:?}");
        }
    }

    #[test]
    fn what_is_due_at_the_end_may_be_on_its_way() {
        for (end_ms, skipped) in [(200, 0), (206, 0), (207, 1), (306, 1), (307, 2)] {
            assert_eq!(play([0, 100], end_ms).skipped, skipped, "{end_ms}");
        }
    }

    #[test]
    fn a_stall_until_the_end_shows() {
        let grid = play([0, 100], 450);
        assert_eq!(lateness_ms(&grid), [0, 50, 150, 250]);
        assert_eq!(grid.skipped, 3);
    }

    #[test]
    fn lost_numbers_are_beats_that_never_came() {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let mut grid = Grid::new(INTERVAL_MS as i64 * 1_000_000, epoch, histogram());
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
    fn clocks_of_different_speed_are_no_lateness_and_a_slow_server_is() {
        let drifting = |per_million: u64| {
            let epoch = Instant::now();
            let interval = Duration::from_millis(INTERVAL_MS);
            let mut grid = Grid::new(INTERVAL_MS as i64 * 1_000_000, epoch, histogram());
            let mut schedule = grid.begin(epoch);
            let step = interval + Duration::from_nanos(100 * per_million);
            for beat in 1..=600 {
                grid.tick(&mut schedule, epoch + step * beat, 0, true);
            }
            grid.lateness_us.max()
        };
        assert!(drifting(150) <= 20, "{}", drifting(150));
        assert!(drifting(1_150) > 50_000, "{}", drifting(1_150));
    }

    #[test]
    fn a_day_of_silence_is_counted_in_steps() {
        let day_ms = 86_400_000;
        let grid = play([0], day_ms + 50);
        assert_eq!(grid.skipped, day_ms / INTERVAL_MS);
        assert_eq!(grid.lateness_us.len(), grid.skipped);
    }

    proptest! {
        #[test]
        fn each_beat_is_counted_about_once_and_jitter_is_bounded(
            jitter in proptest::collection::vec(0u64..40, 3..100),
        ) {
            let ticks: Vec<_> = (0..).zip(&jitter).map(|(beat, off)| beat * 100 + off).collect();
            let grid = play(ticks.clone(), ticks[ticks.len() - 1]);
            prop_assert_eq!(grid.lateness_us.len(), ticks.len() as u64 - 1);
            prop_assert!(grid.lateness_us.max() <= 40_100, "{}", grid.lateness_us.max());
        }

        #[test]
        fn no_arrivals_break_it(spacings in proptest::collection::vec(0u64..5_000, 1..100)) {
            let mut now = 0;
            let ticks: Vec<_> = spacings.iter().map(|spacing| { now += spacing; now }).collect();
            play(ticks, now + 1_000);
        }
    }
}
