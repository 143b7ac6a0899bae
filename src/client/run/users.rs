//! The users of a run's connections: a user stays while its connections come and go.
//!
//! What is due at a user stays due while it has no connection, or an outage would leave itself out
//! of the figures: requests and schedules are carried from one connection to the next, and end with
//! the run. Only a user that leaves on purpose ends them.

use std::mem;

use mio::Token;

use crate::backoff::Backoff;
use crate::client::measure::listener::{Past, Unfinished};

/// One of the clients that were asked for.
#[derive(Debug, Default)]
pub(super) struct User {
    /// Whether it hardly reads.
    pub(super) is_slow: bool,
    pub(super) place: Place,
    /// What it brings from its connection before, while it has none that is open.
    pub(super) returning: Option<Box<Returning>>,
}

/// Where a user is.
#[derive(Debug, Default)]
pub(super) enum Place {
    /// Nothing is due there: it has not joined, has left on purpose, or hardly reads.
    #[default]
    Nowhere,
    /// On this connection, or on its way back by it.
    At(Token),
    /// It has lost its connection.
    Away(Box<Unfinished>),
}

/// A user on its way back.
#[derive(Debug)]
pub(super) struct Returning {
    /// What it has seen so far.
    pub(super) past: Past,
    /// The pauses between attempts; none if it left on purpose.
    pub(super) backoff: Option<Backoff>,
}

/// All users, by number. The slow ones are evenly spread among those that are opened one after the
/// other.
#[derive(Debug)]
pub(super) struct Users {
    users: Vec<User>,
    slow: usize,
    given: usize,
    slow_given: usize,
    /// The numbers of those given back.
    free: Vec<usize>,
}

impl Users {
    /// `count` users, of which `slow` hardly read.
    pub(super) fn new(count: usize, slow: usize) -> Self {
        Self {
            users: (0..count).map(|_| User::default()).collect(),
            slow,
            given: 0,
            slow_given: 0,
            free: Vec::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// The number of the next one to be connected.
    pub(super) fn give(&mut self) -> usize {
        let number = self.free.pop().unwrap_or(self.given);
        self.given += 1;
        let due = (self.given as u128 * self.slow as u128) / self.users.len().max(1) as u128;
        let is_slow = (self.slow_given as u128) < due;
        self.slow_given += usize::from(is_slow);
        self.users[number].is_slow = is_slow;
        number
    }

    /// Takes back one that was given in vain: the next one takes its place.
    pub(super) fn take_back(&mut self, number: usize) {
        self.given -= 1;
        self.free.push(number);
        self.slow_given -= usize::from(self.users[number].is_slow);
    }

    /// The user of this number.
    pub(super) fn get(&mut self, number: usize) -> &mut User {
        &mut self.users[number]
    }

    /// What is due at users without a connection, by their numbers.
    pub(super) fn away(&mut self) -> impl Iterator<Item = (usize, &mut Unfinished)> {
        let users = self.users.iter_mut().enumerate();
        users.filter_map(|(number, user)| match &mut user.place {
            Place::Away(unfinished) => Some((number, &mut **unfinished)),
            Place::Nowhere | Place::At(_) => None,
        })
    }
}

impl User {
    /// What is due at a user that is on its way back by the connection `token`.
    pub(super) fn take_unfinished(&mut self, token: Token) -> Option<Unfinished> {
        if let Place::Away(_) = self.place
            && let Place::Away(unfinished) = mem::replace(&mut self.place, Place::At(token))
        {
            return Some(*unfinished);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(users: &mut Users) -> bool {
        let number = users.give();
        users.get(number).is_slow
    }

    #[test]
    fn exactly_as_many_are_slow_as_asked_for_and_not_all_in_a_row() {
        for (count, slow) in [(10, 0), (10, 3), (1000, 999), (7, 7), (3, 1)] {
            let mut users = Users::new(count, slow);
            let given = (0..count).filter(|_| give(&mut users));
            assert_eq!(given.count(), slow);
        }
        let mut users = Users::new(4, 2);
        let given: Vec<_> = (0..4).map(|_| give(&mut users)).collect();
        assert_eq!(given, [false, true, false, true]);
    }

    #[test]
    fn each_user_has_a_number_of_its_own_whoever_was_taken_back() {
        let mut users = Users::new(6, 2);
        let mut given: Vec<_> = (0..4).map(|_| users.give()).collect();
        for index in [1, 0] {
            users.take_back(given.remove(index));
        }
        given.extend((0..4).map(|_| users.give()));
        given.sort_unstable();
        assert_eq!(given, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_user_that_was_taken_back_changes_nothing() {
        let mut users = Users::new(6, 2);
        let mut slow = 0;
        for turn in 0..6 {
            let lost = users.give();
            users.take_back(lost);
            slow += usize::from(give(&mut users));
            assert!(turn < 5 || slow == 2, "{slow}");
        }
    }
}
