//! The states of one connection, from connect to the end of its stream.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::Ready;

use crate::client::received::{Arrival, Payload};
use crate::client::ws::error::{ConnectionError, NO_TLS};
use crate::client::ws::frames::Frames;
use crate::client::ws::handshake::Handshake;
use crate::client::ws::stream::Stream;

/// A connection to the server. It owns its socket, but no buffer while it is idle.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The address it was opened to.
    pub(crate) peer: SocketAddr,
    pub(crate) state: State,
    /// Whether it is a slow reader: only [`read_little`](Self::read_little) reads what arrives.
    pub(crate) is_slow: bool,
    began: Instant,
}

/// Receives what arrives on a connection.
pub(crate) trait Sink {
    /// The connection has been upgraded.
    fn joined(&mut self);
    /// A read returned data; `is_full` if it filled its buffer.
    fn read(&mut self, is_full: bool);
    /// A complete message arrived.
    fn message(&mut self, payload: Payload<'_>, arrival: Arrival);
}

/// The state of a connection.
#[derive(Debug)]
pub(crate) enum State {
    /// The connect is in progress.
    Connecting(Box<Handshake>),
    /// Connected; the request is being sent or the response awaited.
    Handshaking(Box<Handshake>),
    /// Upgraded: ticks arrive.
    Open(Frames),
    /// Our close frame is sent. Messages that the server sent before receiving it still arrive.
    Closing(Frames),
    /// The closing handshake is over. The server ends the stream first, so that its side keeps the
    /// address in TIME_WAIT, and not this one, which needs its ports for the next run.
    Draining,
}

/// How far the current work got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All is done until the next event.
    Idle,
    /// There is more to read, but others are waiting.
    Unfinished,
}

impl Connection {
    /// A connection whose connect was called at `began`.
    pub(crate) fn new(
        stream: Stream,
        peer: SocketAddr,
        handshake: Handshake,
        is_slow: bool,
        began: Instant,
    ) -> Self {
        Self {
            stream,
            peer,
            state: State::Connecting(Box::new(handshake)),
            is_slow,
            began,
        }
    }

    /// The error of a connection that did not join within the limit; `None` if it has joined.
    pub(crate) fn timed_out(&self, limit: Duration) -> Option<ConnectionError> {
        match self.state {
            State::Connecting(_) => Some(ConnectionError::ConnectTimedOut(self.peer, limit)),
            State::Handshaking(_) if self.stream.is_securing() => {
                Some(ConnectionError::TlsTimedOut(limit))
            }
            State::Handshaking(_) => Some(ConnectionError::HandshakeTimedOut(limit)),
            State::Open(_) | State::Closing(_) | State::Draining => None,
        }
    }

    /// How long ago connect was called.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether it has not been upgraded yet.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.state, State::Connecting(_) | State::Handshaking(_))
    }

    /// Whether it is upgraded and neither side has begun to close it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether only [`read_little`](Self::read_little) reads what arrives.
    pub(crate) fn reads_little(&self) -> bool {
        self.is_slow && self.is_open()
    }

    /// Reads the small amount that a slow client takes at a time.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(crate) fn read_little(&mut self, sink: &mut impl Sink) -> Result<(), ConnectionError> {
        let mut little = [0; SLOW_READ_SIZE];
        match self.stream.read(&mut little) {
            Ok(0) => Err(self.end_of_stream()),
            Ok(length) => self.take(&little[..length], Arrival::now(), sink),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(ConnectionError::broken(error)),
        }
    }

    /// Does the work that the socket is ready for, up to one turn's share. `scratch` is the buffer
    /// that all connections share for reading.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(crate) fn on_ready(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Progress, ConnectionError> {
        let done = if self.finish_connect()? {
            self.read_and_write(ready, scratch, sink)
        } else {
            Ok(Progress::Idle)
        };
        done.map_err(|error| match error {
            ConnectionError::Reset(error) if self.is_joining() => ConnectionError::ResetJoining {
                error,
                is_securing: self.stream.is_securing(),
            },
            error => error,
        })
    }

    fn read_and_write(
        &mut self,
        ready: Ready,
        scratch: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Progress, ConnectionError> {
        if ready.writable {
            self.flush()?;
        }
        if ready.readable && (ready.closed || !self.reads_little()) {
            self.read(ready.closed, scratch, sink)
        } else {
            Ok(Progress::Idle)
        }
    }

    /// Begins the closing handshake, if the connection is open.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn close(&mut self) -> Result<(), ConnectionError> {
        self.state = match std::mem::replace(&mut self.state, State::Draining) {
            State::Open(mut frames) => {
                frames.close(&mut self.stream)?;
                State::Closing(frames)
            }
            other => other,
        };
        Ok(())
    }

    /// Whether a text may be sent: the connection is open, replies are read, and all earlier texts
    /// have been sent.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_slow && matches!(&self.state, State::Open(frames) if frames.has_room())
    }

    /// Sends a text message, if the connection is open.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn send(&mut self, text: String) -> Result<(), ConnectionError> {
        match &mut self.state {
            State::Open(frames) => frames.send(&mut self.stream, text),
            _ => Ok(()),
        }
    }

    /// Whether the connect has succeeded (see mio's `TcpStream::connect`).
    fn finish_connect(&mut self) -> Result<bool, ConnectionError> {
        let State::Connecting(_) = self.state else {
            return Ok(true);
        };
        if let Some(error) = self.stream.socket().take_error().unwrap_or_else(Some) {
            return Err(ConnectionError::connect(self.peer, error));
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

    fn flush(&mut self) -> Result<(), ConnectionError> {
        self.stream.flush().map_err(ConnectionError::broken)?;
        match &mut self.state {
            State::Handshaking(handshake) => send(handshake, &mut self.stream),
            State::Open(frames) | State::Closing(frames) => frames.flush(&mut self.stream),
            State::Connecting(_) | State::Draining => Ok(()),
        }
    }

    /// Reads until the socket is drained. A read that leaves room in the buffer shows that it is,
    /// since data that arrives later raises a new event. Only an end of the stream reported with
    /// this event will not be reported again, so in that case it reads until the read itself
    /// returns the end.
    fn read(
        &mut self,
        to_the_end: bool,
        scratch: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Progress, ConnectionError> {
        for _ in 0..READS_PER_TURN {
            let length = match self.stream.read(scratch) {
                Ok(0) => return Err(self.end_of_stream()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Idle);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ConnectionError::broken(error)),
            };
            sink.read(length == scratch.len());
            self.take(&scratch[..length], Arrival::now(), sink)?;
            if length < scratch.len() && !to_the_end && !self.stream.holds_more() {
                return Ok(Progress::Idle);
            }
        }
        Ok(Progress::Unfinished)
    }

    fn end_of_stream(&self) -> ConnectionError {
        match &self.state {
            _ if self.stream.is_securing() => ConnectionError::Tls(format!(
                "the server ended the connection during the TLS handshake {NO_TLS}"
            )),
            State::Connecting(handshake) | State::Handshaking(handshake) => {
                handshake.end_of_stream(matches!(self.stream, Stream::Plain(_)))
            }
            _ => ConnectionError::end_of_stream(),
        }
    }

    /// Takes bytes that were read at `now`.
    fn take(
        &mut self,
        bytes: &[u8],
        now: Arrival,
        sink: &mut impl Sink,
    ) -> Result<(), ConnectionError> {
        match &mut self.state {
            State::Open(frames) | State::Closing(frames) => {
                frames.take(bytes, &mut self.stream, |payload| {
                    sink.message(payload, now);
                })
            }
            State::Handshaking(handshake) => match handshake.take(bytes)? {
                None => Ok(()),
                // The first frames may arrive together with the response.
                Some(behind) => {
                    self.state = State::Open(Frames::default());
                    sink.joined();
                    self.take(&behind, now, sink)
                }
            },
            State::Connecting(_) | State::Draining => Ok(()),
        }
    }
}

/// Sends the request as far as the socket takes it, which is all of it unless the system is very
/// short of memory.
fn send(handshake: &mut Handshake, stream: &mut Stream) -> Result<(), ConnectionError> {
    while !handshake.unsent().is_empty() {
        match stream.write(handshake.unsent()) {
            Ok(length) => handshake.advance(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ConnectionError::broken(error)),
        }
    }
    Ok(())
}

/// How much a slow reader takes at a time: a few ticks.
const SLOW_READ_SIZE: usize = 512;

/// After this many full buffers, other connections get their turn.
const READS_PER_TURN: usize = 4;
