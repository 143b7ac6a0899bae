//! Honesty about silence: the readers of a symbol are told once when its price is no longer known
//! to be current, and once when it is current again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use slab::Slab;

use super::Hub;
use super::instrument::{Instrument, Watch};
use crate::feed::Watched;
use crate::tape::SymbolId;

/// A symbol that has fallen silent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) symbol: String,
    /// The number of its market.
    pub(crate) market: usize,
    pub(crate) silence: Duration,
    /// Whether it ever had a price.
    pub(crate) had_price: bool,
}

/// The markets that symbols are prices of. Several symbols may be prices of one market, from
/// different sources, and one live price is enough for it.
#[derive(Default)]
pub(super) struct Markets {
    markets: Slab<Market>,
    by_name: HashMap<Box<str>, usize>,
    /// Markets that have symbols but no live price.
    unserved: usize,
}

struct Market {
    name: Box<str>,
    /// The symbols that are its prices, including delisted ones.
    symbols: usize,
    listed: usize,
    live: usize,
}

impl Markets {
    /// The number of the market of one more symbol; it is added if it was missing.
    pub(super) fn take(&mut self, name: &str) -> usize {
        let markets = &mut self.markets;
        let number = *self.by_name.entry(name.into()).or_insert_with(|| {
            markets.insert(Market {
                name: name.into(),
                symbols: 0,
                listed: 0,
                live: 0,
            })
        });
        markets[number].symbols += 1;
        number
    }

    /// Removes a delisted symbol from its market, which goes with its last symbol.
    pub(super) fn give_back(&mut self, number: usize) {
        let market = &mut self.markets[number];
        market.symbols -= 1;
        if market.symbols == 0 {
            let market = self.markets.remove(number);
            self.by_name.remove(&market.name);
        }
    }

    /// The name of a market.
    pub(super) fn name(&self, number: usize) -> &str {
        self.markets.get(number).map_or("", |market| &market.name)
    }

    /// How many markets there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.markets.len()
    }

    pub(super) fn list(&mut self, instrument: &Instrument) {
        let market = &mut self.markets[instrument.market];
        market.listed += 1;
        market.live += usize::from(instrument.is_live());
        self.unserved += usize::from(market.listed == 1 && market.live == 0);
        if market.listed > 1 && market.live == 1 && instrument.is_live() {
            self.unserved -= 1;
        }
    }

    pub(super) fn delist(&mut self, instrument: &Instrument, was_live: bool) {
        if was_live {
            self.went_silent(instrument.market);
        }
        let market = &mut self.markets[instrument.market];
        market.listed -= 1;
        self.unserved -= usize::from(market.listed == 0);
    }

    pub(super) fn came_alive(&mut self, market: usize) {
        self.markets[market].live += 1;
        self.unserved -= usize::from(self.markets[market].live == 1);
    }

    fn went_silent(&mut self, market: usize) {
        self.markets[market].live -= 1;
        self.unserved += usize::from(self.markets[market].live == 0);
    }

    fn is_unserved(&self, market: usize) -> bool {
        let market = self.markets.get(market);
        market.is_some_and(|market| market.listed > 0 && market.live == 0)
    }
}

impl Hub {
    /// Watches the symbols of `watched` for silence from here on.
    pub(crate) fn watch(&mut self, watched: &Watched, now: Instant) {
        let Some(id) = self.id_of(&watched.symbol) else {
            return;
        };
        let market = self.markets.take(&watched.market);
        let instrument = &mut self.instruments[usize::from(id)];
        self.markets.delist(instrument, instrument.is_live());
        self.markets.give_back(instrument.market);
        instrument.market = market;
        // A symbol that comes back stale stays stale until it has a price.
        let is_stale = instrument.is_stale();
        let touched = instrument.watch.as_ref().map(|watch| watch.touched);
        instrument.watch = Some(Watch {
            stale_after: watched.stale_after,
            touched: touched.filter(|_| is_stale).unwrap_or(now),
            is_stale,
        });
        self.markets.list(instrument);
    }

    /// Notes that the price of a symbol is still current. Returns whether it was stale before.
    pub(crate) fn confirm(&mut self, symbol: &str, now: Instant) -> bool {
        self.id_of(symbol).is_some_and(|id| self.touch(id, now))
    }

    /// Prints that a symbol is live if it was stale, and returns whether it was. After the closing
    /// frame a symbol stays as its readers know it.
    pub(super) fn touch(&mut self, id: SymbolId, now: Instant) -> bool {
        if self.is_closed() {
            return false;
        }
        let instrument = &mut self.instruments[usize::from(id)];
        if !instrument.touch(now) {
            return false;
        }
        if instrument.is_live() {
            self.markets.came_alive(instrument.market);
        }
        self.publish_event(id, now);
        true
    }

    /// Prints which symbols from number `from` on have fallen silent, and adds up to `most` of them
    /// to `silent`. Returns where to go on, if there may be more.
    pub(crate) fn publish_stale(
        &mut self,
        (from, most): (usize, usize),
        now: Instant,
        silent: &mut Vec<Silent>,
    ) -> Option<usize> {
        if self.is_closed() {
            return None;
        }
        let known = silent.len();
        for index in from..self.instruments.len() {
            let instrument = &self.instruments[index];
            if !instrument.is_listed || !instrument.is_overdue(now) {
                continue;
            }
            if silent.len() - known == most {
                return Some(index);
            }
            if let Some(watch) = &instrument.watch {
                silent.push(Silent {
                    symbol: instrument.name.to_string(),
                    market: instrument.market,
                    silence: watch.silence(now),
                    had_price: instrument.seq > 0,
                });
            }
            self.go_stale(index, now);
        }
        None
    }

    /// Notes that all prices are still current but those of `stale`, which have been silent for as
    /// many ms. Returns whether anything was printed.
    pub(crate) fn confirm_all_but(&mut self, stale: &BTreeMap<String, u64>, now: Instant) -> bool {
        let head = self.tape.head();
        for index in 0..self.instruments.len() {
            let instrument = &self.instruments[index];
            if !instrument.is_listed || instrument.watch.is_none() {
                continue;
            }
            match stale.get(&*instrument.name) {
                Some(&age) => self.call_stale(index, Duration::from_millis(age), now),
                None if instrument.seq > 0 => {
                    self.touch(index as SymbolId, now);
                }
                None => {}
            }
        }
        self.tape.head() != head
    }

    /// Takes another server's word that a symbol has been silent for this long, and prints that it is
    /// stale, unless its readers know.
    fn call_stale(&mut self, index: usize, age: Duration, now: Instant) {
        let Some(watch) = &mut self.instruments[index].watch else {
            return;
        };
        watch.touched = now.checked_sub(age).unwrap_or(now).min(watch.touched);
        if !watch.is_stale {
            self.go_stale(index, now);
        }
    }

    /// Marks a watched symbol as stale, and prints it.
    fn go_stale(&mut self, index: usize, now: Instant) {
        let instrument = &mut self.instruments[index];
        let (was_live, market) = (instrument.is_live(), instrument.market);
        if let Some(watch) = &mut instrument.watch {
            watch.is_stale = true;
        }
        if was_live {
            self.markets.went_silent(market);
        }
        self.publish_event(index as SymbolId, now);
    }

    /// How long a symbol that is stale has been silent; `None` if it is not stale.
    pub(crate) fn stale_for(&self, symbol: &str, now: Instant) -> Option<Duration> {
        self.instrument(self.id_of(symbol)?).stale_for(now)
    }

    /// Whether every market has a live price.
    pub(crate) fn is_ready(&self) -> bool {
        self.markets.unserved == 0
    }

    /// Whether a market has no live price.
    pub(crate) fn is_unserved(&self, market: usize) -> bool {
        self.markets.is_unserved(market)
    }

    /// The markets without a live price, each with the time since its newest known price, under any
    /// name, or since it has been watched; `None` for a market that is not watched.
    pub(crate) fn silences(&self, now: Instant) -> Vec<(&str, Option<Duration>)> {
        if self.is_ready() {
            return Vec::new();
        }
        let mut least: HashMap<usize, Duration> = HashMap::new();
        let instruments = self.instruments.iter();
        for instrument in instruments.filter(|instrument| instrument.is_listed) {
            if let Some(watch) = &instrument.watch {
                let silence = least.entry(instrument.market).or_insert(Duration::MAX);
                *silence = watch.silence(now).min(*silence);
            }
        }
        let markets = self.markets.markets.iter();
        let unserved = markets.filter(|&(number, _)| self.markets.is_unserved(number));
        unserved
            .map(|(number, market)| (&*market.name, least.get(&number).copied()))
            .collect()
    }
}
