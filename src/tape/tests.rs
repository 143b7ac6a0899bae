use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A frame of `length` bytes that all say the same.
fn filled(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

#[test]
fn a_reader_gets_what_was_printed_since_its_position() {
    let mut tape = Tape::new(SIZE_MIN);
    assert_eq!(tape.append(0, &filled(1, 10), 1, Instant::now()), 1);
    let position = tape.head();
    tape.append(1, &filled(2, 10), 2, Instant::now());
    assert_eq!(tape.run(position), (&filled(2, 10)[..], 3));
    assert_eq!(tape.run(tape.head()), (&[][..], 3));
    assert_eq!(tape.frame(1), filled(1, 10));
}

#[test]
fn a_write_that_ends_inside_a_frame_leaves_the_rest_of_that_frame() {
    let mut tape = Tape::new(SIZE_MIN);
    for number in 1..=3 {
        tape.append(0, &filled(number, 10), u64::from(number), Instant::now());
    }
    assert_eq!(tape.advance(1, 13), (3, &filled(2, 7)[..]));
    assert_eq!(tape.advance(1, 20), (3, &[][..]));
    assert_eq!(tape.advance(2, 20), (4, &[][..]));
    assert_eq!(tape.advance(1, 29), (4, &filled(3, 1)[..]));
    assert_eq!(tape.advance(1, 0), (1, &[][..]));
}

#[test]
fn the_frames_of_a_symbol_are_a_chain() {
    let mut tape = Tape::new(SIZE_MIN);
    for symbol in [5, 7, 5, EVERYONE, 5, EVERYONE] {
        tape.append(symbol, &filled(0, 10), 1, Instant::now());
    }
    assert_eq!(
        (
            tape.newest(5),
            tape.before(5),
            tape.before(3),
            tape.before(1)
        ),
        (5, 3, 1, 0)
    );
    assert_eq!((tape.newest(EVERYONE), tape.before(6)), (6, 4));
    assert_eq!((tape.newest(7), tape.before(2)), (2, 0));
    assert_eq!((tape.newest(6), tape.newest(9_000)), (0, 0));
    let symbols: Vec<_> = tape.symbols(2, 5).collect();
    assert_eq!(symbols, [(2, 7), (3, 5), (4, EVERYONE)]);
}

#[test]
fn resuming_continues_behind_the_stamp_or_not_at_all() {
    let mut tape = Tape::new(SIZE_MIN);
    assert_eq!(tape.resume(0), Some(1));
    assert_eq!(tape.resume(1), None, "a stamp that nobody gave out");
    for stamp in [105, 110, 115] {
        tape.append(0, &filled(1, 150), stamp, Instant::now());
    }
    for (stamp, position) in [(115, 4), (110, 3), (107, 2), (105, 2), (104, 1), (0, 1)] {
        assert_eq!(tape.resume(stamp), Some(position), "{stamp}");
    }
    assert_eq!(tape.resume(116), None);
    while tape.tail() == 1 {
        tape.append(0, &filled(1, 150), 120, Instant::now());
    }
    assert_eq!(
        tape.resume(105),
        Some(2),
        "the first was seen, the rest is all there"
    );
    assert_eq!(tape.resume(104), None, "something is lost");
}

#[test]
fn a_frame_has_its_length_however_long_it_is() {
    let mut tape = Tape::new(1 << 20);
    let lengths = [1, 65_535, 65_536, 70_000, 200_000, 100];
    // More than two laps, so that long frames lie before the end of the ring too.
    for (stamp, &length) in lengths.iter().cycle().take(36).enumerate() {
        let number = tape.append(
            0,
            &filled(stamp as u8, length),
            stamp as u64,
            Instant::now(),
        );
        assert_eq!(tape.frame(number), filled(stamp as u8, length));
    }
    for number in tape.tail()..tape.head() {
        let stamp = (number - 1) as usize;
        let length = lengths[stamp % lengths.len()];
        assert_eq!(tape.frame(number), filled(stamp as u8, length), "{number}");
    }
}

#[test]
fn what_was_printed_long_ago_is_old() {
    let mut tape = Tape::new(SIZE_MIN);
    let start = Instant::now();
    let second = Duration::from_secs(1);
    for (stamp, seconds) in [0, 0, 1, 2, 3].into_iter().enumerate() {
        tape.append(0, &filled(1, 10), stamp as u64, start + seconds * second);
    }
    assert_eq!(tape.fresh_from(), 1);
    tape.expire_before(start);
    assert_eq!(tape.fresh_from(), 3);
    tape.expire_before(start + second);
    assert_eq!(tape.fresh_from(), 4);
    tape.expire_before(start + 9 * second);
    assert_eq!(tape.fresh_from(), tape.head());
}

#[test]
fn frames_grow_old_in_groups() {
    let start = Instant::now();
    let ms = Duration::from_millis(1);
    let mut tape = Tape::new(SIZE_MIN);
    tape.set_grain(ms);
    for (stamp, at) in [0, 1, 2, 3, 9].into_iter().enumerate() {
        tape.append(0, &filled(1, 10), stamp as u64, start + at * ms);
    }
    assert_eq!(tape.printed.len(), 3);
    tape.expire_before(start);
    assert_eq!(
        tape.fresh_from(),
        3,
        "the second was printed within a grain of the first"
    );
    tape.expire_before(start + 2 * ms);
    assert_eq!(tape.fresh_from(), 5);
    tape.end_group();
    tape.append(0, &filled(1, 10), 9, start + 9 * ms);
    tape.expire_before(start + 9 * ms);
    assert_eq!(tape.fresh_from(), tape.head());
    tape.append(0, &filled(1, 10), 9, start + 20 * ms);
    tape.end_group();
    tape.append(0, &filled(1, 10), 9, start + 20 * ms + ms / 2);
    tape.expire_before(start + 20 * ms);
    assert_eq!(tape.fresh_from(), tape.head() - 1);
}

#[test]
fn a_symbol_can_be_forgotten_once_its_frames_are_gone() {
    let mut tape = Tape::new(SIZE_MIN);
    tape.append(3, &filled(1, 100), 1, Instant::now());
    assert!(!tape.forget(3));
    for stamp in 0..20 {
        tape.append(4, &filled(1, 100), stamp, Instant::now());
    }
    assert!(tape.forget(3) && tape.newest(3) == 0);
    assert!(!tape.forget(4));
}

#[test]
fn a_tape_takes_the_memory_that_it_was_given() {
    let tape = Tape::new(8 << 20);
    let marks = tape.marks.capacity() * size_of::<Mark>();
    assert_eq!(size_of::<Mark>(), 20);
    assert!(tape.ring.len() + marks <= 8 << 20);
    assert!(
        tape.ring.len() / 97 <= tape.marks_max,
        "ticks fill it before marks do"
    );
}

/// What was printed, kept in full.
struct Printed {
    symbol: SymbolId,
    frame: Vec<u8>,
    stamp: u64,
    /// The number of the symbol's frame before it; 0 if it is the first.
    before: FrameNumber,
}

proptest! {
    /// Against a plain list of all that was ever printed.
    #[test]
    fn the_tape_has_the_newest_frames_whole_and_in_order(
        size in SIZE_MIN..4096,
        frames in proptest::collection::vec((0u16..6, 1usize..200, 0u64..3), 1..400),
    ) {
        let mut tape = Tape::new(size);
        let (mut printed, mut stamp): (Vec<Printed>, _) = (Vec::new(), 10);
        let mut newest = HashMap::new();
        for (index, (symbol, length, later)) in frames.into_iter().enumerate() {
            let symbol = if symbol == 5 { EVERYONE } else { symbol };
            stamp += later;
            let frame = filled(index as u8, length.min(tape.frame_length_max()));
            tape.append(symbol, &frame, stamp, Instant::now());
            let before = newest.insert(symbol, index as u64 + 1).unwrap_or(0);
            printed.push(Printed { symbol, frame, stamp, before });
            check(&tape, &printed, &newest)?;
        }
    }

    /// However much of each write a socket takes.
    #[test]
    fn a_reader_of_everything_gets_whole_frames_in_order(
        size in SIZE_MIN..3000,
        steps in proptest::collection::vec((any::<bool>(), 1usize..180), 1..300),
    ) {
        let mut tape = Tape::new(size);
        let (mut position, mut rest, mut received) = (1, Vec::new(), Vec::new());
        let mut number = 0u8;
        let mut expected = Vec::new();
        for (appends, length) in steps {
            if appends {
                number = number.wrapping_add(1);
                let frame = filled(number, length);
                // A reader that would be lapped reads first: the ring may end, or the marks.
                let unread = expected.len() - received.len() - rest.len();
                let unread_frames = (tape.head() - position) as usize;
                let is_lapped = unread + 3 * length > size / 2 || unread_frames == tape.marks_max;
                while is_lapped && position < tape.head() {
                    pump(&tape, &mut position, &mut rest, &mut received, usize::MAX);
                }
                tape.append(0, &frame, 0, Instant::now());
                expected.extend_from_slice(&frame);
                prop_assert!(position >= tape.tail());
            } else {
                pump(&tape, &mut position, &mut rest, &mut received, length);
            }
        }
        while position < tape.head() || !rest.is_empty() {
            pump(&tape, &mut position, &mut rest, &mut received, 50);
        }
        prop_assert_eq!(received, expected);
    }
}

/// Writes to a socket that takes `room` bytes.
fn pump(
    tape: &Tape,
    position: &mut FrameNumber,
    rest: &mut Vec<u8>,
    received: &mut Vec<u8>,
    room: usize,
) {
    let taken = room.min(rest.len());
    received.extend(rest.drain(..taken));
    if rest.is_empty() {
        let (run, _) = tape.run(*position);
        let written = (room - taken).min(run.len());
        received.extend_from_slice(&run[..written]);
        let (reached, torn) = tape.advance(*position, written);
        *position = reached;
        rest.extend_from_slice(torn);
    }
}

fn check(
    tape: &Tape,
    printed: &[Printed],
    newest: &HashMap<SymbolId, FrameNumber>,
) -> Result<(), TestCaseError> {
    let (tail, head) = (tape.tail(), tape.head());
    prop_assert_eq!(head, printed.len() as u64 + 1);
    prop_assert!(tail < head, "the newest frame is always there");
    let kept = &printed[tail as usize - 1..];
    for (number, expected) in (tail..).zip(kept) {
        prop_assert_eq!(tape.frame(number), &*expected.frame);
        prop_assert_eq!(tape.symbol(number), expected.symbol);
        prop_assert_eq!(tape.before(number), expected.before);
    }
    for symbol in [0, 1, 2, 3, 4, EVERYONE] {
        let number = newest.get(&symbol).copied();
        prop_assert_eq!(tape.newest(symbol), number.unwrap_or(0));
    }
    let (mut all, mut wanted) = (Vec::new(), Vec::new());
    let mut from = tail;
    while from < head {
        let (run, behind) = tape.run(from);
        prop_assert!(behind > from);
        all.extend_from_slice(run);
        from = behind;
    }
    for expected in kept {
        wanted.extend_from_slice(&expected.frame);
    }
    prop_assert_eq!(all, wanted);
    check_resuming(tape, printed)
}

/// From every stamp of the recent past, and from one of the future.
fn check_resuming(tape: &Tape, printed: &[Printed]) -> Result<(), TestCaseError> {
    let newest = printed[printed.len() - 1].stamp;
    for stamp in newest.saturating_sub(20)..newest + 2 {
        // Of several frames with one stamp the first is the tick, which has been seen. Stamps never
        // fall, so all that has been seen comes before all that is new.
        let older = printed.partition_point(|frame| frame.stamp < stamp);
        let has_tick = printed.get(older).is_some_and(|frame| frame.stamp == stamp);
        let seen = older + usize::from(has_tick);
        let is_whole = seen + 1 >= tape.tail() as usize;
        let right = (is_whole && stamp <= newest).then_some(seen as u64 + 1);
        prop_assert_eq!(tape.resume(stamp), right, "{}", stamp);
    }
    Ok(())
}
