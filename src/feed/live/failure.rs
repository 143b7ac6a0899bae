//! Why a source has no price, in the kinds that matter to a reader of the log. The log uses the
//! text of a [`Failure`].

use std::fmt;
use std::time::Duration;

use exchanges::QuoteError;

use crate::http_client::TransportError;

/// Why a source has no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The exchange cannot be reached, or the connection to it failed.
    Transport(TransportError),
    /// The stream is open but has had no price for this long.
    Silent(Duration),
    /// The exchange answered, but not with a price.
    Answer(QuoteError),
}

impl Failure {
    /// One word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Silent(_) => "silent",
            Self::Answer(QuoteError::UnknownSymbol) => "unknown_symbol",
            Self::Answer(QuoteError::NoPrice(_)) => "no_price",
            Self::Answer(QuoteError::RateLimited) => "rate_limited",
            Self::Answer(QuoteError::Blocked(_)) => "blocked",
            Self::Answer(QuoteError::Down(_)) => "down",
            Self::Answer(QuoteError::Refused(_)) => "refused",
            Self::Answer(QuoteError::Garbage(_)) => "garbage",
        }
    }

    /// The pause after the first failure of this kind, and the longest pause.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        let (first_ms, longest_ms) = match self {
            // A blocked location usually stays blocked, so rarely check again.
            Self::Answer(QuoteError::Blocked(_)) => (5_000, 60_000),
            // For answers without `Retry-After`. Clients that do not slow down get banned.
            Self::Answer(QuoteError::RateLimited) => (2_000, 60_000),
            _ => (500, 10_000),
        };
        let ms = Duration::from_millis;
        (ms(first_ms), ms(longest_ms))
    }

    /// A broken connection, for this reason.
    pub(super) fn broken(why: impl Into<String>) -> Self {
        TransportError::Broken(why.into()).into()
    }

    /// A WebSocket handshake that was answered with this HTTP status.
    pub(super) fn from_status(status: u16) -> Self {
        let why = format!("HTTP {status}");
        Self::Answer(match status {
            418 | 429 => QuoteError::RateLimited,
            403 | 451 => QuoteError::Blocked(why),
            500.. => QuoteError::Down(why),
            _ => QuoteError::Refused(why),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "{error}"),
            Self::Silent(since) => write!(f, "open but without a price for {since:.0?}"),
            Self::Answer(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<QuoteError> for Failure {
    fn from(error: QuoteError) -> Self {
        Self::Answer(error)
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
