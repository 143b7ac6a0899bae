//! Fetching prices: names, HTTP and TLS in fibers of the loop.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod dns;
#[path = "../common/fibers.rs"]
mod fibers;
mod http;
mod http_limits;
mod https;
