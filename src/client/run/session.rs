//! One connection of a user, which passes its messages to the observer.

use std::time::Instant;

use ioloop::{Ready, Timeout};
use mio::Token;

use crate::client::measure::listener::Listener;
use crate::client::measure::observer::{Observer, TickSink};
use crate::client::received::{Arrival, Payload};
use crate::client::run::tick_printer::TickPrinter;
use crate::client::run::users::User;
use crate::client::ws::connection::{Connection, Sink};

/// One connection of a user.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) listener: Listener,
    pub(super) token: Token,
    /// The limit on joining, and later the limit on closing.
    pub(super) timeout: Timeout,
    /// The work that a queued callback will continue. Events leave the reading to it meanwhile.
    pub(super) unfinished: Option<Ready>,
    /// The number of its user.
    pub(super) user: usize,
    /// Whether its user had an earlier connection.
    pub(super) is_return: bool,
}

impl Session {
    /// A session whose connect was called at `began`.
    pub(super) fn new(
        connection: Connection,
        (token, timeout): (Token, Timeout),
        (user, is_return): (usize, bool),
        began: Instant,
    ) -> Self {
        Self {
            connection,
            listener: Listener::new(began),
            token,
            timeout,
            unfinished: None,
            user,
            is_return,
        }
    }

    /// Whether it is open and has received a tick, so that it was of use.
    pub(super) fn may_leave(&self) -> bool {
        let connection = &self.connection;
        connection.is_open() && !connection.is_slow && self.listener.has_tick()
    }
}

/// Passes what arrives on a connection to the observer.
pub(super) struct Delivery<'a> {
    pub(super) observer: &'a mut Observer,
    pub(super) listener: &'a mut Listener,
    pub(super) user: &'a mut User,
    pub(super) printer: Option<&'a mut TickPrinter>,
}

impl Sink for Delivery<'_> {
    fn joined(&mut self) {
        let past = self.user.returning.take().map(|returning| returning.past);
        let is_slow = self.user.is_slow;
        self.observer.joined(self.listener, is_slow, past);
    }

    fn read(&mut self, is_full: bool) {
        self.observer.note_read(is_full);
    }

    fn message(&mut self, payload: Payload<'_>, arrival: Arrival) {
        let printer = self.printer.as_deref_mut();
        let sink = printer.map(|printer| printer as &mut dyn TickSink);
        self.observer.message(self.listener, payload, arrival, sink);
    }
}
