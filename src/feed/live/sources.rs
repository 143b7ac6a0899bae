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
use super::order::{Step, Timeline};
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
    timelines: Vec<Timeline>,
    /// For each source, by its index, the place of what it is sent as.
    wires: Vec<usize>,
    shown: Vec<Shown>,
}

/// What was sent under one name: the stream and the requests of one exchange share it.
#[derive(Debug)]
struct Shown {
    name: String,
    price: Option<Price>,
    last: Option<Last>,
}

/// What was sent last.
#[derive(Debug)]
struct Last {
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
pub(super) enum News {
    /// A price to publish.
    Tick(Tick),
    /// The price of this symbol, as it reads on the wire, is still the same.
    Unchanged(String),
}

/// How a source is introduced.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) name: String,
    pub(super) notes: String,
    /// How its symbols read on the wire, in their order.
    pub(super) wires: Vec<String>,
    /// After what silence another one serves.
    pub(super) silence_max: Duration,
}

impl Sources {
    pub(super) fn new(
        symbols: &[String],
        introductions: Vec<Introduction>,
        changes_only: bool,
        now: Instant,
    ) -> Self {
        let market = |(index, symbol): (usize, &String)| {
            let names = introductions.iter().map(|it| it.wires[index].as_str());
            let (wires, shown) = share(names);
            Market {
                symbol: symbol.clone(),
                failover: Failover::new(introductions.iter().map(|it| it.silence_max), now),
                timelines: introductions.iter().map(|_| Timeline::default()).collect(),
                wires,
                shown,
            }
        };
        let markets = symbols.iter().enumerate().map(market).collect();
        Self {
            markets,
            sources: introductions
                .into_iter()
                .map(|it| SourceStatus::new(it.name, it.notes, it.wires.len(), now))
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
        !self.sources.is_empty()
            && self
                .iter()
                .all(|standing| standing.is_good() == Some(false))
    }

    /// For each symbol, the source that serves it.
    pub fn serving(&self) -> impl Iterator<Item = (&str, &str)> {
        self.markets.iter().map(|market| {
            let source = &self.sources[market.failover.active()];
            (market.symbol.as_str(), source.name())
        })
    }

    /// Takes what the fiber of `source` reports.
    pub(super) fn take(&mut self, source: usize, event: Event, now: Instant) -> Vec<News> {
        let mut changes = Changes::default();
        let news = match event {
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
        news
    }

    fn take_quote(
        &mut self,
        source: usize,
        index: usize,
        quote: Result<Quote, QuoteError>,
        (received_ms, now): (u64, Instant),
        changes: &mut Changes,
    ) -> Option<News> {
        let market = &mut self.markets[index];
        let reporter = &mut self.sources[source];
        reporter.note_symbol(index, quote.as_ref().err(), now, changes);
        let has_switched = match &quote {
            Err(_) => market.failover.failed(source, now),
            Ok(quote) => match market.timelines[source].step(quote.timestamp_ms, received_ms) {
                Step::Forward => market.failover.succeeded(source, now),
                Step::Back => {
                    reporter.dropped_old();
                    let has_switched = market.failover.lagged(source, now);
                    changes.note_switch(index, has_switched);
                    return None;
                }
            },
        };
        changes.note_switch(index, has_switched);
        let quote = quote.ok().filter(|_| market.failover.active() == source)?;
        let shown = &mut market.shown[market.wires[source]];
        if shown.is_newer_than(source, quote.timestamp_ms, now) {
            reporter.dropped_old();
            return None;
        }
        shown.last = Some(Last {
            source,
            time_ms: quote.timestamp_ms,
            at: now,
        });
        let price = quote.price;
        if self.changes_only && shown.price.as_ref() == Some(&price) {
            return Some(News::Unchanged(shown.name.clone()));
        }
        shown.price = Some(price.clone());
        Some(News::Tick(Tick {
            symbol: shown.name.clone(),
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
fn share<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<usize>, Vec<Shown>) {
    let mut shown: Vec<Shown> = Vec::new();
    let place = |name: &str| {
        let known = shown.iter().position(|it| it.name == name);
        known.unwrap_or_else(|| {
            shown.push(Shown::new(name));
            shown.len() - 1
        })
    };
    let places = names.map(place).collect();
    (places, shown)
}

impl Shown {
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
