//! What is known of the exchanges while they are being asked: how each one does, which of them
//! serves each symbol, and which price is newest. Part of the loop's state; the fibers report to it.
//!
//! Pure but for the log: the time is handed in.

use std::time::{Duration, Instant};

use super::failover::Failover;
use super::failure::Failure;
use super::health::{Change, Health};
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

/// How one exchange does, asked in one way.
#[derive(Debug)]
pub struct Standing {
    name: String,
    /// What its user should know when it serves nobody here.
    notes: String,
    health: Health,
    /// Of each symbol, by the symbol's index.
    symbols: Vec<Health>,
    answers: u64,
    failures: Vec<(&'static str, u64)>,
    took: Option<Duration>,
    /// Prices dropped for being older than one before.
    old: u64,
    /// What it has complained of, and the log knows.
    complaints: Vec<String>,
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
        let source = |introduction: Introduction| Standing {
            symbols: vec![Health::default(); introduction.wires.len()],
            name: introduction.name,
            notes: introduction.notes,
            health: Health::default(),
            answers: 0,
            failures: Vec::new(),
            took: None,
            old: 0,
            complaints: Vec::new(),
        };
        Self {
            markets,
            sources: introductions.into_iter().map(source).collect(),
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
            (market.symbol.as_str(), source.name.as_str())
        })
    }

    /// Takes what the fiber of `source` reports.
    pub(super) fn take(&mut self, source: usize, event: Event, now: Instant) -> Vec<News> {
        let mut switched = Vec::new();
        let news = match event {
            Event::Quotes {
                quotes,
                received_ms,
                took,
            } => {
                self.sources[source].answered(took, now);
                let quotes = quotes.into_iter().filter_map(|(index, quote)| {
                    self.take_quote(source, index, quote, (received_ms, now), &mut switched)
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
                        switched.push(index);
                    }
                }
                Vec::new()
            }
            Event::Left { why, pause } => {
                let name = &self.sources[source].name;
                log::info!("{name}: {why}; connecting anew in {pause:.1?}");
                Vec::new()
            }
            Event::Complaint(words) => {
                self.sources[source].complained(words);
                Vec::new()
            }
        };
        self.log_switched(&switched);
        news
    }

    fn take_quote(
        &mut self,
        source: usize,
        index: usize,
        quote: Result<Quote, QuoteError>,
        (received_ms, now): (u64, Instant),
        switched: &mut Vec<usize>,
    ) -> Option<News> {
        let market = &mut self.markets[index];
        let reporter = &mut self.sources[source];
        reporter.note_symbol(index, &market.symbol, quote.as_ref().err(), now);
        let wire = &mut market.wires[source];
        let taken = quote.ok().and_then(|quote| {
            let timestamp = quote.timestamp_ms.unwrap_or(received_ms);
            match wire.timeline.step(quote.timestamp_ms, received_ms) {
                Step::Forward => Some((quote.price, timestamp)),
                Step::Back => {
                    reporter.old += 1;
                    None
                }
            }
        });
        let has_switched = match taken {
            Some(_) => market.failover.succeeded(source, now),
            None => market.failover.failed(source, now),
        };
        if has_switched {
            switched.push(index);
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

    /// One line for all symbols that have another source now.
    fn log_switched(&self, switched: &[usize]) {
        let Some((&first, others)) = switched.split_first() else {
            return;
        };
        let first = &self.markets[first];
        let name = &self.sources[first.failover.active()].name;
        match others.len() {
            0 => log::warn!("{} is served by {name} from now on", first.symbol),
            others => log::warn!(
                "{} and {others} more are served by {name} from now on",
                first.symbol
            ),
        }
    }
}

impl Standing {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its newest answer was a good one; none before the first.
    pub fn is_good(&self) -> Option<bool> {
        self.health.is_good()
    }

    /// Answers with prices, or messages of a stream.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// How often what went wrong: kinds with their numbers.
    pub fn failures(&self) -> &[(&'static str, u64)] {
        &self.failures
    }

    /// How long the newest request took, whatever became of it.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Prices that were dropped for being older than one before.
    pub fn old(&self) -> u64 {
        self.old
    }

    fn answered(&mut self, took: Option<Duration>, now: Instant) {
        self.answers += 1;
        self.took = took.or(self.took);
        let name = &self.name;
        match self.health.good(now) {
            Change::None => {}
            Change::First => log::info!("{name}: answers"),
            Change::Recovered(after) => log::info!("{name}: works again after {after:.1?}"),
            Change::Worse => unreachable!("a good answer is no failure"),
        }
    }

    fn failed(&mut self, failure: &Failure, pause: Duration, took: Option<Duration>, now: Instant) {
        self.took = took.or(self.took);
        self.count(failure.kind());
        if self.health.bad(failure.kind(), now) == Change::Worse {
            let (name, notes) = (&self.name, &self.notes);
            let hint = match failure {
                Failure::Answer(QuoteError::Blocked(_)) if !notes.is_empty() => {
                    format!(" ({notes})")
                }
                _ => String::new(),
            };
            log::warn!("{name}: {failure}; trying again in {pause:.1?}, then less often{hint}");
        }
    }

    fn complained(&mut self, words: String) {
        self.count("complaint");
        // The same for each of fifty symbols is not worth fifty lines, nor once a minute.
        if !self.complaints.contains(&words) && self.complaints.len() < COMPLAINTS_MAX {
            log::warn!("{}: it complains: {words}", self.name);
            self.complaints.push(words);
        }
    }

    fn note_symbol(
        &mut self,
        index: usize,
        symbol: &str,
        error: Option<&QuoteError>,
        now: Instant,
    ) {
        let Some(error) = error else {
            if let Change::Recovered(after) = self.symbols[index].good(now) {
                let name = &self.name;
                log::info!("{name}: {symbol}: has a price again after {after:.1?}");
            }
            return;
        };
        let kind = Failure::Answer(error.clone()).kind();
        self.count(kind);
        if self.symbols[index].bad(kind, now) == Change::Worse {
            let name = &self.name;
            log::warn!("{name}: {symbol}: {error}; trying on");
        }
    }

    fn count(&mut self, kind: &'static str) {
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((kind, 1)),
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

/// Complaints of an exchange that the log shows.
const COMPLAINTS_MAX: usize = 10;
