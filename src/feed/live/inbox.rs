//! What the loop tells a fiber while it runs: which symbols to fetch, as markets come and go.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use exchanges::Symbol;
use ioloop::fiber::{self, Cancelled};
use ioloop::{IoLoop, Registrar, Wake};
use mio::Token;

/// What a fiber is told about one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Fetch this symbol, and report it by the number of its market.
    Add(usize, Symbol),
    /// Fetch this symbol with this number no longer.
    Remove(usize, Symbol),
}

/// Messages for one fiber; the loop and the fiber share it.
pub(super) struct Inbox<T> {
    messages: Rc<Cell<Vec<T>>>,
    /// Ends the fiber's wait for messages.
    token: Token,
}

impl<T> Inbox<T> {
    pub(super) fn new(registrar: &Registrar) -> Self {
        Self {
            messages: Rc::default(),
            token: registrar.token(),
        }
    }

    /// Adds messages, and wakes the fiber if it waits for them.
    pub(super) fn put<S: 'static>(&self, io_loop: &mut IoLoop<S>, messages: Vec<T>) {
        let mut all = self.messages.take();
        all.extend(messages);
        self.messages.set(all);
        let token = self.token;
        io_loop.add_callback(move |state, io_loop| io_loop.wake(state, token, Wake::Ready));
    }

    /// Puts messages back that were taken, for another reader; nobody is woken.
    pub(super) fn put_back(&self, messages: Vec<T>) {
        let newer = self.messages.take();
        self.messages
            .set(messages.into_iter().chain(newer).collect());
    }

    /// Takes all messages, the oldest first.
    pub(super) fn take(&self) -> Vec<T> {
        self.messages.take()
    }

    /// Suspends the fiber until there are messages, or until `deadline`.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<(), Cancelled> {
        let messages = self.messages.take();
        let is_empty = messages.is_empty();
        self.messages.set(messages);
        if is_empty {
            // Its only other error is that the deadline has passed.
            let _ = fiber::wait(self.token, deadline);
        }
        if fiber::is_cancelled() {
            return Err(Cancelled);
        }
        Ok(())
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self {
            messages: Rc::clone(&self.messages),
            token: self.token,
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
