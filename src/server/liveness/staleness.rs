//! The periodic check for symbols that have fallen silent.

use std::time::Duration;

use ioloop::{IoLoop, PeriodicCallback};

use crate::feed::Watched;
use crate::server::Server;
use crate::server::hub::Silent;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Tells clients when one of the `watched` symbols falls silent, and when it returns. One server
    /// of many tells all of them by the log.
    pub fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        match &mut self.relay {
            Some(relay) => relay.watch(watched),
            None => self.watch_now(io_loop, watched),
        }
    }

    /// Watches symbols that are on the tape of this server.
    pub(crate) fn watch_now(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        let Some(least) = watched.iter().map(|watched| watched.stale_after).min() else {
            return;
        };
        let now = io_loop.time();
        for watched in watched {
            self.hub.watch(&watched, now);
        }
        // Frequent enough to keep the limit to within an eighth. Symbols that are watched later
        // start another timer only if the existing one would be too slow for them.
        let look = (least / 8).clamp(LOOK_MIN, LOOK_MAX);
        if self.silence_look.is_none_or(|known| look < known) {
            self.silence_look = Some(look);
            PeriodicCallback::start(io_loop, look, Self::look_for_silence);
        }
    }

    fn look_for_silence(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.looks_for_silence {
            self.looks_for_silence = true;
            self.call_stale(io_loop, 0, Vec::new());
        }
    }

    /// Tells subscribers which symbols, from number `from` on, have fallen silent, a turn's share
    /// at a time: a whole market may fall silent at once.
    fn call_stale(&mut self, io_loop: &mut IoLoop<Self>, from: usize, mut silent: Vec<Silent>) {
        let now = io_loop.time();
        let range = (from, STALE_PER_TURN);
        let next = self.hub.publish_stale(range, now, &mut silent);
        if self.hub.has_news() {
            self.broadcast_soon(io_loop);
        }
        if let Some(relay) = &mut self.relay
            && !silent.is_empty()
        {
            relay.beat_soon();
        }
        match next {
            Some(next) => io_loop.add_callback(move |server, io_loop| {
                server.call_stale(io_loop, next, silent);
            }),
            None => {
                self.looks_for_silence = false;
                self.log_silence(silent);
            }
        }
    }

    fn log_silence(&mut self, mut silent: Vec<Silent>) {
        // One silent source of several concerns its subscribers, but deserves no warning.
        silent.retain(|silent| self.hub.is_unserved(silent.market));
        let is_stale = self.is_stale && !self.hub.is_ready() || !silent.is_empty();
        if self.is_stale && !is_stale {
            log::info!("all prices are current again");
        }
        self.is_stale = is_stale;
        if let Some((first, others)) = silent.split_first() {
            let (symbol, silence) = (&first.symbol, first.silence);
            let what = if first.had_price {
                "no price for"
            } else {
                "no price yet, after"
            };
            match others.len() {
                0 => log::warn!("{symbol} is stale: {what} {silence:.1?}"),
                others => log::warn!("{symbol} and {others} more are stale: {what} {silence:.1?}"),
            }
        }
    }
}

/// Symbols marked as stale in one turn.
const STALE_PER_TURN: usize = 500;

/// The bounds of the time between two checks.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);
