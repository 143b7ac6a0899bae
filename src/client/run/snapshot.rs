//! The marks between the phases of a run: what had been used by then.

use std::time::Instant;

use crate::usage::Usage;

/// An instant, with the accounts of both processes at it.
#[derive(Clone, Debug)]
pub(in crate::client) struct Moment {
    /// When it was.
    pub at: Instant,
    /// What this client had used.
    pub own: Usage,
    /// What the server under test had used; none without its process id, or when it has gone.
    pub server: Option<Usage>,
}

impl Moment {
    /// This instant.
    pub(in crate::client) fn now(pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            // A system without /proc has no account of it; the report then shows zero.
            own: Usage::of_self().unwrap_or_default(),
            server: pid.and_then(|pid| Usage::of(pid).ok()),
        }
    }

    /// A mark with accounts that have been summed up already.
    pub(in crate::client) fn with(at: Instant, own: Usage, server: Option<Usage>) -> Self {
        Self { at, own, server }
    }
}
