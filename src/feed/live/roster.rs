//! Who fetches which market: the connections of each source with the markets that each one has, and
//! what is known of the exchanges' lists of markets.

use std::time::{Duration, Instant};

use exchanges::{Exchange, Symbol};
use ioloop::{IoLoop, Registrar};
use log::Level;

use super::failure::{Failure, Pause};
use super::inbox::{Inbox, Order};
use crate::feed::wanted::Wanted;

/// The connections of all sources, and the lists of all exchanges.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// By source.
    pub(super) teams: Vec<Team>,
    /// By exchange.
    pub(super) lists: Vec<ListStatus>,
}

/// The connections of one source.
#[derive(Debug)]
pub(super) struct Team {
    /// How many symbols a connection may have.
    capacity: usize,
    shards: Vec<Shard>,
    /// How long the source may be silent, with the symbols that it has.
    pub(super) stale_after: Duration,
}

/// One connection, or the requests to one exchange.
#[derive(Debug)]
struct Shard {
    inbox: Inbox<Order>,
    /// How many symbols it has.
    size: usize,
    /// Orders that it has not got yet.
    pending: Vec<Order>,
    is_started: bool,
}

/// What is known of an exchange's list of markets.
#[derive(Debug, Default)]
pub(super) struct ListStatus {
    exchange: String,
    /// What the user wants of the exchange.
    pub(super) wanted: Vec<Wanted>,
    /// Whether patterns wait for a list that is not known yet.
    pub(super) is_waiting: bool,
    /// How many markets the list has; `None` before it is known.
    markets: Option<usize>,
    /// How the newest attempt to read it failed, and since when attempts have been failing.
    failing: Option<(&'static str, Instant)>,
    /// When the next attempt follows on a failed one.
    next: Option<Instant>,
    /// How many symbols there will be when all changes are made, and how many were added and
    /// removed since the last log line.
    pub(super) total: usize,
    pub(super) added: usize,
    pub(super) removed: usize,
    /// Symbols that found no room on the server.
    pub(super) left_out: Vec<Symbol>,
    /// Entries that no market matches, each with similar ones that some do.
    unmatched: Vec<(String, Vec<String>)>,
    /// Whether the limit on silence has changed for the symbols that were there before.
    pub(super) must_watch_again: bool,
}

impl Team {
    pub(super) fn new(capacity: usize, stale_after: Duration) -> Self {
        Self {
            capacity,
            shards: Vec::new(),
            stale_after,
        }
    }

    /// The connection for one more symbol: the first one with room, or a new one.
    pub(super) fn room(&mut self, registrar: &Registrar) -> usize {
        let mut shards = self.shards.iter();
        let with_room = shards.position(|shard| shard.size < self.capacity);
        with_room.unwrap_or_else(|| {
            self.shards.push(Shard {
                inbox: Inbox::new(registrar),
                size: 0,
                pending: Vec::new(),
                is_started: false,
            });
            self.shards.len() - 1
        })
    }

    pub(super) fn add(&mut self, shard: usize, number: usize, symbol: Symbol) {
        let shard = &mut self.shards[shard];
        shard.size += 1;
        shard.pending.push(Order::Add(number, symbol));
    }

    pub(super) fn remove(&mut self, shard: usize, number: usize, symbol: Symbol) {
        let shard = &mut self.shards[shard];
        shard.size -= 1;
        shard.pending.push(Order::Remove(number, symbol));
    }

    /// Passes the pending orders on to their connections. Returns the connections that have to be
    /// started, with their inboxes.
    pub(super) fn tell<S: 'static>(
        &mut self,
        io_loop: &mut IoLoop<S>,
    ) -> Vec<(usize, Inbox<Order>)> {
        let mut new = Vec::new();
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if !shard.pending.is_empty() {
                shard.inbox.put(io_loop, std::mem::take(&mut shard.pending));
                if !std::mem::replace(&mut shard.is_started, true) {
                    new.push((index, shard.inbox.clone()));
                }
            }
        }
        new
    }
}

impl ListStatus {
    pub(super) fn new(exchange: &str) -> Self {
        Self {
            exchange: exchange.to_owned(),
            ..Self::default()
        }
    }

    /// Notes what the user wants of the exchange.
    pub(super) fn want(&mut self, wanted: Vec<Wanted>, exchange: &Exchange) {
        let has_patterns = wanted.iter().any(|wanted| wanted.name().is_none());
        let has_list = exchange.market_list_url().is_some();
        self.is_waiting = has_patterns && has_list && self.markets.is_none();
        self.wanted = wanted;
    }

    /// Notes that the list was read.
    pub(super) fn read(&mut self, markets: usize, now: Instant) {
        let id = &self.exchange;
        match (self.failing.take(), self.markets.replace(markets)) {
            (Some((_, since)), _) => {
                let after = now.saturating_duration_since(since);
                log::info!("{id}: its list of {markets} markets is back after {after:.1?}");
            }
            (None, None) => log::info!("{id}: its list has {markets} markets"),
            (None, Some(_)) => log::debug!("{id}: its list has {markets} markets"),
        }
    }

    /// Notes that a list has lost most of its markets.
    pub(super) fn doubted(&self, markets: usize) {
        let (id, before) = (&self.exchange, self.markets.unwrap_or_default());
        log::warn!(
            "{id}: its list has only {markets} of {before} markets; keeping the last one, and reading \
             the list again in a minute"
        );
    }

    /// Notes that the list could not be read.
    pub(super) fn failed(&mut self, failure: &Failure, pause: Pause, now: Instant) {
        let (id, kind) = (&self.exchange, failure.kind());
        let before = self.failing.map(|(kind, _)| kind);
        let since = self.failing.map_or(now, |(_, since)| since);
        self.failing = Some((kind, since));
        self.next = Some(now + pause.length);
        if before == Some(kind) {
            return;
        }
        match self.markets {
            None => log::warn!("{id}: cannot read its list of markets: {failure}; {pause}"),
            Some(markets) => log::warn!(
                "{id}: cannot read its list of markets: {failure}; keeping the last one, with \
                 {markets} markets, and {pause}"
            ),
        }
    }

    /// Notes which entries no market matches, and warns of those that are new.
    pub(super) fn note_unmatched(&mut self, unmatched: Vec<(String, Vec<String>)>) {
        let id = &self.exchange;
        for (entry, near) in unmatched.iter().take(UNMATCHED_NAMED_MAX) {
            if !self.unmatched.iter().any(|(known, _)| known == entry) {
                let hint = match near.as_slice() {
                    [] => String::new(),
                    near => format!(", did you mean {}?", near.join(" or ")),
                };
                log::warn!("{id}: no market matches {entry}{hint}");
            }
        }
        self.unmatched = unmatched;
    }

    /// Logs how many symbols came and went.
    pub(super) fn log_changes(&mut self) {
        let added = std::mem::take(&mut self.added);
        let removed = std::mem::take(&mut self.removed);
        if added > 0 || removed > 0 {
            let (id, total) = (&self.exchange, self.total);
            // Names that are there from the start are no news.
            let level = if self.markets.is_none() && removed == 0 && added == total {
                Level::Debug
            } else {
                Level::Info
            };
            log::log!(
                level,
                "{id}: symbols added: {added}, removed: {removed}, in all: {total}"
            );
        }
    }

    /// The exchange, and the time until the next attempt to read its list after one that failed.
    pub(super) fn waits(&self, now: Instant) -> Option<(&str, Duration)> {
        let next = self.next.filter(|_| self.failing.is_some())?;
        Some((&self.exchange, next.saturating_duration_since(now)))
    }

    /// What a server waits for because of this list, as a line for people.
    pub(super) fn obstacle(&self, now: Instant) -> Option<String> {
        let id = &self.exchange;
        match (self.is_waiting, self.failing) {
            (false, _) if self.total == 0 && !self.unmatched.is_empty() => {
                let unmatched = self.unmatched.iter().map(|(entry, _)| entry.as_str());
                let unmatched: Vec<_> = unmatched.take(UNMATCHED_NAMED_MAX).collect();
                Some(format!("{id}: no market matches {}", unmatched.join(", ")))
            }
            (false, _) => None,
            (true, None) => Some(format!("{id}: waiting for its list of markets")),
            (true, Some((kind, since))) => {
                let lasting = now.saturating_duration_since(since);
                let next = self
                    .next
                    .map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
                Some(format!(
                    "{id}: waiting for its list of markets, failing ({kind}) for {lasting:.1?}, next \
                     attempt in {next:.1?}"
                ))
            }
        }
    }
}

/// How many entries that no market matches the log names.
const UNMATCHED_NAMED_MAX: usize = 10;
