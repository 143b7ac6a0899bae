//! The broadcast: writes printed frames to every client that has news and is not waiting for room.
//!
//! It visits the slots that have news, in their order, and is cut into slices, so that a tick for
//! twenty thousand clients does not keep accepts, reads or timers waiting; frames printed between
//! two slices go out with the later ones.
//!
//! If more was printed during a round, another follows after a rest, and frames printed meanwhile
//! go out in the same writes. So ticks that come faster than rounds cost less each, and leave the
//! loop time for clients that join.

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

/// The progress of the current round.
#[derive(Default)]
pub(crate) struct Broadcast {
    /// Whether a slice is queued, or the round after a rest.
    is_running: bool,
    /// Whether the current round directly follows another because there was more to send.
    is_behind: bool,
    began: Option<Instant>,
    /// The head of the tape when it began.
    head: FrameNumber,
    /// The instant up to which frames are old, as the hub was last told.
    aged: Option<Instant>,
    /// The beginning of the last complete round: everything printed before has been offered to
    /// every client.
    offered: Option<Instant>,
    /// The slot that it began with, and the next slot to look at.
    first: usize,
    next: usize,
    /// How many slots there were when it began.
    slots: usize,
    /// Whether it has passed the last slot and continues from the first.
    has_wrapped: bool,
}

impl Broadcast {
    /// Begins a round over `slots` slots.
    ///
    /// After a pause it begins a bit over a third further on than the previous round: neighbours
    /// get the good and the bad places in turn, and no slot is always last. While the server is
    /// behind, each round begins at the same slot, so that every client waits for one round and
    /// none for two.
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

    /// The instant up to which frames are old, as the hub was last told.
    #[cfg(test)]
    pub(crate) fn aged(&self) -> Option<Instant> {
        self.aged
    }

    /// How long to rest after a round that ends now: half of its duration.
    fn rest(&self, now: Instant) -> Duration {
        let took = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        (took / 2).min(REST_MAX)
    }

    /// Writes to some clients; to fewer if `is_due` says that a timer has come due, which may be
    /// the next tick, or if finding their frames is much work. Returns whether all have had their
    /// turn. Clients to be closed are added to `over`, because none may be removed during the
    /// visit.
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

    /// Frames printed before this instant are old for a client that has not had them. Until they
    /// have been offered to every client, because the process stood still for example, no client
    /// counts as slow.
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
    /// Schedules a broadcast of the printed frames, together with others printed in this turn.
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
        // Requests and the broadcast each have their own share of a turn, so that neither starves
        // the other.
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

/// How many writes one turn of the loop makes: about a millisecond's work.
const WRITES_PER_SLICE: usize = 192;

/// How long a slice may hold the loop when its writes are long.
const SLICE_MAX: Duration = Duration::from_millis(2);

/// How many writes to make between two looks at the clock.
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
    fn rounds_begin_at_different_slots_in_turn() {
        assert_eq!(beginnings(false), [18, 56, 94, 32, 70]);
    }

    #[test]
    fn while_behind_every_round_begins_at_the_same_slot() {
        assert_eq!(beginnings(true), [80; 5]);
    }
}
