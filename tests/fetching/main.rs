//! What prices are fetched with: fibers on the loop, and names, HTTP and TLS in them.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod dns;
mod fiber;
mod http;
mod http_limits;
mod https;
#[path = "../stand_in/mod.rs"]
mod stand_in;
