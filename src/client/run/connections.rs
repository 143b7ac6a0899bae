//! What happens to the client's connections: they are opened, served, and end.

use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, Ready, slot};
use mio::{Interest, Token};

use crate::client::measure::subscription::Asked;
use crate::client::run::connector::Next;
use crate::client::run::users::Seat;
use crate::client::run::{CONNECTIONS_PER_TURN, Client, Phase};
use crate::client::ws::connection::{Connection, Progress, State};
use crate::client::ws::error::Failure;
use crate::client::ws::handshake::Handshake;
use crate::client::ws::stream::Stream;

impl Client {
    /// Opens what may be opened now, a slice per turn.
    pub(in crate::client) fn open_more(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase.is_over() {
            // Clients that left on purpose just as the run ended: to connect them again would only
            // delay its end.
            self.tally.away -= self.returning.drain(..).count();
        }
        for _ in 0..CONNECTIONS_PER_TURN {
            if let Some(seat) = self.next_to_return() {
                self.open(io_loop, seat);
                continue;
            }
            match self.connector.next(Instant::now()) {
                Next::Open => {
                    let seat = self.seats.give();
                    self.open(io_loop, seat);
                }
                Next::At(due) => {
                    self.opening = false;
                    self.open_at(io_loop, due);
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

    /// Opens what may be opened, if nobody does so already.
    pub(in crate::client) fn see_to_opening(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.opening {
            self.opening = true;
            io_loop.add_callback(Self::open_more);
        }
    }

    fn open_at(&mut self, io_loop: &mut IoLoop<Self>, due: Instant) {
        let timeout = io_loop.call_at(due, Self::see_to_opening);
        if let Some(earlier) = self.ramp_timeout.replace(timeout) {
            io_loop.remove_timeout(earlier);
        }
    }

    fn next_to_return(&mut self) -> Option<Seat> {
        if self.connector.has_room() {
            self.returning.pop_front()
        } else {
            None
        }
    }

    fn open(&mut self, io_loop: &mut IoLoop<Self>, mut seat: Seat) {
        let began = Instant::now();
        let has_been = seat.way_back.is_some();
        if let Err(failure) = self.try_open(io_loop, began, &mut seat) {
            self.connector.landed(has_been);
            self.statistics.failure(&failure);
            if has_been {
                self.on_failed_return(io_loop, seat);
            } else {
                self.tally.failed += 1;
            }
        }
    }

    /// Takes the seat if it succeeds.
    fn try_open(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        began: Instant,
        seat: &mut Seat,
    ) -> Result<(), Failure> {
        let socket = match seat.way_back {
            None => self.connector.open(seat.slow)?,
            Some(_) => self.connector.open_again(seat.slow)?,
        };
        let mut stream = match &self.secrets {
            None => Stream::Plain(socket),
            Some(secrets) => {
                Stream::Tls(Box::new(secrets.secure(socket).map_err(Failure::broken)?))
            }
        };
        let peer = self.connector.peer();
        let token = io_loop
            .add_handler(
                stream.socket(),
                Interest::READABLE | Interest::WRITABLE,
                Self::on_event,
            )
            .map_err(|error| Failure::connect(peer, error))?;
        let limit = began + self.config.connect_timeout;
        let timeout = io_loop.call_at(limit, move |client, io_loop| {
            client.on_timeout(io_loop, token);
        });
        // Only a server that stamps its ticks as ours does knows what to do with it.
        let way_back = seat
            .way_back
            .as_ref()
            .filter(|_| self.config.fields.are_own());
        let since = way_back.and_then(|way_back| way_back.since);
        let url = &self.config.url;
        let lists = self.lists.as_mut();
        let (symbols, asked) = lists.map_or_else(Default::default, |it| it.query(url, seat.number));
        let headers = &self.config.access.headers;
        let handshake = Handshake::new(url, headers, (since, &symbols));
        let client = (handshake, mem::take(seat));
        let mut connection = Connection::new(stream, (token, timeout), peer, began, client);
        connection.listener.asked.symbols = asked;
        let number = connection.number;
        if self.connections.len() <= slot(token) {
            self.connections.resize_with(slot(token) + 1, || None);
        }
        self.connections[slot(token)] = Some(connection);
        self.tally.alive += 1;
        self.bring_along(number, token);
        Ok(())
    }

    pub(in crate::client) fn connection(&mut self, token: Token) -> Option<&mut Connection> {
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
        let goes_on = connection.listener.asked.take_answered();
        if let Ok(Progress::Unfinished) = progress {
            connection.unfinished = Some(ready);
            io_loop.add_callback(move |client, io_loop| client.go_on(io_loop, token));
        }
        if has_joined {
            self.on_join(io_loop, token);
        }
        if self
            .statistics
            .printer
            .as_mut()
            .is_some_and(|it| it.must_schedule())
        {
            io_loop.add_callback(Self::write_ticks);
        }
        if let Err(failure) = progress {
            self.on_end(io_loop, token, &failure);
            return;
        }
        if goes_on {
            self.complete_list(io_loop, token);
        }
        if asks {
            // What came may have been the reply that the next request waited for.
            self.ask_held_back(io_loop, token);
        }
    }

    /// Asks for those symbols of a client's list that its URL had no room for: a message at a time,
    /// each once the one before has been answered.
    fn complete_list(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let slot = self.connections.get_mut(slot(token));
        let (Some(Some(connection)), Some(lists)) = (slot, &mut self.lists) else {
            return;
        };
        let asked = connection.listener.asked;
        if asked.is_over(lists.count()) || self.phase.is_over() {
            return;
        }
        let (text, symbols) = lists.request(connection.number, asked.symbols);
        connection.listener.asked = Asked::waiting(symbols);
        if let Err(failure) = connection.send(text) {
            self.on_end(io_loop, token, &failure);
        }
    }

    fn on_join(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        let (has_been, is_slow) = (connection.has_been, connection.seat.slow);
        io_loop.remove_timeout(connection.timeout);
        if has_been {
            self.tally.away -= 1;
        } else {
            self.tally.joined += 1;
        }
        self.arrive(token);
        self.tally.enter(is_slow);
        if is_slow {
            Self::read_slowly_later(io_loop, token);
        } else {
            self.complete_list(io_loop, token);
        }
        self.on_landing(io_loop, has_been);
    }

    /// What a client that hardly reads does every second.
    fn read_slowly(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        // Not through `connection`, which would borrow the counts, too.
        let connection = self
            .connections
            .get_mut(slot(token))
            .and_then(Option::as_mut);
        let Some(connection) = connection.filter(|it| it.token == token && it.is_slow()) else {
            return;
        };
        match connection.read_little(&mut self.statistics) {
            Ok(()) => Self::read_slowly_later(io_loop, token),
            Err(failure) => self.on_end(io_loop, token, &failure),
        }
    }

    fn read_slowly_later(io_loop: &mut IoLoop<Self>, token: Token) {
        io_loop.call_later(SLOW_PAUSE, move |client: &mut Self, io_loop| {
            client.read_slowly(io_loop, token);
        });
    }

    /// One less in flight: room for the next, or the end of the joining.
    fn on_landing(&mut self, io_loop: &mut IoLoop<Self>, had_joined_before: bool) {
        self.connector.landed(had_joined_before);
        self.see_to_opening(io_loop);
    }

    fn on_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let limit = self.config.connect_timeout;
        let Some(failure) = self.connection(token).and_then(|it| it.timed_out(limit)) else {
            return;
        };
        self.on_end(io_loop, token, &failure);
    }

    /// The one place where a connection's end is counted.
    pub(in crate::client) fn on_end(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        failure: &Failure,
    ) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        let (peer, is_slow) = (connection.peer, connection.seat.slow);
        let state = mem::replace(&mut connection.state, State::Draining);
        let mut seat = Seat::default();
        if !matches!(state, State::Open(_)) {
            seat = mem::take(&mut connection.seat);
        }
        if !matches!(state, State::Closing(_) | State::Draining) {
            self.leave_behind(token);
        }
        if let State::Open(_) = state {
            self.on_loss(io_loop, token);
        }
        if failure.is_answered() && !matches!(state, State::Draining) {
            // What remains is to see the server end the stream.
            self.drain(io_loop, token);
            self.limit_closing(io_loop, token);
        } else {
            self.remove(io_loop, token);
        }
        match state {
            State::Connecting(_) | State::Handshaking(_) => {
                self.on_failed_join(io_loop, (seat, peer), failure);
            }
            State::Open(_) => {
                self.tally.leave(is_slow);
                match is_slow {
                    true => self.statistics.slow.end(failure),
                    false => self.statistics.failure(failure),
                }
            }
            State::Closing(_) | State::Draining => {}
        }
        self.proceed(io_loop);
    }

    fn on_failed_join(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        (seat, peer): (Seat, SocketAddr),
        failure: &Failure,
    ) {
        let had_joined_before = seat.way_back.is_some();
        let nobody_joined = self.phase == Phase::Joining && self.tally.joined == 0;
        let elsewhere = nobody_joined && failure.is_unreachable();
        if elsewhere && self.connector.fall_back(peer) {
            self.seats.take_back(&seat);
        } else {
            self.statistics.failure(failure);
            if had_joined_before {
                self.on_failed_return(io_loop, seat);
            } else {
                self.tally.failed += 1;
            }
        }
        self.on_landing(io_loop, had_joined_before);
    }

    /// Reads on for the end of the stream, which the last event may have told already.
    pub(in crate::client) fn drain(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
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
    pub(in crate::client) fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(slot(token)).and_then(Option::take);
        if let Some(mut connection) = connection {
            io_loop.remove_timeout(connection.timeout);
            // It can only fail for a socket that is not watched, and then all is well.
            let _ = io_loop.remove_handler(connection.stream.socket(), token);
            self.end_measuring(&mut connection.listener, connection.number);
            self.tally.alive -= 1;
        }
    }
}

/// How long a client that hardly reads waits between two reads.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
