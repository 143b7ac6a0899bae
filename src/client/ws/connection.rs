//! One connection's states, from the call of connect to the end of its stream.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::{Ready, Timeout};
use mio::Token;

use crate::client::measure::catching_up::Apart;
use crate::client::measure::clock::Arrival;
use crate::client::measure::listener::Listener;
use crate::client::measure::observer::Statistics;
use crate::client::measure::sequence::Sequences;
use crate::client::run::users::{Seat, WayBack};
use crate::client::ws::error::{Failure, NO_TLS};
use crate::client::ws::frames::Inbox;
use crate::client::ws::handshake::Handshake;
use crate::client::ws::stream::Stream;
use crate::feed::Backoff;

/// A connection to the server. It owns its socket, but no buffer while it is at rest.
#[derive(Debug)]
pub(in crate::client) struct Connection {
    pub(in crate::client) stream: Stream,
    pub(in crate::client) token: Token,
    /// Where it was opened to.
    pub(in crate::client) peer: SocketAddr,
    /// The limit on joining; removed once it has joined.
    pub(in crate::client) timeout: Timeout,
    /// What a queued callback will go on with. Events leave the reading to it meanwhile.
    pub(in crate::client) unfinished: Option<Ready>,
    pub(in crate::client) state: State,
    /// Whose it is.
    pub(in crate::client) seat: Seat,
    /// Its client's number.
    pub(in crate::client) number: usize,
    /// Whether its client had another one before.
    pub(in crate::client) has_been: bool,
    pub(in crate::client) listener: Listener,
    began: Instant,
    /// What the connection before had seen last.
    since: Option<u64>,
}

/// Where a connection stands.
#[derive(Debug)]
pub(in crate::client) enum State {
    /// The connect is under way.
    Connecting(Box<Handshake>),
    /// Connected; the request or the response is under way.
    Handshaking(Box<Handshake>),
    /// Upgraded: ticks come.
    Open(Inbox),
    /// Our close frame is out. What was sent before it got there still comes.
    Closing(Inbox),
    /// The closing handshake is over; the server ends the stream, so that it and not this side,
    /// which needs its ports for the next run, keeps the address occupied (TIME_WAIT).
    Draining,
}

/// What became of the work at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Progress {
    /// All is done until the next event.
    Idle,
    /// There is more to read, but others are waiting.
    Unfinished,
}

impl Connection {
    /// A connection whose connect was called at `began`.
    pub(in crate::client) fn new(
        stream: Stream,
        (token, timeout): (Token, Timeout),
        peer: SocketAddr,
        began: Instant,
        (handshake, seat): (Handshake, Seat),
    ) -> Self {
        Self {
            stream,
            token,
            peer,
            timeout,
            unfinished: None,
            state: State::Connecting(Box::new(handshake)),
            has_been: seat.way_back.is_some(),
            number: seat.number,
            seat,
            listener: Listener::new(began),
            began,
            since: None,
        }
    }

    /// What it means that the limit on joining has passed; nothing for one that has joined.
    pub(in crate::client) fn timed_out(&self, limit: Duration) -> Option<Failure> {
        match self.state {
            State::Connecting(_) => Some(Failure::ConnectTimedOut(self.peer, limit)),
            State::Handshaking(_) if self.stream.is_securing() => Some(Failure::TlsTimedOut(limit)),
            State::Handshaking(_) => Some(Failure::HandshakeTimedOut(limit)),
            State::Open(_) | State::Closing(_) | State::Draining => None,
        }
    }

    /// How long ago connect was called.
    pub(in crate::client) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether it has not been upgraded yet.
    pub(in crate::client) fn is_joining(&self) -> bool {
        matches!(self.state, State::Connecting(_) | State::Handshaking(_))
    }

    /// Whether it has been upgraded and nobody has begun to close it.
    pub(in crate::client) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether a tick has come.
    pub(in crate::client) fn has_heard(&self) -> bool {
        self.listener.has_heard()
    }

    /// Whether it leaves what arrives to [`read_little`](Self::read_little).
    pub(in crate::client) fn is_slow(&self) -> bool {
        self.seat.slow && self.is_open()
    }

    /// One read of what a slow client takes at a time.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(in crate::client) fn read_little(
        &mut self,
        statistics: &mut Statistics,
    ) -> Result<(), Failure> {
        let mut little = [0; SLOW_READ_SIZE];
        match self.stream.read(&mut little) {
            Ok(0) => Err(self.end_of_stream()),
            Ok(length) => self.take(&little[..length], Arrival::now(), statistics),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Failure::broken(error)),
        }
    }

    /// What its client takes along to its next connection.
    pub(in crate::client) fn leave(&mut self, backoff: Option<Backoff>) -> Seat {
        let mut sequences = match self.listener.apart.take().map(|apart| *apart) {
            Some(Apart::Slow(sequences)) => sequences,
            Some(Apart::Back(back)) => back.before,
            None => Sequences::default(),
        };
        sequences.catch_up(&self.listener.sequences);
        let way_back = WayBack {
            left: Instant::now(),
            backoff,
            since: self.listener.sent_us.or(self.since),
            sequences,
        };
        Seat {
            way_back: Some(Box::new(way_back)),
            ..std::mem::take(&mut self.seat)
        }
    }

    /// Does what the socket is ready for, as far as one turn has time for it. `scratch` is the
    /// buffer that all connections read into, one after the other.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(in crate::client) fn on_ready(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        statistics: &mut Statistics,
    ) -> Result<Progress, Failure> {
        let done = match self.finish_connect()? {
            true => self.read_and_write(ready, scratch, statistics),
            false => Ok(Progress::Idle),
        };
        done.map_err(|failure| match failure {
            Failure::Reset(error) if self.is_joining() => Failure::ResetJoining {
                error,
                is_securing: self.stream.is_securing(),
            },
            failure => failure,
        })
    }

    fn read_and_write(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        statistics: &mut Statistics,
    ) -> Result<Progress, Failure> {
        if ready.writable {
            self.flush()?;
        }
        if ready.readable && (ready.closed || !self.is_slow()) {
            self.read(ready.closed, scratch, statistics)
        } else {
            Ok(Progress::Idle)
        }
    }

    /// Begins the closing handshake, if it is open.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(in crate::client) fn close(&mut self) -> Result<(), Failure> {
        self.state = match std::mem::replace(&mut self.state, State::Draining) {
            State::Open(mut inbox) => {
                inbox.close(&mut self.stream)?;
                State::Closing(inbox)
            }
            other => other,
        };
        Ok(())
    }

    /// Whether a text may be sent: it is open, reads what is answered, and all earlier ones have
    /// gone out.
    pub(in crate::client) fn has_room(&self) -> bool {
        !self.seat.slow && matches!(&self.state, State::Open(inbox) if inbox.has_room())
    }

    /// Sends a text message, if it is open.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(in crate::client) fn send(&mut self, text: String) -> Result<(), Failure> {
        match &mut self.state {
            State::Open(inbox) => inbox.send(&mut self.stream, text),
            _ => Ok(()),
        }
    }

    /// Whether the connect has succeeded, by now or before (mio's `TcpStream::connect`).
    fn finish_connect(&mut self) -> Result<bool, Failure> {
        let State::Connecting(_) = self.state else {
            return Ok(true);
        };
        if let Some(error) = self.stream.socket().take_error().unwrap_or_else(Some) {
            return Err(Failure::connect(self.peer, error));
        }
        if self.stream.socket().peer_addr().is_err() {
            return Ok(false);
        }
        self.state = match std::mem::replace(&mut self.state, State::Draining) {
            State::Connecting(handshake) => State::Handshaking(handshake),
            other => other,
        };
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.stream.flush().map_err(Failure::broken)?;
        match &mut self.state {
            State::Handshaking(handshake) => send(handshake, &mut self.stream),
            State::Open(inbox) | State::Closing(inbox) => inbox.flush(&mut self.stream),
            State::Connecting(_) | State::Draining => Ok(()),
        }
    }

    /// Reads until the socket is drained. A read that leaves room in the buffer says that it is:
    /// whatever arrives later is a new edge. Only an end of the stream that came with this event
    /// will not be told again, so with that in sight it goes on until the read says so itself.
    fn read(
        &mut self,
        to_the_end: bool,
        scratch: &mut [u8],
        statistics: &mut Statistics,
    ) -> Result<Progress, Failure> {
        for _ in 0..READS_PER_TURN {
            let length = match self.stream.read(scratch) {
                Ok(0) => return Err(self.end_of_stream()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Idle);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::broken(error)),
            };
            statistics.reads.note(length, scratch.len());
            self.take(&scratch[..length], Arrival::now(), statistics)?;
            if length < scratch.len() && !to_the_end && !self.stream.holds_more() {
                return Ok(Progress::Idle);
            }
        }
        Ok(Progress::Unfinished)
    }

    /// Begins to count as its client's past wants it.
    fn join(&mut self, statistics: &mut Statistics) {
        let way_back = self.seat.way_back.take();
        self.since = way_back.as_ref().and_then(|way_back| way_back.since);
        self.listener.apart = match way_back {
            None if self.seat.slow => {
                statistics.slow.joined += 1;
                Some(Box::new(Apart::Slow(Sequences::default())))
            }
            None => None,
            Some(way_back) => {
                self.listener.hear();
                let back = statistics.came_back(*way_back, self.began);
                Some(Box::new(match self.seat.slow {
                    true => Apart::Slow(back.before),
                    false => Apart::Back(back),
                }))
            }
        };
    }

    fn end_of_stream(&self) -> Failure {
        match &self.state {
            _ if self.stream.is_securing() => Failure::Tls(format!(
                "the server ended the connection before TLS was agreed on {NO_TLS}"
            )),
            State::Connecting(handshake) | State::Handshaking(handshake) => {
                handshake.end_of_stream(matches!(self.stream, Stream::Plain(_)))
            }
            _ => Failure::end_of_stream(),
        }
    }

    /// Takes bytes that were read at `now`.
    fn take(
        &mut self,
        bytes: &[u8],
        now: Arrival,
        statistics: &mut Statistics,
    ) -> Result<(), Failure> {
        let listener = &mut self.listener;
        match &mut self.state {
            State::Open(inbox) | State::Closing(inbox) => {
                inbox.take(bytes, &mut self.stream, |payload| {
                    statistics.message(listener, payload, now);
                })
            }
            State::Handshaking(handshake) => match handshake.take(bytes)? {
                None => Ok(()),
                // The first frames may come in one piece with the response.
                Some(behind) => {
                    self.state = State::Open(Inbox::default());
                    self.join(statistics);
                    self.take(&behind, now, statistics)
                }
            },
            State::Connecting(_) | State::Draining => Ok(()),
        }
    }
}

/// Sends as much of the request as the socket takes: all of it, unless the system is very short.
fn send(handshake: &mut Handshake, stream: &mut Stream) -> Result<(), Failure> {
    while !handshake.unsent().is_empty() {
        match stream.write(handshake.unsent()) {
            Ok(length) => handshake.advance(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::broken(error)),
        }
    }
    Ok(())
}

/// What a client that hardly reads takes at a time: a few ticks.
const SLOW_READ_SIZE: usize = 512;

/// After so many buffers full the others get their turn.
const READS_PER_TURN: usize = 4;
