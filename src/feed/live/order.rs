//! An old price is never sent as new: tells answers that go back in time, as those of a cache that
//! lags behind, from those that go on. Pure.

/// The times of the prices of one symbol from one source.
#[derive(Debug, Default)]
pub(super) struct TimeOrder {
    newest_ms: u64,
    /// That was a time from the future, by our clock when it came.
    is_ahead: bool,
    /// The first of a run of times that are all older than the newest: when it came, and the time.
    back: Option<(u64, u64)>,
}

/// Which way a time leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is as new as any, or the source has no times.
    Forward,
    /// There has been a newer one.
    Back,
}

impl TimeOrder {
    /// Takes the exchange's time of a price, and when it was received by our clock.
    pub(super) fn step(&mut self, time_ms: Option<u64>, received_ms: u64) -> Step {
        let Some(time_ms) = time_ms else {
            return Step::Forward;
        };
        let is_ahead = time_ms > received_ms.saturating_add(AHEAD_MS_MAX);
        // A time from the future says that the clock there is wrong, or ours. Once theirs is put
        // right, what follows would seem old for as long; while ours is wrong, all are ahead.
        let is_put_right = self.is_ahead && !is_ahead;
        let is_back = time_ms < self.newest_ms && !is_put_right;
        if is_back && !self.was_set_back(time_ms, received_ms) {
            return Step::Back;
        }
        (self.newest_ms, self.is_ahead) = (time_ms, is_ahead);
        self.back = None;
        Step::Forward
    }

    /// A cache that lags behind catches up sooner or later, or stands still. A clock that was set
    /// back goes on from there, and nothing newer comes in between.
    fn was_set_back(&mut self, time_ms: u64, received_ms: u64) -> bool {
        let &mut (since_ms, first_ms) = self.back.get_or_insert((received_ms, time_ms));
        let is_long = received_ms.saturating_sub(since_ms) >= SET_BACK_AFTER_MS;
        is_long && time_ms.saturating_sub(first_ms) >= SET_BACK_AFTER_MS / 2
    }
}

/// How far an exchange's clock may be before ours and still be taken for right.
const AHEAD_MS_MAX: u64 = 5_000;

/// How long times must have gone on from an earlier one to be believed.
const SET_BACK_AFTER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_732_270_000_000;

    fn steps(times: &[(u64, u64)]) -> Vec<Step> {
        let mut order = TimeOrder::default();
        let times = times.iter();
        times
            .map(|(time, received)| order.step(Some(START + time), START + received))
            .collect()
    }

    #[test]
    fn an_older_time_is_a_step_back_the_same_is_not() {
        use Step::{Back, Forward};
        let times = [(500, 600), (500, 700), (400, 800), (501, 900)];
        assert_eq!(steps(&times), [Forward, Forward, Back, Forward]);
    }

    #[test]
    fn without_times_everything_goes_on() {
        let mut order = TimeOrder::default();
        order.step(Some(START), START);
        assert_eq!(order.step(None, START - 1), Step::Forward);
    }

    #[test]
    fn a_clock_that_was_ahead_and_is_put_right_costs_nothing() {
        let hour = 3_600_000;
        let times = [(hour, 0), (hour + 250, 250), (450, 500)];
        assert_eq!(steps(&times), [Step::Forward; 3]);
    }

    #[test]
    fn an_older_time_is_a_step_back_also_when_our_own_clock_is_slow() {
        use Step::{Back, Forward};
        let hour = 3_600_000;
        let times = [(hour + 500, 600), (hour + 400, 700), (hour + 501, 800)];
        assert_eq!(steps(&times), [Forward, Back, Forward]);
    }

    #[test]
    fn nor_does_it_if_more_was_under_way_when_it_was_received() {
        let hour = 3_600_000;
        let times = [(0, 300), (hour + 20, 300), (40, 301), (60, 301)];
        assert_eq!(steps(&times), [Step::Forward; 4]);
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed_after_a_while() {
        let mut order = TimeOrder::default();
        order.step(Some(START + 1_000_000), START + 1_000_000);
        let mut step = |second: u64| {
            let behind = START + second * 1_000;
            order.step(Some(behind), behind + 1_000_000)
        };
        assert!((1..=60).all(|second| step(second) == Step::Back));
        assert!((61..100).all(|second| step(second) == Step::Forward));
    }

    #[test]
    fn a_cache_that_stands_still_is_never_believed() {
        let mut order = TimeOrder::default();
        order.step(Some(START + 1_000), START + 1_000);
        let late = (1..1_000).map(|second| START + second * 1_000);
        assert!(
            late.into_iter()
                .all(|now| order.step(Some(START), now) == Step::Back)
        );
    }
}
