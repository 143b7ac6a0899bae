//! The queue of connections to close, a turn's share at a time: there may be thousands at once, and
//! each has to be told, counted, logged and taken out of the index.

use std::collections::VecDeque;

use mio::Token;

use crate::server::close::CloseReason;
use crate::server::context::Ping;

/// How a connection is to end.
pub(crate) enum Ending {
    /// For this reason.
    Because(CloseReason),
    /// If it is still overdue when its turn comes: it has not answered this ping, or takes no
    /// bytes.
    IfOverdue(Ping),
    /// By the shutdown, after everything it has not received yet.
    Shutdown,
}

/// The one queue of connections to close.
#[derive(Default)]
pub(crate) struct CloseQueue {
    waiting: VecDeque<(Token, Ending)>,
    /// A share of the queue is scheduled for the next turn of the loop.
    is_running: bool,
}

impl CloseQueue {
    /// Appends `endings`. Returns whether the caller must start the queue.
    pub(crate) fn add(&mut self, endings: impl IntoIterator<Item = (Token, Ending)>) -> bool {
        self.waiting.extend(endings);
        !self.waiting.is_empty() && !std::mem::replace(&mut self.is_running, true)
    }

    /// Takes the next connection to close.
    pub(crate) fn next(&mut self) -> Option<(Token, Ending)> {
        self.waiting.pop_front()
    }

    /// Ends a turn's share. Returns whether more connections wait.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.is_running = !self.waiting.is_empty();
        self.is_running
    }
}
