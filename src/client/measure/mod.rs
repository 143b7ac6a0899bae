//! The measuring, from the text of a message to the histogram. All results add up and travel
//! between processes.

pub mod cadence;
mod catching_up;
pub(super) mod clock_step;
pub mod clock_sync;
mod counters;
pub mod intervals;
pub mod latency;
pub(super) mod listener;
pub mod losses;
pub mod measurement;
mod message;
pub(super) mod observer;
pub(super) mod recorder;
pub mod requests;
mod sequence;
mod walk;
