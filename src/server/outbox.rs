//! The outgoing half of a connection. One rule keeps its stream whole: finish what was begun before
//! sending anything else.
//!
//! A write may end anywhere, also within a frame. The rest of that frame is kept here and goes out
//! before any other byte, so neither a pong nor an answer nor a close frame can tear a frame of the
//! tape. Tungstenite writes through the outbox too, and never holds back bytes of its own.

use std::io::{self, ErrorKind, Read, Write};

use crate::frame;
use crate::server::context::UptimeMs;
use crate::server::socket::Socket;

/// A non-blocking socket, and the bytes that it has not taken yet.
pub(crate) struct Outbox<S> {
    socket: S,
    /// Bytes that go out before any others: the rest of a frame, of an answer, of a snapshot. There
    /// is at most one of each, since no message is read while bytes are pending. Boxed, because
    /// hardly any of the thousands of connections has pending bytes.
    pending: Option<Box<Pending>>,
    /// The socket takes no bytes until an event says so.
    blocked: bool,
    /// Nothing may be sent after the pending bytes.
    finished: bool,
    /// The last time that the socket took bytes, while there is more to send than it takes.
    stuck: Option<UptimeMs>,
}

/// Bytes that the socket would not take; never empty.
struct Pending {
    bytes: Vec<u8>,
    /// How many of them have gone out already.
    sent: usize,
}

impl Pending {
    fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }
}

impl<S: Socket> Outbox<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            pending: None,
            blocked: false,
            finished: false,
            stuck: None,
        }
    }

    /// The socket, for registering it.
    pub(crate) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Gives back the socket, for closing it.
    pub(crate) fn into_socket(self) -> S {
        self.socket
    }

    /// Whether a frame of the tape may go out now.
    pub(crate) fn is_clear(&self) -> bool {
        !self.blocked && self.pending.is_none() && !self.finished
    }

    /// Whether there are bytes that the system has not taken.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.is_some() || self.socket.has_unsent()
    }

    /// Whether there may be more to read without an event to announce it, whatever the last read
    /// returned.
    pub(crate) fn has_unread(&self) -> bool {
        self.socket.has_unread()
    }

    /// Whether reading is costly at present.
    pub(crate) fn is_securing(&self) -> bool {
        self.socket.is_securing()
    }

    /// Whether the client speaks plain text where TLS was expected.
    pub(crate) fn is_unexpectedly_plain(&self) -> bool {
        self.socket.is_unexpectedly_plain()
    }

    /// The bytes that the socket has not taken.
    #[cfg(test)]
    pub(crate) fn pending(&self) -> &[u8] {
        self.pending
            .as_ref()
            .map_or(&[], |pending| pending.unsent())
    }

    /// The time since which the socket has taken no bytes although there is something to send.
    pub(crate) fn stuck_since(&self) -> Option<UptimeMs> {
        self.stuck
    }

    /// Sends `bytes` after everything sent before, and keeps what the socket does not take. After
    /// [`finish`](Self::finish) they are discarded.
    pub(crate) fn send(&mut self, bytes: &[u8], now: UptimeMs) -> io::Result<()> {
        self.send_by(S::write, bytes, now)
    }

    /// Sends `bytes` as [`send`](Self::send) does, if only the end of the stream follows, so that
    /// both can share a packet.
    pub(crate) fn send_last(&mut self, bytes: &[u8], now: UptimeMs) -> io::Result<()> {
        self.send_by(S::write_last, bytes, now)
    }

    fn send_by(
        &mut self,
        write: impl Fn(&mut S, &[u8]) -> io::Result<usize>,
        bytes: &[u8],
        now: UptimeMs,
    ) -> io::Result<()> {
        if self.finished || bytes.is_empty() {
            return Ok(());
        }
        let written = if self.is_clear() {
            self.write_some(write, bytes, now)?
        } else {
            0
        };
        self.append(&bytes[written..]);
        Ok(())
    }

    /// Writes as much of `bytes` as the socket takes, and returns how much that was. The outbox
    /// must be [clear](Self::is_clear), and the caller must [`keep`](Self::keep) the rest of a
    /// frame here.
    pub(crate) fn send_some(&mut self, bytes: &[u8], now: UptimeMs) -> io::Result<usize> {
        self.write_some(S::write, bytes, now)
    }

    fn write_some(
        &mut self,
        write: impl Fn(&mut S, &[u8]) -> io::Result<usize>,
        bytes: &[u8],
        now: UptimeMs,
    ) -> io::Result<usize> {
        loop {
            match write(&mut self.socket, bytes) {
                Ok(written) => {
                    self.blocked = written < bytes.len() || self.socket.has_unsent();
                    self.stuck = self.blocked.then_some(now);
                    return Ok(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.stuck.get_or_insert(now);
                    return Ok(0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps the rest of a frame that was begun.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        // Only an event sends the rest, and only a blocked socket gets one.
        debug_assert!(
            self.blocked || rest.is_empty(),
            "a rest without an event to come"
        );
        self.append(rest);
    }

    fn append(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        match &mut self.pending {
            Some(pending) => pending.bytes.extend_from_slice(rest),
            none => {
                let bytes = rest.to_vec();
                *none = Some(Box::new(Pending { bytes, sent: 0 }));
            }
        }
    }

    /// Handles a socket that has room again: sends pending bytes, and the end of the stream if it
    /// was requested.
    pub(crate) fn on_writable(&mut self, now: UptimeMs) -> io::Result<()> {
        if self.socket.has_unsent() {
            self.flush(now)?;
        }
        self.blocked = self.socket.has_unsent();
        if self.blocked {
            // The socket must send its own bytes before ours.
        } else if let Some(mut pending) = self.pending.take() {
            pending.sent += self.send_some(pending.unsent(), now)?;
            self.keep_unsent(pending);
            self.end_if_finished();
        } else {
            self.stuck = None;
        }
        Ok(())
    }

    /// Keeps the unsent bytes. The sent ones are cut off only when they make up half of the buffer,
    /// because otherwise a long answer that goes out in many pieces would be copied for each piece.
    fn keep_unsent(&mut self, mut pending: Box<Pending>) {
        if pending.unsent().is_empty() {
            return;
        }
        if pending.sent * 2 >= pending.bytes.len() {
            pending.bytes = pending.unsent().to_vec();
            pending.sent = 0;
        }
        self.pending = Some(pending);
    }

    /// Makes the socket send the bytes that it has taken.
    fn flush(&mut self, now: UptimeMs) -> io::Result<()> {
        match self.socket.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            // The event means that the socket has room, so it has taken bytes.
            _ => self.stuck = self.socket.has_unsent().then_some(now),
        }
        Ok(())
    }

    /// Sends `close_notify`, if it is TLS, to a client that has gone or was given up; dropping the
    /// socket ends the stream.
    pub(crate) fn send_close_notify(&mut self) {
        self.socket.send_close_notify();
    }

    /// Ends the outgoing stream after the pending bytes. Nothing follows.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.end_if_finished();
    }

    /// Whether the stream ends after the pending bytes.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    fn end_if_finished(&mut self) {
        if self.finished && self.pending.is_none() {
            self.socket.finish();
            if !self.socket.has_unsent() {
                // The socket may have taken its last bytes together with the end.
                self.stuck = None;
            }
        }
    }

    /// Lets the system discard its unsent bytes when the socket is dropped: this client has taken
    /// no bytes for long, and the system would keep those kilobytes for as long again.
    pub(crate) fn reset_on_drop(&mut self) {
        self.socket.reset_on_drop();
    }

    /// Reads into `buffer`; returns `None` when no bytes have arrived.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.socket.read(buffer) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The stream that tungstenite sees: it reads the bytes that have arrived, and writes to the
/// outbox, which accepts everything.
pub(crate) struct CodecStream<'a, S> {
    pub(crate) input: &'a [u8],
    pub(crate) outbox: &'a mut Outbox<S>,
    pub(crate) now: UptimeMs,
}

impl<S> Read for CodecStream<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl<S: Socket> Write for CodecStream<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only the end of the stream follows the answer to a client's goodbye.
        if frame::is_close(bytes) {
            self.outbox.send_last(bytes, self.now)?;
        } else {
            self.outbox.send(bytes, self.now)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
