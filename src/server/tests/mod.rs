//! What is tried on a whole server: a simulation of its life, and properties of all that it is sent;
//! and which way its rooms import.

#[cfg(test)]
mod imports;
pub(crate) mod properties;
mod simulation;
