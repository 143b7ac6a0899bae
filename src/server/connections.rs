//! The connections, in dense memory: at each tick the broadcast visits all that have news.

use ioloop::slot;
use mio::Token;

use crate::server::connection::Connection;
use crate::server::socket::Socket;

/// Connections by the slot of their token. The token of a connection that was removed finds
/// nothing, even when another connection has taken its slot.
pub(crate) struct Connections<S> {
    slots: Vec<Option<Connection<S>>>,
    count: usize,
}

impl<S> Default for Connections<S> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            count: 0,
        }
    }
}

impl<S: Socket> Connections<S> {
    pub(crate) fn insert(&mut self, connection: Connection<S>) {
        let slot = slot(connection.token);
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(connection);
        self.count += 1;
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Connection<S>> {
        let connection = self.slots.get_mut(slot(token))?.as_mut();
        connection.filter(|connection| connection.token == token)
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Connection<S>> {
        self.get_mut(token)?;
        self.count -= 1;
        self.slots[slot(token)].take()
    }

    /// The number of connections.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The number of slots, empty ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The connection in a slot.
    pub(crate) fn at(&mut self, slot: usize) -> Option<&mut Connection<S>> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection<S>> {
        self.slots.iter_mut().flatten()
    }
}
