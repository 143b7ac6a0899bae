//! Several processes that share the clients of a run (`--processes`): the process that starts them
//! (`coordinator`), each of them (`worker`), and the messages between them.
//!
//! A worker writes events to its stdout, one per line, and reads commands from its stdin, one byte
//! each. When the coordinator ends, the worker's stdin ends, and so does the worker.

pub(super) mod coordinator;
pub mod worker;

use serde::{Deserialize, Serialize};

use crate::client::measure::measurement::Measurement;
use crate::client::run::barrier::{Command, Milestone, Standing};

/// An event that a worker reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// It has reached this milestone.
    Reached(Milestone),
    /// Its state, for the progress line.
    Stands(Standing),
    /// Its measurement; the last event.
    Measured(Box<Measurement>),
    /// Why it could not start.
    Failed(String),
}

impl Command {
    /// The byte that represents the command.
    fn byte(self) -> u8 {
        match self {
            Self::Go => b'g',
            Self::End => b'e',
        }
    }

    /// The most important of the commands that arrived together, if there is one.
    fn of(bytes: &[u8]) -> Option<Self> {
        let has = |command: Self| bytes.contains(&command.byte()).then_some(command);
        has(Self::End).or_else(|| has(Self::Go))
    }
}
