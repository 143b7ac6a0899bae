//! Finds failures that cause no event: clients that do not answer, clients that take no bytes, and
//! symbols that fall silent.

pub(crate) mod heartbeat;
pub(crate) mod staleness;
