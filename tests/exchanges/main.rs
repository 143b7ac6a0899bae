//! The formats of the exchanges: read from recordings, and spoken by the stand-in exchange.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod formats;
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod stand_in_rest;
mod stand_in_streams;
