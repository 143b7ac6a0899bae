//! The simulation: the server that ships, on a loop that is turned by hand, with a network that
//! lives in memory, a clock that jumps, and clients that do whatever dice say; judged byte by byte.
//!
//! A seed is a whole run and always the same one. `cargo test --lib simulation` plays some hundred;
//! `SIMULATION_SEEDS=10000` plays that many, and `SIMULATION_SEED=7` one, telling each step.
//!
//! ```text
//! play (dice) ──▶ world (server, loop) ──▶ socket ──▶ net ──▶ judge ──▶ observer ◀── model
//! ```

#[cfg(any())] // until the model knows watchlists
mod client;
#[cfg(any())] // until the model knows watchlists
mod judge;
#[cfg(any())] // until the model knows watchlists
mod limits;
#[cfg(any())] // until the model knows watchlists
mod model;
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the fuzz targets need a part of it")
)]
pub(super) mod net;
#[cfg(any())] // until the model knows watchlists
mod observer;
#[cfg(any())] // until the model knows watchlists
mod play;
#[cfg(any())] // until the model knows watchlists
mod rest;
pub(super) mod socket;
#[cfg(any())] // until the model knows watchlists
mod tests;
#[cfg(any())] // until the model knows watchlists
mod world;
