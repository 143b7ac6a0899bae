//! What `seq` tells about lost ticks: the last numbers of each symbol on each connection.
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

    /// The name behind the number `id`.
    pub(super) fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(|name| &**name)
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
pub(super) struct Sequences(Vec<Place>);

/// One symbol's place.
#[derive(Clone, Debug)]
struct Place {
    id: u32,
    /// The highest number so far.
    last: u64,
    /// Which of the 64 numbers up to `last` have been there, that one in the lowest bit; no bit at
    /// all as long as no tick had a number.
    seen: u64,
    /// A number behind those, from which the server may have begun to count anew.
    candidate: Option<u64>,
}

/// What a tick's number says beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of its symbol on this connection: the snapshot that a joining client gets.
    First,
    /// The next one.
    Next,
    /// So many are missing in between.
    Gap(u64),
    /// One that has been there.
    Repeat,
    /// One that was missing, behind a newer one.
    Reordered,
    /// Behind what has been there, and not alone: the server counts anew.
    Restart,
    /// It has no number, or there are too many symbols to tell.
    Unknown,
}

impl Sequences {
    /// Notes the number `seq` of the symbol `id`. Returns the symbol's place, too: a small number
    /// that stays the same; none if there are too many symbols.
    pub(super) fn follow(&mut self, id: u32, seq: Option<u64>) -> (Step, Option<usize>) {
        // Where all connections get all symbols in one order, the number is the place, too.
        let here = match self.0.get(id as usize) {
            Some(place) if place.id == id => Some(id as usize),
            _ => self.0.iter().position(|place| place.id == id),
        };
        match here {
            Some(here) => (self.0[here].follow(seq), Some(here)),
            None if self.0.len() >= SYMBOLS_PER_CONNECTION_MAX => (Step::Unknown, None),
            None => {
                // One symbol is the common case, and a thousand spare places are not.
                self.0.reserve_exact(usize::from(self.0.is_empty()));
                self.0.push(Place {
                    id,
                    last: seq.unwrap_or_default(),
                    seen: if seq.is_some() { u64::MAX } else { 0 },
                    candidate: None,
                });
                (Step::First, Some(self.0.len() - 1))
            }
        }
    }

    /// The newest number of the symbol `id`; none if it has none.
    pub(super) fn last(&self, id: u32) -> Option<u64> {
        let place = self.0.iter().find(|place| place.id == id);
        place.filter(|it| it.is_numbered()).map(|it| it.last)
    }

    /// The numbers of its symbols, in the order of their places.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|place| place.id)
    }

    /// Forgets the symbol `id`. The places of others may change.
    pub(super) fn forget(&mut self, id: u32) {
        self.0.retain(|place| place.id != id);
    }

    /// Whether it knows of no symbol.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what another one has seen after this one.
    pub(super) fn catch_up(&mut self, newer: &Self) {
        for newer in newer.0.iter().filter(|it| it.is_numbered()) {
            match self.0.iter().position(|place| place.id == newer.id) {
                Some(here) => self.0[here] = newer.clone(),
                None if self.0.len() >= SYMBOLS_PER_CONNECTION_MAX => {}
                None => self.0.push(newer.clone()),
            }
        }
    }
}

impl Place {
    fn is_numbered(&self) -> bool {
        self.seen != 0
    }

    fn follow(&mut self, seq: Option<u64>) -> Step {
        let Some(seq) = seq else {
            return Step::Unknown;
        };
        if !self.is_numbered() {
            self.begin(seq);
            return Step::Unknown;
        }
        if let Some(behind) = self.last.checked_sub(seq) {
            return self.look_back(behind, seq);
        }
        let ahead = seq - self.last;
        let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.seen = self.seen.checked_shl(shift).unwrap_or_default() | 1;
        (self.last, self.candidate) = (seq, None);
        match ahead {
            1 => Step::Next,
            _ => Step::Gap(ahead - 1),
        }
    }

    /// A number at or below the last may be a straggler or a copy. Only when the one behind it
    /// follows, or it is where counting begins, does the server count anew.
    fn look_back(&mut self, behind: u64, seq: u64) -> Step {
        let bit = u32::try_from(behind)
            .ok()
            .and_then(|it| 1u64.checked_shl(it));
        let was_seen = bit.map(|bit| self.seen & bit != 0);
        if was_seen == Some(false) {
            self.seen |= bit.unwrap_or_default();
            return Step::Reordered;
        }
        let follows = self
            .candidate
            .is_some_and(|it| it.checked_add(1) == Some(seq));
        if behind > 0 && (follows || seq <= 1) {
            self.begin(seq);
            return Step::Restart;
        }
        self.candidate = Some(seq);
        match was_seen {
            Some(_) => Step::Repeat,
            None => Step::Reordered,
        }
    }

    /// What came before `seq` was never expected, so it cannot be missing.
    fn begin(&mut self, seq: u64) {
        (self.last, self.seen, self.candidate) = (seq, u64::MAX, None);
    }
}

const SYMBOLS_MAX: usize = 4096;

const SYMBOL_LENGTH_MAX: usize = 64;

/// Nobody can have more of them than there are.
const SYMBOLS_PER_CONNECTION_MAX: usize = SYMBOLS_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of `seqs`, all of one symbol.
    fn steps(seqs: &[u64]) -> Vec<Step> {
        let mut sequences = Sequences::default();
        let follow = |&seq| sequences.follow(0, Some(seq)).0;
        seqs.iter().map(follow).collect()
    }

    #[test]
    fn gaps_and_repeats_are_seen_per_symbol() {
        let (mut symbols, mut sequences) = (Symbols::default(), Sequences::default());
        let mut follow = |symbol, seq| {
            let id = symbols.id(symbol).unwrap();
            sequences.follow(id, Some(seq)).0
        };
        assert_eq!(follow("A", 7), Step::First);
        assert_eq!(follow("B", 1), Step::First);
        assert_eq!(follow("A", 8), Step::Next);
        assert_eq!(follow("A", 12), Step::Gap(3));
        assert_eq!(follow("A", 12), Step::Repeat);
        assert_eq!(follow("B", 2), Step::Next);
        assert_eq!(symbols.name(1), Some("B"));
    }

    #[test]
    fn a_tick_behind_a_newer_one_is_no_gap_and_no_repeat() {
        use Step::{First, Gap, Next, Reordered, Repeat};
        assert_eq!(
            steps(&[1, 2, 4, 3, 5, 3, 2, 6]),
            [First, Next, Gap(1), Reordered, Next, Repeat, Repeat, Next]
        );
        // What came before the first tick was never missed.
        assert_eq!(steps(&[7, 6, 8]), [First, Repeat, Next]);
        assert_eq!(
            steps(&[1, 65, 2, 1]),
            [First, Gap(63), Reordered, Step::Restart]
        );
    }

    #[test]
    fn a_server_may_count_anew() {
        use Step::{First, Gap, Next, Restart};
        assert_eq!(steps(&[900, 1, 2, 4]), [First, Restart, Next, Gap(1)]);
        assert_eq!(
            steps(&[0, u64::MAX, 0]),
            [First, Gap(u64::MAX - 1), Restart]
        );
    }

    #[test]
    fn a_straggler_is_no_new_beginning_and_a_near_one_is() {
        use Step::{First, Gap, Next, Reordered, Repeat, Restart};
        assert_eq!(steps(&[900, 5, 901]), [First, Reordered, Next]);
        assert_eq!(steps(&[900, 5, 6, 7]), [First, Reordered, Restart, Next]);
        assert_eq!(
            steps(&[20, 21, 3, 4, 6]),
            [First, Next, Repeat, Restart, Gap(1)]
        );
        assert_eq!(
            steps(&[20, 21, 0, 1, 2]),
            [First, Next, Restart, Next, Next]
        );
        assert_eq!(steps(&[1, 1, 2]), [First, Repeat, Next]);
        assert_eq!(
            steps(&[1, 2, 5, 3, 4, 6]),
            [First, Next, Gap(2), Reordered, Reordered, Next]
        );
    }

    #[test]
    fn ticks_without_a_number_have_an_order_nobody_knows() {
        let mut sequences = Sequences::default();
        let mut follow = |seq| sequences.follow(0, seq);
        assert_eq!(follow(None), (Step::First, Some(0)));
        assert_eq!(follow(None), (Step::Unknown, Some(0)));
        assert_eq!(follow(Some(5)), (Step::Unknown, Some(0)));
        assert_eq!(follow(Some(7)), (Step::Gap(1), Some(0)));
    }

    #[test]
    fn what_was_seen_before_is_taken_over_by_what_was_seen_after() {
        let (mut before, mut after) = (Sequences::default(), Sequences::default());
        for (id, seq) in [(0, 40), (1, 7)] {
            before.follow(id, Some(seq));
        }
        // Lower, too: the server has counted anew.
        for (id, seq) in [(0, Some(3)), (2, Some(9)), (3, None)] {
            after.follow(id, seq);
        }
        before.catch_up(&after);
        let last = [0, 1, 2, 3].map(|id| before.last(id));
        assert_eq!(last, [Some(3), Some(7), Some(9), None]);
        assert_eq!(before.follow(0, Some(4)).0, Step::Next);
        (0..3).for_each(|id| before.forget(id));
        assert!(before.is_empty());
    }

    #[test]
    fn connections_may_see_symbols_in_different_orders() {
        let (mut one, mut other) = (Sequences::default(), Sequences::default());
        for id in [0, 1, 2] {
            assert_eq!(one.follow(id, Some(5)).0, Step::First);
            assert_eq!(other.follow(2 - id, Some(5)).0, Step::First);
        }
        for id in [2, 0, 1] {
            assert_eq!(one.follow(id, Some(6)).0, Step::Next);
            assert_eq!(other.follow(id, Some(6)).0, Step::Next);
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
            sequences.follow(id, Some(1));
        }
        assert_eq!(sequences.0.len(), SYMBOLS_PER_CONNECTION_MAX);
        assert_eq!(sequences.follow(ids[300], Some(2)), (Step::Next, Some(300)));
        let one_more = SYMBOLS_MAX as u32;
        assert_eq!(sequences.follow(one_more, Some(1)), (Step::Unknown, None));
    }
}
