//! How one exchange does: what `/metrics` says about it, and the log, once per change.

use std::fmt;
use std::time::{Duration, Instant};

use log::Level;

use super::chatter::{Chatter, Say};
use super::failure::Failure;
use super::health::{Change, Health};
use crate::exchange::QuoteError;

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
    chatter: Chatter,
}

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
            took: None,
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

    /// How long the newest request took, whatever became of it.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Prices that were dropped for being older than one before.
    pub fn old(&self) -> u64 {
        self.old
    }

    pub(super) fn answered(&mut self, took: Option<Duration>, now: Instant) {
        self.answers += 1;
        self.took = took.or(self.took);
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
        self.took = took.or(self.took);
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
            Say::Yes => log::log!(level, "{name}: {what}"),
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

    fn count(&mut self, kind: &'static str) {
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((kind, 1)),
        }
    }
}

/// Complaints of an exchange that the log shows.
const COMPLAINTS_MAX: usize = 10;
