//! The status of one source, for `/metrics` and for the log, which has a line per change.

use std::fmt;
use std::time::{Duration, Instant};

use exchanges::QuoteError;
use ioloop::histogram::Durations;
use log::Level;

use super::failure::Failure;
use super::health::{Change, Health};
use super::log_quota::{LogQuota, Verdict};

/// The status of one source: an exchange's requests, or its stream.
#[derive(Debug)]
pub struct SourceStatus {
    name: String,
    /// A hint for its users if it blocks this location.
    notes: String,
    health: Health,
    /// The health of each symbol, by its index.
    symbols: Vec<Health>,
    answers: u64,
    failures: Vec<(&'static str, u64)>,
    took: FetchDurations,
    /// Prices dropped because a newer one had arrived before.
    outdated: u64,
    /// The errors it reported that have been logged.
    complaints: Vec<String>,
    quota: LogQuota,
}

/// How long an exchange takes to answer, as a histogram.
pub type FetchDurations = Durations<{ BOUNDS.len() }>;

/// The symbols that one event has changed, by their indexes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) worse: Vec<(usize, QuoteError)>,
    pub(super) recovered: Vec<(usize, Duration)>,
    /// Symbols that another source has begun to serve.
    pub(super) switched: Vec<usize>,
}

impl Changes {
    pub(super) fn note_switch(&mut self, index: usize, has_switched: bool) {
        if has_switched {
            self.switched.push(index);
        }
    }
}

impl SourceStatus {
    pub(super) fn new(name: String, notes: String, symbols: usize, now: Instant) -> Self {
        Self {
            name,
            notes,
            health: Health::default(),
            symbols: vec![Health::default(); symbols],
            answers: 0,
            failures: Vec::new(),
            took: Durations::new(&BOUNDS),
            outdated: 0,
            complaints: Vec::new(),
            quota: LogQuota::new(now),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its newest answer was good; `None` before the first answer.
    pub fn is_good(&self) -> Option<bool> {
        self.health.is_good()
    }

    /// The number of answers with prices, or of messages from a stream.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// The kinds of failures so far, with their counts.
    pub fn failures(&self) -> &[(&'static str, u64)] {
        &self.failures
    }

    /// How long requests took, successful or not; empty for a stream.
    pub fn took(&self) -> &FetchDurations {
        &self.took
    }

    /// How it fails, and since when it has been failing; `None` while it works.
    pub fn failing(&self) -> Option<(&'static str, Instant)> {
        self.health.failing()
    }

    /// The number of prices dropped because a newer one had arrived before.
    pub fn outdated(&self) -> u64 {
        self.outdated
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

    /// Writes a line to the log, unless this source has written too many.
    pub(super) fn say(&mut self, level: Level, now: Instant, what: fmt::Arguments<'_>) {
        let name = &self.name;
        match self.quota.ask(now) {
            Verdict::Log { suppressed: 0 } => log::log!(level, "{name}: {what}"),
            Verdict::Log { suppressed } => {
                log::log!(
                    level,
                    "{name}: {what} ({suppressed} earlier changes were not logged)"
                );
            }
            Verdict::LogLast => {
                log::log!(level, "{name}: {what}");
                log::warn!("{name}: changes too often; logging fewer changes, /metrics counts all");
            }
            Verdict::Suppress => log::debug!("{name}: {what}"),
        }
    }

    pub(super) fn complained(&mut self, words: String) {
        self.count("complaint");
        // The same error for each of fifty symbols deserves neither fifty lines nor one a minute.
        if !self.complaints.contains(&words) && self.complaints.len() < COMPLAINTS_MAX {
            log::warn!("{}: the exchange reports an error: {words}", self.name);
            self.complaints.push(words);
        }
    }

    /// Notes the result for one symbol, and adds it to `changes` if the log should mention it.
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

    /// Counts lines of a script that are ticks.
    pub(in crate::feed) fn took_lines(&mut self, ticks: u64, now: Instant) {
        self.answers += ticks;
        self.health.good(now);
    }

    /// Counts lines of a script that are not published, by why they are not.
    pub(in crate::feed) fn count_lines(&mut self, kind: &'static str, lines: u64) {
        self.count_many(kind, lines);
    }

    /// Notes that a script writes no more lines.
    pub(in crate::feed) fn ended(&mut self, now: Instant) {
        self.count("ended");
        self.health.bad("ended", now);
    }

    /// Counts a price that was dropped because a newer one had arrived before.
    pub(super) fn note_outdated(&mut self) {
        self.outdated += 1;
    }

    fn note_duration(&mut self, took: Option<Duration>) {
        took.iter().for_each(|took| self.took.record(*took));
    }

    fn count(&mut self, kind: &'static str) {
        self.count_many(kind, 1);
    }

    fn count_many(&mut self, kind: &'static str, more: u64) {
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += more,
            None => self.failures.push((kind, more)),
        }
    }
}

/// How many different errors of an exchange the log shows.
const COMPLAINTS_MAX: usize = 10;

/// From the answer of a nearby exchange up to the usual limit on a request and beyond.
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
