//! The numbers of a run, as they are printed. [`Report`] as JSON is the stable form, with the unit
//! last in each name; as text (its `Display`) it is for people.
//!
//! New fields must be optional or have a default, so that older reports can still be read
//! (`--compare`).

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

/// The results of a run. Results that could not be measured are `None`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The URL that the clients connected to.
    pub url: String,
    /// How many clients there were.
    pub clients: Clients,
    /// The lists of symbols that clients drew; `None` if all clients asked for the same.
    pub watch: Option<Watching>,
    /// How often the server was asked to send the newest tick of each symbol; `None` if it was
    /// asked for every tick.
    pub every_s: Option<f64>,
    /// The actual length of the measured window.
    pub duration_s: f64,
    /// The time between joining and window.
    pub warmup_s: f64,
    /// From the first connect until all had joined or failed.
    pub joining_s: f64,
    /// Plain counts.
    #[serde(flatten)]
    pub counters: Counters,
    /// Messages per second of the window.
    pub messages_per_s: Option<f64>,
    /// Ticks per second of the window.
    pub ticks_per_s: Option<f64>,
    /// The mean payload of a message.
    pub message_size_bytes_mean: Option<f64>,
    /// The mean time from one message of a client to the next; the Python original called it
    /// latency.
    pub time_between_messages_s_mean: Option<f64>,
    /// From the server's stamp to the client's read.
    pub delivery_us: Percentiles,
    /// The curve of delivery latencies, as far as there are samples.
    pub delivery_curve: Vec<CurvePoint>,
    /// Latencies beyond a minute, which count as a minute.
    pub saturated: Saturated,
    /// The comparison of the clocks; `None` unless requested.
    pub sync: Option<ClockOffset>,
    /// The lateness of ticks against their own schedule; `None` unless requested.
    pub schedule: Option<Lateness>,
    /// The requests and their replies; `None` without `--request`.
    pub requests: Option<Requests>,
    /// From connect to the first tick.
    pub response_s: Response,
    /// Counts from the numbers of ticks.
    #[serde(flatten)]
    pub losses: Losses,
    /// How many symbols have gaps.
    pub symbols_with_gaps: usize,
    /// The symbols that lost most, the worst first; at most [`WORST_MAX`].
    pub worst_symbols: Vec<SymbolLosses>,
    /// Counts from the numbers of each symbol's ticks.
    pub symbols: Vec<SymbolLosses>,
    /// The errors.
    pub errors: Errors,
    /// Slow clients; `None` without `--slow`.
    pub slow: Option<SlowClients>,
    /// Connections that were opened again; `None` unless requested.
    pub reconnects: Option<Reconnects>,
    /// What this client cost.
    pub client: ClientUsage,
    /// What the server cost; `None` without its process id.
    pub server: Option<ServerUsage>,
    /// When the window began, in Unix time; zero if it never did.
    pub measured_from_unix_s: f64,
    /// The window, interval by interval.
    pub intervals: Vec<Interval>,
    /// A verdict on each threshold.
    pub thresholds: Vec<Verdict>,
    /// The result of printing ticks; `None` without `--print`.
    pub printed: Option<Printed>,
    /// The failure of a client process, if one failed; it is also among the errors.
    #[serde(skip)]
    pub lost_process: Option<String>,
    /// Reasons to doubt the numbers.
    pub warnings: Vec<String>,
}

/// How many of the worst symbols are listed.
pub const WORST_MAX: usize = 20;

/// What arrived in one interval of the measured window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began, counted from the start of the window.
    pub time_s: f64,
    /// Its length: a second, less at the end of the window, more if the client was late.
    pub length_s: f64,
    /// Connections open at its end.
    pub connected: usize,
    /// Plain counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Delivery latencies of the ticks that arrived in it, in µs.
    pub delivery_us: Series,
    /// The lateness of the ticks that were due in it, in µs; `None` without a schedule.
    pub lateness_us: Option<Series>,
    /// Latencies of the replies that arrived in it, from the due time, in µs; `None` without
    /// requests.
    pub reply_us: Option<Series>,
}

/// The lateness of ticks against their own schedule (`--expect`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lateness {
    /// The expected time from one tick of a symbol to the next.
    pub expect_s: f64,
    /// The mean interval, counting lost ticks; `None` with fewer than two ticks.
    pub interval_s_mean: Option<f64>,
    /// The lateness of all ticks, including those that never arrived.
    pub lateness_us: Percentiles,
    /// The curve of lateness, as far as there are samples. Older reports lack it.
    #[serde(default)]
    pub lateness_curve: Vec<CurvePoint>,
    /// Ticks that never arrived.
    pub skipped: u64,
    /// Whether ticks keep to an interval other than the expected one.
    #[serde(skip)]
    pub interval_differs: bool,
}

/// The requests (`--request`) that were due in the window, and their replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    /// How many requests were due, per second and client.
    pub rate_per_s: f64,
    /// Plain counts.
    #[serde(flatten)]
    pub counters: RequestCounters,
    /// From the due time of a request to the read of its reply. A request without a reply has
    /// waited until the end.
    pub latency_us: Percentiles,
    /// The curve of these latencies, as far as there are samples. Older reports lack it.
    #[serde(default)]
    pub latency_curve: Vec<CurvePoint>,
    /// From the actual sending, for requests with a reply; this leaves stalls out.
    pub uncorrected_us: Percentiles,
}

/// Latencies beyond a minute, the longest that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saturated {
    /// Ticks, counted from their send time.
    pub deliveries: u64,
    /// Ticks, compared with their schedule.
    pub schedule: u64,
    /// Replies, counted from the due time.
    pub replies: u64,
}

impl Saturated {
    /// All of these.
    pub fn total(&self) -> u64 {
        self.deliveries + self.schedule + self.replies
    }
}

/// Slow clients (`--slow`). All other numbers exclude them, except the number of clients and the
/// errors before they joined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlowClients {
    /// How many slow clients were configured.
    pub asked: usize,
    /// Plain counts.
    #[serde(flatten)]
    pub counters: SlowCounters,
    /// How many of their connections ended before the run did, by kind.
    pub ended: BTreeMap<ErrorKind, u64>,
}

/// Connections that were opened again (`--churn`, `--reconnect`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reconnects {
    /// Plain counts.
    #[serde(flatten)]
    pub counters: ReturnCounters,
    /// Connections closed in order to reopen them, per second of warm-up and window.
    pub churned_per_s: Option<f64>,
    /// How long clients were without a connection after losing one, in µs.
    pub away_us: Percentiles,
    /// From connect to the first tick of a connection that was opened again, in µs.
    pub response_us: Percentiles,
}

/// The cost of this process in the measured window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientUsage {
    /// CPU time relative to the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time.
    pub cpu_s: f64,
    /// CPU time per tick.
    pub cpu_us_per_tick: Option<f64>,
    /// The share of the window in which it was ready to run but waited for a core.
    pub waited_percent: Option<f64>,
    /// Memory at the end.
    pub rss_bytes: u64,
    /// The 99th percentile of its loop's lateness, which is checked every 10 ms.
    pub lateness_p99_us: u64,
    /// The 99.9th percentile.
    pub lateness_p999_us: u64,
    /// The maximum.
    pub lateness_max_us: u64,
    /// By how much this machine's wall clock was set during the run.
    pub clock_step_us: u64,
    /// How often it fell behind.
    #[serde(flatten)]
    pub reads: Reads,
}

/// The cost of the process under test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerUsage {
    /// Its process id.
    pub pid: u32,
    /// CPU time relative to the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time in the window.
    pub cpu_s: f64,
    /// The part spent in the program itself.
    pub user_s: f64,
    /// The part spent in the kernel.
    pub system_s: f64,
    /// CPU time in the window per tick received in it.
    pub cpu_us_per_tick: Option<f64>,
    /// The part of that spent in the program itself.
    pub user_us_per_tick: Option<f64>,
    /// CPU time while the clients joined.
    pub joining_cpu_s: f64,
    /// CPU time while joining, per client that joined.
    pub joining_cpu_us_per_client: Option<f64>,
    /// Memory when the window began.
    pub rss_bytes_before: u64,
    /// Memory when the window ended.
    pub rss_bytes_after: u64,
}

/// How many clients there were.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Clients {
    /// How many were configured.
    pub asked: usize,
    /// How many were upgraded at some time.
    pub connected: usize,
    /// How many were never upgraded.
    pub failed: usize,
}

/// The errors of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Errors {
    /// The number of errors of all kinds.
    pub total: u64,
    /// The number of errors by kind.
    pub kinds: BTreeMap<ErrorKind, u64>,
    /// A sentence about one error of each kind, the most frequent kind first.
    pub examples: Vec<String>,
}

impl Report {
    /// Reads a report that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// A sentence about the part that is missing or wrong.
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

    /// The error of a run without a measurement, or whose ticks could not be printed, in one
    /// sentence.
    pub fn error(&self) -> Option<String> {
        if let Some(error) = self
            .printed
            .as_ref()
            .and_then(|printed| printed.error.as_ref())
        {
            return Some(format!("cannot print ticks: {error}"));
        }
        // The other processes' results are not the requested run.
        if let Some(lost) = &self.lost_process {
            return Some(lost.clone());
        }
        // A reader that left after some ticks did not wait for the window.
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

    /// Whether the run went well, except that no message arrived.
    pub fn nothing_came(&self) -> bool {
        self.is_silent() && self.counters.messages == 0 && self.clients.connected > 0
    }

    /// Whether ticks were printed until their reader left.
    pub fn reader_left(&self) -> bool {
        let printed = self.printed.as_ref();
        printed.is_some_and(|printed| printed.reader_left && printed.ticks > 0)
    }

    /// Whether the only errors are missing ticks.
    fn is_silent(&self) -> bool {
        let mut kinds = self.errors.kinds.keys();
        kinds.all(|&kind| kind == ErrorKind::NoTick)
    }

    /// The thresholds that were not met.
    pub fn missed_thresholds(&self) -> impl Iterator<Item = &Verdict> {
        self.thresholds.iter().filter(|verdict| !verdict.met)
    }
}

#[cfg(test)]
pub(crate) mod tests;
