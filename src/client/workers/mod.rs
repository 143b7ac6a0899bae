//! Several processes that share the clients of a run.

pub mod coordinator;
pub(super) mod encoded;
pub(super) mod outcome;
pub mod worker;
