//! What clients saw, added up over all of them.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::progress::Step;

/// What the clients of one tape saw.
pub(crate) struct Seen {
    pub(crate) ticks: u64,
    pub(crate) missed: u64,
    pub(crate) repeats: u64,
    pub(crate) disorders: u64,
    /// Connections that were opened, that servers refused, and that broke or ended.
    pub(crate) opened: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    /// From a tick's stamp to its arrival, of ticks that were sent while the client was there.
    pub(crate) latency: Histogram<u64>,
    /// The longest time without a tick: up to the first kill, and behind each of them.
    pub(crate) pauses: Vec<Duration>,
    /// What was seen at each server.
    pub(crate) at: Vec<SeenAt>,
    /// Ticks that came while the servers' CPU was measured, and that CPU in seconds.
    pub(crate) measured: (u64, f64),
}

/// What was seen at one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenAt {
    pub(crate) gaps: u64,
    pub(crate) stale_events: u64,
    /// The longest that a symbol was silent before its stale event.
    pub(crate) silence: Duration,
    /// When the last live event came.
    pub(crate) live: Option<Instant>,
}

impl Seen {
    /// Of so many servers and kills.
    pub(crate) fn new(servers: usize, kills: usize) -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are good");
        Self {
            ticks: 0,
            missed: 0,
            repeats: 0,
            disorders: 0,
            opened: 0,
            refused: 0,
            lost: 0,
            latency,
            pauses: vec![Duration::ZERO; kills + 1],
            at: vec![SeenAt::default(); servers],
            measured: (0, 0.0),
        }
    }

    /// Counts a tick that came from the server with the number `at`.
    pub(crate) fn count(&mut self, step: Step, at: usize) {
        self.ticks += 1;
        match step {
            Step::Next => {}
            Step::Gap(missed) => {
                self.at[at].gaps += 1;
                self.missed += missed;
            }
            Step::Repeat => self.repeats += 1,
            Step::Disorder => self.disorders += 1,
        }
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.at.iter().map(|at| at.gaps).sum()
    }

    /// The percentile of the delivery latency in ms; `None` if there was none.
    pub(crate) fn latency_ms(&self, percentile: f64) -> Option<f64> {
        let value = self.latency.value_at_percentile(percentile) as f64;
        (!self.latency.is_empty()).then_some(value / 1_000.0)
    }

    /// Ticks per second of the servers' CPU.
    pub(crate) fn ticks_per_cpu_second(&self) -> Option<f64> {
        let (ticks, cpu) = self.measured;
        (cpu > 0.0 && ticks > 0).then(|| ticks as f64 / cpu)
    }
}

/// A minute in µs: what takes longer counts as that.
pub(crate) const LATENCY_MAX: u64 = 60_000_000;
