//! The outgoing half of a connection, and the one rule that keeps its stream whole: what was begun
//! is finished first.
//!
//! A write may end anywhere. The rest of the frame that it ended in is kept here and goes out before
//! any other byte, so neither a pong nor an answer nor a close frame can tear a frame of the tape.
//! Tungstenite writes through here too, and is never left with anything of its own to send.

use std::io::{self, ErrorKind, Read, Write};

use crate::frame;
use crate::server::context::UptimeMs;
use crate::server::socket::Socket;

/// A non-blocking socket with what it would not take yet.
pub(crate) struct Outbox<S> {
    socket: S,
    /// Bytes that come before any others: the rest of a frame, of an answer, of a snapshot. Bounded
    /// by one of each, since no message is looked at while something is pending. Boxed, because
    /// hardly any of the thousands of connections has some at a time.
    pending: Option<Box<Pending>>,
    /// The socket takes nothing until an event says so.
    blocked: bool,
    /// Nothing goes out any more behind what is pending.
    finished: bool,
    /// While there is more to send than the socket takes: when it took something last.
    stuck: Option<UptimeMs>,
}

/// Bytes that the socket would not take; never none.
struct Pending {
    bytes: Vec<u8>,
    /// So many of them have gone out already.
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

    /// The socket, to be registered.
    pub(crate) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Gives the socket back, to be closed.
    pub(crate) fn into_socket(self) -> S {
        self.socket
    }

    /// Whether a frame of the tape may go out now.
    pub(crate) fn is_clear(&self) -> bool {
        !self.blocked && self.pending.is_none() && !self.finished
    }

    /// Whether there are bytes that the system did not take.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.is_some() || self.socket.has_unsent()
    }

    /// Whether there may be more to read of which no event will tell, whatever was read last.
    pub(crate) fn has_unread(&self) -> bool {
        self.socket.has_unread()
    }

    /// Whether reading from it is costly now.
    pub(crate) fn is_securing(&self) -> bool {
        self.socket.is_securing()
    }

    /// Whether the client speaks plain text where TLS was expected.
    pub(crate) fn is_unexpectedly_plain(&self) -> bool {
        self.socket.is_unexpectedly_plain()
    }

    /// The bytes that the socket did not take.
    #[cfg(test)]
    pub(crate) fn pending(&self) -> &[u8] {
        self.pending
            .as_ref()
            .map_or(&[], |pending| pending.unsent())
    }

    /// Since when the socket has taken nothing, although there is something to send.
    pub(crate) fn stuck_since(&self) -> Option<UptimeMs> {
        self.stuck
    }

    /// Sends `bytes` behind all that was sent before; what the socket does not take is kept. After
    /// [`finish`](Self::finish) they go nowhere.
    pub(crate) fn send(&mut self, bytes: &[u8], now: UptimeMs) -> io::Result<()> {
        self.send_by(S::write, bytes, now)
    }

    /// Sends `bytes` as [`send`](Self::send) does. Only the end follows, in the same packet if it
    /// can.
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

    /// Writes as much of `bytes` as the socket takes, and says how much that was. Only for an
    /// outbox that [is clear](Self::is_clear); whoever calls it must keep the rest of a frame here
    /// ([`keep`](Self::keep)).
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

    /// Keeps the rest of what was begun.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        // Only an event empties it, and only who was refused room gets one.
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

    /// The socket has room again: sends what is pending, and the end if that was asked for.
    pub(crate) fn on_writable(&mut self, now: UptimeMs) -> io::Result<()> {
        if self.socket.has_unsent() {
            self.flush(now)?;
        }
        self.blocked = self.socket.has_unsent();
        if self.blocked {
            // It is the socket's turn again, before ours.
        } else if let Some(mut pending) = self.pending.take() {
            pending.sent += self.send_some(pending.unsent(), now)?;
            self.keep_unsent(pending);
            self.end_if_finished();
        } else {
            self.stuck = None;
        }
        Ok(())
    }

    /// Keeps what has not gone out. The bytes that have are cut off when they are half of it and not
    /// before, or a long answer that goes out in many pieces would be copied for each.
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

    /// Has the socket send on what it has taken.
    fn flush(&mut self, now: UptimeMs) -> io::Result<()> {
        match self.socket.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            // It has room again, or there would have been no event: so it has taken something.
            _ => self.stuck = self.socket.has_unsent().then_some(now),
        }
        Ok(())
    }

    /// Says goodbye to a client that is gone or given up; dropping the socket ends the stream.
    pub(crate) fn say_goodbye(&mut self) {
        self.socket.say_goodbye();
    }

    /// Ends the outgoing stream behind what is pending. Nothing follows.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.end_if_finished();
    }

    /// Whether nothing follows what is pending.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    fn end_if_finished(&mut self) {
        if self.finished && self.pending.is_none() {
            self.socket.finish();
            if !self.socket.has_unsent() {
                // It may have taken the rest along with the end.
                self.stuck = None;
            }
        }
    }

    /// Lets the system throw away what it still has for this peer when the socket is dropped: it has
    /// taken nothing for long, and would keep those kilobytes for as long again.
    pub(crate) fn reset_on_drop(&mut self) {
        self.socket.reset_on_drop();
    }

    /// Reads into `buffer`: none when there is nothing yet.
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

/// What tungstenite takes for its stream: it reads the bytes that have arrived, and writes to the
/// outbox, which takes everything.
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
        // Behind the answer to a client's goodbye nothing follows but the end.
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
