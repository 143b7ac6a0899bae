//! The server from its clients' point of view, and as a program.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod access;
mod broadcast;
mod cli;
mod close;
#[path = "../common/mod.rs"]
mod common;
mod event_streams;
#[path = "../exposition/mod.rs"]
mod exposition;
#[cfg(target_os = "linux")]
mod handover;
mod handshake;
mod http;
#[cfg(target_os = "linux")]
mod logging;
mod markets;
mod metrics;
mod ping_timeout;
mod shutdown;
mod slow_consumer;
mod watchlists;
