//! How one exchange does: what `/metrics` says about it, and the log, once per change.

use std::fmt;
use std::time::{Duration, Instant};

use exchanges::QuoteError;
use ioloop::histogram::Durations;
use log::Level;

use super::chatter::{Chatter, Say};
use super::failure::Failure;
use super::health::{Change, Health};

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
    took: FetchDurations,
    /// Prices dropped for being older than one before.
    old: u64,
    /// What it has complained of, and the log knows.
    complaints: Vec<String>,
    chatter: Chatter,
}

/// How long an exchange takes to answer, in buckets.
pub type FetchDurations = Durations<{ BOUNDS.len() }>;

/// What one report has changed about symbols, by their indexes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) worse: Vec<(usize, QuoteError)>,
    pub(super) recovered: Vec<(usize, Duration)>,
    /// Another source serves them.
    pub(super) switched: Vec<usize>,
}

impl Changes {
    pub(super) fn note_switch(&mut self, index: usize, has_switched: bool) {
        if has_switched {
            self.switched.push(index);
        }
    }
}

impl Standing {
    pub(super) fn new(name: String, notes: String, symbols: usize) -> Self {
        Self {
            name,
            notes,
            health: Health::default(),
            symbols: vec![Health::default(); symbols],
            answers: 0,
            failures: Vec::new(),
            took: Durations::new(&BOUNDS),
            old: 0,
            complaints: Vec::new(),
            chatter: Chatter::default(),
        }
    }

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

    /// How long requests took, whatever became of them. A stream asks for nothing.
    pub fn took(&self) -> &FetchDurations {
        &self.took
    }

    /// What is wrong with it, and since when, while its newest answer is none or a bad one.
    pub fn failing(&self) -> Option<(&'static str, Instant)> {
        self.health.failing()
    }

    /// Prices that were dropped for being older than one before.
    pub fn old(&self) -> u64 {
        self.old
    }

    pub(super) fn answered(&mut self, took: Option<Duration>, now: Instant) {
        self.answers += 1;
        self.note_duration(took);
        match self.health.good(now) {
            Change::First => self.say(Level::Info, now, format_args!("answers")),
            Change::Recovered(after) => {
                self.say(
                    Level::Info,
                    now,
                    format_args!("works again after {after:.1?}"),
                );
            }
            Change::None | Change::Worse => {}
        }
    }

    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        pause: Duration,
        took: Option<Duration>,
        now: Instant,
    ) {
        self.note_duration(took);
        self.count(failure.kind());
        if self.health.bad(failure.kind(), now) == Change::Worse {
            let notes = &self.notes;
            let hint = match failure {
                Failure::Answer(QuoteError::Blocked(_)) if !notes.is_empty() => {
                    format!(" ({notes})")
                }
                _ => String::new(),
            };
            let text = format!("{failure}; trying again in {pause:.1?}, then less often{hint}");
            self.say(Level::Warn, now, format_args!("{text}"));
        }
    }

    /// Writes to the log, unless there has been too much of that.
    pub(super) fn say(&mut self, level: Level, now: Instant, what: fmt::Arguments<'_>) {
        let name = &self.name;
        match self.chatter.ask(now) {
            Say::Yes { held: 0 } => log::log!(level, "{name}: {what}"),
            Say::Yes { held } => {
                log::log!(
                    level,
                    "{name}: {what} ({held} changes before it were not said)"
                );
            }
            Say::Enough => {
                log::log!(level, "{name}: {what}");
                log::warn!(
                    "{name}: changes all the time; saying so less often, /metrics has it all"
                );
            }
            Say::No => log::debug!("{name}: {what}"),
        }
    }

    pub(super) fn complained(&mut self, words: String) {
        self.count("complaint");
        // The same for each of fifty symbols is not worth fifty lines, nor once a minute.
        if !self.complaints.contains(&words) && self.complaints.len() < COMPLAINTS_MAX {
            log::warn!("{}: it complains: {words}", self.name);
            self.complaints.push(words);
        }
    }

    /// Takes note of how one symbol does, and of what the log should say about it.
    pub(super) fn note_symbol(
        &mut self,
        index: usize,
        error: Option<&QuoteError>,
        now: Instant,
        changes: &mut Changes,
    ) {
        let Some(error) = error else {
            if let Change::Recovered(after) = self.symbols[index].good(now) {
                changes.recovered.push((index, after));
            }
            return;
        };
        let kind = Failure::Answer(error.clone()).kind();
        self.count(kind);
        if self.symbols[index].bad(kind, now) == Change::Worse {
            changes.worse.push((index, error.clone()));
        }
    }

    /// Takes note of a price that was dropped for being older than one before.
    pub(super) fn dropped_old(&mut self) {
        self.old += 1;
    }

    fn note_duration(&mut self, took: Option<Duration>) {
        took.iter().for_each(|took| self.took.record(*took));
    }

    fn count(&mut self, kind: &'static str) {
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((kind, 1)),
        }
    }
}

/// Complaints of an exchange that the log shows.
const COMPLAINTS_MAX: usize = 10;

/// From an exchange next door to the limit on a request.
const BOUNDS: [Duration; 12] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
