//! The client's end of a WebSocket in a fiber: tungstenite over a stream that suspends, with TLS
//! where the URL says so, and through the proxy where there is one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::handshake::HandshakeError;
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};
use ureq::Proxy;

use super::failure::Failure;
use super::upstream::Upstream;
use crate::http::LookupError;
use crate::net::FiberStream;

/// An open WebSocket.
pub(super) struct Socket(WebSocket<Stream>);

/// With or without TLS.
enum Stream {
    Plain(FiberStream),
    Tls(Box<StreamOwned<ClientConnection, FiberStream>>),
}

/// What ended a wait for a message.
pub(super) enum Received {
    /// A message, text or binary.
    Message(Vec<u8>),
    /// A ping or pong: the other end is alive.
    Sign,
    /// Nothing until the deadline.
    Nothing,
    /// The other end says goodbye, with its words.
    Goodbye(String),
}

impl Socket {
    /// Connects to a `ws://` or `wss://` URL.
    pub(super) fn open(upstream: &Upstream, url: &str, deadline: Instant) -> Result<Self, Failure> {
        let url = upstream.url(url);
        let bad = || Failure::Broken(format!("'{url}' is no URL"));
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.host().ok_or_else(bad)?;
        let is_secure = uri.scheme_str() == Some("wss");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = match upstream.proxy_for(&uri) {
            None => connect(upstream, (host, port), deadline)?,
            Some(proxy) => {
                let stream = connect(upstream, (proxy.host(), proxy.port()), deadline)?;
                tunnel(stream, proxy, (host, port))?
            }
        };
        let stream = match is_secure {
            false => Stream::Plain(stream),
            true => Stream::Tls(Box::new(secure(upstream, host, stream)?)),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_SIZE)
            .max_message_size(Some(MESSAGE_SIZE_MAX))
            .max_frame_size(Some(MESSAGE_SIZE_MAX));
        match tungstenite::client::client_with_config(&url, stream, Some(config)) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(error)) => Err(failure(error)),
            Err(HandshakeError::Interrupted(_)) => {
                Err(Failure::Broken("the handshake was interrupted".to_owned()))
            }
        }
    }

    /// Sends a text, or a ping if there is none.
    pub(super) fn send(&mut self, text: Option<String>, deadline: Instant) -> Result<(), Failure> {
        self.set_deadline(deadline);
        let message = match text {
            Some(text) => Message::text(text),
            None => Message::Ping(tungstenite::Bytes::new()),
        };
        self.0.send(message).map_err(failure)
    }

    /// Waits for a message. Pings are answered.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        self.set_deadline(deadline);
        match self.0.read() {
            Ok(Message::Text(text)) => Ok(Received::Message(text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => Ok(Received::Message(bytes.to_vec())),
            Ok(Message::Ping(_)) => {
                self.0.flush().map_err(failure)?;
                Ok(Received::Sign)
            }
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(Received::Sign),
            Ok(Message::Close(frame)) => {
                // The answer is queued; whether it still arrives is the other end's concern.
                let _ = self.0.flush();
                let words = frame.map(|frame| match frame.reason.as_str() {
                    "" => format!("code {}", u16::from(frame.code)),
                    reason => format!("code {}, {reason}", u16::from(frame.code)),
                });
                Ok(Received::Goodbye(words.unwrap_or("no reason".to_owned())))
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => Ok(Received::Nothing),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                Ok(Received::Goodbye("no reason".to_owned()))
            }
            Err(error) => Err(failure(error)),
        }
    }

    fn set_deadline(&mut self, deadline: Instant) {
        let stream = match self.0.get_mut() {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &mut stream.sock,
        };
        stream.set_deadline(Some(deadline));
    }
}

fn connect(
    upstream: &Upstream,
    (host, port): (&str, u16),
    deadline: Instant,
) -> Result<FiberStream, Failure> {
    let addresses = upstream.resolver.lookup(host, deadline);
    let addresses = addresses.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput => {
            Failure::Name("there is no such host".to_owned())
        }
        _ => Failure::Name(LookupError(error).to_string()),
    })?;
    let addresses: Vec<_> = addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    let stream = FiberStream::connect_any(&upstream.registrar, &addresses, Some(deadline));
    let mut stream = stream.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => Failure::Connect("no answer within the limit".to_owned()),
        _ => Failure::of_io(&error),
    })?;
    stream.set_deadline(Some(deadline));
    // Pings and subscriptions are small and must not wait for each other.
    stream
        .set_nodelay(true)
        .map_err(|error| Failure::of_io(&error))?;
    Ok(stream)
}

/// Asks an HTTP proxy for a way to the host (RFC 9110, section 9.3.6).
fn tunnel(
    mut stream: FiberStream,
    proxy: &Proxy,
    (host, port): (&str, u16),
) -> Result<FiberStream, Failure> {
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let mut head = Vec::new();
    let answered = stream.write_all(request.as_bytes()).and_then(|()| {
        // Byte by byte, since what follows the head belongs to whoever is behind the proxy.
        while !head.ends_with(b"\r\n\r\n") && head.len() < BUFFER_SIZE {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(())
    });
    answered.map_err(|error| Failure::of_io(&error))?;
    let head = String::from_utf8_lossy(&head);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status.starts_with('2') {
        return Ok(stream);
    }
    let (proxy, port) = (proxy.host(), proxy.port());
    Err(Failure::Connect(format!(
        "the proxy {proxy}:{port} answers {status}"
    )))
}

/// Agrees on keys at once, so that what is wrong with the certificate is known as such.
fn secure(
    upstream: &Upstream,
    host: &str,
    mut stream: FiberStream,
) -> Result<StreamOwned<ClientConnection, FiberStream>, Failure> {
    let tls = |error: &dyn std::fmt::Display| Failure::Tls(error.to_string());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| tls(&error))?;
    let connection = ClientConnection::new(Arc::clone(&upstream.tls), name);
    let mut connection = connection.map_err(|error| tls(&error))?;
    while connection.is_handshaking() {
        let done = connection.complete_io(&mut stream);
        done.map_err(|error| Failure::of_io(&error))?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Io(error) => Failure::of_io(&error),
        Error::Http(response) => Failure::of_status(response.status().as_u16()),
        error => Failure::Broken(error.to_string().to_lowercase()),
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
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

/// A TLS record is never longer.
const BUFFER_SIZE: usize = 16 * 1024;

/// The longest message that is taken; tickers are a few hundred bytes.
const MESSAGE_SIZE_MAX: usize = 1 << 20;
