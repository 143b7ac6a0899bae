//! The floor of watchlists: ready-made bytes, as many as the client's ticks would have.
//!
//! A server has to find out which clients watch a symbol and to put each one's ticks together; here
//! all of that is done ahead. Each client gets the first bytes of one buffer that is the same for
//! all and hot in the cache, so what remains is the `write`. Only the stamps in it are renewed, so
//! that the loader can tell how old they are.

use std::time::Duration;

use tickertape::frame;
use tickertape::tick::{Price, Tick, write_json};

use crate::lists;

/// The bytes to write, and the clients to write them to.
pub(crate) struct Ready {
    /// As many ticks as the longest list has symbols, all of the same length.
    ticks: Vec<u8>,
    tick: Vec<u8>,
    /// The watched symbols, by slot.
    lists: Vec<Vec<u32>>,
    /// The slots that watch each symbol, in order.
    watchers: Vec<Vec<usize>>,
    is_spread: bool,
    /// The next symbol, if they are spread.
    symbol: usize,
}

impl Ready {
    pub(crate) fn new(symbols: u32, is_spread: bool) -> Self {
        Self {
            ticks: Vec::new(),
            tick: typical_tick(),
            lists: Vec::new(),
            watchers: vec![Vec::new(); symbols as usize],
            is_spread,
            symbol: 0,
        }
    }

    /// The time between two beats.
    pub(crate) fn step(&self, interval: Duration) -> Duration {
        match u32::try_from(self.watchers.len()) {
            Ok(symbols) if self.is_spread => interval / symbols.max(1),
            _ => interval,
        }
    }

    /// Calls `write` with a slot and its bytes for each client that gets ticks on this beat, either
    /// for all its symbols or for the next one. `sent` is in Unix µs.
    pub(crate) fn send(&mut self, sent: u64, mut write: impl FnMut(usize, &[u8])) {
        self.stamp(sent);
        if self.is_spread {
            for &slot in &self.watchers[self.symbol] {
                write(slot, &self.ticks[..self.tick.len()]);
            }
            self.symbol = (self.symbol + 1) % self.watchers.len();
        } else {
            for (slot, list) in self.lists.iter().enumerate() {
                if !list.is_empty() {
                    write(slot, &self.ticks[..list.len() * self.tick.len()]);
                }
            }
        }
    }

    /// Notes the list of the client in `slot`; an empty list if it has gone.
    pub(crate) fn note(&mut self, slot: usize, list: &[u32]) {
        if self.lists.len() <= slot {
            self.lists.resize(slot + 1, Vec::new());
        }
        for &symbol in &self.lists[slot] {
            let watchers = &mut self.watchers[symbol as usize];
            watchers.retain(|&watcher| watcher != slot);
        }
        let count = self.watchers.len();
        let known = list.iter().filter(|&&symbol| (symbol as usize) < count);
        self.lists[slot] = known.copied().collect();
        for &symbol in &self.lists[slot] {
            let watchers = &mut self.watchers[symbol as usize];
            let place = watchers.partition_point(|&watcher| watcher < slot);
            watchers.insert(place, slot);
        }
        while self.ticks.len() < list.len() * self.tick.len() {
            self.ticks.extend_from_slice(&self.tick);
        }
    }

    fn stamp(&mut self, sent: u64) {
        let digits = format!("{sent}}}");
        for tick in self.ticks.chunks_exact_mut(self.tick.len()) {
            let at = tick.len() - digits.len();
            tick[at..].copy_from_slice(digits.as_bytes());
        }
    }
}

/// A frame of the length that our server's frames have in a run of a few seconds.
fn typical_tick() -> Vec<u8> {
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    let price = Price::parse("123.45").expect("a number");
    let tick = Tick::new(lists::name(0), price, 1_732_270_000_123);
    let symbol = format!("\"{}\"", tick.symbol);
    write_json(&mut json, &symbol, &tick, 42, 1_732_270_000_123_456);
    frame::text(&mut framed, &json);
    framed
}
