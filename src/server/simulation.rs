//! The simulation: the server's own connections, tapes and sweep, with sockets that live in memory,
//! a clock that jumps, and clients that do whatever dice say; judged byte by byte.
//!
//! A seed is a whole run and always the same one. `cargo test --lib simulation` plays some hundred;
//! `SIMULATION_SEEDS=10000` plays that many, and `SIMULATION_SEED=7` one, telling each step.
//!
//! ```text
//! play (dice) ──▶ world (the server, turned by hand) ──▶ socket ──▶ check ──▶ observer ◀── model
//! ```

#[cfg(test)]
mod check;
#[cfg(test)]
mod client;
#[cfg(test)]
mod farewell;
#[cfg(test)]
mod model;
#[cfg(test)]
mod observer;
#[cfg(test)]
mod play;
pub(crate) mod socket;
#[cfg(test)]
mod sweeping;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
