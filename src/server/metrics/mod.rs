//! `/metrics`: all counters and gauges, in the classic text format of Prometheus, which every
//! scraper reads.
//!
//! A page is written at once and shows one instant. Requests within one turn of the loop get the
//! same page, so that a flood of them costs little more than one.

mod broker;
mod process;
mod snapshot;
mod sources;
mod text;

use std::rc::Rc;

use mio::Token;

use self::process::Process;
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::text::CONTENT_TYPE;

/// The pages that clients are reading, and the constant facts about the process.
#[derive(Default)]
pub(crate) struct Metrics {
    process: Process,
    newest: Option<Page>,
    /// Connections that may still be reading a page.
    takers: Vec<Token>,
}

/// The page of one turn of the loop.
struct Page {
    turn: u64,
    text: Rc<str>,
}

impl Metrics {
    /// The page written in `turn`, if there is one.
    pub(crate) fn page_of(&self, turn: u64) -> Option<Rc<str>> {
        let newest = self.newest.as_ref().filter(|page| page.turn == turn);
        newest.map(|page| Rc::clone(&page.text))
    }

    /// Keeps the page of `turn`.
    pub(crate) fn keep(&mut self, turn: u64, page: &Rc<str>) {
        let text = Rc::clone(page);
        self.newest = Some(Page { turn, text });
    }

    /// Writes the page.
    pub(crate) fn write(&self, snapshot: &Snapshot<'_>) -> Rc<str> {
        snapshot.write(&self.process).into()
    }

    /// Notes that `token` gets a page of `length` bytes. Returns false instead if too many
    /// connections have yet to read theirs, which `has_pending` tells: a page is the only data of
    /// which the server may hold more for a client than its share.
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

/// The memory limit for all pages that clients read slowly.
const UNTAKEN_MAX: usize = 16 << 20;
