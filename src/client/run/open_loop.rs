//! When requests are due.

use std::time::{Duration, Instant};

/// When requests are due: one after the other at a constant rate, the clients in turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Timetable {
    began: Instant,
    per_second: f64,
    /// How many clients there are places for.
    places: u64,
    /// The number of the next request, counted over all clients.
    next: u64,
}

impl Timetable {
    /// Requests at `rate` per second and client, for so many clients.
    pub(in crate::client) fn new(began: Instant, rate: f64, places: usize) -> Self {
        Self {
            began,
            per_second: rate * places as f64,
            places: places as u64,
            next: 0,
        }
    }

    /// When the request `round` of the client at `place` is due.
    pub(in crate::client) fn due(&self, place: usize, round: u64) -> Instant {
        self.instant(round * self.places + place as u64 % self.places)
    }

    /// When the next request is due.
    pub(in crate::client) fn next_due(&self) -> Instant {
        self.instant(self.next)
    }

    /// Takes the next request, if it is due by `now`: its place and round.
    pub(in crate::client) fn take(&mut self, now: Instant) -> Option<(usize, u64)> {
        if self.next_due() > now {
            return None;
        }
        let (round, place) = (self.next / self.places, self.next % self.places);
        self.next += 1;
        // A place is an index of a list.
        Some((place as usize, round))
    }

    /// The last round of the client at `place` that is due by `now`, if there is one.
    pub(in crate::client) fn last_round(&self, place: usize, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.began).as_secs_f64();
        let due = (since * self.per_second) as u64;
        let place = place as u64 % self.places;
        due.checked_sub(place).map(|due| due / self.places)
    }

    fn instant(&self, number: u64) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 / self.per_second)
    }
}
