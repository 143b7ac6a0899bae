//! The queue of TLS handshakes: each takes a millisecond's work, and they arrive many at once.

use std::collections::VecDeque;

use mio::Token;

use crate::server::turns::Turn;

/// Handshakes with bytes to read.
#[derive(Default)]
pub(crate) struct HandshakeQueue {
    waiting: VecDeque<Turn>,
    /// A share of the queue is scheduled for the next turn of the loop.
    is_running: bool,
}

impl HandshakeQueue {
    /// Queues a handshake to be read. Returns whether the caller must start the queue.
    pub(crate) fn read(&mut self, token: Token) -> bool {
        self.waiting.push_back(Turn::Read(token));
        !std::mem::replace(&mut self.is_running, true)
    }

    /// Queues the end of a handshake whose time limit has passed, behind the turn that it waits
    /// for.
    pub(crate) fn end(&mut self, token: Token) {
        self.waiting.push_back(Turn::End(token));
    }

    /// Takes the next turn.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        self.waiting.pop_front()
    }

    /// Ends a share of the turns. Returns whether more wait.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.is_running = !self.waiting.is_empty();
        self.is_running
    }
}
