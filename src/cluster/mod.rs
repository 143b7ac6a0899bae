//! Many servers, one tape: what goes over the log that they share, what each of them does about it,
//! and the fiber that connects it to the broker.
//!
//! [`Node`] is the whole of what a server does about the log, and pure: neither sockets nor clocks.
//! [`Link`] speaks to the broker. What another broker would need besides a link of its own is
//! [`Command`](node::Command) and [`Input`](node::Input): a log whose messages have growing numbers,
//! that appends under the condition of the last number, and that can be read from any number on.

mod book;
mod connecting;
mod counters;
mod link;
mod message;
mod node;
mod obstacle;
mod session;
#[cfg(test)]
mod simulation;
mod waiting;

use std::time::Duration;

pub(crate) use self::counters::RelayCounters;
pub(crate) use self::link::{DownReason, Link, LinkEvent, Outbox};
pub(crate) use self::message::{Printed, SymbolInfo};
pub(crate) use self::node::{Effect, Node, Note, OriginSettings};
pub(crate) use self::obstacle::{Advice, Watch};

/// What a server does about the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It follows.
    Edge,
    /// It writes the prices of its sources into the log, or stands by to take over.
    Origin { takeover_after: Duration },
}
