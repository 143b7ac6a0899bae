//! Plays seeds, and reports which one failed and how to play it again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::server::tests::simulation::play::{Played, play};

/// Plays a seed. If it fails, prints how to play it again.
fn replayable(seed: u64, trace: bool) -> Option<Played> {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, trace)));
    if played.is_err() {
        eprintln!(
            "seed {seed} fails; play it with\n  \
             SIMULATION_SEED={seed} cargo test --lib simulation::tests::seeds -- --nocapture"
        );
    }
    played.ok()
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} takes a number")),
    )
}

#[test]
fn seeds() {
    if let Some(seed) = number("SIMULATION_SEED") {
        assert!(replayable(seed, true).is_some(), "seed {seed} fails");
        return;
    }
    let began = Instant::now();
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (mut steps, mut bytes, mut events) = (0, 0, BTreeMap::new());
    let mut failed = Vec::new();
    for seed in 0..seeds {
        let Some(played) = replayable(seed, false) else {
            failed.push(seed);
            continue;
        };
        steps += played.steps;
        bytes += played.world.judge.bytes;
        for (event, count) in played.world.judge.events {
            *events.entry(event).or_insert(0) += count;
        }
        *events.entry("conflated").or_insert(0) += played.world.judge.model.sent.conflated;
    }
    let took = began.elapsed();
    eprintln!("{seeds} seeds, {steps} steps, {bytes} bytes in {took:.1?}: {events:#?}");
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
    for event in EVENTS {
        assert!(
            events.get(event).is_some_and(|&count| count > 0),
            "no {event}"
        );
    }
}

#[test]
fn a_seed_always_repeats_its_run() {
    for seed in 0..20 {
        assert_eq!(
            replayable(seed, false).map(|played| played.hash),
            replayable(seed, false).map(|played| played.hash),
            "seed {seed}"
        );
    }
}

/// How many seeds a plain `cargo test` plays.
const SEEDS: u64 = 200;

/// The events that must have happened for a run to mean anything.
const EVENTS: [&str; 40] = [
    "join",
    "list",
    "relist",
    "delist",
    "resume",
    "tick",
    "heartbeat",
    "stale",
    "live",
    "slice",
    "conflated",
    "rest",
    "pause",
    "wall clock jump",
    "unblocked",
    "edge for both",
    "edge for reading",
    "edge for writing",
    "reset",
    "end of stream",
    "goodbye",
    "shut down",
    "turned away",
    "shutdown",
    "served",
    "refused",
    "handshake_timeout",
    "closed_by_client",
    "vanished",
    "failed",
    "protocol",
    "binary",
    "bad_text",
    "too_big",
    "flood",
    "no_pong",
    "slow",
    "secured",
    "reload",
    "tls",
];
