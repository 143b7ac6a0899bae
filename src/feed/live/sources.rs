//! The state of the live sources: how well each one works, which of them serves each symbol, and
//! which price is newest. It is part of the loop's state, and the fibers report to it.
//!
//! Sources that stand in for each other are a [`Group`]: each of them has all symbols of the group.
//!
//! Pure but for the log: the time is handed in.

use std::time::{Duration, Instant};

use exchanges::{Fields, Quote, QuoteError};
use log::Level;

use super::failover::Failover;
use super::failure::{Failure, Pause};
use super::order::{Step, TimeOrder};
use super::status::{Changes, SourceInfo, SourceStatus};
use crate::tick::{Price, Tick};

/// The state of all sources; empty for feeds without any.
#[derive(Debug, Default)]
pub struct Sources(Vec<Group>);

/// The state of sources that stand in for each other.
#[derive(Debug, Default)]
pub(super) struct Group {
    sources: Vec<SourceStatus>,
    markets: Vec<Market>,
    /// Whether an unchanged price is confirmed instead of published.
    changes_only: bool,
}

/// One symbol on all exchanges that trade it.
#[derive(Debug)]
struct Market {
    symbol: String,
    failover: Failover,
    /// The order of each source's times, by its index.
    time_orders: Vec<TimeOrder>,
    /// What each source last said of each field, by its index. They are kept apart: one source's
    /// bid says nothing about another's price.
    fields: Vec<Fields>,
    /// For each source, by its index, its place in `published`.
    published_index: Vec<usize>,
    published: Vec<Published>,
    /// For each source, by its index, its newest price if it was not published because another
    /// source serves. It is published when this source takes over and confirms it.
    held: Vec<Option<Received>>,
}

/// A price with the time of its receipt.
#[derive(Debug)]
struct Received {
    quote: Quote,
    received_ms: u64,
}

/// What was published under one wire name. The stream and the requests of one exchange share one.
#[derive(Debug)]
struct Published {
    name: String,
    price: Option<Price>,
    fields: Fields,
    last: Option<LastSent>,
}

/// The origin of the last published price.
#[derive(Debug)]
struct LastSent {
    source: usize,
    /// The exchange's time, if it sent one, and by which of its clocks.
    time_ms: Option<u64>,
    clock: u8,
    at: Instant,
}

/// What a fiber reports.
#[derive(Debug)]
pub(super) enum Event {
    /// Prices or errors, by the index of their symbol.
    Quotes {
        quotes: Vec<(usize, Result<Quote, QuoteError>)>,
        received_ms: u64,
        /// How long the answer took; `None` for a stream.
        took: Option<Duration>,
    },
    /// The attempt failed for all symbols. The next one follows after the pause.
    Failed {
        failure: Failure,
        pause: Pause,
        took: Option<Duration>,
    },
    /// A sign of life: the prices of these symbols, by their indexes, still stand.
    Confirmed(Vec<usize>),
    /// A stream has ended as planned. It is opened again after the pause.
    Left { why: String, pause: Duration },
    /// An exchange reports an error but keeps the stream open.
    Complaint(String),
    /// A message of a stream makes no sense; the text says why.
    Unreadable(String),
}

/// What the loop has to do after a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// Publish this price.
    Tick(Tick),
    /// Confirm the price of this symbol, named as on the wire: it is still the same.
    Unchanged(String),
}

impl Sources {
    /// Adds a group, which is found under its number from then on: the first one is number zero.
    pub(super) fn add(&mut self, group: Group) {
        self.0.push(group);
    }

    /// Adds a source that is not chosen between: a script that writes ticks.
    pub(in crate::feed) fn add_input(&mut self, name: String, now: Instant) {
        let info = SourceInfo {
            name,
            way_out: String::new(),
            refused: None,
            wire_names: Vec::new(),
            silence_max: Duration::MAX,
        };
        let status = SourceStatus::new(info, now);
        self.0.push(Group {
            sources: vec![status],
            ..Group::default()
        });
    }

    /// The status of the source that was [added](Self::add_input) so.
    pub(in crate::feed) fn input(&mut self) -> Option<&mut SourceStatus> {
        self.0.first_mut()?.sources.first_mut()
    }

    /// The group of that number.
    pub(super) fn group(&mut self, number: usize) -> Option<&mut Group> {
        self.0.get_mut(number)
    }

    /// All sources, in the order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &SourceStatus> {
        self.0.iter().flat_map(Group::iter)
    }

    /// Whether the newest attempt at every source failed. False until all have been tried.
    pub fn are_all_failing(&self) -> bool {
        self.iter().next().is_some() && self.iter().all(|status| status.is_good() == Some(false))
    }

    /// For each symbol, the source that serves it.
    pub fn serving(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(Group::serving)
    }
}

impl Group {
    pub(super) fn new(
        symbols: &[String],
        infos: Vec<SourceInfo>,
        changes_only: bool,
        now: Instant,
    ) -> Self {
        let market = |(index, symbol): (usize, &String)| {
            let names = infos.iter().map(|info| info.wire_names[index].as_str());
            let (published_index, published) = group_by_name(names);
            Market {
                symbol: symbol.clone(),
                failover: Failover::new(infos.iter().map(|info| info.silence_max), now),
                time_orders: infos.iter().map(|_| TimeOrder::default()).collect(),
                fields: vec![Fields::default(); infos.len()],
                published_index,
                published,
                held: infos.iter().map(|_| None).collect(),
            }
        };
        let markets = symbols.iter().enumerate().map(market).collect();
        Self {
            markets,
            sources: infos
                .into_iter()
                .map(|info| SourceStatus::new(info, now))
                .collect(),
            changes_only,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter()
    }

    /// For each symbol, the source that serves it.
    fn serving(&self) -> impl Iterator<Item = (&str, &str)> {
        self.markets.iter().map(|market| {
            let source = &self.sources[market.failover.active()];
            (market.symbol.as_str(), source.name())
        })
    }

    /// Takes a report from the fiber of `source`.
    pub(super) fn take(&mut self, source: usize, event: Event, now: Instant) -> Vec<Update> {
        let mut changes = Changes::default();
        let updates = match event {
            Event::Quotes {
                quotes,
                received_ms,
                took,
            } => {
                self.sources[source].answered(took, now);
                let quotes = quotes.into_iter().filter_map(|(index, quote)| {
                    self.take_quote(source, index, quote, (received_ms, now), &mut changes)
                });
                quotes.collect()
            }
            Event::Confirmed(symbols) => {
                let confirmed = symbols.into_iter();
                let updates = confirmed
                    .filter_map(|index| self.take_confirmation(source, index, now, &mut changes));
                updates.collect()
            }
            Event::Failed {
                failure,
                pause,
                took,
            } => {
                self.sources[source].failed(&failure, pause, took, now);
                self.forget_fields(source);
                for (index, market) in self.markets.iter_mut().enumerate() {
                    if market.failover.failed(source, now) {
                        changes.switched.push(index);
                    }
                }
                Vec::new()
            }
            Event::Left { why, pause } => {
                self.forget_fields(source);
                let what =
                    format_args!("closed by the exchange: {why}; reconnecting in {pause:.1?}");
                self.sources[source].say(Level::Info, now, what);
                Vec::new()
            }
            Event::Complaint(words) => {
                self.sources[source].complained(words);
                Vec::new()
            }
            Event::Unreadable(what) => {
                self.sources[source].note_unreadable(&what);
                Vec::new()
            }
        };
        self.log(source, &changes, now);
        updates
    }

    /// Forgets the fields of a source whose connection has ended or whose request has failed: what
    /// it leaves out of its next update may have changed meanwhile.
    fn forget_fields(&mut self, source: usize) {
        for market in &mut self.markets {
            market.fields[source] = Fields::default();
        }
    }

    fn take_quote(
        &mut self,
        source: usize,
        index: usize,
        quote: Result<Quote, QuoteError>,
        (received_ms, now): (u64, Instant),
        changes: &mut Changes,
    ) -> Option<Update> {
        let market = &mut self.markets[index];
        let reporter = &mut self.sources[source];
        let mut quote = match quote {
            Ok(quote) => quote,
            Err(error) => {
                reporter.note_symbol(index, Some(&error), now, changes);
                market.held[source] = None;
                let has_switched = market.failover.failed(source, now);
                changes.note_switch(index, has_switched);
                return None;
            }
        };
        let order = &mut market.time_orders[source];
        if order.step(quote.timestamp_ms, quote.clock, received_ms) == Step::Back {
            reporter.note_outdated(index, order.back_ms(received_ms), now, changes);
            let has_switched = market.failover.lagged(source, now);
            changes.note_switch(index, has_switched);
            return None;
        }
        reporter.note_symbol(index, None, now, changes);
        reporter.note_time(quote.timestamp_ms);
        let has_switched = market.failover.succeeded(source, now);
        changes.note_switch(index, has_switched);
        quote.fields.merge_missing_from(&market.fields[source]);
        market.fields[source].clone_from(&quote.fields);
        let received = Received { quote, received_ms };
        if market.failover.active() != source {
            market.held[source] = Some(received);
            return None;
        }
        self.publish(source, index, received, now)
    }

    /// Takes the news that the last price of a symbol from `source` still stands.
    fn take_confirmation(
        &mut self,
        source: usize,
        index: usize,
        now: Instant,
        changes: &mut Changes,
    ) -> Option<Update> {
        let market = &mut self.markets[index];
        let published = &market.published[market.published_index[source]];
        // If the requests of the same exchange have replaced its price since, it stands no more.
        if market.held[source].is_none() && !published.is_of(source) {
            return None;
        }
        let has_switched = market.failover.succeeded(source, now);
        changes.note_switch(index, has_switched);
        if market.failover.active() != source {
            return None;
        }
        match market.held[source].take() {
            Some(held) => self.publish(source, index, held, now),
            None => Some(Update::Unchanged(published.name.clone())),
        }
    }

    /// What to publish for a price of `source`, which serves.
    fn publish(
        &mut self,
        source: usize,
        index: usize,
        received: Received,
        now: Instant,
    ) -> Option<Update> {
        let market = &mut self.markets[index];
        market.held[source] = None;
        let published = &mut market.published[market.published_index[source]];
        let Received { quote, received_ms } = received;
        if published.is_newer_than(source, &quote, now) {
            self.sources[source].count_outdated();
            return None;
        }
        published.last = Some(LastSent {
            source,
            time_ms: quote.timestamp_ms,
            clock: quote.clock,
            at: now,
        });
        let Quote { price, fields, .. } = quote;
        if self.changes_only {
            if published.price.as_ref() == Some(&price) && published.fields == fields {
                return Some(Update::Unchanged(published.name.clone()));
            }
            published.price = Some(price.clone());
            published.fields.clone_from(&fields);
        }
        Some(Update::Tick(Tick {
            symbol: published.name.clone(),
            price,
            timestamp: quote.timestamp_ms.unwrap_or(received_ms),
            fields,
        }))
    }

    /// Logs one line for all symbols that a report has changed in the same way.
    fn log(&mut self, source: usize, changes: &Changes, now: Instant) {
        if let Some((first, error)) = changes.worse.first() {
            let symbols = self.some_symbols(*first, changes.worse.len());
            let what = format_args!("{symbols}: {error}; still trying");
            self.sources[source].say(Level::Warn, now, what);
        }
        if let Some(first) = changes.outdated.first() {
            let symbols = self.some_symbols(*first, changes.outdated.len());
            let what = format_args!(
                "{symbols}: only prices older than one before; dropping them, still trying"
            );
            self.sources[source].say(Level::Warn, now, what);
        }
        if let Some((first, after)) = changes.recovered.first() {
            let symbols = self.some_symbols(*first, changes.recovered.len());
            let what = format_args!("{symbols}: works again after {after:.1?}");
            self.sources[source].say(Level::Info, now, what);
        }
        if let Some(first) = changes.switched.first() {
            let serving = self.markets[*first].failover.active();
            let symbols = self.some_symbols(*first, changes.switched.len());
            let name = self.sources[serving].name();
            log::warn!("{symbols}: now served by {name}");
        }
    }

    fn some_symbols(&self, first: usize, count: usize) -> String {
        let first = &self.markets[first].symbol;
        match count {
            1 => first.clone(),
            count => format!("{first} and {} more", count - 1),
        }
    }
}

/// Makes one entry for each distinct name, and maps each of `names` to its entry.
fn group_by_name<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<usize>, Vec<Published>) {
    let mut published: Vec<Published> = Vec::new();
    let place = |name: &str| {
        let known = published.iter().position(|known| known.name == name);
        known.unwrap_or_else(|| {
            published.push(Published::new(name));
            published.len() - 1
        })
    };
    let places = names.map(place).collect();
    (places, published)
}

impl Published {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            price: None,
            fields: Fields::default(),
            last: None,
        }
    }

    /// Whether the last price is of `source`.
    fn is_of(&self, source: usize) -> bool {
        self.last.as_ref().is_some_and(|last| last.source == source)
    }

    /// Whether another source has published a newer price than this one of `source`, which has just
    /// taken over and may lag behind. It gets a minute to catch up. Its own prices need no
    /// comparison here: its [`TimeOrder`] compares them.
    fn is_newer_than(&self, source: usize, quote: &Quote, now: Instant) -> bool {
        let Some(last) = self.last.as_ref().filter(|last| last.source != source) else {
            return false;
        };
        let times = last.time_ms.zip(quote.timestamp_ms);
        let is_older = times.is_some_and(|(last, new)| new < last) && last.clock == quote.clock;
        is_older && now.saturating_duration_since(last.at) < CATCH_UP_MAX
    }
}

/// If a source's times are behind another's for longer than this, its clock is slow rather than its
/// prices.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
