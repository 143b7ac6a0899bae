//! The limits that depend on time, as they come due: when they did, and whether a client that is
//! closed for one of them was really late.
//!
//! The server checks after all events that were ready at that time. So whatever arrived in time
//! counts, however long the server takes to read it.

use crate::server::Config;
use crate::server::tests::simulation::client::Client;

/// Times are µs since the start.
#[derive(Debug)]
pub(super) struct Limits {
    look_interval: u64,
    pong_limit: u64,
    handshake_limit: u64,
    events_per_turn: usize,
    /// When the present turn began, and how many connections there were.
    began: u64,
    connections: usize,
    /// When each turn had run its timeouts.
    polls: Vec<u64>,
    /// When the newest heartbeat was printed.
    last_heartbeat: u64,
    /// Heartbeats that clients must answer, each with its limit.
    heartbeats: Vec<(u32, u64)>,
    /// Checks for overdue clients that may not have ended.
    looks: Vec<Look>,
}

#[derive(Debug)]
struct Look {
    /// The heartbeat that had to be answered; zero if the check is about another limit.
    heartbeat: u32,
    due: u64,
    /// Whether it came due while its turn was under way, so that it may have to wait for the next.
    is_early: bool,
    /// How many polls it may still wait for a poll without events.
    polls: usize,
    /// How many turns it may still take to close clients, once it has begun.
    turns: usize,
}

impl Look {
    /// Whether it goes on after the callbacks of a turn.
    fn goes_on(&mut self) -> bool {
        if self.polls == 0 {
            self.turns -= 1;
        }
        self.turns > 0
    }
}

impl Limits {
    pub(super) fn new(config: &Config, events_per_turn: usize) -> Self {
        let look_interval = (config.slow_timeout.as_micros() as u64 / 8).clamp(10_000, 1_000_000);
        let pong_limit = config.ping_timeout.min(config.ping_interval);
        Self {
            look_interval,
            pong_limit: pong_limit.as_micros() as u64,
            handshake_limit: config.handshake_timeout.as_micros() as u64,
            events_per_turn,
            began: 0,
            connections: 0,
            polls: Vec::new(),
            last_heartbeat: 0,
            heartbeats: Vec::new(),
            looks: Vec::new(),
        }
    }

    pub(super) fn on_heartbeat(&mut self, number: u32, now: u64) {
        self.last_heartbeat = now;
        self.heartbeats.push((number, now + self.pong_limit));
    }

    /// When the newest heartbeat was printed; zero before the first.
    pub(super) fn last_heartbeat(&self) -> u64 {
        self.last_heartbeat
    }

    /// Begins a turn with this many connections.
    pub(super) fn on_turn(&mut self, now: u64, connections: usize) {
        (self.began, self.connections) = (now, connections);
    }

    /// Notes that a turn has run its timeouts, and how many connections are left.
    pub(super) fn on_timeouts(&mut self, now: u64, connections: usize) {
        // Some may have been closed since a timeout counted them.
        let connections = connections.max(self.connections);
        let last = self.polls.last().copied().unwrap_or(0);
        self.polls.push(now);
        self.looks.retain_mut(Look::goes_on);
        let mut begin = |heartbeat, limit| {
            self.looks.push(Look {
                heartbeat,
                due: now,
                is_early: limit > self.began,
                // The listener counts too.
                polls: (connections + 1) / self.events_per_turn + 2,
                // A turn that has worked enough closes a single one.
                turns: connections + 1,
            });
        };
        let looked = now / self.look_interval;
        if looked > last / self.look_interval {
            begin(0, looked * self.look_interval);
        }
        let due = self.heartbeats.extract_if(.., |(_, limit)| *limit <= now);
        due.for_each(|(heartbeat, limit)| begin(heartbeat, limit));
    }

    /// Notes how many events the poll of a turn has fetched.
    pub(super) fn on_events(&mut self, events: usize) {
        for look in &mut self.looks {
            if std::mem::take(&mut look.is_early) {
                continue;
            }
            look.polls = match look.polls.checked_sub(1) {
                Some(polls) if events >= self.events_per_turn => polls,
                _ => 0,
            };
        }
    }

    /// Whether a heartbeat is due that a client had not answered by its limit.
    pub(super) fn is_pong_late(&self, client: &Client) -> bool {
        let pinged = client.pinged;
        let mut looks = self.looks.iter().filter(|look| look.heartbeat > 0);
        looks.any(|look| {
            // A client need not answer a heartbeat that it was not sent.
            if look.heartbeat > pinged {
                return false;
            }
            let has_ponged = client.ponged >= look.heartbeat && !client.has_unsaid();
            let in_time = has_ponged && client.arrived < look.due;
            !in_time || !client.pending.is_empty()
        })
    }

    /// Whether the server is checking for clients that take no bytes.
    pub(super) fn is_looking(&self) -> bool {
        !self.looks.is_empty()
    }

    /// Whether a socket had room only after the limit.
    pub(super) fn is_freed_late(&self, freed: Option<u64>) -> bool {
        freed.is_some_and(|freed| self.looks.iter().any(|look| freed >= look.due))
    }

    /// Whether a request had not arrived by its limit.
    pub(super) fn is_request_late(&self, client: &Client) -> bool {
        let limit = client.began + self.handshake_limit;
        let turn = self.polls.partition_point(|&poll| poll < limit);
        let due = self.polls.get(turn).copied().unwrap_or(u64::MAX);
        client.asked.is_none_or(|asked| asked >= due)
    }

    /// The longest time until the server's next check for clients that take no bytes.
    pub(super) fn look_interval(&self) -> u64 {
        self.look_interval
    }
}
