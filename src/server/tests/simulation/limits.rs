//! The limits that only time shows, as they come due: when they did, and whether a client that is
//! closed for one of them was late.
//!
//! The server looks after all events that were ready then. So what was there in time counts, however
//! long it takes until it is read.

use crate::server::tests::simulation::client::Client;
use crate::server::{CLOSES_PER_TURN, Config};

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
    /// When the timeouts of each turn had run.
    polls: Vec<u64>,
    /// When the newest heartbeat was printed.
    last_heartbeat: u64,
    /// Heartbeats that are to be answered, and by when.
    heartbeats: Vec<(u32, u64)>,
    /// Looks for clients that are overdue, which may not have come to their end.
    looks: Vec<Look>,
}

#[derive(Debug)]
struct Look {
    /// The heartbeat that was to be answered; zero if it was about something else.
    heartbeat: u32,
    due: u64,
    /// It came due while its turn was under way, and may have to wait for the next.
    is_early: bool,
    /// How many polls it may still wait for one that leaves no events.
    polls: usize,
    /// Turns that closing may still take, once it has begun.
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

    /// A turn begins, with so many connections.
    pub(super) fn on_turn(&mut self, now: u64, connections: usize) {
        (self.began, self.connections) = (now, connections);
    }

    /// The timeouts of a turn have run, and so many connections are left.
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
                turns: connections / CLOSES_PER_TURN + 1,
            });
        };
        let looked = now / self.look_interval;
        if looked > last / self.look_interval {
            begin(0, looked * self.look_interval);
        }
        let due = self.heartbeats.extract_if(.., |(_, limit)| *limit <= now);
        due.for_each(|(heartbeat, limit)| begin(heartbeat, limit));
    }

    /// The poll of a turn has brought so many events.
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

    /// Whether a heartbeat is due that a client had not answered by then.
    pub(super) fn is_pong_late(&self, client: &Client) -> bool {
        let pinged = client.pinged;
        let mut looks = self.looks.iter().filter(|look| look.heartbeat > 0);
        looks.any(|look| {
            // One that it was never sent nobody can ask of it.
            if look.heartbeat > pinged {
                return false;
            }
            let has_ponged = client.ponged >= look.heartbeat && !client.has_unsaid();
            let in_time = has_ponged && client.arrived < look.due;
            !in_time || !client.pending.is_empty()
        })
    }

    /// Whether the server looks for those who take nothing.
    pub(super) fn is_looking(&self) -> bool {
        !self.looks.is_empty()
    }

    /// Whether a socket had room only after the limit.
    pub(super) fn is_freed_late(&self, freed: Option<u64>) -> bool {
        freed.is_some_and(|freed| self.looks.iter().any(|look| freed >= look.due))
    }

    /// Whether a request had not come by its limit.
    pub(super) fn is_request_late(&self, client: &Client) -> bool {
        let limit = client.began + self.handshake_limit;
        let turn = self.polls.partition_point(|&poll| poll < limit);
        let due = self.polls.get(turn).copied().unwrap_or(u64::MAX);
        client.asked.is_none_or(|asked| asked >= due)
    }

    /// When the server next looks for those who take nothing, at the latest.
    pub(super) fn look_interval(&self) -> u64 {
        self.look_interval
    }
}
