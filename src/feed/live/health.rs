//! Whether something works. It turns attempts into changes, so the log has a line per change, not
//! per attempt.

use std::time::{Duration, Instant};

/// How something has been doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// It has not been tried yet.
    #[default]
    Unknown,
    Good,
    /// It fails in this way now, and has been failing in some way `since` then.
    Bad {
        kind: &'static str,
        since: Instant,
    },
}

/// What an attempt has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// The first attempt succeeded.
    First,
    /// It works again, after failing for this long.
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

    /// How it fails, and since when it has been failing in some way.
    pub(super) fn failing(&self) -> Option<(&'static str, Instant)> {
        match self {
            Self::Bad { kind, since } => Some((kind, *since)),
            _ => None,
        }
    }

    /// Notes a successful attempt.
    pub(super) fn good(&mut self, now: Instant) -> Change {
        match std::mem::replace(self, Self::Good) {
            Self::Unknown => Change::First,
            Self::Good => Change::None,
            Self::Bad { since, .. } => Change::Recovered(now.saturating_duration_since(since)),
        }
    }

    /// Notes an attempt that failed in the way called `kind`.
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
    fn only_changes_are_reported() {
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
