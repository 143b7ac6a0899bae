//! The end: signals, the closing frame on the tapes, and a limit on how long goodbyes take.

use std::io;
use std::time::Instant;

use mio::Interest;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tungstenite::http::StatusCode;
use tungstenite::protocol::frame::coding::CloseCode;

use super::Server;
use super::close::CloseReason;
use super::head::Refusal;
use crate::frame;
use crate::io_loop::IoLoop;

/// How far the end has come.
#[derive(Default)]
pub(crate) struct Shutdown {
    signals: Option<Signals>,
    begun: bool,
}

impl Shutdown {
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }
}

impl Server {
    /// Shuts down on SIGTERM and SIGINT; a second one ends the loop at once. Reloads on SIGHUP, if
    /// there is anything to reload.
    ///
    /// # Errors
    /// When the signals cannot be watched.
    pub fn stop_on_signals(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        if self.can_reload() {
            signals.add_signal(SIGHUP)?;
        }
        io_loop.add_handler(&mut signals, Interest::READABLE, |server, io_loop, _, _| {
            server.on_signal(io_loop);
        })?;
        self.shutdown.signals = Some(signals);
        Ok(())
    }

    /// Says goodbye to everybody and stops the loop when the last has gone, or at the limit.
    pub fn shut_down(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.shutdown.begun {
            return io_loop.stop();
        }
        self.shutdown.begun = true;
        let limit = self.config.shutdown_timeout;
        log::info!(
            "shutting down, {} clients, at most {limit:?}",
            self.counters.clients
        );
        self.acceptor.stop(io_loop);
        let mut goodbye = Vec::new();
        frame::close(
            &mut goodbye,
            CloseCode::Away,
            &CloseReason::Shutdown.to_string(),
        );
        self.board.seal(&goodbye, Instant::now());
        self.sweep_soon(io_loop);
        self.refuse_unfinished_handshakes(io_loop);
        io_loop.call_later(limit, |_, io_loop| io_loop.stop());
        self.on_removed(io_loop);
    }

    /// A connection is gone: at the end, the last one takes the loop along.
    pub(super) fn on_removed(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.shutdown.begun && self.connections.len() == 0 {
            io_loop.stop();
        }
    }

    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>) {
        let signals = self.shutdown.signals.as_mut();
        let pending: Vec<_> = signals.map_or_else(Vec::new, |signals| signals.pending().collect());
        for signal in pending {
            match signal {
                SIGHUP => self.reload(),
                _ => self.shut_down(io_loop),
            }
        }
    }

    fn refuse_unfinished_handshakes(&mut self, io_loop: &mut IoLoop<Self>) {
        let refuse = || {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
            CloseReason::Refused(refusal)
        };
        let waiting = self.connections.iter_mut().filter_map(|connection| {
            connection
                .handshake_timeout()
                .map(|_| (connection.token, refuse()))
        });
        let waiting = waiting.collect();
        self.close_all(io_loop, waiting);
    }
}
