//! The look at the clock that finds out which symbols have fallen silent.

use std::time::Duration;

use super::Server;
use super::socket::Transport;
use crate::feed::Watched;
use crate::io_loop::IoLoop;
use crate::periodic::PeriodicCallback;

impl<S: Transport> Server<S> {
    /// Tells clients when one of `watched` falls silent, and when it is back.
    pub fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        let Some(least) = watched.iter().map(|watched| watched.stale_after).min() else {
            return;
        };
        let now = io_loop.time();
        for watched in watched {
            self.board.watch(watched, now);
        }
        // Fine enough that the limit is kept to an eighth.
        let look = (least / 8).clamp(LOOK_MIN, LOOK_MAX);
        PeriodicCallback::start(io_loop, look, Self::look_for_silence);
    }

    fn look_for_silence(&mut self, io_loop: &mut IoLoop<Self>) {
        // Who joins a server that cannot reach its exchanges shall hear so, and not wait first.
        let no_hope = self.sources.are_all_failing();
        let mut silent = self.board.print_stale(io_loop.time(), no_hope);
        if !silent.is_empty() {
            self.sweep_soon(io_loop);
        }
        let unserved: Vec<_> = self.board.unserved().collect();
        // That one source of several is silent is news to its readers, but nothing to warn of.
        silent.retain(|silent| unserved.contains(&silent.market.as_str()));
        let is_stale = self.is_stale && !unserved.is_empty() || !silent.is_empty();
        if self.is_stale && !is_stale {
            log::info!("all prices are live again");
        }
        self.is_stale = is_stale;
        if let Some((first, others)) = silent.split_first() {
            let (symbol, silence) = (&first.symbol, first.silence);
            match others.len() {
                0 => log::warn!("{symbol} is stale: no price for {silence:.1?}"),
                others => {
                    log::warn!("{symbol} and {others} more are stale: no price for {silence:.1?}");
                }
            }
        }
    }
}

/// Between two looks.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);
