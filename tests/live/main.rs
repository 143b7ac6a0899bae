//! Prices of exchanges, by request and by stream, from small servers that answer like exchanges.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod audience;
mod changing;
mod client;
mod faults;
#[path = "../common/fibers.rs"]
mod fibers;
mod fields;
mod lines;
mod markets;
mod rest;
mod sources;
mod stream;
mod upstream;
mod users_sources;
mod web_sources;
