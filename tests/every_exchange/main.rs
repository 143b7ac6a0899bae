//! The promises for every exchange of the catalogue at once. They keep both cores busy, so they
//! have a program of their own, in which no other test waits for its turn.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

#[path = "../live/audience.rs"]
#[expect(dead_code, reason = "other tests of live prices need more of it")]
mod audience;
mod listings;
mod silence;
mod trouble;
#[path = "../live/upstream.rs"]
#[expect(dead_code, reason = "only the audience knows it here")]
mod upstream;
