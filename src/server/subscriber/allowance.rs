//! The limit on the messages of one client (`--message-rate`).
//!
//! It is not a [`TokenBucket`](crate::token_bucket::TokenBucket): it takes many tokens at a time
//! and counts time in full while messages wait for the server, and every client has one, so it is
//! half as large.

use crate::server::context::{Context, UptimeMs};

/// How many messages a client may still send: a bucket that fills with time.
pub(super) struct Allowance {
    messages: f32,
    since: UptimeMs,
    /// Its messages are waiting until it takes the answers; that time counts in full.
    held: bool,
}

impl Allowance {
    pub(super) fn new(context: &Context<'_>) -> Self {
        Self {
            messages: context.config.message_burst,
            since: context.now,
            held: false,
        }
    }

    /// Whether `frames` more are allowed now. Fragments and control frames count like messages.
    pub(super) fn take(&mut self, frames: u32, context: &Context<'_>) -> bool {
        self.refill(context);
        self.messages -= frames as f32;
        self.messages >= 0.0
    }

    /// The client's messages wait from here on: the allowance for that time is not cut to a burst.
    pub(super) fn hold(&mut self, context: &Context<'_>) {
        self.refill(context);
        self.held = true;
    }

    /// Everything that the client sent has been read.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    fn refill(&mut self, context: &Context<'_>) {
        let seconds = context.now.wrapping_sub(self.since) as f32 / 1000.0;
        self.messages += seconds * context.config.message_rate;
        if !self.held {
            self.messages = self.messages.min(context.config.message_burst);
        }
        self.since = context.now;
    }
}
