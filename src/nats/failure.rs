//! Why there is no connection to a server, or no longer.

use std::fmt;

use super::decoder::Malformed;
use crate::http_client::TransportError;

/// Why a connection could not be opened, or broke. Its text is what one would say of the server:
/// "n1:4222 cannot be reached: connection refused".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server will not let us in as we are: a wrong password, for example.
    Refused(String),
    /// The server does not want us at the moment: it has too many connections, for example.
    TurnedAway(String),
    /// The way to it is broken.
    Transport(TransportError),
    /// It does not speak NATS, or not well.
    Protocol(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::TurnedAway(why) => f.write_str(why),
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
