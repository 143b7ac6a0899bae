//! Why there is no connection to a server, or no longer.

use std::fmt;

use super::decoder::Malformed;
use crate::http_client::TransportError;

/// Why a connection could not be opened, or broke. Its text is what one would say of the server:
/// "n1:4222 cannot be reached: connection refused".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server does not want us: a wrong password, too many connections.
    Refused(String),
    /// The way to it is broken.
    Transport(TransportError),
    /// It does not speak NATS, or not well.
    Protocol(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Transport(error) => error.fmt(f),
            Self::Protocol(why) => write!(f, "does not follow the NATS protocol: {why}"),
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Protocol(why)
    }
}
