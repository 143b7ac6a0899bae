//! The settings of a simulated world.

use std::time::Duration;

use crate::server::tests::simulation::socket::SimSocket;
use crate::server::{Config, Server};

/// The server as it is simulated.
pub(super) type SimServer = Server<SimSocket>;

/// The settings of a world.
pub(super) struct Setting {
    pub(super) config: Config,
    pub(super) names: Vec<String>,
    /// How many bytes the server reads at once.
    pub(super) scratch: usize,
    pub(super) events_per_turn: usize,
    /// How many of 100 accepts fail, and the longest time that one takes.
    pub(super) accept: (u8, Duration),
    /// Whether the server speaks TLS.
    pub(super) is_secure: bool,
}

/// A symbol is stale when the feed has not confirmed it for this long.
pub(super) const STALE_AFTER: Duration = Duration::from_millis(700);
