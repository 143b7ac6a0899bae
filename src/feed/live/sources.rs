//! What is known of the exchanges while they are being asked: how each one does, which of them
//! serves each symbol, and which price is newest. Part of the loop's state; the fibers report to
//! it.
//!
//! Pure but for the log: the time is handed in.

use std::time::{Duration, Instant};

use exchanges::{Quote, QuoteError};
use log::Level;

use super::failover::Failover;
use super::failure::Failure;
use super::order::{Step, TimeOrder};
use super::status::{Changes, SourceStatus};
use crate::tick::{Price, Tick};

/// Everything about all sources; empty for feeds that have none.
#[derive(Debug, Default)]
pub struct Sources {
    sources: Vec<SourceStatus>,
    markets: Vec<Market>,
    /// An unchanged price is no tick.
    changes_only: bool,
}

/// A symbol, wherever it is traded.
#[derive(Debug)]
struct Market {
    symbol: String,
    failover: Failover,
    /// The times of each source, by its index.
    time_orders: Vec<TimeOrder>,
    /// For each source, by its index, the place of what it is sent as.
    published_index: Vec<usize>,
    published: Vec<Published>,
}

/// What was sent under one name: the stream and the requests of one exchange share it.
#[derive(Debug)]
struct Published {
    name: String,
    price: Option<Price>,
    last: Option<LastSent>,
}

/// What was sent last.
#[derive(Debug)]
struct LastSent {
    source: usize,
    /// The exchange's time, if it sent one.
    time_ms: Option<u64>,
    at: Instant,
}

/// What a fiber reports.
#[derive(Debug)]
pub(super) enum Event {
    /// Prices, or why there is none, by the index of their symbol.
    Quotes {
        quotes: Vec<(usize, Result<Quote, QuoteError>)>,
        received_ms: u64,
        /// How long the answer took; none if nobody asked.
        took: Option<Duration>,
    },
    /// No prices, of no symbol. The next attempt is made after the pause.
    Failed {
        failure: Failure,
        pause: Duration,
        took: Option<Duration>,
    },
    /// A stream has ended as it is meant to. It is opened again after the pause.
    Left { why: String, pause: Duration },
    /// An exchange complains of something but goes on.
    Complaint(String),
}

/// What follows from a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// A price to publish.
    Tick(Tick),
    /// The price of this symbol, as it reads on the wire, is still the same.
    Unchanged(String),
}

/// How a source is introduced.
#[derive(Clone, Debug)]
pub(super) struct SourceInfo {
    pub(super) name: String,
    pub(super) notes: String,
    /// How its symbols read on the wire, in their order.
    pub(super) wire_names: Vec<String>,
    /// After what silence another one serves.
    pub(super) silence_max: Duration,
}

impl Sources {
    pub(super) fn new(
        symbols: &[String],
        infos: Vec<SourceInfo>,
        changes_only: bool,
        now: Instant,
    ) -> Self {
        let market = |(index, symbol): (usize, &String)| {
            let names = infos.iter().map(|it| it.wire_names[index].as_str());
            let (published_index, published) = group_by_name(names);
            Market {
                symbol: symbol.clone(),
                failover: Failover::new(infos.iter().map(|it| it.silence_max), now),
                time_orders: infos.iter().map(|_| TimeOrder::default()).collect(),
                published_index,
                published,
            }
        };
        let markets = symbols.iter().enumerate().map(market).collect();
        Self {
            markets,
            sources: infos
                .into_iter()
                .map(|it| SourceStatus::new(it.name, it.notes, it.wire_names.len(), now))
                .collect(),
            changes_only,
        }
    }

    /// All of them, in the order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter()
    }

    /// Whether the newest answer of each was none or a bad one; not before all have been asked.
    pub fn are_all_failing(&self) -> bool {
        !self.sources.is_empty() && self.iter().all(|status| status.is_good() == Some(false))
    }

    /// For each symbol, the source that serves it.
    pub fn serving(&self) -> impl Iterator<Item = (&str, &str)> {
        self.markets.iter().map(|market| {
            let source = &self.sources[market.failover.active()];
            (market.symbol.as_str(), source.name())
        })
    }

    /// Takes what the fiber of `source` reports.
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
            Event::Failed {
                failure,
                pause,
                took,
            } => {
                self.sources[source].failed(&failure, pause, took, now);
                for (index, market) in self.markets.iter_mut().enumerate() {
                    if market.failover.failed(source, now) {
                        changes.switched.push(index);
                    }
                }
                Vec::new()
            }
            Event::Left { why, pause } => {
                let what =
                    format_args!("closed by the exchange: {why}; reconnecting in {pause:.1?}");
                self.sources[source].say(Level::Info, now, what);
                Vec::new()
            }
            Event::Complaint(words) => {
                self.sources[source].complained(words);
                Vec::new()
            }
        };
        self.log(source, &changes, now);
        updates
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
        reporter.note_symbol(index, quote.as_ref().err(), now, changes);
        let has_switched = match &quote {
            Err(_) => market.failover.failed(source, now),
            Ok(quote) => match market.time_orders[source].step(quote.timestamp_ms, received_ms) {
                Step::Forward => market.failover.succeeded(source, now),
                Step::Back => {
                    reporter.note_outdated();
                    let has_switched = market.failover.lagged(source, now);
                    changes.note_switch(index, has_switched);
                    return None;
                }
            },
        };
        changes.note_switch(index, has_switched);
        let quote = quote.ok().filter(|_| market.failover.active() == source)?;
        let published = &mut market.published[market.published_index[source]];
        if published.is_newer_than(source, quote.timestamp_ms, now) {
            reporter.note_outdated();
            return None;
        }
        published.last = Some(LastSent {
            source,
            time_ms: quote.timestamp_ms,
            at: now,
        });
        let price = quote.price;
        if self.changes_only && published.price.as_ref() == Some(&price) {
            return Some(Update::Unchanged(published.name.clone()));
        }
        published.price = Some(price.clone());
        Some(Update::Tick(Tick {
            symbol: published.name.clone(),
            price,
            timestamp: quote.timestamp_ms.unwrap_or(received_ms),
        }))
    }

    /// One line for all symbols that the same report has changed in the same way.
    fn log(&mut self, source: usize, changes: &Changes, now: Instant) {
        if let Some((first, error)) = changes.worse.first() {
            let symbols = self.some_symbols(*first, changes.worse.len());
            let what = format_args!("{symbols}: {error}; still trying");
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

/// For each of `names`, the place of what is sent under it; sources of one name share one.
fn group_by_name<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<usize>, Vec<Published>) {
    let mut published: Vec<Published> = Vec::new();
    let place = |name: &str| {
        let known = published.iter().position(|it| it.name == name);
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
            last: None,
        }
    }

    /// Whether another source has had a newer price than that of `source`, which serves from now
    /// on and may lag behind. It has a minute to catch up; its own prices it has compared itself.
    fn is_newer_than(&self, source: usize, time_ms: Option<u64>, now: Instant) -> bool {
        let Some(last) = self.last.as_ref().filter(|last| last.source != source) else {
            return false;
        };
        let is_older = last
            .time_ms
            .zip(time_ms)
            .is_some_and(|(last, it)| it < last);
        is_older && now.saturating_duration_since(last.at) < CATCH_UP_MAX
    }
}

/// After so long a source that lags behind another is taken for one whose clock does.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
