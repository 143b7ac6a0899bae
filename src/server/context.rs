//! What a connection works with: the hub, the counters, the limits, the time.

use std::time::Instant;

use crate::server::config::Config;
use crate::server::counters::Counters;
use crate::server::hub::{Gather, Hub};
use crate::server::packing::Packing;
use crate::tape::FrameNumber;

/// Milliseconds since the server started. Every connection stores some, and this is half the size
/// of an `Instant`; it allows 49 days between two events of one connection.
pub(crate) type UptimeMs = u32;

/// The state that all connections share, lent to one of them while it works.
pub(crate) struct Context<'a> {
    pub(crate) hub: &'a mut Hub,
    /// Buffers in which a client's messages are gathered and packed, borrowed for that long only.
    pub(crate) gather: &'a mut Gather,
    pub(crate) packing: &'a mut Packing,
    pub(crate) counters: &'a mut Counters,
    pub(crate) config: &'a Config,
    /// The buffer for bytes read from a socket, borrowed for one event only.
    pub(crate) scratch: &'a mut [u8],
    pub(crate) now: UptimeMs,
    /// The same instant, as the hub counts time.
    pub(crate) instant: Instant,
    /// The number of the last heartbeat on the tape.
    pub(crate) heartbeat: u32,
}

/// A ping: its number among the pings, and the number of its frame on the tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    pub(crate) number: u32,
    pub(crate) frame: FrameNumber,
}

impl Ping {
    /// Stands in for a ping where no pong is due: every client has answered this one.
    pub(crate) const NONE: Self = Self {
        number: 0,
        frame: 0,
    };
}
