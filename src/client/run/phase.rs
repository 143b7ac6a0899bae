//! The phases of a run, and snapshots of CPU time and memory between them.

use std::time::{Duration, Instant};

use crate::client::measure::measurement::{Cost, RunFacts, ServerCost};
use crate::process::Usage;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are being opened and upgraded.
    Joining,
    /// All have joined or failed. The clocks are compared.
    Syncing,
    /// This process is ready; others may not be.
    Gathering,
    /// Nothing counts yet.
    WarmingUp,
    /// What arrives counts.
    Measuring,
    /// Replies to requests of the window may still come.
    Awaiting,
    /// Close frames are out; the servers have their time to answer.
    Closing,
}

impl Phase {
    /// Whether the measured window has ended, or will never begin.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Awaiting | Self::Closing)
    }
}

/// An instant, with the accounts of both processes at it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// When it was.
    pub(crate) at: Instant,
    /// What this client had used.
    own: Usage,
    /// What the server under test had used; none without its process id, or when it has gone.
    server: Option<Usage>,
}

impl Snapshot {
    /// The current one; `pid` is the server's process.
    pub(crate) fn now(pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            // A system without /proc has no account of it; the report then shows zero.
            own: Usage::of_self().unwrap_or_default(),
            server: pid.and_then(|pid| Usage::of(pid).ok()),
        }
    }
}

/// The borders between the phases of a run. One that was not reached counts as the next one that
/// was.
#[derive(Debug)]
pub(crate) struct PhaseTimes {
    /// When the first connect was called.
    pub(crate) began: Snapshot,
    /// When all had joined or failed.
    pub(crate) joined: Option<Snapshot>,
    /// When the measured window began.
    pub(crate) window_began: Option<Snapshot>,
    /// When it ended.
    pub(crate) ended: Option<Snapshot>,
}

impl PhaseTimes {
    /// A run that begins now.
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

    /// Notes how long joining and warm-up took, and what the server cost.
    pub(crate) fn note_phases(&self, facts: &mut RunFacts) {
        facts.joining = self.joined().at - self.began.at;
        facts.warmup = self.window_began().at - self.joined().at;
        facts.server = self.server_cost();
    }

    /// Notes how long the window was, and what this process cost in it.
    pub(crate) fn note_window(&self, facts: &mut RunFacts) {
        let used = self.ended().own.since(&self.window_began().own);
        facts.window = self.window();
        facts.cost = Cost {
            cpu: used.cpu,
            waited: used.waited,
            resident_bytes: used.resident_bytes,
        };
    }

    /// None if the process was gone at one of the borders.
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
