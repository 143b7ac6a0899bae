//! Connections that are to be closed, a turn's share at a time: there may be thousands at once, and
//! each has to be told, counted, logged and taken out of the index.

use std::collections::VecDeque;

use mio::Token;

use crate::server::close::CloseReason;
use crate::server::context::Ping;

/// How a connection is to end.
pub(crate) enum Ending {
    /// For a reason that is known.
    Because(CloseReason),
    /// If it is still overdue by then: it has not answered this ping, or takes nothing.
    IfOverdue(Ping),
    /// By the shutdown, behind all that it has not had.
    Goodbye,
}

/// The one queue of connections to close.
#[derive(Default)]
pub(crate) struct CloseQueue {
    waiting: VecDeque<(Token, Ending)>,
    /// Some of them get their turn in the next one of the loop.
    is_running: bool,
}

impl CloseQueue {
    /// Puts `endings` behind those that wait. Returns whether the queue has to be set going.
    pub(crate) fn add(&mut self, endings: impl IntoIterator<Item = (Token, Ending)>) -> bool {
        self.waiting.extend(endings);
        !self.waiting.is_empty() && !std::mem::replace(&mut self.is_running, true)
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Option<(Token, Ending)> {
        self.waiting.pop_front()
    }

    /// A turn's share is done. Returns whether there are more.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.is_running = !self.waiting.is_empty();
        self.is_running
    }
}
