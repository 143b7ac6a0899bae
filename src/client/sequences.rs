//! What `seq` tells about lost ticks: the last number of each symbol on each connection.
//!
//! A thousand connections see the same symbols, so names are kept once for all and a connection
//! keeps pairs of numbers. Both are bounded: no server can make a client remember without end.

use std::collections::HashMap;

/// The symbols of all connections, as small numbers.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// The one asked for last: ticks of a symbol reach all connections in a row.
    last: u32,
}

impl Symbols {
    /// The number of `symbol`; none if there are too many symbols already.
    pub(super) fn id(&mut self, symbol: &str) -> Option<u32> {
        if self
            .names
            .get(self.last as usize)
            .is_some_and(|last| **last == *symbol)
        {
            return Some(self.last);
        }
        self.last = match self.ids.get(symbol) {
            Some(&id) => id,
            None => self.add(symbol)?,
        };
        Some(self.last)
    }

    fn add(&mut self, symbol: &str) -> Option<u32> {
        if self.names.len() >= SYMBOLS_MAX || symbol.len() > SYMBOL_LENGTH_MAX {
            return None;
        }
        let id = u32::try_from(self.names.len()).ok()?;
        self.names.push(symbol.into());
        self.ids.insert(symbol.into(), id);
        Some(id)
    }
}

/// The newest `seq` of each symbol on one connection.
#[derive(Debug, Default)]
pub(super) struct Sequences(Vec<(u32, u64)>);

/// What a tick's number says beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of its symbol on this connection: the snapshot that a joining client gets.
    First,
    /// The next one.
    Next,
    /// So many are missing in between.
    Gap(u64),
    /// Not newer than the one before.
    Repeat,
    /// Too many symbols to tell.
    Unknown,
}

impl Sequences {
    /// Notes the number `seq` of the symbol `id`.
    pub(super) fn follow(&mut self, id: u32, seq: u64) -> Step {
        // Where all connections get all symbols in one order, the number is the place, too.
        let here = match self.0.get(id as usize) {
            Some(&(at, _)) if at == id => Some(id as usize),
            _ => self.0.iter().position(|&(at, _)| at == id),
        };
        let Some(here) = here else {
            if self.0.len() >= SYMBOLS_PER_CONNECTION_MAX {
                return Step::Unknown;
            }
            // One symbol is the common case, and a thousand spare places are not.
            self.0.reserve_exact(usize::from(self.0.is_empty()));
            self.0.push((id, seq));
            return Step::First;
        };
        let last = &mut self.0[here].1;
        let step = match seq.checked_sub(*last) {
            None | Some(0) => Step::Repeat,
            Some(1) => Step::Next,
            Some(ahead) => Step::Gap(ahead - 1),
        };
        // Also backwards: a server that has started again counts from one.
        *last = seq;
        step
    }
}

impl Sequences {
    /// The newest number of the symbol `id`.
    pub(super) fn last(&self, id: u32) -> Option<u64> {
        let place = self.0.iter().find(|&&(at, _)| at == id);
        place.map(|&(_, last)| last)
    }

    /// Forgets the symbol `id`.
    pub(super) fn forget(&mut self, id: u32) {
        self.0.retain(|&(at, _)| at != id);
    }

    /// Whether it knows of no symbol.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what another one has seen after this one.
    pub(super) fn catch_up(&mut self, newer: &Self) {
        for &(id, last) in &newer.0 {
            self.follow(id, last);
        }
    }
}

const SYMBOLS_MAX: usize = 4096;

const SYMBOL_LENGTH_MAX: usize = 64;

const SYMBOLS_PER_CONNECTION_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repeats_are_seen_per_symbol() {
        let (mut symbols, mut sequences) = (Symbols::default(), Sequences::default());
        let mut follow = |symbol, seq| sequences.follow(symbols.id(symbol).unwrap(), seq);
        assert_eq!(follow("A", 7), Step::First);
        assert_eq!(follow("B", 1), Step::First);
        assert_eq!(follow("A", 8), Step::Next);
        assert_eq!(follow("A", 12), Step::Gap(3));
        assert_eq!(follow("A", 12), Step::Repeat);
        assert_eq!(follow("A", 5), Step::Repeat);
        assert_eq!(follow("A", 6), Step::Next);
        assert_eq!(follow("B", 2), Step::Next);
    }

    #[test]
    fn connections_may_see_symbols_in_different_orders() {
        let (mut one, mut other) = (Sequences::default(), Sequences::default());
        for id in [0, 1, 2] {
            assert_eq!(one.follow(id, 5), Step::First);
            assert_eq!(other.follow(2 - id, 5), Step::First);
        }
        for id in [2, 0, 1] {
            assert_eq!(one.follow(id, 6), Step::Next);
            assert_eq!(other.follow(id, 6), Step::Next);
        }
    }

    #[test]
    fn memory_is_bounded_whatever_the_names() {
        let (mut symbols, mut sequences) = (Symbols::default(), Sequences::default());
        let ids = (0..SYMBOLS_MAX + 9).filter_map(|n| symbols.id(&n.to_string()));
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids.len(), SYMBOLS_MAX);
        assert_eq!(Symbols::default().id(&"x".repeat(65)), None);
        for &id in &ids {
            sequences.follow(id, 1);
        }
        assert_eq!(sequences.0.len(), SYMBOLS_PER_CONNECTION_MAX);
        assert_eq!(sequences.follow(ids[300], 2), Step::Unknown);
    }
}
