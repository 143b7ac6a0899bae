//! Tests of a whole server: a simulation of its life, properties of everything that clients send
//! it, and the direction in which its rooms import.

#[cfg(test)]
mod imports;
pub(crate) mod properties;
mod simulation;
