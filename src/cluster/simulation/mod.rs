//! Origins, edges and a log that delays, loses, repeats and reorders what it says, on a simulated
//! clock. The nodes are those that ship. A second, plain model of the log judges what they print.

mod judge;
mod log;
mod world;

use self::world::World;

/// Runs one seed and returns what went wrong, if anything.
fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    world.run().map_err(|why| format!("seed {seed}: {why}"))
}

/// How many seeds one test run tries; `CLUSTER_SEEDS` and `CLUSTER_SEED` ask for others.
const SEEDS: u64 = 60;

#[test]
fn no_client_sees_an_unannounced_gap_a_repeat_or_a_tick_of_a_deposed_origin() {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    if let Some(seed) = number("CLUSTER_SEED") {
        return run(seed).unwrap();
    }
    let seeds = number("CLUSTER_SEEDS").unwrap_or(SEEDS);
    let failures: Vec<_> = (0..seeds).filter_map(|seed| run(seed).err()).collect();
    let first: Vec<_> = failures.iter().take(5).collect();
    assert!(
        failures.is_empty(),
        "{} of {seeds}: {first:#?}",
        failures.len()
    );
}
