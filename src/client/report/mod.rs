//! The numbers of a run, as they are printed: [`Report`] as JSON is the stable form, with the unit
//! last in each name; as text (its `Display`) it is for people.

pub(super) mod build;
pub mod csv;
pub mod export;
pub mod figures;
pub mod hdr_log;
pub mod latencies;
pub mod plot;
mod sections;
pub mod shape;
mod table;
mod text;
pub mod usage;
pub mod verdicts;
mod warnings;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::measure::intervals::Interval;
use crate::client::report::figures::{
    ClockSync, Lateness, Losses, Requests, Saturated, SymbolLosses, Watching,
};
use crate::client::report::verdicts::Verdict;
use crate::client::run::tick_printer::Printed;

use crate::client::report::latencies::{CurvePoint, Delivery, Response};
use crate::client::report::shape::{Reconnects, SlowClients};
use crate::client::report::usage::{ClientUsage, ServerUsage};

/// What a run has measured. What could not be is none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where the clients connected to.
    pub url: String,
    /// How many there were.
    pub clients: Clients,
    /// The lists of symbols that they had; none if all asked for the same.
    pub watch: Option<Watching>,
    /// How often the server was asked for the newest tick of each symbol; none if it was asked for
    /// every tick.
    pub every_s: Option<f64>,
    /// The measured window, as long as it really was.
    pub duration_s: f64,
    /// The time between joining and window.
    pub warmup_s: f64,
    /// From the first connect until all had joined or failed.
    pub joining_s: f64,
    /// Messages of any kind that the server pushed in the window.
    pub messages: u64,
    /// The ticks in them: one in each, or as many as there are in a list.
    pub ticks: u64,
    /// Messages that are lists.
    pub list_messages: u64,
    /// Messages without a tick.
    pub other_messages: u64,
    /// Those of them that are binary.
    pub binary_messages: u64,
    /// Those of them that are not JSON.
    pub not_json_messages: u64,
    /// Messages that answered requests of `--request` and pings of `--sync`; none of the others is
    /// one of these.
    pub answers: u64,
    /// Messages by the window's length.
    pub messages_per_s: Option<f64>,
    /// Ticks by the same.
    pub ticks_per_s: Option<f64>,
    /// The messages' payloads.
    pub bytes: u64,
    /// A message's payload.
    pub message_size_bytes_mean: Option<f64>,
    /// What a client waits for its next message; the seed called it latency.
    pub time_between_messages_s_mean: Option<f64>,
    /// Ticks that say when they were sent.
    pub stamped: u64,
    /// From the server's stamp to the client's read.
    pub delivery_us: Delivery,
    /// Those latencies by percentile, as far as there are samples for.
    pub delivery_curve: Vec<CurvePoint>,
    /// Ticks that seem to come from the future: they are no deliveries.
    pub negative_latencies: u64,
    /// Those that seem to by no more than the clocks' comparison may be wrong: they are deliveries
    /// that took no time.
    pub within_error: u64,
    /// Ticks of symbols beyond those that can be told apart: what their numbers say and how late
    /// they were is not known.
    pub untracked: u64,
    /// Latencies too long to be told, which count as a minute.
    pub saturated: Saturated,
    /// How the clocks compare; none unless asked for.
    pub sync: Option<ClockSync>,
    /// How late ticks were against their own schedule; none unless asked for.
    pub schedule: Option<Lateness>,
    /// What became of requests; none if there were none.
    pub requests: Option<Requests>,
    /// From the call of connect to the first tick.
    pub response_s: Response,
    /// What the numbers of ticks say.
    #[serde(flatten)]
    pub losses: Losses,
    /// How many symbols have gaps.
    pub symbols_with_gaps: usize,
    /// Those symbols that have lost most, the worst first, as far as [`WORST_MAX`] goes.
    pub worst_symbols: Vec<SymbolLosses>,
    /// What the numbers of each symbol's ticks say.
    pub symbols: Vec<SymbolLosses>,
    /// What went wrong.
    pub errors: Errors,
    /// Those who hardly read; none without any.
    pub slow: Option<SlowClients>,
    /// Connections that were opened anew; none unless that was asked for.
    pub reconnects: Option<Reconnects>,
    /// What this client cost.
    pub client: ClientUsage,
    /// What the server cost; none without its process id.
    pub server: Option<ServerUsage>,
    /// When the window began, in Unix time; zero if it did not.
    pub measured_from_unix_s: f64,
    /// The window by the second.
    pub intervals: Vec<Interval>,
    /// What became of the limits that were asked for.
    pub thresholds: Vec<Verdict>,
    /// What became of the ticks to print; none if they were not asked for.
    pub printed: Option<Printed>,
    /// What became of a client process that did not end well.
    #[serde(skip)]
    pub lost_process: Option<String>,
    /// What makes the numbers doubtful.
    pub warnings: Vec<String>,
}

/// How many of the worst symbols are told.
pub const WORST_MAX: usize = 20;

/// How many clients there were.
#[derive(Clone, Debug, Serialize)]
pub struct Clients {
    /// Asked for.
    pub asked: usize,
    /// Upgraded at some time.
    pub connected: usize,
    /// Never upgraded.
    pub failed: usize,
}

/// Failures.
#[derive(Clone, Debug, Serialize)]
pub struct Errors {
    /// All of them.
    pub total: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// A sentence about one of each kind, the most frequent first.
    pub examples: Vec<String>,
}

impl Report {
    /// One JSON object on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// What went wrong, in one sentence, if nothing was measured, or ticks could not be printed.
    pub fn error(&self) -> Option<String> {
        if let Some(error) = self.printed.as_ref().and_then(|it| it.error.as_ref()) {
            return Some(format!("cannot print ticks: {error}"));
        }
        // What is left is not what was asked for.
        if let Some(lost) = &self.lost_process {
            return Some(lost.clone());
        }
        // Who has seen enough of the ticks did not wait for the window.
        if self.ticks > 0 || self.reader_left() {
            return None;
        }
        let silent = self.errors.kinds.keys().all(|kind| kind == "no tick");
        let example = self.errors.examples.first();
        Some(match (self.messages, example) {
            (1.., _) if silent => format!(
                "no tick among {} messages, {} of which not even JSON (see --sent-field, \
                 --seq-field and --symbol-field)",
                self.messages, self.not_json_messages
            ),
            (_, Some(example)) => example.clone(),
            (_, None) => format!("no tick came in {:.3} s", self.duration_s),
        })
    }
}

impl Report {
    /// Whether all went well, only that no message came.
    pub fn nothing_came(&self) -> bool {
        let silent = self.errors.kinds.keys().all(|kind| kind == "no tick");
        silent && self.messages == 0 && self.clients.connected > 0
    }

    /// Whether ticks were printed until their reader left.
    pub fn reader_left(&self) -> bool {
        let printed = self.printed.as_ref();
        printed.is_some_and(|printed| printed.reader_left && printed.ticks > 0)
    }

    /// The limits that were not kept.
    pub fn missed_thresholds(&self) -> impl Iterator<Item = &Verdict> {
        self.thresholds.iter().filter(|verdict| !verdict.met)
    }
}

#[cfg(test)]
pub(in crate::client) mod tests;
