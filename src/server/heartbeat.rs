//! The heartbeat: a ping printed on the tapes for everybody, and the limits that only time shows.

use std::time::{Duration, Instant};

use super::Server;
use super::close::CloseReason;
use crate::frame;
use crate::io_loop::IoLoop;
use crate::periodic::PeriodicCallback;

impl Server {
    /// Begins to ping and to look for clients that are stuck.
    pub(super) fn start_heartbeat(&self, io_loop: &mut IoLoop<Self>) {
        let interval = self.config.ping_interval;
        if !interval.is_zero() {
            PeriodicCallback::start(io_loop, interval, Self::beat);
        }
        // Fine enough that the limit is kept to an eighth.
        let look = (self.config.slow_timeout / 8).clamp(LOOK_MIN, LOOK_MAX);
        PeriodicCallback::start(io_loop, look, |server: &mut Self, io_loop| {
            server.close_overdue(io_loop, 0);
        });
    }

    fn beat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.heartbeat += 1;
        let mut ping = Vec::new();
        // The number is what its pong will repeat (RFC 6455 section 5.5.3).
        frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
        self.board.print_for_all(&ping, Instant::now());
        self.sweep_soon(io_loop);
        let heartbeat = self.heartbeat;
        let limit = self.config.ping_timeout.min(self.config.ping_interval);
        io_loop.call_later(limit, move |server, io_loop| {
            server.close_overdue(io_loop, heartbeat);
        });
    }

    /// Closes who has taken nothing for too long, or has not answered `heartbeat` by now.
    fn close_overdue(&mut self, io_loop: &mut IoLoop<Self>, heartbeat: u32) {
        let (now, slow) = (self.now(), self.config.slow_timeout);
        let overdue: Vec<_> = self
            .connections
            .iter_mut()
            .filter_map(|connection| {
                let reason: CloseReason = connection.overdue(now, heartbeat, slow)?;
                Some((connection.token, reason))
            })
            .collect();
        self.close_all(io_loop, overdue);
    }
}

/// Between two looks for clients that are stuck.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(1);
