//! Judges what a server prints, and what a client gets that moves between servers.

use std::collections::HashMap;

use super::log::Log;
use crate::cluster::message::Printed;
use crate::cluster::node::{Effect, Note};

/// The tape of one server.
#[derive(Default)]
pub(super) struct Paper {
    pub(super) printed: Vec<Printed>,
    /// It has everything behind this stamp.
    complete_after: u64,
    pub(super) is_ready: bool,
    /// A gap was announced that the next tick is behind.
    announced: bool,
    seqs: HashMap<String, u64>,
    pub(super) notes: Vec<Note>,
}

/// A client that moves between servers and resumes by the newest stamp that it has.
#[derive(Default)]
pub(super) struct Wanderer {
    since: Option<u64>,
    /// The log that it has read from.
    generation: u64,
    pub(super) gaps: usize,
    pub(super) received: usize,
}

impl Paper {
    pub(super) fn take(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Print(printed) => self.print(printed)?,
            Effect::CompleteAfter(stamp) => {
                self.complete_after = stamp;
                self.seqs.clear();
            }
            Effect::Ready => self.is_ready = true,
            Effect::Note(note) => {
                match &note {
                    Note::Gap { .. } => self.announced = true,
                    Note::Disagrees(symbol) => {
                        return Err(format!("the log contradicts itself about {symbol}"));
                    }
                    _ => {}
                }
                self.notes.push(note);
            }
            Effect::Show { .. } | Effect::Hide(_) | Effect::Stand(_) | Effect::Beat(_) => {}
        }
        Ok(())
    }

    fn print(&mut self, printed: Printed) -> Result<(), String> {
        if let Some(last) = self.printed.last()
            && printed.sent <= last.sent
        {
            return Err(format!("{printed:?} was printed behind {last:?}"));
        }
        let symbol = printed.tick.symbol.clone();
        let before = self.seqs.insert(symbol, printed.seq);
        let follows = before.is_none_or(|before| printed.seq == before + 1);
        if !follows && !std::mem::take(&mut self.announced) {
            return Err(format!("{printed:?} was printed behind number {before:?}"));
        }
        self.printed.push(printed);
        Ok(())
    }

    /// The ticks behind a stamp, if the tape has all of them.
    fn after(&self, since: u64) -> Option<&[Printed]> {
        let from = self
            .printed
            .partition_point(|printed| printed.sent <= since);
        (since >= self.complete_after).then(|| &self.printed[from..])
    }
}

impl Wanderer {
    /// Reads what a server has printed behind what this client has.
    pub(super) fn read(&mut self, paper: &Paper, log: &Log) -> Result<(), String> {
        if !paper.is_ready {
            return Ok(());
        }
        let truth = &log.truth;
        if log.generation != self.generation {
            (self.generation, self.since) = (log.generation, None);
        }
        let Some(newest) = paper.printed.last() else {
            return Ok(());
        };
        // A tape that is still all of a log before tells nothing of this one.
        let is_here = truth.binary_search_by_key(&newest.sent, |printed| printed.sent);
        if is_here.is_err() {
            return Ok(());
        }
        let Some(since) = self.since else {
            self.since = Some(newest.sent);
            return Ok(());
        };
        if newest.sent <= since {
            return Ok(());
        }
        let Some(ticks) = paper.after(since) else {
            self.gaps += 1;
            self.since = Some(newest.sent);
            return Ok(());
        };
        let from = truth.partition_point(|printed| printed.sent <= since);
        let expected = truth.get(from..from + ticks.len()).unwrap_or_default();
        if ticks != expected {
            let (tick, other) = ticks.iter().zip(expected).find(|(a, b)| a != b).unzip();
            return Err(format!(
                "behind {since} a client got {tick:?} instead of {other:?}, of {} and {} ticks",
                ticks.len(),
                expected.len()
            ));
        }
        self.received += ticks.len();
        self.since = Some(newest.sent);
        Ok(())
    }
}
