//! The reasons why a connection could not be opened, or ended early.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use crate::client::error_kind::ErrorKind;
use crate::client::ws::tls;
use crate::error_text::plain;

/// The end of one connection. [`Display`](fmt::Display) is the sentence that a report shows.
#[derive(Debug)]
pub(crate) enum ConnectionError {
    /// No process listens at this address.
    ConnectRefused(SocketAddr),
    /// The connect got no answer within the limit.
    ConnectTimedOut(SocketAddr, Duration),
    /// The connect failed for another reason.
    ConnectFailed(SocketAddr, io::Error),
    /// All local ports of all usable addresses are taken.
    NoLocalPort(SocketAddr),
    /// The system gives no more descriptors.
    NoDescriptor(io::Error),
    /// The server answered the handshake with a status other than 101.
    HandshakeRefused {
        /// The status.
        status: u16,
        /// The reason phrase.
        reason: String,
        /// The first line of its text.
        words: String,
    },
    /// TLS failed, for a bad certificate or because the server does not speak it; as a sentence.
    Tls(String),
    /// Connected, but the TLS handshake did not finish within the limit.
    TlsTimedOut(Duration),
    /// Connected, but not upgraded within the limit.
    HandshakeTimedOut(Duration),
    /// The response to the handshake is invalid.
    BadHandshake(Cow<'static, str>),
    /// The server closed the connection, with a close frame or without one.
    Closed {
        /// The code of the close frame; 1005 if it had none, 1006 if there was no frame (RFC 6455
        /// section 7.4.1).
        code: u16,
        /// The reason in the close frame.
        reason: String,
    },
    /// The connection broke.
    Reset(io::Error),
    /// The connection broke before the upgrade.
    ResetJoining {
        /// The system's error.
        error: io::Error,
        /// Whether it broke during the TLS handshake.
        is_securing: bool,
    },
    /// The server sent what RFC 6455 forbids.
    Protocol(String),
}

impl ConnectionError {
    /// The end of a stream without a close frame.
    pub(crate) fn end_of_stream() -> Self {
        Self::Closed {
            code: 1006,
            reason: String::new(),
        }
    }

    /// The error for a connection whose read or write failed.
    pub(crate) fn broken(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner.map(tls::sentence) {
            Some(sentence) => Self::Tls(sentence),
            None => Self::Reset(error),
        }
    }

    /// The error for a connect that failed.
    pub(crate) fn connect(peer: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused(peer),
            // The codes of connect(2) and of bind(2) for this.
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::NoLocalPort(peer),
            _ if is_out_of_descriptors(&error) => Self::NoDescriptor(error),
            _ => Self::ConnectFailed(peer, error),
        }
    }

    /// Whether the closing handshake is complete.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Closed { code, .. } if *code != 1006)
    }

    /// Whether the server could not be reached at all, so that another of its addresses may work.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::ConnectRefused(_) | Self::ConnectTimedOut(..) | Self::ConnectFailed(..)
        )
    }

    /// The kind that it is counted as.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::ConnectRefused(_) => ErrorKind::ConnectRefused,
            Self::ConnectTimedOut(..) => ErrorKind::ConnectTimedOut,
            Self::ConnectFailed(..) => ErrorKind::ConnectFailed,
            Self::NoLocalPort(_) => ErrorKind::NoLocalPort,
            Self::NoDescriptor(_) => ErrorKind::NoDescriptor,
            Self::HandshakeRefused { status, .. } => ErrorKind::HandshakeRefused(Some(*status)),
            Self::Tls(_) => ErrorKind::Tls,
            Self::TlsTimedOut(_) => ErrorKind::TlsTimedOut,
            Self::HandshakeTimedOut(_) => ErrorKind::HandshakeTimedOut,
            Self::BadHandshake(_) => ErrorKind::BadHandshake,
            Self::Closed { code, .. } => ErrorKind::Closed(Some(*code)),
            Self::Reset(_) | Self::ResetJoining { .. } => ErrorKind::Reset,
            Self::Protocol(_) => ErrorKind::Protocol,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectRefused(peer) => write!(
                f,
                "cannot connect to {peer}: connection refused (is the server running?)"
            ),
            Self::ConnectTimedOut(peer, limit) => {
                write!(f, "cannot connect to {peer}: no answer within {limit:?}")
            }
            Self::ConnectFailed(peer, error) => {
                write!(f, "cannot connect to {peer}: {}", error.kind())
            }
            Self::NoLocalPort(peer) => write!(
                f,
                "cannot connect to {peer}: all local ports are taken (wait a minute, or see \
                 net.ipv4.ip_local_port_range)"
            ),
            Self::NoDescriptor(error) => {
                write!(f, "cannot open a socket: {} (see ulimit -n)", plain(error))
            }
            Self::HandshakeRefused {
                status,
                reason,
                words,
            } => {
                write!(f, "the server refused the WebSocket handshake: {status}")?;
                append(f, " ", reason)?;
                match status {
                    401 => f.write_str(
                        " (it asks for a token: try --header 'Authorization: Bearer TOKEN', or \
                         ?token=TOKEN in the URL)",
                    ),
                    _ => append_up_to(SENTENCE_LENGTH_MAX, f, ": ", words),
                }
            }
            Self::Tls(sentence) => append_up_to(SENTENCE_LENGTH_MAX, f, "", sentence),
            Self::TlsTimedOut(limit) => {
                write!(f, "the TLS handshake took longer than {limit:?} {NO_TLS}")
            }
            Self::HandshakeTimedOut(limit) => {
                write!(
                    f,
                    "the server did not answer the handshake within {limit:?}"
                )
            }
            Self::BadHandshake(what) => {
                write!(f, "invalid handshake response: {what}")
            }
            Self::Closed { code: 1005, .. } => {
                f.write_str("the server closed the connection without a status")
            }
            Self::Closed { code: 1006, .. } => {
                f.write_str("the server ended the connection without a close frame")
            }
            Self::Closed { code, reason } => {
                write!(f, "the server closed the connection: {code}")?;
                append(f, " ", reason)
            }
            Self::Reset(error) => write!(f, "the connection broke: {}", error.kind()),
            Self::ResetJoining { error, is_securing } => {
                let (what, hint) = if *is_securing {
                    ("TLS was agreed on", NO_TLS)
                } else {
                    ("the handshake was answered", ONLY_TLS)
                };
                write!(
                    f,
                    "the connection broke before {what}: {} {hint}",
                    error.kind()
                )
            }
            Self::Protocol(what) => write!(f, "the server violated the WebSocket protocol: {what}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

/// Appends a text from the server, printable and short.
fn append(f: &mut fmt::Formatter<'_>, separator: &str, text: &str) -> fmt::Result {
    append_up_to(TEXT_LENGTH_MAX, f, separator, text)
}

fn append_up_to(
    length_max: usize,
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    text: &str,
) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    write!(f, "{separator}{}", printable(text, length_max))
}

/// The same as a string.
pub(crate) fn short(text: &str) -> String {
    printable(text, TEXT_LENGTH_MAX)
}

fn printable(text: &str, length_max: usize) -> String {
    let text = exchanges::text::printable(text);
    text.chars().take(length_max).collect()
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error).is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
}

/// A hint for failures of TLS.
pub(crate) const NO_TLS: &str = "(does it speak TLS on this port? if not, use ws://)";

/// A hint for failures of a plain connection.
pub(crate) const ONLY_TLS: &str = "(does it speak TLS on this port? then use wss://)";

/// How much of a server's text is shown.
const TEXT_LENGTH_MAX: usize = 123;

/// The same for whole sentences: ours may quote a certificate, a server's may name ten symbols.
const SENTENCE_LENGTH_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_have_a_kind() {
        let peer = "127.0.0.1:8888".parse().unwrap();
        let kind = |errno: rustix::io::Errno| ConnectionError::connect(peer, errno.into()).kind();
        assert_eq!(
            kind(rustix::io::Errno::CONNREFUSED),
            ErrorKind::ConnectRefused
        );
        assert_eq!(
            kind(rustix::io::Errno::ADDRNOTAVAIL),
            ErrorKind::NoLocalPort
        );
        assert_eq!(kind(rustix::io::Errno::MFILE), ErrorKind::NoDescriptor);
        assert_eq!(
            kind(rustix::io::Errno::HOSTUNREACH),
            ErrorKind::ConnectFailed
        );
    }

    #[test]
    fn sentences_name_the_cause_and_a_remedy() {
        let peer = "127.0.0.1:8888".parse().unwrap();
        let closed = |code, reason: &str| ConnectionError::Closed {
            code,
            reason: reason.to_owned(),
        };
        for (failure, sentence) in [
            (
                ConnectionError::ConnectRefused(peer),
                "cannot connect to 127.0.0.1:8888: connection refused (is the server running?)",
            ),
            (
                ConnectionError::ConnectTimedOut(peer, Duration::from_millis(1500)),
                "cannot connect to 127.0.0.1:8888: no answer within 1.5s",
            ),
            (
                ConnectionError::NoDescriptor(rustix::io::Errno::MFILE.into()),
                "cannot open a socket: too many open files (see ulimit -n)",
            ),
            (
                closed(1001, "bye\x1b[2J"),
                "the server closed the connection: 1001 bye [2J",
            ),
            (
                closed(1005, ""),
                "the server closed the connection without a status",
            ),
        ] {
            assert_eq!(failure.to_string(), sentence);
        }
    }
}
