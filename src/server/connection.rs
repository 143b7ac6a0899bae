//! A client from accept to close: the states of its connection, and the events that concern each.

use std::io::ErrorKind;
use std::time::Duration;

use ioloop::{Ready, Timeout, slot};
use mio::Token;

use crate::frame;
use crate::server::close::CloseReason;
use crate::server::context::{Context, Ping, UptimeMs};
use crate::server::event_stream;
use crate::server::http::request::{self, Request};
use crate::server::http::router::{Endpoint, Policy};
use crate::server::http::selection::select;
use crate::server::http::upgrade::Upgrade;
use crate::server::hub::Hub;
use crate::server::outbox::Outbox;
use crate::server::packing::Wire;
use crate::server::rejection::Rejection;
use crate::server::socket::{Deed, Socket};
use crate::server::subscriber::{Progress, Subscriber};

/// A client's connection, from accept to close.
pub(crate) struct Connection<S> {
    pub(crate) token: Token,
    outbox: Outbox<S>,
    state: State,
    endpoint: Endpoint,
    /// The end of the client's stream is waiting to be read, and its event has passed.
    ended: bool,
    /// The last read emptied the socket, so anything that arrives later brings its own event.
    drained: bool,
    /// The connection is queued to read on in the next turn.
    pub(crate) queued: bool,
}

enum State {
    /// A request head is arriving. `timeout` limits the wait for it, and for the client to take the
    /// answer to the request before.
    Handshaking {
        head: Vec<u8>,
        timeout: Timeout,
        /// Whether `head` has what arrived behind the last request, and was not looked at yet.
        is_behind: bool,
        /// How many requests were answered.
        answered: u16,
    },
    /// The client reads the tape.
    Open(Subscriber),
    /// The final bytes are queued. Whatever still arrives is discarded, because unread bytes would
    /// cause a reset, which could destroy those final bytes.
    Closing,
}

/// The server's next step after an event.
#[derive(Debug)]
pub(crate) enum Action {
    /// Wait for the next event.
    Wait,
    /// Read on: a turn's share is used up, there may be more, and no event will tell.
    More,
    /// Answer the request head. If `unread`, there may be more behind it, and no event will tell.
    Head {
        head: Result<Request, Rejection>,
        unread: bool,
    },
    /// Close the connection: the closing frame has gone out behind everything else.
    Finished,
    /// Remove the connection: the client has ended its side too.
    Gone,
}

impl<S: Socket> Connection<S> {
    /// Creates a connection that was just accepted and has until `timeout` to send its request.
    pub(crate) fn new(socket: S, token: Token, timeout: Timeout, endpoint: Endpoint) -> Self {
        let state = State::Handshaking {
            head: Vec::new(),
            timeout,
            is_behind: false,
            answered: 0,
        };
        Self {
            token,
            outbox: Outbox::new(socket),
            state,
            endpoint,
            ended: false,
            drained: false,
            queued: false,
        }
    }

    /// The socket, for registering it.
    pub(crate) fn socket(&mut self) -> &mut S {
        self.outbox.socket()
    }

    /// Gives back the socket, for closing it.
    pub(crate) fn into_socket(self) -> S {
        self.outbox.into_socket()
    }

    /// The endpoint that the client connected to.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The bytes on their way to the client.
    #[cfg(test)]
    pub(crate) fn outbox(&self) -> &Outbox<S> {
        &self.outbox
    }

    /// The client's subscription, once it is open.
    #[cfg(test)]
    pub(crate) fn subscriber(&self) -> Option<&Subscriber> {
        match &self.state {
            State::Open(subscriber) => Some(subscriber),
            _ => None,
        }
    }

    /// Whether the client is open, after its handshake and before its close.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// The number of symbols that the client watches, once it is open.
    pub(crate) fn symbol_count(&self, hub: &Hub) -> Option<usize> {
        match &self.state {
            State::Open(subscriber) => Some(hub.symbol_count(subscriber.reading().list)),
            _ => None,
        }
    }

    /// Whether the client waits for the tape to reach a stamp that it has from another server.
    pub(crate) fn is_awaiting(&self) -> bool {
        match &self.state {
            State::Open(subscriber) => subscriber.awaited().is_some(),
            _ => false,
        }
    }

    /// The timeout of the wait for a request, during that wait.
    pub(crate) fn handshake_timeout(&self) -> Option<Timeout> {
        match self.state {
            State::Handshaking { timeout, .. } => Some(timeout),
            _ => None,
        }
    }

    /// Postpones that timeout.
    pub(crate) fn set_handshake_timeout(&mut self, later: Timeout) {
        if let State::Handshaking { timeout, .. } = &mut self.state {
            *timeout = later;
        }
    }

    /// How many requests were answered on this connection, which has not become a WebSocket.
    pub(crate) fn answered(&self) -> u16 {
        match self.state {
            State::Handshaking { answered, .. } => answered,
            _ => 0,
        }
    }

    /// Whether the client has had answers and sent nothing since.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(&self.state, State::Handshaking { head, answered, .. }
            if *answered > 0 && head.is_empty())
    }

    /// Sends the answer to a request; another may follow.
    pub(crate) fn answer(&mut self, answer: &[u8], now: UptimeMs) -> Result<(), CloseReason> {
        if let State::Handshaking { answered, .. } = &mut self.state {
            *answered = answered.saturating_add(1);
        }
        self.outbox.send(answer, now).map_err(CloseReason::Failed)
    }

    /// Whether reading is costly at present, so that the connection has to wait for its turn.
    pub(crate) fn is_securing(&self) -> bool {
        self.outbox.is_securing()
    }

    /// Whether there may be something to read without an event to announce it. The end of a stream
    /// is not a byte, so a read that empties the socket does not report it.
    pub(crate) fn may_have_unread(&self) -> bool {
        !self.drained || self.ended
    }

    /// Whether the connection only waits for the client's end.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// Whether the client has yet to take some of the bytes sent to it.
    pub(crate) fn has_pending(&self) -> bool {
        self.outbox.has_pending()
    }

    /// Whether the client is open and its socket takes nothing although there is something to send.
    pub(crate) fn is_stuck(&self) -> bool {
        matches!(self.state, State::Open(_)) && self.outbox.stuck_since().is_some()
    }

    fn has_backlog(&self) -> bool {
        matches!(&self.state, State::Open(subscriber) if subscriber.has_backlog())
    }

    /// Handles readiness of the socket. If the turn has no room for more work, the client's
    /// requests wait.
    pub(crate) fn on_ready(
        &mut self,
        ready: Ready,
        must_wait: bool,
        context: &mut Context<'_>,
    ) -> Result<Action, CloseReason> {
        self.ended |= ready.closed;
        self.drained &= !ready.readable;
        let mut readable = ready.readable;
        if ready.writable {
            let had_pending = self.outbox.has_pending();
            self.outbox
                .on_writable(context.now)
                .map_err(CloseReason::Failed)?;
            // While an answer was pending nothing was read, and the edge for the unread bytes has
            // passed.
            readable |= had_pending && !self.outbox.has_pending() || self.has_backlog();
        }
        let next = if readable && (must_wait || self.outbox.is_securing()) {
            // Handshakes and heavy requests arrive many at once and are costly, so each takes its
            // turn.
            Action::More
        } else if readable {
            self.on_readable(context)?
        } else {
            Action::Wait
        };
        if ready.writable && context.hub.is_overworked() {
            self.leave_to_broadcast(context.hub);
        } else if ready.writable && self.pump(context)? == Progress::Finished {
            return Ok(Action::Finished);
        }
        Ok(next)
    }

    /// Leaves it to the broadcast to send the news for this client.
    fn leave_to_broadcast(&self, hub: &mut Hub) {
        if matches!(self.state, State::Open(_)) && self.outbox.is_clear() {
            hub.set_news(slot(self.token), true);
        }
    }

    /// Reads from the socket. One buffer is a turn's share.
    pub(crate) fn on_readable(&mut self, context: &mut Context<'_>) -> Result<Action, CloseReason> {
        if let State::Open(subscriber) = &mut self.state {
            let is_owed_much = subscriber.is_owed_much();
            if subscriber.has_backlog() && !self.outbox.has_pending() && !is_owed_much {
                let progress =
                    subscriber.on_backlog(slot(self.token), &mut self.outbox, context)?;
                if progress == Progress::Finished {
                    return Ok(Action::Finished);
                }
            }
            let must_wait = subscriber.must_wait_for_room(&self.outbox);
            if self.outbox.has_pending() || subscriber.has_backlog() && must_wait {
                // A client that leaves answers unread may not send more requests.
                subscriber.hold(context);
                return Ok(Action::Wait);
            }
            if subscriber.has_backlog() {
                return Ok(Action::More);
            }
        }
        if let State::Handshaking {
            head, is_behind, ..
        } = &mut self.state
        {
            if self.outbox.has_pending() {
                // A client that leaves answers unread gets no more of them.
                return Ok(Action::Wait);
            }
            if std::mem::take(is_behind) {
                let bytes = std::mem::take(head);
                let unread = self.may_have_unread();
                return self.on_bytes(&bytes, unread, context);
            }
        }
        let scratch = std::mem::take(&mut context.scratch);
        let received = self.outbox.receive(scratch);
        // A short read has emptied the socket; anything later brings a new edge.
        self.drained = !matches!(received, Ok(Some(length)) if length == scratch.len())
            && !self.outbox.has_unread();
        let next = match received {
            Ok(None) if self.may_have_unread() => Ok(Action::More),
            Ok(None) => Ok(Action::Wait),
            Ok(Some(0)) if self.is_closing() => Ok(self.on_end()),
            Ok(Some(0)) => self.on_early_end(),
            Ok(Some(length)) => {
                let unread = self.may_have_unread();
                self.on_bytes(&scratch[..length], unread, context)
            }
            Err(_) if self.is_closing() => Ok(Action::Gone),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(CloseReason::Tls(error)),
            Err(error) => Err(CloseReason::Failed(error)),
        };
        context.scratch = scratch;
        next
    }

    fn on_bytes(
        &mut self,
        bytes: &[u8],
        unread: bool,
        context: &mut Context<'_>,
    ) -> Result<Action, CloseReason> {
        let more = if unread { Action::More } else { Action::Wait };
        let plain = self.outbox.is_unexpectedly_plain();
        match &mut self.state {
            State::Handshaking { .. } if plain => Ok(Action::Head {
                head: Err(request::without_tls(bytes)),
                unread,
            }),
            State::Handshaking {
                head, is_behind, ..
            } => {
                let policy = Policy::of(context.config, self.endpoint);
                let Some((request, used)) = request::receive(head, bytes, policy) else {
                    return Ok(more);
                };
                // The head is complete, so its place is free.
                *head = bytes[used..].to_vec();
                *is_behind = !head.is_empty();
                let unread = unread || *is_behind;
                Ok(Action::Head {
                    head: request,
                    unread,
                })
            }
            State::Open(subscriber) if subscriber.wire() == Wire::Events => Err(CloseReason::Spoke),
            State::Open(subscriber) => {
                let slot = slot(self.token);
                let progress = subscriber.on_bytes(slot, bytes, &mut self.outbox, context)?;
                if progress == Progress::Finished {
                    return Ok(Action::Finished);
                }
                if subscriber.has_backlog() && !self.outbox.has_pending() {
                    let must_wait = subscriber.must_wait_for_room(&self.outbox);
                    return Ok(if must_wait {
                        Action::Wait
                    } else {
                        Action::More
                    });
                }
                if !unread {
                    subscriber.release();
                }
                Ok(more)
            }
            State::Closing => Ok(more),
        }
    }

    /// Completes the upgrade: answers with 101 and, in the same write, the newest ticks of the
    /// requested symbols; then the client reads the tape, from `since` if possible, otherwise from
    /// its head.
    pub(crate) fn open(
        &mut self,
        upgrade: Upgrade,
        context: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        let list = select(upgrade.symbols.as_deref(), context.hub).map_err(CloseReason::Refused)?;
        context.counters.opened += 1;
        context.counters.handshaking -= 1;
        context.counters.clients += 1;
        if upgrade.wire == Wire::Events {
            context.counters.streams += 1;
            self.outbox
                .socket()
                .limit_silence(context.config.slow_timeout);
        }
        let mut out = upgrade.response;
        let way = (upgrade.wire, upgrade.since, upgrade.delivery);
        let subscriber = Subscriber::new(slot(self.token), list, way, &mut out, context);
        self.state = State::Open(subscriber);
        self.outbox
            .send(&out, context.now)
            .map_err(CloseReason::Failed)
    }

    /// Ends the wait for the tape to reach the client's stamp.
    pub(crate) fn stop_waiting(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        if let State::Open(subscriber) = &mut self.state {
            subscriber.stop_waiting(context);
        }
        self.pump(context)
    }

    /// Adds new symbols to the client's list, where it selects them.
    pub(crate) fn refresh(&mut self, context: &mut Context<'_>) {
        if let State::Open(subscriber) = &mut self.state {
            subscriber.refresh(slot(self.token), context);
        }
    }

    /// Sends the client's news, as far as the socket takes it.
    pub(crate) fn pump(&mut self, context: &mut Context<'_>) -> Result<Progress, CloseReason> {
        match &mut self.state {
            State::Open(subscriber) if self.outbox.is_clear() => {
                subscriber.pump(slot(self.token), &mut self.outbox, context)
            }
            State::Open(subscriber) => {
                subscriber.pin(context.hub);
                Ok(Progress::Open)
            }
            _ => Ok(Progress::Open),
        }
    }

    /// Sends all of the client's news, as far as the socket takes it, before the goodbye.
    pub(crate) fn pump_last(&mut self, context: &mut Context<'_>) -> Result<Progress, CloseReason> {
        if self.is_awaiting() && !context.hub.is_closed() {
            // The client has not begun to read the tape.
            return Ok(Progress::Open);
        }
        if let State::Open(subscriber) = &mut self.state {
            subscriber.hasten(context.hub);
        }
        loop {
            let progress = self.pump(context)?;
            match &self.state {
                State::Open(subscriber) if subscriber.is_behind() && self.outbox.is_clear() => {}
                _ => return Ok(progress),
            }
        }
    }

    /// The time limit that the client has broken, if any; `ping` is the one whose pong is due.
    pub(crate) fn overdue(
        &self,
        now: UptimeMs,
        (ping, hub): (Ping, &Hub),
        slow: Duration,
    ) -> Option<CloseReason> {
        let State::Open(subscriber) = &self.state else {
            return None;
        };
        let stuck = self
            .outbox
            .stuck_since()
            .map(|since| now.wrapping_sub(since));
        if stuck.is_some_and(|stuck| Duration::from_millis(stuck.into()) > slow) {
            return Some(CloseReason::Slow);
        }
        // A ping that was not sent yet, or cannot have arrived, breaks no limit: the other limit
        // covers that case. A pong may also be among the bytes that are still unread.
        let is_sent = stuck.is_none() && subscriber.has_sent(ping.frame, hub);
        (is_sent && !self.queued && subscriber.owes_pong(ping.number))
            .then_some(CloseReason::NoPong)
    }

    /// Handles the client's end while it is not closing. A client that has sent part of a request
    /// may still read an answer.
    fn on_early_end(&self) -> Result<Action, CloseReason> {
        match &self.state {
            State::Handshaking { head, .. } if !head.is_empty() => Ok(Action::Head {
                head: Err(request::cut_off()),
                unread: false,
            }),
            State::Handshaking { answered: 1.., .. } => Err(CloseReason::Served),
            // That is how a client ends a stream of events.
            State::Open(subscriber) if subscriber.wire() == Wire::Events => {
                Err(CloseReason::ClosedByClient)
            }
            _ => Err(CloseReason::Vanished),
        }
    }

    /// Handles the client's end once the connection is closing. The client may still want the bytes
    /// on their way.
    fn on_end(&mut self) -> Action {
        if self.outbox.has_pending() {
            Action::Wait
        } else {
            Action::Gone
        }
    }

    /// Tells the client the reason, as its last message. Returns whether to wait for the client's
    /// own end: closing a socket at once could reset it, which would destroy that message.
    pub(crate) fn close(
        &mut self,
        reason: &CloseReason,
        answer: &[u8],
        context: &mut Context<'_>,
    ) -> bool {
        context.counters.closed(reason);
        let is_finished = self.outbox.is_finished();
        self.outbox.socket().note(Deed::Close {
            reason,
            is_finished,
        });
        if self.handshake_timeout().is_some() {
            context.counters.handshaking -= 1;
        }
        if let State::Open(subscriber) = &mut self.state {
            context.counters.clients -= 1;
            context.counters.streams -= u64::from(subscriber.wire() == Wire::Events);
            subscriber.leave(slot(self.token), context.hub);
        }
        let mut out = answer.to_vec();
        // A client that has received the closing frame from the tape does not get another: its
        // outbox is finished.
        if let (State::Open(subscriber), Some(code)) = (&self.state, reason.code()) {
            match subscriber.wire() {
                Wire::WebSocket => frame::close(&mut out, code, &reason.to_string()),
                Wire::Events => {
                    event_stream::write_close(&mut out, code.into(), &reason.to_string());
                }
            }
        }
        let sent = self.outbox.send_last(&out, context.now);
        let waits = sent.is_ok() && self.has_end_to_wait_for(reason);
        if waits {
            self.outbox.finish();
        } else if matches!(reason, CloseReason::Slow) {
            self.outbox.reset_on_drop();
        } else {
            self.outbox.send_close_notify();
        }
        self.state = State::Closing;
        waits
    }

    /// Whether the client's end is still to come after the goodbye for `reason`, and matters.
    fn has_end_to_wait_for(&self, reason: &CloseReason) -> bool {
        let silent = matches!(&self.state, State::Handshaking { head, .. } if head.is_empty());
        match reason {
            CloseReason::Vanished | CloseReason::Failed(_) | CloseReason::Slow => false,
            // A client that never sent anything has no bytes on the way that could cause a reset.
            CloseReason::HandshakeTimeout if silent => false,
            // Only the client's end is left to read.
            _ => self.outbox.has_pending() || !self.ended || !self.drained,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each client has one, and what comes before a WebSocket must not make it larger.
    #[test]
    fn a_request_takes_no_more_room_than_an_open_client() {
        assert!(size_of::<State>() <= size_of::<Subscriber>() + 8);
    }
}
