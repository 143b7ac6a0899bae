//! The measurement of a run. This one struct is counted into, sent from a worker to its
//! coordinator, added up there, and turned into a report.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::config::Config;
use crate::client::error_kind::ErrorKind;
use crate::client::measure::cadence::Cadence;
use crate::client::measure::clock_sync::ClockOffset;
use crate::client::measure::counters::counters;
use crate::client::measure::intervals::Intervals;
use crate::client::measure::latency::Latency;
use crate::client::measure::losses::{Losses, SymbolLosses, add_symbols};
use crate::client::measure::requests::Requests;
use crate::process::Usage;

/// The measurement of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// Plain counts.
    pub counters: Counters,
    /// The reads in the window.
    pub reads: Reads,
    /// From `sent` to the read. A snapshot for a joining client is not a delivery: its tick was
    /// sent before the client joined.
    pub delivery: Latency,
    /// By how many µs an implausible stamp is off: one that is more than a day away.
    pub implausible_stamp_us: Option<i64>,
    /// Counts from the numbers of all symbols together.
    pub losses: Losses,
    /// The same for each symbol that has numbers, in the order of first appearance.
    pub symbols: Vec<SymbolLosses>,
    /// From connect to the first tick, one for each connection.
    pub responses: Vec<Duration>,
    /// The errors.
    pub errors: Errors,
    /// The lateness of ticks against their schedule, if there is one.
    pub cadence: Option<Cadence>,
    /// The requests and their replies, if there are any.
    pub requests: Option<Requests>,
    /// The comparison of the clocks, if requested.
    pub clock: Option<ClockOffset>,
    /// What slow clients received.
    pub slow: SlowCounts,
    /// Connections that were opened again.
    pub returns: Returns,
    /// The window, second by second.
    pub intervals: Intervals,
    /// The result of printing ticks; `None` without `--print`.
    pub printed: Option<Printed>,
    /// The lists of symbols that clients drew; `None` if all clients asked for the same.
    pub watching: Option<Watching>,
    /// The run itself: its clients, phases and cost.
    pub run: RunFacts,
}

counters! {
    /// Plain counts. Each appears in a report under its name here.
    pub struct Counters {
        /// Messages of any kind that the server pushed.
        messages,
        /// Messages that answered requests (`--request`) and pings (`--sync`); no other count
        /// includes them.
        answers,
        /// Messages without a tick.
        other_messages,
        /// Messages that are lists of ticks.
        list_messages,
        /// Messages that are binary.
        binary_messages,
        /// Messages that are not JSON.
        not_json_messages,
        /// Ticks in all these messages: one in each, or as many as there are in a list.
        ticks,
        /// The payload bytes of pushed messages.
        bytes,
        /// Ticks with a send time, including snapshots.
        stamped,
        /// Ticks that seem to come from the future; they do not count as deliveries.
        negative_latencies,
        /// Ticks from the future by no more than the error of the clocks' comparison; they count as
        /// deliveries that took no time.
        #[serde(alias = "within_error")]
        clamped_to_zero,
        /// Ticks of symbols beyond those that are tracked: neither their numbers nor their lateness
        /// are followed.
        untracked,
    }
}

counters! {
    /// How often the client fell behind.
    pub struct Reads {
        /// Reads that returned something.
        reads,
        /// Reads that filled the buffer, so that more was waiting.
        full_reads,
    }
}

/// Errors by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors(pub BTreeMap<ErrorKind, ErrorCount>);

/// The errors of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How many there were.
    pub count: u64,
    /// The sentence about the first of them.
    pub example: String,
}

/// What slow clients received.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SlowCounts {
    /// Plain counts.
    pub counters: SlowCounters,
    /// How their connections ended before the run did, by kind.
    pub ended: BTreeMap<ErrorKind, u64>,
}

counters! {
    /// The counts of slow clients.
    pub struct SlowCounters {
        /// Slow clients that were upgraded.
        #[serde(rename = "connected")]
        joined,
        /// Ticks that they read in the window.
        ticks,
        /// The payload bytes of all messages that they read in the window.
        bytes,
        /// Ticks that the server left out for them, by the gaps in their numbers.
        missed,
    }
}

/// Connections that were opened again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Returns {
    /// Plain counts.
    pub counters: ReturnCounters,
    /// From connect to the first tick, for connections that were opened again.
    pub response: Latency,
    /// From the end of a lost connection until the next one was upgraded.
    pub away: Latency,
}

counters! {
    /// The counts of connections that were opened again.
    pub struct ReturnCounters {
        /// Connections that were closed in order to reopen them (`--churn`).
        churned,
        /// Connections that were lost and will be reopened (`--reconnect`).
        lost,
        /// Connections of both kinds that were upgraded again.
        returned,
        /// Attempts that failed.
        #[serde(rename = "failed_attempts")]
        failed,
        /// Ticks that arrived later because the server had kept them.
        resumed,
        /// Ticks that never arrived, by the gaps in their numbers.
        missed,
        /// How often numbers began again, so that the missed ticks are not known.
        restarts,
    }
}

/// The result of printing ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// Ticks that were printed.
    pub ticks: u64,
    /// Ticks that were dropped because the reader did not keep up.
    pub dropped: u64,
    /// Whether the reader left before the end.
    pub reader_left: bool,
    /// Any other error that stopped the printing.
    pub error: Option<String>,
}

/// The lists that clients drew (`--watch`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watching {
    /// How many symbols each list has.
    pub count: usize,
    /// How many symbols the lists were drawn from.
    pub of: usize,
    /// The seed that draws the same lists again (`--watch-seed`).
    pub seed: u64,
    /// The exponent of the symbols' popularity (`--watch-zipf`); `None` if all are equally popular.
    pub zipf: Option<f64>,
}

/// The facts of a run besides the messages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunFacts {
    /// Clients that have ever joined.
    pub joined: usize,
    /// Clients that never joined.
    pub failed: usize,
    /// How long connections were open in the window, summed over all of them.
    pub listened: Duration,
    /// From the first connect until all had joined or failed.
    pub joining: Duration,
    /// The time between joining and window.
    pub warmup: Duration,
    /// The actual length of the measured window.
    pub window: Duration,
    /// Whether the window was cut short because it began too late.
    pub cut_short: bool,
    /// Whether the window ended early because no connection was left.
    pub all_lost: bool,
    /// By how much the wall clock was set.
    pub clock_step_us: u64,
    /// How late the client's own loop was in the window.
    pub loop_lag: Latency,
    /// What the client cost in the window.
    pub cost: Cost,
    /// What the server under test cost; `None` without its process id, or if it ended first.
    #[serde(skip)]
    pub server: Option<ServerCost>,
}

/// What this client cost in the window.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time.
    pub cpu: Duration,
    /// Time in which it was ready to run and waited for a core.
    pub waited: Duration,
    /// Memory at the end.
    pub resident_bytes: u64,
}

/// What the server under test cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerCost {
    /// While the clients joined.
    pub joining: Usage,
    /// In the window.
    pub window: Usage,
    /// Memory when the window began.
    pub resident_bytes_before: u64,
}

impl Measurement {
    /// An empty measurement for a run with this configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            cadence: config.expect.map(Cadence::new),
            requests: config.request.as_ref().map(|_| Requests::default()),
            ..Self::default()
        }
    }
}

impl AddAssign for Measurement {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.reads += other.reads;
        self.delivery += other.delivery;
        self.implausible_stamp_us = self.implausible_stamp_us.or(other.implausible_stamp_us);
        self.losses += other.losses;
        add_symbols(&mut self.symbols, other.symbols);
        self.responses.extend(other.responses);
        self.errors += other.errors;
        add(&mut self.cadence, other.cadence);
        add(&mut self.requests, other.requests);
        add(&mut self.clock, other.clock);
        self.slow += other.slow;
        self.returns += other.returns;
        self.intervals += other.intervals;
        self.printed = self.printed.take().or(other.printed);
        self.watching = self.watching.take().or(other.watching);
        self.run += other.run;
    }
}

/// Adds a part that only some runs have.
fn add<T: AddAssign>(sum: &mut Option<T>, other: Option<T>) {
    match (sum, other) {
        (Some(sum), Some(other)) => *sum += other,
        (sum, other) => *sum = sum.take().or(other),
    }
}

impl Errors {
    /// Counts an error of this kind; `sentence` describes it.
    pub(crate) fn note(&mut self, kind: ErrorKind, sentence: impl fmt::Display) {
        let kind = kind.bounded(&self.0);
        let new = || ErrorCount {
            count: 0,
            example: sentence.to_string(),
        };
        self.0.entry(kind).or_insert_with(new).count += 1;
    }

    /// The number of errors of all kinds.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|error| error.count).sum()
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        for (kind, error) in other.0 {
            match self.0.get_mut(&kind) {
                Some(sum) => sum.count += error.count,
                None => drop(self.0.insert(kind, error)),
            }
        }
    }
}

impl SlowCounts {
    /// Counts the end of a slow client's connection.
    pub(crate) fn end(&mut self, kind: ErrorKind) {
        *self.ended.entry(kind.bounded(&self.ended)).or_default() += 1;
    }
}

impl AddAssign for SlowCounts {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        for (kind, count) in other.ended {
            *self.ended.entry(kind).or_default() += count;
        }
    }
}

impl AddAssign for Returns {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.response += other.response;
        self.away += other.away;
    }
}

impl AddAssign for RunFacts {
    /// Processes run side by side: counts and costs add up, times are those of the slowest.
    fn add_assign(&mut self, other: Self) {
        self.joined += other.joined;
        self.failed += other.failed;
        self.listened += other.listened;
        self.joining = self.joining.max(other.joining);
        self.warmup = self.warmup.max(other.warmup);
        self.window = self.window.max(other.window);
        self.cut_short |= other.cut_short;
        self.all_lost &= other.all_lost;
        self.clock_step_us = self.clock_step_us.max(other.clock_step_us);
        self.loop_lag += other.loop_lag;
        self.cost.cpu += other.cost.cpu;
        self.cost.waited += other.cost.waited;
        self.cost.resident_bytes += other.cost.resident_bytes;
        self.server = self.server.or(other.server);
    }
}
