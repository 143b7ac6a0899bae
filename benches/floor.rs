//! The floor.

fn main() {}
