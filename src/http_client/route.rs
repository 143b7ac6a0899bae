//! Streams for protocols other than HTTP: connected in a fiber, which they suspend, with or without
//! TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ioloop::net::FiberStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::client::HttpClient;
use super::error::{LookupError, TransportError};

/// A stream with or without TLS. Routes nest, since a TLS stream may run through a proxy that
/// speaks TLS itself.
pub(crate) enum Route {
    Plain(FiberStream),
    Tls(Box<StreamOwned<ClientConnection, Route>>),
}

impl Route {
    /// Connects to a host without TLS.
    pub(crate) fn connect(
        http_client: &HttpClient,
        (host, port): (&str, u16),
        deadline: Instant,
    ) -> Result<Self, TransportError> {
        let addresses = http_client.resolver().lookup(host, deadline);
        let addresses = addresses.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidInput => {
                TransportError::Name("no such host".to_owned())
            }
            _ => TransportError::Name(LookupError(error).to_string()),
        })?;
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect();
        let stream = FiberStream::connect_any(http_client.registrar(), &addresses, Some(deadline));
        let mut stream = stream.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => TransportError::Connect("no answer within the limit".to_owned()),
            _ => TransportError::from_io(&error),
        })?;
        stream.set_deadline(Some(deadline));
        // Pings and subscriptions are small and must not wait for each other.
        stream
            .set_nodelay(true)
            .map_err(|error| TransportError::from_io(&error))?;
        Ok(Self::Plain(stream))
    }

    /// Adds TLS. Completes the handshake before anything is sent, so a bad certificate is reported
    /// as such.
    pub(crate) fn secure(
        mut self,
        http_client: &HttpClient,
        host: &str,
    ) -> Result<Self, TransportError> {
        let tls = |error: &dyn std::fmt::Display| TransportError::Tls(error.to_string());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| tls(&error))?;
        let connection = ClientConnection::new(Arc::clone(http_client.tls()), name);
        let mut connection = connection.map_err(|error| tls(&error))?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut self);
            done.map_err(|error| TransportError::from_io(&error))?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, self))))
    }

    /// Sets the deadline of all further reads and writes.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        match self {
            Self::Plain(stream) => stream.set_deadline(Some(deadline)),
            Self::Tls(stream) => stream.sock.set_deadline(deadline),
        }
    }

    /// Sets whether a nudge of the fiber ends a read. Only once TLS is set up: a handshake would
    /// fail.
    pub(crate) fn set_accepts_nudges(&mut self, value: bool) {
        match self {
            Self::Plain(stream) => stream.set_accepts_nudges(value),
            Self::Tls(stream) => stream.sock.set_accepts_nudges(value),
        }
    }
}

impl Read for Route {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Route {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
