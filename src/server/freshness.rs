//! The look at the clock that finds out which symbols have fallen silent.

use std::time::{Duration, Instant};

use super::Server;
use crate::feed::Watched;
use crate::io_loop::IoLoop;
use crate::periodic::PeriodicCallback;

impl Server {
    /// Tells clients when one of `watched` falls silent, and when it is back.
    pub fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        let Some(least) = watched.iter().map(|watched| watched.stale_after).min() else {
            return;
        };
        let now = Instant::now();
        for watched in watched {
            self.board.watch(watched, now);
        }
        // Fine enough that the limit is kept to an eighth.
        let look = (least / 8).clamp(LOOK_MIN, LOOK_MAX);
        PeriodicCallback::start(io_loop, look, Self::look_for_silence);
    }

    fn look_for_silence(&mut self, io_loop: &mut IoLoop<Self>) {
        let silent = self.board.print_stale(Instant::now());
        let Some((first, others)) = silent.split_first() else {
            return;
        };
        let (symbol, silence) = (&first.symbol, first.silence);
        match others.len() {
            0 => log::warn!("{symbol} is stale: no price for {silence:.1?}"),
            others => {
                log::warn!("{symbol} and {others} more are stale: no price for {silence:.1?}");
            }
        }
        self.sweep_soon(io_loop);
    }
}

/// Between two looks.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);
