use std::time::Instant;

use proptest::prelude::*;

use super::*;

/// A tape on which these symbols were printed one after the other, each frame with its number.
fn tape(symbols: &[SymbolId], size: usize) -> Tape {
    let mut tape = Tape::new(size);
    for (index, &symbol) in symbols.iter().enumerate() {
        let frame = [index as u8; 20];
        tape.append(
            symbol,
            &frame[..1 + index % 20],
            index as u64,
            Instant::now(),
        );
    }
    tape
}

/// The numbers of the frames of `list` and for everyone from `from` on, looked up one by one.
fn plainly(symbols: &[SymbolId], list: &[SymbolId], from: FrameNumber) -> Vec<FrameNumber> {
    let numbered = (1..).zip(symbols);
    let wanted = |symbol| symbol == EVERYONE || list.contains(&symbol);
    numbered
        .filter(|&(number, &symbol)| number >= from && wanted(symbol))
        .map(|(number, _)| number)
        .collect()
}

fn symbol() -> impl Strategy<Value = SymbolId> {
    prop_oneof![9 => 0u16..40, 1 => Just(EVERYONE)]
}

proptest! {
    #[test]
    fn every_search_finds_the_same_frames_of_a_list(
        symbols in proptest::collection::vec(symbol(), 1..300),
        list in proptest::collection::btree_set(0u16..40, 0..40),
        from in 1u64..320,
        size in crate::tape::SIZE_MIN..20_000,
    ) {
        let tape = tape(&symbols, size);
        let list: Vec<_> = list.into_iter().collect();
        let from = from.min(tape.head());
        let right = plainly(&symbols, &list, from);
        let mut gather = Gather::default();
        let is_all_there = gather.find(&tape, &list, from);
        prop_assert_eq!(is_all_there, right.iter().all(|&number| number >= tape.tail()));
        if is_all_there {
            prop_assert_eq!(gather.found(), &*right);
            prop_assert!(!gather.is_cut());
        }
    }

    /// A reader far behind gets the oldest frames first.
    #[test]
    fn the_oldest_of_too_many_frames_are_found(
        list in proptest::collection::btree_set(0u16..8, 1..8),
        count in FRAMES_MAX..4 * FRAMES_MAX,
        from in 1u64..200,
        seed in any::<u64>(),
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let symbols: Vec<_> = (0..count).map(|_| rng.u16(..9)).collect();
        let symbols: Vec<_> = symbols.into_iter().map(|symbol| if symbol == 8 { EVERYONE } else { symbol }).collect();
        let tape = tape(&symbols, 1 << 20);
        let list: Vec<_> = list.into_iter().collect();
        let mut right = plainly(&symbols, &list, from);
        let is_cut = right.len() >= FRAMES_MAX;
        right.truncate(FRAMES_MAX);
        let mut gather = Gather::default();
        prop_assert!(gather.find(&tape, &list, from));
        prop_assert_eq!(gather.found(), &*right);
        prop_assert_eq!(gather.is_cut(), is_cut);
        prop_assert!(gather.flags.iter().all(|&flag| !flag), "a flag was left up");
        // The next reader finds only its own frames.
        prop_assert!(gather.find(&tape, &[], 1));
        let for_everyone = plainly(&symbols, &[], 1);
        let most = for_everyone.len().min(FRAMES_MAX);
        prop_assert_eq!(gather.found(), &for_everyone[..most]);
    }

    /// However far a reader's position has fallen behind the tape, only its own frames count.
    #[test]
    fn a_lost_frame_is_noticed_among_many_frames(
        list in proptest::collection::btree_set(0u16..8, 1..8),
        before in proptest::collection::vec(0u16..9, 0..200),
        count in FRAMES_MAX..3 * FRAMES_MAX,
        from in 1u64..200,
        seed in any::<u64>(),
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let list: Vec<_> = list.into_iter().collect();
        // Many frames of other symbols push the earlier ones off the tape; then many of its own
        // follow.
        let others = std::iter::repeat_n(100, 2 * FRAMES_MAX);
        let own = (0..count).map(|_| list[rng.usize(..list.len())]);
        let symbols: Vec<_> = before.into_iter().chain(others).chain(own).collect();
        let tape = tape(&symbols, 400 << 10);
        prop_assume!(tape.tail() > from);
        let mut right = plainly(&symbols, &list, from);
        let is_lost = right.first().is_some_and(|&first| first < tape.tail());
        right.truncate(FRAMES_MAX);
        let mut gather = Gather::default();
        prop_assert_eq!(gather.find(&tape, &list, from), !is_lost);
        if !is_lost {
            prop_assert_eq!(gather.found(), &*right);
        }
    }

    #[test]
    fn a_torn_write_continues_at_the_frame_it_ended_in(
        symbols in proptest::collection::vec(0u16..4, 1..60),
        list in proptest::collection::btree_set(0u16..4, 0..4),
        share in 0usize..=100,
    ) {
        let tape = tape(&symbols, 1 << 16);
        let list: Vec<_> = list.into_iter().collect();
        let mut gather = Gather::default();
        prop_assert!(gather.find(&tape, &list, 1));
        let frames: Vec<_> = gather.found().iter().map(|&number| tape.frame(number)).collect();
        let bytes = frames.concat();
        let written = bytes.len() * share / 100;
        let (next, rest) = torn(&tape, gather.found(), written);
        let given = [&bytes[..written], rest].concat();
        prop_assert_eq!(&given, &frames[..next].concat());
        prop_assert!(next == 0 || rest.len() < frames[next - 1].len(), "a frame of which nothing was written");
    }
}

#[test]
fn only_its_readers_miss_a_frame_that_fell_off_the_tape() {
    let symbols: Vec<_> = [1, 2].into_iter().chain([3; 500]).collect();
    let tape = tape(&symbols, crate::tape::SIZE_MIN);
    assert!(tape.tail() > 2);
    let mut gather = Gather::default();
    assert!(!gather.find(&tape, &[1], 1));
    assert!(gather.find(&tape, &[1], 2), "it has had that frame");
    assert!(gather.find(&tape, &[4], 1));
    assert!(!gather.find(&tape, &[2, 4], 2));
}

#[test]
fn a_reader_of_nothing_that_is_far_behind_gets_the_oldest_frames_for_everyone() {
    let tape = tape(&vec![EVERYONE; 2 * FRAMES_MAX], 1 << 20);
    let mut gather = Gather::default();
    assert!(gather.find(&tape, &[], 5));
    let right: Vec<_> = (5..5 + FRAMES_MAX as u64).collect();
    assert_eq!(gather.found(), &*right);
}
