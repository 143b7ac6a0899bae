//! Honesty about silence: who reads a symbol is told when its price is no longer known to be of
//! now, once, and when it is again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::listing::Watch;
use super::{Board, SymbolId};
use crate::feed::Watched;

/// A symbol that has fallen silent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) symbol: String,
    /// What it is a price of, which others may be too.
    pub(crate) market: String,
    pub(crate) silence: Duration,
}

impl Board {
    /// Keeps `watched` from falling silent unnoticed, from now on.
    pub(crate) fn watch(&mut self, watched: Watched, now: Instant) {
        let Some(&id) = self.by_name.get(&watched.symbol) else {
            return;
        };
        self.listings[usize::from(id)].watch = Some(Watch {
            market: watched.market,
            stale_after: watched.stale_after,
            heard: now,
            is_stale: false,
        });
    }

    /// The price of a symbol is known to be what it was. Returns whether it was stale before.
    pub(crate) fn confirm(&mut self, symbol: &str, now: Instant) -> bool {
        let id = self.by_name.get(symbol).copied();
        id.is_some_and(|id| self.hear(id, now))
    }

    /// Prints that a symbol is live if it was stale before, and returns that.
    pub(super) fn hear(&mut self, id: SymbolId, now: Instant) -> bool {
        let listing = &mut self.listings[usize::from(id)];
        if !listing.hear(now) {
            return false;
        }
        let mut event = Vec::new();
        listing.write_live(&mut event);
        self.print_event(id, &event, now);
        true
    }

    /// Prints which symbols have fallen silent since the last time, and returns them. With `no_hope`
    /// nothing is to be expected at the moment, so that symbols that never had a price are called
    /// stale before their time is up.
    pub(crate) fn print_stale(&mut self, now: Instant, no_hope: bool) -> Vec<Silent> {
        let mut silent = Vec::new();
        for index in 0..self.listings.len() {
            let sealed = self.is_sealed();
            let listing = &mut self.listings[index];
            if sealed || !listing.is_overdue(now, no_hope) {
                continue;
            }
            let mut event = Vec::new();
            listing.write_stale(now, &mut event);
            if let Some(watch) = &mut listing.watch {
                watch.is_stale = true;
                silent.push(Silent {
                    symbol: listing.name.clone(),
                    market: watch.market.clone(),
                    silence: watch.silence(now),
                });
            }
            self.print_event(index as SymbolId, &event, now);
        }
        silent
    }

    /// Whether there is a price of now to give: of every symbol, or of every market where several
    /// symbols are watched for the same.
    pub(crate) fn is_ready(&self) -> bool {
        self.unserved().next().is_none()
    }

    /// The markets that have no price of now.
    pub(crate) fn unserved(&self) -> impl Iterator<Item = &str> {
        let mut markets = BTreeMap::new();
        for listing in &self.listings {
            let market = match &listing.watch {
                Some(watch) => &watch.market,
                None => &listing.name,
            };
            let is_good = listing.seq > 0 && !listing.is_stale();
            *markets.entry(market.as_str()).or_insert(false) |= is_good;
        }
        let unserved = markets.into_iter().filter(|(_, is_good)| !is_good);
        unserved.map(|(market, _)| market)
    }

    /// The markets that have no price of now, each with the time since the newest that was known of
    /// it, under whatever name, or since it is watched; none for one that nobody watches.
    pub(crate) fn silences(&self, now: Instant) -> Vec<(&str, Option<Duration>)> {
        let mut silences: BTreeMap<_, _> = self.unserved().map(|market| (market, None)).collect();
        for watch in self.listings.iter().filter_map(|it| it.watch.as_ref()) {
            if let Some(silence) = silences.get_mut(watch.market.as_str()) {
                let least = silence.unwrap_or(Duration::MAX);
                *silence = Some(least.min(watch.silence(now)));
            }
        }
        silences.into_iter().collect()
    }
}
