//! Several processes that share the clients of a run (`--processes`): the one that starts them
//! (`coordinator`), each of them (`worker`), and what they say to each other.
//!
//! A worker tells the coordinator on its stdout, a line each, and is told on its stdin, a byte each.
//! The end of a worker's stdin is the end of the coordinator, and so the end of the worker.

pub(super) mod coordinator;
pub mod worker;

use serde::{Deserialize, Serialize};

use crate::client::measure::measurement::Measurement;
use crate::client::run::barrier::{Command, Milestone, Standing};

/// What a worker tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// It has got this far.
    Reached(Milestone),
    /// How it stands.
    Stands(Standing),
    /// What it has measured; the last event.
    Measured(Box<Measurement>),
    /// Why it could not even begin.
    Failed(String),
}

impl Command {
    /// As it is sent.
    fn byte(self) -> u8 {
        match self {
            Self::Go => b'g',
            Self::End => b'e',
        }
    }

    /// The most important of the commands that arrived at once, if there is one.
    fn of(bytes: &[u8]) -> Option<Self> {
        let has = |command: Self| bytes.contains(&command.byte()).then_some(command);
        has(Self::End).or_else(|| has(Self::Go))
    }
}
