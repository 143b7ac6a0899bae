//! What a world is like that is simulated.

use std::time::Duration;

use crate::server::tests::simulation::socket::SimSocket;
use crate::server::{Config, Server};

/// The server as it is simulated.
pub(super) type SimServer = Server<SimSocket>;

/// What a world is like.
pub(super) struct Setting {
    pub(super) config: Config,
    pub(super) names: Vec<String>,
    /// Bytes that the server reads at once.
    pub(super) scratch: usize,
    pub(super) events_per_turn: usize,
    /// How many of 100 accepts fail, and the longest that one takes.
    pub(super) accept: (u8, Duration),
    /// It speaks TLS.
    pub(super) is_secure: bool,
}

/// When a symbol that is not heard of is stale.
pub(super) const STALE_AFTER: Duration = Duration::from_millis(700);
