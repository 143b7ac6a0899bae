//! A socket that lives in memory: it takes as much as it likes, reports edges as epoll and kqueue
//! do, and remembers every byte that it took.
//!
//! What the client does with its end is done to it from outside: [`arrive`](SimSocket::arrive),
//! [`take`](SimSocket::take), [`end`](SimSocket::end).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use crate::io_loop::Ready;
use crate::server::socket::Socket;

/// One client's socket, as the server has it.
pub(crate) struct SimSocket {
    rng: fastrand::Rng,
    nature: Nature,
    /// What has arrived and was not read.
    inbound: VecDeque<u8>,
    ended: Option<End>,
    /// Bytes that the system holds for the client.
    buffered: usize,
    /// It takes nothing although there would be room, until the client takes something.
    starved: bool,
    /// It refused bytes and owes an edge once there is room.
    owes_edge: bool,
    readable: bool,
    writable: bool,
    /// Bytes taken that nobody has looked at, and where in all of them the writes began that took some.
    fresh: Vec<u8>,
    writes: Vec<u64>,
    written: u64,
    finished: bool,
}

/// What a socket is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// Bytes that the system holds for a client.
    pub(crate) capacity: usize,
    /// How many of 100 writes are cut at any byte, the first too.
    pub(crate) cut: u8,
    /// How many of 100 calls a signal interrupts.
    pub(crate) interrupt: u8,
    /// Each event reports only what changed, as kqueue does; else all that is ready, as epoll does.
    pub(crate) separate: bool,
}

/// How a client ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No more bytes come.
    Finished,
    /// It is gone; what was on the way is lost.
    Reset,
}

impl SimSocket {
    /// A new socket; it has room, and says so by its first event.
    pub(crate) fn new(rng: fastrand::Rng, nature: Nature) -> Self {
        Self {
            rng,
            nature,
            inbound: VecDeque::new(),
            ended: None,
            buffered: 0,
            starved: false,
            owes_edge: false,
            readable: false,
            writable: true,
            fresh: Vec::new(),
            writes: Vec::new(),
            written: 0,
            finished: false,
        }
    }

    /// Bytes come from the client.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) {
        if self.ended.is_none() && !bytes.is_empty() {
            self.inbound.extend(bytes);
            self.readable = true;
        }
    }

    /// The client ends its side.
    pub(crate) fn end(&mut self, how: End) {
        if self.ended.is_none() || how == End::Reset {
            self.ended = Some(how);
            self.readable = true;
        }
        if how == End::Reset {
            self.inbound.clear();
            self.writable = true;
            self.owes_edge = false;
        }
    }

    /// The client takes up to `most` bytes; returns how many there were.
    pub(crate) fn take(&mut self, most: usize) -> usize {
        let taken = most.min(self.buffered);
        self.buffered -= taken;
        self.starved = false;
        // The system waits until a good part is free, so that one byte's room makes no event.
        let free = self.nature.capacity - self.buffered;
        if self.owes_edge && free * 3 >= self.nature.capacity {
            self.owes_edge = false;
            self.writable = true;
        }
        taken
    }

    /// The next event, if anything has changed since the last.
    pub(crate) fn event(&mut self) -> Option<Ready> {
        let (readable, writable) = (self.readable, self.writable);
        if !self.has_event() {
            return None;
        }
        (self.readable, self.writable) = (false, false);
        let all = !self.nature.separate;
        let closed = self.ended.is_some() && (readable || all);
        Some(Ready {
            readable: readable || (all && (!self.inbound.is_empty() || closed)),
            writable: writable || (all && self.has_room()),
            closed,
        })
    }

    /// Whether anything has changed since the last event.
    pub(crate) fn has_event(&self) -> bool {
        self.readable || self.writable
    }

    /// Whether it refused bytes and has not said since that there is room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.owes_edge
    }

    /// How the client ended its side, if it did.
    pub(crate) fn ended(&self) -> Option<End> {
        self.ended
    }

    /// Bytes that have arrived and were not read.
    pub(crate) fn unread(&self) -> usize {
        self.inbound.len()
    }

    /// Takes out the bytes written since the last time.
    pub(crate) fn take_fresh(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes out where the writes began that took something since the last time, in bytes from the
    /// first of all.
    pub(crate) fn take_writes(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.writes)
    }

    fn has_room(&self) -> bool {
        !self.starved && self.buffered < self.nature.capacity
    }

    fn is_interrupted(&mut self) -> bool {
        self.rng.u8(..100) < self.nature.interrupt
    }
}

impl Read for SimSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.inbound.is_empty() {
            return match self.ended {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(End::Finished) => Ok(0),
                Some(End::Reset) => Err(ErrorKind::ConnectionReset.into()),
            };
        }
        let mut length = 0;
        for (to, byte) in buffer.iter_mut().zip(&self.inbound) {
            *to = *byte;
            length += 1;
        }
        self.inbound.drain(..length);
        Ok(length)
    }
}

impl Write for SimSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.finished, "a write after the end");
        if self.is_interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.ended == Some(End::Reset) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = if self.has_room() {
            self.nature.capacity - self.buffered
        } else {
            0
        };
        let mut length = bytes.len().min(room);
        if length > 0 && self.rng.u8(..100) < self.nature.cut {
            length = self.rng.usize(..length);
            self.starved = true;
        }
        self.owes_edge |= length < bytes.len();
        if length == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.buffered += length;
        self.writes.push(self.written);
        self.written += length as u64;
        self.fresh.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for SimSocket {
    fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        Err(ErrorKind::NotConnected.into())
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn reset_on_drop(&mut self) {}
}
