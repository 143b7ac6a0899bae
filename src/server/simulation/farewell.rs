//! How connections end in the simulation: as they do in [`Server`](crate::server::Server), each
//! method by the same name, with the model told of it.

use mio::Token;
use tungstenite::http::StatusCode;
use tungstenite::protocol::frame::coding::CloseCode;

use super::socket::End;
use super::world::{Callback, Limit, World};
use crate::frame;
use crate::io_loop::slot;
use crate::server::close::{self, CloseReason};
use crate::server::connection::Connection;
use crate::server::head::Refusal;
use crate::server::{CLOSES_PER_TURN, Moment};

impl World {
    pub(super) fn close(&mut self, token: Token, reason: &CloseReason, answer: &[u8]) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        if connection.is_closing() {
            return;
        }
        let waits = connection.close(reason, answer, &mut desk);
        let may_have_unread = connection.may_have_unread();
        self.on_closed(token, reason);
        if waits {
            let limit = self.config.close_timeout;
            self.call_later(limit, Callback::Remove(token));
            if may_have_unread {
                self.read_more(token);
            }
        } else {
            self.remove(token);
        }
    }

    /// The model's side of a close.
    fn on_closed(&mut self, token: Token, reason: &CloseReason) {
        self.closed[reason.index()] += 1;
        self.note(close::NAMES[reason.index()]);
        if self.trace {
            eprintln!("    {} is closed: {reason}", slot(token));
        }
        self.judge(token, reason);
        let Some(client) = self.clients.get_mut(&token) else {
            return;
        };
        if let Some(place) = client.place.take() {
            self.model.leave(place.set);
        }
        self.observe(token);
        let socket = self.connections.get_mut(token).map(Connection::socket);
        let is_reset = socket.is_none_or(|socket| socket.ended() == Some(End::Reset));
        let client = &self.clients[&token];
        // A client that says goodbye first is told its own code again.
        if client.let_in && !is_reset && client.sin != Some("closed_by_client") {
            let code = reason.code().map(u16::from);
            // At shutdown it may do something wrong after it was told goodbye and before it is let go.
            let code = match client.farewell {
                Some(away) if self.shutting_down && away == u16::from(CloseCode::Away) => {
                    Some(away)
                }
                _ => code,
            };
            assert_eq!(client.farewell, code, "the close code of {}", slot(token));
        }
    }

    pub(super) fn close_all(&mut self, mut losers: Vec<(Token, CloseReason)>) {
        let later = losers.split_off(losers.len().min(CLOSES_PER_TURN));
        for (token, reason) in losers {
            self.refuse_or_close(token, &reason);
        }
        if !later.is_empty() {
            self.callbacks.push_back(Callback::CloseAll(later));
        }
    }

    pub(super) fn remove(&mut self, token: Token) {
        if self.connections.remove(token).is_some() {
            self.clients.remove(&token);
            self.free.push(slot(token));
            if self.is_ready.remove(&token) {
                self.ready.retain(|&ready| ready != token);
            }
        }
    }

    pub(super) fn close_overdue_soon(&mut self, heartbeat: u32) {
        let due = self.now;
        let polls = self.connections.len() / self.events_per_turn + 2;
        let limit = Limit { heartbeat, due };
        self.callbacks
            .push_back(Callback::CloseOverdue(limit, polls));
    }

    pub(super) fn close_overdue(&mut self, limit: Limit) {
        let (now, slow) = (self.now as Moment, self.config.slow_timeout);
        let overdue = self.connections.iter_mut().filter_map(|connection| {
            let is_overdue = connection.overdue(now, limit.heartbeat, slow).is_some();
            is_overdue.then_some(connection.token)
        });
        let overdue = overdue.collect();
        self.close_still_overdue(limit, overdue);
    }

    pub(super) fn close_still_overdue(&mut self, limit: Limit, mut tokens: Vec<Token>) {
        let later = tokens.split_off(tokens.len().min(CLOSES_PER_TURN));
        let (now, slow) = (self.now as Moment, self.config.slow_timeout);
        self.limit = limit;
        for token in tokens {
            let connection = self.connections.get_mut(token);
            if let Some(reason) = connection.and_then(|it| it.overdue(now, limit.heartbeat, slow)) {
                self.close(token, &reason, &[]);
            }
        }
        if !later.is_empty() {
            self.callbacks
                .push_back(Callback::CloseStillOverdue(limit, later));
        }
    }

    pub(super) fn shut_down(&mut self) {
        self.shutting_down = true;
        self.note("shut down");
        let mut goodbye = Vec::new();
        let reason = CloseReason::Shutdown.to_string();
        frame::close(&mut goodbye, CloseCode::Away, &reason);
        self.board.seal(&goodbye, self.instant());
        self.model.append(&goodbye, None, self.now);
        self.model.goodbye = Some(goodbye);
        self.sweep_soon();
        let refuse = || {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
            CloseReason::Refused(refusal)
        };
        let waiting = self.connections.iter_mut();
        let waiting = waiting.filter(|connection| connection.handshake_timeout().is_some());
        let waiting = waiting.map(|connection| (connection.token, refuse()));
        let waiting = waiting.collect();
        self.close_all(waiting);
    }
}
