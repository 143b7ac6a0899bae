//! Why a source has no price, in the kinds that matter to a reader of the log. The log uses the
//! text of a [`Failure`].

use std::fmt;
use std::time::Duration;

use exchanges::QuoteError;

use crate::backoff::Backoff;
use crate::http_client::TransportError;

/// Why a source has no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The exchange cannot be reached, or the connection to it failed.
    Transport(TransportError),
    /// The stream is open but has shown no sign of life for this long.
    Silent(Duration),
    /// The exchange answered, but not with a price.
    Answer(QuoteError),
}

/// How long a source waits before its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) length: Duration,
    pub(super) reason: PauseReason,
}

/// What decides how long a pause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PauseReason {
    /// The exchange asks for this pause (`Retry-After`).
    Asked,
    /// Each further failure makes it longer.
    Grows,
    /// It has reached its limit.
    Longest,
}

impl Pause {
    /// The pause after `failure`: what the exchange asks for, or else what `backoff` says.
    pub(super) fn after(
        failure: &Failure,
        retry_after: Option<Duration>,
        backoff: &mut Backoff,
    ) -> Self {
        let (first, longest) = failure.pauses();
        let length = backoff.failed(first, longest);
        let reason = match retry_after {
            Some(_) => PauseReason::Asked,
            None if backoff.grows() => PauseReason::Grows,
            None => PauseReason::Longest,
        };
        Self {
            length: retry_after.unwrap_or(length),
            reason,
        }
    }

    /// At least `least`, since the exchange's own interval holds after a failure, too.
    pub(super) fn at_least(self, least: Duration) -> Self {
        Self {
            length: self.length.max(least),
            ..self
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = match self.reason {
            PauseReason::Asked => ", as it asks",
            PauseReason::Grows => ", then less often",
            PauseReason::Longest => "",
        };
        write!(f, "trying again in {:.1?}{more}", self.length)
    }
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

    /// Whether the exchange wants no requests of any kind for a while.
    pub(super) fn forbids_requests(&self) -> bool {
        matches!(
            self,
            Self::Answer(QuoteError::RateLimited | QuoteError::Blocked(_))
        )
    }

    /// The pause after the first failure of this kind, and the longest pause.
    fn pauses(&self) -> (Duration, Duration) {
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
            Self::Silent(since) => write!(f, "open but without a sign of life for {since:.0?}"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn a_pause_says_less_often_only_where_that_is_true() {
        let mut backoff = Backoff::new(Rng::with_seed(1));
        let limited = Failure::Answer(QuoteError::RateLimited);
        let asked = Some(Duration::from_secs(60));
        let mut text = |retry_after| Pause::after(&limited, retry_after, &mut backoff).to_string();
        assert_eq!(text(asked), "trying again in 60.0s, as it asks");
        assert!(text(None).ends_with("s, then less often"));
        for _ in 0..5 {
            text(None);
        }
        let longest = text(None);
        assert!(
            longest.ends_with('s') && !longest.contains(','),
            "{longest}"
        );
    }
}
