//! The tape: every message printed once, already framed, for all who read it.
//!
//! A ring of fixed size with positions that only grow. A reader is a position; to send is to write
//! [`Tape::read`] to a socket and to move on by what it took ([`Tape::advance`]). The ring is kept
//! twice, one copy behind the other, so that what a reader has not seen is always one slice.
//!
//! Pure: it knows neither sockets nor clocks; stamps and instants are handed in.

use std::collections::VecDeque;
use std::time::Instant;

/// A place on a tape: the number of bytes printed before it. What is handed out is a frame boundary.
pub type Position = u64;

/// An append-only ring of framed messages.
pub struct Tape {
    /// The ring and its mirror.
    ring: Vec<u8>,
    capacity: usize,
    head: Position,
    /// The frames that are still on the tape, oldest first.
    frames: VecDeque<FrameMark>,
    /// The highest stamp that this tape no longer has, or never had.
    forgotten: u64,
    /// The stamp of the newest frame.
    newest: u64,
}

struct FrameMark {
    start: Position,
    sent: u64,
    printed: Instant,
}

impl Tape {
    /// An empty tape that keeps the last `capacity` bytes; as it fills it takes twice that memory, and
    /// 32 bytes for each frame on it.
    ///
    /// `sent` is the stamp from which on it has everything: the newest one given out before.
    pub fn new(capacity: usize, sent: u64) -> Self {
        Self {
            ring: vec![0; capacity * 2],
            capacity,
            head: 0,
            frames: VecDeque::new(),
            forgotten: sent,
            newest: sent,
        }
    }

    /// Has the system hand out all the memory that the tape will take, frames of 64 bytes assumed, so
    /// that a busy hour finds it there.
    pub fn take_memory(&mut self) {
        self.ring.fill(u8::MAX);
        let mark = |_| FrameMark {
            start: 0,
            sent: 0,
            printed: Instant::now(),
        };
        self.frames.extend((0..self.capacity / 64).map(mark));
        self.frames.clear();
    }

    /// Prints one whole frame, stamped `sent`; what no longer fits falls off the tail.
    ///
    /// # Panics
    /// When the frame is longer than the tape.
    pub fn append(&mut self, frame: &[u8], sent: u64, printed: Instant) {
        assert!(
            frame.len() <= self.capacity,
            "a frame of {} bytes",
            frame.len()
        );
        let at = self.offset(self.head);
        self.ring[at..at + frame.len()].copy_from_slice(frame);
        // The same bytes in the other copy: behind, and for what crossed the middle, before.
        let crossing = frame.len().min(self.capacity - at);
        let (behind, before) = frame.split_at(crossing);
        self.ring[at + self.capacity..at + self.capacity + crossing].copy_from_slice(behind);
        self.ring[..before.len()].copy_from_slice(before);

        self.frames.push_back(FrameMark {
            start: self.head,
            sent,
            printed,
        });
        self.head += frame.len() as u64;
        self.newest = sent;
        while let Some(oldest) = self.frames.front() {
            if oldest.start + self.capacity as u64 >= self.head {
                break;
            }
            self.forgotten = oldest.sent;
            self.frames.pop_front();
        }
    }

    /// The position behind everything printed so far.
    pub fn head(&self) -> Position {
        self.head
    }

    /// The oldest position that can still be read.
    pub fn tail(&self) -> Position {
        self.frames.front().map_or(self.head, |oldest| oldest.start)
    }

    /// All that has been printed since `position`, in one piece.
    ///
    /// # Panics
    /// When the position has fallen off the tail: ask [`tail`](Self::tail) first.
    pub fn read(&self, position: Position) -> &[u8] {
        assert!(position >= self.tail(), "a lapped reader must skip");
        let at = self.offset(position);
        &self.ring[at..at + self.length_from(position)]
    }

    /// Where a reader stands after `written` bytes from `position`: at a frame boundary in any case,
    /// with the rest of the frame that the write ended in, which must be sent before all else.
    pub fn advance(&self, position: Position, written: usize) -> (Position, &[u8]) {
        let reached = position + written as u64;
        let boundary = self.boundary(reached);
        let rest = &self.read(position)[written..];
        (boundary, &rest[..(boundary - reached) as usize])
    }

    /// How many messages lie between two frame boundaries that are still on the tape.
    pub fn messages_between(&self, from: Position, to: Position) -> u64 {
        // Nearly every reader has all but the newest.
        let newest = self.frames.back().map(|frame| frame.start);
        if to == self.head && newest == Some(from) {
            return 1;
        }
        let index = |position| self.frames.partition_point(|frame| frame.start < position);
        (index(to) - index(from)) as u64
    }

    /// The first position whose frame was printed after `instant`; the head if none was.
    pub fn printed_after(&self, instant: Instant) -> Position {
        let index = self
            .frames
            .partition_point(|frame| frame.printed <= instant);
        self.start_of(index)
    }

    /// The position behind all that is stamped up to `sent`, for a reader that has seen that much;
    /// none if the tape no longer has all that came since, or never gave out such a stamp.
    pub fn resume(&self, sent: u64) -> Option<Position> {
        if sent < self.forgotten || sent > self.newest {
            return None;
        }
        Some(self.start_of(self.frames.partition_point(|frame| frame.sent <= sent)))
    }

    /// The first frame boundary at or after `position`.
    fn boundary(&self, position: Position) -> Position {
        if position == self.head {
            return position;
        }
        self.start_of(self.frames.partition_point(|frame| frame.start < position))
    }

    fn start_of(&self, index: usize) -> Position {
        self.frames
            .get(index)
            .map_or(self.head, |frame| frame.start)
    }

    fn offset(&self, position: Position) -> usize {
        (position % self.capacity as u64) as usize
    }

    fn length_from(&self, position: Position) -> usize {
        (self.head - position) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A frame of `length` bytes that all say its number.
    fn numbered(number: u8, length: usize) -> Vec<u8> {
        vec![number; length]
    }

    #[test]
    fn a_reader_gets_what_was_printed_since_its_position() {
        let mut tape = Tape::new(100, 0);
        tape.append(&numbered(1, 10), 1, Instant::now());
        let position = tape.head();
        tape.append(&numbered(2, 10), 2, Instant::now());
        assert_eq!(tape.read(position), numbered(2, 10));
        assert!(tape.read(tape.head()).is_empty());
    }

    #[test]
    fn a_write_that_ends_inside_a_frame_leaves_the_rest_of_that_frame() {
        let mut tape = Tape::new(100, 0);
        for number in 1..=3 {
            tape.append(&numbered(number, 10), u64::from(number), Instant::now());
        }
        assert_eq!(tape.advance(0, 13), (20, &numbered(2, 7)[..]));
        assert_eq!(tape.advance(0, 20), (20, &[][..]));
        assert_eq!(tape.advance(10, 20), (30, &[][..]));
        assert_eq!(tape.advance(0, 0), (0, &[][..]));
    }

    #[test]
    fn messages_are_counted_between_positions() {
        let mut tape = Tape::new(25, 0);
        assert_eq!(tape.messages_between(0, 0), 0);
        for number in 1..=3 {
            tape.append(&numbered(number, 10), u64::from(number), Instant::now());
        }
        for (from, to, messages) in [(10, 30, 2), (20, 30, 1), (10, 20, 1), (30, 30, 0)] {
            assert_eq!(tape.messages_between(from, to), messages, "{from} to {to}");
        }
    }

    #[test]
    fn whole_frames_fall_off_the_tail() {
        let mut tape = Tape::new(25, 0);
        for number in 1..=3 {
            tape.append(&numbered(number, 10), u64::from(number), Instant::now());
        }
        assert_eq!(tape.tail(), 10);
        assert_eq!(tape.read(10), [numbered(2, 10), numbered(3, 10)].concat());
    }

    #[test]
    fn resuming_continues_behind_the_stamp_or_not_at_all() {
        let mut tape = Tape::new(25, 100);
        assert_eq!(tape.resume(100), Some(0));
        for sent in [105, 110, 115] {
            tape.append(&numbered(1, 10), sent, Instant::now());
        }
        assert_eq!(tape.resume(115), Some(30), "nothing new");
        assert_eq!(tape.resume(110), Some(20));
        assert_eq!(tape.resume(107), Some(10), "a stamp of another tape");
        assert_eq!(
            tape.resume(105),
            Some(10),
            "the first was seen, the rest is all there"
        );
        assert_eq!(tape.resume(104), None, "something is lost");
        assert_eq!(tape.resume(116), None, "a stamp that nobody gave out");
    }

    #[test]
    fn printed_after_finds_what_is_still_fresh() {
        let mut tape = Tape::new(100, 0);
        let start = Instant::now();
        for second in 0..4 {
            tape.append(
                &numbered(1, 10),
                second + 1,
                start + Duration::from_secs(second),
            );
        }
        assert_eq!(tape.printed_after(start), 10);
        assert_eq!(tape.printed_after(start + Duration::from_secs(9)), 40);
    }

    /// A connection without a socket: the rule that it follows, and what its peer received.
    struct Reader {
        position: Position,
        rest: Vec<u8>,
        received: Vec<u8>,
        snapshots: Vec<usize>,
    }

    impl Reader {
        /// Writes to a socket that takes `room` bytes.
        fn pump(&mut self, tape: &Tape, snapshot: &[u8], mut room: usize) {
            if self.position < tape.tail() {
                self.snapshots.push(self.received.len() + self.rest.len());
                self.rest.extend_from_slice(snapshot);
                self.position = tape.head();
            }
            let taken = room.min(self.rest.len());
            self.received.extend(self.rest.drain(..taken));
            room -= taken;
            if self.rest.is_empty() {
                let unread = tape.read(self.position);
                let written = room.min(unread.len());
                self.received.extend_from_slice(&unread[..written]);
                let (position, rest) = tape.advance(self.position, written);
                self.rest.extend_from_slice(rest);
                self.position = position;
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Pump { reader: usize, room: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1usize..60).prop_map(Step::Append),
            2 => (0usize..4, 0usize..300).prop_map(|(reader, room)| Step::Pump { reader, room }),
        ]
    }

    /// A frame: its length, then its number, then as many bytes of filling as it takes.
    fn frame(number: u32, filling: usize) -> Vec<u8> {
        let mut frame = vec![(filling + 5) as u8];
        frame.extend_from_slice(&number.to_be_bytes());
        frame.resize(filling + 5, number as u8);
        frame
    }

    /// The frames of a stream: where each begins and its number. Panics on a torn one.
    fn frames(mut stream: &[u8]) -> Vec<(usize, u32)> {
        let total = stream.len();
        let mut frames = Vec::new();
        while let Some(&length) = stream.first() {
            // The last one may still be under way.
            let Some((whole, rest)) = stream.split_at_checked(usize::from(length)) else {
                break;
            };
            let number = u32::from_be_bytes(whole[1..5].try_into().unwrap());
            assert!(
                whole[5..].iter().all(|&byte| byte == number as u8),
                "a torn frame"
            );
            frames.push((total - stream.len(), number));
            stream = rest;
        }
        frames
    }

    proptest! {
        /// Whatever is appended and however little each write takes, a reader's stream is whole
        /// frames in order, none twice, and each gap is a jump to a snapshot.
        #[test]
        fn a_stream_is_whole_frames_in_order_and_every_skip_a_snapshot(
            capacity in 64usize..400,
            steps in proptest::collection::vec(step(), 1..300),
        ) {
            let mut tape = Tape::new(capacity, 0);
            let mut newest = Vec::new();
            let mut number = 0;
            let mut readers: Vec<_> = (0..4).map(|_| Reader {
                position: 0, rest: Vec::new(), received: Vec::new(), snapshots: Vec::new(),
            }).collect();
            for step in steps {
                match step {
                    Step::Append(filling) => {
                        number += 1;
                        newest = frame(number, filling);
                        tape.append(&newest, u64::from(number), Instant::now());
                    }
                    Step::Pump { reader, room } => readers[reader].pump(&tape, &newest, room),
                }
                prop_assert!(tape.head() - tape.tail() <= capacity as u64);
                prop_assert_eq!(tape.read(tape.tail()).len() as u64, tape.head() - tape.tail());
            }
            for reader in &mut readers {
                reader.pump(&tape, &newest, usize::MAX);
                let mut last = 0;
                for (at, number) in frames(&reader.received) {
                    prop_assert!(number > last, "{} after {}", number, last);
                    let skipped = number - last > 1;
                    prop_assert!(!skipped || reader.snapshots.contains(&at), "a gap at {}", at);
                    last = number;
                }
                prop_assert_eq!(last, number, "the stream ends with the newest");
            }
        }
    }
}
