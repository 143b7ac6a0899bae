//! The newest frames that have fallen off the tape: in front of it, they continue the order of
//! printing back to the oldest tick that a client can be given.

use crate::tape::{FrameNumber, SymbolId};

/// Frames that are no longer on the tape, in the order of printing. Those that were the newest of
/// their symbol when they fell off are all there, and may be it no more.
#[derive(Default)]
pub(super) struct Settled {
    frames: Vec<(FrameNumber, SymbolId)>,
    /// With so many, those that are not the newest any more are dropped.
    most: usize,
}

impl Settled {
    /// Adds a frame, which is newer than all that there are.
    pub(super) fn push(&mut self, number: FrameNumber, symbol: SymbolId) {
        self.frames.push((number, symbol));
    }

    /// Whether it is time to [drop](Self::retain) some.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() > self.most.max(FRAMES_MIN)
    }

    /// Drops those that are not wanted.
    pub(super) fn retain(&mut self, is_newest: impl Fn(FrameNumber, SymbolId) -> bool) {
        self.frames
            .retain(|&(number, symbol)| is_newest(number, symbol));
        self.most = 2 * self.frames.len();
    }

    /// Those from `from` on.
    pub(super) fn from(
        &self,
        from: FrameNumber,
    ) -> impl Iterator<Item = (FrameNumber, SymbolId)> + '_ {
        let first = self.frames.partition_point(|&(number, _)| number < from);
        self.frames[first..].iter().copied()
    }
}

/// So many are kept in any case.
const FRAMES_MIN: usize = if cfg!(test) { 8 } else { 1024 };
