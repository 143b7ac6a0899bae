//! Which server to try next, and how long to wait before.
//!
//! The servers of the URL stay in the list for ever; those that a server tells of come and go with
//! what it tells. Whoever loses a server goes on to the next at once. Only when all have been tried
//! in vain, there is a pause before the next round, which grows.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::address::ServerAddress;
use super::url::NatsUrl;
use crate::backoff::Backoff;

/// The servers of one log.
#[derive(Debug)]
pub(crate) struct Servers {
    configured: Vec<ServerAddress>,
    heard_of: Vec<ServerAddress>,
    last: Option<ServerAddress>,
    /// How many were tried in this round.
    tried: usize,
    /// Since when there is a connection to the last one.
    connected_at: Option<Instant>,
    backoff: Backoff,
}

impl Servers {
    /// The servers of a URL, in an order of our own: or all would begin with the first.
    pub(crate) fn new(url: &NatsUrl, mut rng: Rng) -> Self {
        let mut configured = url.servers.clone();
        rng.shuffle(&mut configured);
        Self {
            configured,
            heard_of: Vec::new(),
            last: None,
            tried: 0,
            connected_at: None,
            backoff: Backoff::new(rng),
        }
    }

    /// Replaces the servers that were heard of.
    pub(crate) fn set_heard_of(&mut self, heard_of: Vec<ServerAddress>) {
        self.heard_of.clear();
        for server in heard_of {
            if !self.all().any(|known| known.is_same_place(&server)) {
                self.heard_of.push(server);
            }
        }
    }

    /// The server whose turn it is, and the pause before it.
    pub(crate) fn next(&mut self, now: Instant) -> (ServerAddress, Duration) {
        self.judge_connection(now);
        let count = self.all().count();
        let pause = if self.tried < count {
            Duration::ZERO
        } else {
            self.tried = 0;
            self.backoff.failed(PAUSE_FIRST, PAUSE_LONGEST)
        };
        self.tried += 1;
        let server = self.after_last();
        self.last = Some(server.clone());
        (server, pause)
    }

    /// Notes that there is a connection to the last one.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// Whether a connection that has just ended was good. One that hardly lasted counts as a
    /// failure, or a server that accepts us only to drop us would be asked without a pause.
    fn judge_connection(&mut self, now: Instant) {
        let Some(since) = self.connected_at.take() else {
            return;
        };
        if now.saturating_duration_since(since) >= GOOD_AFTER {
            self.tried = 0;
            self.backoff.succeeded();
        }
    }

    fn after_last(&self) -> ServerAddress {
        let is_last = |server: &&ServerAddress| {
            let last = self.last.as_ref();
            last.is_some_and(|last| last.is_same_place(server))
        };
        let mut rest = self.all().skip_while(|server| !is_last(server)).skip(1);
        let first = self.all().next();
        let next = rest.next().or(first);
        // A URL has at least one server.
        next.or(self.last.as_ref()).cloned().expect("a server")
    }

    fn all(&self) -> impl Iterator<Item = &ServerAddress> {
        self.configured.iter().chain(&self.heard_of)
    }
}

/// The pause after the first round in vain.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause between two rounds. A server that is back is found within it.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// How long a connection has to last to count as a success.
const GOOD_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Servers {
        Servers::new(&url.parse().unwrap(), Rng::with_seed(1))
    }

    fn address(text: &str) -> ServerAddress {
        text.parse().unwrap()
    }

    /// The ports of the next servers and the pauses before them.
    fn next(servers: &mut Servers, now: Instant, count: usize) -> Vec<(u16, Duration)> {
        let next = std::iter::repeat_with(|| servers.next(now));
        next.take(count)
            .map(|(server, pause)| (server.port, pause))
            .collect()
    }

    #[test]
    fn all_are_tried_at_once_and_then_with_pauses_that_grow() {
        let mut servers = servers("nats://a:1,a:2,a:3");
        let now = Instant::now();
        let mut longest = 50;
        let first = next(&mut servers, now, 3);
        let mut ports: Vec<_> = first.iter().map(|(port, _)| *port).collect();
        assert!(first.iter().all(|(_, pause)| pause.is_zero()));
        for _ in 0..8 {
            let round = next(&mut servers, now, 3);
            let again: Vec<_> = round.iter().map(|(port, _)| *port).collect();
            assert_eq!(again, ports, "the order stays");
            let limit = Duration::from_millis(longest);
            assert!((limit / 2..=limit).contains(&round[0].1), "{round:?}");
            assert!(round[1].1.is_zero() && round[2].1.is_zero());
            longest = (2 * longest).min(1000);
        }
        ports.sort_unstable();
        assert_eq!(ports, [1, 2, 3]);
    }

    #[test]
    fn not_everybody_begins_with_the_same_server() {
        let url = "nats://a:1,a:2,a:3".parse().unwrap();
        let firsts = (0..50).map(|seed| {
            let mut servers = Servers::new(&url, Rng::with_seed(seed));
            servers.next(Instant::now()).0.port
        });
        let firsts: std::collections::BTreeSet<_> = firsts.collect();
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn after_a_good_connection_the_next_server_is_tried_at_once() {
        let mut servers = servers("nats://a:1,a:2");
        let mut now = Instant::now();
        let tried = next(&mut servers, now, 9);
        servers.connected(now);
        now += GOOD_AFTER;
        let (server, pause) = servers.next(now);
        assert_ne!(server.port, tried[8].0, "the one that was lost");
        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn connections_that_hardly_last_are_failures() {
        let mut servers = servers("nats://a:1");
        let now = Instant::now();
        assert!(servers.next(now).1.is_zero());
        for _ in 0..10 {
            servers.connected(now);
            assert!(!servers.next(now + GOOD_AFTER / 2).1.is_zero());
        }
    }

    #[test]
    fn servers_that_were_heard_of_come_and_go() {
        let mut servers = servers("nats://a:1");
        let now = Instant::now();
        let heard_of = |ports: &[u16]| {
            ports
                .iter()
                .map(|port| address(&format!("A:{port}")))
                .collect()
        };
        servers.set_heard_of(heard_of(&[1, 2, 3, 3]));
        let ports: Vec<_> = next(&mut servers, now, 4)
            .iter()
            .map(|next| next.0)
            .collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        servers.set_heard_of(heard_of(&[4]));
        let ports: Vec<_> = next(&mut servers, now, 3)
            .iter()
            .map(|next| next.0)
            .collect();
        assert_eq!(ports, [4, 1, 4]);
        servers.set_heard_of(Vec::new());
        assert_eq!(next(&mut servers, now, 1)[0].0, 1);
    }
}
