//! Keeps a run in step with other runs, wherever they are.

use std::io;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

/// Keeps a run in step with others. Its descriptor becomes readable when a command arrives.
pub(crate) trait Barrier: AsFd {
    /// The next command, if one has arrived.
    ///
    /// # Errors
    /// When the others are gone.
    fn command(&mut self) -> io::Result<Option<Command>>;

    /// Tells the others that this run has reached `milestone`.
    fn reached(&mut self, milestone: Milestone);

    /// Tells the others how this run is doing.
    fn stands(&mut self, standing: Standing);
}

/// A command to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// All clients have joined: continue.
    Go,
    /// End now.
    End,
}

/// A point in the run that the others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Milestone {
    /// All clients have joined or failed.
    Joined,
    /// The window has begun.
    Measuring,
    /// The window has ended.
    Ended,
}

/// The state of a run, for the progress line.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Clients that have joined.
    pub(crate) joined: usize,
    /// Open connections.
    pub(crate) open: usize,
    /// Ticks counted so far.
    pub(crate) ticks: u64,
    /// Errors counted so far.
    pub(crate) errors: u64,
}
