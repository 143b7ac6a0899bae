//! What is known of the exchanges while they are being asked: how each one does, which of them
//! serves each symbol, and which price is newest. Part of the loop's state; the fibers report to it.
//!
//! Pure but for the log: the time is handed in.

use std::time::{Duration, Instant};

use super::failover::Failover;
use super::failure::Failure;
use super::standing::{Changes, Standing};
use super::timeline::{Step, Timeline};
use crate::exchange::{Quote, QuoteError};
use crate::tick::{Price, Tick};

/// Everything about all sources; empty for feeds that have none.
#[derive(Debug, Default)]
pub struct Sources {
    sources: Vec<Standing>,
    markets: Vec<Market>,
    /// An unchanged price is no tick.
    changes_only: bool,
}

/// A symbol, wherever it is traded.
#[derive(Debug)]
struct Market {
    symbol: String,
    failover: Failover,
    /// What is sent of each source, by its index.
    wires: Vec<Wire>,
}

/// The prices of a symbol from one source.
#[derive(Debug)]
struct Wire {
    name: String,
    timeline: Timeline,
    price: Option<Price>,
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
    pub(super) stale_after: Duration,
}

impl Sources {
    pub(super) fn new(
        symbols: &[String],
        introductions: Vec<Introduction>,
        changes_only: bool,
        now: Instant,
    ) -> Self {
        let market = |(index, symbol): (usize, &String)| Market {
            symbol: symbol.clone(),
            failover: Failover::new(introductions.iter().map(|it| it.stale_after), now),
            wires: introductions
                .iter()
                .map(|introduction| Wire::new(&introduction.wires[index]))
                .collect(),
        };
        let markets = symbols.iter().enumerate().map(market).collect();
        Self {
            markets,
            sources: introductions
                .into_iter()
                .map(|it| Standing::new(it.name, it.notes, it.wires.len()))
                .collect(),
            changes_only,
        }
    }

    /// All of them, in the order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.sources.iter()
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
                let name = self.sources[source].name();
                log::info!("{name}: ended by the exchange: {why}; connecting anew in {pause:.1?}");
                Vec::new()
            }
            Event::Complaint(words) => {
                self.sources[source].complained(words);
                Vec::new()
            }
        };
        self.log(source, &changes);
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
        let wire = &mut market.wires[source];
        let taken = quote.ok().and_then(|quote| {
            let timestamp = quote.timestamp_ms.unwrap_or(received_ms);
            match wire.timeline.step(quote.timestamp_ms, received_ms) {
                Step::Forward => Some((quote.price, timestamp)),
                Step::Back => {
                    reporter.dropped_old();
                    None
                }
            }
        });
        let has_switched = match taken {
            Some(_) => market.failover.succeeded(source, now),
            None => market.failover.failed(source, now),
        };
        if has_switched {
            changes.switched.push(index);
        }
        if market.failover.active() != source {
            return None;
        }
        let (price, timestamp) = taken?;
        if self.changes_only && wire.price.as_ref() == Some(&price) {
            return Some(News::Unchanged(wire.name.clone()));
        }
        wire.price = Some(price.clone());
        Some(News::Tick(Tick {
            symbol: wire.name.clone(),
            price,
            timestamp,
        }))
    }

    /// One line for all symbols that the same report has changed in the same way.
    fn log(&self, source: usize, changes: &Changes) {
        let name = self.sources[source].name();
        if let Some((first, error)) = changes.worse.first() {
            let symbols = self.some_symbols(*first, changes.worse.len());
            log::warn!("{name}: {symbols}: {error}; trying on");
        }
        if let Some((first, after)) = changes.recovered.first() {
            let symbols = self.some_symbols(*first, changes.recovered.len());
            log::info!("{name}: {symbols}: works again after {after:.1?}");
        }
        if let Some(first) = changes.switched.first() {
            let serving = self.markets[*first].failover.active();
            let symbols = self.some_symbols(*first, changes.switched.len());
            let name = self.sources[serving].name();
            log::warn!("{symbols}: served by {name} from now on");
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

impl Wire {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            timeline: Timeline::default(),
            price: None,
        }
    }
}

#[cfg(test)]
mod tests;
