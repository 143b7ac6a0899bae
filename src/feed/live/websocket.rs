//! A WebSocket client in a fiber: tungstenite over a stream that suspends.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::header::USER_AGENT;
use tungstenite::http::{HeaderValue, Uri};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

use super::dial::dial;
use super::failure::Failure;
use crate::http_client::{self, HttpClient, Route, TransportError, retry_after};
use crate::tick::unix_us;

/// An open WebSocket.
pub(super) struct Socket(WebSocket<Route>);

/// Why a WebSocket could not be opened, and how long the other end asks us to wait.
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) retry_after: Option<Duration>,
}

/// How a wait for a message ended.
pub(super) enum Received {
    /// A message, text or binary.
    Message(Vec<u8>),
    /// A ping or pong: the other end is alive.
    SignOfLife,
    /// The deadline passed.
    TimedOut,
    /// The other end closes the connection, for this reason.
    Close(String),
}

impl Socket {
    /// Connects to a `ws://` or `wss://` URL.
    pub(super) fn open(
        http_client: &HttpClient,
        url: &str,
        deadline: Instant,
    ) -> Result<Self, Refusal> {
        let url = http_client.url(url);
        let bad = || Failure::broken(format!("invalid URL '{url}'"));
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let route = dial(http_client, &uri, deadline)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_SIZE)
            .max_message_size(Some(MESSAGE_SIZE_MAX))
            .max_frame_size(Some(MESSAGE_SIZE_MAX));
        let mut request = url.as_str().into_client_request().map_err(|_| bad())?;
        // Some exchanges refuse a handshake without it.
        let user_agent = HeaderValue::from_static(http_client::USER_AGENT);
        request.headers_mut().insert(USER_AGENT, user_agent);
        for (name, value) in http_client.headers() {
            request.headers_mut().insert(name, value.clone());
        }
        match tungstenite::client::client_with_config(request, route, Some(config)) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(Refusal {
                failure: Failure::from_status(response.status().as_u16()),
                retry_after: retry_after(response.headers(), unix_us() / 1_000),
            }),
            Err(HandshakeError::Failure(error)) => Err(failure(error).into()),
            Err(HandshakeError::Interrupted(_)) => {
                Err(Failure::broken("the handshake was interrupted").into())
            }
        }
    }

    /// Sends a text message; without a text, a ping.
    pub(super) fn send(&mut self, text: Option<String>, deadline: Instant) -> Result<(), Failure> {
        self.set_deadline(deadline);
        let message = match text {
            Some(text) => Message::text(text),
            None => Message::Ping(tungstenite::Bytes::new()),
        };
        self.0.send(message).map_err(failure)
    }

    /// Waits for a message, and answers pings.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        self.set_deadline(deadline);
        match self.0.read() {
            Ok(Message::Text(text)) => Ok(Received::Message(text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => Ok(Received::Message(bytes.to_vec())),
            Ok(Message::Ping(_)) => {
                self.0.flush().map_err(failure)?;
                Ok(Received::SignOfLife)
            }
            Ok(Message::Pong(_) | Message::Frame(_)) => Ok(Received::SignOfLife),
            Ok(Message::Close(frame)) => {
                // Try to send the queued answer; a peer that is closing may not wait for it.
                let _ = self.0.flush();
                let words = frame.map(|frame| match frame.reason.as_str() {
                    "" => format!("code {}", u16::from(frame.code)),
                    reason => format!("code {}, {reason}", u16::from(frame.code)),
                });
                Ok(Received::Close(words.unwrap_or("no reason".to_owned())))
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => Ok(Received::TimedOut),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                Ok(Received::Close("no reason".to_owned()))
            }
            Err(error) => Err(failure(error)),
        }
    }

    fn set_deadline(&mut self, deadline: Instant) {
        self.0.get_mut().set_deadline(deadline);
    }
}

impl From<TransportError> for Refusal {
    fn from(error: TransportError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            retry_after: None,
        }
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Io(error) => TransportError::from_io(&error).into(),
        error => Failure::broken(error.to_string().to_lowercase()),
    }
}

/// The length of a TLS record.
const BUFFER_SIZE: usize = 16 * 1024;

/// The longest message that is accepted; tickers are a few hundred bytes.
const MESSAGE_SIZE_MAX: usize = 1 << 20;
