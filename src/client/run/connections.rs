//! Opens and serves the connections of a run, and counts how they end.

use std::mem;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, Ready, slot};
use mio::{Interest, Token};

use crate::client::error_kind::ErrorKind;
use crate::client::measure::listener::{Answer, Subscription};
use crate::client::run::connector::Next;
use crate::client::run::phase::Phase;
use crate::client::run::session::{Delivery, Session};
use crate::client::run::state::{CONNECTIONS_PER_TURN, Run};
use crate::client::run::users::Place;
use crate::client::ws::connection::{Connection, Progress, State};
use crate::client::ws::error::{ConnectionError, short};
use crate::client::ws::handshake::Handshake;
use crate::client::ws::stream::Stream;

impl Run {
    /// Opens the connections that are due, a slice per turn.
    pub(super) fn open_more(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase.is_over() {
            // Clients that left on purpose just as the run ended: reconnecting them would only
            // delay its end.
            self.tally.away -= self.returning.drain(..).count();
        }
        for _ in 0..CONNECTIONS_PER_TURN {
            if let Some(number) = self.next_to_return() {
                self.open(io_loop, number);
                continue;
            }
            match self.connector.next(Instant::now()) {
                Next::Open => {
                    let number = self.users.give();
                    self.open(io_loop, number);
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

    /// Opens the connections that are due, unless that is already queued.
    pub(super) fn see_to_opening(&mut self, io_loop: &mut IoLoop<Self>) {
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

    fn next_to_return(&mut self) -> Option<usize> {
        if self.connector.has_room() {
            self.returning.pop_front()
        } else {
            None
        }
    }

    /// Opens a connection for the user `number`.
    fn open(&mut self, io_loop: &mut IoLoop<Self>, number: usize) {
        let began = Instant::now();
        let is_return = self.users.get(number).returning.is_some();
        if let Err(error) = self.try_open(io_loop, began, number) {
            self.connector.settled(is_return);
            self.note_error(&error);
            if is_return {
                self.on_failed_return(io_loop, number);
            } else {
                self.tally.failed += 1;
            }
        }
    }

    fn try_open(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        began: Instant,
        number: usize,
    ) -> Result<(), ConnectionError> {
        let user = self.users.get(number);
        let (is_slow, is_return) = (user.is_slow, user.returning.is_some());
        let returning = user.returning.as_ref();
        let since = returning.and_then(|returning| returning.past.since);
        let mut stream = self.connect(is_slow, is_return)?;
        let peer = self.connector.peer();
        let token = io_loop
            .add_handler(
                stream.socket(),
                Interest::READABLE | Interest::WRITABLE,
                Self::on_event,
            )
            .map_err(|error| ConnectionError::connect(peer, error))?;
        let limit = began + self.config.connect_timeout;
        let timeout = io_loop.call_at(limit, move |run, io_loop| {
            run.on_timeout(io_loop, token);
        });
        // Only a server that stamps ticks in our format understands `since`.
        let since = since.filter(|_| self.config.fields.are_own());
        let url = &self.config.url;
        let lists = self.lists.as_mut();
        let (symbols, asked) =
            lists.map_or_else(Default::default, |lists| lists.query(url, number));
        let handshake = Handshake::new(url, &self.config.access.headers, (since, &symbols));
        let connection = Connection::new(stream, peer, handshake, is_slow, began);
        let user = (number, is_return);
        let mut session = Session::new(connection, (token, timeout), user, began);
        session.listener.subscription = Subscription::by_url(asked);
        if let Some(unfinished) = self.users.get(number).take_unfinished(token) {
            session.listener.resume(unfinished);
        }
        if self.sessions.len() <= slot(token) {
            self.sessions.resize_with(slot(token) + 1, || None);
        }
        self.sessions[slot(token)] = Some(session);
        self.tally.alive += 1;
        Ok(())
    }

    fn connect(&mut self, is_slow: bool, is_return: bool) -> Result<Stream, ConnectionError> {
        let socket = if is_return {
            self.connector.open_again(is_slow)?
        } else {
            self.connector.open(is_slow)?
        };
        Ok(match &self.tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                let secured = tls.connect(socket).map_err(ConnectionError::broken)?;
                Stream::Tls(Box::new(secured))
            }
        })
    }

    fn on_event(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        let session = self.session(token);
        match session.and_then(|session| session.unfinished.as_mut()) {
            // A callback is queued that will handle this event, too.
            Some(unfinished) => {
                unfinished.writable |= ready.writable;
                unfinished.closed |= ready.closed;
            }
            None => self.serve(io_loop, token, ready),
        }
    }

    fn resume_read(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let session = self.session(token);
        if let Some(ready) = session.and_then(|session| session.unfinished.take()) {
            self.serve(io_loop, token, ready);
        }
    }

    fn serve(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        // Not through `session()`, which would also borrow the buffer and the counts.
        let session = self.sessions.get_mut(slot(token)).and_then(Option::as_mut);
        let Some(session) = session.filter(|session| session.token == token) else {
            return;
        };
        let was_joining = session.connection.is_joining();
        let mut delivery = Delivery {
            observer: &mut self.observer,
            listener: &mut session.listener,
            user: self.users.get(session.user),
            printer: self.printer.as_deref_mut(),
        };
        let connection = &mut session.connection;
        let progress = connection.on_ready(ready, &mut self.scratch, &mut delivery);
        let has_joined = was_joining && !connection.is_joining();
        let has_requests = session.listener.outstanding.is_some();
        let answer = session.listener.subscription.take_answer();
        if let Ok(Progress::Unfinished) = progress {
            session.unfinished = Some(ready);
            io_loop.add_callback(move |run, io_loop| run.resume_read(io_loop, token));
        }
        if has_joined {
            self.on_join(io_loop, token);
        }
        self.schedule_printing(io_loop);
        if let Some(Answer::Refused(words)) = &answer {
            self.note_refusal(words);
        }
        if let Err(error) = progress {
            self.on_end(io_loop, token, &error);
            return;
        }
        if answer == Some(Answer::Accepted) {
            self.complete_list(io_loop, token);
        }
        if has_requests {
            // The next request may have been waiting for a reply that has just arrived.
            self.send_held_back(io_loop, token);
        }
    }

    /// Counts a refusal of the server to add symbols to a list.
    fn note_refusal(&mut self, words: &str) {
        let words = short(words);
        let sentence = "the server refused to add symbols to a --watch list:";
        let sentence = format!("{sentence} {words}");
        let kind = ErrorKind::SubscribeRefused;
        self.observer.error(kind, sentence.trim_end());
    }

    /// Requests the symbols of a client's list that its URL had no room for: one message at a time,
    /// each after the answer to the one before.
    fn complete_list(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let session = self.sessions.get_mut(slot(token));
        let (Some(Some(session)), Some(lists)) = (session, &mut self.lists) else {
            return;
        };
        let subscription = &mut session.listener.subscription;
        if subscription.is_over(lists.count()) || self.phase.is_over() {
            return;
        }
        let (text, symbols) = lists.request(session.user, subscription.symbols);
        *subscription = Subscription::pending(symbols);
        if let Err(error) = session.connection.send(text) {
            self.on_end(io_loop, token, &error);
        }
    }

    fn on_join(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(session) = self.session(token) else {
            return;
        };
        let (is_return, is_slow) = (session.is_return, session.connection.is_slow);
        io_loop.remove_timeout(session.timeout);
        if is_return {
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
        self.on_settled(io_loop, is_return);
    }

    /// Notes that a user has joined on its connection.
    fn arrive(&mut self, token: Token) {
        let Some(Some(session)) = self.sessions.get_mut(slot(token)) else {
            return;
        };
        let requests = &mut self.observer.measurement.requests;
        if let (Some(outstanding), Some(requests)) = (&mut session.listener.outstanding, requests) {
            requests.give_up_lost(outstanding, Instant::now());
        }
        let user = self.users.get(session.user);
        if !user.is_slow {
            user.place = Place::At(token);
        }
    }

    /// Keeps what is due on a lost connection.
    fn leave_behind(&mut self, token: Token) {
        let Some(Some(session)) = self.sessions.get_mut(slot(token)) else {
            return;
        };
        let user = self.users.get(session.user);
        if let Place::At(_) = user.place {
            let mut unfinished = session.listener.take_unfinished();
            let requests = &mut self.observer.measurement.requests;
            if let (Some(outstanding), Some(requests)) = (&mut unfinished.outstanding, requests) {
                requests.lose(outstanding);
            }
            user.place = Place::Away(Box::new(unfinished));
        }
    }

    /// Reads a little for a slow reader, once a second.
    fn read_slowly(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        // Not through `session()`, which would also borrow the counts.
        let session = self.sessions.get_mut(slot(token)).and_then(Option::as_mut);
        let session =
            session.filter(|session| session.token == token && session.connection.reads_little());
        let Some(session) = session else {
            return;
        };
        let mut delivery = Delivery {
            observer: &mut self.observer,
            listener: &mut session.listener,
            user: self.users.get(session.user),
            printer: self.printer.as_deref_mut(),
        };
        match session.connection.read_little(&mut delivery) {
            Ok(()) => Self::read_slowly_later(io_loop, token),
            Err(error) => self.on_end(io_loop, token, &error),
        }
    }

    fn read_slowly_later(io_loop: &mut IoLoop<Self>, token: Token) {
        io_loop.call_later(SLOW_PAUSE, move |run: &mut Self, io_loop| {
            run.read_slowly(io_loop, token);
        });
    }

    /// A connection is no longer in flight: there is room for the next, or joining is complete.
    fn on_settled(&mut self, io_loop: &mut IoLoop<Self>, is_return: bool) {
        self.connector.settled(is_return);
        self.see_to_opening(io_loop);
    }

    fn on_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let limit = self.config.connect_timeout;
        let session = self.session(token);
        if let Some(error) = session.and_then(|session| session.connection.timed_out(limit)) {
            self.on_end(io_loop, token, &error);
        }
    }

    /// Counts the end of a connection. No other place does.
    pub(super) fn on_end(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        error: &ConnectionError,
    ) {
        let Some(session) = self.session(token) else {
            return;
        };
        let (is_slow, is_return) = (session.connection.is_slow, session.is_return);
        let (user, peer) = (session.user, session.connection.peer);
        let state = mem::replace(&mut session.connection.state, State::Draining);
        if !matches!(state, State::Closing(_) | State::Draining) {
            self.leave_behind(token);
        }
        if let State::Open(_) = state {
            self.on_loss(io_loop, token);
        }
        if error.is_answered() && !matches!(state, State::Draining) {
            // The server still has to end the stream.
            self.drain(io_loop, token);
            self.limit_closing(io_loop, token);
        } else {
            self.remove(io_loop, token);
        }
        match state {
            State::Connecting(_) | State::Handshaking(_) => {
                let falls_back = self.may_fall_back(error) && self.connector.fall_back(peer);
                if falls_back {
                    self.users.take_back(user);
                } else {
                    self.on_failed_join(io_loop, (user, is_return), error);
                }
                self.on_settled(io_loop, is_return);
            }
            State::Open(_) => {
                self.tally.leave(is_slow);
                if is_slow {
                    self.observer.measurement.slow.end(error.kind());
                } else {
                    self.note_error(error);
                }
            }
            State::Closing(_) | State::Draining => {}
        }
        self.proceed(io_loop);
    }

    /// Whether to try another address of the server, since this one has not been reached yet.
    fn may_fall_back(&self, error: &ConnectionError) -> bool {
        let nobody_joined = self.phase == Phase::Joining && self.tally.joined == 0;
        nobody_joined && error.is_unreachable()
    }

    fn on_failed_join(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        (user, is_return): (usize, bool),
        error: &ConnectionError,
    ) {
        self.note_error(error);
        if is_return {
            self.on_failed_return(io_loop, user);
        } else {
            self.tally.failed += 1;
        }
    }

    /// Reads until the end of the stream, which the last event may already have announced.
    pub(super) fn drain(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(session) = self.session(token) else {
            return;
        };
        session.unfinished = Some(Ready {
            readable: true,
            writable: false,
            closed: true,
        });
        io_loop.add_callback(move |run, io_loop| run.resume_read(io_loop, token));
    }

    /// Removes a connection. No other place does.
    pub(super) fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let session = self.sessions.get_mut(slot(token)).and_then(Option::take);
        if let Some(mut session) = session {
            io_loop.remove_timeout(session.timeout);
            // It can only fail for a socket that is not registered, which is fine.
            let _ = io_loop.remove_handler(session.connection.stream.socket(), token);
            self.end_measuring(&mut session.listener, session.user);
            self.tally.alive -= 1;
        }
    }
}

/// How long a slow reader waits between two reads.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
