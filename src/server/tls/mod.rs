//! TLS for clients: the server's certificate, and sockets with or without TLS.
//!
//! ```text
//! accept ──▶ Tls::secure ──▶ ClientSocket ─ TlsSocket ─ Records (rustls)
//! SIGHUP ──▶ Tls::reload      └─ Transport
//! ```

mod queue;
mod records;
mod stream;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;

use self::queue::HandshakeQueue;
use self::stream::TlsSocket;
use crate::server::config::TlsFiles;
use crate::server::socket::{Deed, Socket, Transport};
use crate::tls::Identity;

/// The TLS configuration of a server, and its queue of handshakes.
pub(crate) struct Tls {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    /// Handshakes that wait for their turn.
    pub(crate) queue: HandshakeQueue,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When the files cannot be used; the error names the file and the remedy.
    pub(crate) fn open(files: TlsFiles) -> io::Result<Self> {
        Ok(Self {
            config: read(&files)?,
            files,
            queue: HandshakeQueue::default(),
        })
    }

    /// Reads the files again. Connected clients stay, and new ones get the new certificate. If the
    /// files cannot be used, the old certificate stays.
    pub(crate) fn reload(&mut self) {
        match read(&self.files) {
            Ok(config) => {
                self.config = config;
                log::info!(
                    "reloaded the certificate from {}",
                    self.files.cert.display()
                );
            }
            Err(error) => log::warn!("{error}; keeping the previous certificate"),
        }
    }

    /// Wraps a socket on which TLS is expected.
    pub(crate) fn secure<S: Transport>(&self, socket: S) -> ClientSocket<S> {
        let socket = TlsSocket::new(socket, Arc::clone(&self.config));
        ClientSocket::Tls(Box::new(socket))
    }
}

fn read(files: &TlsFiles) -> io::Result<Arc<ServerConfig>> {
    let identity = Identity::read(&files.cert, &files.key)?;
    for warning in &identity.warnings {
        log::warn!("{warning}");
    }
    let config = identity.server_config("http/1.1");
    config.map(Arc::new).map_err(io::Error::other)
}

/// The answer to a client when there is no room, before keys are agreed on: a fatal alert,
/// internal_error (RFC 8446 section 6), in a record of its own.
pub(crate) const NO_ROOM: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// A client's socket.
pub(crate) enum ClientSocket<S> {
    Plain(S),
    Tls(Box<TlsSocket<S>>),
}

impl<S: Transport> ClientSocket<S> {
    /// The socket below TLS.
    pub(crate) fn transport(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(socket) => socket.socket(),
        }
    }
}

impl<S: Transport> Read for ClientSocket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(socket) => socket.read(buffer),
        }
    }
}

impl<S: Transport> Write for ClientSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(socket) => {
                let taken = socket.write(bytes);
                let length = *taken.as_ref().unwrap_or(&0);
                socket.socket().note(Deed::Seal(&bytes[..length]));
                taken
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(socket) => socket.flush(),
        }
    }
}

impl<S: Transport> Socket for ClientSocket<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(socket) => socket.peer_addr(),
            Self::Tls(socket) => socket.peer_addr(),
        }
    }

    fn was_deferred(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.was_deferred(),
            Self::Tls(socket) => socket.was_deferred(),
        }
    }

    fn note(&mut self, deed: Deed<'_>) {
        self.transport().note(deed);
    }

    fn finish(&mut self) {
        match self {
            Self::Plain(socket) => socket.finish(),
            Self::Tls(socket) => socket.finish(),
        }
    }

    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_last(bytes),
            Self::Tls(_) => self.write(bytes),
        }
    }

    fn send_close_notify(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Tls(socket) => socket.send_close_notify(),
        }
    }

    fn limit_silence(&mut self, limit: Duration) {
        self.transport().limit_silence(limit);
    }

    fn reset_on_drop(&mut self) {
        self.transport().reset_on_drop();
    }

    fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.has_unsent())
    }

    fn has_unread(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.has_unread())
    }

    fn is_securing(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.is_securing())
    }

    fn is_unexpectedly_plain(&self) -> bool {
        matches!(self, Self::Tls(socket) if socket.is_unexpectedly_plain())
    }
}

impl<S: Transport> Source for ClientSocket<S> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.transport().register(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.transport().reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.transport().deregister(registry)
    }
}
