//! What a reader is owed before it reads on: the newest ticks of symbols that are new to it, or of
//! which it has skipped some, and how these symbols stand.
//!
//! A debt is paid in the order in which its frames were printed, in pieces as the socket takes them.
//! Meanwhile the reader's position stands still. A symbol that ticks again is no longer owed: its tick
//! lies behind the position, so the tape brings it.

use std::cmp::Reverse;
use std::time::Instant;

use super::gather::SYMBOLS_PER_FRAME;
use super::instrument::Instrument;
use super::watchlists::{ListId, difference};
use super::{Hub, Symbols};
use crate::tape::{EVERYONE, FrameNumber, SymbolId};

/// One frame that a reader is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// The newest tick.
    Tick(SymbolId),
    /// Whether the symbol is stale, live or delisted.
    Event(SymbolId),
    /// The closing frame.
    Close,
}

impl Hub {
    /// What a reader of `list` is owed that joins at the head and has seen everything up to the
    /// stamp `seen`: every tick that is newer, and which symbols are stale.
    pub(crate) fn owed_on_joining(&self, list: ListId, seen: u64, owed: &mut Vec<Owed>) {
        self.owed_of(self.symbols(list), owed, |instrument| {
            let has_tick = instrument.is_listed && instrument.seq > 0;
            (
                has_tick && instrument.sent > seen,
                instrument.is_listed && instrument.is_stale(),
            )
        });
    }

    /// What a reader of `list` is owed that skips everything from `from` on: the newest tick of each
    /// symbol that it has not had, and how a symbol stands where it has not been told.
    pub(crate) fn owed_for_skipping(&self, list: ListId, from: FrameNumber, owed: &mut Vec<Owed>) {
        let symbols = self.symbols(list);
        let length = self.symbol_count(list);
        let distance = self.tape.head().saturating_sub(from) as usize;
        let wanted = |it: &Instrument| (it.tick >= from, it.event >= from);
        if from < self.tape.tail() || distance * SYMBOLS_PER_FRAME >= length {
            return self.owed_of(symbols, owed, wanted);
        }
        // A long list that is hardly behind: what was printed meanwhile is less to look at.
        let printed = self.tape.symbols(from, self.tape.head());
        let mut printed: Vec<_> = printed
            .map(|(_, symbol)| symbol)
            .filter(|&symbol| symbol != EVERYONE && symbols.contains(symbol))
            .collect();
        printed.sort_unstable();
        printed.dedup();
        self.worked(distance);
        self.owed_of(Symbols::Some(&printed), owed, wanted);
    }

    /// What a reader is owed that changes from one list to another: what it would be on joining, of
    /// the symbols that are new to it.
    pub(crate) fn owed_for_changing(&self, from: ListId, to: ListId, owed: &mut Vec<Owed>) {
        let new: Vec<SymbolId> = match (self.symbols(from), self.symbols(to)) {
            (Symbols::Everything, _) => return,
            (Symbols::Some(known), Symbols::Everything) => {
                let mut known = Symbols::Some(known).walk();
                self.worked(self.instruments.len());
                self.listed_ids()
                    .filter(|&id| !known.contains(id))
                    .collect()
            }
            (Symbols::Some(known), Symbols::Some(symbols)) => {
                self.worked((known.len() + symbols.len()) / SYMBOLS_PER_STEP);
                difference(symbols, known).collect()
            }
        };
        self.owed_of(Symbols::Some(&new), owed, |instrument| {
            let is_listed = instrument.is_listed;
            (
                is_listed && instrument.seq > 0,
                is_listed && instrument.is_stale(),
            )
        });
    }

    /// Adds to `owed` what `wanted` says of each symbol: its tick, its
    /// event.
    fn owed_of(
        &self,
        symbols: Symbols<'_>,
        owed: &mut Vec<Owed>,
        wanted: impl Fn(&Instrument) -> (bool, bool),
    ) {
        let mut add = |symbol: SymbolId| {
            let (tick, event) = wanted(self.instrument(symbol));
            if tick {
                owed.push(Owed::Tick(symbol));
            }
            if event {
                owed.push(Owed::Event(symbol));
            }
        };
        self.worked(match symbols {
            Symbols::Everything => self.instruments.len(),
            Symbols::Some(symbols) => symbols.len(),
        });
        match symbols {
            Symbols::Everything => (0..self.instruments.len() as SymbolId).for_each(&mut add),
            Symbols::Some(symbols) => symbols.iter().copied().for_each(add),
        }
        self.sort_owed(owed);
    }

    /// Adds the closing frame to what a reader is owed that passes over everything from `from` on: it
    /// is the one frame for everyone that nobody may miss.
    pub(crate) fn owe_close(&self, from: FrameNumber, owed: &mut Vec<Owed>) {
        if self.is_closed() && self.number_of(Owed::Close) >= from {
            owed.push(Owed::Close);
            self.sort_owed(owed);
        }
    }

    /// Drops from a debt what concerns symbols that are not in a list.
    pub(crate) fn forgive(&self, list: ListId, owed: &mut Vec<Owed>) {
        let symbols = self.symbols(list);
        self.worked(owed.len());
        owed.retain(|owed| match owed {
            Owed::Tick(symbol) | Owed::Event(symbol) => symbols.contains(*symbol),
            Owed::Close => true,
        });
    }

    /// Puts the last to be paid first. No two frames have the same number, so what is there twice is
    /// side by side.
    fn sort_owed(&self, owed: &mut Vec<Owed>) {
        if owed.len() > 1 {
            // Each number is looked up once: in a large market they are far apart in memory.
            owed.sort_by_cached_key(|&owed| Reverse(self.number_of(owed)));
            owed.dedup();
        }
    }

    /// Hands the frames of a debt to `write`, the oldest first, until it says that there were enough.
    /// What lies at `position` or behind it is not handed out: the tape brings it.
    pub(crate) fn pay(
        &self,
        owed: &mut Vec<Owed>,
        position: FrameNumber,
        now: Instant,
        mut write: impl FnMut(&[u8]) -> bool,
    ) {
        let mut event = Vec::new();
        while let Some(next) = owed.pop() {
            // A number of zero is that of a symbol that has taken the place of a delisted one.
            let number = self.number_of(next);
            if number == 0 || number >= position {
                continue;
            }
            let is_enough = match next {
                Owed::Tick(symbol) => write(&self.instrument(symbol).frame),
                Owed::Event(symbol) => {
                    event.clear();
                    self.instrument(symbol).write_event(now, &mut event);
                    write(&event)
                }
                Owed::Close => write(&self.close_frame),
            };
            if is_enough {
                break;
            }
        }
    }

    fn number_of(&self, owed: Owed) -> FrameNumber {
        match owed {
            Owed::Tick(symbol) => self.instrument(symbol).tick,
            Owed::Event(symbol) => self.instrument(symbol).event,
            Owed::Close => self.tape.newest(EVERYONE),
        }
    }
}

/// Two lists side by side are walked so much faster than symbols are looked at.
const SYMBOLS_PER_STEP: usize = 4;
