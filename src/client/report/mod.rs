//! The numbers of a run, as they are printed: [`Report`] as JSON is the stable form, with the unit
//! last in each name; as text (its `Display`) it is for people.
//!
//! A field that is added must be optional or have a default, so that older reports can still be
//! read (`--compare`).

mod build;
pub mod csv;
pub mod export;
pub mod hdr_log;
pub mod metric;
pub mod percentiles;
pub mod plot;
mod sections;
mod table;
mod text;
pub mod verdicts;
mod warnings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::client::error_kind::ErrorKind;
use crate::client::measure::clock_sync::ClockOffset;
use crate::client::measure::intervals::Counts;
use crate::client::measure::losses::{Losses, SymbolLosses};
use crate::client::measure::measurement::{
    Counters, Printed, Reads, ReturnCounters, SlowCounters, Watching,
};
use crate::client::measure::requests::RequestCounters;
use crate::client::report::percentiles::{CurvePoint, Percentiles, Response, Series};
use crate::client::report::verdicts::Verdict;

/// What a run has measured. What could not be measured is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where the clients connected to.
    pub url: String,
    /// How many clients there were.
    pub clients: Clients,
    /// The lists of symbols that clients had; none if all asked for the same.
    pub watch: Option<Watching>,
    /// How often the server was asked to send the newest tick of each symbol; none if it was asked
    /// for every tick.
    pub every_s: Option<f64>,
    /// The measured window, as long as it really was.
    pub duration_s: f64,
    /// The time between joining and window.
    pub warmup_s: f64,
    /// From the first connect until all had joined or failed.
    pub joining_s: f64,
    /// What was counted.
    #[serde(flatten)]
    pub counters: Counters,
    /// Messages by the window's length.
    pub messages_per_s: Option<f64>,
    /// Ticks by the window's length.
    pub ticks_per_s: Option<f64>,
    /// A message's payload.
    pub message_size_bytes_mean: Option<f64>,
    /// How long a client waits for its next message; the Python original called it latency.
    pub time_between_messages_s_mean: Option<f64>,
    /// From the server's stamp to the client's read.
    pub delivery_us: Percentiles,
    /// Delivery latencies by percentile, as far as there are samples.
    pub delivery_curve: Vec<CurvePoint>,
    /// Latencies too long to tell, which count as a minute.
    pub saturated: Saturated,
    /// How the clocks compare; none unless asked for.
    pub sync: Option<ClockOffset>,
    /// How late ticks were against their own schedule; none unless asked for.
    pub schedule: Option<Lateness>,
    /// How requests were answered; none without `--request`.
    pub requests: Option<Requests>,
    /// From the call of connect to the first tick.
    pub response_s: Response,
    /// What the numbers of ticks say.
    #[serde(flatten)]
    pub losses: Losses,
    /// How many symbols have gaps.
    pub symbols_with_gaps: usize,
    /// The symbols that have lost most, the worst first; at most [`WORST_MAX`].
    pub worst_symbols: Vec<SymbolLosses>,
    /// What the numbers of each symbol's ticks say.
    pub symbols: Vec<SymbolLosses>,
    /// What went wrong.
    pub errors: Errors,
    /// Slow clients; none without `--slow`.
    pub slow: Option<SlowClients>,
    /// Connections that were opened again; none unless that was asked for.
    pub reconnects: Option<Reconnects>,
    /// What this client cost.
    pub client: ClientUsage,
    /// What the server cost; none without its process id.
    pub server: Option<ServerUsage>,
    /// When the window began, in Unix time; zero if it did not.
    pub measured_from_unix_s: f64,
    /// The window by the second.
    pub intervals: Vec<Interval>,
    /// How the run did by the limits that were asked for.
    pub thresholds: Vec<Verdict>,
    /// How printing ticks went; none without `--print`.
    pub printed: Option<Printed>,
    /// How a client process failed; also among the errors.
    #[serde(skip)]
    pub lost_process: Option<String>,
    /// What makes the numbers doubtful.
    pub warnings: Vec<String>,
}

/// How many of the worst symbols are listed.
pub const WORST_MAX: usize = 20;

/// What arrived in one interval of the measured window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began, from the beginning of the window.
    pub time_s: f64,
    /// How long it was: a second, less at the end of the window, more if the client was late.
    pub length_s: f64,
    /// Connections open at its end.
    pub connected: usize,
    /// What was counted in it.
    #[serde(flatten)]
    pub counts: Counts,
    /// Delivery latencies of the ticks that arrived in it, in µs.
    pub delivery_us: Series,
    /// How late ticks were that should have come in it, in µs; none without a schedule.
    pub lateness_us: Option<Series>,
    /// Latencies of the replies that came in it, in µs, since they were due; none without requests.
    pub reply_us: Option<Series>,
}

/// How late ticks were against their own schedule (`--expect`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lateness {
    /// The expected time from one tick of a symbol to the next.
    pub expect_s: f64,
    /// The mean time, lost ticks included; none with fewer than two ticks.
    pub interval_s_mean: Option<f64>,
    /// How late ticks were, including those that never came.
    pub lateness_us: Percentiles,
    /// The same by percentile, as far as there are samples. Reports did not always have it.
    #[serde(default)]
    pub lateness_curve: Vec<CurvePoint>,
    /// Ticks that never came.
    pub skipped: u64,
    /// Whether ticks keep an interval other than the expected one.
    #[serde(skip)]
    pub interval_differs: bool,
}

/// How the requests (`--request`) that were due in the window were answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that were due, per second and client.
    pub rate_per_s: f64,
    /// What was counted.
    #[serde(flatten)]
    pub counters: RequestCounters,
    /// From when a request was due to the read of its reply. A request without a reply has
    /// waited until the end.
    pub latency_us: Percentiles,
    /// The same by percentile, as far as there are samples. Reports did not always have it.
    #[serde(default)]
    pub latency_curve: Vec<CurvePoint>,
    /// From when it was really sent, of those with a reply: what leaves a stall out.
    pub uncorrected_us: Percentiles,
}

/// Latencies beyond a minute, the longest that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saturated {
    /// Of ticks, since they were sent.
    pub deliveries: u64,
    /// Of ticks, against their schedule.
    pub schedule: u64,
    /// Of requests, since they were due.
    pub replies: u64,
}

impl Saturated {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.deliveries + self.schedule + self.replies
    }
}

/// Slow clients (`--slow`). The other numbers leave them out, except the number of clients and
/// errors from before they had joined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlowClients {
    /// Asked for.
    pub asked: usize,
    /// What was counted.
    #[serde(flatten)]
    pub counters: SlowCounters,
    /// How their connections ended before the run did: how many of each kind.
    pub ended: BTreeMap<ErrorKind, u64>,
}

/// Connections that were opened again (`--churn`, `--reconnect`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconnects {
    /// What was counted.
    #[serde(flatten)]
    pub counters: ReturnCounters,
    /// Connections that were closed to be opened again, by the length of warm-up and window.
    pub churned_per_s: Option<f64>,
    /// How long clients were without a connection after losing one, in µs.
    pub away_us: Percentiles,
    /// From the call of connect to the first tick of a connection that was opened again, in µs.
    pub response_us: Percentiles,
}

/// This process in the measured window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientUsage {
    /// CPU time by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time.
    pub cpu_s: f64,
    /// CPU time by the ticks.
    pub cpu_us_per_tick: Option<f64>,
    /// Time in which it was ready to run and waited for a core, by the window's length.
    pub waited_percent: Option<f64>,
    /// Memory at the end.
    pub rss_bytes: u64,
    /// How late its loop was, checked every 10 ms: no later 99 of 100 times.
    pub lateness_p99_us: u64,
    /// No later 999 of 1000 times.
    pub lateness_p999_us: u64,
    /// At its worst.
    pub lateness_max_us: u64,
    /// By how much its wall clock was set meanwhile.
    pub clock_step_us: u64,
    /// How often it was behind.
    #[serde(flatten)]
    pub reads: Reads,
}

/// The process under test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerUsage {
    /// Its id.
    pub pid: u32,
    /// CPU time in the window by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time in the window.
    pub cpu_s: f64,
    /// The part spent in the program itself.
    pub user_s: f64,
    /// The part spent in the kernel.
    pub system_s: f64,
    /// CPU time in the window by the ticks that arrived in it.
    pub cpu_us_per_tick: Option<f64>,
    /// The part of it spent in the program itself.
    pub user_us_per_tick: Option<f64>,
    /// CPU time while the clients joined.
    pub joining_cpu_s: f64,
    /// CPU time while joining, by the clients that joined.
    pub joining_cpu_us_per_client: Option<f64>,
    /// Memory when the window began.
    pub rss_bytes_before: u64,
    /// Memory when it ended.
    pub rss_bytes_after: u64,
}

/// How many clients there were.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Clients {
    /// Asked for.
    pub asked: usize,
    /// Upgraded at some time.
    pub connected: usize,
    /// Never upgraded.
    pub failed: usize,
}

/// Errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Errors {
    /// All of them.
    pub total: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<ErrorKind, u64>,
    /// A sentence about one of each kind, the most frequent first.
    pub examples: Vec<String>,
}

impl Report {
    /// Reads what [`to_json`](Self::to_json) has written.
    ///
    /// # Errors
    /// Says which part is missing or wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let report = serde_path_to_error::deserialize(&mut reader);
        let report = report.map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        Ok(report)
    }

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
        if self.counters.ticks > 0 || self.reader_left() {
            return None;
        }
        let silent = self.is_silent();
        let example = self.errors.examples.first();
        Some(match (self.counters.messages, example) {
            (1.., _) if silent => format!(
                "no tick among {} messages ({} not JSON): see --sent-field, --seq-field and \
                 --symbol-field",
                self.counters.messages, self.counters.not_json_messages
            ),
            (_, Some(example)) => example.clone(),
            (_, None) => format!("no tick arrived within {:.3} s", self.duration_s),
        })
    }

    /// Whether everything went well, except that no message came.
    pub fn nothing_came(&self) -> bool {
        self.is_silent() && self.counters.messages == 0 && self.clients.connected > 0
    }

    /// Whether ticks were printed until their reader left.
    pub fn reader_left(&self) -> bool {
        let printed = self.printed.as_ref();
        printed.is_some_and(|printed| printed.reader_left && printed.ticks > 0)
    }

    /// Whether the only errors are that no tick came.
    fn is_silent(&self) -> bool {
        let mut kinds = self.errors.kinds.keys();
        kinds.all(|&kind| kind == ErrorKind::NoTick)
    }

    /// The limits that were not kept.
    pub fn missed_thresholds(&self) -> impl Iterator<Item = &Verdict> {
        self.thresholds.iter().filter(|verdict| !verdict.met)
    }
}

#[cfg(test)]
pub(crate) mod tests;
