//! The sweep: writes what was printed to everybody who is not waiting for room.
//!
//! It is cut into slices, so that a tick for twenty thousand clients keeps neither accepts nor reads
//! nor timers waiting; what is printed between two slices rides along with the later ones. Each
//! sweep starts at another client, so that nobody is always last.
//!
//! A sweep during which more was printed is followed by another, after a rest: what is printed
//! meanwhile goes out in the same writes. Ticks that come faster than sweeps so cost less each,
//! and leave the loop time for who joins.

use std::time::{Duration, Instant};

use mio::Token;

use super::Server;
use super::close::CloseReason;
use super::connection::Desk;
use super::connections::Connections;
use super::socket::{Socket, Transport};
use crate::io_loop::IoLoop;

/// How far the present sweep has come.
#[derive(Default)]
pub(crate) struct Sweep {
    /// A slice is queued, or the sweep after a rest.
    running: bool,
    began: Option<Instant>,
    /// What was printed up to then is old, as the board was told last.
    aged: Option<Instant>,
    /// When the last one began that came to its end: all that was printed before has been offered to
    /// everybody.
    offered: Option<Instant>,
    /// The slot that it began with.
    first: usize,
    /// The slots there were when it began; who came later was given all there was.
    slots: usize,
    visited: usize,
    /// How often anything had been printed when it began: more by its end means another sweep.
    prints: u64,
}

impl Sweep {
    pub(crate) fn begin(&mut self, slots: usize, prints: u64, now: Instant) {
        // A stride of a bit over a third: neighbours get the good and the bad places in turn.
        self.first = (self.first + slots * 3 / 8 + 1) % slots.max(1);
        self.slots = slots;
        self.visited = 0;
        self.prints = prints;
        self.began = Some(now);
    }

    /// Whether a slice is queued, or the sweep after a rest.
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// What was printed up to then is old, as the board was told last.
    #[cfg(test)]
    pub(crate) fn aged(&self) -> Option<Instant> {
        self.aged
    }

    /// Whether more has been printed than this sweep is sure to have written.
    pub(crate) fn is_behind(&self, prints: u64) -> bool {
        self.prints != prints
    }

    /// How long to rest after a sweep that ends now: half the time that it took.
    fn rest(&self, now: Instant) -> Duration {
        let took = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        (took / 2).min(REST_MAX)
    }

    /// Writes to some clients, fewer if `is_due` says that a timer has come due: it may be the next
    /// tick. Returns whether all have had their turn; whoever is to be closed goes to `losers`, not away
    /// under our feet.
    pub(crate) fn write_some<S: Socket>(
        &mut self,
        connections: &mut Connections<S>,
        desk: &mut Desk<'_>,
        is_due: impl Fn() -> bool,
        losers: &mut Vec<(Token, CloseReason)>,
    ) -> bool {
        let mut written = 0;
        while let Some(slot) = self.next_slot() {
            let Some(connection) = connections.at(slot) else {
                continue;
            };
            if !connection.wants_pump(desk.board) {
                continue;
            }
            if let Err(reason) = connection.pump(desk) {
                losers.push((connection.token, reason));
            }
            written += 1;
            let look = written % WRITES_PER_LOOK == 0;
            if (look && is_due()) || written == WRITES_PER_SLICE {
                return self.visited == self.slots;
            }
        }
        true
    }

    /// What was printed before is old to who has not had it. As long as we have not offered it to
    /// everybody, because the process stood still for one, nobody can be called slow.
    fn stale_before(&self, now: Instant, conflate_after: Duration) -> Option<Instant> {
        let old = now.checked_sub(conflate_after)?;
        Some(old.min(self.offered?))
    }

    fn next_slot(&mut self) -> Option<usize> {
        if self.visited == self.slots {
            return None;
        }
        let slot = (self.first + self.visited) % self.slots;
        self.visited += 1;
        Some(slot)
    }
}

impl<S: Transport> Server<S> {
    /// Has what was printed swept out; at once with what else is printed in this turn.
    pub(super) fn sweep_soon(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.sweep.running {
            self.sweep.running = true;
            io_loop.add_callback(Self::begin_sweep);
        }
    }

    fn begin_sweep(&mut self, io_loop: &mut IoLoop<Self>) {
        let (slots, prints) = (self.connections.slots(), self.board.prints());
        self.sweep.begin(slots, prints, io_loop.time());
        self.sweep_slice(io_loop);
    }

    fn sweep_slice(&mut self, io_loop: &mut IoLoop<Self>) {
        let (now, conflate_after) = (io_loop.time(), self.config.conflate_after);
        let aged = self.sweep.stale_before(now, conflate_after);
        if aged != self.sweep.aged {
            self.sweep.aged = aged;
            aged.into_iter().for_each(|instant| self.board.age(instant));
        }
        let mut losers = Vec::new();
        let mut sweep = std::mem::take(&mut self.sweep);
        let (connections, mut desk) = self.parts(now);
        let deadline = io_loop.next_deadline();
        let is_due = || deadline.is_some_and(|deadline| io_loop.time() >= deadline);
        let finished = sweep.write_some(connections, &mut desk, is_due, &mut losers);
        self.sweep = sweep;
        self.close_all(io_loop, losers);
        if finished {
            self.sweep.offered = self.sweep.began;
        }
        if !finished {
            io_loop.add_callback(Self::sweep_slice);
        } else if self.sweep.is_behind(self.board.prints()) {
            let rest = self.sweep.rest(io_loop.time());
            io_loop.call_later(rest, Self::begin_sweep);
        } else {
            self.sweep.running = false;
        }
    }
}

/// The longest rest: it adds to the delivery latency of a server that is behind.
const REST_MAX: Duration = Duration::from_millis(10);

/// Writes in one turn of the loop: about a millisecond's work.
const WRITES_PER_SLICE: usize = 192;

/// Writes between two looks at the clock.
const WRITES_PER_LOOK: usize = 16;
