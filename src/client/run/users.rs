//! The users of a run. A user stays while its connections come and go.
//!
//! Requests and schedules stay due while a user has no connection, or an outage would be missing
//! from the figures: they are carried from one connection to the next, and end with the run. Only a
//! user that leaves on purpose ends them.

use std::mem;

use mio::Token;

use crate::backoff::Backoff;
use crate::client::measure::listener::{Past, Unfinished};

/// One of the configured clients.
#[derive(Debug, Default)]
pub(super) struct User {
    /// Whether it is a slow reader.
    pub(super) is_slow: bool,
    pub(super) place: Place,
    /// What it carries over from its previous connection, until the next one is open.
    pub(super) returning: Option<Box<Returning>>,
}

/// Where a user's work is due.
#[derive(Debug, Default)]
pub(super) enum Place {
    /// No work is due: the user has not joined, has left on purpose, or is a slow reader.
    #[default]
    Nowhere,
    /// On this connection, which may still be reconnecting.
    At(Token),
    /// The user has lost its connection.
    Away(Box<Unfinished>),
}

/// A user that is coming back.
#[derive(Debug)]
pub(super) struct Returning {
    /// What it has seen so far.
    pub(super) past: Past,
    /// The pauses between attempts; `None` if it left on purpose.
    pub(super) backoff: Option<Backoff>,
}

/// All users, by number. The slow readers are spread evenly over the order of opening.
#[derive(Debug)]
pub(super) struct Users {
    users: Vec<User>,
    slow: usize,
    given: usize,
    slow_given: usize,
    /// The numbers of users that were taken back.
    free: Vec<usize>,
}

impl Users {
    /// `count` users, of which `slow` are slow readers.
    pub(super) fn new(count: usize, slow: usize) -> Self {
        Self {
            users: (0..count).map(|_| User::default()).collect(),
            slow,
            given: 0,
            slow_given: 0,
            free: Vec::new(),
        }
    }

    /// The number of users.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// The number of the next user to connect.
    pub(super) fn give(&mut self) -> usize {
        let number = self.free.pop().unwrap_or(self.given);
        self.given += 1;
        let due = (self.given as u128 * self.slow as u128) / self.users.len().max(1) as u128;
        let is_slow = (self.slow_given as u128) < due;
        self.slow_given += usize::from(is_slow);
        self.users[number].is_slow = is_slow;
        number
    }

    /// Takes back a user whose connection failed to open: it is the next to connect.
    pub(super) fn take_back(&mut self, number: usize) {
        self.given -= 1;
        self.free.push(number);
        self.slow_given -= usize::from(self.users[number].is_slow);
    }

    /// The user with this number.
    pub(super) fn get(&mut self, number: usize) -> &mut User {
        &mut self.users[number]
    }

    /// What is due for users without a connection, with their numbers.
    pub(super) fn away(&mut self) -> impl Iterator<Item = (usize, &mut Unfinished)> {
        let users = self.users.iter_mut().enumerate();
        users.filter_map(|(number, user)| match &mut user.place {
            Place::Away(unfinished) => Some((number, &mut **unfinished)),
            Place::Nowhere | Place::At(_) => None,
        })
    }
}

impl User {
    /// What is due for a user that is coming back on the connection `token`.
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
    fn slow_readers_are_spread_evenly() {
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
    fn users_have_distinct_numbers_after_some_are_taken_back() {
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
    fn a_user_that_is_taken_back_is_the_next_to_connect() {
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
