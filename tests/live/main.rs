//! Prices of exchanges, from tiny servers that answer as exchanges do: by request and by stream.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod audience;
mod faults;
mod rest;
mod sources;
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod stream;
mod upstream;
mod users_sources;
