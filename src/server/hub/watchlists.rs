//! The lists of symbols that clients watch. Equal lists are kept once, however many clients have
//! them, so that a distinct list costs two bytes a symbol and a client one number.

use std::hash::BuildHasher;
use std::iter::Peekable;
use std::slice;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::pattern::{Pattern, Rule};
use crate::tape::SymbolId;

/// A list, by its number. It stays until each reader that took it has given it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListId(u32);

/// What a list stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbols<'a> {
    /// Every symbol, those added later too.
    Everything,
    /// These, in ascending order.
    Some(&'a [SymbolId]),
}

/// All lists that are being read.
pub(crate) struct Watchlists {
    lists: Slab<Watchlist>,
    by_content: HashTable<u32>,
    hasher: DefaultHashBuilder,
    memory: usize,
    memory_max: usize,
}

struct Watchlist {
    /// None for everything.
    symbols: Option<Box<[SymbolId]>>,
    /// What it was made of besides names, to be tried on symbols that are added.
    rules: Box<[Rule]>,
    readers: u32,
    /// How many of the symbols that were ever added its rules have been tried on.
    tried: u32,
}

impl Watchlists {
    /// No list but that of everything. Lists take up to `memory_max` bytes.
    pub(crate) fn new(memory_max: usize) -> Self {
        let mut lists = Self {
            lists: Slab::new(),
            by_content: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            memory: 0,
            memory_max,
        };
        let everything = Rule {
            pattern: Pattern::EVERYTHING,
            includes: true,
        };
        // Its memory is there, whatever the limit.
        lists.insert(None, Box::new([everything]), 0);
        lists
    }

    /// Takes the list of everything.
    pub(crate) fn take_everything(&mut self) -> ListId {
        self.lists[0].readers += 1;
        EVERYTHING
    }

    /// Takes the list of `symbols` (ascending, each once; none for everything) that `rules` are part
    /// of, which have been tried on the first `tried` symbols that were ever added. None if the lists
    /// would take more memory than they may.
    pub(crate) fn take(
        &mut self,
        symbols: Option<Vec<SymbolId>>,
        rules: &[Rule],
        tried: u32,
    ) -> Option<ListId> {
        let is_tried = |list: &Watchlist| {
            list.tried == tried || list.rules.is_empty() || list.symbols.is_none()
        };
        if let Some(id) = self.find_if(symbols.as_deref(), rules, is_tried) {
            self.take_again(id);
            return Some(id);
        }
        let needed = memory(symbols.as_deref(), rules);
        if self.memory + needed > self.memory_max {
            return None;
        }
        let id = self.insert(symbols.map(Vec::into_boxed_slice), rules.into(), tried);
        self.lists[id as usize].readers = 1;
        Some(ListId(id))
    }

    /// A list of this content, however far its rules have been tried.
    pub(crate) fn find(&self, symbols: Option<&[SymbolId]>, rules: &[Rule]) -> Option<ListId> {
        self.find_if(symbols, rules, |_| true)
    }

    fn find_if(
        &self,
        symbols: Option<&[SymbolId]>,
        rules: &[Rule],
        is_wanted: impl Fn(&Watchlist) -> bool,
    ) -> Option<ListId> {
        let hash = self.hasher.hash_one((symbols, rules));
        let known = self.by_content.find(hash, |&id| {
            let list = &self.lists[id as usize];
            list.symbols.as_deref() == symbols && *list.rules == *rules && is_wanted(list)
        });
        known.map(|&id| ListId(id))
    }

    /// Takes a list once more.
    pub(crate) fn take_again(&mut self, id: ListId) {
        self.lists[id.0 as usize].readers += 1;
    }

    /// Gives a list back; the last reader takes it along.
    pub(crate) fn give_back(&mut self, id: ListId) {
        let list = &mut self.lists[id.0 as usize];
        list.readers -= 1;
        if list.readers > 0 || id == EVERYTHING {
            return;
        }
        let list = self.lists.remove(id.0 as usize);
        let hash = self
            .hasher
            .hash_one((list.symbols.as_deref(), &*list.rules));
        if let Ok(entry) = self.by_content.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
        self.memory -= memory(list.symbols.as_deref(), &list.rules);
    }

    /// What a list stands for.
    pub(crate) fn symbols(&self, id: ListId) -> Symbols<'_> {
        match &self.lists[id.0 as usize].symbols {
            None => Symbols::Everything,
            Some(symbols) => Symbols::Some(symbols),
        }
    }

    /// The rules that a list was made of.
    pub(crate) fn rules(&self, id: ListId) -> &[Rule] {
        &self.lists[id.0 as usize].rules
    }

    /// How many of the symbols that were ever added a list's rules have been tried on.
    pub(crate) fn tried(&self, id: ListId) -> u32 {
        self.lists[id.0 as usize].tried
    }

    /// Notes that a list's rules have been tried on more symbols and matched none of them.
    pub(crate) fn set_tried(&mut self, id: ListId, tried: u32) {
        self.lists[id.0 as usize].tried = tried;
    }

    /// Each list that has a reader, with the number of its readers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Symbols<'_>, u32)> {
        let read = self.lists.iter().filter(|(_, list)| list.readers > 0);
        read.map(|(id, list)| (self.symbols(ListId(id as u32)), list.readers))
    }

    /// How many there are, that of everything among them.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The memory that they take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    fn insert(&mut self, symbols: Option<Box<[SymbolId]>>, rules: Box<[Rule]>, tried: u32) -> u32 {
        self.memory += memory(symbols.as_deref(), &rules);
        let hash = self.hasher.hash_one((symbols.as_deref(), &*rules));
        let id = self.lists.insert(Watchlist {
            symbols,
            rules,
            readers: 0,
            tried,
        }) as u32;
        let (lists, hasher) = (&self.lists, &self.hasher);
        self.by_content.insert_unique(hash, id, |&id| {
            let list = &lists[id as usize];
            hasher.hash_one((list.symbols.as_deref(), &*list.rules))
        });
        id
    }
}

impl<'a> Symbols<'a> {
    /// Looks symbols up that come in ascending order.
    pub(crate) fn walk(self) -> Walk<'a> {
        match self {
            Self::Everything => Walk(None),
            Self::Some(symbols) => Walk(Some(symbols.iter().peekable())),
        }
    }

    /// Whether a symbol is among them.
    pub(crate) fn contains(&self, symbol: SymbolId) -> bool {
        match self {
            Self::Everything => true,
            Self::Some(symbols) => symbols.binary_search(&symbol).is_ok(),
        }
    }
}

/// The symbols of `list` that are not in `other`; both are in ascending order.
pub(crate) fn difference<'a>(
    list: &'a [SymbolId],
    other: &'a [SymbolId],
) -> impl Iterator<Item = SymbolId> + 'a {
    let mut walk = Symbols::Some(other).walk();
    let list = list.iter().copied();
    list.filter(move |&symbol| !walk.contains(symbol))
}

/// A walk along a list beside another one: to look up all symbols of a large market costs one pass
/// and no searches.
pub(crate) struct Walk<'a>(Option<Peekable<slice::Iter<'a, SymbolId>>>);

impl Walk<'_> {
    /// Whether a symbol is in the list; it must not be lower than the one before.
    pub(crate) fn contains(&mut self, symbol: SymbolId) -> bool {
        let Some(list) = &mut self.0 else {
            return true;
        };
        while list.next_if(|&&other| other < symbol).is_some() {}
        list.peek() == Some(&&symbol)
    }
}

/// What a list takes: an estimate that is right to some bytes.
fn memory(symbols: Option<&[SymbolId]>, rules: &[Rule]) -> usize {
    size_of::<Watchlist>()
        + symbols.map_or(0, |symbols| (symbols.len() * 2).next_multiple_of(16) + 16)
        + rules.len() * (size_of::<Rule>() + RULE_TEXT)
        + size_of::<u32>() * 2
}

/// The texts of a rule, about.
const RULE_TEXT: usize = 32;

/// The list of everything, which is always there.
pub(crate) const EVERYTHING: ListId = ListId(0);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule {
            pattern: Pattern::parse(text).unwrap().unwrap(),
            includes: true,
        }
    }

    #[test]
    fn equal_lists_are_kept_once_until_the_last_reader_leaves() {
        let mut lists = Watchlists::new(1 << 20);
        let before = lists.memory();
        let one = lists.take(Some(vec![1, 5]), &[], 0).unwrap();
        let other = lists.take(Some(vec![1, 6]), &[], 0).unwrap();
        assert_ne!(one, other);
        assert_eq!(lists.take(Some(vec![1, 5]), &[], 3), Some(one));
        let ruled = lists.take(Some(vec![1, 5]), &[rule("*/USDT")], 0).unwrap();
        assert_ne!(ruled, one, "it will grow, the other will not");
        assert_eq!(lists.len(), 4);
        for list in [one, other, ruled] {
            lists.give_back(list);
        }
        assert_eq!(lists.len(), 2, "one has another reader");
        assert!(matches!(lists.symbols(one), Symbols::Some([1, 5])));
        lists.give_back(one);
        assert_eq!((lists.len(), lists.memory()), (1, before));
    }

    #[test]
    fn a_list_that_comes_again_after_it_was_dropped_is_found_again() {
        let mut lists = Watchlists::new(1 << 20);
        for round in 0..3 {
            let ids: Vec<_> = (0..100)
                .map(|first| lists.take(Some(vec![first, first + 1]), &[], 0).unwrap())
                .collect();
            let again = lists.take(Some(vec![50, 51]), &[], 0).unwrap();
            assert_eq!(again, ids[50], "round {round}");
            lists.give_back(again);
            ids.into_iter().for_each(|id| lists.give_back(id));
            assert_eq!(lists.len(), 1);
        }
    }

    #[test]
    fn a_walk_finds_what_a_search_finds() {
        let list = [1, 4, 5, 9];
        let mut walk = Symbols::Some(&list).walk();
        for symbol in [0, 1, 1, 2, 5, 8, 9, 9, 10] {
            assert_eq!(walk.contains(symbol), list.contains(&symbol), "{symbol}");
        }
        assert!(Symbols::Everything.walk().contains(7));
        let gone: Vec<_> = difference(&list, &[0, 4, 9, 11]).collect();
        assert_eq!(gone, [1, 5]);
        assert_eq!(difference(&[], &list).count(), 0);
        assert_eq!(difference(&list, &[]).count(), 4);
    }

    #[test]
    fn everything_is_never_dropped() {
        let mut lists = Watchlists::new(0);
        let everything = lists.take_everything();
        assert!(matches!(lists.symbols(everything), Symbols::Everything));
        lists.give_back(everything);
        assert!(matches!(lists.symbols(EVERYTHING), Symbols::Everything));
        let same = [Rule {
            pattern: Pattern::EVERYTHING,
            includes: true,
        }];
        assert_eq!(lists.take(None, &same, 0), Some(EVERYTHING));
    }

    #[test]
    fn lists_take_no_more_memory_than_they_may() {
        let mut lists = Watchlists::new(10_000);
        let mut taken = Vec::new();
        while let Some(list) = lists.take(Some((0..taken.len() as u16 + 1).collect()), &[], 0) {
            taken.push(list);
        }
        assert!(lists.memory() <= 10_000 && taken.len() > 10);
        assert_eq!(
            lists.take(Some(vec![0]), &[], 0),
            Some(taken[0]),
            "it is there already"
        );
        lists.give_back(taken.pop().unwrap());
        assert!(lists.take(Some(vec![9]), &[], 0).is_some());
    }
}
