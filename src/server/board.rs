//! The board: the newest price of every symbol, and the tapes they are printed on.
//!
//! There is one tape for each distinct set of symbols that somebody reads; equal sets share one. A
//! tape without readers is dropped, but for that of all symbols.

mod freshness;
mod listing;

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use slab::Slab;

use self::listing::Listing;
use crate::tape::{Position, Tape};
use crate::tick::{Stamps, Tick};

/// Which tape, by its place among the board's channels.
pub(crate) type ChannelId = u32;

type SymbolId = u16;

/// All that is shared between the readers.
pub(crate) struct Board {
    listings: Vec<Listing>,
    by_name: HashMap<String, SymbolId>,
    channels: Slab<Channel>,
    by_set: HashMap<Box<[SymbolId]>, ChannelId>,
    stamps: Stamps,
    /// How often anything was printed; the sweep compares it to see whether there is news.
    prints: u64,
    tape_size: usize,
    tapes_max: usize,
    /// The closing frame, once it was printed: nothing more is.
    goodbye: Vec<u8>,
}

struct Channel {
    symbols: Box<[SymbolId]>,
    /// For each symbol, the position behind its newest tick on this tape; zero if it has none.
    newest: Box<[Position]>,
    tape: Tape,
    readers: usize,
    /// What lies before this was printed longer ago than a reader may be behind.
    stale_before: Position,
}

/// What is known of one symbol.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    /// How many it had.
    pub(crate) ticks: u64,
    /// When the newest was printed.
    pub(crate) printed: Option<Instant>,
    pub(crate) is_stale: bool,
}

/// Why a set of symbols cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JoinError {
    /// There is no such symbol; with some of those that there are.
    UnknownSymbol { name: String, known: String },
    /// One more tape would exceed the memory for tapes.
    TooManySets,
    /// The closing frame has been printed.
    Closing,
}

impl Board {
    /// A board of `symbols`, with tapes of `tape_size` bytes, at most `tapes_max` of them.
    pub(crate) fn new(symbols: Vec<String>, tape_size: usize, tapes_max: usize) -> Self {
        let mut board = Self {
            listings: Vec::new(),
            by_name: HashMap::new(),
            channels: Slab::new(),
            by_set: HashMap::new(),
            stamps: Stamps::default(),
            prints: 0,
            tape_size,
            tapes_max,
            goodbye: Vec::new(),
        };
        for name in symbols {
            let id = board.listings.len() as SymbolId;
            if board.by_name.insert(name.clone(), id).is_none() {
                board.listings.push(Listing::new(name));
            }
        }
        let all = (0..board.listings.len() as SymbolId).collect();
        let all = board.open(all);
        board.channels[all as usize].tape.take_memory();
        board
    }

    /// Takes the wall clock from elsewhere.
    #[cfg(test)]
    pub(crate) fn set_wall_clock(&mut self, wall_us: fn() -> u64) {
        self.stamps = Stamps::new(wall_us);
    }

    /// How many readers each tape has, by the names of its symbols.
    #[cfg(test)]
    pub(crate) fn readers(&self) -> Vec<(Vec<&str>, usize)> {
        let ids = self.channels.iter().map(|(id, _)| id as ChannelId);
        ids.map(|id| (self.names(id).collect(), self.channel(id).readers))
            .collect()
    }

    /// Prints a tick on every tape that has its symbol. Returns its JSON, or none for a symbol that
    /// is not on the board, and after the closing frame.
    pub(crate) fn print(&mut self, tick: &Tick, now: Instant) -> Option<&[u8]> {
        let &id = self
            .by_name
            .get(&tick.symbol)
            .filter(|_| self.goodbye.is_empty())?;
        self.hear(id, now);
        let listing = &mut self.listings[usize::from(id)];
        let sent = self.stamps.stamp();
        listing.update(tick, sent);
        listing.printed = Some(now);
        for (_, channel) in &mut self.channels {
            if let Some(index) = channel.index(id) {
                channel.tape.append(&listing.frame, sent, now);
                channel.newest[index] = channel.tape.head();
            }
        }
        self.prints += 1;
        Some(&listing.json)
    }

    /// Prints a frame that is for everybody: the heartbeat.
    pub(crate) fn print_for_all(&mut self, frame: &[u8], now: Instant) {
        if self.is_sealed() {
            return;
        }
        let sent = self.stamps.last();
        for (_, channel) in &mut self.channels {
            channel.tape.append(frame, sent, now);
        }
        self.prints += 1;
    }

    /// Prints a frame for those who read a symbol.
    fn print_event(&mut self, id: SymbolId, frame: &[u8], now: Instant) {
        if self.is_sealed() {
            return;
        }
        let sent = self.stamps.last();
        for (_, channel) in &mut self.channels {
            if channel.index(id).is_some() {
                channel.tape.append(frame, sent, now);
            }
        }
        self.prints += 1;
    }

    /// Prints the closing frame; nothing can follow it.
    pub(crate) fn seal(&mut self, frame: &[u8], now: Instant) {
        self.print_for_all(frame, now);
        self.goodbye = frame.to_vec();
    }

    /// Whether the closing frame has been printed: who reaches the head has been told goodbye.
    pub(crate) fn is_sealed(&self) -> bool {
        !self.goodbye.is_empty()
    }

    /// The newest stamp given out, Unix µs; zero before the first.
    pub(crate) fn last_stamp(&self) -> u64 {
        self.stamps.last()
    }

    /// What the wall clock says, Unix µs.
    pub(crate) fn wall_us(&self) -> u64 {
        self.stamps.wall_us()
    }

    /// The closing frame; empty before it is printed.
    pub(crate) fn goodbye(&self) -> &[u8] {
        &self.goodbye
    }

    /// Grows with everything printed.
    pub(crate) fn prints(&self) -> u64 {
        self.prints
    }

    /// Takes a reader on for the symbols named, or for all.
    pub(crate) fn join(&mut self, names: Option<&[String]>) -> Result<ChannelId, JoinError> {
        let set = match names {
            None => (0..self.listings.len() as SymbolId).collect(),
            Some(names) => self.set_of(names)?,
        };
        self.join_set(set)
    }

    /// Takes a reader of `channel` on for that channel's symbols and others, or without some.
    pub(crate) fn rejoin(
        &mut self,
        channel: ChannelId,
        names: &[String],
        subscribe: bool,
    ) -> Result<ChannelId, JoinError> {
        let change = self.set_of(names)?;
        let present = self.channel(channel).symbols.iter().copied();
        let mut set: Vec<_> = if subscribe {
            present.chain(change).collect()
        } else {
            present
                .filter(|id| change.binary_search(id).is_err())
                .collect()
        };
        set.sort_unstable();
        set.dedup();
        self.join_set(set)
    }

    /// Lets a reader go; the last one takes the tape along.
    pub(crate) fn leave(&mut self, channel: ChannelId) {
        let leaving = &mut self.channels[channel as usize];
        leaving.readers -= 1;
        if leaving.readers == 0 && channel != ALL {
            let dropped = self.channels.remove(channel as usize);
            self.by_set.remove(&dropped.symbols);
        }
    }

    pub(crate) fn tape(&self, channel: ChannelId) -> &Tape {
        &self.channel(channel).tape
    }

    /// Notes, on each tape, what was printed before `instant`: too old to be worth sending.
    pub(crate) fn age(&mut self, instant: Instant) {
        for (_, channel) in &mut self.channels {
            channel.stale_before = channel.tape.printed_after(instant);
        }
    }

    /// Whether a reader at `position` is so far behind that it must skip to now: what it has not had
    /// is gone, or is too old for a reader that was here all the time.
    pub(crate) fn is_behind(&self, channel: ChannelId, position: Position, resuming: bool) -> bool {
        let channel = self.channel(channel);
        position < channel.tape.tail() || (position < channel.stale_before && !resuming)
    }

    /// Appends to `out` the newest tick of each of the channel's symbols that is stamped after
    /// `since`: what a client that joins finds.
    pub(crate) fn snapshot(&self, channel: ChannelId, since: u64, now: Instant, out: &mut Vec<u8>) {
        self.newest_of(channel, now, out, |listing, _| listing.sent > since);
    }

    /// Appends to `out` the newest tick of each symbol that a reader of `channel` at `position` has
    /// not had yet: what it gets for all that it is to skip.
    pub(crate) fn snapshot_unread(
        &self,
        channel: ChannelId,
        position: Position,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        self.newest_of(channel, now, out, |_, symbol| {
            self.is_unread(channel, symbol, position)
        });
    }

    /// The same for a reader that moves on to the channel `to`, where all symbols that it did not
    /// have before are new to it.
    pub(crate) fn snapshot_moved(
        &self,
        (from, position): (ChannelId, Position),
        to: ChannelId,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        self.newest_of(to, now, out, |_, symbol| {
            self.channel(from).index(symbol).is_none() || self.is_unread(from, symbol, position)
        });
    }

    /// The newest tick of a symbol as JSON; empty before the first.
    pub(crate) fn newest(&self, name: &str) -> Result<&[u8], JoinError> {
        let id = self.id(name)?;
        Ok(&self.listings[usize::from(id)].json)
    }

    /// The names of a channel's symbols.
    pub(crate) fn names(&self, channel: ChannelId) -> impl Iterator<Item = &str> {
        let ids = self.channel(channel).symbols.iter();
        ids.map(|&id| self.listings[usize::from(id)].name.as_str())
    }

    /// What is known of each symbol.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.listings.iter().map(|listing| Row {
            name: &listing.name,
            ticks: listing.seq,
            printed: listing.printed,
            is_stale: listing.is_stale(),
        })
    }

    /// How many tapes there are.
    pub(crate) fn tapes(&self) -> usize {
        self.channels.len()
    }

    /// In the order in which they were printed; then which symbols are stale, whose newest tick
    /// must not be taken for the price of now.
    fn newest_of(
        &self,
        channel: ChannelId,
        now: Instant,
        out: &mut Vec<u8>,
        wanted: impl Fn(&Listing, SymbolId) -> bool,
    ) {
        let listing = |id: SymbolId| &self.listings[usize::from(id)];
        let symbols = self.channel(channel).symbols.iter().copied();
        let mut newest: Vec<_> = symbols.filter(|&id| wanted(listing(id), id)).collect();
        newest.sort_unstable_by_key(|&id| listing(id).sent);
        for &id in &newest {
            out.extend_from_slice(&listing(id).frame);
        }
        let symbols = self.channel(channel).symbols.iter();
        let stale = symbols.map(|&id| listing(id)).filter(|it| it.is_stale());
        stale.for_each(|listing| listing.write_stale(now, out));
    }

    fn is_unread(&self, channel: ChannelId, symbol: SymbolId, position: Position) -> bool {
        let channel = self.channel(channel);
        channel
            .index(symbol)
            .is_some_and(|index| channel.newest[index] > position)
    }

    fn join_set(&mut self, set: Vec<SymbolId>) -> Result<ChannelId, JoinError> {
        if self.is_sealed() {
            return Err(JoinError::Closing);
        }
        let channel = match self.by_set.get(set.as_slice()) {
            Some(&channel) => channel,
            None if self.channels.len() >= self.tapes_max => return Err(JoinError::TooManySets),
            None => self.open(set),
        };
        self.channels[channel as usize].readers += 1;
        Ok(channel)
    }

    fn open(&mut self, set: Vec<SymbolId>) -> ChannelId {
        let symbols = set.into_boxed_slice();
        let channel = self.channels.insert(Channel {
            symbols: symbols.clone(),
            newest: vec![0; symbols.len()].into_boxed_slice(),
            tape: Tape::new(self.tape_size, self.stamps.last()),
            readers: 0,
            stale_before: 0,
        }) as ChannelId;
        self.by_set.insert(symbols, channel);
        channel
    }

    fn set_of(&self, names: &[String]) -> Result<Vec<SymbolId>, JoinError> {
        let mut set = names
            .iter()
            .map(|name| self.id(name))
            .collect::<Result<Vec<_>, _>>()?;
        set.sort_unstable();
        set.dedup();
        Ok(set)
    }

    fn id(&self, name: &str) -> Result<SymbolId, JoinError> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| JoinError::UnknownSymbol {
                name: name.chars().take(SYMBOL_LENGTH_MAX).collect(),
                known: self.some_names(),
            })
    }

    fn some_names(&self) -> String {
        let mut names: Vec<_> = self.listings.iter().map(|listing| &*listing.name).collect();
        let more = names.len() > NAMES_IN_ERROR;
        names.truncate(NAMES_IN_ERROR);
        names.join(", ") + if more { ", …" } else { "" }
    }

    fn channel(&self, channel: ChannelId) -> &Channel {
        &self.channels[channel as usize]
    }
}

impl Channel {
    fn index(&self, symbol: SymbolId) -> Option<usize> {
        self.symbols.binary_search(&symbol).ok()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSymbol { name, known } => {
                write!(f, "unknown symbol '{name}', there are: {known}")
            }
            Self::TooManySets => f.write_str("too many different sets of symbols are being read"),
            Self::Closing => f.write_str("the server is shutting down"),
        }
    }
}

/// The channel of all symbols, opened first and never dropped.
const ALL: ChannelId = 0;

/// The longest name of a symbol, in characters.
pub(crate) const SYMBOL_LENGTH_MAX: usize = 64;

/// Symbols named in an error, so that a board of hundreds still gives a readable one.
const NAMES_IN_ERROR: usize = 10;

#[cfg(test)]
mod tests;
