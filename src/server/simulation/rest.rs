//! The looks at a world that has come to rest: whether anybody was forgotten, and whether the
//! counters say what the model says.

use super::client::{Client, Kind};
use super::net::Id;
use super::world::World;
use crate::server::close;

impl World {
    /// Whether nothing is left to be done now.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.net.is_restless() && !self.io_loop.has_callbacks() && !self.server.sweep.is_running()
    }

    /// Whether, when nothing is left to be done, nobody was forgotten.
    pub(super) fn check_quiet(&mut self) {
        self.check_timers();
        let ids: Vec<_> = self.judge.clients.keys().copied().collect();
        ids.into_iter().for_each(|id| self.check_client(id));
    }

    /// What happens by itself has happened up to now.
    fn check_timers(&self) {
        let (judge, config) = (&self.judge, &self.judge.config);
        if judge.model.goodbye.is_none() {
            let silence = judge.model.longest_silence(judge.now);
            let look = (judge.model.stale_after / 8).clamp(10_000, 250_000);
            assert!(
                silence <= judge.model.stale_after + look + SLACK,
                "silence goes unnoticed"
            );
        }
        let since = judge.now - judge.limits.last_heartbeat();
        let interval = config.ping_interval.as_micros() as u64;
        assert!(since <= interval + SLACK, "no heartbeat for {since} µs");
        let limit = config.handshake_timeout.as_micros() as u64 + SLACK;
        for (id, client) in &judge.clients {
            let waits = client.served && !client.let_in && client.closed.is_none();
            let is_told = client
                .goodbye_due
                .is_none_or(|due| judge.now <= due + SLACK);
            let is_told = is_told || client.place.is_none() || judge.model.goodbye.is_some();
            assert!(is_told, "{id}: not told goodbye");
            assert!(
                !waits || judge.now <= client.began + limit,
                "{id}: no request, no limit"
            );
        }
    }

    fn check_client(&mut self, id: Id) {
        let look = |pipe: &mut super::net::Pipe| {
            (pipe.token, pipe.blocked, pipe.ended, pipe.inbound.len())
        };
        let Some((Some(token), blocked, ended, unread)) = self.net.pipe(id, look) else {
            return;
        };
        let connection = self
            .server
            .connections
            .get_mut(token)
            .expect("it is registered");
        let client = &self.judge.clients[&id];
        let stuck = connection.wire().stuck_since();
        if blocked {
            let look = self.judge.limits.look_interval() + SLACK;
            let limit = self.judge.config.slow_timeout.as_micros() as u64 + look;
            let since = stuck.map_or(self.judge.now, |stuck| u64::from(stuck) * 1000);
            let is_early = self.judge.now - since <= limit;
            assert!(
                is_early || client.place.is_none(),
                "{id}: takes nothing, and stays"
            );
            return;
        }
        assert!(
            !connection.wire().has_pending(),
            "{id}: a rest is forgotten"
        );
        assert_eq!(unread, 0, "{id}: what it said is not read");
        assert_eq!(ended, None, "{id}: its end goes unnoticed");
        assert_eq!(stuck, None, "{id}: is called stuck");
        if let Some(place) = &client.place {
            let head = self.judge.model.head(place);
            assert_eq!(place.position, head, "{id}: it is forgotten");
            check_answered(client, id);
            if client.sin.is_none() {
                assert_eq!(client.heard, client.told, "{id}: messages");
            }
        }
    }

    /// Whether the counters say what the model says.
    pub(super) fn check_counters(&self) {
        let (counters, judge) = (&self.server.counters, &self.judge);
        let model = &judge.model;
        let inside = judge
            .clients
            .values()
            .filter(|client| client.place.is_some());
        assert_eq!(counters.clients, inside.count() as u64, "clients");
        assert_eq!(counters.accepted, judge.accepted, "accepted");
        assert_eq!(counters.opened, judge.opened, "opened");
        assert_eq!(counters.closed, judge.closed, "closed, by reason");
        let refused: u64 = counters.refused.iter().sum();
        let late = judge.closed[HANDSHAKE_TIMEOUT];
        assert_eq!(refused, judge.closed[close::REFUSED] + late, "refused");
        let gone: u64 = judge.closed.iter().sum();
        let there = counters.clients + counters.handshaking;
        assert_eq!(counters.accepted, there + gone, "all that were accepted");
        assert_eq!(counters.conflated, model.conflated, "conflated");
        assert_eq!(counters.skipped_bytes, model.skipped, "skipped bytes");
        assert_eq!(counters.bytes, model.bytes, "bytes");
        assert_eq!(counters.writes, model.writes, "writes");
        assert_eq!(counters.ticks, model.ticks, "ticks");
        assert_eq!(counters.messages, judge.messages, "messages");
        assert_eq!(self.server.board.last_stamp(), model.last_stamp, "stamps");
    }

    /// Whether each tape has as many readers as the model knows.
    pub(super) fn check_readers(&self) {
        let (readers, model) = (self.server.board.readers(), &self.judge.model);
        assert_eq!(readers.len(), model.channels.len(), "tapes");
        assert!(
            readers.len() <= self.judge.config.tapes_max(),
            "too many tapes"
        );
        for (names, count) in readers {
            let symbols = model.symbols.iter().enumerate();
            let of_set = symbols.filter(|(_, symbol)| names.contains(&&*symbol.name));
            let set = of_set.fold(0, |set, (index, _)| set | 1 << index);
            assert_eq!(count, model.channels[&set].readers, "readers of {names:?}");
        }
    }
}

/// Who has said all it wanted has had all answers.
fn check_answered(client: &Client, id: Id) {
    if client.kind == Kind::Eager && client.outgoing.is_empty() && client.sin.is_none() {
        let left = &client.expects;
        assert!(left.is_empty(), "{id}: {left:?} are not answered");
    }
}

/// The place of the reason among the names.
const HANDSHAKE_TIMEOUT: usize = 2;

/// What a turn may take, µs.
const SLACK: u64 = 5_000;
