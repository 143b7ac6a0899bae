//! What happens to the client's connections: they are opened, served, and end.

use std::time::Instant;

use mio::{Interest, Token};

use super::connection::{Connection, Progress, State};
use super::connector::Next;
use super::failure::Failure;
use super::handshake::Handshake;
use super::{CONNECTIONS_PER_TURN, Client, Phase};
use crate::io_loop::{IoLoop, Ready, slot};

impl Client {
    /// Opens what may be opened now, a slice per turn.
    pub(super) fn open_more(&mut self, io_loop: &mut IoLoop<Self>) {
        for _ in 0..CONNECTIONS_PER_TURN {
            match self.connector.next(Instant::now()) {
                Next::Open => self.open(io_loop),
                Next::At(due) => {
                    io_loop.call_at(due, Self::open_more);
                    return;
                }
                Next::Wait | Next::Done => {
                    self.opening = false;
                    self.proceed(io_loop);
                    return;
                }
            }
        }
        io_loop.add_callback(Self::open_more);
    }

    fn open(&mut self, io_loop: &mut IoLoop<Self>) {
        let began = Instant::now();
        if let Err(failure) = self.try_open(io_loop, began) {
            self.connector.landed();
            self.tally.failed += 1;
            self.statistics.failure(&failure);
        }
    }

    fn try_open(&mut self, io_loop: &mut IoLoop<Self>, began: Instant) -> Result<(), Failure> {
        let mut socket = self.connector.open()?;
        let peer = self.connector.peer();
        let token = io_loop
            .add_handler(
                &mut socket,
                Interest::READABLE | Interest::WRITABLE,
                Self::on_event,
            )
            .map_err(|error| Failure::connect(peer, error))?;
        let limit = began + self.config.connect_timeout;
        let timeout = io_loop.call_at(limit, move |client, io_loop| {
            client.on_timeout(io_loop, token);
        });
        let handshake = Handshake::new(&self.config.url);
        let connection = Connection::new(socket, (token, timeout), peer, began, handshake);
        if self.connections.len() <= slot(token) {
            self.connections.resize_with(slot(token) + 1, || None);
        }
        self.connections[slot(token)] = Some(connection);
        self.tally.alive += 1;
        Ok(())
    }

    pub(super) fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(slot(token))?.as_mut();
        connection.filter(|connection| connection.token == token)
    }

    fn on_event(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        match self.connection(token).and_then(|it| it.unfinished.as_mut()) {
            // A callback is queued that will see to this as well.
            Some(unfinished) => {
                unfinished.writable |= ready.writable;
                unfinished.closed |= ready.closed;
            }
            None => self.serve(io_loop, token, ready),
        }
    }

    fn go_on(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let unfinished = self.connection(token).and_then(|it| it.unfinished.take());
        if let Some(ready) = unfinished {
            self.serve(io_loop, token, ready);
        }
    }

    fn serve(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        // Not through `connection`, which would borrow the buffer and the counts, too.
        let slot = self.connections.get_mut(slot(token));
        let connection = slot.and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.token == token) else {
            return;
        };
        let was_joining = connection.is_joining();
        let progress = connection.on_ready(ready, &mut self.scratch, &mut self.statistics);
        let has_joined = was_joining && !connection.is_joining();
        let asks = connection.listener.asking.is_some();
        if let Ok(Progress::Unfinished) = progress {
            connection.unfinished = Some(ready);
            io_loop.add_callback(move |client, io_loop| client.go_on(io_loop, token));
        }
        if has_joined {
            self.on_join(io_loop, token);
        }
        if let Err(failure) = progress {
            self.on_end(io_loop, token, &failure);
        } else if asks {
            // What came may have been the reply that the next request waited for.
            self.ask_held_back(io_loop, token);
        }
    }

    fn on_join(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if let Some(connection) = self.connection(token) {
            io_loop.remove_timeout(connection.timeout);
        }
        self.tally.joined += 1;
        self.tally.change_open(|open| open + 1);
        self.on_landing(io_loop);
    }

    /// One less in flight: room for the next, or the end of the joining.
    fn on_landing(&mut self, io_loop: &mut IoLoop<Self>) {
        self.connector.landed();
        if !self.opening {
            self.opening = true;
            io_loop.add_callback(Self::open_more);
        }
    }

    fn on_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let limit = self.config.connect_timeout;
        let failure = match self.connection(token).map(|it| (&it.state, it.peer)) {
            Some((State::Connecting(_), peer)) => Failure::ConnectTimedOut(peer, limit),
            Some((State::Handshaking(_), _)) => Failure::HandshakeTimedOut(limit),
            _ => return,
        };
        self.on_end(io_loop, token, &failure);
    }

    /// The one place where a connection's end is counted.
    pub(super) fn on_end(&mut self, io_loop: &mut IoLoop<Self>, token: Token, failure: &Failure) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        let peer = connection.peer;
        let state = std::mem::replace(&mut connection.state, State::Draining);
        if failure.is_answered() && !matches!(state, State::Draining) {
            // What remains is to see the server end the stream.
            self.drain(io_loop, token);
        } else {
            self.remove(io_loop, token);
        }
        match state {
            State::Connecting(_) | State::Handshaking(_) => {
                let nobody_joined = self.phase == Phase::Joining && self.tally.joined == 0;
                let elsewhere = nobody_joined && failure.is_unreachable();
                if !(elsewhere && self.connector.fall_back(peer)) {
                    self.tally.failed += 1;
                    self.statistics.failure(failure);
                }
                self.on_landing(io_loop);
            }
            State::Open(_) => {
                self.tally.change_open(|open| open - 1);
                self.statistics.failure(failure);
            }
            State::Closing(_) | State::Draining => {}
        }
        self.proceed(io_loop);
    }

    /// Reads on for the end of the stream, which the last event may have told already.
    fn drain(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        connection.unfinished = Some(Ready {
            readable: true,
            writable: false,
            closed: true,
        });
        io_loop.add_callback(move |client, io_loop| client.go_on(io_loop, token));
    }

    /// The one place where a connection goes.
    pub(super) fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(slot(token)).and_then(Option::take);
        if let Some(mut connection) = connection {
            io_loop.remove_timeout(connection.timeout);
            // It can only fail for a socket that is not watched, and then all is well.
            let _ = io_loop.remove_handler(&mut connection.socket, token);
            self.end_measuring(&mut connection.listener, slot(token));
            self.tally.alive -= 1;
        }
    }
}
