//! Requests on an open-loop schedule: they are sent when they are due, whether earlier ones have
//! been answered or not, and a reply's latency counts from when its request was due. A client that
//! waits for a stalled server, and counts from when it gets to send, would leave the stall out of
//! its figures (coordinated omission); what it would have measured is shown beside it.

use std::collections::VecDeque;
use std::time::Instant;

use hdrhistogram::Histogram;

/// One connection's requests.
#[derive(Debug)]
pub(in crate::client) struct Asking {
    /// The id of the first of `pending`.
    first_id: u64,
    /// Those sent, in their order; none in place of those that have been answered.
    pending: VecDeque<Option<Asked>>,
    /// Those whose answers were lost with their connection. They wait until the client is back.
    lost: Vec<Asked>,
    /// How many of `pending` are unanswered.
    unanswered: usize,
    /// The round that is to be sent next.
    next_round: u64,
    /// The round behind the last that is due.
    due_rounds: u64,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Instant,
    sent: Instant,
    counts: bool,
}

impl Asking {
    /// A connection that joins in with `round`. Its ids begin with `first_id`.
    pub(in crate::client) fn new(round: u64, first_id: u64) -> Self {
        Self {
            first_id,
            pending: VecDeque::new(),
            lost: Vec::new(),
            unanswered: 0,
            next_round: round,
            due_rounds: round,
        }
    }

    /// Notes that everything up to `round` is due.
    pub(in crate::client) fn is_due(&mut self, round: u64) {
        self.due_rounds = self.due_rounds.max(round + 1);
    }

    /// The round to be sent now, if one is due and no more than `limit` are unanswered.
    pub(in crate::client) fn next(&self, limit: usize) -> Option<u64> {
        let is_due = self.next_round < self.due_rounds;
        (is_due && self.unanswered < limit).then_some(self.next_round)
    }

    /// The id of the next request.
    pub(in crate::client) fn next_id(&self) -> u64 {
        self.first_id + self.pending.len() as u64
    }
}

/// What became of all requests.
#[derive(Debug)]
pub(in crate::client) struct Replies {
    /// Requests that were due in the measured window and have been sent.
    pub(in crate::client) sent: u64,
    /// Replies to those.
    pub(in crate::client) replies: u64,
    /// Those of them that came after the window.
    pub(in crate::client) late: u64,
    /// Those of them that say that something went wrong.
    pub(in crate::client) failed: u64,
    /// Requests without a reply.
    pub(in crate::client) missing: u64,
    /// Requests that were due in the window and have not been sent.
    pub(in crate::client) unsent: u64,
    /// Replies with an id that is none, or has had its reply.
    pub(in crate::client) unexpected: u64,
    /// From when a request was due to the read of its reply, in µs. What got no reply has waited
    /// until the end.
    pub(in crate::client) latency_us: Histogram<u64>,
    /// From when it was really sent, of those with a reply.
    pub(in crate::client) uncorrected_us: Histogram<u64>,
    /// Of all connections together.
    pub(in crate::client) unanswered: usize,
}

impl Replies {
    /// Nothing asked yet.
    pub(in crate::client) fn new(histogram: &Histogram<u64>) -> Self {
        Self {
            sent: 0,
            replies: 0,
            late: 0,
            failed: 0,
            missing: 0,
            unsent: 0,
            unexpected: 0,
            latency_us: histogram.clone(),
            uncorrected_us: histogram.clone(),
            unanswered: 0,
        }
    }

    /// Notes that the next request of `asking`, which was `due` then, is sent `now`.
    pub(in crate::client) fn sent(
        &mut self,
        asking: &mut Asking,
        due: Instant,
        now: Instant,
        counts: bool,
    ) {
        asking.next_round += 1;
        asking.unanswered += 1;
        asking.pending.push_back(Some(Asked {
            due,
            sent: now,
            counts,
        }));
        self.unanswered += 1;
        self.sent += u64::from(counts);
        if asking.pending.len() > PENDING_MAX {
            // The oldest is one whose reply was lost, or those behind it were not answered either.
            let oldest = asking.pending.pop_front().flatten();
            asking.first_id += 1;
            if let Some(asked) = oldest {
                asking.unanswered -= 1;
                self.give_up(asked, now);
            }
        }
    }

    /// Takes a reply that came `now` with the JSON text of its id, or as the next in order. Says
    /// no if it is not the reply to a request.
    pub(in crate::client) fn reply(
        &mut self,
        asking: &mut Asking,
        id: Option<&str>,
        now: Instant,
        (is_error, is_late): (bool, bool),
    ) -> bool {
        let index = match id {
            None => Some(0),
            Some(id) => index(id, asking.first_id),
        };
        let Some(index) = index.filter(|&index| index < asking.next_id() - asking.first_id) else {
            return false;
        };
        // It is below the length of a list.
        let place = asking.pending.get_mut(index as usize);
        let Some(asked) = place.and_then(Option::take) else {
            self.unexpected += 1;
            return true;
        };
        while asking.pending.front().is_some_and(Option::is_none) {
            asking.pending.pop_front();
            asking.first_id += 1;
        }
        asking.unanswered -= 1;
        self.unanswered -= 1;
        if asked.counts {
            self.replies += 1;
            self.late += u64::from(is_late);
            self.failed += u64::from(is_error);
            self.latency_us.saturating_record(us(now, asked.due));
            self.uncorrected_us.saturating_record(us(now, asked.sent));
        }
        true
    }

    /// Ends a connection's requests at `now`: what is unanswered stays so, and what was due by
    /// then and not sent stays unsent. `due` says when a round was, and whether it counts.
    pub(in crate::client) fn end(
        &mut self,
        asking: &Asking,
        now: Instant,
        due: impl Fn(u64) -> (Instant, bool),
    ) {
        for &asked in asking.pending.iter().flatten() {
            self.give_up(asked, now);
        }
        for &asked in &asking.lost {
            self.miss(asked, now);
        }
        // Nobody knows how many those are, so they are counted in steps of a thousandth.
        let step = ((asking.due_rounds - asking.next_round) / 1_000).max(1);
        for round in (asking.next_round..asking.due_rounds).step_by(step as usize) {
            let (due, counts) = due(round);
            if counts {
                let rounds = step.min(asking.due_rounds - round);
                self.unsent += rounds;
                let us = us(now, due).min(self.latency_us.high());
                // It only fails for values out of bounds.
                let _ = self.latency_us.record_n(us, rounds);
            }
        }
    }

    /// Notes that a connection was lost: what is unanswered stays so.
    pub(in crate::client) fn lose(&mut self, asking: &mut Asking) {
        self.unanswered -= asking.unanswered;
        asking.unanswered = 0;
        asking.first_id = asking.next_id();
        asking.lost.extend(asking.pending.drain(..).flatten());
    }

    /// Gives up what was lost with the connection before: its client is back, and would ask again.
    pub(in crate::client) fn give_up_lost(&mut self, asking: &mut Asking, now: Instant) {
        for asked in asking.lost.drain(..) {
            self.miss(asked, now);
        }
    }

    fn give_up(&mut self, asked: Asked, now: Instant) {
        self.unanswered -= 1;
        self.miss(asked, now);
    }

    fn miss(&mut self, asked: Asked, now: Instant) {
        if asked.counts {
            self.missing += 1;
            self.latency_us.saturating_record(us(now, asked.due));
        }
    }
}

/// The index that the JSON text of an id stands for.
fn index(id: &str, first_id: u64) -> Option<u64> {
    let id: u64 = id.trim_matches('"').parse().ok()?;
    id.checked_sub(first_id)
}

fn us(now: Instant, earlier: Instant) -> u64 {
    let us = now.saturating_duration_since(earlier).as_micros();
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// What is remembered of one connection's requests: beyond that the oldest has no reply.
const PENDING_MAX: usize = 4096;

/// The most that may be unanswered per connection.
pub(in crate::client) const UNANSWERED_MAX: usize = PENDING_MAX;

#[cfg(test)]
mod tests;
