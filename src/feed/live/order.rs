//! Detects answers that go back in time, as a lagging cache gives them, so an old price is never
//! sent as new. Pure.

/// The times of the prices of one symbol from one source.
#[derive(Debug, Default)]
pub(super) struct TimeOrder {
    newest_ms: u64,
    /// The clock that this time is of; `None` before the first.
    clock: Option<u8>,
    /// Whether the newest time was in the future by our clock when it arrived.
    is_ahead: bool,
    /// The first of a run of times that are all older than the newest: its arrival, and the time
    /// itself.
    back: Option<(u64, u64)>,
}

/// The direction from the newest time to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// None before was newer, or the source sends no times.
    Forward,
    /// One before was newer.
    Back,
}

impl TimeOrder {
    /// Takes the exchange's time of a price, by which of its clocks, and the time of its receipt by
    /// our clock.
    ///
    /// Only the times of one clock are compared, the most usual one of those seen (see
    /// [`Quote::clock`](exchanges::Quote::clock)). An answer whose time is that of the answer
    /// rather than of the trade would make all trades that follow it seem old.
    pub(super) fn step(&mut self, time_ms: Option<u64>, clock: u8, received_ms: u64) -> Step {
        let Some(time_ms) = time_ms else {
            return Step::Forward;
        };
        match self.clock {
            Some(known) if clock > known => return Step::Forward,
            Some(known) if clock == known => {}
            _ => {
                *self = Self {
                    clock: Some(clock),
                    ..Self::default()
                };
            }
        }
        let is_ahead = time_ms > received_ms.saturating_add(AHEAD_MS_MAX);
        // A time from the future means that their clock or ours is wrong. After theirs is
        // corrected, its times would seem old for as long as it was ahead; while ours is wrong, all
        // times are ahead.
        let is_corrected = self.is_ahead && !is_ahead;
        let is_back = time_ms < self.newest_ms && !is_corrected;
        if is_back && !self.was_set_back(time_ms, received_ms) {
            return Step::Back;
        }
        (self.newest_ms, self.is_ahead) = (time_ms, is_ahead);
        self.back = None;
        Step::Forward
    }

    /// How long only older times have come, by our clock.
    pub(super) fn back_ms(&self, received_ms: u64) -> u64 {
        let since = self.back.map(|(since_ms, _)| since_ms);
        since.map_or(0, |since_ms| received_ms.saturating_sub(since_ms))
    }

    /// Tells a clock that was set back from a lagging cache: the clock advances from its new time
    /// and nothing newer arrives in between, while a cache catches up sooner or later, or stands
    /// still.
    fn was_set_back(&mut self, time_ms: u64, received_ms: u64) -> bool {
        let &mut (since_ms, first_ms) = self.back.get_or_insert((received_ms, time_ms));
        let is_long = received_ms.saturating_sub(since_ms) >= SET_BACK_AFTER_MS;
        is_long && time_ms.saturating_sub(first_ms) >= SET_BACK_AFTER_MS / 2
    }
}

/// How far an exchange's clock may be ahead of ours and still count as right.
const AHEAD_MS_MAX: u64 = 5_000;

/// How long times must have advanced from an earlier one before they are believed.
const SET_BACK_AFTER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_732_270_000_000;

    fn steps(times: &[(u64, u64)]) -> Vec<Step> {
        let mut order = TimeOrder::default();
        let times = times.iter();
        times
            .map(|(time, received)| order.step(Some(START + time), 0, START + received))
            .collect()
    }

    #[test]
    fn an_older_time_is_a_step_back_and_a_repeated_one_is_not() {
        use Step::{Back, Forward};
        let times = [(500, 600), (500, 700), (400, 800), (501, 900)];
        assert_eq!(steps(&times), [Forward, Forward, Back, Forward]);
    }

    #[test]
    fn a_price_without_a_time_is_never_a_step_back() {
        let mut order = TimeOrder::default();
        order.step(Some(START), 0, START);
        assert_eq!(order.step(None, 0, START - 1), Step::Forward);
    }

    #[test]
    fn a_time_of_another_clock_does_not_make_later_trades_old() {
        use Step::{Back, Forward};
        let mut order = TimeOrder::default();
        let mut step = |ms, clock| order.step(Some(START + ms), clock, START + 120_000);
        assert_eq!(step(1_000, 0), Forward);
        assert_eq!(step(100_000, 1), Forward, "the time of an answer");
        assert_eq!(step(1_100, 0), Forward, "the next trade");
        assert_eq!(step(1_050, 0), Back);
    }

    #[test]
    fn the_usual_clock_replaces_one_that_was_seen_first() {
        use Step::{Back, Forward};
        let mut order = TimeOrder::default();
        let mut step = |ms, clock| order.step(Some(START + ms), clock, START + 120_000);
        assert_eq!(step(100_000, 1), Forward);
        assert_eq!(step(99_000, 1), Back);
        assert_eq!(step(1_000, 0), Forward);
        assert_eq!(step(900, 0), Back);
        assert_eq!(step(99_000, 1), Forward, "it is compared with nothing now");
    }

    #[test]
    fn prices_continue_when_a_clock_that_was_ahead_is_corrected() {
        let hour = 3_600_000;
        let times = [(hour, 0), (hour + 250, 250), (450, 500)];
        assert_eq!(steps(&times), [Step::Forward; 3]);
    }

    #[test]
    fn an_older_time_is_a_step_back_even_if_our_own_clock_is_slow() {
        use Step::{Back, Forward};
        let hour = 3_600_000;
        let times = [(hour + 500, 600), (hour + 400, 700), (hour + 501, 800)];
        assert_eq!(steps(&times), [Forward, Back, Forward]);
    }

    #[test]
    fn prices_under_way_when_a_clock_is_corrected_are_kept() {
        let hour = 3_600_000;
        let times = [(0, 300), (hour + 20, 300), (40, 301), (60, 301)];
        assert_eq!(steps(&times), [Step::Forward; 4]);
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed_after_a_minute() {
        let mut order = TimeOrder::default();
        order.step(Some(START + 1_000_000), 0, START + 1_000_000);
        let mut step = |second: u64| {
            let behind = START + second * 1_000;
            order.step(Some(behind), 0, behind + 1_000_000)
        };
        assert!((1..=60).all(|second| step(second) == Step::Back));
        assert!((61..100).all(|second| step(second) == Step::Forward));
    }

    #[test]
    fn a_cache_that_stands_still_is_never_believed() {
        let mut order = TimeOrder::default();
        order.step(Some(START + 1_000), 0, START + 1_000);
        let late = (1..1_000).map(|second| START + second * 1_000);
        assert!(
            late.into_iter()
                .all(|now| order.step(Some(START), 0, now) == Step::Back)
        );
    }
}
