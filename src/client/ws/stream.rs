//! The bytes of a connection, with or without TLS.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::client::ws::tls::Tls;

/// A socket with or without TLS. Without, it adds a branch to each call and nothing else.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Of a `ws://` URL.
    Plain(TcpStream),
    /// Of a `wss://` URL.
    Tls(Box<Tls>),
}

impl Stream {
    /// What the poll watches.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Whether TLS is still agreeing on keys.
    pub(crate) fn is_securing(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_securing())
    }

    /// Whether there may be more to read behind a read that left room in its buffer, although the
    /// socket itself is empty.
    pub(crate) fn holds_more(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.has_ended())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends what TLS keeps, as far as the socket takes it. What it does not take goes out when it
    /// becomes writable, so that is no error.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
