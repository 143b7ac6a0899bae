//! The status of one source, for `/metrics` and for the log, which has a line per change.

use std::fmt;
use std::time::{Duration, Instant};

use exchanges::QuoteError;
use ioloop::histogram::Durations;
use log::Level;

use super::failure::{Failure, Pause};
use super::health::{Change, Health};
use super::log_quota::{LogQuota, Verdict};

/// The status of one source: an exchange's requests, or its stream.
#[derive(Debug)]
pub struct SourceStatus {
    name: String,
    /// Whether it is a stream, which leaves out of its updates what has not changed.
    streams: bool,
    /// What its users can do if it blocks this location; may be empty.
    way_out: String,
    /// The health of each of its connections; requests count as one.
    healths: Vec<Health>,
    /// When it is tried again after a failure.
    waits_until: Option<Instant>,
    /// How long it may be silent before another source serves.
    silence_max: Duration,
    /// What the parts of an answer so far have changed.
    changes: Changes,
    answers: u64,
    failures: Vec<(&'static str, u64)>,
    took: FetchDurations,
    /// Prices dropped because a newer one had arrived before.
    outdated: u64,
    /// Prices that came without a time of the exchange.
    untimed: u64,
    /// The errors it reported that have been logged.
    complaints: Vec<String>,
    quota: LogQuota,
}

/// What the state has to know about a source in advance.
#[derive(Clone, Debug)]
pub(super) struct SourceInfo {
    pub(super) name: String,
    /// Whether it is a stream, which leaves out of its updates what has not changed.
    pub(super) streams: bool,
    /// What its users can do if it blocks this location.
    pub(super) way_out: String,
    /// Why it must not be asked before then, if the check at the start has been refused.
    pub(super) refused: Option<(Failure, Instant)>,
    /// How long it may be silent before another source serves.
    pub(super) silence_max: Duration,
}

/// How long an exchange takes to answer, as a histogram.
pub type FetchDurations = Durations<{ BOUNDS.len() }>;

/// The symbols that one event has changed, by the numbers of their markets.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) worse: Vec<(usize, QuoteError)>,
    pub(super) recovered: Vec<(usize, Duration)>,
    /// Symbols of which only old prices have come for a while.
    pub(super) outdated: Vec<usize>,
    /// Symbols that another source has begun to serve.
    pub(super) switched: Vec<usize>,
}

impl Changes {
    pub(super) fn note_switch(&mut self, number: usize, has_switched: bool) {
        if has_switched {
            self.switched.push(number);
        }
    }
}

impl SourceStatus {
    pub(super) fn new(info: SourceInfo, now: Instant) -> Self {
        let mut health = Health::default();
        if let Some((failure, _)) = &info.refused {
            health.bad(failure.kind(), now);
        }
        Self {
            name: info.name,
            streams: info.streams,
            way_out: info.way_out,
            healths: vec![health],
            waits_until: info.refused.map(|(_, until)| until),
            silence_max: info.silence_max,
            changes: Changes::default(),
            answers: 0,
            failures: Vec::new(),
            took: Durations::new(&BOUNDS),
            outdated: 0,
            untimed: 0,
            complaints: Vec::new(),
            quota: LogQuota::new(now),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its newest answer was good, that of any connection; `None` before the first answer.
    pub fn is_good(&self) -> Option<bool> {
        let known = self.healths.iter().filter_map(Health::is_good);
        known.reduce(|one, other| one || other)
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
        self.healths.iter().find_map(Health::failing)
    }

    /// How long it has to be left alone after a failure; `None` while it works.
    pub fn waits(&self, now: Instant) -> Option<Duration> {
        let until = self.waits_until?;
        Some(until.saturating_duration_since(now))
    }

    /// The number of prices dropped because a newer one had arrived before.
    pub fn outdated(&self) -> u64 {
        self.outdated
    }

    /// The number of prices that came without a time of the exchange, and carry the time of their
    /// receipt instead.
    pub fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Whether it is a stream. An answer to a request, in contrast, states all that there is.
    pub(super) fn streams(&self) -> bool {
        self.streams
    }

    pub(super) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    pub(super) fn set_silence_max(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
    }

    /// Takes the changes of the parts of an answer so far.
    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Keeps changes until the last part of the answer.
    pub(super) fn put_changes(&mut self, changes: Changes) {
        self.changes = changes;
    }

    /// The health of a connection.
    fn health(&mut self, shard: usize) -> &mut Health {
        if self.healths.len() <= shard {
            self.healths.resize(shard + 1, Health::default());
        }
        &mut self.healths[shard]
    }

    pub(super) fn answered(&mut self, shard: usize, took: Option<Duration>, now: Instant) {
        self.answers += 1;
        self.waits_until = None;
        self.note_duration(took);
        let is_known = self.is_good().is_some();
        match self.health(shard).good(now) {
            Change::First if is_known => {}
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
        shard: usize,
        failure: &Failure,
        (pause, took): (Pause, Option<Duration>),
        now: Instant,
    ) {
        self.note_duration(took);
        self.count(failure.kind());
        self.waits_until = Some(now + pause.length);
        if self.health(shard).bad(failure.kind(), now) == Change::Worse {
            let hint = match failure {
                Failure::Answer(QuoteError::Blocked(_)) => format!(" ({})", self.way_out),
                _ => String::new(),
            };
            self.say(Level::Warn, now, format_args!("{failure}; {pause}{hint}"));
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

    /// Notes the result for one symbol, given by its number and its health, and adds it to `changes`
    /// if the log should mention it.
    pub(super) fn note_symbol(
        &mut self,
        (number, health): (usize, &mut Health),
        error: Option<&QuoteError>,
        now: Instant,
        changes: &mut Changes,
    ) {
        let Some(error) = error else {
            if let Change::Recovered(after) = health.good(now) {
                changes.recovered.push((number, after));
            }
            return;
        };
        let kind = Failure::Answer(error.clone()).kind();
        self.count(kind);
        if health.bad(kind, now) == Change::Worse {
            changes.worse.push((number, error.clone()));
        }
    }

    /// Counts lines of a script that are ticks.
    pub(in crate::feed) fn took_lines(&mut self, ticks: u64, now: Instant) {
        self.answers += ticks;
        self.health(0).good(now);
    }

    /// Counts lines of a script that are not published, by why they are not.
    pub(in crate::feed) fn count_lines(&mut self, kind: &'static str, lines: u64) {
        self.count_many(kind, lines);
    }

    /// Notes that a script writes no more lines.
    pub(in crate::feed) fn ended(&mut self, now: Instant) {
        self.count("ended");
        self.health(0).bad("ended", now);
    }

    /// Counts a price that was dropped because a newer one had arrived before, as have all for
    /// `back_ms`. Now and then a server behind the exchange's name lags; if all prices do, none
    /// gets through, which is worth a line.
    pub(super) fn note_outdated(
        &mut self,
        (number, health): (usize, &mut Health),
        back_ms: u64,
        now: Instant,
        changes: &mut Changes,
    ) {
        self.count_outdated();
        let goes_on = back_ms >= OUTDATED_FOR_MS;
        if goes_on && health.bad("outdated", now) == Change::Worse {
            changes.outdated.push(number);
        }
    }

    pub(super) fn count_outdated(&mut self) {
        self.outdated += 1;
    }

    /// Counts a price that came without a time.
    pub(super) fn note_time(&mut self, time_ms: Option<u64>) {
        self.untimed += u64::from(time_ms.is_none());
    }

    /// Counts and logs a message of a stream that makes no sense.
    pub(super) fn note_unreadable(&mut self, what: &str) {
        self.count("unreadable");
        log::warn!("{}: cannot read a message: {what}", self.name);
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

/// How long only old prices may come before the log mentions it.
const OUTDATED_FOR_MS: u64 = 5_000;

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
