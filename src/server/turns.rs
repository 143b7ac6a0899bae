//! What connections wait for, when others have to have their turn first.

use mio::Token;

/// What a connection waits for in a queue.
pub(crate) enum Turn {
    /// To be read.
    Read(Token),
    /// To be over: the limit of its request has passed, and it has had its turn.
    End(Token),
}
