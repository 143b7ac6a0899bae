//! Hands the port over to another process that listens there too (`SO_REUSEPORT`).
//!
//! ```text
//! steer to another ──▶ drop SYNs ──▶ look whether one answers ──▶ accept for a while ──▶ close
//! ```

use std::io;
use std::time::{Duration, Instant};

use ioloop::IoLoop;

use crate::error_text::plain;
use crate::server::Server;
use crate::server::http::router::Endpoint;
use crate::server::socket::{Listen, Transport};

impl<S: Transport> Server<S> {
    /// Stops listening once no client is on its way here; `linger` is the time allowed for TCP's
    /// own handshake.
    pub(crate) fn hand_over(&mut self, io_loop: &mut IoLoop<Self>, linger: Duration) {
        self.seek_successor(io_loop, 1, linger);
    }

    /// Steers new connections to the listener with number `index` on the port, and checks whether
    /// that is another listener than ours. With two listeners, ours is 0 or 1; the older one is 0,
    /// until a third joins.
    fn seek_successor(&mut self, io_loop: &mut IoLoop<Self>, index: u32, linger: Duration) {
        let probe = self
            .acceptor
            .listener()
            .map(|listener| listener.send_to(index));
        match probe {
            Some(Ok(probe)) => {
                let until = io_loop.time() + PROBE_TIME;
                self.look_for_successor(io_loop, probe, (index, until), linger);
            }
            Some(Err(error)) => {
                if error.kind() != io::ErrorKind::Unsupported {
                    let error = plain(&error);
                    log::warn!("cannot hand the port over, so clients may be reset: {error}");
                }
                self.leave_port(io_loop);
            }
            None => {}
        }
    }

    /// Waits for the probe. If it connects, it has reached another listener, because ours accepts
    /// none.
    fn look_for_successor(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        probe: S,
        (index, until): (u32, Instant),
        linger: Duration,
    ) {
        if probe.peer_addr().is_ok() {
            log::info!("another server has taken over the port");
            // If it runs with the same options, it serves the admin port too.
            self.acceptor.stop(io_loop, Endpoint::Admin);
            io_loop.call_later(linger, Self::leave_port);
        } else if io_loop.time() < until {
            io_loop.call_later(PROBE_BEAT, move |server, io_loop| {
                server.look_for_successor(io_loop, probe, (index, until), linger);
            });
        } else if index > 0 {
            self.seek_successor(io_loop, index - 1, linger);
        } else {
            log::info!("no other server listens on the port");
            self.leave_port(io_loop);
        }
    }

    /// Accepts the clients that have already come, and stops listening.
    fn leave_port(&mut self, io_loop: &mut IoLoop<Self>) {
        self.accept(io_loop, Endpoint::Public);
        if self.acceptor.is_behind() {
            io_loop.call_later(LEAVE_BEAT, Self::leave_port);
            return;
        }
        if let Some(listener) = self.acceptor.stop(io_loop, Endpoint::Public) {
            // For the listeners that stay. Even now no client comes here: first packets are
            // dropped.
            listener.share_evenly();
        }
        self.on_removed(io_loop);
    }
}

/// The delay before another try, if not all waiting clients can be accepted at once.
const LEAVE_BEAT: Duration = Duration::from_millis(1);

/// Connecting within a machine takes microseconds, but the machine may be busy.
const PROBE_TIME: Duration = Duration::from_millis(50);
const PROBE_BEAT: Duration = Duration::from_millis(1);
