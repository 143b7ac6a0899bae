//! Prices of exchanges, from tiny servers that answer as exchanges do: by request and by stream.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod audience;
mod faults;
#[path = "../common/fibers.rs"]
mod fibers;
mod rest;
mod sources;
mod stream;
mod upstream;
mod users_sources;
