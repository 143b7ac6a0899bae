//! Requests on an open-loop schedule: they are sent when they are due, whether or not earlier ones
//! were answered, and a reply's latency counts from the time its request was due. A client that
//! waits for a stalled server and counts from the actual sending would leave the stall out of its
//! figures (coordinated omission). The report shows that uncorrected figure as well.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::client::config::Config;
use crate::client::config::limits::UNANSWERED_MAX;
use crate::client::measure::counters::counters;
use crate::client::measure::latency::Latency;

/// One connection's requests.
#[derive(Debug)]
pub(crate) struct Outstanding {
    /// The id of the first entry of `pending`.
    first_id: u64,
    /// The sent requests in order; `None` for those that were answered.
    pending: VecDeque<Option<SentRequest>>,
    /// Requests whose answers were lost with their connection. They wait for the client to return.
    lost: Vec<SentRequest>,
    /// How many of `pending` are unanswered.
    unanswered: usize,
    /// The next round to send.
    next_round: u64,
    /// The first round that is not due yet.
    due_rounds: u64,
}

#[derive(Clone, Copy, Debug)]
struct SentRequest {
    due: Instant,
    sent: Instant,
    counts: bool,
}

/// What is counted of a reply beside its latency.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) is_error: bool,
    /// It arrived after the window.
    pub(crate) is_late: bool,
}

impl Outstanding {
    /// A connection that starts with `round`. Its ids begin with `first_id`.
    pub(crate) fn new(round: u64, first_id: u64) -> Self {
        Self {
            first_id,
            pending: VecDeque::new(),
            lost: Vec::new(),
            unanswered: 0,
            next_round: round,
            due_rounds: round,
        }
    }

    /// Notes that all rounds up to `round` are due.
    pub(crate) fn is_due(&mut self, round: u64) {
        self.due_rounds = self.due_rounds.max(round + 1);
    }

    /// The round to send now, if one is due and fewer than `limit` are unanswered.
    pub(crate) fn next(&self, limit: usize) -> Option<u64> {
        let is_due = self.next_round < self.due_rounds;
        (is_due && self.unanswered < limit).then_some(self.next_round)
    }

    /// The id of the next request.
    pub(crate) fn next_id(&self) -> u64 {
        self.first_id + self.pending.len() as u64
    }
}

/// The requests of a run and their replies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Plain counts.
    pub counters: RequestCounters,
    /// From the due time of a request to the read of its reply. A request without a reply has
    /// waited until the end.
    pub latency: Latency,
    /// From the actual sending, for requests with a reply.
    pub uncorrected: Latency,
    /// Requests without a reply so far, over all connections.
    #[serde(skip)]
    pub(crate) unanswered: usize,
}

counters! {
    /// The counts of requests.
    pub struct RequestCounters {
        /// Requests that were due in the measured window and were sent.
        sent,
        /// Replies to those.
        replies,
        /// Replies that came after the window.
        late,
        /// Replies that report an error.
        failed,
        /// Requests without a reply.
        missing,
        /// Requests that were due in the window and were not sent.
        unsent,
        /// Replies with an unknown id, or to a request that already had its reply.
        unexpected,
    }
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.latency += other.latency;
        self.uncorrected += other.uncorrected;
    }
}

impl Requests {
    /// Notes that the next request of `outstanding`, which was `due` then, is sent `now`.
    pub(crate) fn sent(
        &mut self,
        outstanding: &mut Outstanding,
        due: Instant,
        now: Instant,
        counts: bool,
    ) {
        outstanding.next_round += 1;
        outstanding.unanswered += 1;
        outstanding.pending.push_back(Some(SentRequest {
            due,
            sent: now,
            counts,
        }));
        self.unanswered += 1;
        self.counters.sent += u64::from(counts);
        if outstanding.pending.len() > UNANSWERED_MAX {
            // The oldest belongs to a lost reply, or the later ones would not be unanswered either.
            let oldest = outstanding.pending.pop_front().flatten();
            outstanding.first_id += 1;
            if let Some(asked) = oldest {
                outstanding.unanswered -= 1;
                self.give_up(asked, now);
            }
        }
    }

    /// Takes a reply that arrived `now`, with the JSON text of its id, or as the next one in order.
    /// Returns false if it answers no request.
    pub(crate) fn reply(
        &mut self,
        outstanding: &mut Outstanding,
        id: Option<&str>,
        now: Instant,
        reply: Reply,
    ) -> bool {
        let index = match id {
            None => Some(0),
            Some(id) => index(id, outstanding.first_id),
        };
        let Some(index) =
            index.filter(|&index| index < outstanding.next_id() - outstanding.first_id)
        else {
            return false;
        };
        // The index is below the length of the list.
        let place = outstanding.pending.get_mut(index as usize);
        let Some(asked) = place.and_then(Option::take) else {
            self.counters.unexpected += 1;
            return true;
        };
        while outstanding.pending.front().is_some_and(Option::is_none) {
            outstanding.pending.pop_front();
            outstanding.first_id += 1;
        }
        outstanding.unanswered -= 1;
        self.unanswered -= 1;
        if asked.counts {
            self.counters.replies += 1;
            self.counters.late += u64::from(reply.is_late);
            self.counters.failed += u64::from(reply.is_error);
            self.latency.record(us(now, asked.due));
            self.uncorrected.record(us(now, asked.sent));
        }
        true
    }

    /// Ends a connection's requests at `now`: unanswered ones stay unanswered, and due ones that
    /// were not sent stay unsent. `due` returns when a round was due, and whether it counts.
    pub(crate) fn end(
        &mut self,
        outstanding: &Outstanding,
        now: Instant,
        due: impl Fn(u64) -> (Instant, bool),
    ) {
        for &asked in outstanding.pending.iter().flatten() {
            self.give_up(asked, now);
        }
        for &asked in &outstanding.lost {
            self.miss(asked, now);
        }
        // There may be any number of them, so they are counted in steps of a thousandth.
        let step = ((outstanding.due_rounds - outstanding.next_round) / 1_000).max(1);
        for round in (outstanding.next_round..outstanding.due_rounds).step_by(step as usize) {
            let (due, counts) = due(round);
            if counts {
                let rounds = step.min(outstanding.due_rounds - round);
                self.counters.unsent += rounds;
                self.latency.record_n(us(now, due), rounds);
            }
        }
    }

    /// Notes that a connection was lost, so that its pending requests stay unanswered.
    pub(crate) fn lose(&mut self, outstanding: &mut Outstanding) {
        self.unanswered -= outstanding.unanswered;
        outstanding.unanswered = 0;
        outstanding.first_id = outstanding.next_id();
        outstanding
            .lost
            .extend(outstanding.pending.drain(..).flatten());
    }

    /// Gives up the replies lost with the previous connection: its client is back and would ask
    /// again.
    pub(crate) fn give_up_lost(&mut self, outstanding: &mut Outstanding, now: Instant) {
        for asked in outstanding.lost.drain(..) {
            self.miss(asked, now);
        }
    }

    fn give_up(&mut self, asked: SentRequest, now: Instant) {
        self.unanswered -= 1;
        self.miss(asked, now);
    }

    fn miss(&mut self, asked: SentRequest, now: Instant) {
        if asked.counts {
            self.counters.missing += 1;
            self.latency.record(us(now, asked.due));
        }
    }
}

/// The index that belongs to the JSON text of an id.
fn index(id: &str, first_id: u64) -> Option<u64> {
    let id: u64 = id.trim_matches('"').parse().ok()?;
    id.checked_sub(first_id)
}

fn us(now: Instant, earlier: Instant) -> u64 {
    let us = now.saturating_duration_since(earlier).as_micros();
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// The ids of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestIds {
    first: u64,
    /// The distance from the first id of a client to that of the next.
    stride: u64,
    clients: u64,
    /// The largest offset that a client has used.
    used: u64,
}

impl RequestIds {
    /// The ids of this process's part of the run. They stay below 2³¹, which every server can
    /// represent, unless there are more requests than that.
    pub(crate) fn new(config: &Config) -> Self {
        let (number, of) = config.share.unwrap_or((0, 1));
        // All processes of one run use the same number, and different runs different ones.
        let run = match config.share {
            Some(_) => std::os::unix::process::parent_id(),
            None => std::process::id(),
        };
        let first = fastrand::Rng::with_seed(run.into()).u64(FIRST_MIN..FIRST_MAX);
        let clients = (config.clients as u64).max(1);
        let requests = config.rate * config.window_limit().as_secs_f64();
        let all = if requests * (clients * of as u64) as f64 > (SMALL - FIRST_MAX) as f64 {
            LARGE
        } else {
            SMALL - FIRST_MAX
        };
        let share = all / of as u64;
        Self {
            first: first + share * number as u64,
            stride: (share / clients).max(1),
            clients,
            used: 0,
        }
    }

    /// The first id of the client `number`.
    pub(crate) fn first_of(&self, number: usize) -> u64 {
        self.first + self.stride * number as u64
    }

    /// Notes that a client has used the id `id`.
    pub(crate) fn note(&mut self, id: u64) {
        let used = id.saturating_sub(self.first) % self.stride + 1;
        self.used = self.used.max(used);
    }

    /// Whether the JSON text of an id is one that may have been used.
    pub(crate) fn contain(&self, id: &str) -> bool {
        let id = id.trim_matches('"').parse::<u64>().ok();
        id.and_then(|id| id.checked_sub(self.first))
            .is_some_and(|at| at / self.stride < self.clients && at % self.stride < self.used)
    }
}

const FIRST_MIN: u64 = 1 << 24;
const FIRST_MAX: u64 = 1 << 25;

/// The range of 32 bits with a sign.
const SMALL: u64 = 1 << 31;

/// JSON numbers are often read as floats, which represent integers up to this one exactly.
const LARGE: u64 = 1 << 52;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::url::Url;

    #[test]
    fn ids_are_unique_to_each_client_and_as_small_as_possible() {
        let ids = |share, rate| {
            RequestIds::new(&Config {
                clients: 5_000,
                share,
                rate,
                ..Config::new(Url::parse("ws://h/").unwrap())
            })
        };
        let (one, other) = (ids(Some((0, 2)), 10.0), ids(Some((1, 2)), 10.0));
        assert!(one.first_of(4_999) + one.stride <= other.first_of(0));
        assert!(one.stride > 620, "{one:?}");
        assert!(other.first_of(4_999) + other.stride <= SMALL);
        assert!(ids(None, 1e6).stride > 62_000_000);
    }

    #[test]
    fn only_ids_that_were_used_are_recognized() {
        let mut ids = RequestIds::new(&Config::new(Url::parse("ws://h/").unwrap()));
        let first = ids.first_of(0);
        assert!(!ids.contain(&first.to_string()));
        ids.note(first + 1);
        assert!(ids.contain(&format!("\"{}\"", first + 1)));
        for other in [first - 1, first + 2, u64::MAX] {
            assert!(!ids.contain(&other.to_string()), "{other}");
        }
        assert!(!ids.contain("null"));
    }
}
