//! `/metrics`: everything that is counted, in the classic text format of Prometheus, which every
//! scraper reads.
//!
//! A page is written in one go, from one instant. Requests within one turn of the loop get the same
//! page, so that a flood of them costs little more than one.

mod process;
mod snapshot;
mod sources;
mod text;

use std::rc::Rc;

use mio::Token;

use self::process::Process;
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::text::CONTENT_TYPE;

/// The pages on their way, and what never changes about the process.
#[derive(Default)]
pub(crate) struct Metrics {
    process: Process,
    newest: Option<Page>,
    /// Connections that were given a page and may not have taken all of it.
    takers: Vec<Token>,
}

/// A page as it was in one turn of the loop.
struct Page {
    turn: u64,
    text: Rc<str>,
}

impl Metrics {
    /// The page as it was written in `turn`, if it was.
    pub(crate) fn page_of(&self, turn: u64) -> Option<Rc<str>> {
        let newest = self.newest.as_ref().filter(|page| page.turn == turn);
        newest.map(|page| Rc::clone(&page.text))
    }

    /// Keeps a page of `turn`.
    pub(crate) fn keep(&mut self, turn: u64, page: &Rc<str>) {
        let text = Rc::clone(page);
        self.newest = Some(Page { turn, text });
    }

    /// Writes the page.
    pub(crate) fn write(&self, snapshot: &Snapshot<'_>) -> Rc<str> {
        snapshot.write(&self.process).into()
    }

    /// Notes that `token` is given a page of `length` bytes. Returns false instead if too many have
    /// not taken theirs, as `has_pending` tells: an answer is the one thing of which a client may have
    /// more unsent than its share.
    pub(crate) fn take(
        &mut self,
        token: Token,
        length: usize,
        mut has_pending: impl FnMut(Token) -> bool,
    ) -> bool {
        self.takers.retain(|&token| has_pending(token));
        if self.takers.len() * length > UNTAKEN_MAX {
            return false;
        }
        self.takers.push(token);
        true
    }
}

/// What all who take their page slowly may hold in our memory.
const UNTAKEN_MAX: usize = 16 << 20;
