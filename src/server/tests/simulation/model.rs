//! A plain second account of what the server should do: a list of everything ever printed, with its
//! symbol and its time.
//!
//! The model is neither bounded nor fast. It knows the promises of the tape, not their
//! implementation; it is only told which frames have fallen off the tape.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::frame;

/// Everything printed, and the newest tick of each symbol.
pub(super) struct Model {
    pub(super) symbols: Vec<Symbol>,
    printed: Vec<Printed>,
    /// The oldest frame that the tape still has.
    pub(super) tail: u64,
    /// Frames printed up to this time are old, µs.
    pub(super) aged: Option<u64>,
    /// The closing frame.
    pub(super) closed: Option<u64>,
    pub(super) last_stamp: u64,
    pub(super) stale_after: u64,
    pub(super) max_batch: usize,
    /// How many beats each period has had.
    pub(super) beats: BTreeMap<Duration, u32>,
    pub(super) ticks: u64,
    pub(super) sent: Sent,
}

/// The expected counters of frames sent to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) writes: u64,
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
    pub(super) conflated: u64,
}

/// A symbol and its newest tick.
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) listed: bool,
    pub(super) seq: u64,
    pub(super) sent: u64,
    pub(super) json: String,
    /// When its price was last confirmed, µs; `None` if it is not watched.
    confirmed: Option<u64>,
    /// When it came back, µs: if it is overdue by then, clients are told at the next check.
    relisted: u64,
    pub(super) stale: bool,
    /// The numbers of its newest tick and event; zero for none.
    pub(super) tick: u64,
    pub(super) event: u64,
}

/// One frame on the tape.
pub(super) struct Printed {
    /// `None` for everyone.
    pub(super) symbol: Option<usize>,
    pub(super) frame: Vec<u8>,
    pub(super) stamp: u64,
    /// µs since the start.
    pub(super) at: u64,
}

impl Model {
    pub(super) fn new(names: &[String], stale_after: u64, max_batch: usize) -> Self {
        let symbols = names.iter().map(|name| Symbol::new(name, Some(0)));
        Self {
            symbols: symbols.collect(),
            printed: Vec::new(),
            tail: 1,
            aged: None,
            closed: None,
            last_stamp: 0,
            stale_after,
            max_batch,
            beats: BTreeMap::new(),
            ticks: 0,
            sent: Sent::default(),
        }
    }

    /// The number of the next frame.
    pub(super) fn head(&self) -> u64 {
        self.printed.len() as u64 + 1
    }

    /// The frame of a number.
    pub(super) fn frame(&self, number: u64) -> &Printed {
        &self.printed[number as usize - 1]
    }

    /// The frames from `position` on, with their numbers.
    pub(super) fn from(&self, position: u64) -> impl Iterator<Item = (u64, &Printed)> {
        let printed = self.printed.iter().skip(position as usize - 1);
        (position..).zip(printed)
    }

    /// Prints a feed's price. Returns whether any client can get it.
    pub(super) fn print(&mut self, symbol: usize, price: &str, (now, wall): (u64, u64)) -> bool {
        if self.closed.is_some() || !self.symbols[symbol].listed {
            return false;
        }
        // An event tells that the symbol is live before its tick is printed.
        self.confirm(symbol, now);
        self.last_stamp = wall.max(self.last_stamp + 1);
        let state = &mut self.symbols[symbol];
        (state.seq, state.sent, state.tick) = (
            state.seq + 1,
            self.last_stamp,
            self.printed.len() as u64 + 1,
        );
        state.json = format!(
            r#"{{"symbol":"{}","price":{price},"timestamp":7,"seq":{},"sent":{}}}"#,
            state.name, state.seq, state.sent
        );
        let frame = text(&state.json);
        self.append(Some(symbol), frame, now);
        self.ticks += 1;
        true
    }

    /// Notes that a feed has confirmed a price. Returns whether it was stale.
    pub(super) fn confirm(&mut self, symbol: usize, now: u64) -> bool {
        let state = &mut self.symbols[symbol];
        if !state.listed || state.confirmed.is_none() || self.closed.is_some() {
            return false;
        }
        state.confirmed = Some(now);
        let was_stale = std::mem::take(&mut state.stale);
        if was_stale {
            self.publish_event(symbol, now);
        }
        was_stale
    }

    pub(super) fn publish_stale(&mut self, now: u64) {
        for symbol in 0..self.symbols.len() {
            let state = &mut self.symbols[symbol];
            if state.listed && !state.stale && state.silence(now) > self.stale_after {
                state.stale = true;
                self.publish_event(symbol, now);
            }
        }
    }

    /// The longest silence of a symbol that is not marked stale.
    pub(super) fn longest_silence(&self, now: u64) -> u64 {
        let trusted = self
            .symbols
            .iter()
            .filter(|symbol| symbol.listed && !symbol.stale);
        let silence = |symbol: &Symbol| symbol.silence(now).min(now - symbol.relisted);
        trusted.map(silence).max().unwrap_or(0)
    }

    /// Adds a symbol or lists it again; if it is watched, it must not fall silent from here on.
    pub(super) fn list(&mut self, name: &str, is_watched: bool, now: u64) -> Option<usize> {
        if self.closed.is_some() {
            return None;
        }
        let confirmed = is_watched.then_some(now);
        match self.symbols.iter().position(|symbol| symbol.name == name) {
            Some(index) => {
                let state = &mut self.symbols[index];
                let was_missing = !std::mem::replace(&mut state.listed, true);
                if was_missing {
                    state.relisted = now;
                }
                if was_missing && is_watched && !state.stale {
                    state.confirmed = confirmed;
                }
                was_missing.then_some(index)
            }
            None => {
                self.symbols.push(Symbol::new(name, confirmed));
                Some(self.symbols.len() - 1)
            }
        }
    }

    /// Delists a symbol.
    pub(super) fn delist(&mut self, name: &str, now: u64) {
        let index = self.symbols.iter().position(|symbol| symbol.name == name);
        let is_listed = |&index: &usize| self.symbols[index].listed && self.closed.is_none();
        if let Some(index) = index.filter(is_listed) {
            self.symbols[index].listed = false;
            self.publish_event(index, now);
        }
    }

    fn publish_event(&mut self, symbol: usize, now: u64) {
        if self.closed.is_none() {
            self.symbols[symbol].event = self.head();
            self.append(Some(symbol), self.symbols[symbol].event_frame(now), now);
        }
    }

    /// Prints a frame for the readers of a symbol, or for everyone.
    pub(super) fn append(&mut self, symbol: Option<usize>, frame: Vec<u8>, at: u64) {
        if self.closed.is_none() {
            self.printed.push(Printed {
                symbol,
                frame,
                stamp: self.last_stamp,
                at,
            });
        }
    }

    /// Prints the closing frame.
    pub(super) fn close(&mut self, frame: Vec<u8>, at: u64) {
        let number = self.head();
        self.append(None, frame, at);
        self.closed = Some(number);
    }

    /// Whether a frame is too old for a reader that has been connected all along.
    pub(super) fn is_old(&self, number: u64) -> bool {
        self.aged.is_some_and(|aged| self.frame(number).at <= aged)
    }

    /// The position behind the tick with this stamp, if everything after it is on the tape. Frames
    /// printed behind it without a stamp of their own may be news.
    pub(super) fn resume(&self, stamp: u64) -> Option<u64> {
        let is_news = |printed: &Printed| {
            printed.stamp > stamp || printed.stamp == stamp && !printed.is_tick()
        };
        let next = self.from(1).find(|(_, printed)| is_news(printed));
        let next = next.map_or(self.head(), |(number, _)| number);
        (next >= self.tail && stamp <= self.last_stamp).then_some(next)
    }
}

impl Printed {
    fn is_tick(&self) -> bool {
        let has = |words: &[u8]| self.frame.windows(words.len()).any(|at| at == words);
        has(br#","price":"#)
    }
}

impl Symbol {
    fn new(name: &str, confirmed: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            listed: true,
            seq: 0,
            sent: 0,
            json: String::new(),
            confirmed,
            relisted: 0,
            stale: false,
            tick: 0,
            event: 0,
        }
    }

    fn silence(&self, now: u64) -> u64 {
        self.confirmed.map_or(0, |confirmed| now - confirmed)
    }

    /// The event with its current state.
    pub(super) fn event_frame(&self, now: u64) -> Vec<u8> {
        let (name, age) = (&self.name, self.silence(now) / 1000);
        text(&if !self.listed {
            format!(r#"{{"event":"delisted","symbol":"{name}"}}"#)
        } else if self.stale {
            format!(r#"{{"event":"stale","symbol":"{name}","age":{age}}}"#)
        } else {
            format!(r#"{{"event":"live","symbol":"{name}"}}"#)
        })
    }
}

/// A text as a frame.
pub(super) fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::text(&mut out, payload.as_bytes());
    out
}
