//! What a server that is one of many counts, for `/metrics`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ioloop::histogram::Durations;

use super::link::DownReason;
use super::node::{Command, Input, Note};
use crate::nats::Traffic;

/// Counters since the start.
#[derive(Debug)]
pub(crate) struct RelayCounters {
    pub(crate) reconnects: BTreeMap<DownReason, u64>,
    /// All bytes from and to the broker.
    pub(crate) traffic: Traffic,
    /// Messages of the log that came by themselves, and those that should have and were fetched.
    pub(crate) messages: u64,
    pub(crate) fetched: u64,
    pub(crate) gaps: u64,
    pub(crate) missed_ticks: u64,
    pub(crate) disagreements: u64,
    pub(crate) foreign: u64,
    pub(crate) takeovers: u64,
    pub(crate) deposed: u64,
    pub(crate) lost_logs: u64,
    /// Messages that the log refused, and those without an answer.
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// From the stamp of a tick to its print.
    pub(crate) lag: Delays,
    /// From a message on its way to the log to the answer.
    pub(crate) ack: Delays,
    appended: Option<Instant>,
}

/// Delays by length.
pub(crate) type Delays = Durations<{ BOUNDS.len() }>;

impl Default for RelayCounters {
    fn default() -> Self {
        Self {
            reconnects: BTreeMap::new(),
            traffic: Traffic::default(),
            messages: 0,
            fetched: 0,
            gaps: 0,
            missed_ticks: 0,
            disagreements: 0,
            foreign: 0,
            takeovers: 0,
            deposed: 0,
            lost_logs: 0,
            refused: 0,
            unanswered: 0,
            lag: Durations::new(&BOUNDS),
            ack: Durations::new(&BOUNDS),
            appended: None,
        }
    }
}

impl RelayCounters {
    /// Counts what comes from the broker.
    pub(crate) fn count(&mut self, input: &Input, now: Instant) {
        match input {
            Input::Stored { .. } => {
                if let Some(appended) = self.appended.take() {
                    self.ack.record(now.saturating_duration_since(appended));
                }
            }
            Input::Live { .. } => self.messages += 1,
            Input::Refused { .. } => self.refused += 1,
            Input::Unanswered(_) | Input::NoLeader { .. } => self.unanswered += 1,
            _ => {}
        }
    }

    /// Notes what goes to the broker.
    pub(crate) fn note_commands(&mut self, commands: &[Command], now: Instant) {
        let is_append = |command: &Command| matches!(command, Command::Append { .. });
        if commands.iter().any(is_append) {
            self.appended = Some(now);
        }
    }

    pub(crate) fn reconnected(&mut self, reason: DownReason) {
        *self.reconnects.entry(reason).or_default() += 1;
    }

    pub(crate) fn note(&mut self, note: &Note) {
        match note {
            Note::Gap { missed } => {
                self.gaps += 1;
                self.missed_ticks += missed;
            }
            Note::Disagrees(_) => self.disagreements += 1,
            Note::Foreign(_) => self.foreign += 1,
            Note::Leads => self.takeovers += 1,
            Note::Deposed => self.deposed += 1,
            Note::LogLost => self.lost_logs += 1,
            Note::Fetched(count) => self.fetched += count,
            Note::Follows { .. } | Note::Left { .. } | Note::NoOrigin => {}
        }
    }
}

/// The bounds of the delays, from a message on one machine to a broker without a leader.
const BOUNDS: [Duration; 12] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];
