//! The kinds that errors are counted by: a bounded number, even if servers make up close codes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kind that an error is counted as. Kinds sort and serialise by their
/// [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No process listens at the address.
    ConnectRefused,
    /// The server did not accept the connection in time.
    ConnectTimedOut,
    /// Connecting failed for another reason.
    ConnectFailed,
    /// Every local port is taken.
    NoLocalPort,
    /// The process has no file descriptor left.
    NoDescriptor,
    /// The server refused the handshake with this status; `None` once there are too many statuses.
    HandshakeRefused(Option<u16>),
    /// The joining time was over before the connection was opened.
    NotOpened,
    /// A client process failed.
    WorkerLost,
    /// TLS failed, often for the server's certificate.
    Tls,
    /// TLS took too long.
    TlsTimedOut,
    /// The server did not answer the handshake in time.
    HandshakeTimedOut,
    /// The answer to the handshake was invalid.
    BadHandshake,
    /// The server closed the connection with this code; `None` once there are too many codes.
    Closed(Option<u16>),
    /// The connection broke.
    Reset,
    /// The server violated the WebSocket protocol.
    Protocol,
    /// The server refused to add symbols to a list.
    SubscribeRefused,
    /// The server never answered a request to add symbols.
    SubscribeUnanswered,
    /// No tick arrived on a connection that was otherwise fine.
    NoTick,
    /// Written by another version of this program.
    Unknown,
}

impl ErrorKind {
    /// The kind to count this error as in `counts`: its own, or a common kind once there are many,
    /// because servers choose their codes and statuses freely.
    pub(super) fn bounded<V>(self, counts: &BTreeMap<Self, V>) -> Self {
        if counts.len() < KINDS_MAX || counts.contains_key(&self) {
            return self;
        }
        match self {
            Self::Closed(_) => Self::Closed(None),
            Self::HandshakeRefused(_) => Self::HandshakeRefused(None),
            other => other,
        }
    }

    fn parse(text: &str) -> Self {
        let numbered = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(')');
        let fixed = FIXED.into_iter().find(|(_, words)| *words == text);
        if let Some((kind, _)) = fixed {
            kind
        } else if let Some(code) = numbered(CLOSED) {
            Self::Closed(code.parse().ok())
        } else if let Some(status) = numbered(REFUSED) {
            Self::HandshakeRefused(status.parse().ok())
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, number) = match self {
            Self::Closed(code) => (CLOSED, code),
            Self::HandshakeRefused(status) => (REFUSED, status),
            fixed => {
                let words = FIXED.into_iter().find(|(kind, _)| kind == fixed);
                return f.write_str(words.map_or("other", |(_, words)| words));
            }
        };
        match number {
            Some(number) => write!(f, "{prefix}{number})"),
            None => write!(f, "{prefix}other)"),
        }
    }
}

impl Ord for ErrorKind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialOrd for ErrorKind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ErrorKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::parse(&text))
    }
}

const CLOSED: &str = "closed by server (";

const REFUSED: &str = "handshake refused (";

/// The kinds that contain no number, with their names.
const FIXED: [(ErrorKind, &str); 17] = [
    (ErrorKind::ConnectRefused, "connect refused"),
    (ErrorKind::ConnectTimedOut, "connect timed out"),
    (ErrorKind::ConnectFailed, "connect failed"),
    (ErrorKind::NoLocalPort, "out of local ports"),
    (ErrorKind::NoDescriptor, "out of descriptors"),
    (ErrorKind::NotOpened, "not opened in time"),
    (ErrorKind::WorkerLost, "process lost"),
    (ErrorKind::Tls, "TLS failed"),
    (ErrorKind::TlsTimedOut, "TLS timed out"),
    (ErrorKind::HandshakeTimedOut, "handshake timed out"),
    (ErrorKind::BadHandshake, "bad handshake"),
    (ErrorKind::Reset, "reset"),
    (ErrorKind::Protocol, "protocol error"),
    (ErrorKind::SubscribeRefused, "subscribe refused"),
    (ErrorKind::SubscribeUnanswered, "subscribe unanswered"),
    (ErrorKind::NoTick, "no tick"),
    (ErrorKind::Unknown, "other"),
];

/// Once there are this many kinds, new codes and statuses are counted together.
const KINDS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_parsed_from_their_display() {
        let numbered = [None, Some(1006), Some(4000)];
        let closed = numbered.map(ErrorKind::Closed);
        let refused = numbered.map(ErrorKind::HandshakeRefused);
        let fixed = FIXED.into_iter().map(|(kind, _)| kind);
        for kind in fixed.chain(closed).chain(refused) {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<ErrorKind>(&json).unwrap(), kind);
        }
        assert_eq!(ErrorKind::parse("from a later version"), ErrorKind::Unknown);
    }

    #[test]
    fn made_up_close_codes_take_bounded_memory() {
        let mut counts = BTreeMap::new();
        for code in 3_000..4_000 {
            let kind = ErrorKind::Closed(Some(code)).bounded(&counts);
            *counts.entry(kind).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), KINDS_MAX + 1);
        assert_eq!(counts[&ErrorKind::Closed(None)], 900);
    }
}
