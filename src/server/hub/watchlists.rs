//! The lists of symbols that clients watch. Equal lists are kept once, however many clients have
//! them, so that a distinct list costs two bytes a symbol and a client one number.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::iter::Peekable;
use std::slice;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::pattern::{Pattern, Rule};
use crate::tape::SymbolId;

/// The number of a list. The list stays until every reader that took it has given it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListId(u32);

/// The symbols of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbols<'a> {
    /// Every symbol, including those added later.
    Everything,
    /// These symbols, in ascending order.
    Some(&'a [SymbolId]),
}

/// All lists that are being read.
pub(crate) struct Watchlists {
    lists: Slab<Watchlist>,
    by_content: HashTable<u32>,
    /// Lists by the entries that clients wrote.
    by_entries: HashTable<u32>,
    /// The outcomes of the last growths, when lists were to take added symbols: the other readers
    /// of a list find them here.
    growths: VecDeque<Growth>,
    hasher: DefaultHashBuilder,
    memory: usize,
    memory_max: usize,
}

struct Watchlist {
    /// `None` for everything.
    symbols: Option<Box<[SymbolId]>>,
    /// The rules that it was made of besides names, to be tried on added symbols.
    rules: Box<[Rule]>,
    readers: u32,
    /// How many of the symbols ever added its rules have been tried on.
    tried: u32,
    /// The entries that a client wrote to get it, if resolving them again would be work.
    entries: Option<Box<Entries>>,
}

/// The outcome when a list was to take added symbols.
struct Growth {
    of: ListId,
    /// How many symbols had ever been added by then.
    tried: u32,
    /// The list with these symbols, or the first of them that there was no room for.
    outcome: Result<ListId, SymbolId>,
}

/// The entries that a client wrote, which stood for a list at that time.
struct Entries {
    texts: Box<[Box<str>]>,
    /// How often symbols had come or gone by then.
    changes: u64,
}

impl Watchlists {
    /// Starts with the list of everything alone. Lists take up to `memory_max` bytes.
    pub(crate) fn new(memory_max: usize) -> Self {
        let mut lists = Self {
            lists: Slab::new(),
            by_content: HashTable::new(),
            by_entries: HashTable::new(),
            growths: VecDeque::new(),
            hasher: DefaultHashBuilder::default(),
            memory: 0,
            memory_max,
        };
        let everything = Rule {
            pattern: Pattern::EVERYTHING,
            includes: true,
        };
        // This list is always there, whatever the limit.
        lists.insert(None, Box::new([everything]), 0);
        lists
    }

    /// Takes the list of everything.
    pub(crate) fn take_everything(&mut self) -> ListId {
        self.lists[0].readers += 1;
        EVERYTHING
    }

    /// Takes the list of `symbols` (ascending and distinct; `None` for everything), with its
    /// `rules`, which have been tried on the first `tried` symbols ever added. Returns `None` if
    /// the lists would take more memory than they may.
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

    /// The list with these symbols and rules, however far its rules have been tried.
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

    /// Takes the list that `entries` last stood for, unless symbols have come or gone since:
    /// `changes` counts how often they have.
    pub(crate) fn take_by_entries<E: AsRef<str>>(
        &mut self,
        entries: &[E],
        changes: u64,
    ) -> Option<ListId> {
        let lists = &self.lists;
        let is_it = |&id: &u32| {
            let known = lists[id as usize].entries.as_deref();
            known.is_some_and(|known| known.changes == changes && known.are(entries))
        };
        let &id = self.by_entries.find(self.hash_of(entries), is_it)?;
        self.take_again(ListId(id));
        Some(ListId(id))
    }

    /// Notes that `entries` stand for a list, if it is worth it: a list of a few names is found as
    /// quickly by its names.
    pub(crate) fn note_entries<E: AsRef<str>>(&mut self, id: ListId, entries: &[E], changes: u64) {
        let list = &self.lists[id.0 as usize];
        let is_work = !list.rules.is_empty()
            || list
                .symbols
                .as_deref()
                .is_some_and(|symbols| symbols.len() >= NAMES_NOTED);
        if !is_work {
            return;
        }
        self.forget_entries(id);
        let texts = entries.iter().map(|entry| Box::from(entry.as_ref()));
        let entries = Entries {
            texts: texts.collect(),
            changes,
        };
        if self.memory + entries.memory() > self.memory_max {
            return;
        }
        self.memory += entries.memory();
        let hash = self.hash_of(&entries.texts);
        self.lists[id.0 as usize].entries = Some(Box::new(entries));
        let (lists, hasher) = (&self.lists, &self.hasher);
        self.by_entries.insert_unique(hash, id.0, |&id| {
            let entries = lists[id as usize].entries.as_deref();
            entries.map_or(0, |entries| hash_of(hasher, &entries.texts))
        });
    }

    fn forget_entries(&mut self, id: ListId) {
        let Some(entries) = self.lists[id.0 as usize].entries.take() else {
            return;
        };
        self.memory -= entries.memory();
        let hash = self.hash_of(&entries.texts);
        if let Ok(entry) = self.by_entries.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
    }

    fn hash_of<E: AsRef<str>>(&self, entries: &[E]) -> u64 {
        hash_of(&self.hasher, entries)
    }

    /// The outcome if another reader of the list was to take the same symbols; `tried` is how many
    /// have ever been added.
    pub(crate) fn growth(&self, of: ListId, tried: u32) -> Option<Result<ListId, SymbolId>> {
        let mut growths = self.growths.iter();
        let known = growths.find(|growth| growth.of == of && growth.tried == tried)?;
        Some(known.outcome)
    }

    /// Notes the outcome when a list was to take added symbols.
    pub(crate) fn note_growth(
        &mut self,
        of: ListId,
        tried: u32,
        outcome: Result<ListId, SymbolId>,
    ) {
        self.growths.retain(|growth| growth.of != of);
        if self.growths.len() == GROWTHS_MAX {
            self.growths.pop_front();
        }
        self.growths.push_back(Growth { of, tried, outcome });
    }

    /// The most bytes that all lists together may take.
    pub(crate) fn memory_max(&self) -> usize {
        self.memory_max
    }

    /// How many readers have taken a list.
    pub(crate) fn readers(&self, id: ListId) -> u32 {
        self.lists[id.0 as usize].readers
    }

    /// Takes a list once more.
    pub(crate) fn take_again(&mut self, id: ListId) {
        self.lists[id.0 as usize].readers += 1;
    }

    /// Gives a list back; the list goes with its last reader.
    pub(crate) fn give_back(&mut self, id: ListId) {
        let list = &mut self.lists[id.0 as usize];
        list.readers -= 1;
        if list.readers > 0 || id == EVERYTHING {
            return;
        }
        self.forget_entries(id);
        self.forget_content(id);
        self.growths
            .retain(|growth| growth.of != id && growth.outcome != Ok(id));
        let list = self.lists.remove(id.0 as usize);
        self.memory -= memory(list.symbols.as_deref(), &list.rules);
    }

    fn forget_content(&mut self, id: ListId) {
        let hash = self.content_hash(id.0);
        if let Ok(entry) = self.by_content.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
    }

    fn note_content(&mut self, id: u32) {
        let hash = self.content_hash(id);
        let (lists, hasher) = (&self.lists, &self.hasher);
        self.by_content.insert_unique(hash, id, |&id| {
            let list = &lists[id as usize];
            hasher.hash_one((list.symbols.as_deref(), &*list.rules))
        });
    }

    fn content_hash(&self, id: u32) -> u64 {
        let list = &self.lists[id as usize];
        self.hasher
            .hash_one((list.symbols.as_deref(), &*list.rules))
    }

    /// The symbols of a list.
    pub(crate) fn symbols(&self, id: ListId) -> Symbols<'_> {
        match &self.lists[id.0 as usize].symbols {
            None => Symbols::Everything,
            Some(symbols) => Symbols::Some(symbols),
        }
    }

    /// The rules of a list.
    pub(crate) fn rules(&self, id: ListId) -> &[Rule] {
        &self.lists[id.0 as usize].rules
    }

    /// How many of the symbols ever added a list's rules have been tried on.
    pub(crate) fn tried(&self, id: ListId) -> u32 {
        self.lists[id.0 as usize].tried
    }

    /// Notes that a list's rules have been tried on more symbols and matched none of them.
    pub(crate) fn set_tried(&mut self, id: ListId, tried: u32) {
        self.lists[id.0 as usize].tried = tried;
    }

    /// Each list that has readers, with their number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Symbols<'_>, u32)> {
        let read = self.lists.iter().filter(|(_, list)| list.readers > 0);
        read.map(|(id, list)| (self.symbols(ListId(id as u32)), list.readers))
    }

    /// Every list of symbols, with its rules.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (ListId, &[SymbolId], &[Rule])> {
        self.lists.iter().filter_map(|(id, list)| {
            let symbols = list.symbols.as_deref()?;
            Some((ListId(id as u32), symbols, &*list.rules))
        })
    }

    /// Removes symbols from a list for good: they no longer exist.
    pub(crate) fn purge(&mut self, id: ListId, is_gone: impl Fn(SymbolId) -> bool) {
        self.forget_content(id);
        let list = &mut self.lists[id.0 as usize];
        self.memory -= memory(list.symbols.as_deref(), &list.rules);
        if let Some(symbols) = list.symbols.take() {
            let left = symbols.iter().copied().filter(|&symbol| !is_gone(symbol));
            list.symbols = Some(left.collect());
        }
        self.memory += memory(list.symbols.as_deref(), &list.rules);
        self.note_content(id.0);
    }

    /// Forgets added symbols that all rules have been tried on, and counts from a later one.
    /// Returns how many it forgot.
    pub(crate) fn forget_tried(&mut self, added: usize) -> usize {
        let ruled = |list: &&mut Watchlist| !list.rules.is_empty() && list.symbols.is_some();
        let lists = self.lists.iter_mut().map(|(_, list)| list);
        let mut ruled: Vec<_> = lists.filter(ruled).collect();
        let least = ruled.iter().map(|list| list.tried).min();
        let least = least.unwrap_or(added as u32);
        ruled.iter_mut().for_each(|list| list.tried -= least);
        self.growths.clear();
        least as usize
    }

    /// How many lists there are, including the list of everything.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The memory of all lists, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    fn insert(&mut self, symbols: Option<Box<[SymbolId]>>, rules: Box<[Rule]>, tried: u32) -> u32 {
        self.memory += memory(symbols.as_deref(), &rules);
        let id = self.lists.insert(Watchlist {
            symbols,
            rules,
            readers: 0,
            tried,
            entries: None,
        }) as u32;
        self.note_content(id);
        id
    }
}

impl Entries {
    fn are<E: AsRef<str>>(&self, others: &[E]) -> bool {
        let texts = self.texts.iter().map(AsRef::as_ref);
        texts.eq(others.iter().map(AsRef::as_ref))
    }

    fn memory(&self) -> usize {
        let lengths = self.texts.iter().map(|text| text.len());
        let texts = lengths.map(|length| length.next_multiple_of(16) + size_of::<Box<str>>());
        size_of::<Self>() + texts.sum::<usize>() + size_of::<u32>() * 2
    }
}

fn hash_of<E: AsRef<str>>(hasher: &DefaultHashBuilder, entries: &[E]) -> u64 {
    let mut state = hasher.build_hasher();
    for entry in entries {
        entry.as_ref().hash(&mut state);
    }
    state.finish()
}

impl<'a> Symbols<'a> {
    /// A walk that looks symbols up in ascending order.
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

/// The symbols of both lists, which are in ascending order and have no symbol in common.
pub(crate) fn merged(list: &[SymbolId], other: &[SymbolId]) -> Vec<SymbolId> {
    let mut all = Vec::with_capacity(list.len() + other.len());
    let mut rest = list;
    for &symbol in other {
        let (below, above) = rest.split_at(rest.partition_point(|&other| other < symbol));
        all.extend_from_slice(below);
        all.push(symbol);
        rest = above;
    }
    all.extend_from_slice(rest);
    all
}

/// A walk along a list beside another one: looking up all symbols of a large market costs one pass
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

/// The memory of a list: an estimate that is right to a few bytes.
fn memory(symbols: Option<&[SymbolId]>, rules: &[Rule]) -> usize {
    size_of::<Watchlist>()
        + symbols.map_or(0, |symbols| (symbols.len() * 2).next_multiple_of(16) + 16)
        + rules.len() * (size_of::<Rule>() + RULE_TEXT)
        + size_of::<u32>() * 2
}

/// How many growths are remembered.
const GROWTHS_MAX: usize = 32;

/// A list of at least this many names is noted by the entries that a client wrote.
const NAMES_NOTED: usize = 256;

/// The texts of a rule, approximately.
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
    fn equal_lists_are_found_after_all_others_were_dropped() {
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
        assert_eq!(merged(&list, &[0, 2, 3, 12]), [0, 1, 2, 3, 4, 5, 9, 12]);
        assert_eq!(merged(&list, &[]), list);
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
