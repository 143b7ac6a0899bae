//! Why a connection ended, in one table: the name in the metrics, the close code for the client,
//! and the text for the log and the client. One place logs it.

use std::fmt;
use std::io;

use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::rejection::Rejection;

/// Defines [`CloseReason`] and the properties of each reason. A reason's payload is shown after its
/// text. The close code (RFC 6455 section 7.4.1) is `None` where there is no client to tell.
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

        /// The reasons without their payload, for their places in the table.
        #[derive(Clone, Copy)]
        enum Place {
            $($reason,)*
        }

        /// The names of the reasons in the metrics, in the order of [`CloseReason::index`].
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
    /// The client asked for a page and got it.
    Served = "served", None, "page served";
    /// The request was rejected.
    Refused(rejection: Rejection) = "refused", None, "refused";
    /// The request did not arrive in time.
    HandshakeTimeout = "handshake_timeout", None, "no request within --handshake-timeout";
    /// The client said goodbye.
    ClosedByClient = "closed_by_client", None, "closed by the client";
    /// The client's side of the connection ended without a closing frame.
    Vanished = "vanished", None, "disconnected without a close frame";
    /// The connection failed.
    Failed(error: io::Error) = "failed", None, "connection failed";
    /// The client broke the WebSocket protocol.
    Protocol(error: ProtocolError) = "protocol", Some(CloseCode::Protocol), "protocol error";
    /// A binary message; all messages here are text.
    Binary = "binary", Some(CloseCode::Unsupported), "a binary message: expected text";
    /// Text that is not UTF-8.
    BadText = "bad_text", Some(CloseCode::Invalid), "a text message that is not UTF-8";
    /// A message over the limit.
    TooBig = "too_big", Some(CloseCode::Size), "a message over --max-message-size";
    /// More messages than allowed.
    Flood = "flood", Some(CloseCode::Policy), "too many messages (--message-rate)";
    /// Data from a client that reads a stream of events.
    Spoke = "spoke", Some(CloseCode::Policy), "data on a stream of events, which is only read";
    /// No pong within the limit.
    NoPong = "no_pong", Some(CloseCode::Policy), "no pong within --ping-timeout";
    /// The client took no bytes for too long.
    Slow = "slow", Some(CloseCode::Policy), "read nothing for --slow-timeout";
    /// The server shuts down.
    Shutdown = "shutdown", Some(CloseCode::Away), "the server is shutting down";
    /// TLS failed: the handshake found no common keys, or a record could not be decrypted.
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
