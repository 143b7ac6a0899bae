//! What every connection needs while it works: the hub, the counters, the limits, the time.

use std::time::Instant;

use crate::server::config::Config;
use crate::server::counters::Counters;
use crate::server::hub::{Gather, Hub};
use crate::server::packing::Packing;
use crate::tape::FrameNumber;

/// Milliseconds since the server started: half the size of an `Instant`, for what every
/// connection keeps. Enough for 49 days between two events of one connection.
pub(crate) type UptimeMs = u32;

/// What all connections share while one of them works.
pub(crate) struct Context<'a> {
    pub(crate) hub: &'a mut Hub,
    /// Where what a client is sent is gathered and packed; nobody owns it for longer than that.
    pub(crate) gather: &'a mut Gather,
    pub(crate) packing: &'a mut Packing,
    pub(crate) counters: &'a mut Counters,
    pub(crate) config: &'a Config,
    /// Where bytes from a socket are read into; nobody owns them for longer than one event.
    pub(crate) scratch: &'a mut [u8],
    pub(crate) now: UptimeMs,
    /// The same instant as the hub knows it.
    pub(crate) instant: Instant,
    /// The number of the last heartbeat printed.
    pub(crate) heartbeat: u32,
}

/// A ping, by its number among the pings and the number of its frame on the tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    pub(crate) number: u32,
    pub(crate) frame: FrameNumber,
}

impl Ping {
    /// For limits that have nothing to do with a ping: everybody has answered this one.
    pub(crate) const NONE: Self = Self {
        number: 0,
        frame: 0,
    };
}
