//! A client's socket with TLS. It never blocks, and it holds at most one record that the system has
//! not taken.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::server::socket::{Deed, Socket, Transport};
use crate::server::tls::records::Records;

/// A socket on which TLS is expected.
pub(crate) struct TlsSocket<S> {
    socket: S,
    stage: Stage,
    /// Records that the system has not taken.
    outgoing: Vec<u8>,
    /// The outgoing records are tickets for the next handshake, which can wait for the first
    /// answer.
    held: bool,
    /// There may be more to read from the socket without an event to announce it.
    unread: bool,
    /// The stream ends after the outgoing records.
    finished: bool,
}

enum Stage {
    /// The client has not sent anything yet; its first byte tells what it speaks.
    Awaited(Arc<ServerConfig>),
    /// The client speaks TLS.
    Secure(Records),
    /// The client speaks plain text, and should be told the mistake.
    Plain,
}

impl<S: Transport> TlsSocket<S> {
    pub(super) fn new(socket: S, config: Arc<ServerConfig>) -> Self {
        Self {
            socket,
            stage: Stage::Awaited(config),
            outgoing: Vec::new(),
            held: false,
            unread: false,
            finished: false,
        }
    }

    pub(super) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Appends `close_notify` to the outgoing records, once.
    fn append_close_notify(&mut self) {
        if let Stage::Secure(records) = &mut self.stage
            && records.can_speak()
            && !self.finished
        {
            // Keys that are used up cannot encrypt it, so the client does without.
            let _ = records.close_notify(&mut self.outgoing);
        }
    }

    /// Detects plain text by the first byte: every HTTP method begins with a letter, and no TLS
    /// record does.
    fn begin(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Stage::Awaited(config) = &self.stage {
            self.stage = if bytes.first().is_some_and(u8::is_ascii_alphabetic) {
                Stage::Plain
            } else {
                Stage::Secure(Records::new(Arc::clone(config))?)
            };
        }
        Ok(())
    }

    /// Reads and discards bytes. Returns how many there were.
    fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.unread = false;
        let received = self.socket.read(buffer)?;
        self.unread = received == buffer.len();
        Ok(received)
    }

    /// Decrypts the bytes that have arrived, and sends TLS's answers. Returns the length of the
    /// plain text in `buffer`.
    fn open(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Stage::Secure(records) = &mut self.stage else {
            return Ok(0);
        };
        let (was_securing, waiting) = (records.is_securing(), self.outgoing.len());
        let opened = records.open(buffer, &mut self.outgoing);
        if was_securing && records.has_ticket_to_send() {
            self.held = !self.outgoing.is_empty();
        } else if self.outgoing.len() > waiting {
            self.held = false;
        }
        let sent = if self.held {
            Ok(false)
        } else {
            send(&mut self.socket, &mut self.outgoing)
        };
        // The first error is the one that matters; failing to send an alert for it does not.
        let filled = opened?;
        sent?;
        Ok(filled)
    }
}

impl<S: Transport> Read for TlsSocket<S> {
    /// Reads plain text. If a client sends many bytes without any plain text, the read ends early,
    /// and [`has_unread`](Socket::has_unread) asks for another.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS_MAX {
            match &mut self.stage {
                Stage::Secure(records) if !self.finished => {
                    if records.has_plaintext() {
                        return Ok(records.take(buffer));
                    }
                    if records.has_ended() {
                        return Ok(0);
                    }
                }
                // Once the outgoing stream has ended, only the end of the client's stream matters.
                Stage::Secure(_) => {
                    if self.discard(buffer)? == 0 {
                        return Ok(0);
                    }
                    continue;
                }
                Stage::Awaited(_) if !self.finished => {}
                _ => return self.socket.read(buffer),
            }
            self.unread = false;
            let received = self.socket.read(buffer)?;
            if received == 0 {
                return Ok(0);
            }
            self.begin(&buffer[..received])?;
            let Stage::Secure(records) = &mut self.stage else {
                return Ok(received);
            };
            self.unread = received == buffer.len();
            records.arrive(&buffer[..received])?;
            let filled = self.open(buffer)?;
            if filled > 0 {
                return Ok(filled);
            }
            if !self.unread {
                // A short read has emptied the socket.
                break;
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

impl<S: Transport> Write for TlsSocket<S> {
    /// Accepts as many bytes as the system takes, and at most one record more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let records = match &mut self.stage {
            Stage::Plain => return self.socket.write(bytes),
            Stage::Secure(records) if records.can_speak() && !self.finished => records,
            // Without keys nothing can be sent; the client only sees the end of the stream.
            _ => return Ok(bytes.len()),
        };
        let mut taken = 0;
        while taken < bytes.len() {
            let is_held = std::mem::take(&mut self.held);
            if !is_held && !send(&mut self.socket, &mut self.outgoing)? {
                break;
            }
            let share = &bytes[taken..bytes.len().min(taken + RECORD)];
            records.seal(share, &mut self.outgoing)?;
            taken += share.len();
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        send(&mut self.socket, &mut self.outgoing)?;
        Ok(taken)
    }

    /// Sends the records that were accepted, then the end if it was requested.
    fn flush(&mut self) -> io::Result<()> {
        self.held = false;
        if !send(&mut self.socket, &mut self.outgoing)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.finished {
            self.socket.finish();
        }
        Ok(())
    }
}

impl<S: Transport> Socket for TlsSocket<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    fn was_deferred(&self) -> bool {
        self.socket.was_deferred()
    }

    fn note(&mut self, deed: Deed<'_>) {
        self.socket.note(deed);
    }

    fn finish(&mut self) {
        self.append_close_notify();
        self.finished = true;
        // An event sends the rest, and a client that has gone needs no end.
        let _ = self.flush();
    }

    fn send_close_notify(&mut self) {
        self.append_close_notify();
        self.held = false;
        // A client that takes no more bytes, or has gone, does without it.
        let _ = send(&mut self.socket, &mut self.outgoing);
    }

    fn limit_silence(&mut self, limit: Duration) {
        self.socket.limit_silence(limit);
    }

    fn reset_on_drop(&mut self) {
        self.socket.reset_on_drop();
    }

    fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() && !self.held
    }

    fn has_unread(&self) -> bool {
        let secure = match &self.stage {
            Stage::Secure(records) => records.has_plaintext() || records.has_ended(),
            _ => false,
        };
        self.unread || secure && !self.finished
    }

    fn is_securing(&self) -> bool {
        match &self.stage {
            Stage::Awaited(_) => true,
            Stage::Secure(records) => records.is_securing() && !self.finished,
            Stage::Plain => false,
        }
    }

    fn is_unexpectedly_plain(&self) -> bool {
        matches!(self.stage, Stage::Plain)
    }
}

/// Sends records, as far as the system takes them. Returns whether it took all.
fn send(socket: &mut impl Write, outgoing: &mut Vec<u8>) -> io::Result<bool> {
    while !outgoing.is_empty() {
        match socket.write(outgoing) {
            Ok(written) => drop(outgoing.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // At rest the buffer uses no memory.
    *outgoing = Vec::new();
    Ok(true)
}

/// The most plain text in one record (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;

/// The most reads without plain text before others get a turn: a handshake needs one at a time.
const READS_MAX: usize = 4;

#[cfg(test)]
mod tests;
