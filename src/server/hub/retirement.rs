//! Delisted symbols are forgotten in the end: where symbols come and go for ever, neither memory
//! nor the cost of one more grows.
//!
//! The last few are kept in case they come back: they then go on counting, and lists have them as
//! before. A symbol is also kept while a list names it or leaves it out of a pattern by name, and
//! while its frames may still be unread on the tape.

use super::instrument::Instrument;
use super::selection::verdict;
use super::watchlists::ListId;
use super::{Hub, pattern};
use crate::tape::{SYMBOLS_MAX, SymbolId};

impl Hub {
    /// Notes that a delisted symbol may be forgotten.
    pub(super) fn may_go(&mut self, id: SymbolId) {
        let instrument = &mut self.instruments[usize::from(id)];
        if !std::mem::replace(&mut instrument.may_go, true) {
            self.delisted.push_back(id);
        }
    }

    /// A number for one more symbol.
    pub(super) fn free_id(&mut self) -> Option<SymbolId> {
        let is_full = self.spare.is_empty() && self.instruments.len() == SYMBOLS_MAX;
        if is_full {
            self.forget_some(self.delisted.len());
        } else if self.delisted.len() >= DELISTED_KEPT + FORGOTTEN_AT_ONCE {
            self.forget_some(FORGOTTEN_AT_ONCE);
        }
        let spare = self.spare.pop();
        spare.or_else(|| {
            let next = self.instruments.len();
            (next < SYMBOLS_MAX).then_some(next as SymbolId)
        })
    }

    /// Checks the first `most` delisted symbols, and forgets those that are no longer held; the
    /// others have to wait.
    fn forget_some(&mut self, most: usize) {
        let first: Vec<_> = self.delisted.drain(..most).collect();
        let mut going: Vec<_> = first
            .into_iter()
            .filter(|&id| {
                let instrument = &mut self.instruments[usize::from(id)];
                instrument.may_go = !instrument.is_listed;
                instrument.may_go
            })
            .collect();
        going.sort_unstable();
        let is_held = self.held(&going);
        let (held, going): (Vec<_>, Vec<_>) =
            going.iter().zip(is_held).partition(|&(_, is_held)| is_held);
        self.delisted.extend(held.into_iter().map(|(&id, _)| id));
        let going: Vec<_> = going.into_iter().map(|(&id, _)| id).collect();
        self.purge_lists(&going);
        going.into_iter().for_each(|id| self.forget(id));
    }

    /// Which of these symbols (in ascending order) are on the tape, or named by a list.
    fn held(&self, ids: &[SymbolId]) -> Vec<bool> {
        let is_on_tape = |&id: &SymbolId| self.tape.newest(id) >= self.tape.tail();
        let mut held: Vec<_> = ids.iter().map(is_on_tape).collect();
        for (_, symbols, rules) in self.lists.contents() {
            if rules.is_empty() {
                for index in common(ids, symbols) {
                    held[index] = true;
                }
                continue;
            }
            let matchers = self.matchers(rules);
            let mut walk = super::Symbols::Some(symbols).walk();
            for (index, &id) in ids.iter().enumerate() {
                // The list has it, or lacks it, although the patterns say otherwise.
                held[index] |= walk.contains(id) != verdict(&matchers, self.instrument(id).parts);
            }
        }
        held
    }

    /// Takes symbols out of the lists whose patterns match them.
    fn purge_lists(&mut self, gone: &[SymbolId]) {
        let with_some = self.lists.contents().filter(|(_, symbols, rules)| {
            !rules.is_empty() && common(gone, symbols).next().is_some()
        });
        let with_some: Vec<ListId> = with_some.map(|(id, _, _)| id).collect();
        for list in with_some {
            self.lists.purge(list, |id| gone.binary_search(&id).is_ok());
        }
    }

    fn forget(&mut self, id: SymbolId) {
        let gone = std::mem::replace(&mut self.instruments[usize::from(id)], Instrument::gone());
        self.by_name.remove(&gone.name);
        if let Some(bare) = pattern::bare(&gone.name)
            && let Some(ids) = self.by_bare_name.get_mut(bare)
        {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_bare_name.remove(bare);
            }
        }
        self.parts.give_back(&gone.name);
        self.markets.give_back(gone.market);
        self.tape.forget(id);
        self.with_events.remove(usize::from(id));
        self.watchers[usize::from(id)] = super::Watchers::default();
        self.groups.forget(id);
        self.spare.push(id);
    }

    /// Notes that a symbol was added. Added symbols that all lists have tried their patterns on are
    /// forgotten in time.
    pub(super) fn note_added(&mut self, id: SymbolId) {
        if self.added.len() >= self.added_max {
            let tried = self.lists.forget_tried(self.added.len());
            self.added.drain(..tried);
            self.added_max = (2 * self.added.len()).max(ADDED_KEPT);
        }
        self.added.push(id);
    }
}

/// Which of `ids` are in `list`, by their index; both are in ascending order.
fn common<'a>(ids: &'a [SymbolId], list: &'a [SymbolId]) -> impl Iterator<Item = usize> + 'a {
    // There are many lists of a few names; long lists are searched.
    let mut rest = list;
    let is_there = move |&(_, id): &(usize, &SymbolId)| {
        let below = rest.partition_point(|other| other < id);
        rest = &rest[below..];
        rest.first() == Some(id)
    };
    ids.iter()
        .enumerate()
        .filter(is_there)
        .map(|(index, _)| index)
}

/// How many delisted symbols are kept at least.
const DELISTED_KEPT: usize = 1024;

/// How many delisted symbols are checked together, since each check looks at all lists.
const FORGOTTEN_AT_ONCE: usize = 128;

/// How many added symbols are remembered at least.
pub(super) const ADDED_KEPT: usize = 4096;
