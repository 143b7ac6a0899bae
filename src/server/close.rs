//! Why a connection ended, in one table: what the metrics call it, the close code that tells the
//! client, and what the log and the client are told. One place logs it.

use std::fmt;
use std::io;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::rejection::Rejection;

/// Makes [`CloseReason`] and all that is known of each reason. What a reason carries is told behind its
/// text. The close code (RFC 6455 section 7.4.1) is none where there is no client to tell.
macro_rules! close_reasons {
    ($(
        $(#[$doc:meta])*
        $reason:ident $(($detail:ident: $Detail:ty))? = $name:literal, $code:expr, $text:literal;
    )*) => {
        /// Why a connection is closed.
        #[derive(Debug)]
        pub(crate) enum CloseReason {
            $($(#[$doc])* $reason $(($Detail))?,)*
        }

        /// The reasons without what they carry, for their places in the table.
        #[derive(Clone, Copy)]
        enum Place {
            $($reason,)*
        }

        /// The reasons' names in the metrics, in the order of [`CloseReason::index`].
        pub(crate) const NAMES: [&str; [$(Place::$reason),*].len()] = [$($name),*];

        impl CloseReason {
            /// Its place among [`NAMES`].
            pub(crate) fn index(&self) -> usize {
                match self {
                    $(Self::$reason { .. } => Place::$reason as usize,)*
                }
            }

            /// The close code that tells the client, if there is a client to tell.
            pub(crate) fn code(&self) -> Option<CloseCode> {
                match self {
                    $(Self::$reason { .. } => $code,)*
                }
            }
        }

        impl fmt::Display for CloseReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$reason $(($detail))? => {
                        f.write_str($text)?;
                        $(write!(f, ": {}", $detail)?;)?
                        Ok(())
                    })*
                }
            }
        }
    };
}

close_reasons! {
    /// A page was asked for and is given.
    Served = "served", None, "page served";
    /// The request was rejected.
    Refused(rejection: Rejection) = "refused", None, "refused";
    /// The request did not arrive in time.
    HandshakeTimeout = "handshake_timeout", None, "no request within --handshake-timeout";
    /// The client said goodbye.
    ClosedByClient = "closed_by_client", None, "closed by the client";
    /// The client's side of the connection ended without a word.
    Vanished = "vanished", None, "disconnected without a close frame";
    /// The connection failed.
    Failed(error: io::Error) = "failed", None, "connection failed";
    /// The frames made no sense.
    Protocol(error: ProtocolError) = "protocol", Some(CloseCode::Protocol), "protocol error";
    /// A binary message; all messages here are text.
    Binary = "binary", Some(CloseCode::Unsupported), "a binary message: expected text";
    /// Text that is not UTF-8.
    BadText = "bad_text", Some(CloseCode::Invalid), "a text message that is not UTF-8";
    /// A message over the limit.
    TooBig = "too_big", Some(CloseCode::Size), "a message over --max-message-size";
    /// More messages than allowed.
    Flood = "flood", Some(CloseCode::Policy), "too many messages (--message-rate)";
    /// No pong within the limit.
    NoPong = "no_pong", Some(CloseCode::Policy), "no pong within --ping-timeout";
    /// Nothing could be written for too long.
    Slow = "slow", Some(CloseCode::Policy), "read nothing for --slow-timeout";
    /// The server stops.
    Shutdown = "shutdown", Some(CloseCode::Away), "the server is shutting down";
    /// TLS failed: no keys could be agreed on, or they do not fit.
    Tls(error: io::Error) = "tls", None, "TLS failed";
}

/// The place of [`CloseReason::Refused`] among [`NAMES`].
pub(crate) const REFUSED: usize = Place::Refused as usize;

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
