//! One connection as far as the counting goes: what is remembered of it from message to message.

use std::time::Instant;

use crate::client::measure::cadence::Schedule;
use crate::client::measure::catching_up::Apart;
use crate::client::measure::requests::Asking;
use crate::client::measure::sequence::Sequences;
use crate::client::measure::subscription::Asked;
use crate::client::run::places::Away;

/// What is remembered of one connection from message to message.
#[derive(Debug)]
pub(in crate::client) struct Listener {
    /// When connect was called; taken by the first tick.
    pub(in crate::client) began: Option<Instant>,
    pub(in crate::client) sequences: Sequences,
    /// By the place of the symbol; empty without a grid, none once they have ended.
    pub(in crate::client) schedules: Option<Vec<Schedule>>,
    /// Schedules of the connection before, by the numbers of symbols that have not been seen again.
    pub(in crate::client) carried: Vec<(u32, Schedule)>,
    /// The last tick's stamp in Unix µs, for a connection that is to go on from there.
    pub(in crate::client) sent_us: Option<u64>,
    /// Its requests, from the first one on.
    pub(in crate::client) asking: Option<Box<Asking>>,
    /// How much of its client's own list has been asked for (`--watch`).
    pub(in crate::client) asked: Asked,
    /// Why what arrives is not counted as usual, if it is not.
    pub(in crate::client) apart: Option<Box<Apart>>,
}

impl Listener {
    /// The listener of a connection whose connect was called at `began`.
    pub(in crate::client) fn new(began: Instant) -> Self {
        Self {
            began: Some(began),
            sequences: Sequences::default(),
            schedules: Some(Vec::new()),
            carried: Vec::new(),
            sent_us: None,
            asking: None,
            asked: Asked::default(),
            apart: None,
        }
    }

    /// Whether it hardly reads.
    pub(in crate::client) fn is_slow(&self) -> bool {
        matches!(self.apart.as_deref(), Some(Apart::Slow(_)))
    }

    /// Notes that a tick has come, where its response time does not count.
    pub(in crate::client) fn hear(&mut self) {
        self.began = None;
    }

    /// Takes what is due out of a connection that is lost.
    pub(in crate::client) fn leave(&mut self) -> Away {
        let mut schedules = std::mem::take(&mut self.carried);
        let here = self.schedules.take().unwrap_or_default();
        schedules.extend(self.sequences.ids().zip(here));
        Away {
            asking: self.asking.take(),
            schedules,
        }
    }

    /// Takes the schedule that the symbol `id` had on the connection before.
    pub(in crate::client) fn take_carried(&mut self, id: u32) -> Option<Schedule> {
        let index = self
            .carried
            .iter()
            .position(|(carried, _)| *carried == id)?;
        Some(self.carried.swap_remove(index).1)
    }

    /// Whether a tick has come.
    pub(in crate::client) fn has_heard(&self) -> bool {
        self.began.is_none()
    }
}
