//! Whether something works, and what the log should say about it: once per change, not once per
//! attempt.

use std::time::{Duration, Instant};

/// How something has been doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// It has not been tried.
    #[default]
    Unknown,
    Good,
    /// It fails in this way, and has been failing, in whatever way, since then.
    Bad {
        kind: &'static str,
        since: Instant,
    },
}

/// What an attempt has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It was the first attempt and went well.
    First,
    /// It works again, after so long.
    Recovered(Duration),
    /// It has begun to fail, or fails in another way.
    Worse,
}

impl Health {
    pub(super) fn is_good(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Good => Some(true),
            Self::Bad { .. } => Some(false),
        }
    }

    /// How it fails, and since when it has been failing in whatever way.
    pub(super) fn failing(&self) -> Option<(&'static str, Instant)> {
        match self {
            Self::Bad { kind, since } => Some((kind, *since)),
            _ => None,
        }
    }

    /// It went well.
    pub(super) fn good(&mut self, now: Instant) -> Change {
        match std::mem::replace(self, Self::Good) {
            Self::Unknown => Change::First,
            Self::Good => Change::None,
            Self::Bad { since, .. } => Change::Recovered(now.saturating_duration_since(since)),
        }
    }

    /// It failed in the way called `kind`.
    pub(super) fn bad(&mut self, kind: &'static str, now: Instant) -> Change {
        let (known, since) = match self {
            Self::Bad { kind, since } => (Some(*kind), *since),
            _ => (None, now),
        };
        *self = Self::Bad { kind, since };
        if known == Some(kind) {
            Change::None
        } else {
            Change::Worse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_worth_a_line() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut health = Health::default();
        assert_eq!(health.good(second(0)), Change::First);
        assert_eq!(health.good(second(1)), Change::None);
        assert_eq!(health.bad("connect", second(2)), Change::Worse);
        assert_eq!(health.bad("connect", second(3)), Change::None);
        assert_eq!(health.bad("name", second(4)), Change::Worse);
        let outage = Duration::from_secs(8);
        assert_eq!(health.good(second(10)), Change::Recovered(outage));
        assert_eq!(health.is_good(), Some(true));
    }
}
