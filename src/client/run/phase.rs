//! The phases of a run, and snapshots of CPU time and memory between them.

use std::time::{Duration, Instant};

use crate::client::measure::measurement::{Cost, RunFacts, ServerCost};
use crate::process::Usage;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are being opened and upgraded.
    Joining,
    /// All have joined or failed. The clocks are compared.
    Syncing,
    /// This process is ready, others may not be.
    Gathering,
    /// Messages do not count yet.
    WarmingUp,
    /// Messages count.
    Measuring,
    /// Replies to requests of the window may still arrive.
    Awaiting,
    /// Close frames have been sent; servers have a limited time to answer.
    Closing,
}

impl Phase {
    /// Whether the measured window has ended, or will never begin.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Awaiting | Self::Closing)
    }
}

/// A point in time with the CPU time and memory of both processes.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The time.
    pub(crate) at: Instant,
    /// The usage of this client.
    own: Usage,
    /// The usage of the server under test; `None` without its process id, or if it has ended.
    server: Option<Usage>,
}

impl Snapshot {
    /// A snapshot of the present; `pid` is the server's process.
    pub(crate) fn now(pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            // A system without /proc does not report usage; the report then shows zero.
            own: Usage::of_self().unwrap_or_default(),
            server: pid.and_then(|pid| Usage::of(pid).ok()),
        }
    }
}

/// The boundaries between the phases of a run. A boundary that was not reached takes the time of
/// the next one that was.
#[derive(Debug)]
pub(crate) struct PhaseTimes {
    /// When the first connect was called.
    pub(crate) began: Snapshot,
    /// When all clients had joined or failed.
    pub(crate) joined: Option<Snapshot>,
    /// When the measured window began.
    pub(crate) window_began: Option<Snapshot>,
    /// When the measured window ended.
    pub(crate) ended: Option<Snapshot>,
}

impl PhaseTimes {
    /// The times of a run that begins now.
    pub(crate) fn new(pid: Option<u32>) -> Self {
        Self {
            began: Snapshot::now(pid),
            joined: None,
            window_began: None,
            ended: None,
        }
    }

    /// When the window began, if it did.
    pub(crate) fn window_began_at(&self) -> Option<Instant> {
        self.window_began.as_ref().map(|snapshot| snapshot.at)
    }

    /// The length of the window.
    pub(crate) fn window(&self) -> Duration {
        self.ended().at - self.window_began().at
    }

    /// Records how long joining and warm-up took, and what the server cost.
    pub(crate) fn note_phases(&self, facts: &mut RunFacts) {
        facts.joining = self.joined().at - self.began.at;
        facts.warmup = self.window_began().at - self.joined().at;
        facts.server = self.server_cost();
    }

    /// Records how long the window was, and what this process cost in it.
    pub(crate) fn note_window(&self, facts: &mut RunFacts) {
        let used = self.ended().own.since(&self.window_began().own);
        facts.window = self.window();
        facts.cost = Cost {
            cpu: used.cpu,
            waited: used.waited,
            resident_bytes: used.resident_bytes,
        };
    }

    /// `None` if the process did not exist at one of the boundaries.
    fn server_cost(&self) -> Option<ServerCost> {
        let before = self.window_began().server?;
        Some(ServerCost {
            joining: self.joined().server?.since(&self.began.server?),
            window: self.ended().server?.since(&before),
            resident_bytes_before: before.resident_bytes,
        })
    }

    fn joined(&self) -> &Snapshot {
        self.joined.as_ref().unwrap_or(self.ended())
    }

    fn window_began(&self) -> &Snapshot {
        self.window_began.as_ref().unwrap_or(self.ended())
    }

    fn ended(&self) -> &Snapshot {
        self.ended.as_ref().unwrap_or(&self.began)
    }
}
