//! The stand-in exchange speaks as the exchanges do, by request and by stream.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod rest;
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod streams;
