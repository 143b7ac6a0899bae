//! Handles the feed's events: prices are published and recorded, symbols come and go.

use std::time::Duration;

use ioloop::{IoLoop, PeriodicCallback};
use mio::Token;

use crate::feed::{HasSources, Publish, Recorder, Sources, Watched};
use crate::server::Server;
use crate::server::socket::Transport;
use crate::tick::Tick;

impl<S: Transport> Server<S> {
    /// Also writes every published tick to `recorder`.
    pub fn record(&mut self, io_loop: &mut IoLoop<Self>, recorder: Recorder) {
        self.recorder = Some(recorder);
        PeriodicCallback::start(io_loop, RECORDER_FLUSH_INTERVAL, |server: &mut Self, _| {
            server.flush_recorder();
        });
    }

    /// Flushes the recorder; also at the end of a run.
    pub fn flush_recorder(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
    }

    /// Adds symbols that clients can ask for. Returns how many of the last ones found no room.
    pub(crate) fn list_now(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]) -> usize {
        let (added, left_out) = self.hub.list_all(symbols);
        if added > 0 {
            self.begin_to_refresh_lists(io_loop);
        }
        left_out
    }

    /// Removes symbols that clients can no longer ask for.
    pub(crate) fn delist_now(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]) {
        let now = io_loop.time();
        let removed = symbols.iter().filter(|symbol| self.hub.delist(symbol, now));
        if removed.count() > 0 {
            self.broadcast_soon(io_loop);
        }
    }
}

impl<S: Transport> Publish for Server<S> {
    /// Prints a price on the tape and schedules its broadcast. One server of many writes it into the
    /// log instead.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
        if let Some(relay) = &mut self.relay {
            relay.publish(tick, io_loop.time());
            return self.advance_relay_soon(io_loop);
        }
        let Some(json) = self.hub.publish(&tick, io_loop.time()) else {
            log::debug!(
                "dropped a price of {}: it is not one of the symbols",
                tick.symbol
            );
            return;
        };
        self.counters.ticks += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.record(json);
        }
        self.broadcast_soon(io_loop);
    }

    fn has_room(&self, io_loop: &IoLoop<Self>) -> bool {
        let relay = self.relay.as_ref();
        relay.is_none_or(|relay| relay.node().has_room(io_loop.time()))
    }

    fn when_there_is_room(
        &mut self,
        _: &mut IoLoop<Self>,
        go_on: impl FnOnce(&mut Self, &mut IoLoop<Self>) + 'static,
    ) {
        self.waiting_sources.push(Box::new(go_on));
    }

    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str) {
        if let Some(relay) = &mut self.relay {
            return relay.confirm(symbol);
        }
        if self.hub.confirm(symbol, io_loop.time()) {
            self.broadcast_soon(io_loop);
        }
    }

    fn list(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]) -> usize {
        match &mut self.relay {
            Some(relay) => {
                relay.list(symbols);
                0
            }
            None => self.list_now(io_loop, symbols),
        }
    }

    fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>) {
        Self::watch(self, io_loop, watched);
    }

    fn delist(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]) {
        match &mut self.relay {
            Some(relay) => relay.delist(symbols),
            None => self.delist_now(io_loop, symbols),
        }
    }

    fn take_wanted(&mut self) -> Option<Vec<String>> {
        self.wanted.take()
    }

    fn wake_for_wanted(&mut self, token: Token) {
        self.waiting_feed = Some(token);
    }
}

impl<S: Transport> HasSources for Server<S> {
    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

/// A crash loses at most the ticks recorded in this time.
const RECORDER_FLUSH_INTERVAL: Duration = Duration::from_millis(100);
