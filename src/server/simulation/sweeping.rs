//! The sweep and the heartbeat of the simulation: as they are in
//! [`Server`](crate::server::Server), each method by the same name.

use std::time::Duration;

use super::world::{Callback, World};
use crate::frame;

impl World {
    pub(super) fn sweep_soon(&mut self) {
        if !std::mem::replace(&mut self.sweeping, true) {
            self.callbacks.push_back(Callback::BeginSweep);
        }
    }

    pub(super) fn begin_sweep(&mut self) {
        let (slots, now) = (self.connections.slots(), self.instant());
        self.sweep.begin(slots, self.board.prints(), now);
        self.sweep_slice();
    }

    pub(super) fn sweep_slice(&mut self) {
        let conflate_after = self.config.conflate_after;
        self.board.age(self.instant() - conflate_after);
        if let Some(stale) = self.now.checked_sub(conflate_after.as_millis() as u64) {
            self.model.age(stale);
        }
        let mut losers = Vec::new();
        let mut sweep = std::mem::take(&mut self.sweep);
        let impatient = self.impatience.u8(..4) == 0;
        let (connections, mut desk) = self.parts();
        let finished = sweep.write_some(connections, &mut desk, || impatient, &mut losers);
        self.sweep = sweep;
        self.observe_all();
        self.close_all(losers);
        self.note("slice");
        if !finished {
            self.callbacks.push_back(Callback::SweepSlice);
        } else if self.sweep.is_behind(self.board.prints()) {
            self.call_later(Duration::from_millis(2), Callback::BeginSweep);
        } else {
            self.sweeping = false;
        }
    }

    pub(super) fn beat(&mut self) {
        self.heartbeat += 1;
        self.note("heartbeat");
        let mut ping = Vec::new();
        frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
        self.board.print_for_all(&ping, self.instant());
        self.model.append(&ping, None, self.now);
        self.sweep_soon();
        let interval = self.config.ping_interval;
        let limit = self.config.ping_timeout.min(interval);
        self.call_later(limit, Callback::Overdue(self.heartbeat));
        self.call_later(interval, Callback::Beat);
    }
}
