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

use self::process::Process;
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::text::CONTENT_TYPE;

/// The newest page, and the constant facts about the process.
#[derive(Default)]
pub(crate) struct Metrics {
    process: Process,
    newest: Option<Page>,
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
}
