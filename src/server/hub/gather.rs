//! Finds what a reader of some symbols has not had: their frames since its position, in the order
//! of printing.
//!
//! Does no I/O, and all readers share one scratch space: nearly every reader has only a few frames
//! to come.

use crate::tape::{EVERYONE, FrameNumber, SymbolId, Tape};

/// The numbers of one reader's frames.
#[derive(Default)]
pub(crate) struct Gather {
    found: Vec<FrameNumber>,
    /// A flag for each symbol; all are down between two readers.
    flags: Vec<bool>,
}

impl Gather {
    /// Finds the frames of `symbols` (in ascending order) and the frames for everyone, from `from`
    /// on; only the oldest if there are more than one write takes. Returns false if one of them has
    /// fallen off the tape.
    ///
    /// Usually it walks back from the newest frame of each symbol. When a long list is hardly
    /// behind, it looks at the new frames instead; when a reader is far behind, it goes forward,
    /// since that can stop early.
    pub(crate) fn find(&mut self, tape: &Tape, symbols: &[SymbolId], from: FrameNumber) -> bool {
        self.found.clear();
        let is_all_there = from >= tape.tail();
        let distance = tape.head().saturating_sub(from) as usize;
        if is_all_there && distance * SYMBOLS_PER_FRAME < symbols.len() {
            let wanted = |symbol| symbol == EVERYONE || symbols.binary_search(&symbol).is_ok();
            let frames = tape.symbols(from, tape.head());
            self.found.extend(
                frames
                    .filter(|&(_, symbol)| wanted(symbol))
                    .map(|(number, _)| number),
            );
            return true;
        }
        for &symbol in symbols.iter().chain(&[EVERYONE]) {
            let mut number = tape.newest(symbol);
            while number >= from {
                if number < tape.tail() {
                    return false;
                }
                if self.found.len() == FRAMES_MAX {
                    self.go_forward(tape, symbols, from.max(tape.tail()));
                    let mut all = symbols.iter().chain(&[EVERYONE]);
                    return is_all_there || !all.any(|&symbol| is_lost(tape, symbol, from));
                }
                self.found.push(number);
                number = tape.before(number);
            }
        }
        self.found.sort_unstable();
        true
    }

    /// Takes all frames from `from` up to `to`; only the oldest if there are more than one write
    /// takes.
    pub(crate) fn take_all(&mut self, from: FrameNumber, to: FrameNumber) {
        self.found.clear();
        self.found.extend((from..to).take(FRAMES_MAX));
    }

    /// The numbers found, in ascending order.
    pub(crate) fn found(&self) -> &[FrameNumber] {
        &self.found
    }

    /// Whether there may be more frames behind those found.
    pub(crate) fn is_cut(&self) -> bool {
        self.found.len() == FRAMES_MAX
    }

    fn go_forward(&mut self, tape: &Tape, symbols: &[SymbolId], from: FrameNumber) {
        let needed = symbols
            .last()
            .map_or(0, |&highest| usize::from(highest) + 1);
        if self.flags.len() < needed {
            self.flags.resize(needed, false);
        }
        for &symbol in symbols {
            self.flags[usize::from(symbol)] = true;
        }
        let flags = &self.flags;
        let wanted = |symbol: SymbolId| {
            symbol == EVERYONE || flags.get(usize::from(symbol)).is_some_and(|&flag| flag)
        };
        let frames = tape.symbols(from, tape.head());
        let wanted = frames.filter(|&(_, symbol)| wanted(symbol));
        self.found.clear();
        self.found
            .extend(wanted.map(|(number, _)| number).take(FRAMES_MAX));
        for &symbol in symbols {
            self.flags[usize::from(symbol)] = false;
        }
    }
}

/// Whether a symbol's frame at `from` or behind it has fallen off the tape.
fn is_lost(tape: &Tape, symbol: SymbolId, from: FrameNumber) -> bool {
    let mut number = tape.newest(symbol);
    while number >= tape.tail() {
        number = tape.before(number);
    }
    number >= from.max(1)
}

/// Where a reader stands after `written` bytes of the frames `numbers`, which follow one another in
/// its write: the number of the first frame that was not begun, if there is one, and the rest of
/// the frame that the write ended in.
pub(crate) fn torn<'a>(
    tape: &'a Tape,
    numbers: &[FrameNumber],
    mut written: usize,
) -> (usize, &'a [u8]) {
    for (index, &number) in numbers.iter().enumerate() {
        let frame = tape.frame(number);
        if written < frame.len() {
            return match written {
                0 => (index, &[]),
                _ => (index + 1, &frame[written..]),
            };
        }
        written -= frame.len();
    }
    (numbers.len(), &[])
}

/// How many frames are found at a time: more than a socket takes in one write.
pub(crate) const FRAMES_MAX: usize = 1024;

/// Looking at a frame's symbol costs about as much as looking at the newest frames of this many
/// symbols.
pub(super) const SYMBOLS_PER_FRAME: usize = 8;

#[cfg(test)]
mod tests;
