//! The resolver's cache. Pure: the time is handed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses by host name. They are fresh for as long as their records allow, and kept for longer
/// in case no server answers.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    fresh_until: Instant,
    stale_until: Instant,
    /// A refresh has failed since the addresses were learned.
    refresh_failed: bool,
}

/// What the cache knows about a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Up to date.
    Fresh(Vec<IpAddr>),
    /// Out of date, but usable if no server answers.
    Stale(Vec<IpAddr>),
}

impl Cache {
    pub(super) fn find(&self, host: &str, now: Instant) -> Option<Found> {
        let entry = self.entries.get(host)?;
        let addresses = entry.addresses.clone();
        if now < entry.fresh_until {
            Some(Found::Fresh(addresses))
        } else if now < entry.stale_until {
            Some(Found::Stale(addresses))
        } else {
            None
        }
    }

    pub(super) fn insert(
        &mut self,
        host: &str,
        addresses: Vec<IpAddr>,
        ttl: Duration,
        now: Instant,
    ) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(host) {
            self.evict();
        }
        let entry = Entry {
            addresses,
            fresh_until: now + ttl.clamp(TTL_MIN, TTL_MAX),
            stale_until: now + STALE_MAX,
            refresh_failed: false,
        };
        self.entries.insert(host.to_owned(), entry);
    }

    /// Notes a failed refresh: the stale addresses count as fresh for a while, or every request
    /// would first wait for servers that do not answer (RFC 8767, section 5: at least 30 s).
    /// Returns whether this is the first failure since the addresses were learned.
    pub(super) fn postpone(&mut self, host: &str, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(host) else {
            return false;
        };
        entry.fresh_until = (now + RETRY_AFTER).min(entry.stale_until);
        !std::mem::replace(&mut entry.refresh_failed, true)
    }

    /// Makes all addresses stale, so they are refreshed when they are needed next.
    pub(super) fn expire_all(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.fresh_until = entry.fresh_until.min(now);
        }
    }

    /// Forgets a name that no longer has an address.
    pub(super) fn remove(&mut self, host: &str) {
        self.entries.remove(host);
    }

    fn evict(&mut self) {
        let oldest = self
            .entries
            .iter()
            .min_by_key(|(_, entry)| entry.stale_until);
        if let Some(host) = oldest.map(|(host, _)| host.clone()) {
            self.entries.remove(&host);
        }
    }
}

/// Feeds send requests every second or so, and no record changes so often that each request needs a
/// lookup.
pub(super) const TTL_MIN: Duration = Duration::from_secs(5);

/// After an exchange has moved, we may use its old address for this long.
pub(super) const TTL_MAX: Duration = Duration::from_secs(300);

/// How long an old answer may be used when servers fail (RFC 8767 suggests one to three days).
const STALE_MAX: Duration = Duration::from_secs(86_400);

/// The time between a failed refresh and the next one.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A bound on memory, in case an upstream keeps redirecting to new names.
const ENTRIES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 0, 2, last])]
    }

    #[test]
    fn an_answer_is_fresh_as_long_as_its_record_says_within_limits() {
        let now = Instant::now();
        let mut cache = Cache::default();
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        for (host, ttl, lives) in [
            ("zero", Duration::ZERO, TTL_MIN),
            ("minute", second * 60, second * 60),
            ("day", day, TTL_MAX),
        ] {
            cache.insert(host, address(1), ttl, now);
            let last = now + lives - second;
            assert_eq!(
                cache.find(host, last),
                Some(Found::Fresh(address(1))),
                "{host}"
            );
            let after = now + lives;
            assert_eq!(
                cache.find(host, after),
                Some(Found::Stale(address(1))),
                "{host}"
            );
            assert_eq!(cache.find(host, now + day), None, "{host}");
        }
        assert_eq!(cache.find("never", now), None);
    }

    #[test]
    fn a_failed_refresh_is_not_repeated_at_once() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.insert("host", address(1), TTL_MIN, now);
        let later = now + TTL_MAX;
        assert!(cache.postpone("host", later));
        assert_eq!(cache.find("host", later), Some(Found::Fresh(address(1))));
        let due = later + RETRY_AFTER;
        assert_eq!(cache.find("host", due), Some(Found::Stale(address(1))));
        assert!(
            !cache.postpone("host", due),
            "only the first failure is reported"
        );
        cache.insert("host", address(1), TTL_MIN, due);
        assert!(cache.postpone("host", due), "a success starts over");
        cache.expire_all(due);
        assert_eq!(cache.find("host", due), Some(Found::Stale(address(1))));
        cache.remove("host");
        assert_eq!(cache.find("host", due), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_entry_is_evicted_first() {
        let now = Instant::now();
        let mut cache = Cache::default();
        for number in 0..=ENTRIES_MAX {
            let then = now + Duration::from_millis(number as u64);
            cache.insert(&number.to_string(), address(1), TTL_MAX, then);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert_eq!(cache.find("0", now), None);
        assert!(cache.find("1", now).is_some());
    }
}
