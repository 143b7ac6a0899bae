//! The memory of answers that clients read slowly.

use mio::Token;

/// The connections that may still be reading long answers. Besides its messages, an answer is the
/// only data of which the server may hold more for a client than its share.
#[derive(Default)]
pub(crate) struct UnreadAnswers {
    takers: Vec<(Token, usize)>,
}

impl UnreadAnswers {
    /// Notes that `token` gets an answer of `length` bytes. Returns false instead if the answers
    /// that others have yet to read, which `has_pending` tells, take too much memory.
    pub(crate) fn take(
        &mut self,
        token: Token,
        length: usize,
        mut has_pending: impl FnMut(Token) -> bool,
    ) -> bool {
        if length < LENGTH_MIN {
            return true;
        }
        self.takers.retain(|&(token, _)| has_pending(token));
        let held: usize = self.takers.iter().map(|&(_, length)| length).sum();
        if held + length > UNREAD_MAX.max(length) {
            return false;
        }
        self.takers.push((token, length));
        true
    }
}

/// Shorter answers are taken by the system in one piece.
const LENGTH_MIN: usize = 4 << 10;

/// The memory limit for all answers that clients read slowly.
const UNREAD_MAX: usize = 16 << 20;
