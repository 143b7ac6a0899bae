//! A client as its user sees it: it stays while its connections come and go.

use std::time::Instant;

use crate::client::measure::sequence::Sequences;
use crate::feed::Backoff;

/// One of the clients that were asked for.
#[derive(Debug, Default)]
pub(in crate::client) struct Seat {
    /// Which of them, from 0 on.
    pub(in crate::client) number: usize,
    /// Whether it hardly reads.
    pub(in crate::client) slow: bool,
    /// What it brings from its connection before, while it has none that is open.
    pub(in crate::client) way_back: Option<Box<WayBack>>,
}

/// What a client knows of the connection that it had.
#[derive(Debug)]
pub(in crate::client) struct WayBack {
    /// When that ended.
    pub(in crate::client) left: Instant,
    /// The pauses between attempts; none if it left of its own accord.
    pub(in crate::client) backoff: Option<Backoff>,
    /// The last tick's stamp, to go on from.
    pub(in crate::client) since: Option<u64>,
    /// The last tick's number of each symbol.
    pub(in crate::client) sequences: Sequences,
}

/// Which of the clients are slow: evenly spread among those that are opened one after the other.
#[derive(Debug)]
pub(in crate::client) struct Seats {
    clients: usize,
    slow: usize,
    given: usize,
    slow_given: usize,
    /// The numbers of those given back.
    free: Vec<usize>,
}

impl Seats {
    /// `slow` of `clients`.
    pub(in crate::client) fn new(clients: usize, slow: usize) -> Self {
        Self {
            clients,
            slow,
            given: 0,
            slow_given: 0,
            free: Vec::new(),
        }
    }

    /// The next one.
    pub(in crate::client) fn give(&mut self) -> Seat {
        let number = self.free.pop().unwrap_or(self.given);
        self.given += 1;
        let due = (self.given as u128 * self.slow as u128) / self.clients.max(1) as u128;
        let slow = (self.slow_given as u128) < due;
        self.slow_given += usize::from(slow);
        Seat {
            number,
            slow,
            way_back: None,
        }
    }

    /// One that was given in vain: the next one takes its place.
    pub(in crate::client) fn take_back(&mut self, seat: &Seat) {
        self.given -= 1;
        self.free.push(seat.number);
        self.slow_given -= usize::from(seat.slow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_as_many_are_slow_as_asked_for_and_not_all_in_a_row() {
        for (clients, slow) in [(10, 0), (10, 3), (1000, 999), (7, 7), (3, 1)] {
            let mut seats = Seats::new(clients, slow);
            let given: Vec<_> = (0..clients).map(|_| seats.give().slow).collect();
            assert_eq!(given.iter().filter(|slow| **slow).count(), slow);
        }
        let mut seats = Seats::new(4, 2);
        let given: Vec<_> = (0..4).map(|_| seats.give().slow).collect();
        assert_eq!(given, [false, true, false, true]);
    }

    #[test]
    fn each_client_has_a_number_of_its_own_whoever_was_given_back() {
        let mut seats = Seats::new(6, 2);
        let mut given: Vec<_> = (0..4).map(|_| seats.give()).collect();
        for index in [1, 0] {
            seats.take_back(&given.remove(index));
        }
        given.extend((0..4).map(|_| seats.give()));
        let mut numbers: Vec<_> = given.iter().map(|seat| seat.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_seat_that_was_given_back_changes_nothing() {
        let mut seats = Seats::new(6, 2);
        let mut slow = 0;
        for turn in 0..6 {
            let lost = seats.give();
            seats.take_back(&lost);
            slow += usize::from(seats.give().slow);
            assert!(turn < 5 || slow == 2, "{slow}");
        }
    }
}
