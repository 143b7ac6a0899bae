//! The client against servers that do, or do not do, what the protocol says.
#![allow(clippy::unwrap_used)] // A failed assumption in a test should say so with a panic.

mod delivery;
mod failures;
mod measuring;
mod program;
mod server;
mod stalls;
