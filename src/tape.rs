//! The tape: every message, framed once for all its readers.
//!
//! It is a ring of bytes and, beside it, a ring of marks: one for each frame, with the frame's
//! symbol. Frames are numbered from 1, and a reader's position is the number of the first frame it
//! has not received. So a position is a frame boundary by construction, and the number of frames
//! between two positions is a subtraction. Each mark stores how far back the previous frame of its
//! symbol is, so the frames of one symbol form a chain that starts at [`Tape::newest`].
//!
//! A frame never crosses the end of the ring. So the unread frames of a reader of everything are
//! one slice up to the end of the ring ([`Tape::run`]), followed by one from its beginning.
//!
//! The tape is pure: it knows neither sockets nor clocks; stamps and instants are passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of a frame, counted from 1.
pub type FrameNumber = u64;

/// A symbol, by its number in the hub.
pub type SymbolId = u16;

/// The most symbols a tape can have: their numbers take two bytes, and one stands for everyone.
pub const SYMBOLS_MAX: usize = 65_000;

/// The symbol of frames for every reader: pings and the close frame.
pub const EVERYONE: SymbolId = SymbolId::MAX;

/// An append-only ring of framed messages.
pub struct Tape {
    ring: Box<[u8]>,
    /// The offset after the newest frame.
    end: usize,
    /// The first frame of the current lap, and the offset at which the previous lap ended.
    lap: FrameNumber,
    lap_end: usize,
    /// The frames that are still on the tape, oldest first.
    marks: VecDeque<Mark>,
    marks_max: usize,
    /// The number of the oldest frame.
    tail: FrameNumber,
    /// The newest frame of each symbol; zero if it has none.
    newest: Vec<FrameNumber>,
    newest_for_everyone: FrameNumber,
    /// The highest stamp of a frame that has fallen off the tape, or that it never had.
    forgotten: u64,
    /// Whether several frames of that stamp have fallen off: a tick, and frames published after it.
    has_forgotten_more: bool,
    /// The stamp of the newest frame.
    stamp: u64,
    /// When the frames that have not expired were appended: an entry for each group of frames that
    /// were appended within `grain`, with the first frame of the group.
    printed: VecDeque<(Instant, FrameNumber)>,
    grain: Duration,
    is_group_open: bool,
    /// Every frame before this one has expired.
    fresh_from: FrameNumber,
    /// The frames that the newest one has pushed off the tail.
    fallen: Vec<(FrameNumber, SymbolId)>,
}

/// The mark of a frame. Kept to 20 bytes, because there is one for every hundred bytes of tape.
struct Mark {
    /// The offset in the ring at which it begins.
    start: u32,
    /// How many frames back the previous one of the same symbol is; zero if there was none.
    back: u32,
    /// The stamp in two halves: a `u64` would enlarge the mark to 24 bytes.
    stamp: [u32; 2],
    symbol: SymbolId,
    /// Its length, which spares a look at the next mark; zero if it does not fit.
    length: u16,
}

impl Tape {
    /// An empty tape that takes `size` bytes of memory for frames and marks together. The system
    /// provides the memory as it is used.
    ///
    /// # Panics
    /// When it is smaller than [`SIZE_MIN`] or larger than [`SIZE_MAX`].
    pub fn new(size: usize) -> Self {
        assert!(
            (SIZE_MIN..=SIZE_MAX).contains(&size),
            "a tape of {size} bytes"
        );
        let marks_max = size / BYTES_PER_FRAME;
        Self {
            ring: vec![0; size - marks_max * size_of::<Mark>()].into_boxed_slice(),
            end: 0,
            lap: 1,
            lap_end: 0,
            marks: VecDeque::with_capacity(marks_max),
            marks_max,
            tail: 1,
            newest: Vec::new(),
            newest_for_everyone: 0,
            forgotten: 0,
            has_forgotten_more: false,
            stamp: 0,
            printed: VecDeque::new(),
            grain: Duration::ZERO,
            is_group_open: false,
            fresh_from: 1,
            fallen: Vec::new(),
        }
    }

    /// Makes frames that are appended within `grain` of each other expire as a group, so that fewer
    /// instants are kept when a hundred thousand frames arrive in a second.
    pub fn set_grain(&mut self, grain: Duration) {
        self.grain = grain;
    }

    /// Ends the current group: frames appended from now on expire separately.
    pub fn end_group(&mut self) {
        self.is_group_open = false;
    }

    /// The longest frame in bytes: a quarter of the ring, so that readers who are not far behind
    /// find their frames.
    pub fn frame_length_max(&self) -> usize {
        self.ring.len() / 4
    }

    /// Appends one whole frame about `symbol`, stamped `stamp` (not less than the one before), at
    /// `printed`. The frames that it overwrites fall off the tail. Returns its number.
    ///
    /// # Panics
    /// When the frame is empty or longer than [`frame_length_max`](Self::frame_length_max).
    pub fn append(
        &mut self,
        symbol: SymbolId,
        frame: &[u8],
        stamp: u64,
        printed: Instant,
    ) -> FrameNumber {
        let length = frame.len();
        assert!(
            (1..=self.frame_length_max()).contains(&length),
            "a frame of {length} bytes"
        );
        self.fallen.clear();
        let number = self.head();
        let start = self.make_room(length);
        self.ring[start..start + length].copy_from_slice(frame);
        self.end = start + length;
        let newest = self.newest_mut(symbol);
        let before = std::mem::replace(newest, number);
        self.marks.push_back(Mark {
            start: start as u32,
            // A distance that does not fit leads to a frame that has fallen off.
            back: match before {
                0 => 0,
                before => u32::try_from(number - before).unwrap_or(0),
            },
            stamp: [(stamp >> 32) as u32, stamp as u32],
            symbol,
            length: u16::try_from(length).unwrap_or(0),
        });
        self.stamp = stamp;
        let group = self.printed.back().filter(|_| self.is_group_open);
        if group.is_none_or(|&(first, _)| printed.saturating_duration_since(first) > self.grain) {
            self.printed.push_back((printed, number));
            self.is_group_open = true;
        }
        number
    }

    /// The number that the next frame will have: the position of a reader that is up to date.
    pub fn head(&self) -> FrameNumber {
        self.tail + self.marks.len() as u64
    }

    /// The frames that the newest one has overwritten, oldest first, with their symbols.
    pub fn fallen(&self) -> &[(FrameNumber, SymbolId)] {
        &self.fallen
    }

    /// The number of the oldest frame that can still be read; the head if the tape is empty.
    pub fn tail(&self) -> FrameNumber {
        self.tail
    }

    /// The newest frame of a symbol, even if it has fallen off; zero if there was none.
    pub fn newest(&self, symbol: SymbolId) -> FrameNumber {
        if symbol == EVERYONE {
            return self.newest_for_everyone;
        }
        self.newest.get(usize::from(symbol)).copied().unwrap_or(0)
    }

    /// The previous frame of the same symbol before `number`, even if it has fallen off; zero if
    /// there was none.
    ///
    /// # Panics
    /// When `number` itself is not on the tape.
    pub fn before(&self, number: FrameNumber) -> FrameNumber {
        match self.mark(number).back {
            0 => 0,
            back => number - u64::from(back),
        }
    }

    /// The symbol of a frame.
    ///
    /// # Panics
    /// When it is not on the tape.
    pub fn symbol(&self, number: FrameNumber) -> SymbolId {
        self.mark(number).symbol
    }

    /// The stamp of a frame.
    ///
    /// # Panics
    /// When it is not on the tape.
    pub fn stamp_of(&self, number: FrameNumber) -> u64 {
        self.mark(number).stamp()
    }

    /// The symbols of the frames from `from` up to `to`, in order.
    ///
    /// # Panics
    /// When one of them is not on the tape.
    pub fn symbols(
        &self,
        from: FrameNumber,
        to: FrameNumber,
    ) -> impl Iterator<Item = (FrameNumber, SymbolId)> {
        let marks = self.marks.range(self.index(from)..self.index(to));
        (from..).zip(marks.map(|mark| mark.symbol))
    }

    /// The bytes of a frame.
    ///
    /// # Panics
    /// When it is not on the tape.
    #[inline]
    pub fn frame(&self, number: FrameNumber) -> &[u8] {
        let mark = self.mark(number);
        let start = mark.start as usize;
        let end = match mark.length {
            0 => self.end_of(number),
            length => start + usize::from(length),
        };
        &self.ring[start..end]
    }

    /// The frames from `from` on that are contiguous, and the number after them: the head, or less
    /// where the ring wraps around. Empty only at the head.
    ///
    /// # Panics
    /// When `from` has fallen off the tail.
    pub fn run(&self, from: FrameNumber) -> (&[u8], FrameNumber) {
        if from == self.head() {
            return (&[], from);
        }
        let start = self.mark(from).start as usize;
        if from < self.lap {
            (&self.ring[start..self.lap_end], self.lap)
        } else {
            (&self.ring[start..self.end], self.head())
        }
    }

    /// The position of a reader after `written` bytes of the [`run`](Self::run) that begins at
    /// `from`, with the rest of the frame that the write ended in, which must be sent before all
    /// else.
    pub fn advance(&self, from: FrameNumber, written: usize) -> (FrameNumber, &[u8]) {
        let (run, behind) = self.run(from);
        if written == 0 || written == run.len() {
            return (if written == 0 { from } else { behind }, &[]);
        }
        let reached = self.mark(from).start as usize + written;
        let (mut low, mut high) = (from, behind);
        // Finds the first frame that begins where the write ended, or later.
        while low < high {
            let middle = low + (high - low) / 2;
            if (self.mark(middle).start as usize) < reached {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low, &self.ring[reached..self.end_of(low - 1)])
    }

    /// The position after the tick with this stamp, for a reader that resumes; `None` if some later
    /// frames have fallen off, or if the tape never had the stamp.
    ///
    /// Only the first frame with a stamp is the tick: frames appended after it without a stamp of
    /// their own, such as the notice of a stale price, may be new to the reader.
    pub fn resume(&self, stamp: u64) -> Option<FrameNumber> {
        let is_lost = stamp == self.forgotten && self.has_forgotten_more;
        if stamp < self.forgotten || stamp > self.stamp || is_lost {
            return None;
        }
        let before = self.marks.partition_point(|mark| mark.stamp() < stamp);
        let first = self.marks.get(before);
        let is_tick = stamp != self.forgotten && first.is_some_and(|mark| mark.stamp() == stamp);
        Some(self.tail + (before + usize::from(is_tick)) as u64)
    }

    /// Notes that the tape may lack frames with stamps up to this one, because they were printed
    /// elsewhere: nobody resumes before it.
    pub fn lacks_up_to(&mut self, stamp: u64) {
        if stamp > self.forgotten {
            (self.forgotten, self.has_forgotten_more) = (stamp, false);
        }
    }

    /// The stamp of the newest frame; zero before the first.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Counts all frames appended up to `instant` as expired from now on.
    pub fn expire_before(&mut self, instant: Instant) {
        while self.printed.front().is_some_and(|&(at, _)| at <= instant) {
            self.printed.pop_front();
        }
        let fresh = self.printed.front().map(|&(_, number)| number);
        self.fresh_from = fresh.unwrap_or(self.head());
    }

    /// The first frame that has not expired (see [`expire_before`](Self::expire_before)).
    pub fn fresh_from(&self) -> FrameNumber {
        self.fresh_from
    }

    /// Forgets the frames of a symbol that have fallen off, so that its number can be reassigned.
    /// Returns whether it has no frames left.
    pub fn forget(&mut self, symbol: SymbolId) -> bool {
        let is_gone = self.newest(symbol) < self.tail;
        if is_gone {
            *self.newest_mut(symbol) = 0;
        }
        is_gone
    }

    /// Returns the offset for a frame of `length` bytes. The frames there fall off the tail.
    fn make_room(&mut self, length: usize) -> usize {
        if self.marks.len() == self.marks_max {
            self.drop_oldest();
        }
        let mut start = self.end;
        if start + length > self.ring.len() {
            // Only frames of the previous lap come after the newest in the ring.
            while self.oldest_start().is_some_and(|oldest| oldest >= start) {
                self.drop_oldest();
            }
            (self.lap, self.lap_end) = (self.head(), start);
            start = 0;
        }
        let taken = start..start + length;
        while self
            .oldest_start()
            .is_some_and(|oldest| taken.contains(&oldest))
        {
            self.drop_oldest();
        }
        start
    }

    fn oldest_start(&self) -> Option<usize> {
        self.marks.front().map(|mark| mark.start as usize)
    }

    fn drop_oldest(&mut self) {
        let Some(mark) = self.marks.pop_front() else {
            return;
        };
        if mark.stamp() >= self.forgotten {
            self.has_forgotten_more = mark.stamp() == self.forgotten;
            self.forgotten = mark.stamp();
        }
        self.fallen.push((self.tail, mark.symbol));
        self.tail += 1;
        // A group without frames need not expire.
        while self
            .printed
            .get(1)
            .is_some_and(|&(_, first)| first <= self.tail)
        {
            self.printed.pop_front();
        }
    }

    fn end_of(&self, number: FrameNumber) -> usize {
        let next = number + 1;
        if next == self.head() {
            self.end
        } else if next == self.lap {
            self.lap_end
        } else {
            self.mark(next).start as usize
        }
    }

    fn newest_mut(&mut self, symbol: SymbolId) -> &mut FrameNumber {
        if symbol == EVERYONE {
            return &mut self.newest_for_everyone;
        }
        let index = usize::from(symbol);
        if index >= self.newest.len() {
            self.newest.resize(index + 1, 0);
        }
        &mut self.newest[index]
    }

    fn index(&self, number: FrameNumber) -> usize {
        (number - self.tail) as usize
    }

    #[inline]
    fn mark(&self, number: FrameNumber) -> &Mark {
        &self.marks[self.index(number)]
    }
}

impl Mark {
    fn stamp(&self) -> u64 {
        let [high, low] = self.stamp;
        u64::from(high) << 32 | u64::from(low)
    }
}

/// The size of an ordinary tick's frame with its mark, which determines the share of marks in the
/// tape.
const BYTES_PER_FRAME: usize = 112;

/// The smallest tape in bytes, with room for a few of the longest frames.
pub const SIZE_MIN: usize = 1 << 10;

/// The largest tape in bytes: marks hold offsets of 32 bits.
pub const SIZE_MAX: usize = 4 << 30;

#[cfg(test)]
mod tests;
