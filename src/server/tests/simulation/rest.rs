//! Checks of a world that has come to rest: no client was forgotten, and the counters agree with
//! the model.

use std::collections::BTreeSet;

use crate::server::close;
use crate::server::tests::simulation::client::{Client, Kind};
use crate::server::tests::simulation::net::Id;
use crate::server::tests::simulation::world::World;

impl World {
    /// Whether no work is left for now.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.net.is_restless()
            && !self.io_loop.has_callbacks()
            && !self.server.broadcast.is_running()
    }

    /// Checks at rest that no client was forgotten.
    pub(super) fn check_quiet(&mut self) {
        self.check_timers();
        let ids: Vec<_> = self.judge.clients.keys().copied().collect();
        ids.iter().for_each(|&id| self.check_tls(id));
        ids.into_iter().for_each(|id| self.check_client(id));
    }

    /// Checks that everything due by now has happened.
    fn check_timers(&self) {
        let (judge, config) = (&self.judge, &self.judge.config);
        if judge.model.closed.is_none() {
            let silence = judge.model.longest_silence(judge.now);
            let look = (judge.model.stale_after / 8).clamp(10_000, 250_000);
            assert!(
                silence <= judge.model.stale_after + look + SLACK,
                "silence goes unnoticed"
            );
        }
        for (every, (_, newest)) in &judge.periods {
            let since = judge.now - newest;
            let limit = every.as_micros() as u64 + SLACK;
            assert!(since <= limit, "{every:?}: no beat for {since} µs");
        }
        let is_over = judge.shutting_down && self.server.connections.len() == 0;
        assert!(
            !is_over || !self.io_loop.is_running(),
            "nobody is left, and it goes on"
        );
        let since = judge.now - judge.limits.last_heartbeat();
        let interval = config.ping_interval.as_micros() as u64;
        assert!(since <= interval + SLACK, "no heartbeat for {since} µs");
        let limit = config.handshake_timeout.as_micros() as u64 + SLACK;
        for (id, client) in &judge.clients {
            let waits = client.served && !client.let_in && client.closed.is_none();
            let is_told = client
                .goodbye_due
                .is_none_or(|due| judge.now <= due + SLACK);
            let is_told = is_told || client.place.is_none() || judge.model.closed.is_some();
            assert!(is_told, "{id}: not told goodbye");
            assert!(
                !waits || judge.now <= client.began + limit,
                "{id}: no request, no limit"
            );
        }
    }

    /// Checks that TLS has given a client everything that the server gave to TLS.
    fn check_tls(&mut self, id: Id) {
        let client = self.judge.clients.get_mut(&id).expect("it is kept");
        let blocked = self
            .net
            .pipe(id, |pipe| pipe.blocked || pipe.ended.is_some());
        if client.kind == Kind::Eager && client.tls.is_some() && blocked == Some(false) {
            client.take(&self.net.take(id, usize::MAX));
            let has_all = client.tls.as_ref().is_some_and(|tls| tls.has_all());
            assert!(has_all, "{id}: TLS has kept text back");
        }
    }

    fn check_client(&mut self, id: Id) {
        let look = |pipe: &mut crate::server::tests::simulation::net::Pipe| {
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
        let stuck = connection.outbox().stuck_since();
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
            !connection.outbox().has_pending(),
            "{id}: a rest is forgotten"
        );
        assert_eq!(unread, 0, "{id}: what it said is not read");
        assert_eq!(ended, None, "{id}: its end goes unnoticed");
        assert_eq!(stuck, None, "{id}: is called stuck");
        let is_finished = self.net.pipe(id, |pipe| pipe.is_finished());
        let has_end = client.closed.is_none() || is_finished == Some(true);
        assert!(has_end, "{id}: closed without an end of the stream");
        let subscriber = connection.subscriber();
        let stands = subscriber.map(|subscriber| subscriber.standing(&self.server.hub));
        let has_caught_up =
            stands.is_none_or(|standing| !standing.is_resuming || standing.beat.is_some());
        assert!(has_caught_up, "{id}: still counts as away");
        if let Some(place) = &client.place {
            let model = &self.judge.model;
            assert!(place.is_satisfied(false, model), "{id}: it was forgotten");
            assert!(
                place.fresh.is_empty(),
                "{id}: its patterns were not applied"
            );
            let is_early = place
                .waits_until
                .is_some_and(|until| self.judge.now <= until + SLACK);
            // It may wait until the limit, or until there are frames for it.
            let may_wait = is_early && model.closed.is_none();
            assert!(
                place.awaited.is_none() || may_wait,
                "{id}: it waits for ever"
            );
            check_answered(client, id);
            if client.sin.is_none() {
                assert_eq!(
                    client.messages_read, client.messages_arrived,
                    "{id}: messages"
                );
            }
        }
    }

    /// Checks that the counters agree with the model.
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
        assert_eq!(counters.ticks, model.ticks, "ticks");
        assert_eq!(counters.messages, judge.messages, "messages");
        assert_eq!(self.server.hub.last_stamp(), model.last_stamp, "stamps");
    }

    /// Checks that the index and the model agree on the watchers of each symbol.
    pub(super) fn check_index(&mut self) {
        let connections = self.server.connections.iter_mut();
        let subscribers: Vec<_> = connections
            .filter_map(|connection| connection.subscriber())
            .collect();
        let read: BTreeSet<_> = subscribers
            .iter()
            .map(|subscriber| subscriber.reading().list)
            .collect();
        let kept = subscribers
            .iter()
            .flat_map(|subscriber| subscriber.lists_of_debt());
        let kept = kept.filter(|list| !read.contains(list));
        let only_kept = kept.collect::<BTreeSet<_>>().len();
        let (hub, model) = (&self.server.hub, &self.judge.model);
        let places = self.judge.clients.values();
        let places: Vec<_> = places.filter_map(|client| client.place.as_ref()).collect();
        let lists: BTreeSet<_> = places.iter().map(|place| &place.list).collect();
        let listed = model.symbols.iter().filter(|symbol| symbol.listed);
        assert_eq!(
            hub.counts(),
            (listed.count(), lists.len() + only_kept),
            "symbols, lists"
        );
        for (index, symbol) in model.symbols.iter().enumerate() {
            let at_once = places.iter().filter(|place| place.pace.is_none());
            let watching = at_once.filter(|place| place.list.symbols.contains(&index));
            let count = hub.watcher_count(&symbol.name);
            assert_eq!(count, watching.count(), "watchers of {}", symbol.name);
        }
    }

    /// Checks that the server keeps no trace of any client.
    pub(super) fn check_empty(&self) {
        let hub = &self.server.hub;
        // The list of everything is always there.
        assert_eq!(
            hub.leftovers(),
            [1, 0, 0, 0],
            "lists, periods, readers, news"
        );
    }
}

/// Checks that a client that has said everything has had all answers.
fn check_answered(client: &Client, id: Id) {
    if client.kind == Kind::Eager && !client.has_unsaid() && client.sin.is_none() {
        let left = &client.expects;
        assert!(left.is_empty(), "{id}: {left:?} are not answered");
    }
}

/// The index of this reason among the names.
const HANDSHAKE_TIMEOUT: usize = 2;

/// How long a turn may take, µs.
const SLACK: u64 = 5_000;
