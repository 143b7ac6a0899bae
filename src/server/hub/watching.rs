//! The index from symbols to the slots that get news of them.

use std::time::Duration;

use crate::server::hub::bits::Watchers;
use crate::server::hub::periods::{PeriodId, Periods};
use crate::server::hub::watchlists::{ListId, Symbols, difference};
use crate::server::hub::{Hub, Reading};
use crate::tape::SymbolId;

impl Hub {
    /// Lets a slot read `reading`. Its news begins with the next frame printed.
    pub(crate) fn join(&mut self, slot: usize, reading: Reading) {
        self.readers.insert(slot);
        self.watch_list(slot, reading);
    }

    /// Takes the period of this length for a slot that is about to read at it.
    pub(crate) fn take_period(&mut self, slot: usize, length: Duration) -> PeriodId {
        self.periods.take(length, slot)
    }

    /// The periods, for the caller that starts their timers.
    pub(crate) fn periods(&mut self) -> &mut Periods {
        &mut self.periods
    }

    /// Beats a period. Returns false when it has no readers any more.
    pub(crate) fn beat(&mut self, period: PeriodId) -> bool {
        self.periods.beat(period, &mut self.news)
    }

    /// The number of a period's newest beat.
    pub(crate) fn beats(&self, period: PeriodId) -> u32 {
        self.periods.beats(period)
    }

    /// Changes what a slot reads from `from` to `to`. The list and the period of `from` are given
    /// back unless they stay the same.
    pub(crate) fn change(&mut self, slot: usize, from: Reading, to: Reading) {
        self.watch_instead(slot, from, to);
        self.lists.give_back(from.list);
        if from.period != to.period
            && let Some(period) = from.period
        {
            self.periods.give_back(period, slot);
        }
    }

    fn watch_instead(&mut self, slot: usize, from: Reading, to: Reading) {
        if from == to {
            return;
        }
        let is_alone = from.period.is_none() && !self.groups.has(from.list, slot);
        let lists = (self.lists.symbols(from.list), self.lists.symbols(to.list));
        if let (Symbols::Some(old), Symbols::Some(new)) = lists
            && is_alone
            && to.period.is_none()
            && !self.groups.join(to.list, new, slot)
        {
            // Most changes add or remove a few symbols, whatever the length of the list: only those
            // are touched.
            for symbol in difference(old, new) {
                self.watchers[usize::from(symbol)].remove(slot);
            }
            for symbol in difference(new, old) {
                self.watchers[usize::from(symbol)].insert(slot);
            }
        } else {
            self.unwatch_list(slot, from);
            self.watch_list(slot, to);
        }
    }

    /// Removes a slot.
    pub(crate) fn leave(&mut self, slot: usize, reading: Reading) {
        self.unwatch_list(slot, reading);
        self.lists.give_back(reading.list);
        if let Some(period) = reading.period {
            self.periods.give_back(period, slot);
        }
        self.readers.remove(slot);
        self.news.remove(slot);
    }

    /// A reader at its own rate is visited at the beats of its period, so printed frames are not
    /// news to it.
    fn watch_list(&mut self, slot: usize, reading: Reading) {
        if reading.period.is_some() {
            return;
        }
        if self.lists.readers(reading.list) > 1 && !self.groups.has(reading.list, slot) {
            self.make_way();
        }
        match self.lists.symbols(reading.list) {
            Symbols::Everything => {
                self.watch_everything.insert(slot);
            }
            Symbols::Some(symbols) if self.groups.join(reading.list, symbols, slot) => {}
            Symbols::Some(symbols) => watch_each(&mut self.watchers, symbols, slot),
        }
        self.worked(self.index_work(slot, reading.list));
    }

    fn unwatch_list(&mut self, slot: usize, reading: Reading) {
        if reading.period.is_some() {
            return;
        }
        self.worked(self.index_work(slot, reading.list));
        match self.lists.symbols(reading.list) {
            Symbols::Everything => {
                self.watch_everything.remove(slot);
            }
            Symbols::Some(symbols) if self.groups.leave(reading.list, symbols, slot) => {}
            Symbols::Some(symbols) => {
                for &symbol in symbols {
                    self.watchers[usize::from(symbol)].remove(slot);
                }
            }
        }
    }

    /// Removes the only reader of a group from it when there is no room for another group: a list
    /// with many readers deserves the place.
    fn make_way(&mut self) {
        let Some((list, slot)) = self.groups.loneliest() else {
            return;
        };
        if let Symbols::Some(symbols) = self.lists.symbols(list) {
            self.groups.leave(list, symbols, slot);
            watch_each(&mut self.watchers, symbols, slot);
            self.worked(symbols.len() / 2);
        }
    }

    /// The cost of noting in the index that a slot watches a list, in symbols looked at.
    fn index_work(&self, slot: usize, list: ListId) -> usize {
        match self.lists.symbols(list) {
            Symbols::Some(symbols) if !self.groups.has(list, slot) => symbols.len() / 2,
            _ => 1,
        }
    }

    /// Marks all slots that watch a symbol as having news.
    pub(super) fn mark_watchers(&mut self, id: SymbolId) {
        self.news.unite(&self.watch_everything);
        self.watchers[usize::from(id)].add_to(&mut self.news);
        self.groups.add_to(id, &mut self.news);
    }
}

/// Adds a slot to the watchers of each symbol.
fn watch_each(watchers: &mut [Watchers], symbols: &[SymbolId], slot: usize) {
    for &symbol in symbols {
        watchers[usize::from(symbol)].insert(slot);
    }
}
