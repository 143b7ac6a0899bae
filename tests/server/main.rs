//! The server as its clients see it, and as a program.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod broadcast;
mod cli;
mod close;
#[path = "../common/mod.rs"]
mod common;
mod handshake;
mod ping_timeout;
mod shutdown;
mod slow_consumer;
