//! What a run has measured. This one struct is counted in, sent from a worker to its coordinator,
//! added up there, and turned into a report.

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

/// What a run has measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// What was simply counted.
    pub counters: Counters,
    /// The reads in the window.
    pub reads: Reads,
    /// From `sent` to the read. A snapshot for a joining client is no delivery: its tick was sent
    /// before the client was there.
    pub delivery: Latency,
    /// By how many µs a stamp is off, if one is by more than a day.
    pub implausible_stamp_us: Option<i64>,
    /// What the numbers of all symbols together say.
    pub losses: Losses,
    /// The same of each symbol that has numbers, in the order in which they were first seen.
    pub symbols: Vec<SymbolLosses>,
    /// From the call of connect to the first tick, one for each connection.
    pub responses: Vec<Duration>,
    /// What went wrong.
    pub errors: Errors,
    /// How late ticks were against their schedule, if there is one.
    pub cadence: Option<Cadence>,
    /// How requests were answered, if there are any.
    pub requests: Option<Requests>,
    /// How the clocks compare, if that was asked for.
    pub clock: Option<ClockOffset>,
    /// What slow clients got.
    pub slow: SlowCounts,
    /// How connections that were opened again fared.
    pub returns: Returns,
    /// The window, second by second.
    pub intervals: Intervals,
    /// How printing ticks went; none without `--print`.
    pub printed: Option<Printed>,
    /// The lists of symbols that clients had; none if all asked for the same.
    pub watching: Option<Watching>,
    /// How the run itself went.
    pub run: RunFacts,
}

counters! {
    /// What is counted with `+= 1`, or by length. In a report each is a number of that name.
    pub struct Counters {
        /// Messages of any kind that the server pushed.
        messages,
        /// Messages that answered requests of `--request` and pings of `--sync`; the others do not
        /// include them.
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
        /// The payloads of what was pushed.
        bytes,
        /// Ticks that say when they were sent, snapshots among them.
        stamped,
        /// Ticks that seem to come from the future: they are no deliveries.
        negative_latencies,
        /// Ticks that seem to by no more than the clocks' comparison may be wrong: they are
        /// deliveries that took no time.
        #[serde(rename = "within_error")]
        clamped_to_zero,
        /// Ticks of symbols beyond those that can be told apart: what their numbers say and how
        /// late they were is not known.
        untracked,
    }
}

counters! {
    /// How often the client was behind what came.
    pub struct Reads {
        /// Reads that returned something.
        reads,
        /// Reads that filled the buffer, so that there was more behind them.
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
    /// A sentence about the first of them.
    pub example: String,
}

/// What slow clients got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SlowCounts {
    /// What was simply counted.
    pub counters: SlowCounters,
    /// How their connections ended before the run did, by kind.
    pub ended: BTreeMap<ErrorKind, u64>,
}

counters! {
    /// What is counted of slow clients.
    pub struct SlowCounters {
        /// Slow clients that were upgraded.
        #[serde(rename = "connected")]
        joined,
        /// Ticks that they read in the window.
        ticks,
        /// The payloads of all messages that they read in the window.
        bytes,
        /// Ticks that the server left out for them, by the gaps in their numbers.
        missed,
    }
}

/// How connections that were opened again fared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Returns {
    /// What was simply counted.
    pub counters: ReturnCounters,
    /// From the call of connect to the first tick of a connection that came back.
    pub response: Latency,
    /// From the end of a lost connection until the next one was upgraded.
    pub away: Latency,
}

counters! {
    /// What is counted of connections that were opened again.
    pub struct ReturnCounters {
        /// Connections that were closed to be opened again (`--churn`).
        churned,
        /// Connections that were lost and are to be opened again (`--reconnect`).
        lost,
        /// Connections of both kinds that have been upgraded again.
        returned,
        /// Attempts that failed.
        #[serde(rename = "failed_attempts")]
        failed,
        /// Ticks that came later because the server had kept them.
        resumed,
        /// Ticks that never came, by the gaps in their numbers.
        missed,
        /// How often numbers were lower than before: what was missed is then not known.
        restarts,
    }
}

/// How printing ticks went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// Ticks that were printed.
    pub ticks: u64,
    /// Ticks that were dropped because the reader did not keep up.
    pub dropped: u64,
    /// Whether the reader left before the end.
    pub reader_left: bool,
    /// What else made printing impossible.
    pub error: Option<String>,
}

/// The lists that clients have drawn (`--watch`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watching {
    /// The symbols of each list.
    pub count: usize,
    /// The symbols they were drawn from.
    pub of: usize,
    /// What draws the same lists again (`--watch-seed`).
    pub seed: u64,
    /// The exponent of the symbols' popularity (`--watch-zipf`); none if all are equally popular.
    pub zipf: Option<f64>,
}

/// How a run went, beside what arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunFacts {
    /// Clients that have ever joined.
    pub joined: usize,
    /// Clients that never will.
    pub failed: usize,
    /// How long connections were open in the window, summed over all.
    pub listened: Duration,
    /// From the first connect until all had joined or failed.
    pub joining: Duration,
    /// Between joining and window.
    pub warmup: Duration,
    /// The measured window, as long as it really was.
    pub window: Duration,
    /// Whether the window ended before its time because it began too late.
    pub cut_short: bool,
    /// Whether it ended before its time because nobody was left.
    pub all_lost: bool,
    /// By how much the wall clock was set.
    pub clock_step_us: u64,
    /// How late the client's own loop was in the window.
    pub loop_lag: Latency,
    /// What the client cost in the window.
    pub cost: Cost,
    /// What the server under test cost; none without its process id, or when it ended first.
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

/// What the server cost.
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
    /// Nothing counted yet, of a run that `config` asks for.
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

/// Adds what only some runs have.
fn add<T: AddAssign>(sum: &mut Option<T>, other: Option<T>) {
    match (sum, other) {
        (Some(sum), Some(other)) => *sum += other,
        (sum, other) => *sum = sum.take().or(other),
    }
}

impl Errors {
    /// Counts an error of this kind; `sentence` says more about it.
    pub(crate) fn note(&mut self, kind: ErrorKind, sentence: impl fmt::Display) {
        let kind = kind.bounded(&self.0);
        let new = || ErrorCount {
            count: 0,
            example: sentence.to_string(),
        };
        self.0.entry(kind).or_insert_with(new).count += 1;
    }

    /// How many there are of all kinds.
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
    /// A slow client's connection has ended.
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
