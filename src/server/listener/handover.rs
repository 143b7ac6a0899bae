//! Handing the port over to another process that listens there too (`SO_REUSEPORT`).
//!
//! ```text
//! steer to another ──▶ drop SYNs ──▶ look whether one answers ──▶ accept for a while ──▶ close
//! ```

use std::io;
use std::time::{Duration, Instant};

use ioloop::IoLoop;

use crate::server::Server;
use crate::server::http::router::Endpoint;
use crate::server::socket::{Listen, Transport};

impl<S: Transport> Server<S> {
    /// Stops listening once nobody is on the way here any more; `linger` is how long an opening
    /// handshake of TCP may take.
    pub(crate) fn hand_over(&mut self, io_loop: &mut IoLoop<Self>, linger: Duration) {
        self.seek_successor(io_loop, 1, linger);
    }

    /// Steers new connections to the listener of number `index` among those of the port, and
    /// looks whether that is another one than ours. With two, ours is 0 or 1; the older one is 0,
    /// until a third has come.
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
                    log::warn!("cannot hand the port over, so clients may be reset: {error}");
                }
                self.leave_port(io_loop);
            }
            None => {}
        }
    }

    /// A probe that connects has reached another listener: ours takes none.
    fn look_for_successor(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        probe: S,
        (index, until): (u32, Instant),
        linger: Duration,
    ) {
        if probe.peer_addr().is_ok() {
            log::info!("another server has taken over the port");
            // It has this port too, if it is the same.
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

    /// Accepts who has come so far, and stops listening.
    fn leave_port(&mut self, io_loop: &mut IoLoop<Self>) {
        self.accept(io_loop, Endpoint::Public);
        if self.acceptor.is_behind() {
            io_loop.call_later(LEAVE_BEAT, Self::leave_port);
            return;
        }
        if let Some(listener) = self.acceptor.stop(io_loop, Endpoint::Public) {
            // For those who stay. Nobody comes here even now: first packets are dropped.
            listener.share_evenly();
        }
        self.on_removed(io_loop);
    }
}

/// How soon it is tried again, if not all who wait can be accepted at once.
const LEAVE_BEAT: Duration = Duration::from_millis(1);

/// On one machine connecting takes microseconds; it may be a busy one.
const PROBE_TIME: Duration = Duration::from_millis(50);
const PROBE_BEAT: Duration = Duration::from_millis(1);
