//! Why a connection ended. The wording here is what the log says, and there is one place that says
//! it; the names are those of the metric.

use std::fmt;
use std::io;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::rejection::Rejection;

/// Why a connection is closed.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// A page was asked for and is given.
    Served,
    /// The request was not one that can be followed.
    Refused(Rejection),
    /// The request did not arrive in time.
    HandshakeTimeout,
    /// The client said goodbye.
    ClosedByClient,
    /// The client's side of the connection ended without a word.
    Vanished,
    /// The connection failed.
    Failed(io::Error),
    /// TLS failed: no keys could be agreed on, or they do not fit.
    Tls(io::Error),
    /// The frames made no sense.
    Protocol(ProtocolError),
    /// A binary message; all messages here are text.
    Binary,
    /// Text that is not UTF-8.
    BadText,
    /// A message over the limit.
    TooBig,
    /// More messages than allowed.
    Flood,
    /// No pong within the limit.
    NoPong,
    /// Nothing could be written for too long.
    Slow,
    /// The server stops.
    Shutdown,
}

impl CloseReason {
    /// Its place among [`NAMES`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Served => 0,
            Self::Refused(_) => REFUSED,
            Self::HandshakeTimeout => 2,
            Self::ClosedByClient => 3,
            Self::Vanished => 4,
            Self::Failed(_) => 5,
            Self::Protocol(_) => 6,
            Self::Binary => 7,
            Self::BadText => 8,
            Self::TooBig => 9,
            Self::Flood => 10,
            Self::NoPong => 11,
            Self::Slow => 12,
            Self::Shutdown => 13,
            Self::Tls(_) => 14,
        }
    }

    /// The close code that tells the client (RFC 6455 section 7.4.1), if there is a client to tell.
    pub(crate) fn code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(_) => Some(CloseCode::Protocol),
            Self::Binary => Some(CloseCode::Unsupported),
            Self::BadText => Some(CloseCode::Invalid),
            Self::TooBig => Some(CloseCode::Size),
            Self::Flood | Self::NoPong | Self::Slow => Some(CloseCode::Policy),
            Self::Shutdown => Some(CloseCode::Away),
            Self::Served
            | Self::Refused(_)
            | Self::HandshakeTimeout
            | Self::ClosedByClient
            | Self::Vanished
            | Self::Failed(_)
            | Self::Tls(_) => None,
        }
    }
}

impl From<tungstenite::Error> for CloseReason {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::Error;
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::ClosedByClient,
            Error::Protocol(error) => Self::Protocol(error),
            Error::Utf8(_) => Self::BadText,
            Error::Capacity(_) => Self::TooBig,
            Error::Io(error) => Self::Failed(error),
            other => Self::Failed(io::Error::other(other)),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served => f.write_str("page served"),
            Self::Refused(rejection) => write!(f, "refused: {rejection}"),
            Self::HandshakeTimeout => f.write_str("no request within --handshake-timeout"),
            Self::ClosedByClient => f.write_str("closed by the client"),
            Self::Vanished => f.write_str("disconnected without a close frame"),
            Self::Failed(error) => write!(f, "connection failed: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::Binary => f.write_str("a binary message: expected text"),
            Self::BadText => f.write_str("a text message that is not UTF-8"),
            Self::TooBig => f.write_str("a message over --max-message-size"),
            Self::Flood => f.write_str("too many messages (--message-rate)"),
            Self::NoPong => f.write_str("no pong within --ping-timeout"),
            Self::Slow => f.write_str("read nothing for --slow-timeout"),
            Self::Shutdown => f.write_str("the server is shutting down"),
        }
    }
}

/// The place of [`CloseReason::Refused`] among [`NAMES`].
pub(crate) const REFUSED: usize = 1;

/// The reasons' names in the metrics, in the order of [`CloseReason::index`].
pub(crate) const NAMES: [&str; 15] = [
    "served",
    "refused",
    "handshake_timeout",
    "closed_by_client",
    "vanished",
    "failed",
    "protocol",
    "binary",
    "bad_text",
    "too_big",
    "flood",
    "no_pong",
    "slow",
    "shutdown",
    "tls",
];
