//! The judge: after each step of the server it checks what was printed, what the server decided to
//! send and which clients it closed; it tells the model, and lets the observer read every byte.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use ioloop::{ManualClock, Ready, slot};
use mio::Token;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::frame;
use crate::server::Config;
use crate::server::close::{self, CloseReason};
use crate::server::hub::{Hub, Symbols};
use crate::server::subscriber::{Standing, Subscriber};
use crate::server::tests::simulation::client::Client;
use crate::server::tests::simulation::limits::Limits;
use crate::server::tests::simulation::model::{Model, Sent};
use crate::server::tests::simulation::net::{Accepted, Closed, End, Id, Net, Pipe};
use crate::server::tests::simulation::observer::Step;
use crate::server::tests::simulation::place::Place;
use crate::server::tests::simulation::setting::{STALE_AFTER, Setting, SimServer};
use crate::server::tls::NO_ROOM;

thread_local! {
    /// The wall clock of the simulation that runs on this thread, Unix µs.
    static WALL: Cell<u64> = const { Cell::new(0) };
}

/// Everything known of a run from outside the server.
pub(super) struct Judge {
    pub(super) net: Net,
    clock: ManualClock,
    start: Instant,
    /// When the current step began, µs since the start: whatever the step did, it did by then.
    pub(super) now: u64,
    pub(super) config: Config,
    pub(super) clients: BTreeMap<Id, Client>,
    pub(super) model: Model,
    pub(super) limits: Limits,
    pub(super) shutting_down: bool,
    heartbeat: u32,
    /// At the last check, frames printed up to this instant were too old to be sent.
    aged: Option<Instant>,
    /// Clients to check after each step, even if they were sent no frames.
    special: BTreeSet<Id>,
    /// Whether this step sent frames that no client sees.
    has_unseen: bool,
    /// For each period with a timer: when it began, and when it last beat, µs.
    pub(super) periods: BTreeMap<Duration, (u64, u64)>,
    /// Clients let in and connections closed by reason, as counted here.
    pub(super) opened: u64,
    pub(super) closed: [u64; close::NAMES.len()],
    pub(super) accepted: u64,
    /// Messages that the server has read, as counted client by client.
    pub(super) messages: u64,
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) hash: DefaultHasher,
    pub(super) bytes: u64,
    pub(super) trace: bool,
    /// Whether the server reads any request in one go.
    reads_whole: bool,
}

/// What one check finds out about a connection.
struct Found {
    closed: Option<Closed>,
    ended: Option<End>,
    dropped: bool,
    /// How many bytes the server has written in all.
    total: u64,
    accepted: Option<Accepted>,
    is_served: bool,
    /// Until when the server was busy with it, if that was in this step.
    now: u64,
    /// Whether the socket takes no bytes.
    blocked: bool,
    /// The time from which it may have missed printed frames: it was refused room then, or is now.
    hindered: Option<u64>,
}

/// A client in one step: what the step did, and where its connection says it stands.
struct Sight<'a> {
    id: Id,
    /// Whether it has sent something in this step.
    has_spoken: bool,
    step: &'a Step,
    stands: Option<&'a Standing>,
    found: &'a Found,
}

impl Place {
    /// Whether its state depends on more than the bytes sent to it.
    fn is_special(&self) -> bool {
        let is_plain = !self.resuming && self.pace.is_none() && self.awaited.is_none();
        !is_plain || !self.fresh.is_empty() || self.owes
    }

    /// Frames printed up to this time may be skipped, however late.
    pub(super) fn excuse(&self, step: &Step) -> Option<u64> {
        step.hindered.max(self.cut).max(self.changed)
    }

    /// Whether it watched every symbol at the last check, and watches added ones.
    fn has_everything(&self, model: &Model) -> bool {
        let mut all = 0..model.symbols.len();
        let is_known = |index| self.list.symbols.contains(&index) || self.fresh.contains(&index);
        self.list.rules == [("*".to_owned(), true)] && all.all(is_known)
    }

    /// Follows what the server did to it at a time of the server's choice, before sending it any
    /// frame in this step.
    fn catch_up(
        &mut self,
        has_spoken: bool,
        now: u64,
        stands: &Standing,
        model: &Model,
        hub: &Hub,
    ) {
        if self.awaited.is_some() && stands.awaited.is_none() {
            self.end_wait(now, model);
        }
        if !self.takes_later {
            self.take_fresh(has_spoken, now, stands, model, hub);
        }
    }

    /// Follows the server when it adds symbols to the list.
    fn take_fresh(
        &mut self,
        has_spoken: bool,
        now: u64,
        stands: &Standing,
        model: &Model,
        hub: &Hub,
    ) {
        let fresh = self.fresh.iter().copied();
        let taken =
            fresh.filter(|&symbol| hub.is_listed_in(&model.symbols[symbol].name, stands.list));
        let taken: Vec<_> = taken.collect();
        // The list of a client that has spoken may have changed because of that.
        let is_everything = matches!(hub.symbols(stands.list), Symbols::Everything);
        if is_everything && (!has_spoken || self.has_everything(model)) {
            // It has them without a change.
            self.list.symbols.extend(taken.iter().copied());
            self.fresh.clear();
        } else if !taken.is_empty() && !has_spoken {
            let mut list = self.list.clone();
            list.symbols.extend(taken);
            let way = (self.pace.map(|pace| pace.every), self.batches);
            self.change(list, way, stands.position, model);
            self.changed = Some(now);
        }
    }

    /// Notes the skips and changes that the server made in a step.
    pub(super) fn note(&mut self, step: &Step) {
        self.skips.extend(&step.skips);
        self.changes.extend(&step.changes);
    }

    /// Follows skips of the server for which it sent no frame in the rest of a step. Returns
    /// whether there was such a skip.
    fn follow_skips(&mut self, owes: bool, step: &Step, model: &mut Model) -> bool {
        let first = self.skip_silently(u64::MAX, owes, model);
        if let Some(first) = first {
            self.count_skip(first, self.excuse(step), model);
        }
        first.is_some()
    }

    /// Checks that the server knows where the client stands, after what it was sent in this step.
    fn check(&mut self, id: Id, stands: &Standing, step: &Step, model: &mut Model) {
        assert_eq!(stands.awaited, self.awaited, "{id}: waits");
        assert_eq!(
            stands.beat.is_some(),
            self.pace.is_some(),
            "{id}: at its own rate"
        );
        if self.awaited.is_some() {
            return;
        }
        let is_forgotten = self.is_owed(model) && !stands.is_owed;
        assert!(!is_forgotten, "{id}: is owed more, {self:?}");
        if let Some(pace) = self.pace {
            if stands.beat != Some(pace.beat) || stands.position != self.position {
                self.serve(model);
            }
            assert_eq!(stands.beat, self.pace.map(|pace| pace.beat), "{id}: beats");
            assert_eq!(stands.position, self.position, "{id}: the position");
            return;
        }
        let next = |place: &Self, model: &Model| {
            let next = place.first_unread(place.position, model);
            (next, place.first_unread(stands.position, model) == next)
        };
        let (mut unread, mut is_same) = next(self, model);
        if self.follow_skips(stands.is_owed, step, model) {
            (unread, is_same) = next(self, model);
        }
        assert!(self.skips.is_empty(), "{id}: skips without need");
        assert!(is_same, "{id}: at {stands:?}, not {self:?}");
        self.note_position(stands.position, model);
        if unread.is_none() {
            self.resuming &= stands.is_resuming;
        }
        assert_eq!(stands.is_resuming, self.resuming, "{id}: resuming");
    }
}

impl Judge {
    pub(super) fn new(net: Net, clock: ManualClock, setting: &Setting) -> Self {
        WALL.set(1_700_000_000_000_000);
        let (config, names) = (&setting.config, &setting.names);
        let start = clock.time();
        Self {
            net,
            clock,
            start,
            now: 0,
            config: config.clone(),
            clients: BTreeMap::new(),
            model: Model::new(names, STALE_AFTER.as_micros() as u64, config.max_batch),
            limits: Limits::new(config, setting.events_per_turn),
            shutting_down: false,
            heartbeat: 0,
            aged: None,
            special: BTreeSet::new(),
            has_unseen: false,
            periods: BTreeMap::new(),
            opened: 0,
            closed: [0; close::NAMES.len()],
            accepted: 0,
            messages: 0,
            events: BTreeMap::new(),
            hash: DefaultHasher::new(),
            bytes: 0,
            trace: false,
            reads_whole: setting.scratch >= SCRATCH_MAX,
        }
    }

    pub(super) fn note(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    pub(super) fn wall() -> u64 {
        WALL.get()
    }

    pub(super) fn set_wall(wall: u64) {
        WALL.set(wall);
    }

    /// An instant in µs since the start.
    pub(super) fn micros(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Begins a step.
    pub(super) fn begin_step(&mut self) {
        self.now = self.micros(self.clock.time());
    }

    /// Notes that the timeouts of a turn have run.
    pub(super) fn on_timeouts(&mut self) {
        self.begin_step();
        self.limits.on_timeouts(self.now, self.clients.len());
    }

    /// Notes that the poll of a turn has fetched `events`.
    pub(super) fn on_events(&mut self, events: &[(Token, Ready)]) {
        self.limits.on_events(events.len());
        for (_, ready) in events {
            self.note(match (ready.readable, ready.writable) {
                (true, true) => "edge for both",
                (true, false) => "edge for reading",
                _ => "edge for writing",
            });
        }
    }

    /// Notes that the process is asked to stop: each connected client is told goodbye at its own
    /// time.
    pub(super) fn on_shut_down(&mut self) {
        self.shutting_down = true;
        let (net, clients) = (&self.net, &self.clients);
        let inside = clients.iter().filter(|(_, client)| client.place.is_some());
        let slot_of = |id: Id| net.pipe(id, |pipe| pipe.token).flatten().map(slot);
        let mut inside: Vec<_> = inside.map(|(&id, _)| (slot_of(id), id)).collect();
        inside.sort_unstable();
        let (drain, count) = (self.config.drain.as_micros() as u64, inside.len() as u64);
        for (index, (_, id)) in (0..).zip(inside) {
            let client = self.clients.get_mut(&id).expect("it is kept");
            client.goodbye_due = Some(self.now + drain * index / count);
        }
    }

    /// Notes that a feed has published a price.
    pub(super) fn on_published(&mut self, symbol: usize, price: &str) {
        if self.model.print(symbol, price, (self.now, Self::wall())) {
            self.note("tick");
        }
    }

    /// Notes that a feed has confirmed a price.
    pub(super) fn on_confirmed(&mut self, symbol: usize) {
        if self.model.confirm(symbol, self.now) {
            self.note("live");
        }
    }

    /// Notes that a symbol is added: patterns take it, at some time. Returns whether it was
    /// missing.
    pub(super) fn on_listed(&mut self, name: &str, is_watched: bool) -> bool {
        let known = self.model.symbols.len();
        let Some(index) = self.model.list(name, is_watched, self.now) else {
            return false;
        };
        self.note(if index < known { "relist" } else { "list" });
        if index < known {
            return true;
        }
        for (&id, client) in &mut self.clients {
            if let Some(place) = &mut client.place
                && place.list.takes(name)
            {
                place.fresh.insert(index);
                self.special.insert(id);
            }
        }
        true
    }

    /// Notes that a symbol is delisted.
    pub(super) fn on_delisted(&mut self, name: &str) {
        self.model.delist(name, self.now);
        self.note("delist");
    }

    /// Checks everything that the step did, and ends it. The next step takes place a little later.
    pub(super) fn look(&mut self, server: &mut SimServer) {
        self.look_at_prints(server);
        self.look_at_beats(server);
        if self.aged != server.broadcast.aged() {
            self.note("slice");
            self.aged = server.broadcast.aged();
            let old = self
                .aged
                .and_then(|aged| aged.checked_duration_since(self.start));
            self.model.aged = old.map(|old| old.as_micros() as u64);
        }
        let messages = server.counters.messages - self.messages;
        let mut touched = self.net.next_step();
        let is_reset = |id: &Id| self.net.pipe(*id, |pipe| pipe.ended) == Some(Some(End::Reset));
        let has_reset = touched.iter().any(is_reset);
        // The skips of a client that is gone can only be derived from the rest, so such clients
        // come last.
        touched.sort_by_key(is_reset);
        let special: Vec<_> = self
            .special
            .difference(&touched.iter().copied().collect())
            .copied()
            .collect();
        let mut read = 0;
        for &id in &touched {
            let of_client = self.net.pipe(id, |pipe| std::mem::take(&mut pipe.messages));
            let of_client = of_client.unwrap_or(0);
            read += of_client;
            self.observe(id, of_client > 0, server);
            self.on_read(id, of_client);
        }
        assert_eq!(read, messages, "messages that were read");
        for id in special {
            self.observe(id, false, server);
        }
        if has_reset || std::mem::take(&mut self.has_unseen) {
            // Frames that no client sees may have been counted.
            self.model.sent = Self::counted(server);
        }
        assert_eq!(Self::counted(server), self.model.sent, "what was sent");
        // A client that is already gone is let in as well, and sees none of it.
        let unseen = server.counters.opened - self.opened;
        assert!(unseen <= u64::from(has_reset), "{unseen} let in unseen");
        self.opened += unseen;
        self.clock.advance(STEP);
        self.begin_step();
    }

    fn counted(server: &SimServer) -> Sent {
        let counters = &server.counters;
        Sent {
            writes: counters.writes,
            deliveries: counters.deliveries,
            bytes: counters.bytes,
            conflated: counters.conflated,
        }
    }

    /// Tells the model what the server printed of its own accord.
    fn look_at_prints(&mut self, server: &SimServer) {
        if server.heartbeat != self.heartbeat {
            self.heartbeat += 1;
            assert_eq!(server.heartbeat, self.heartbeat, "a heartbeat is skipped");
            self.note("heartbeat");
            let mut ping = Vec::new();
            frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
            self.model.append(None, ping, self.now);
            self.limits.on_heartbeat(self.heartbeat, self.now);
        }
        if server.hub.is_closed() && self.model.closed.is_none() {
            let mut goodbye = Vec::new();
            let reason = CloseReason::Shutdown.to_string();
            frame::close(&mut goodbye, CloseCode::Away, &reason);
            self.model.close(goodbye, self.now);
        }
        let tape = server.hub.tape();
        if tape.head() > self.model.head() {
            self.note("stale");
            self.model.publish_stale(self.now);
        }
        assert_eq!(tape.head(), self.model.head(), "printed");
        if tape.tail() != self.model.tail {
            assert!(
                tape.tail() > self.model.tail,
                "the tape grows at its old end"
            );
            self.model.tail = tape.tail();
            self.check_memory();
        }
    }

    /// The tape is as long as its memory allows, except for the end of the ring.
    fn check_memory(&self) {
        let kept = self.model.from(self.model.tail);
        let kept: Vec<_> = kept.map(|(_, printed)| printed.frame.len()).collect();
        let marks_max = self.config.tape_size / 112;
        let ring = self.config.tape_size - marks_max * 20;
        let bytes: usize = kept.iter().sum();
        let is_full = kept.len() >= marks_max || bytes + 3 * FRAME_MAX >= ring;
        assert!(is_full, "{} frames of {bytes} bytes are all", kept.len());
    }

    /// Notes the beats that periods have had.
    fn look_at_beats(&mut self, server: &SimServer) {
        let beats: BTreeMap<_, _> = server.hub.beats_by_period().collect();
        self.periods.retain(|every, _| beats.contains_key(every));
        for (&every, &beat) in &beats {
            let (began, newest) = self.periods.entry(every).or_insert((self.now, self.now));
            if self
                .model
                .beats
                .get(&every)
                .is_some_and(|&known| known != beat)
            {
                *newest = self.now;
                let most = (self.now - *began) / every.as_micros() as u64;
                assert!(u64::from(beat) <= most, "{every:?}: too many beats");
            }
        }
        self.model.beats = beats;
    }

    /// Takes what the server has decided to send to a client since the last check, and has it
    /// judged.
    fn observe(&mut self, id: Id, has_spoken: bool, server: &mut SimServer) {
        let Some(found) = self.find(id) else {
            return;
        };
        let is_new = self.clients.get(&id).is_some_and(|client| !client.accepted);
        if is_new && found.accepted.is_some() {
            self.on_accepted(id, &found);
        }
        let newly_closed = {
            let client = self.clients.get_mut(&id).expect("it is kept");
            found.closed.filter(|_| client.closed.is_none())
        };
        if let Some(closed) = newly_closed {
            self.judge(id, closed);
        }
        if found.ended == Some(End::Reset) {
            // A client that is gone does not see what is written to it.
        } else if found.is_served {
            self.observe_stream(id, has_spoken, server, &found);
        }
        if let Some(closed) = newly_closed {
            self.on_closed(id, closed, &found);
        }
        let client = &self.clients[&id];
        if client.place.as_ref().is_some_and(Place::is_special) {
            self.special.insert(id);
        } else {
            self.special.remove(&id);
        }
        if found.dropped {
            self.check_end_of_tls(id, &found);
            self.clients.remove(&id);
            self.net.forget(id);
        }
    }

    /// Checks that a client whose connection is over has had everything that was sealed for it, and
    /// the end of TLS. This is unknown for a client that was dropped for taking no bytes, or is
    /// gone.
    fn check_end_of_tls(&mut self, id: Id, found: &Found) {
        let client = self.clients.get_mut(&id).expect("it is kept");
        let has_no_room = self.net.pipe(id, |pipe| pipe.hindered) == Some(true);
        let is_lost = found.ended == Some(End::Reset) || found.blocked || has_no_room;
        if client.tls.is_none() || is_lost {
            return;
        }
        client.take(&self.net.take(id, usize::MAX));
        let is_let_go = |closed: Closed| ["slow", "failed"].contains(&close::NAMES[closed.reason]);
        if let Some(tls) = &client.tls
            && found.total > 0
            && !client.closed.is_some_and(is_let_go)
        {
            assert!(tls.has_all(), "{id}: TLS has kept text back");
            assert!(tls.has_ended(), "{id}: no end of TLS");
        }
    }

    fn find(&self, id: Id) -> Option<Found> {
        let client = self.clients.get(&id)?;
        self.net.pipe(id, |pipe| {
            let told = pipe.told.map(|told| self.micros(told));
            Found {
                closed: pipe.closed,
                ended: pipe.ended,
                dropped: pipe.dropped,
                total: pipe.total,
                accepted: pipe.accepted,
                blocked: pipe.blocked,
                now: pipe.busy.map_or(0, |busy| self.micros(busy)).max(self.now),
                is_served: pipe.token.is_some() || client.served,
                hindered: if pipe.hindered { Some(self.now) } else { told },
            }
        })
    }

    /// Notes that a client was accepted: either there was room for it, or it is rejected.
    fn on_accepted(&mut self, id: Id, found: &Found) {
        let Some(accepted) = found.accepted else {
            return;
        };
        let is_served = self.net.pipe(id, |pipe| pipe.token.is_some()) == Some(true);
        let is_full = |limit: Option<usize>, there: usize| limit.is_some_and(|max| there >= max);
        let has_room = !accepted.exhausted
            && !is_full(self.config.clients_max, accepted.others)
            && !is_full(self.config.clients_per_address_max, accepted.neighbours);
        let began = self.micros(accepted.at);
        let client = self.clients.get_mut(&id).expect("it is kept");
        client.accepted = true;
        client.served = is_served;
        client.began = began;
        self.accepted += 1;
        assert_eq!(is_served, has_room, "{id}: room for {accepted:?}");
        if !is_served {
            self.note("turned away");
            self.closed[close::REFUSED] += 1;
            let answer = self.net.pipe(id, |pipe| {
                let records = pipe
                    .records()
                    .map(|records| records.iter().copied().collect());
                records.unwrap_or_else(|| pipe.take_deeds().written)
            });
            let answer: Vec<u8> = answer.unwrap_or_default();
            let right = if self.config.tls.is_some() {
                NO_ROOM
            } else if accepted.exhausted || is_full(self.config.clients_max, accepted.others) {
                b"HTTP/1.1 503 "
            } else {
                b"HTTP/1.1 429 "
            };
            let length = answer.len().min(right.len());
            assert_eq!(answer[..length], right[..length], "{id}");
        }
    }

    fn observe_stream(&mut self, id: Id, has_spoken: bool, server: &mut SimServer, found: &Found) {
        let deeds = self.net.pipe(id, Pipe::take_deeds).unwrap_or_default();
        let stands = self.standing(id, server);
        let step = Step {
            now: (found.now, Self::wall()),
            attempts: deeds.attempts.into_iter().collect(),
            stands: stands.map(|stands| stands.position),
            skips: deeds.skips,
            changes: deeds.changes,
            hindered: found.hindered,
        };
        let client = self.clients.get_mut(&id).expect("it is kept");
        client.written = found.total;
        client.closing = found.closed;
        let is_told = |closed: Closed| close::NAMES[closed.reason] == "shutdown";
        if let Some(place) = client
            .place
            .as_mut()
            .filter(|_| found.closed.is_some_and(is_told))
        {
            place.leaving = true;
        }
        if let Some(place) = &mut client.place {
            place.note(&step);
        }
        let mut stream = deeds.written;
        if deeds.has_moved {
            client.moved = self.now;
        }
        if let Some(tls) = &mut client.tls {
            tls.expect(&stream);
        }
        self.bytes += stream.len() as u64;
        let sight = Sight {
            id,
            has_spoken,
            step: &step,
            stands: stands.as_ref(),
            found,
        };
        let token = self.net.pipe(id, |pipe| pipe.token).flatten();
        if let Some(connection) = token.and_then(|token| server.connections.get_mut(token)) {
            let backlog = connection.subscriber().map_or(0, Subscriber::backlog);
            let backlog_max = self.config.max_message_size.max(SCRATCH_MAX);
            assert!(backlog <= backlog_max, "backlog");
            let pending = connection.outbox().pending().to_vec();
            stream.extend_from_slice(&pending);
            self.read_stream(&sight, &stream, pending, &server.hub);
        } else {
            self.check_last_bytes(&sight, &stream);
        }
        self.check_place(&sight, &stream, &server.hub);
    }

    /// Lets an open client read what it was sent: `stream`, of which `pending` is still on its way.
    fn read_stream(&mut self, sight: &Sight<'_>, stream: &[u8], pending: Vec<u8>, hub: &Hub) {
        let id = sight.id;
        let client = self.clients.get_mut(&id).expect("it is kept");
        assert!(
            pending.len() <= client.pending_max(),
            "{} bytes pending",
            pending.len()
        );
        let known = client.pending.len();
        assert!(
            stream.starts_with(&client.pending),
            "{id}: what was begun was not finished"
        );
        client.pending = pending;
        self.hash.write(&stream[known..]);
        if self.trace && stream.len() > known {
            let text = String::from_utf8_lossy(&stream[known..]);
            eprintln!("    {id} ({:?}) is sent {text:?}", client.kind);
        }
        if let (Some(place), Some(stands)) = (&mut client.place, sight.stands) {
            place.catch_up(sight.has_spoken, sight.found.now, stands, &self.model, hub);
        }
        let was_inside = client.let_in;
        client.read(&stream[known..], &mut self.model, sight.step);
        if client.let_in && !was_inside {
            self.opened += 1;
            let wait = self.config.resume_wait.as_micros() as u64;
            let place = client.place.as_mut().expect("it is let in");
            place.waits_until = Some(self.now + wait);
            if client.tls.is_some() {
                *self.events.entry("secured").or_default() += 1;
            }
        }
    }

    /// Checks what was sent to a client that was dropped in this step.
    fn check_last_bytes(&mut self, sight: &Sight<'_>, stream: &[u8]) {
        let Sight { id, found, .. } = sight;
        let client = &self.clients[id];
        if client.answer.is_empty() {
            // It was dropped together with the answer: it never spoke, or had already ended.
            let is_late = found
                .closed
                .is_some_and(|closed| close::NAMES[closed.reason] == "handshake_timeout");
            let right = if is_late || found.ended.is_none() {
                LATE
            } else {
                ANSWER
            };
            let length = stream.len().min(right.len());
            assert_eq!(stream[..length], right.as_bytes()[..length], "{id}");
            self.has_unseen |= right == ANSWER && !stream.is_empty();
        } else {
            // The answers to its last messages, sent before its end was noticed, are not seen
            // whole.
            let has_more = stream.len() > client.pending.len();
            let is_ended = found.ended.is_some() && stream.starts_with(&client.pending);
            let is_rest = client.pending.starts_with(stream);
            assert!(is_rest || is_ended, "{id}: more than was begun");
            self.has_unseen |= has_more;
        }
    }

    /// Checks where a client's connection says it stands.
    fn check_place(&mut self, sight: &Sight<'_>, stream: &[u8], hub: &Hub) {
        let &Sight {
            id, step, found, ..
        } = sight;
        let client = self.clients.get_mut(&id).expect("it is kept");
        if let (Some(place), Some(stands)) = (&mut client.place, sight.stands) {
            if place.takes_later {
                place.take_fresh(sight.has_spoken, self.now, stands, &self.model, hub);
            }
            (place.owes, place.takes_later) = (stands.is_owed, stands.must_refresh);
            place.check(id, stands, step, &mut self.model);
            let takes_all = client.pending.is_empty() && !found.blocked;
            let is_cut = !stream.is_empty() && !place.is_satisfied(false, &self.model);
            if takes_all && (is_cut || stands.is_owed) {
                place.cut = Some(self.now);
            }
        } else if let Some(place) = &mut client.place {
            // A skip right before it was dropped left no frame.
            place.follow_skips(true, step, &mut self.model);
        }
    }

    /// Where a client stands by its connection's own account, while it is open.
    fn standing(&self, id: Id, server: &mut SimServer) -> Option<Standing> {
        let token = self.net.pipe(id, |pipe| pipe.token).flatten()?;
        let connection = server.connections.get_mut(token)?;
        let subscriber = connection.subscriber()?;
        Some(subscriber.standing(&server.hub))
    }

    /// Closes a client in the model, once everything before that was seen.
    fn on_closed(&mut self, id: Id, closed: Closed, found: &Found) {
        self.closed[closed.reason] += 1;
        self.note(close::NAMES[closed.reason]);
        if self.trace {
            eprintln!("    {id} is closed: {}", close::NAMES[closed.reason]);
        }
        let client = self.clients.get_mut(&id).expect("it is kept");
        client.closed = Some(closed);
        client.place = None;
        let is_reset = found.ended == Some(End::Reset);
        // A client that says goodbye first gets its own code back, and a client that has long taken
        // no bytes gets no frame.
        let is_told = client.let_in && !is_reset && !found.dropped;
        if is_told && client.sin != Some("closed_by_client") {
            // At shutdown it may break a rule after it was told goodbye and before it is dropped.
            let code = match client.farewell {
                Some(away) if self.shutting_down && away == u16::from(CloseCode::Away) => {
                    Some(away)
                }
                _ => closed.code,
            };
            assert_eq!(client.farewell, code, "the close code of {id}");
        }
    }

    /// Counts the messages that the server has read from a client.
    fn on_read(&mut self, id: Id, count: u64) {
        self.messages += count;
        if let Some(client) = self.clients.get_mut(&id) {
            client.messages_read += count;
            let (read, arrived) = (client.messages_read, client.messages_arrived);
            assert!(read <= arrived, "{id}: {read} messages of {arrived}");
        }
    }

    /// A hash of the run: equal for equal runs.
    pub(super) fn finish(&self) -> u64 {
        self.hash.finish()
    }

    /// Checks that a client deserves to be closed.
    fn judge(&mut self, id: Id, closed: Closed) {
        let name = close::NAMES[closed.reason];
        let client = &self.clients[&id];
        let state = self.net.pipe(id, |pipe| {
            let freed = pipe.freed.map(|freed| self.micros(freed));
            (pipe.ended, pipe.blocked, freed.filter(|_| pipe.has_event()))
        });
        let (ended, blocked, freed) = state.expect("it is kept");
        let slow = self.config.slow_timeout.as_millis() as u64;
        let fair = match name {
            "failed" => ended == Some(End::Reset),
            "vanished" => ended == Some(End::Finished),
            "shutdown" => {
                let is_due = client.goodbye_due.is_some_and(|due| self.now >= due);
                is_due || self.model.closed.is_some()
            }
            "no_pong" => self.limits.is_pong_late(client),
            "slow" if !self.limits.is_looking() => false,
            "slow" => {
                let stuck = self.now / 1000 - client.moved / 1000;
                (blocked || self.limits.is_freed_late(freed)) && stuck > slow
            }
            // It ended its side within its request, and is told so.
            "refused" if ended == Some(End::Finished) => !client.let_in,
            "refused" if self.shutting_down => !client.let_in,
            "refused" if client.sin.is_none() => client
                .wish
                .as_ref()
                .is_some_and(|wish| wish.list(&self.model).is_err() && !client.let_in),
            "handshake_timeout" => {
                client.place.is_none() && (self.limits.is_request_late(client) || !self.reads_whole)
            }
            _ => client.sin == Some(name),
        };
        assert!(
            fair,
            "{id} is closed without having done anything: {name} at {}, moved {}, pinged {}, \
             ponged {}, arrived {}, {ended:?}, {blocked}, {freed:?}, {:?}",
            self.now, client.moved, client.pinged, client.ponged, client.arrived, self.limits
        );
    }
}

/// How long a step takes: long enough that every step has its own time.
const STEP: Duration = Duration::from_micros(1);

/// The beginning of any answer.
const ANSWER: &str = "HTTP/1.1 ";

/// The beginning of the answer to a client that has not sent its request in time.
const LATE: &str = "HTTP/1.1 408 ";

/// Longer than any frame.
const FRAME_MAX: usize = 200;

/// The server never keeps more input than a turn's share.
const SCRATCH_MAX: usize = 16 * 1024;
