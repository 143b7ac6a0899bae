//! Follows the numbers (`seq`) of each symbol on each connection, which reveal lost ticks.
//!
//! Thousands of connections see the same symbols, so names are stored once for all connections, and
//! a connection stores only numbers: 32 bytes for each of its symbols. Memory is bounded, so no
//! server can exhaust it.

mod index;

use std::collections::HashMap;

use crate::client::measure::sequence::index::Index;

/// The symbols of all connections, as small numbers.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    /// The number returned last.
    last: u32,
}

impl Symbols {
    /// The number of `symbol`; `None` if there are too many symbols already. If it is the `likely`
    /// one or that of the last call, no hashing is needed: a connection gets its symbols in much
    /// the same order again and again, and one tick goes to many connections in a row.
    pub(crate) fn id(&mut self, symbol: &str, likely: Option<u32>) -> Option<u32> {
        let guesses = [likely.unwrap_or(self.last), self.last];
        let id = match guesses
            .into_iter()
            .find(|&id| self.name(id) == Some(symbol))
        {
            Some(id) => id,
            None => match self.ids.get(symbol) {
                Some(&id) => id,
                None => self.add(symbol)?,
            },
        };
        self.last = id;
        Some(id)
    }

    /// The name of the symbol `id`.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
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
pub(crate) struct Sequences {
    places: Vec<Place>,
    /// Finds the place of a symbol; `None` while a linear search is fast enough.
    index: Option<Index>,
    /// Whether some symbol's place differs from its number. Never so where all connections get all
    /// symbols in one order.
    is_mixed: bool,
    /// The place of the symbol that is likely to come next: the one after the last.
    next: usize,
    /// How many places have a number.
    numbered: usize,
}

/// One symbol's place.
#[derive(Clone, Debug)]
struct Place {
    id: u32,
    /// The highest number so far.
    last: u64,
    /// Which of the 64 numbers up to `last` have been seen, `last` being the lowest bit; zero as
    /// long as no tick had a number.
    seen: u64,
    /// A number below those, from which the server may have begun to count again. `u64::MAX` stands
    /// for none, since no number can follow it.
    candidate: u64,
}

/// What a tick's number shows, compared with the numbers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeqEvent {
    /// The first tick of its symbol on this connection: the snapshot for a joining client.
    First,
    /// The next number.
    Next,
    /// This many numbers are missing before it.
    Gap(u64),
    /// This many numbers were left out before it on request.
    Conflated(u64),
    /// A number that was seen before.
    Repeat,
    /// A missing number that arrives after a newer one.
    Reordered,
    /// A lower number that others follow: the server's numbers began again.
    Restart,
    /// It has no number, or there are too many symbols.
    Unknown,
}

impl SeqEvent {
    /// The same for a server that was asked to leave out ticks: none is missing.
    pub(crate) fn conflated(self) -> Self {
        match self {
            Self::Gap(left_out) => Self::Conflated(left_out),
            other => other,
        }
    }
}

impl Sequences {
    /// Notes the number `seq` of the symbol `id`. Also returns the symbol's place, a small number
    /// that does not change; `None` if there are too many symbols.
    pub(crate) fn follow(&mut self, id: u32, seq: Option<u64>) -> (SeqEvent, Option<usize>) {
        let (step, place) = match self.find(id) {
            Some(place) => {
                let was_numbered = self.places[place].is_numbered();
                let step = self.places[place].follow(seq);
                self.numbered += usize::from(seq.is_some() && !was_numbered);
                (step, place)
            }
            None if self.places.len() >= SYMBOLS_PER_CONNECTION_MAX => {
                return (SeqEvent::Unknown, None);
            }
            None => (SeqEvent::First, self.add(Place::new(id, seq))),
        };
        self.next = place + 1;
        (step, Some(place))
    }

    /// The symbol that is likely to tick next: symbols tend to come in the order in which they came
    /// before.
    pub(crate) fn likely(&self) -> Option<u32> {
        let place = self.places.get(self.likely_place())?;
        Some(place.id)
    }

    fn likely_place(&self) -> usize {
        if self.next < self.places.len() {
            self.next
        } else {
            0
        }
    }

    /// The newest number of the symbol `id`, if it has one.
    pub(crate) fn last(&self, id: u32) -> Option<u64> {
        let place = &self.places[self.find(id)?];
        place.is_numbered().then_some(place.last)
    }

    /// Its symbols in the order of their places.
    pub(crate) fn ids(&self) -> impl ExactSizeIterator<Item = u32> {
        self.places.iter().map(|place| place.id)
    }

    /// Forgets the numbers of the symbol `id`.
    pub(crate) fn forget(&mut self, id: u32) {
        if let Some(place) = self.find(id) {
            self.numbered -= usize::from(self.places[place].is_numbered());
            self.places[place] = Place::new(id, None);
        }
    }

    /// Whether no symbol has a number.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbered == 0
    }

    /// Merges the numbers that `newer` has seen after this one.
    pub(crate) fn catch_up(&mut self, newer: &Self) {
        for newer in newer.places.iter().filter(|place| place.is_numbered()) {
            match self.find(newer.id) {
                Some(here) => {
                    self.numbered += usize::from(!self.places[here].is_numbered());
                    self.places[here] = newer.clone();
                }
                None if self.places.len() >= SYMBOLS_PER_CONNECTION_MAX => {}
                None => drop(self.add(newer.clone())),
            }
        }
    }

    fn find(&self, id: u32) -> Option<usize> {
        let is_here = |place: &usize| self.places.get(*place).is_some_and(|known| known.id == id);
        if let Some(place) = [self.likely_place(), id as usize].into_iter().find(is_here) {
            return Some(place);
        }
        match &self.index {
            Some(index) => index.find(id, |place| self.places[place].id),
            None if self.is_mixed => self.places.iter().position(|place| place.id == id),
            None => None,
        }
    }

    /// Gives a new symbol the next place.
    fn add(&mut self, place: Place) -> usize {
        let (id, here) = (place.id, self.places.len());
        // A single symbol is common, and spare capacity adds up over thousands of connections.
        self.places.reserve_exact(usize::from(here == 0));
        self.places.push(place);
        self.numbered += usize::from(self.places[here].is_numbered());
        self.is_mixed |= id as usize != here;
        match &mut self.index {
            Some(index) if index.has_room() => index.insert(id, here),
            // A short list is searched just as fast, and takes less memory.
            _ if self.is_mixed && here >= UNINDEXED_MAX => self.index = Some(Index::of(self.ids())),
            _ => {}
        }
        here
    }
}

impl Place {
    fn new(id: u32, seq: Option<u64>) -> Self {
        Self {
            id,
            last: seq.unwrap_or_default(),
            seen: if seq.is_some() { u64::MAX } else { 0 },
            candidate: NO_CANDIDATE,
        }
    }

    fn is_numbered(&self) -> bool {
        self.seen != 0
    }

    fn follow(&mut self, seq: Option<u64>) -> SeqEvent {
        let Some(seq) = seq else {
            return SeqEvent::Unknown;
        };
        if !self.is_numbered() {
            self.begin(seq);
            return SeqEvent::Unknown;
        }
        if let Some(behind) = self.last.checked_sub(seq) {
            return self.look_back(behind, seq);
        }
        let ahead = seq - self.last;
        let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.seen = self.seen.checked_shl(shift).unwrap_or_default() | 1;
        (self.last, self.candidate) = (seq, NO_CANDIDATE);
        match ahead {
            1 => SeqEvent::Next,
            _ => SeqEvent::Gap(ahead - 1),
        }
    }

    /// A number at or below the last may be late or a copy. Only if the next one follows it, or if
    /// counting begins at it, have the server's numbers begun again.
    fn look_back(&mut self, behind: u64, seq: u64) -> SeqEvent {
        let bit = u32::try_from(behind)
            .ok()
            .and_then(|shift| 1u64.checked_shl(shift));
        let was_seen = bit.map(|bit| self.seen & bit != 0);
        if was_seen == Some(false) {
            self.seen |= bit.unwrap_or_default();
            return SeqEvent::Reordered;
        }
        let follows = self.candidate.checked_add(1) == Some(seq);
        if behind > 0 && (follows || seq <= 1) {
            self.begin(seq);
            return SeqEvent::Restart;
        }
        self.candidate = seq;
        match was_seen {
            Some(_) => SeqEvent::Repeat,
            None => SeqEvent::Reordered,
        }
    }

    /// The numbers before `seq` were never expected, so they cannot be missing.
    fn begin(&mut self, seq: u64) {
        (self.last, self.seen, self.candidate) = (seq, u64::MAX, NO_CANDIDATE);
    }
}

const NO_CANDIDATE: u64 = u64::MAX;

/// A whole exchange has a few thousand symbols.
const SYMBOLS_MAX: usize = 1 << 16;

const SYMBOL_LENGTH_MAX: usize = 64;

/// A connection cannot have more symbols than there are.
const SYMBOLS_PER_CONNECTION_MAX: usize = SYMBOLS_MAX;

/// Up to this many places, a linear search is used.
const UNINDEXED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of `seqs`, all of one symbol.
    fn steps(seqs: &[u64]) -> Vec<SeqEvent> {
        let mut sequences = Sequences::default();
        let follow = |&seq| sequences.follow(0, Some(seq)).0;
        seqs.iter().map(follow).collect()
    }

    #[test]
    fn gaps_and_repeats_are_seen_per_symbol() {
        let (mut symbols, mut sequences) = (Symbols::default(), Sequences::default());
        let mut follow = |symbol, seq| {
            let id = symbols.id(symbol, None).unwrap();
            sequences.follow(id, Some(seq)).0
        };
        assert_eq!(follow("A", 7), SeqEvent::First);
        assert_eq!(follow("B", 1), SeqEvent::First);
        assert_eq!(follow("A", 8), SeqEvent::Next);
        assert_eq!(follow("A", 12), SeqEvent::Gap(3));
        assert_eq!(follow("A", 12), SeqEvent::Repeat);
        assert_eq!(follow("B", 2), SeqEvent::Next);
        assert_eq!(symbols.name(1), Some("B"));
    }

    #[test]
    fn a_late_tick_is_neither_a_gap_nor_a_repeat() {
        use SeqEvent::{First, Gap, Next, Reordered, Repeat};
        assert_eq!(
            steps(&[1, 2, 4, 3, 5, 3, 2, 6]),
            [First, Next, Gap(1), Reordered, Next, Repeat, Repeat, Next]
        );
        // Numbers before the first tick were never missed.
        assert_eq!(steps(&[7, 6, 8]), [First, Repeat, Next]);
        assert_eq!(
            steps(&[1, 65, 2, 1]),
            [First, Gap(63), Reordered, SeqEvent::Restart]
        );
    }

    #[test]
    fn the_numbers_of_a_server_may_begin_again() {
        use SeqEvent::{First, Gap, Next, Restart};
        assert_eq!(steps(&[900, 1, 2, 4]), [First, Restart, Next, Gap(1)]);
        assert_eq!(
            steps(&[0, u64::MAX, 0]),
            [First, Gap(u64::MAX - 1), Restart]
        );
    }

    #[test]
    fn a_single_lower_number_is_not_a_restart() {
        use SeqEvent::{First, Gap, Next, Reordered, Repeat, Restart};
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
    fn ticks_without_a_number_have_an_unknown_order() {
        let mut sequences = Sequences::default();
        let mut follow = |seq| sequences.follow(0, seq);
        assert_eq!(follow(None), (SeqEvent::First, Some(0)));
        assert_eq!(follow(None), (SeqEvent::Unknown, Some(0)));
        assert_eq!(follow(Some(5)), (SeqEvent::Unknown, Some(0)));
        assert_eq!(follow(Some(7)), (SeqEvent::Gap(1), Some(0)));
    }

    #[test]
    fn newer_numbers_replace_older_ones() {
        let (mut before, mut after) = (Sequences::default(), Sequences::default());
        for (id, seq) in [(0, 40), (1, 7)] {
            before.follow(id, Some(seq));
        }
        // A lower number counts, too: the server's numbers began again.
        for (id, seq) in [(0, Some(3)), (2, Some(9)), (3, None)] {
            after.follow(id, seq);
        }
        before.catch_up(&after);
        let last = [0, 1, 2, 3].map(|id| before.last(id));
        assert_eq!(last, [Some(3), Some(7), Some(9), None]);
        assert_eq!(before.follow(0, Some(4)).0, SeqEvent::Next);
        (0..3).for_each(|id| before.forget(id));
        assert!(before.is_empty());
    }

    #[test]
    fn connections_may_see_symbols_in_different_orders() {
        let (mut one, mut other) = (Sequences::default(), Sequences::default());
        for id in [0, 1, 2] {
            assert_eq!(one.follow(id, Some(5)).0, SeqEvent::First);
            assert_eq!(other.follow(2 - id, Some(5)).0, SeqEvent::First);
        }
        for id in [2, 0, 1] {
            assert_eq!(one.follow(id, Some(6)).0, SeqEvent::Next);
            assert_eq!(other.follow(id, Some(6)).0, SeqEvent::Next);
        }
    }

    #[test]
    fn the_likely_symbol_never_changes_the_result() {
        let mut symbols = Symbols::default();
        let ids = ["A", "B", "C"].map(|name| symbols.id(name, None));
        assert_eq!(ids, [Some(0), Some(1), Some(2)]);
        for likely in [None, Some(0), Some(2), Some(9)] {
            assert_eq!(symbols.id("B", likely), Some(1));
            assert_eq!(symbols.id("B", likely), Some(1));
            assert_eq!(symbols.id("D", likely), Some(3));
        }
    }

    #[test]
    fn the_order_of_symbols_is_remembered() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.likely(), None);
        for (round, id) in (0..3).flat_map(|round| [(round, 30), (round, 7), (round, 19)]) {
            assert!(round == 0 || sequences.likely() == Some(id));
            sequences.follow(id, Some(round));
        }
    }

    #[test]
    fn many_symbols_in_any_order_are_kept_apart() {
        let mut rng = fastrand::Rng::with_seed(1);
        for count in [1, 8, 9, 20, 500] {
            let mut ids: Vec<u32> = (0..1_000).collect();
            rng.shuffle(&mut ids);
            ids.truncate(count);
            let mut sequences = Sequences::default();
            let first = ids
                .iter()
                .map(|&id| sequences.follow(id, Some(u64::from(id))));
            assert!(
                first
                    .zip(0..)
                    .all(|(told, at)| told == (SeqEvent::First, Some(at)))
            );
            let places = ids.clone();
            rng.shuffle(&mut ids);
            for (round, &id) in (1..4).flat_map(|round| ids.iter().map(move |id| (round, id))) {
                let place = places.iter().position(|known| *known == id);
                let told = sequences.follow(id, Some(u64::from(id) + round));
                assert_eq!(told, (SeqEvent::Next, place));
            }
            assert!((1_000..1_100).all(|id| sequences.last(id).is_none()));
            ids.iter().for_each(|&id| sequences.forget(id));
            assert!(sequences.is_empty());
        }
    }

    #[test]
    fn memory_is_bounded_whatever_the_names() {
        let (mut symbols, mut sequences) = (Symbols::default(), Sequences::default());
        let ids = (0..SYMBOLS_MAX + 9).filter_map(|n| symbols.id(&n.to_string(), None));
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids.len(), SYMBOLS_MAX);
        assert_eq!(Symbols::default().id(&"x".repeat(65), None), None);
        for &id in &ids {
            sequences.follow(id, Some(1));
        }
        assert_eq!(sequences.places.len(), SYMBOLS_PER_CONNECTION_MAX);
        assert_eq!(
            sequences.follow(ids[300], Some(2)),
            (SeqEvent::Next, Some(300))
        );
        let one_more = SYMBOLS_MAX as u32;
        assert_eq!(
            sequences.follow(one_more, Some(1)),
            (SeqEvent::Unknown, None)
        );
    }
}
