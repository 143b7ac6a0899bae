//! The client against servers that follow the protocol, and servers that do not.
#![allow(clippy::unwrap_used)] // A failed assumption in a test should say so with a panic.

mod behaviour;
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
mod stalls;
mod watching;
