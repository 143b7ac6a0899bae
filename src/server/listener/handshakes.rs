//! Opening handshakes: the time limit of a request, and the queue of TLS handshakes.

use std::time::Instant;

use ioloop::{IoLoop, Timeout};
use mio::Token;
use tungstenite::http::StatusCode;

use crate::server::close::CloseReason;
use crate::server::http::response;
use crate::server::http::router::Endpoint;
use crate::server::rejection::Rejection;
use crate::server::socket::{Socket, Transport};
use crate::server::turns::Turn;
use crate::server::{Server, TURN_SHARE};

impl<S: Transport> Server<S> {
    /// Limits the wait for a request. The system may have kept the connection for a part of that
    /// time; the server asks about that only when it matters.
    pub(super) fn limit_handshake(
        &self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        endpoint: Endpoint,
    ) -> Timeout {
        let end = io_loop.time() + self.config.handshake_timeout;
        let silence = self.acceptor.silence();
        if silence.is_zero() || endpoint == Endpoint::Admin {
            return end_handshake_at(io_loop, end, token);
        }
        io_loop.call_at(end - silence, move |server, io_loop| {
            let connection = server.connections.get_mut(token);
            let waiting = connection.filter(|connection| connection.handshake_timeout().is_some());
            let Some(connection) = waiting else {
                return;
            };
            let end = if connection.socket().was_deferred() {
                io_loop.time()
            } else {
                end
            };
            connection.set_handshake_timeout(end_handshake_at(io_loop, end, token));
        })
    }

    /// Limits the wait for the next request on a connection, and for the client to take the answer
    /// to the one before.
    pub(crate) fn limit_idle(
        &self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        has_pending: bool,
    ) -> Timeout {
        let limit = if has_pending {
            self.config.slow_timeout
        } else {
            self.config.http_idle
        };
        let end = io_loop.time() + limit;
        end_handshake_at(io_loop, end, token)
    }

    /// Handles the time limit of a request, after all pending events. If an event only put the
    /// connection into a queue, bytes that came in time are read before the limit applies.
    fn on_handshake_limit(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(token);
        let queued = connection.filter(|connection| connection.queued);
        let is_securing = queued.map(|connection| connection.is_securing());
        match (is_securing, &mut self.tls) {
            (Some(true), Some(tls)) => tls.queue.end(token),
            (Some(_), _) => self.take_turn(io_loop, Turn::End(token)),
            (None, _) => self.on_handshake_timeout(io_loop, token),
        }
    }

    pub(crate) fn on_handshake_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(token);
        let Some(connection) = connection.filter(|one| one.handshake_timeout().is_some()) else {
            return;
        };
        if connection.answered() > 0 && connection.has_pending() {
            return self.close(io_loop, token, &CloseReason::Slow, &[]);
        }
        if connection.is_between_requests() {
            return self.close(io_loop, token, &CloseReason::Served, &[]);
        }
        let rejection = Rejection::new(StatusCode::REQUEST_TIMEOUT, "no request in time");
        let answer = response::reject(&rejection);
        self.close(io_loop, token, &CloseReason::HandshakeTimeout, &answer);
    }

    /// Queues a TLS handshake to continue. Handshakes take turns, so that many at once do not hold
    /// up other clients.
    pub(crate) fn secure_soon(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(tls) = &mut self.tls else {
            return;
        };
        if tls.queue.read(token) {
            io_loop.add_callback(Self::secure_some);
        }
    }

    fn secure_some(&mut self, io_loop: &mut IoLoop<Self>) {
        let until = io_loop.time() + TURN_SHARE;
        while let Some(turn) = self.tls.as_mut().and_then(|tls| tls.queue.next()) {
            match turn {
                Turn::Read(token) => self.on_more(io_loop, token),
                Turn::End(token) => self.on_handshake_timeout(io_loop, token),
            }
            if io_loop.time() >= until {
                break;
            }
        }
        if self.tls.as_mut().is_some_and(|tls| tls.queue.goes_on()) {
            io_loop.add_callback(Self::secure_some);
        }
    }
}

fn end_handshake_at<S: Transport>(
    io_loop: &mut IoLoop<Server<S>>,
    end: Instant,
    token: Token,
) -> Timeout {
    io_loop.call_at(end, move |_, io_loop| {
        // If the process was paused, a request that came in time may still be unread.
        io_loop.call_after_events(move |server: &mut Server<S>, io_loop| {
            server.on_handshake_limit(io_loop, token);
        });
    })
}
