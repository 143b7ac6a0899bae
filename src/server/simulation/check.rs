//! The looks at the server's own state: what it has decided to send, what it keeps, whom it forgot.

use std::hash::Hasher;

use mio::Token;

use super::client::{Client, Kind};
use super::socket::End;
use super::world::World;
use crate::io_loop::slot;
use crate::server::close::{self, CloseReason};
use crate::server::reader::Reader;

impl World {
    /// Looks at every connection that something may have been sent to.
    pub(super) fn observe_all(&mut self) {
        let tokens: Vec<_> = self.clients.keys().copied().collect();
        for token in tokens {
            self.observe(token);
        }
    }

    /// Takes what the server has decided to send to a client since the last look, and has it judged.
    pub(super) fn observe(&mut self, token: Token) {
        let now = (self.now, self.wall());
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let Some(client) = self.clients.get_mut(&token) else {
            return;
        };
        let at = connection.reader().map(Reader::position);
        if connection.socket().ended() == Some(End::Reset) {
            // Nobody sees what is written any more, and what failed is not kept; but it counts.
            if let (Some(place), Some(at)) = (&mut client.place, at)
                && place.position != at
                && self.model.is_behind(place)
            {
                self.model.skip(place);
            }
            return;
        }
        let backlog = connection.reader().map_or(0, Reader::backlog);
        assert!(
            backlog <= self.config.max_message_size.max(SCRATCH_MAX),
            "backlog"
        );
        let fresh = connection.socket().take_fresh();
        client.writes.extend(connection.socket().take_writes());
        let pending = connection.wire().pending();
        if !fresh.is_empty() || pending.len() != client.pending.len() {
            let mut stream = fresh;
            if !stream.is_empty() {
                client.moved = now.0;
            }
            self.bytes += stream.len() as u64;
            stream.extend_from_slice(pending);
            let known = client.pending.len();
            assert!(
                stream.starts_with(&client.pending),
                "{}: what was begun was not finished",
                slot(token)
            );
            assert!(
                pending.len() <= PENDING_MAX,
                "{} bytes pending",
                pending.len()
            );
            client.pending = pending.to_vec();
            self.hash.write(&stream[known..]);
            if self.trace && stream.len() > known {
                let text = String::from_utf8_lossy(&stream[known..]);
                eprintln!("    {} ({:?}) is sent {text:?}", slot(token), client.kind);
            }
            self.model.counted = self.counters.conflated;
            client.read(&stream[known..], &mut self.model, now);
        }
        let (Some(place), Some(at)) = (&mut client.place, at) else {
            return;
        };
        let is_silent_skip = place.position != at
            && self.model.is_behind(place)
            && self.model.instead(place, now.0).is_empty();
        if is_silent_skip {
            self.model.skip(place);
        }
        assert_eq!(at, place.position, "{}: the position", slot(token));
    }

    /// Counts the messages that the server has read from a client since it knew of `known`.
    pub(super) fn on_heard(&mut self, token: Token, known: u64) {
        let count = self.counters.messages - known;
        self.messages += count;
        if let Some(client) = self.clients.get_mut(&token) {
            client.heard += count;
            let (heard, told) = (client.heard, client.told);
            assert!(heard <= told, "{}: {heard} messages of {told}", slot(token));
        }
    }

    /// Whether a client deserves to be closed for `reason`.
    pub(super) fn judge(&mut self, token: Token, reason: &CloseReason) {
        let name = close::NAMES[reason.index()];
        let (Some(connection), Some(client)) = (
            self.connections.get_mut(token),
            self.clients.get_mut(&token),
        ) else {
            return;
        };
        let (shutting_down, limit) = (self.shutting_down, self.limit);
        let socket = connection.socket();
        let ended = socket.ended();
        // It took something only after the limit, of which the server has not been told.
        let too_late = socket.has_event() && client.freed >= limit.due;
        let is_stuck = socket.is_blocked() || too_late;
        let slow = self.config.slow_timeout.as_millis() as u64;
        // Its pong was there when the limit came.
        let has_ponged = client.ponged >= limit.heartbeat && client.outgoing.is_empty();
        let in_time = has_ponged && client.arrived < limit.due;
        let fair = match reason {
            CloseReason::Failed(_) => ended == Some(End::Reset),
            CloseReason::Vanished => ended == Some(End::Finished),
            CloseReason::Shutdown => shutting_down,
            CloseReason::NoPong => !in_time || !client.pending.is_empty(),
            CloseReason::Slow => is_stuck && self.now - client.moved > slow,
            // It ended within its request, and is told so.
            CloseReason::Refused(_) if ended == Some(End::Finished) => !client.let_in,
            CloseReason::Refused(_) if client.sin.is_none() || shutting_down => !client.let_in,
            CloseReason::HandshakeTimeout => client.place.is_none(),
            _ => client.sin == Some(name),
        };
        assert!(
            fair,
            "{} is closed without having done anything: {reason}",
            slot(token)
        );
    }

    /// Whether, when nothing is left to be done, nobody was forgotten.
    pub(super) fn check_quiet(&mut self) {
        for connection in self.connections.iter_mut() {
            let token = connection.token;
            let client = &self.clients[&token];
            let socket = connection.socket();
            let (blocked, ended, unread) = (socket.is_blocked(), socket.ended(), socket.unread());
            if blocked {
                continue;
            }
            let slot = slot(token);
            assert!(
                !connection.wire().has_pending(),
                "{slot}: a rest is forgotten"
            );
            assert_eq!(unread, 0, "{slot}: what it said is not read");
            assert_eq!(ended, None, "{slot}: its end goes unnoticed");
            assert_eq!(
                connection.wire().stuck_since(),
                None,
                "{slot}: is called stuck"
            );
            if let Some(place) = &client.place {
                let head = self.model.head(place);
                assert_eq!(place.position, head, "{slot}: it is forgotten");
                check_answered(client, slot);
                if client.sin.is_none() {
                    assert_eq!(client.heard, client.told, "{slot}: messages");
                }
            }
        }
    }

    /// Whether the counters say what the model says.
    pub(super) fn check_counters(&self) {
        let (counters, model) = (&self.counters, &self.model);
        let inside = self
            .clients
            .values()
            .filter(|client| client.place.is_some());
        assert_eq!(counters.clients, inside.count() as u64, "clients");
        assert_eq!(counters.opened, self.opened, "opened");
        assert_eq!(counters.closed, self.closed, "closed, by reason");
        assert_eq!(counters.conflated, model.conflated, "conflated");
        assert_eq!(counters.skipped_bytes, model.skipped, "skipped bytes");
        assert_eq!(counters.bytes, model.bytes, "bytes");
        assert_eq!(counters.writes, model.writes, "writes");
        assert_eq!(counters.ticks, model.ticks, "ticks");
        assert_eq!(counters.messages, self.messages, "messages");
        assert_eq!(self.board.last_stamp(), model.last_stamp, "stamps");
    }

    /// Whether each tape has as many readers as the model knows.
    pub(super) fn check_readers(&self) {
        let readers = self.board.readers();
        assert_eq!(readers.len(), self.model.channels.len(), "tapes");
        assert!(readers.len() <= self.config.tapes_max(), "too many tapes");
        for (names, count) in readers {
            let symbols = self.model.symbols.iter().enumerate();
            let of_set = symbols.filter(|(_, symbol)| names.contains(&&*symbol.name));
            let set = of_set.fold(0, |set, (index, _)| set | 1 << index);
            assert_eq!(
                count, self.model.channels[&set].readers,
                "readers of {names:?}"
            );
        }
    }
}

/// Who has said all it wanted has had all answers.
fn check_answered(client: &Client, slot: usize) {
    if client.kind == Kind::Eager && client.outgoing.is_empty() && client.sin.is_none() {
        let left = &client.expects;
        assert!(left.is_empty(), "{slot}: {left:?} are not answered");
    }
}

/// The rest of a frame, an answer, a snapshot, a pong and a close frame, with room.
const PENDING_MAX: usize = 8192;

/// More than a turn's share of what came is never kept.
const SCRATCH_MAX: usize = 16 * 1024;
