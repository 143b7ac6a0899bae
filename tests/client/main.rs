//! The client against servers that do, or do not do, what the protocol says.
#![allow(clippy::unwrap_used)] // A failed assumption in a test should say so with a panic.

mod delivery;
mod failures;
mod measuring;
mod outputs;
mod printing;
mod processes;
mod program;
mod progress;
mod secure;
mod server;
mod shape;
mod stalls;
mod watching;
