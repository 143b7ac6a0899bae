//! The look at the clock that finds out which symbols have fallen silent.

use std::time::Duration;

use ioloop::{IoLoop, PeriodicCallback};

use crate::feed::Watched;
use crate::server::Server;
use crate::server::hub::Silent;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Tells clients when one of `watched` falls silent, and when it is back.
    pub fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        let Some(least) = watched.iter().map(|watched| watched.stale_after).min() else {
            return;
        };
        let now = io_loop.time();
        for watched in watched {
            self.hub.watch(&watched, now);
        }
        // Fine enough that the limit is kept to an eighth. Symbols that are watched later have looks of
        // their own only if those that there are would be too rare for them.
        let look = (least / 8).clamp(LOOK_MIN, LOOK_MAX);
        if self.silence_look.is_none_or(|known| look < known) {
            self.silence_look = Some(look);
            PeriodicCallback::start(io_loop, look, Self::look_for_silence);
        }
    }

    fn look_for_silence(&mut self, io_loop: &mut IoLoop<Self>) {
        // A client that joins a server that cannot reach its exchanges shall hear so at once.
        let no_hope = self.sources.are_all_failing();
        if !self.looks_for_silence {
            self.looks_for_silence = true;
            self.call_stale(io_loop, (0, no_hope), Vec::new());
        }
    }

    /// Tells the readers of symbols from number `from` on that have fallen silent, a turn's share at a
    /// time: a whole market may fall silent at once.
    fn call_stale(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        (from, no_hope): (usize, bool),
        mut silent: Vec<Silent>,
    ) {
        let now = io_loop.time();
        let range = (from, STALE_PER_TURN);
        let next = self.hub.publish_stale(range, (now, no_hope), &mut silent);
        if self.hub.has_news() {
            self.broadcast_soon(io_loop);
        }
        match next {
            Some(next) => io_loop.add_callback(move |server, io_loop| {
                server.call_stale(io_loop, (next, no_hope), silent);
            }),
            None => {
                self.looks_for_silence = false;
                self.log_silence(silent);
            }
        }
    }

    fn log_silence(&mut self, mut silent: Vec<Silent>) {
        // That one source of several is silent is news to its readers, but nothing to warn of.
        silent.retain(|silent| self.hub.is_unserved(silent.market));
        let is_stale = self.is_stale && !self.hub.is_ready() || !silent.is_empty();
        if self.is_stale && !is_stale {
            log::info!("all prices are current again");
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

/// Symbols that are called stale in one turn.
const STALE_PER_TURN: usize = 500;

/// Between two looks.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);
