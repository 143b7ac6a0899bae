//! The state of the live sources: how well each one works, which of them serves each symbol, and
//! which price is newest. It is part of the loop's state, and the fibers report to it.
//!
//! Sources that stand in for each other are a [`Group`]. Its markets come and go while it runs; each
//! of them is fetched by the sources that have it.
//!
//! Pure but for the log: the time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use exchanges::{Fields, Quote, QuoteError, Symbol};
use log::Level;

use super::failover::Failover;
use super::failure::{Failure, Pause};
use super::health::Health;
use super::numbered::Numbered;
use super::order::{Step, TimeOrder};
use super::roster::Roster;
use super::status::{Changes, SourceInfo, SourceStatus};
use crate::tick::{Price, Tick};

/// The state of all sources; empty for feeds without any.
#[derive(Debug, Default)]
pub struct Sources(Vec<Group>);

/// The state of sources that stand in for each other.
#[derive(Debug, Default)]
pub(super) struct Group {
    sources: Vec<SourceStatus>,
    /// The markets, which come and go, by number.
    markets: Numbered<Market>,
    by_symbol: HashMap<String, usize>,
    /// Whether an unchanged price is confirmed instead of published.
    changes_only: bool,
    /// The lists of markets, and who fetches which market.
    pub(super) roster: Roster,
}

/// One symbol on all exchanges that trade it.
#[derive(Debug)]
struct Market {
    symbol: String,
    failover: Failover,
    /// The sources that have it, in the order of preference: the candidates of `failover`.
    places: Vec<Place>,
    published: Vec<Published>,
}

/// One market at one source.
#[derive(Debug)]
struct Place {
    source: usize,
    /// Which of the source's connections fetches it.
    shard: usize,
    time_order: TimeOrder,
    /// What a stream last said of each field. They are kept apart: one source's bid says nothing
    /// about another's price.
    fields: Fields,
    health: Health,
    /// Its position in `published`.
    published: usize,
    /// Its newest price if it was not published because another source serves. It is published when
    /// this source takes over and confirms it.
    held: Option<Received>,
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
    /// Prices or errors, by the number of their market. A long answer is reported in parts, so that
    /// no turn of the loop gets all of it.
    Quotes {
        quotes: Vec<(usize, Result<Quote, QuoteError>)>,
        part: Part,
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
    /// A sign of life: the prices of these markets, by their numbers, still stand.
    Confirmed(Vec<usize>),
    /// A stream has ended as planned. It is opened again after the pause.
    Left { why: String, pause: Duration },
    /// An exchange reports an error but keeps the stream open.
    Complaint(String),
    /// A message of a stream makes no sense; the text says why.
    Unreadable(String),
}

/// Which part of an answer a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

impl Part {
    /// The whole answer.
    pub(super) const WHOLE: Self = Self {
        is_first: true,
        is_last: true,
    };
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
            streams: false,
            way_out: String::new(),
            refused: None,
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

    /// What keeps the server from knowing its symbols, a line for each exchange whose list of
    /// markets is still unknown.
    pub fn obstacles(&self, now: Instant) -> Vec<String> {
        let lists = self.0.iter().flat_map(|group| &group.roster.lists);
        lists.filter_map(|list| list.obstacle(now)).collect()
    }

    /// The exchanges whose list of markets could not be read, each with the time until the next
    /// attempt.
    pub fn list_waits(&self, now: Instant) -> impl Iterator<Item = (&str, Duration)> {
        let lists = self.0.iter().flat_map(|group| &group.roster.lists);
        lists.filter_map(move |list| list.waits(now))
    }

    /// Whether the lists of markets of all exchanges that are needed are known.
    pub fn has_lists(&self) -> bool {
        let mut lists = self.0.iter().flat_map(|group| &group.roster.lists);
        !lists.any(|list| list.is_waiting)
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
    pub(super) fn new(infos: Vec<SourceInfo>, changes_only: bool, now: Instant) -> Self {
        let status = |info| SourceStatus::new(info, now);
        Self {
            sources: infos.into_iter().map(status).collect(),
            changes_only,
            ..Self::default()
        }
    }

    /// Notes that a connection of `source` will fetch `symbol`, whose name on the wire is `name`.
    /// Returns the number of the market, or `None` if the source has it already.
    pub(super) fn attach(
        &mut self,
        (source, shard): (usize, usize),
        symbol: &str,
        name: &str,
        now: Instant,
    ) -> Option<usize> {
        let markets = &mut self.markets;
        let number = *self.by_symbol.entry(symbol.to_owned()).or_insert_with(|| {
            markets.add(Market {
                symbol: symbol.to_owned(),
                failover: Failover::new(now),
                places: Vec::new(),
                published: Vec::new(),
            })
        });
        let market = self.markets.get_mut(number)?;
        let silence_max = self.sources[source].silence_max();
        let is_new = market.attach((source, shard), name, silence_max);
        is_new.then_some(number)
    }

    /// Notes that `source` no longer has `symbol`. Returns the number of the market and which
    /// connection fetched it.
    pub(super) fn detach(&mut self, source: usize, symbol: &str) -> Option<(usize, usize)> {
        let number = *self.by_symbol.get(symbol)?;
        let market = self.markets.get_mut(number)?;
        let index = market.index(source)?;
        let place = market.places.remove(index);
        market.failover.remove(index);
        if market.places.is_empty() {
            self.markets.remove(number);
            self.by_symbol.remove(symbol);
        }
        Some((number, place.shard))
    }

    /// The markets that one connection of `source` fetches: their numbers and symbols.
    pub(super) fn fetched_by(&self, source: usize, shard: usize) -> Vec<(usize, &str)> {
        let is_its = |place: &Place| place.source == source && place.shard == shard;
        let all = self.markets.iter();
        all.filter(|(_, market)| market.places.iter().any(is_its))
            .map(|(number, market)| (number, market.symbol.as_str()))
            .collect()
    }

    /// Whether only old prices of a market have come from `source` for a while.
    #[cfg(test)]
    fn is_outdated(&self, source: usize, number: usize) -> bool {
        let market = self.markets.get(number).unwrap();
        let place = &market.places[market.index(source).unwrap()];
        let failing = place.health.failing();
        failing.is_some_and(|(kind, _)| kind == "outdated")
    }

    /// The symbols that `source` has, in their order.
    pub(super) fn had_by(&self, source: usize) -> Vec<Symbol> {
        let all = self.markets.iter();
        let its = all.filter(|(_, market)| market.index(source).is_some());
        let symbols = its.filter_map(|(_, market)| market.symbol.parse().ok());
        let mut symbols: Vec<_> = symbols.collect();
        symbols.sort_unstable();
        symbols
    }

    /// Sets how long `source` may be silent before another one serves.
    pub(super) fn set_silence_max(&mut self, source: usize, silence_max: Duration) {
        self.sources[source].set_silence_max(silence_max);
        for (_, market) in self.markets.iter_mut() {
            if let Some(index) = market.index(source) {
                market.failover.set_silence_max(index, silence_max);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter()
    }

    /// For each symbol, the source that serves it.
    fn serving(&self) -> impl Iterator<Item = (&str, &str)> {
        self.markets.iter().map(|(_, market)| {
            let source = &self.sources[market.serving()];
            (market.symbol.as_str(), source.name())
        })
    }

    /// Takes a report from the only fiber of `source`.
    #[cfg(test)]
    pub(super) fn take(&mut self, source: usize, event: Event, now: Instant) -> Vec<Update> {
        self.take_of((source, 0), event, now)
    }

    /// Takes a report from a fiber of `source`: one of its connections, or its requests.
    pub(super) fn take_of(
        &mut self,
        (source, shard): (usize, usize),
        event: Event,
        now: Instant,
    ) -> Vec<Update> {
        let mut changes = self.sources[source].take_changes();
        let mut is_last = true;
        let updates = match event {
            Event::Quotes {
                quotes,
                part,
                received_ms,
                took,
            } => {
                is_last = part.is_last;
                if part.is_first {
                    self.sources[source].answered(shard, took, now);
                }
                let quotes = quotes.into_iter().filter_map(|(number, quote)| {
                    self.take_quote(source, number, quote, (received_ms, now), &mut changes)
                });
                quotes.collect()
            }
            Event::Confirmed(numbers) => {
                let confirmed = numbers.into_iter();
                let updates = confirmed
                    .filter_map(|number| self.take_confirmation(source, number, now, &mut changes));
                updates.collect()
            }
            Event::Failed {
                failure,
                pause,
                took,
            } => {
                self.sources[source].failed(shard, &failure, (pause, took), now);
                self.forget_fields(source, shard);
                for (number, market) in self.markets.iter_mut() {
                    let index = market.index(source);
                    let index = index.filter(|&index| market.places[index].shard == shard);
                    if index.is_some_and(|index| market.failover.failed(index, now)) {
                        changes.switched.push(number);
                    }
                }
                Vec::new()
            }
            Event::Left { why, pause } => {
                self.forget_fields(source, shard);
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
        if is_last {
            self.log(source, &changes, now);
        } else {
            self.sources[source].put_changes(changes);
        }
        updates
    }

    /// Forgets the fields of a source whose connection has ended or whose request has failed: what
    /// it leaves out of its next update may have changed meanwhile.
    fn forget_fields(&mut self, source: usize, shard: usize) {
        let markets = self.markets.iter_mut();
        let places = markets.flat_map(|(_, market)| &mut market.places);
        for place in places.filter(|place| place.source == source && place.shard == shard) {
            place.fields = Fields::default();
        }
    }

    fn take_quote(
        &mut self,
        source: usize,
        number: usize,
        quote: Result<Quote, QuoteError>,
        (received_ms, now): (u64, Instant),
        changes: &mut Changes,
    ) -> Option<Update> {
        // It may have been removed while the answer was under way.
        let market = self.markets.get_mut(number)?;
        let index = market.index(source)?;
        let place = &mut market.places[index];
        let reporter = &mut self.sources[source];
        let mut quote = match quote {
            Ok(quote) => quote,
            Err(error) => {
                reporter.note_symbol((number, &mut place.health), Some(&error), now, changes);
                place.held = None;
                let has_switched = market.failover.failed(index, now);
                changes.note_switch(number, has_switched);
                return None;
            }
        };
        let order = &mut place.time_order;
        if order.step(quote.timestamp_ms, quote.clock, received_ms) == Step::Back {
            let back_ms = order.back_ms(received_ms);
            reporter.note_outdated((number, &mut place.health), back_ms, now, changes);
            let has_switched = market.failover.lagged(index, now);
            changes.note_switch(number, has_switched);
            return None;
        }
        reporter.note_symbol((number, &mut place.health), None, now, changes);
        reporter.note_time(quote.timestamp_ms);
        let has_switched = market.failover.succeeded(index, now);
        changes.note_switch(number, has_switched);
        if reporter.streams() {
            quote.fields.merge_missing_from(&place.fields);
            place.fields.clone_from(&quote.fields);
        }
        let received = Received { quote, received_ms };
        if market.failover.active() != index {
            place.held = Some(received);
            return None;
        }
        self.publish((source, index), number, received, now)
    }

    /// Takes the news that the last price of a market from `source` still stands.
    fn take_confirmation(
        &mut self,
        source: usize,
        number: usize,
        now: Instant,
        changes: &mut Changes,
    ) -> Option<Update> {
        let market = self.markets.get_mut(number)?;
        let index = market.index(source)?;
        let place = &mut market.places[index];
        let published = &market.published[place.published];
        // If the requests of the same exchange have replaced its price since, it stands no more.
        if place.held.is_none() && !published.is_of(source) {
            return None;
        }
        let has_switched = market.failover.succeeded(index, now);
        changes.note_switch(number, has_switched);
        if market.failover.active() != index {
            return None;
        }
        match place.held.take() {
            Some(held) => self.publish((source, index), number, held, now),
            None => Some(Update::Unchanged(published.name.clone())),
        }
    }

    /// What to publish for a price of `source`, the market's place number `index`, which serves.
    fn publish(
        &mut self,
        (source, index): (usize, usize),
        number: usize,
        received: Received,
        now: Instant,
    ) -> Option<Update> {
        let market = self.markets.get_mut(number)?;
        let place = &mut market.places[index];
        place.held = None;
        let published = &mut market.published[place.published];
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
            let serving = self.markets.get(*first).map(Market::serving);
            let symbols = self.some_symbols(*first, changes.switched.len());
            let name = serving.map_or("another source", |serving| self.sources[serving].name());
            log::warn!("{symbols}: now served by {name}");
        }
    }

    fn some_symbols(&self, first: usize, count: usize) -> String {
        let first = self.markets.get(first);
        let first = first.map_or("a removed symbol", |market| market.symbol.as_str());
        match count {
            1 => first.to_owned(),
            count => format!("{first} and {} more", count - 1),
        }
    }
}

impl Market {
    /// Adds a source that has it. Returns whether it was missing.
    fn attach(
        &mut self,
        (source, shard): (usize, usize),
        name: &str,
        silence_max: Duration,
    ) -> bool {
        if self.index(source).is_some() {
            return false;
        }
        let known = self.published.iter().position(|known| known.name == name);
        let published = known.unwrap_or_else(|| {
            self.published.push(Published::new(name));
            self.published.len() - 1
        });
        let index = self.places.partition_point(|place| place.source < source);
        self.failover.insert(index, silence_max);
        self.places.insert(
            index,
            Place {
                source,
                shard,
                time_order: TimeOrder::default(),
                fields: Fields::default(),
                health: Health::default(),
                published,
                held: None,
            },
        );
        true
    }

    /// The position of `source` among those that have it; there are only a few.
    fn index(&self, source: usize) -> Option<usize> {
        self.places.iter().position(|place| place.source == source)
    }

    /// The source that serves it.
    fn serving(&self) -> usize {
        let place = self.places.get(self.failover.active());
        place.map_or(0, |place| place.source)
    }
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
