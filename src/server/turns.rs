//! The turns that connections wait for, so that others have theirs first.

use mio::Token;

/// The turn of one connection in a queue.
pub(crate) enum Turn {
    /// Read from the connection.
    Read(Token),
    /// End the connection: the time limit of its request has passed, and it has had its turn to be
    /// read.
    End(Token),
}
