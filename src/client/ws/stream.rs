//! The byte stream of a connection, with or without TLS.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::client::ws::tls::Tls;

/// A socket with or without TLS. Without TLS, it costs only a branch per call.
#[derive(Debug)]
pub(crate) enum Stream {
    /// For a `ws://` URL.
    Plain(TcpStream),
    /// For a `wss://` URL.
    Tls(Box<Tls>),
}

impl Stream {
    /// The socket that the poll watches.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Whether the TLS handshake is in progress.
    pub(crate) fn is_securing(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_securing())
    }

    /// Whether there may be more to read after a read that left room in its buffer, although the
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

    /// Sends the output that TLS holds back, as far as the socket takes it. The rest is sent when
    /// the socket becomes writable, so it is not an error.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
