//! The tape: every message printed once, already framed, for everybody who reads it.
//!
//! A ring of bytes and, beside it, a ring of marks: one for each frame, with the symbol that it is
//! about. Frames are numbered from 1, and a position is a number: that of the first frame a reader
//! has not had. So a position is a frame boundary by construction, and the frames between two
//! positions are a subtraction. Each mark knows how far back the previous frame of its symbol lies,
//! so the frames of one symbol are a chain that starts at [`Tape::newest`].
//!
//! A frame never crosses the end of the ring. What a reader of everything has not had is therefore
//! one slice up to the end of the ring ([`Tape::run`]) and continues at its beginning.
//!
//! Pure: the tape knows neither sockets nor clocks; stamps and instants are handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of a frame: 1 for the first that is ever printed.
pub type FrameNumber = u64;

/// A symbol, by its number on the hub.
pub type SymbolId = u16;

/// So many symbols can a tape have: their numbers take two bytes, and one is for everyone.
pub const SYMBOLS_MAX: usize = 65_000;

/// The symbol of frames that concern every reader: pings and the closing frame.
pub const EVERYONE: SymbolId = SymbolId::MAX;

/// An append-only ring of framed messages.
pub struct Tape {
    ring: Box<[u8]>,
    /// Behind the newest frame.
    end: usize,
    /// The first frame of the present lap, and where the lap before it ended.
    lap: FrameNumber,
    lap_end: usize,
    /// The frames that are still on the tape, oldest first.
    marks: VecDeque<Mark>,
    marks_max: usize,
    /// The number of the oldest.
    tail: FrameNumber,
    /// The newest frame of each symbol; zero where there is none.
    newest: Vec<FrameNumber>,
    newest_for_everyone: FrameNumber,
    /// The highest stamp of a frame that the tape no longer has.
    forgotten: u64,
    /// It no longer has several frames of that stamp: a tick and what was printed behind it.
    has_forgotten_more: bool,
    /// The stamp of the newest frame.
    stamp: u64,
    /// When the frames were printed that are not yet known to be old: an entry for each group of
    /// them that were printed within `grain`, with the first frame of it.
    printed: VecDeque<(Instant, FrameNumber)>,
    grain: Duration,
    is_group_open: bool,
    /// Every frame before this one was printed too long ago.
    fresh_from: FrameNumber,
    /// What the newest frame has pushed off the tail.
    fallen: Vec<(FrameNumber, SymbolId)>,
}

/// What is known of a frame. Kept to 20 bytes, because there is one for every hundred bytes of tape.
struct Mark {
    /// Where it begins in the ring.
    start: u32,
    /// How many frames back the previous one of the same symbol is; zero if there was none.
    back: u32,
    /// The stamp, in two halves: a whole one would make the mark as long as 24 bytes.
    stamp: [u32; 2],
    symbol: SymbolId,
    /// How long it is, so that the next mark need not be looked at; zero if that takes more bits.
    length: u16,
}

impl Tape {
    /// An empty tape that takes `size` bytes of memory for frames and marks together, from the
    /// system as it fills.
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

    /// Has frames grow old in groups, of those that were printed within `grain`: so many instants
    /// fewer are kept when a hundred thousand frames come in a second.
    pub fn set_grain(&mut self, grain: Duration) {
        self.grain = grain;
    }

    /// Ends the present group: what is printed from now on grows old by itself.
    pub fn end_group(&mut self) {
        self.is_group_open = false;
    }

    /// The longest frame that it takes, in bytes: a quarter of the ring, so that readers who are
    /// not far behind find what they have not had.
    pub fn frame_length_max(&self) -> usize {
        self.ring.len() / 4
    }

    /// Prints one whole frame about `symbol`, stamped `stamp` (not less than the one before), at
    /// `printed`. What it overwrites falls off the tail. Returns its number.
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
            // So far back that it does not fit is not on the tape.
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

    /// The number that the next frame will have: the position of a reader that has had everything.
    pub fn head(&self) -> FrameNumber {
        self.tail + self.marks.len() as u64
    }

    /// The frames that the newest one has overwritten, oldest first, with what they were about.
    pub fn fallen(&self) -> &[(FrameNumber, SymbolId)] {
        &self.fallen
    }

    /// The number of the oldest frame that can still be read; the head if there is none.
    pub fn tail(&self) -> FrameNumber {
        self.tail
    }

    /// The newest frame of a symbol, whether or not it is still on the tape; zero if there was none.
    pub fn newest(&self, symbol: SymbolId) -> FrameNumber {
        if symbol == EVERYONE {
            return self.newest_for_everyone;
        }
        self.newest.get(usize::from(symbol)).copied().unwrap_or(0)
    }

    /// The frame of the same symbol before `number`, whether or not it is still on the tape; zero if
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

    /// What a frame is about.
    ///
    /// # Panics
    /// When it is not on the tape.
    pub fn symbol(&self, number: FrameNumber) -> SymbolId {
        self.mark(number).symbol
    }

    /// What the frames from `from` up to `to` are about, in their order.
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

    /// The frames from `from` on that lie in one piece, and the number behind them: the head, or
    /// less where the ring comes round. Empty only at the head.
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

    /// Where a reader stands after `written` bytes of the [`run`](Self::run) that begins at `from`,
    /// with the rest of the frame that the write ended in, which must be sent before all else.
    pub fn advance(&self, from: FrameNumber, written: usize) -> (FrameNumber, &[u8]) {
        let (run, behind) = self.run(from);
        if written == 0 || written == run.len() {
            return (if written == 0 { from } else { behind }, &[]);
        }
        let reached = self.mark(from).start as usize + written;
        let (mut low, mut high) = (from, behind);
        // The first frame that begins where the write ended, or later.
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

    /// The position behind the tick with this stamp, for a reader that has seen that much; none if the
    /// tape no longer has all that came since, or has never had such a stamp.
    ///
    /// Only the first frame of a stamp is the tick: what was printed behind it without a stamp of its
    /// own, that the price is stale for one, may be news to the reader.
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

    /// The stamp of the newest frame; zero before the first.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Counts everything printed up to `instant` as old, from now on.
    pub fn expire_before(&mut self, instant: Instant) {
        while self.printed.front().is_some_and(|&(at, _)| at <= instant) {
            self.printed.pop_front();
        }
        let fresh = self.printed.front().map(|&(_, number)| number);
        self.fresh_from = fresh.unwrap_or(self.head());
    }

    /// The first frame that [`expire_before`](Self::expire_before) has left.
    pub fn fresh_from(&self) -> FrameNumber {
        self.fresh_from
    }

    /// Forgets the frames of a symbol that are no longer on the tape, so that its number can be given
    /// to another. Returns whether none are left.
    pub fn forget(&mut self, symbol: SymbolId) -> bool {
        let is_gone = self.newest(symbol) < self.tail;
        if is_gone {
            *self.newest_mut(symbol) = 0;
        }
        is_gone
    }

    /// Where a frame of `length` bytes goes. The frames that lie there fall off the tail.
    fn make_room(&mut self, length: usize) -> usize {
        if self.marks.len() == self.marks_max {
            self.drop_oldest();
        }
        let mut start = self.end;
        if start + length > self.ring.len() {
            // Only frames of the lap before lie behind the newest.
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
        self.has_forgotten_more = mark.stamp() == self.forgotten;
        self.forgotten = mark.stamp();
        self.fallen.push((self.tail, mark.symbol));
        self.tail += 1;
        // A group of which nothing is left need not grow old.
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

/// What a frame of an ordinary tick takes, with its mark: it decides how much of a tape is for marks.
const BYTES_PER_FRAME: usize = 112;

/// The smallest tape, in bytes. It has room for a few of the longest frames.
pub const SIZE_MIN: usize = 1 << 10;

/// The largest tape, in bytes: marks point into it with 32 bits.
pub const SIZE_MAX: usize = 4 << 30;

#[cfg(test)]
mod tests;
