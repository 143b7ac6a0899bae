//! The simulation: the server's own connections, tapes and sweep, with sockets that live in memory,
//! a clock that jumps, and clients that do whatever dice say; judged byte by byte.
//!
//! A seed is a whole run and always the same one. `cargo test --lib simulation` plays some hundred;
//! `SIMULATION_SEEDS=10000` plays that many, and `SIMULATION_SEED=7` one, telling each step.
//!
//! ```text
//! play (dice) ──▶ world (the server, turned by hand) ──▶ socket ──▶ check ──▶ observer ◀── model
//! ```

mod check;
mod client;
mod farewell;
mod model;
mod observer;
mod play;
mod socket;
mod sweeping;
mod tests;
mod world;
