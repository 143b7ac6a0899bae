//! What is tried on a whole server: a simulation of its life, and properties of all that it is sent.

pub(crate) mod properties;
mod simulation;
