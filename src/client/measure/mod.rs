//! What is counted, from the text of a message to the histogram.

pub(super) mod cadence;
pub(super) mod catching_up;
pub(super) mod clock;
pub(super) mod clock_sync;
pub(super) mod inter_arrival;
pub mod intervals;
pub(super) mod listener;
pub(super) mod losses;
pub mod message;
pub(super) mod message_list;
pub(super) mod observer;
pub(super) mod recorder;
pub(super) mod request_ids;
pub(super) mod requests;
pub(super) mod sequence;
pub(super) mod subscription;
pub(super) mod tally;
