//! The connections, in dense memory: the sweep walks over all of them at every tick.

use mio::Token;

use super::connection::Connection;
use crate::io_loop::slot;

/// Connections by the slot of their token. A token whose connection has gone finds nothing, also
/// after its slot was taken by another.
#[derive(Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Connection>>,
    count: usize,
}

impl Connections {
    pub(crate) fn insert(&mut self, connection: Connection) {
        let slot = slot(connection.token);
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(connection);
        self.count += 1;
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.slots.get_mut(slot(token))?.as_mut();
        connection.filter(|connection| connection.token == token)
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Connection> {
        self.get_mut(token)?;
        self.count -= 1;
        self.slots[slot(token)].take()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// How many slots there are; those without a connection are empty.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The connection in a slot.
    pub(crate) fn at(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots.iter_mut().flatten()
    }
}
