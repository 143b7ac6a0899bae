//! The broadcast: writes what was printed to everybody who has news and is not waiting for room.
//!
//! It visits the slots that have news, in their order, and is cut into slices, so that a tick for
//! twenty thousand clients keeps neither accepts nor reads nor timers waiting; what is printed
//! between two slices rides along with the later ones.
//!
//! A round during which more was printed is followed by another, after a rest: what is printed
//! meanwhile goes out in the same writes. Ticks that come faster than rounds so cost less each, and
//! leave the loop time for clients that join.

pub(crate) mod periods;
pub(crate) mod publish;
pub(crate) mod refresh;

use std::time::{Duration, Instant};

use ioloop::IoLoop;
use mio::Token;

use crate::server::Server;
use crate::server::close::CloseReason;
use crate::server::closing::Ending;
use crate::server::connections::Connections;
use crate::server::context::Context;
use crate::server::hub::Hub;
use crate::server::socket::{Socket, Transport};
use crate::server::subscriber::Progress;
use crate::tape::FrameNumber;

/// How far the present round has come.
#[derive(Default)]
pub(crate) struct Broadcast {
    /// A slice is queued, or the round after a rest.
    is_running: bool,
    /// The present round follows another at once, because there was more to send.
    is_behind: bool,
    began: Option<Instant>,
    /// The head of the tape when it began.
    head: FrameNumber,
    /// What was printed up to then is old, as the hub was told last.
    aged: Option<Instant>,
    /// When the last one began that came to its end: all that was printed before has been offered to
    /// everybody.
    offered: Option<Instant>,
    /// The slot that it began with, and the next to be looked at.
    first: usize,
    next: usize,
    /// The slots there were when it began.
    slots: usize,
    /// It has come to the last slot and goes on from the first of all.
    has_wrapped: bool,
}

impl Broadcast {
    /// Begins a round over `slots` slots.
    ///
    /// After a pause it begins a bit over a third further on than the one before: neighbours get the
    /// good and the bad places in turn, and nobody is always last. While the server is behind each
    /// round begins at the same slot, so that everybody waits for one round and nobody for two.
    pub(crate) fn begin(&mut self, slots: usize, head: FrameNumber, now: Instant) {
        if !self.is_behind {
            self.first += slots * 3 / 8 + 1;
        }
        self.first %= slots.max(1);
        self.next = self.first;
        self.slots = slots;
        self.has_wrapped = false;
        self.head = head;
        self.began = Some(now);
    }

    /// Whether a slice is queued, or the round after a rest.
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// What was printed up to then is old, as the hub was told last.
    #[cfg(test)]
    pub(crate) fn aged(&self) -> Option<Instant> {
        self.aged
    }

    /// How long to rest after a round that ends now: half the time that it took.
    fn rest(&self, now: Instant) -> Duration {
        let took = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        (took / 2).min(REST_MAX)
    }

    /// Writes to some clients, fewer if `is_due` says that a timer has come due, which may be the next
    /// tick, or if what they read is much work. Returns whether all have had their turn; those that are to be closed go to `over`, not
    /// away under our feet.
    pub(crate) fn write_some<S: Socket>(
        &mut self,
        connections: &mut Connections<S>,
        context: &mut Context<'_>,
        is_due: impl Fn() -> bool,
        over: &mut Vec<(Token, Ending)>,
    ) -> bool {
        for visit in 1..=WRITES_PER_SLICE {
            let Some(slot) = self.next_slot(context.hub) else {
                return true;
            };
            if let Some(connection) = connections.at(slot) {
                let ending = match connection.pump(context) {
                    Ok(Progress::Open) => None,
                    Ok(Progress::Finished) => Some(CloseReason::Shutdown),
                    Err(reason) => Some(reason),
                };
                let ending = ending.map(|reason| (connection.token, Ending::Because(reason)));
                over.extend(ending);
            }
            if context.hub.is_overworked() || visit % WRITES_PER_LOOK == 0 && is_due() {
                break;
            }
        }
        false
    }

    /// What was printed before is old to a client that has not had it. As long as it has not been
    /// offered to everybody, because the process stood still for one, nobody can be called slow.
    fn old_before(&self, now: Instant, conflate_after: Duration) -> Option<Instant> {
        let old = now.checked_sub(conflate_after)?;
        Some(old.min(self.offered?))
    }

    /// The next slot that has news.
    fn next_slot(&mut self, hub: &mut Hub) -> Option<usize> {
        if !self.has_wrapped {
            if let Some(slot) = hub.next_news(self.next, self.slots) {
                self.next = slot + 1;
                return Some(slot);
            }
            (self.has_wrapped, self.next) = (true, 0);
        }
        let slot = hub.next_news(self.next, self.first)?;
        self.next = slot + 1;
        Some(slot)
    }
}

impl<S: Transport> Server<S> {
    /// Has what was printed sent; together with what else is printed in this turn.
    pub(super) fn broadcast_soon(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.broadcast.is_running {
            self.broadcast.is_running = true;
            io_loop.add_callback(Self::begin_broadcast);
        }
    }

    fn begin_broadcast(&mut self, io_loop: &mut IoLoop<Self>) {
        let (slots, head) = (self.connections.slots(), self.hub.begin_round());
        self.broadcast.begin(slots, head, io_loop.time());
        self.broadcast_slice(io_loop);
    }

    fn broadcast_slice(&mut self, io_loop: &mut IoLoop<Self>) {
        let (now, conflate_after) = (io_loop.time(), self.config.conflate_after);
        let aged = self.broadcast.old_before(now, conflate_after);
        if aged != self.broadcast.aged {
            self.broadcast.aged = aged;
            aged.into_iter()
                .for_each(|instant| self.hub.expire_before(instant));
        }
        let mut over = Vec::new();
        let mut broadcast = std::mem::take(&mut self.broadcast);
        let (connections, mut context) = self.parts(now);
        let enough = now + SLICE_MAX;
        let deadline = io_loop.next_deadline();
        let deadline = deadline.map_or(enough, |deadline| deadline.min(enough));
        let is_due = || io_loop.time() >= deadline;
        // Requests and the broadcast have a share of a turn each, so that neither can keep the other
        // from its own.
        let requested = context.hub.work();
        context.hub.rest();
        let is_finished = broadcast.write_some(connections, &mut context, is_due, &mut over);
        context.hub.set_work(requested);
        self.broadcast = broadcast;
        self.close_many(io_loop, over);
        if !is_finished {
            return io_loop.add_callback(Self::broadcast_slice);
        }
        self.broadcast.offered = self.broadcast.began;
        self.hub.set_offered(self.broadcast.head);
        self.broadcast.is_behind = self.hub.has_news();
        if self.broadcast.is_behind {
            let rest = self.broadcast.rest(io_loop.time());
            io_loop.call_later(rest, Self::begin_broadcast);
        } else {
            self.broadcast.is_running = false;
        }
    }
}

/// The longest rest: it adds to the delivery latency of a server that is behind.
const REST_MAX: Duration = Duration::from_millis(10);

/// Writes in one turn of the loop: about a millisecond's work.
const WRITES_PER_SLICE: usize = 192;

/// How long a slice may hold the loop when its writes are long ones.
const SLICE_MAX: Duration = Duration::from_millis(2);

/// Writes between two looks at the clock.
const WRITES_PER_LOOK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The slots at which five rounds over 100 slots begin.
    fn beginnings(is_behind: bool) -> Vec<usize> {
        let mut broadcast = Broadcast {
            first: 80,
            is_behind,
            ..Broadcast::default()
        };
        let mut begin = |head| {
            broadcast.begin(100, head, Instant::now());
            broadcast.next
        };
        (0..5).map(&mut begin).collect()
    }

    #[test]
    fn rounds_take_turns_in_where_they_begin() {
        assert_eq!(beginnings(false), [18, 56, 94, 32, 70]);
    }

    #[test]
    fn while_behind_each_round_begins_where_the_last_one_did() {
        assert_eq!(beginnings(true), [80; 5]);
    }
}
