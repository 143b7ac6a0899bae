//! What a reader is owed before it reads on: the newest ticks of symbols that are new to it or that
//! it has skipped ticks of, and the state of these symbols.
//!
//! A debt is paid in the order in which its frames were printed, in pieces as the socket takes
//! them. Meanwhile the reader's position stands still. A symbol that ticks again is no longer owed:
//! its tick lies behind the position, so the tape brings it.
//!
//! A few frames are owed by name. A longer debt is not copied for each reader; its frames are found
//! when their turn comes, from a place in the order of printing
//! ([`Settled`](super::settled::Settled), then the tape) and from what the reader has not had since
//! then ([`Claim`]). So a debt is small, however large the market is.

use std::cmp::Reverse;
use std::time::Instant;

use super::gather::SYMBOLS_PER_FRAME;
use super::instrument::Instrument;
use super::watchlists::{ListId, difference};
use super::{Hub, Symbols};
use crate::server::scaled::Scaled;
use crate::tape::{EVERYONE, FrameNumber, SymbolId};

/// What one reader is owed.
#[derive(Default)]
pub(crate) struct Debt {
    /// Frames owed by name, the last one first.
    named: Vec<Owed>,
    /// Claims to frames that are found as they are paid.
    claims: Vec<Claim>,
}

/// What a symbol has that a reader is owed.
struct News {
    tick: bool,
    event: bool,
}

/// One frame that a reader is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    /// The newest tick.
    Tick(SymbolId),
    /// Whether the symbol is stale, live or delisted.
    Event(SymbolId),
    /// The closing frame.
    Close,
}

/// A claim to the newest ticks and events of a list, described by what they have in common.
struct Claim {
    /// The first frame that may be among them.
    next: FrameNumber,
    /// From here on the claim covers everything.
    all_from: FrameNumber,
    /// Before that, it covers ticks newer than this stamp, and which symbols are stale.
    seen: u64,
    /// How often symbols had come or gone when the claim was made.
    made: u64,
    /// Covers only symbols of the first list and, before `all_from`, none of the second. Both lists
    /// were taken for the claim.
    within: Option<ListId>,
    known: Option<ListId>,
}

impl Debt {
    /// Whether the debt is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.claims.is_empty()
    }

    /// Whether the debt is so large that requests that could add to it have to wait.
    pub(crate) fn is_large(&self) -> bool {
        !self.claims.is_empty() || self.named.len() > NAMED_MAX.get()
    }

    /// The memory on the heap, in bytes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.named.capacity() * size_of::<Owed>() + self.claims.capacity() * size_of::<Claim>()
    }

    /// The lists that it has taken.
    #[cfg(test)]
    pub(crate) fn lists(&self) -> impl Iterator<Item = ListId> {
        let lists = self.claims.iter().map(|claim| [claim.within, claim.known]);
        lists.flatten().flatten()
    }

    fn claim(&mut self, claim: Claim) {
        self.claims.push(claim);
    }
}

impl Hub {
    /// Adds to a debt what a reader of `list` is owed when it joins at the head and has seen
    /// everything up to the stamp `seen`: every newer tick, and which symbols are stale.
    pub(crate) fn owe_on_joining(&self, debt: &mut Debt, list: ListId, seen: u64) {
        if self.known_count(list) > NAMED_MAX.get() {
            return debt.claim(Claim {
                next: 1,
                all_from: self.tape.head(),
                seen,
                made: self.changes,
                within: None,
                known: None,
            });
        }
        self.owe(debt, self.symbols(list), |instrument| {
            let has_tick = instrument.is_listed && instrument.seq > 0;
            News {
                tick: has_tick && instrument.sent > seen,
                event: instrument.is_listed && instrument.is_stale(),
            }
        });
    }

    /// Adds to a debt what a reader of `list` is owed when it skips everything from `from` to the
    /// head: the newest tick of each symbol unless it has had it, and the state of each symbol
    /// unless it has been told.
    pub(crate) fn owe_for_skipping(&self, debt: &mut Debt, list: ListId, from: FrameNumber) {
        let symbols = self.symbols(list);
        let length = self.known_count(list);
        if length > NAMED_MAX.get() {
            // Claims to everything begin no later, since the reader's position has not moved.
            if !debt.claims.iter().any(|claim| claim.within.is_none()) {
                debt.claim(Claim {
                    next: from,
                    all_from: from,
                    seen: u64::MAX,
                    made: self.changes,
                    within: None,
                    known: None,
                });
            }
            return self.sort_named(&mut debt.named);
        }
        let distance = self.tape.head().saturating_sub(from) as usize;
        let wanted = |instrument: &Instrument| News {
            tick: instrument.tick >= from,
            event: instrument.event >= from,
        };
        if from < self.tape.tail() || distance * SYMBOLS_PER_FRAME >= length {
            return self.owe(debt, symbols, wanted);
        }
        // The reader is hardly behind on a long list: the frames printed meanwhile are less to look
        // at than the list.
        let printed = self.tape.symbols(from, self.tape.head());
        let mut printed: Vec<_> = printed
            .map(|(_, symbol)| symbol)
            .filter(|&symbol| symbol != EVERYONE && symbols.contains(symbol))
            .collect();
        printed.sort_unstable();
        printed.dedup();
        self.worked(distance);
        self.owe(debt, Symbols::Some(&printed), wanted);
    }

    /// Adds to a debt what a reader at `position` is owed when it changes from one list to another:
    /// what it would be owed on joining, for the symbols that are new to it. Symbols that it no
    /// longer watches are no longer owed.
    pub(crate) fn owe_for_changing(
        &mut self,
        debt: &mut Debt,
        (from, to): (ListId, ListId),
        position: FrameNumber,
    ) {
        let claims = debt.claims.iter_mut();
        for claim in claims.filter(|claim| claim.within.is_none()) {
            self.lists.take_again(from);
            claim.within = Some(from);
        }
        let new = self.new_symbols(from, to);
        if new.len() > NAMED_MAX.get() {
            self.lists.take_again(from);
            return debt.claim(Claim {
                next: 1,
                all_from: position,
                seen: 0,
                made: self.changes,
                within: None,
                known: Some(from),
            });
        }
        self.owe(debt, Symbols::Some(&new), |instrument| {
            let is_listed = instrument.is_listed;
            News {
                tick: is_listed && instrument.seq > 0,
                event: is_listed && instrument.is_stale(),
            }
        });
    }

    fn new_symbols(&self, from: ListId, to: ListId) -> Vec<SymbolId> {
        match (self.symbols(from), self.symbols(to)) {
            (Symbols::Everything, _) => Vec::new(),
            (Symbols::Some(known), Symbols::Everything) => {
                let mut known = Symbols::Some(known).walk();
                self.worked(self.instruments.len() / SYMBOLS_PER_STEP);
                self.listed_ids()
                    .filter(|&id| !known.contains(id))
                    .collect()
            }
            (Symbols::Some(known), Symbols::Some(symbols)) => {
                self.worked((known.len() + symbols.len()) / SYMBOLS_PER_STEP);
                difference(symbols, known).collect()
            }
        }
    }

    /// Adds what `wanted` says of each symbol.
    fn owe(&self, debt: &mut Debt, symbols: Symbols<'_>, wanted: impl Fn(&Instrument) -> News) {
        let named = &mut debt.named;
        let mut add = |symbol: SymbolId| {
            let News { tick, event } = wanted(self.instrument(symbol));
            if tick {
                named.push(Owed::Tick(symbol));
            }
            if event {
                named.push(Owed::Event(symbol));
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
        self.sort_named(named);
    }

    /// Adds the closing frame to the debt of a reader that passes over everything from `from` on:
    /// it is the one frame for everyone that no reader may miss.
    pub(crate) fn owe_close(&self, debt: &mut Debt, from: FrameNumber) {
        if self.is_closed() && self.number_of(Owed::Close) >= from {
            debt.named.push(Owed::Close);
            self.sort_named(&mut debt.named);
        }
    }

    /// Removes from a debt the symbols that are not in a list.
    pub(crate) fn forgive(&self, debt: &mut Debt, list: ListId) {
        let symbols = self.symbols(list);
        self.worked(debt.named.len());
        debt.named.retain(|owed| match owed {
            Owed::Tick(symbol) | Owed::Event(symbol) => symbols.contains(*symbol),
            Owed::Close => true,
        });
    }

    /// Sorts so that the next frame to pay is last. No two frames have the same number, so
    /// duplicates end up side by side.
    fn sort_named(&self, named: &mut Vec<Owed>) {
        if named.len() > 1 {
            // Looks each number up once: in a large market they are far apart in memory.
            named.sort_by_cached_key(|&owed| Reverse(self.number_of(owed)));
            named.dedup();
        }
    }

    /// Passes the owed frames of a reader of `list` to `write`, oldest first, until `write` says
    /// that it has enough or the search has done enough work for one turn. Frames at `position` or
    /// behind it are left out: the tape brings them.
    pub(crate) fn pay(
        &mut self,
        debt: &mut Debt,
        (list, position): (ListId, FrameNumber),
        now: Instant,
        write: impl FnMut(&[u8]) -> bool,
    ) {
        let next = self.pay_some(debt, (list, position), now, write);
        for claim in &mut debt.claims {
            claim.next = claim.next.max(next);
        }
        if next >= position {
            self.drop_claims(debt);
        }
    }

    /// Returns the first frame that may still be claimed.
    fn pay_some(
        &self,
        Debt { named, claims }: &mut Debt,
        (list, position): (ListId, FrameNumber),
        now: Instant,
        mut write: impl FnMut(&[u8]) -> bool,
    ) -> FrameNumber {
        let mut event = Vec::new();
        let mut search = self.search(claims, list, position);
        let mut found = search.next();
        loop {
            let by_name = self.next_named(named, position);
            let by_claim = match found {
                Found::Frame(number, owed) => Some((number, owed)),
                Found::Nothing => None,
                Found::Enough => break,
            };
            let both = [by_name, by_claim].into_iter().flatten();
            let Some((number, owed)) = both.min_by_key(|&(number, _)| number) else {
                break;
            };
            if by_name.is_some_and(|(first, _)| first == number) {
                named.pop();
            }
            if by_claim.is_some_and(|(first, _)| first == number) {
                found = search.next();
            }
            let is_enough = match owed {
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
        match found {
            Found::Frame(number, _) => number,
            Found::Nothing => position,
            Found::Enough => search.reached,
        }
    }

    /// The search for what the `claims` of a reader of `list` at `position` cover.
    fn search<'a>(
        &'a self,
        claims: &'a [Claim],
        list: ListId,
        position: FrameNumber,
    ) -> Search<'a, impl Iterator<Item = (FrameNumber, SymbolId)> + 'a> {
        let from = claims.iter().map(|claim| claim.next).min();
        let from = from.unwrap_or(position);
        let tail = self.tape.tail();
        let settled = self.settled.from(from);
        let on_tape = self
            .tape
            .symbols(from.max(tail), position.max(from).max(tail));
        let frames = settled.chain(on_tape);
        Search {
            hub: self,
            claims,
            symbols: self.symbols(list),
            frames: frames.take_while(move |&(number, _)| number < position),
            reached: from,
            left: LOOKS_MAX.get(),
        }
    }

    /// Releases what a debt holds when its reader has been paid or is gone.
    pub(crate) fn drop_claims(&mut self, debt: &mut Debt) {
        for claim in debt.claims.drain(..) {
            let lists = [claim.within, claim.known].into_iter().flatten();
            lists.for_each(|list| self.lists.give_back(list));
        }
    }

    /// The first frame that is owed by name, with its number. Frames that are no longer owed are
    /// dropped: a number of zero belongs to a symbol that has taken the place of a delisted one.
    fn next_named(
        &self,
        named: &mut Vec<Owed>,
        position: FrameNumber,
    ) -> Option<(FrameNumber, Owed)> {
        while let Some(&last) = named.last() {
            let number = self.number_of(last);
            if number > 0 && number < position {
                return Some((number, last));
            }
            named.pop();
        }
        None
    }

    fn number_of(&self, owed: Owed) -> FrameNumber {
        match owed {
            Owed::Tick(symbol) => self.instrument(symbol).tick,
            Owed::Event(symbol) => self.instrument(symbol).event,
            Owed::Close => self.tape.newest(EVERYONE),
        }
    }

    /// How many symbols a list has, including delisted ones.
    fn known_count(&self, list: ListId) -> usize {
        match self.symbols(list) {
            Symbols::Everything => self.instruments.len(),
            Symbols::Some(symbols) => symbols.len(),
        }
    }

    /// The tick or event with this number, if it is still the newest of its kind for that symbol.
    fn newest_at(&self, number: FrameNumber, symbol: SymbolId) -> Option<Owed> {
        let instrument = self.instrument(symbol);
        if instrument.tick == number {
            Some(Owed::Tick(symbol))
        } else {
            (instrument.event == number).then_some(Owed::Event(symbol))
        }
    }

    fn is_claimed(&self, claim: &Claim, number: FrameNumber, owed: Owed) -> bool {
        let (Owed::Tick(symbol) | Owed::Event(symbol)) = owed else {
            return false;
        };
        let has = |list: ListId| self.symbols(list).contains(symbol);
        if number < claim.next || claim.within.is_some_and(|list| !has(list)) {
            return false;
        }
        if number >= claim.all_from {
            return true;
        }
        let instrument = self.instrument(symbol);
        let is_news = match owed {
            Owed::Tick(_) => instrument.sent > claim.seen,
            _ => instrument.is_stale(),
        };
        is_news && instrument.was_listed(claim.made) && !claim.known.is_some_and(has)
    }
}

/// The search for frames that a reader has a claim to.
struct Search<'a, F> {
    hub: &'a Hub,
    claims: &'a [Claim],
    symbols: Symbols<'a>,
    frames: F,
    /// It has passed all frames before this one.
    reached: FrameNumber,
    /// How many frames it may still look at.
    left: usize,
}

impl<F: Iterator<Item = (FrameNumber, SymbolId)>> Search<'_, F> {
    fn next(&mut self) -> Found {
        loop {
            if self.left == 0 {
                return Found::Enough;
            }
            let Some((number, symbol)) = self.frames.next() else {
                return Found::Nothing;
            };
            self.left -= 1;
            self.reached = number + 1;
            self.hub.worked(LOOKS_PER_FRAME);
            if symbol == EVERYONE || !self.symbols.contains(symbol) {
                continue;
            }
            let Some(owed) = self.hub.newest_at(number, symbol) else {
                continue;
            };
            let has_claim = |claim| self.hub.is_claimed(claim, number, owed);
            if self.claims.iter().any(has_claim) {
                return Found::Frame(number, owed);
            }
        }
    }
}

/// The result of one step of a search.
enum Found {
    Frame(FrameNumber, Owed),
    /// No other frame is claimed.
    Nothing,
    /// There may be more, but this turn has done enough looking.
    Enough,
}

/// Walking two lists side by side is this many times faster than looking at symbols.
const SYMBOLS_PER_STEP: usize = 4;

/// The most frames owed by name; longer lists are claimed. A debt has at most twice as many, of
/// four bytes each, and as many again while one more change is added.
const NAMED_MAX: Scaled = Scaled::new(1024, 8);

/// Looking at a frame, which takes a search in up to three lists, costs about as much as looking at
/// this many symbols in a row.
const LOOKS_PER_FRAME: usize = 8;

/// How many frames to look at for one reader at a time: about half a millisecond's work.
const LOOKS_MAX: Scaled = Scaled::new(4096, 16);
