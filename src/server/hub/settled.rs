//! The newest frames that have fallen off the tape: they extend the order of printing back to the
//! oldest tick that a client can be given.

use crate::server::scaled::Scaled;
use crate::tape::{FrameNumber, SymbolId};

/// Frames that are no longer on the tape, in the order of printing. It has every frame that was its
/// symbol's newest when it fell off, and keeps some that have since been superseded.
#[derive(Default)]
pub(super) struct Settled {
    frames: Vec<(FrameNumber, SymbolId)>,
    /// At this many, frames that are no longer the newest are dropped.
    most: usize,
}

impl Settled {
    /// Adds a frame, which is newer than all others.
    pub(super) fn push(&mut self, number: FrameNumber, symbol: SymbolId) {
        self.frames.push((number, symbol));
    }

    /// Whether it is time to [drop](Self::retain) some frames.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() > self.most.max(FRAMES_MIN.get())
    }

    /// Drops the frames that are not the newest of their symbol.
    pub(super) fn retain(&mut self, is_newest: impl Fn(FrameNumber, SymbolId) -> bool) {
        self.frames
            .retain(|&(number, symbol)| is_newest(number, symbol));
        self.most = 2 * self.frames.len();
    }

    /// The frames from `from` on.
    pub(super) fn from(
        &self,
        from: FrameNumber,
    ) -> impl Iterator<Item = (FrameNumber, SymbolId)> + '_ {
        let first = self.frames.partition_point(|&(number, _)| number < from);
        self.frames[first..].iter().copied()
    }
}

/// The least number of frames to keep before any are dropped.
const FRAMES_MIN: Scaled = Scaled::new(1024, 8);
