//! What is due at a client stays due while it has no connection, or an outage would leave itself
//! out of the figures: each client's requests and schedules are carried from one connection to the
//! next, and end with the run. Only a client that leaves on purpose ends them.

use std::mem;
use std::time::Instant;

use ioloop::slot;
use mio::Token;

use crate::client::measure::cadence::Schedule;
use crate::client::measure::requests::Asking;
use crate::client::run::Client;

/// Where a client is, by its number.
#[derive(Debug, Default)]
pub(in crate::client) enum Place {
    /// Nothing is due there: it has not joined, has left on purpose, or hardly reads.
    #[default]
    Nowhere,
    /// On this connection, or on its way back by it.
    At(Token),
    /// It has lost its connection.
    Away(Box<Away>),
}

/// What was due on a connection that was lost.
#[derive(Debug, Default)]
pub(in crate::client) struct Away {
    /// Its requests, from the first one on.
    pub(in crate::client) asking: Option<Box<Asking>>,
    /// The schedules of its symbols, by their numbers.
    pub(in crate::client) schedules: Vec<(u32, Schedule)>,
}

impl Client {
    /// Gives a client that is on its way back what was due meanwhile.
    pub(in crate::client) fn bring_along(&mut self, number: usize, token: Token) {
        let Some(Some(connection)) = self.connections.get_mut(slot(token)) else {
            return;
        };
        if let Some(place @ Place::Away(_)) = self.places.get_mut(number)
            && let Place::Away(away) = mem::replace(place, Place::At(token))
        {
            connection.listener.asking = away.asking;
            connection.listener.carried = away.schedules;
        }
    }

    /// Notes that a client is on its connection.
    pub(in crate::client) fn arrive(&mut self, token: Token) {
        let Some(Some(connection)) = self.connections.get_mut(slot(token)) else {
            return;
        };
        let (number, asking) = (connection.number, &mut connection.listener.asking);
        if let (Some(asking), Some(replies)) = (asking, &mut self.statistics.replies) {
            replies.give_up_lost(asking, Instant::now());
        }
        if let Some(place) = self
            .places
            .get_mut(number)
            .filter(|_| !connection.seat.slow)
        {
            *place = Place::At(token);
        }
    }

    /// Keeps what is due on a connection that is lost.
    pub(in crate::client) fn leave_behind(&mut self, token: Token) {
        let Some(Some(connection)) = self.connections.get_mut(slot(token)) else {
            return;
        };
        let place = self.places.get_mut(connection.number);
        if let Some(place @ Place::At(_)) = place {
            let mut away = connection.listener.leave();
            if let (Some(asking), Some(replies)) = (&mut away.asking, &mut self.statistics.replies)
            {
                replies.lose(asking);
            }
            *place = Place::Away(Box::new(away));
        }
    }

    /// Nothing is due any more at a client that leaves on purpose.
    pub(in crate::client) fn forget_place(&mut self, number: usize) {
        if let Some(place) = self.places.get_mut(number) {
            *place = Place::Nowhere;
        }
    }

    /// Those that have no connection.
    pub(in crate::client) fn away(&mut self) -> impl Iterator<Item = (usize, &mut Away)> {
        let places = self.places.iter_mut().enumerate();
        places.filter_map(|(number, place)| match place {
            Place::Away(away) => Some((number, &mut **away)),
            Place::Nowhere | Place::At(_) => None,
        })
    }
}
