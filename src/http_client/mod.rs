//! HTTP for fibers: host names without a thread, and `ureq` over sockets that suspend.

mod agent;
pub mod dns;

pub use agent::{LookupError, Settings, agent};
