//! Keeps a run in step with others, whatever those are.

use std::io;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

/// Keeps a run in step with others. Its descriptor becomes readable when there is a command.
pub(crate) trait Barrier: AsFd {
    /// The next command, if one has come.
    ///
    /// # Errors
    /// When the others are gone.
    fn command(&mut self) -> io::Result<Option<Command>>;

    /// Tells the others that this run has got to `milestone`.
    fn reached(&mut self, milestone: Milestone);

    /// Tells the others how the run stands.
    fn stands(&mut self, standing: Standing);
}

/// What a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// All have joined: go on.
    Go,
    /// End now.
    End,
}

/// What the others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Milestone {
    /// All clients have joined or failed.
    Joined,
    /// The window has begun.
    Measuring,
    /// It has ended.
    Ended,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Clients that have joined.
    pub(crate) joined: usize,
    /// Connections that are open.
    pub(crate) open: usize,
    /// Ticks that have been counted.
    pub(crate) ticks: u64,
    /// Errors that have been counted.
    pub(crate) errors: u64,
}
