//! A client's socket with TLS over it, as the server takes sockets: it never blocks, and of what it
//! was given it keeps one record at most that the system has not taken.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::server::socket::{Deed, Socket, Transport};
use crate::server::tls::records::Records;

/// A socket that TLS is expected on.
pub(crate) struct TlsSocket<S> {
    socket: S,
    stage: Stage,
    /// Records that the system has not taken.
    outgoing: Vec<u8>,
    /// What is outgoing is a ticket for the next handshake, which has time until the first answer.
    held: bool,
    /// There may be more to read from the socket, of which no event will tell.
    unread: bool,
    /// The end goes out behind what is outgoing; nothing follows.
    finished: bool,
}

enum Stage {
    /// The client has said nothing: what it speaks shows by its first byte.
    Awaited(Arc<ServerConfig>),
    /// It speaks TLS.
    Secure(Records),
    /// It speaks plain text, and is to be told so.
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

    /// Puts `close_notify` behind what is outgoing, once.
    fn seal_goodbye(&mut self) {
        if let Stage::Secure(records) = &mut self.stage
            && records.can_speak()
            && !self.finished
        {
            // Keys that are used up have no word left.
            let _ = records.goodbye(&mut self.outgoing);
        }
    }

    /// Decides by the first bytes what is spoken: every method of HTTP begins with a letter, no record
    /// of TLS does.
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

    /// Reads what is not looked at. Returns how much that was.
    fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.unread = false;
        let received = self.socket.read(buffer)?;
        self.unread = received == buffer.len();
        Ok(received)
    }

    /// Makes plain text of what has arrived, and sends what TLS has to say to that. Returns how much
    /// of it is in `buffer`.
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
        // What went wrong first is what matters; an alert that cannot be sent is not.
        let filled = opened?;
        sent?;
        Ok(filled)
    }
}

impl<S: Transport> Read for TlsSocket<S> {
    /// Reads plain text. A client that sends much without a word of it is to be read from again, as
    /// [`has_unread`](Socket::has_unread) says.
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
                // Behind our last word only the end of theirs is of interest.
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
    /// Takes what the system takes, and at most one record more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let records = match &mut self.stage {
            Stage::Plain => return self.socket.write(bytes),
            Stage::Secure(records) if records.can_speak() && !self.finished => records,
            // Without keys there are no words: who waits for them sees the end.
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

    /// Sends on what was taken, and the end behind it.
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
        self.seal_goodbye();
        self.finished = true;
        // What is left goes with an event, and a peer that is gone already needs no end.
        let _ = self.flush();
    }

    fn say_goodbye(&mut self) {
        self.seal_goodbye();
        self.held = false;
        // A client that takes no more, or is gone, does without.
        let _ = send(&mut self.socket, &mut self.outgoing);
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

/// Sends records, as far as the system takes them. Returns whether that was all.
fn send(socket: &mut impl Write, outgoing: &mut Vec<u8>) -> io::Result<bool> {
    while !outgoing.is_empty() {
        match socket.write(outgoing) {
            Ok(written) => drop(outgoing.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // At rest it keeps nothing.
    *outgoing = Vec::new();
    Ok(true)
}

/// Plain text in one record (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;

/// Reads that bring no plain text before others get a turn: a handshake needs one at a time.
const READS_MAX: usize = 4;

#[cfg(test)]
mod tests;
