//! The fake exchange speaks as the exchanges do, by request and by stream.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod rest;
mod streams;
