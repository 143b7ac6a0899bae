//! What must hold whatever comes from outside: one function for each kind of input. It runs the code
//! on the bytes and panics where a promise is broken.
//!
//! The fuzz targets in `fuzz/` and the property tests beside each function call the same ones, so
//! what a fuzzer found stays found: as a seed in `fuzz/seeds`, all of which the tests run too.
//! Compiled for tests and fuzzers only; the functions live with the code that they are about.

pub use crate::feed::live::properties::exchange_answer;
pub use crate::feed::replay::properties::replay_file;
pub use crate::http_client::dns::properties::dns_answer;
pub use crate::nats::properties::nats_codec;
pub use crate::server::tests::properties::{client_frames, request, request_head};

/// `bytes` in pieces of any size, but always the same for the same bytes: a finding can be repeated.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<&[u8]> {
    let mut dice = dice(bytes);
    let longest = 1 << dice.u32(0..12);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(dice.usize(1..=longest).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Chance that depends on `bytes` alone (the hash is FNV-1a).
pub(crate) fn dice(bytes: &[u8]) -> fastrand::Rng {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    fastrand::Rng::with_seed(hash)
}

/// Inputs for the property tests that are the targets' twins.
#[cfg(test)]
pub(crate) mod fuzz_twin {
    use proptest::prelude::*;

    /// What `fuzz/seeds` has for a target.
    pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds: Vec<_> = paths
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "no seeds in {folder}");
        seeds
    }

    /// Damage to a seed, as fuzzers do it.
    #[derive(Clone, Debug)]
    enum Edit {
        Overwrite(usize, u8),
        Insert(usize, Vec<u8>),
        Remove(usize, usize),
        Repeat(usize, usize, usize),
        /// Goes on with another seed from there.
        Splice(usize, usize),
    }

    impl Edit {
        fn apply(self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
            let room = bytes.len() + 1;
            let span = |at: usize, length: usize| {
                let at = at % room;
                at..(at + length).min(room - 1)
            };
            match self {
                Self::Overwrite(at, byte) => {
                    if let Some(old) = bytes.get_mut(at % room) {
                        *old = byte;
                    }
                }
                Self::Insert(at, new) => drop(bytes.splice(span(at, 0), new)),
                Self::Remove(at, length) => drop(bytes.drain(span(at, length))),
                Self::Repeat(at, length, times) => {
                    let span = span(at, length);
                    let copies = bytes[span.clone()].repeat(times);
                    drop(bytes.splice(span.end..span.end, copies));
                }
                Self::Splice(at, other) => {
                    let other = &seeds[other % seeds.len()];
                    bytes.truncate(at % room);
                    bytes.extend_from_slice(&other[(at % room).min(other.len())..]);
                }
            }
        }
    }

    fn edit() -> impl Strategy<Value = Edit> {
        let at = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Overwrite(at, byte)),
            (at(), prop::collection::vec(any::<u8>(), 1..9))
                .prop_map(|(at, new)| Edit::Insert(at, new)),
            (at(), 1usize..40).prop_map(|(at, length)| Edit::Remove(at, length)),
            (at(), 1usize..20, 1usize..9)
                .prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
            (at(), at()).prop_map(|(at, other)| Edit::Splice(at, other)),
        ]
    }

    /// A seed of a target with some damage.
    pub(crate) fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
        let seeds = seeds(target);
        let edits = prop::collection::vec(edit(), 1..6);
        (prop::sample::select(seeds.clone()), edits).prop_map(move |(mut bytes, edits)| {
            edits
                .into_iter()
                .for_each(|edit| edit.apply(&mut bytes, &seeds));
            bytes
        })
    }

    /// Runs `property` on all seeds of a target as they are.
    pub(crate) fn hold(target: &str, property: impl Fn(&[u8])) {
        seeds(target).iter().for_each(|seed| property(seed));
    }
}
