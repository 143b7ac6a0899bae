//! The parts of a report that only some runs have: requests, schedules, the clocks' comparison; and
//! what the numbers of each symbol's ticks say.

use serde::{Deserialize, Serialize};

use crate::client::report::latencies::{CurvePoint, Delivery};

/// How late ticks were against their own schedule (`--expect`).
#[derive(Clone, Debug, Serialize)]
pub struct Lateness {
    /// From one tick of a symbol to the next, as it should be.
    pub expect_s: f64,
    /// The same as it was on average, lost ticks counted; none of fewer than two ticks.
    pub interval_s_mean: Option<f64>,
    /// How late they were, those that never came among them.
    pub lateness_us: Delivery,
    /// The same by percentile, as far as there are samples for.
    pub lateness_curve: Vec<CurvePoint>,
    /// Those that never came.
    pub skipped: u64,
    /// Whether ticks keep to another interval than the one that was expected.
    #[serde(skip)]
    pub interval_differs: bool,
}

/// What became of the requests (`--request`) that were due in the window.
#[derive(Clone, Debug, Serialize)]
pub struct Requests {
    /// Those that were due, per second and client.
    pub rate_per_s: f64,
    /// Those that were sent.
    pub sent: u64,
    /// Those that got a reply.
    pub replies: u64,
    /// Replies that came after the window, which ends everything else.
    pub late: u64,
    /// Replies that say that something went wrong.
    pub failed: u64,
    /// Those that got none, not even in the second after the window.
    pub missing: u64,
    /// Those that were due and never sent: too many were unanswered, or the socket was full.
    pub unsent: u64,
    /// Replies that nobody had asked for, or not any more.
    pub unexpected: u64,
    /// From when a request was due to the read of its reply. One without a reply has waited until
    /// the end.
    pub latency_us: Delivery,
    /// The same by percentile, as far as there are samples for.
    pub latency_curve: Vec<CurvePoint>,
    /// From when it was really sent, of those with a reply: what leaves a stall out.
    pub uncorrected_us: Delivery,
}

/// How the server's clock compares with this one (`--sync`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSync {
    /// Pings that were answered.
    pub answered: u64,
    /// The server's clock less this one, at the end; none if no ping was answered.
    pub offset_us: Option<i64>,
    /// By so much the offset, and each latency with it, may be wrong: half the shortest round
    /// trip, at its worst in the window.
    pub error_us: Option<u64>,
    /// By how much the offset changed over the run.
    pub drift_us: i64,
    /// By so much that may be wrong.
    pub drift_error_us: u64,
    /// Deliveries in the window before the first answer, whose latencies are not corrected.
    pub uncorrected: u64,
}

/// The lists that clients have drawn (`--watch`).
#[derive(Clone, Debug, Serialize)]
pub struct Watching {
    /// The symbols of each list.
    pub count: usize,
    /// Those that they were drawn from.
    pub of: usize,
    /// What draws the same lists again (`--watch-seed`).
    pub seed: u64,
    /// The exponent of the symbols' popularity (`--watch-zipf`); none if all are equally popular.
    pub zipf: Option<f64>,
}

/// What the numbers of ticks say, of all connections together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Ticks that have a number.
    pub numbered: u64,
    /// Places where ticks are missing.
    pub gaps: u64,
    /// The ticks missing there, less those that came later.
    pub missed: u64,
    /// Ticks that came again.
    pub repeats: u64,
    /// Ticks that came behind a newer one.
    pub reordered: u64,
    /// How often the server began to count anew.
    pub restarts: u64,
    /// Ticks that the server left out because it was asked to (`--every`); they are not missed.
    pub conflated: u64,
}

impl Losses {
    /// How much of it is wrong, by which symbols are compared.
    pub(in crate::client) fn lost(&self) -> u64 {
        let counts = [self.missed, self.gaps, self.repeats, self.reordered];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

/// What the numbers of one symbol's ticks say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolLosses {
    /// The symbol; empty for ticks without one.
    pub symbol: String,
    /// Its counts.
    #[serde(flatten)]
    pub losses: Losses,
}

/// Latencies beyond a minute, which is the longest that can be told.
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
