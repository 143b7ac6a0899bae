//! Tornado's `PeriodicCallback`, on top of [`IoLoop::call_at`].

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::io_loop::{IoLoop, Timeout};

/// A callback that runs every `period` until it is stopped.
///
/// Calls fall on a fixed grid that starts one period after [`start`](Self::start). If the loop is
/// too late for a call, it is skipped and never caught up, so a pause is not followed by a burst.
pub struct PeriodicCallback {
    /// The next call; `None` once stopped. It is shared with the callback in the loop's timeouts,
    /// and copied in and out whole, so it needs no borrow.
    next: Rc<Cell<Option<Timeout>>>,
}

impl PeriodicCallback {
    /// Runs `callback` every `period`, starting one period from now.
    ///
    /// # Panics
    /// When the period is zero, which would keep the loop busy for ever.
    pub fn start<S>(
        io_loop: &mut IoLoop<S>,
        period: Duration,
        callback: impl FnMut(&mut S, &mut IoLoop<S>) + 'static,
    ) -> Self {
        assert!(!period.is_zero(), "a period of zero");
        let next = Rc::new(Cell::new(None));
        let first = io_loop.time() + period;
        schedule(io_loop, first, period, Rc::clone(&next), callback);
        Self { next }
    }

    /// Stops the calls. The callback may do so itself.
    pub fn stop<S>(&self, io_loop: &mut IoLoop<S>) {
        if let Some(timeout) = self.next.take() {
            io_loop.remove_timeout(timeout);
        }
    }

    /// Whether there will be another call.
    pub fn is_running(&self) -> bool {
        self.next.get().is_some()
    }
}

fn schedule<S>(
    io_loop: &mut IoLoop<S>,
    beat: Instant,
    period: Duration,
    next: Rc<Cell<Option<Timeout>>>,
    mut callback: impl FnMut(&mut S, &mut IoLoop<S>) + 'static,
) {
    let handle = Rc::clone(&next);
    let timeout = io_loop.call_at(beat, move |state, io_loop| {
        callback(state, io_loop);
        if next.get().is_some() {
            let beat = next_deadline(beat, period, io_loop.time());
            schedule(io_loop, beat, period, next, callback);
        }
    });
    handle.set(Some(timeout));
}

/// The first time after `now` on the grid of `last` and `period` (Tornado's `_update_next`).
pub fn next_deadline(last: Instant, period: Duration, now: Instant) -> Instant {
    let beats = now.saturating_duration_since(last).as_nanos() / period.as_nanos() + 1;
    // Whole seconds and the rest separately: the product in `u128` may not fit into a `Duration`.
    let ahead = period.as_nanos() * beats;
    let seconds = u64::try_from(ahead / 1_000_000_000).unwrap_or(u64::MAX);
    let nanoseconds = u32::try_from(ahead % 1_000_000_000).unwrap_or_default();
    last.checked_add(Duration::new(seconds, nanoseconds))
        .unwrap_or(now + period)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a schedule with a period of 10 s without sleeping: each callback takes the time given.
    fn beats(durations: &[u64]) -> Vec<u64> {
        let period = Duration::from_secs(10);
        let start = Instant::now();
        let mut beat = start + period;
        let mut beats = vec![10];
        for &duration in durations {
            let now = beat + Duration::from_secs(duration);
            beat = next_deadline(beat, period, now);
            beats.push((beat - start).as_secs());
        }
        beats
    }

    #[test]
    fn calls_stay_on_their_grid() {
        assert_eq!(beats(&[0, 0, 3, 9]), [10, 20, 30, 40, 50]);
    }

    #[test]
    fn missed_calls_are_skipped_not_caught_up() {
        assert_eq!(beats(&[10, 25, 0, 99]), [10, 30, 60, 70, 170]);
    }

    #[test]
    fn a_clock_that_stands_still_yields_the_next_call() {
        let last = Instant::now() + Duration::from_secs(100);
        let period = Duration::from_secs(1);
        assert_eq!(next_deadline(last, period, Instant::now()), last + period);
    }

    #[test]
    fn a_callback_may_stop_itself() {
        struct State {
            periodic: Option<PeriodicCallback>,
            beats: u32,
        }
        let mut io_loop = IoLoop::new().expect("a poll descriptor");
        let period = Duration::from_millis(1);
        let periodic =
            PeriodicCallback::start(&mut io_loop, period, |state: &mut State, io_loop| {
                state.beats += 1;
                if state.beats == 3 {
                    state.periodic.as_ref().expect("it runs").stop(io_loop);
                    io_loop.call_later(Duration::from_millis(5), |_, io_loop| io_loop.stop());
                }
            });
        assert!(periodic.is_running());
        let mut state = State {
            periodic: Some(periodic),
            beats: 0,
        };
        io_loop.start(&mut state).expect("polling works");
        assert_eq!(state.beats, 3);
        assert!(!state.periodic.expect("it was kept").is_running());
    }
}
