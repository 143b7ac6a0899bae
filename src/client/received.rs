//! The data that connections pass on to the measuring: a message's payload, and when it was read.

use std::time::Instant;

use crate::tick::unix_us;

/// The payload of a complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// From a text message; not yet checked to be UTF-8.
    Text(&'a [u8]),
    /// From a binary message.
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The payload's bytes.
    pub(crate) fn bytes(self) -> &'a [u8] {
        let (Self::Text(bytes) | Self::Binary(bytes)) = self;
        bytes
    }
}

/// When a read returned, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Unix µs, to compare with the server's stamps.
    pub(crate) wall_us: u64,
    /// For all other purposes.
    pub(crate) at: Instant,
}

impl Arrival {
    /// The current time.
    pub(crate) fn now() -> Self {
        Self {
            wall_us: unix_us(),
            at: Instant::now(),
        }
    }
}
