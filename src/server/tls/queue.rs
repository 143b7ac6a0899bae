//! Handshakes that wait for their turn: each is a millisecond's work, and they come many at once.

use std::collections::VecDeque;

use mio::Token;

use crate::server::turns::Turn;

/// Handshakes that have something to read.
#[derive(Default)]
pub(crate) struct HandshakeQueue {
    waiting: VecDeque<Turn>,
    /// Some of them get their turn in the next one of the loop.
    is_running: bool,
}

impl HandshakeQueue {
    /// Has a handshake read. Returns whether the queue has to be set going.
    pub(crate) fn read(&mut self, token: Token) -> bool {
        self.waiting.push_back(Turn::Read(token));
        !std::mem::replace(&mut self.is_running, true)
    }

    /// Has a handshake end whose limit has passed, once it has had the turn that it waits for.
    pub(crate) fn end(&mut self, token: Token) {
        self.waiting.push_back(Turn::End(token));
    }

    /// The next turn.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        self.waiting.pop_front()
    }

    /// A share of the turns is done. Returns whether there are more.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.is_running = !self.waiting.is_empty();
        self.is_running
    }
}
