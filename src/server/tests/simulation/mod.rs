//! The simulation: the real server, on a loop that is turned by hand, with a network in memory, a
//! clock that jumps, and clients that follow dice; judged byte by byte.
//!
//! A seed stands for a whole run and always repeats it. `cargo test --lib simulation` plays a few
//! hundred seeds; `SIMULATION_SEEDS=10000` plays that many, and `SIMULATION_SEED=7` plays one and
//! prints each step.
//!
//! ```text
//! play (dice) ──▶ world (server, loop) ──▶ socket ──▶ net ──▶ judge ──▶ observer ◀── model
//! ```

#[cfg(test)]
mod cases;
#[cfg(test)]
mod client;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod list;
#[cfg(test)]
mod model;
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the fuzz targets need a part of it")
)]
pub(super) mod net;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod place;
#[cfg(test)]
mod play;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod setting;
pub(super) mod socket;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod world;
