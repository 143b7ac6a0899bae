//! The hub: the newest price of every symbol, the one tape that all frames are printed on, and the
//! index that finds which frames are for which reader.
//!
//! For each symbol the hub knows the slots of the connections that watch it, and it keeps one set
//! of slots that have news. Printing a tick unites the first set into the second, at nearly the
//! same cost however many clients read. The broadcast visits the slots that have news, and finds
//! the unread frames when it visits a reader ([`Gather`]).
//!
//! A reader that joins, changes its list, falls too far behind or has chosen its own rate is *owed*
//! the newest ticks of some symbols before it reads on ([`Debt`]).
//!
//! The hub knows neither sockets nor clocks: the caller passes instants in, and gives it a wall
//! clock.

mod bits;
mod current;
mod gather;
mod groups;
mod instrument;
mod liveness;
mod owed;
mod pattern;
mod periods;
mod retirement;
mod selection;
mod settled;
mod watching;
mod watchlists;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use self::bits::{Bits, Watchers};
pub(crate) use self::current::SymbolInfo;
pub(crate) use self::gather::{Gather, torn};
use self::groups::Groups;
use self::instrument::Instrument;
use self::liveness::Markets;
pub(crate) use self::liveness::Silent;
pub(crate) use self::owed::Debt;
use self::pattern::PartTable;
pub(crate) use self::periods::{PERIOD_MAX, PERIOD_MIN, PeriodId, Periods, rounded};
pub(crate) use self::selection::SelectError;
use self::settled::Settled;
use self::watchlists::Watchlists;
pub(crate) use self::watchlists::{ListId, Symbols};
use crate::server::scaled::Scaled;
use crate::tape::{EVERYONE, FrameNumber, SYMBOLS_MAX, SymbolId, Tape};
use crate::tick::{Stamps, Tick};

/// Everything that the readers share.
pub(crate) struct Hub {
    instruments: Vec<Instrument>,
    by_name: HashMap<Box<str>, SymbolId>,
    /// The symbols with a source in their name, by the name without the source.
    by_bare_name: HashMap<Box<str>, Vec<SymbolId>>,
    parts: PartTable,
    /// The most recently added symbols, oldest first: at least those that some list has not tried
    /// its patterns on.
    added: Vec<SymbolId>,
    /// When there are this many, the hub forgets those that it no longer needs.
    added_max: usize,
    /// Delisted symbols, oldest first; some may have come back.
    delisted: VecDeque<SymbolId>,
    /// The numbers of forgotten symbols, free to be used again.
    spare: Vec<SymbolId>,
    listed: usize,
    markets: Markets,
    tape: Tape,
    settled: Settled,
    /// The symbols that have ever had an event.
    with_events: Bits,
    lists: Watchlists,
    /// How often symbols have come or gone: since an earlier count, entries may have come to stand
    /// for another list.
    changes: u64,
    /// For each symbol, the slots that watch it by name or pattern, except those in groups.
    watchers: Vec<Watchers>,
    groups: Groups,
    /// The slots that watch everything.
    watch_everything: Bits,
    /// All slots that read.
    readers: Bits,
    /// The slots that have news.
    news: Bits,
    periods: Periods,
    stamps: Stamps,
    /// Every reader that is not [behind](Reading) has had all frames before this one.
    offered: FrameNumber,
    /// The closing frame, once it is printed: no frame follows it.
    close_frame: Vec<u8>,
    /// A buffer for a tick's JSON before it is framed.
    json: Vec<u8>,
    /// How many symbols the requests of clients have looked at in this turn of the loop.
    work: Cell<usize>,
    /// Whether a slot was given news that no broadcast has been scheduled for.
    calls: bool,
}

/// What a slot reads, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) list: ListId,
    /// The period of its own rate; without one it gets every frame as it is printed.
    pub(crate) period: Option<PeriodId>,
}

/// The number of a tick within its symbol, and its time of publication in Unix µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) sent: u64,
}

/// What the hub knows of one symbol.
pub(crate) struct InstrumentStats<'a> {
    pub(crate) name: &'a str,
    /// How many ticks it has had.
    pub(crate) ticks: u64,
    /// When the newest tick was published.
    pub(crate) published: Option<Instant>,
    pub(crate) is_stale: bool,
}

/// The memory of lists and index, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexMemory {
    pub(crate) lists: usize,
    pub(crate) watchers: usize,
}

/// The server has as many symbols as it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySymbols;

impl fmt::Display for TooManySymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a server can have at most {SYMBOLS_MAX}")
    }
}

impl std::error::Error for TooManySymbols {}

impl Hub {
    /// A hub of `symbols` whose tape takes `tape_size` bytes and whose lists take up to
    /// `lists_size` bytes.
    ///
    /// # Errors
    /// When there are more than [`SYMBOLS_MAX`] symbols.
    pub(crate) fn new(
        symbols: Vec<String>,
        tape_size: usize,
        lists_size: usize,
    ) -> Result<Self, TooManySymbols> {
        let mut hub = Self {
            instruments: Vec::with_capacity(symbols.len()),
            by_name: HashMap::new(),
            by_bare_name: HashMap::new(),
            parts: PartTable::default(),
            added: Vec::new(),
            added_max: retirement::ADDED_KEPT,
            delisted: VecDeque::new(),
            spare: Vec::new(),
            listed: 0,
            markets: Markets::default(),
            tape: Tape::new(tape_size),
            settled: Settled::default(),
            with_events: Bits::default(),
            lists: Watchlists::new(lists_size),
            changes: 0,
            watchers: Vec::new(),
            groups: Groups::default(),
            watch_everything: Bits::default(),
            readers: Bits::default(),
            news: Bits::default(),
            periods: Periods::default(),
            stamps: Stamps::default(),
            offered: 0,
            close_frame: Vec::new(),
            json: Vec::new(),
            work: Cell::new(0),
            calls: false,
        };
        for symbol in symbols {
            hub.list(&symbol)?;
        }
        Ok(hub)
    }

    /// Lets frames age in groups: all frames printed within `grain` of each other expire together.
    pub(crate) fn set_grain(&mut self, grain: Duration) {
        self.tape.set_grain(grain);
    }

    /// Begins a round of the broadcast: the round may miss what is printed from here on.
    pub(crate) fn begin_round(&mut self) -> FrameNumber {
        self.tape.end_group();
        self.tape.head()
    }

    /// Replaces the wall clock.
    #[cfg(test)]
    pub(crate) fn set_wall_clock(&mut self, wall_us: fn() -> u64) {
        self.stamps = Stamps::new(wall_us);
    }

    /// Adds a symbol, or lists it again. Returns whether it was missing. Lists whose patterns match
    /// it take it in [`refresh`](Self::refresh). After the closing frame no symbol comes or goes,
    /// because no event could announce it.
    ///
    /// # Errors
    /// When there are already [`SYMBOLS_MAX`] symbols.
    pub(crate) fn list(&mut self, name: &str) -> Result<bool, TooManySymbols> {
        if self.is_closed() {
            return Ok(false);
        }
        if let Some(&id) = self.by_name.get(name) {
            let instrument = &mut self.instruments[usize::from(id)];
            let was_missing = !instrument.is_listed;
            if was_missing {
                self.listed += 1;
                self.changes += 1;
                instrument.set_listed(true, self.changes);
                self.markets.list(&self.instruments[usize::from(id)]);
            }
            return Ok(was_missing);
        }
        let id = self.free_id().ok_or(TooManySymbols)?;
        let market = self.markets.take(name);
        let mut instrument = Instrument::new(name, self.parts.take(name), market);
        self.changes += 1;
        instrument.set_listed(true, self.changes);
        self.markets.list(&instrument);
        self.by_name.insert(name.into(), id);
        if let Some(bare) = pattern::bare(name) {
            self.by_bare_name.entry(bare.into()).or_default().push(id);
        }
        self.note_added(id);
        self.listed += 1;
        match self.instruments.get_mut(usize::from(id)) {
            Some(place) => *place = instrument,
            None => {
                self.instruments.push(instrument);
                self.watchers.push(Watchers::default());
            }
        }
        Ok(true)
    }

    /// Adds symbols, as [`list`](Self::list) does, while there is room. Returns how many were
    /// missing, and how many at the end found no room.
    pub(crate) fn list_all(&mut self, names: &[String]) -> (usize, usize) {
        let mut added = 0;
        for (index, name) in names.iter().enumerate() {
            match self.list(name) {
                Ok(was_missing) => added += usize::from(was_missing),
                Err(TooManySymbols) => return (added, names.len() - index),
            }
        }
        (added, 0)
    }

    /// Delists a symbol: clients can no longer ask for it, and its readers are told. Returns
    /// whether it was listed. Lists keep it for a while, in case it comes back.
    pub(crate) fn delist(&mut self, name: &str, now: Instant) -> bool {
        let Some(id) = self.id_of(name).filter(|_| !self.is_closed()) else {
            return false;
        };
        let was_live = self.instrument(id).is_live();
        self.markets
            .delist(&self.instruments[usize::from(id)], was_live);
        self.listed -= 1;
        self.changes += 1;
        self.instruments[usize::from(id)].set_listed(false, self.changes);
        self.may_go(id);
        self.publish_event(id, now);
        true
    }

    /// Publishes a price: gives it a number and a stamp, and prints it. Returns its JSON, or `None`
    /// if the hub does not have the symbol or the closing frame is out.
    pub(crate) fn publish(&mut self, tick: &Tick, now: Instant) -> Option<&[u8]> {
        let id = self.id_of(&tick.symbol).filter(|_| !self.is_closed())?;
        let stamp = self.stamp(id);
        self.print(id, tick, stamp, now);
        Some(self.instrument(id).json())
    }

    /// Prints a price that another server has given its number and stamp. Returns its JSON, or `None`
    /// if the hub does not have the symbol or the closing frame is out.
    pub(crate) fn print_as(&mut self, tick: &Tick, stamp: Stamp, now: Instant) -> Option<&[u8]> {
        let id = self.id_of(&tick.symbol).filter(|_| !self.is_closed())?;
        self.print(id, tick, stamp, now);
        Some(self.instrument(id).json())
    }

    /// Notes that ticks with stamps up to this one may be missing, so that nobody resumes before it.
    pub(crate) fn lacks_up_to(&mut self, stamp: u64) {
        self.tape.lacks_up_to(stamp);
    }

    /// The number and the stamp of a symbol's next tick.
    pub(crate) fn stamp(&mut self, id: SymbolId) -> Stamp {
        Stamp {
            seq: self.instrument(id).seq + 1,
            sent: self.stamps.stamp(),
        }
    }

    /// Prints a price that has its number and stamp, which must be higher than all before.
    pub(crate) fn print(
        &mut self,
        id: SymbolId,
        tick: &Tick,
        Stamp { seq, sent }: Stamp,
        now: Instant,
    ) {
        self.touch(id, now);
        let instrument = &mut self.instruments[usize::from(id)];
        let was_live = instrument.is_live();
        instrument.update(tick, (seq, sent), &mut self.json);
        instrument.published = Some(now);
        instrument.tick = self.tape.append(id, &instrument.frame, sent, now);
        self.stamps.note(sent);
        if !was_live {
            self.markets.came_alive(instrument.market);
        }
        self.settle();
        self.mark_watchers(id);
    }

    /// Prints a frame for everyone: the ping.
    pub(crate) fn publish_to_everyone(&mut self, frame: &[u8], now: Instant) {
        if self.is_closed() {
            return;
        }
        let stamp = self.tape.stamp();
        self.tape.append(EVERYONE, frame, stamp, now);
        self.settle();
        self.news.unite(&self.readers);
    }

    /// Prints an event with the current state of a symbol, for its watchers.
    fn publish_event(&mut self, id: SymbolId, now: Instant) {
        if self.is_closed() {
            return;
        }
        let mut event = Vec::new();
        self.instrument(id).write_event(now, &mut event);
        // A tick that follows immediately may already have its stamp.
        let stamp = self.tape.stamp();
        let number = self.tape.append(id, &event, stamp, now);
        self.instruments[usize::from(id)].event = number;
        self.with_events.insert(usize::from(id));
        self.settle();
        self.mark_watchers(id);
    }

    /// Keeps the order of the frames that have just fallen off the tape and are still the newest of
    /// their symbols.
    fn settle(&mut self) {
        let Self {
            tape,
            settled,
            instruments,
            with_events,
            ..
        } = self;
        let is_newest = |number: FrameNumber, symbol: SymbolId| {
            let index = usize::from(symbol);
            tape.newest(symbol) == number
                || with_events.contains(index) && {
                    let instrument = &instruments[index];
                    instrument.tick == number || instrument.event == number
                }
        };
        for &(number, symbol) in tape.fallen() {
            if symbol != EVERYONE && is_newest(number, symbol) {
                settled.push(number, symbol);
            }
        }
        if settled.is_full() {
            settled.retain(is_newest);
        }
    }

    /// Prints the closing frame; no frame can follow it.
    pub(crate) fn close(&mut self, frame: &[u8], now: Instant) {
        self.publish_to_everyone(frame, now);
        self.close_frame = frame.to_vec();
    }

    /// Whether the closing frame is printed: a reader at the head has then had it.
    pub(crate) fn is_closed(&self) -> bool {
        !self.close_frame.is_empty()
    }

    /// The newest stamp given out, in Unix µs; zero before the first.
    pub(crate) fn last_stamp(&self) -> u64 {
        self.stamps.last()
    }

    /// The time of the wall clock, in Unix µs.
    pub(crate) fn wall_us(&self) -> u64 {
        self.stamps.wall_us()
    }

    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Counts everything printed up to `instant` as too old for a reader that has been connected
    /// all along.
    pub(crate) fn expire_before(&mut self, instant: Instant) {
        self.tape.expire_before(instant);
    }

    /// Whether any slot has news.
    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Takes the first slot with news in `from..to`; it has no news after that.
    pub(crate) fn next_news(&mut self, from: usize, to: usize) -> Option<usize> {
        let slot = self.news.first(from, to)?;
        self.news.remove(slot);
        Some(slot)
    }

    /// Sets whether a slot is to be visited again.
    pub(crate) fn set_news(&mut self, slot: usize, has_news: bool) {
        if has_news {
            self.calls |= self.news.insert(slot);
        } else {
            self.news.remove(slot);
        }
    }

    /// Whether a slot was given news outside a broadcast since the last call, so that a broadcast
    /// is needed.
    pub(crate) fn take_call(&mut self) -> bool {
        std::mem::take(&mut self.calls)
    }

    /// Notes that a broadcast has visited every slot that had news of the frames before `number`.
    pub(crate) fn set_offered(&mut self, number: FrameNumber) {
        self.offered = number;
    }

    /// Every reader that had read everything at its last visit has had all frames before this one,
    /// whether or not they were for it.
    pub(crate) fn offered(&self) -> FrameNumber {
        self.offered
    }

    /// Gives back a list that was taken but will not be read.
    pub(crate) fn give_back(&mut self, list: ListId) {
        self.lists.give_back(list);
    }

    /// The length of a period.
    pub(crate) fn period_length(&self, period: PeriodId) -> Duration {
        self.periods.length(period)
    }

    /// Whether clients have asked for about as much work on lists as one turn of the loop has room
    /// for.
    pub(crate) fn is_overworked(&self) -> bool {
        self.work.get() > WORK_PER_TURN.get()
    }

    /// Begins a turn of the loop.
    pub(crate) fn rest(&mut self) {
        self.work.set(0);
    }

    /// How much work clients have asked for in this turn.
    pub(crate) fn work(&self) -> usize {
        self.work.get()
    }

    /// Restores the count from before other work that had a share of its own.
    pub(crate) fn set_work(&self, work: usize) {
        self.work.set(work);
    }

    /// Notes that a client's request looked at this many symbols, or did as much other work.
    pub(crate) fn worked(&self, symbols: usize) {
        self.work.set(self.work.get() + symbols);
    }

    /// The symbols of a list.
    pub(crate) fn symbols(&self, list: ListId) -> Symbols<'_> {
        self.lists.symbols(list)
    }

    /// How many symbols a list has, including delisted ones.
    pub(crate) fn symbol_count(&self, list: ListId) -> usize {
        match self.lists.symbols(list) {
            Symbols::Everything => self.listed,
            Symbols::Some(symbols) => symbols.len(),
        }
    }

    /// How many symbols there are, and how many lists of them are being read.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.listed, self.lists.iter().count())
    }

    /// Whether a list has the symbol of this name.
    #[cfg(test)]
    pub(crate) fn is_listed_in(&self, name: &str, list: ListId) -> bool {
        let id = self.by_name.get(name);
        id.is_some_and(|&id| self.symbols(list).contains(id))
    }

    /// How many slots hear of the symbol of this name.
    #[cfg(test)]
    pub(crate) fn watcher_count(&self, name: &str) -> usize {
        let mut told = self.watch_everything.clone();
        if let Some(&id) = self.by_name.get(name) {
            self.watchers[usize::from(id)].add_to(&mut told);
            self.groups.add_to(id, &mut told);
        }
        told.iter().count()
    }

    /// How many lists are kept, how many periods have timers, and how many slots read and have
    /// news.
    #[cfg(test)]
    pub(crate) fn leftovers(&self) -> [usize; 4] {
        [
            self.lists.len(),
            self.periods.iter().count(),
            self.readers.iter().count(),
            self.news.iter().count(),
        ]
    }

    /// Every period, with the number of its newest beat.
    #[cfg(test)]
    pub(crate) fn beats_by_period(&self) -> impl Iterator<Item = (Duration, u32)> {
        self.periods.iter()
    }

    /// The memory of lists and index.
    pub(crate) fn index_memory(&self) -> IndexMemory {
        let watchers = self.watchers.iter();
        let watchers = watchers.map(|watchers| size_of::<Watchers>() + watchers.memory());
        IndexMemory {
            lists: self.lists.memory(),
            watchers: watchers.sum::<usize>() + self.groups.memory(),
        }
    }

    /// What the hub knows of each symbol.
    pub(crate) fn stats(&self) -> impl Iterator<Item = InstrumentStats<'_>> {
        let instruments = self.instruments.iter();
        let listed = instruments.filter(|instrument| instrument.is_listed);
        listed.map(|instrument| InstrumentStats {
            name: &instrument.name,
            ticks: instrument.seq,
            published: instrument.published,
            is_stale: instrument.is_stale(),
        })
    }

    /// The number of a listed symbol.
    fn id_of(&self, name: &str) -> Option<SymbolId> {
        let id = self.by_name.get(name).copied()?;
        self.instrument(id).is_listed.then_some(id)
    }

    fn instrument(&self, id: SymbolId) -> &Instrument {
        &self.instruments[usize::from(id)]
    }

    /// The numbers of all symbols, including delisted ones, in ascending order.
    fn known_ids(&self) -> impl Iterator<Item = SymbolId> {
        let ids = (0..).zip(&self.instruments);
        ids.filter(|(_, instrument)| !instrument.is_gone)
            .map(|(id, _)| id)
    }

    /// The numbers of all listed symbols, in ascending order.
    fn listed_ids(&self) -> impl Iterator<Item = SymbolId> {
        let ids = (0..).zip(&self.instruments);
        ids.filter(|(_, instrument)| instrument.is_listed)
            .map(|(id, _)| id)
    }
}

/// How many symbols the requests of one turn may look at: over half a millisecond's work. One more
/// request may follow, as heavy as any, and the broadcast has as much again.
const WORK_PER_TURN: Scaled = Scaled::new(50_000, 2_000);

/// The longest name of a symbol, in characters.
pub(crate) const SYMBOL_LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests;
