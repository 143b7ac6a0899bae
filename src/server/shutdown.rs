//! Shutting down: signals, goodbyes spread over a while, and a limit on how long they take.
//!
//! Clients reconnect after a goodbye, most of them at once. So the server says goodbye to one after
//! the other, and sends ticks to each until then. Clients that are left after that (only those that
//! came while the port was handed over) get the closing frame from the tape.

use std::io;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, Wake};
use mio::{Interest, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::frame;
use crate::server::Server;
use crate::server::close::CloseReason;
use crate::server::closing::Ending;
use crate::server::connection::Connection;
use crate::server::http::router::Endpoint;
use crate::server::rejection::Rejection;
use crate::server::socket::Transport;
use crate::server::symbol_file::symbols_of_file;
use crate::server::tls::ClientSocket;

/// The progress of the shutdown.
#[derive(Default)]
pub(crate) struct Shutdown {
    signals: Option<Signals>,
    begun: bool,
    /// The port is being handed over, so clients that were on their way here are still admitted.
    handing_over: bool,
}

/// A schedule of goodbyes.
struct Drain {
    began: Instant,
    time: Duration,
    clients: Vec<Token>,
    /// How many of them have been told goodbye.
    told: usize,
}

impl Shutdown {
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether new clients are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.begun && !self.handing_over
    }
}

impl Drain {
    /// The time at which the client with number `index` is told goodbye.
    fn due(&self, index: usize) -> Instant {
        let share = index as f64 / self.clients.len().max(1) as f64;
        self.began + self.time.mul_f64(share)
    }

    /// The clients whose time has come since the last call.
    fn next(&mut self, now: Instant) -> &[Token] {
        let from = self.told;
        while self.told < self.clients.len() && self.due(self.told) <= now {
            self.told += 1;
        }
        &self.clients[from..self.told]
    }
}

impl<S: Transport> Server<S> {
    /// Shuts down on SIGTERM and SIGINT; a second one ends the loop at once. On SIGHUP, reads the
    /// server's files again. SIGHUP never ends the process: a closed terminal, or a reload of all
    /// services, is no reason to leave the clients.
    ///
    /// # Errors
    /// When the signals cannot be watched.
    pub fn stop_on_signals(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        io_loop.add_handler(&mut signals, Interest::READABLE, |server, io_loop, _, _| {
            server.on_signals(io_loop);
        })?;
        self.shutdown.signals = Some(signals);
        Ok(())
    }

    /// Says goodbye to every client and stops the loop when the last has gone, or at the time
    /// limit.
    pub fn shut_down(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.shutdown.begun {
            return io_loop.stop();
        }
        self.shutdown.begun = true;
        self.leave_relay(io_loop);
        let drain = self.config.drain;
        let limit = drain + self.config.shutdown_timeout;
        let clients = self.counters.clients;
        if drain.is_zero() {
            log::info!("shutting down, {clients} clients, exit within {limit:?}");
        } else {
            log::info!(
                "shutting down, {clients} clients, goodbyes spread over {drain:?}, exit within {limit:?}"
            );
        }
        io_loop.call_later(limit, |_, io_loop| io_loop.stop());
        let mut last = drain;
        if self.config.reuse_port {
            // Clients that are admitted until the end of `linger` should still get a tick.
            let linger = LINGER_MAX.min(limit / 4);
            last = drain.max(2 * linger);
            self.shutdown.handing_over = true;
            self.hand_over(io_loop, linger);
        } else {
            self.acceptor.stop(io_loop, Endpoint::Public);
            self.reject_unfinished_handshakes(io_loop);
        }
        if last.is_zero() {
            self.close_tape(io_loop);
        } else {
            self.drain(io_loop);
            io_loop.call_later(last, Self::close_tape);
        }
        self.on_removed(io_loop);
    }

    /// Handles the removal of a connection: during a shutdown the last one stops the loop, once
    /// another origin may take over.
    pub(super) fn on_removed(&mut self, io_loop: &mut IoLoop<Self>) {
        let clients = self.connections.len() - self.acceptor.admins();
        let may_end = self.relay.as_ref().is_none_or(|relay| relay.may_end());
        if self.shutdown.begun && clients == 0 && self.acceptor.listener().is_none() && may_end {
            io_loop.stop();
        }
    }

    /// Begins to say goodbye to one client after the other.
    fn drain(&mut self, io_loop: &mut IoLoop<Self>) {
        let open = |connection: &mut Connection<ClientSocket<S>>| {
            connection.is_open().then_some(connection.token)
        };
        let drain = Drain {
            began: io_loop.time(),
            time: self.config.drain,
            clients: self.connections.iter_mut().filter_map(open).collect(),
            told: 0,
        };
        self.drain_some(io_loop, drain);
    }

    fn drain_some(&mut self, io_loop: &mut IoLoop<Self>, mut drain: Drain) {
        let now = io_loop.time();
        let due = drain.next(now).iter();
        self.close_many(io_loop, due.map(|&token| (token, Ending::Shutdown)));
        if drain.told < drain.clients.len() {
            // Thousands of clients are told a few at a time, without a timer for each.
            let next = drain.due(drain.told).max(now + DRAIN_BEAT);
            io_loop.call_at(next, |server, io_loop| server.drain_some(io_loop, drain));
        }
    }

    /// Sends a client its remaining news before the goodbye, as far as its socket takes it. Returns
    /// the reason to close it.
    pub(crate) fn send_rest(&mut self, now: Instant, token: Token) -> Option<CloseReason> {
        let (connections, mut context) = self.parts(now);
        let connection = connections.get_mut(token)?;
        let failed = connection.pump_last(&mut context).err();
        Some(failed.unwrap_or(CloseReason::Shutdown))
    }

    /// Publishes the closing frame for all remaining clients. From now on new clients are refused.
    fn close_tape(&mut self, io_loop: &mut IoLoop<Self>) {
        let mut close_frame = Vec::new();
        frame::close(
            &mut close_frame,
            CloseCode::Away,
            &CloseReason::Shutdown.to_string(),
        );
        self.hub.close(&close_frame, io_loop.time());
        self.broadcast_soon(io_loop);
        self.shutdown.handing_over = false;
        self.reject_unfinished_handshakes(io_loop);
    }

    fn on_signals(&mut self, io_loop: &mut IoLoop<Self>) {
        let signals = self.shutdown.signals.as_mut();
        let pending: Vec<_> = signals.map_or_else(Vec::new, |signals| signals.pending().collect());
        for signal in pending {
            match signal {
                SIGHUP => self.reload(io_loop),
                _ => self.shut_down(io_loop),
            }
        }
    }

    /// Reads the server's files again. An invalid file changes nothing.
    fn reload(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.config.tokens.is_none() && self.tls.is_none() && self.symbols_file.is_none() {
            log::info!("nothing to reload: no file in use is read again on SIGHUP");
        }
        if let Some(tokens) = &mut self.config.tokens {
            match tokens.reload() {
                Ok(()) => log::info!("reloaded {tokens}"),
                Err(error) => log::warn!("{error}; keeping the previous tokens"),
            }
        }
        if let Some(tls) = &mut self.tls {
            tls.reload();
        }
        self.reload_symbols(io_loop);
    }

    /// Makes the feed follow the file of symbols. The feed runs in the next turn, because reading
    /// the file has used some of this one.
    fn reload_symbols(&mut self, io_loop: &mut IoLoop<Self>) {
        let Some(file) = &self.symbols_file else {
            return;
        };
        match symbols_of_file(file) {
            Ok(symbols) if self.relay.as_ref().is_some_and(|relay| relay.is_edge()) => {
                self.select(io_loop, &symbols);
            }
            Ok(symbols) => {
                self.wanted = Some(symbols);
                if let Some(feed) = self.waiting_feed {
                    io_loop.add_callback(move |server, io_loop| {
                        io_loop.wake(server, feed, Wake::Ready);
                    });
                }
            }
            Err(error) => log::warn!("{error}; keeping the current symbols"),
        }
    }

    fn reject_unfinished_handshakes(&mut self, io_loop: &mut IoLoop<Self>) {
        let reject = || {
            let rejection = Rejection::unavailable("shutting down");
            Ending::Because(CloseReason::Refused(rejection))
        };
        let waiting = self.connections.iter_mut().filter_map(|connection| {
            connection
                .handshake_timeout()
                .filter(|_| connection.endpoint() == Endpoint::Public)
                .map(|_| (connection.token, reject()))
        });
        let waiting: Vec<_> = waiting.collect();
        self.close_many(io_loop, waiting);
    }
}

/// The longest time for accepting connections that must not reach another process.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// The shortest time between two rounds of goodbyes.
const DRAIN_BEAT: Duration = Duration::from_millis(1);
