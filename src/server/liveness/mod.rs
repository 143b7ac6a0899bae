//! What only time shows: clients that do not answer, clients that take nothing, and symbols that have
//! fallen silent.

pub(crate) mod heartbeat;
pub(crate) mod staleness;
