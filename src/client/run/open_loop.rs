//! When requests are due, and when connections are replaced: on fixed grids, however long earlier
//! ones took.

use std::time::{Duration, Instant};

/// When requests are due: one after the other at a constant rate, the users in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenLoop {
    began: Instant,
    per_second: f64,
    /// How many users there are.
    users: u64,
    /// The number of the next request, counted over all users.
    next: u64,
}

impl OpenLoop {
    /// A schedule of `rate` requests per second and user.
    pub(super) fn new(began: Instant, rate: f64, users: usize) -> Self {
        Self {
            began,
            per_second: rate * users as f64,
            users: users as u64,
            next: 0,
        }
    }

    /// When the request `round` of the user `user` is due.
    pub(super) fn due(&self, user: usize, round: u64) -> Instant {
        self.instant(round * self.users + user as u64 % self.users)
    }

    /// When the next request is due.
    pub(super) fn next_due(&self) -> Instant {
        self.instant(self.next)
    }

    /// Takes the next request if it is due by `now`, as user and round.
    pub(super) fn take(&mut self, now: Instant) -> Option<(usize, u64)> {
        if self.next_due() > now {
            return None;
        }
        let (round, user) = (self.next / self.users, self.next % self.users);
        self.next += 1;
        // The user is an index into a list.
        Some((user as usize, round))
    }

    /// The last round of the user `user` that is due by `now`, if there is one.
    pub(super) fn last_round(&self, user: usize, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.began).as_secs_f64();
        let due = (since * self.per_second) as u64;
        let user = user as u64 % self.users;
        due.checked_sub(user).map(|due| due / self.users)
    }

    fn instant(&self, number: u64) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 / self.per_second)
    }
}

/// When connections are closed and opened again: at a constant rate, on a fixed grid.
#[derive(Debug)]
pub(super) struct Churn {
    began: Instant,
    per_second: f64,
    pub(super) done: u64,
    /// The slot of the connection to look at next.
    pub(super) slot: usize,
}

impl Churn {
    /// A schedule that begins now.
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            began: Instant::now(),
            per_second,
            done: 0,
            slot: 0,
        }
    }

    /// When to replace the next connection.
    pub(super) fn due(&self) -> Instant {
        self.began + Duration::from_secs_f64(self.done as f64 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_at_a_constant_rate() {
        let began = Instant::now();
        let mut open_loop = OpenLoop::new(began, 5.0, 2);
        let now = began + Duration::from_millis(250);
        let taken: Vec<_> = std::iter::from_fn(|| open_loop.take(now)).collect();
        assert_eq!(taken, [(0, 0), (1, 0), (0, 1)]);
        assert_eq!(open_loop.next_due() - began, Duration::from_millis(300));
        for (user, round, ms) in [
            (0, 0, 0),
            (1, 0, 100),
            (0, 1, 200),
            (1, 9, 1_900),
            (3, 0, 100),
        ] {
            assert_eq!(
                open_loop.due(user, round) - began,
                Duration::from_millis(ms)
            );
        }
    }

    #[test]
    fn due_rounds_are_computed_directly() {
        let began = Instant::now();
        let open_loop = OpenLoop::new(began, 5.0, 2);
        let last = |user, ms| open_loop.last_round(user, began + Duration::from_millis(ms));
        assert_eq!(
            (last(0, 0), last(1, 0), last(1, 101)),
            (Some(0), None, Some(0))
        );
        assert_eq!(
            (last(0, 250), last(1, 250), last(1, 301)),
            (Some(1), Some(0), Some(1))
        );
        assert_eq!(last(3, 86_400_050), Some(431_999));
    }
}
