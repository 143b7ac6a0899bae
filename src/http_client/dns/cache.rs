//! What the resolver remembers. Pure: the time is handed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses by host name, for as long as their records allow and a little longer.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    fresh_until: Instant,
    stale_until: Instant,
    /// A refresh has failed since it was learned.
    is_old: bool,
}

/// What the cache has for a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Good as it is.
    Fresh(Vec<IpAddr>),
    /// Out of date, but better than nothing.
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
            is_old: false,
        };
        self.entries.insert(host.to_owned(), entry);
    }

    /// After a failed refresh: what is stale counts as fresh for a while, or every request would
    /// first wait for servers that do not answer (RFC 8767, section 5: at least 30 s). Returns
    /// whether it is the first that failed since the addresses were learned.
    pub(super) fn postpone(&mut self, host: &str, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(host) else {
            return false;
        };
        entry.fresh_until = (now + RETRY_AFTER).min(entry.stale_until);
        !std::mem::replace(&mut entry.is_old, true)
    }

    /// All that is known is due for a refresh.
    pub(super) fn doubt(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.fresh_until = entry.fresh_until.min(now);
        }
    }

    /// The name is known to have no address any more.
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

/// Feeds ask every second or so; no record changes so often that each of them should ask anew.
pub(super) const TTL_MIN: Duration = Duration::from_secs(5);

/// After a move of an exchange, the time that we may still be knocking at its old door.
pub(super) const TTL_MAX: Duration = Duration::from_secs(300);

/// How long an answer may help out when servers fail (RFC 8767 suggests one to three days).
const STALE_MAX: Duration = Duration::from_secs(86_400);

/// How long after a failed refresh the next one is due.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A bound on memory, should an upstream redirect to ever new names.
const ENTRIES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Vec<IpAddr> {
        vec![IpAddr::from([192, 0, 2, last])]
    }

    #[test]
    fn an_answer_lives_as_long_as_its_record_within_limits() {
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
        assert!(!cache.postpone("host", due), "only the first is news");
        cache.insert("host", address(1), TTL_MIN, due);
        assert!(cache.postpone("host", due), "and the first of another row");
        cache.doubt(due);
        assert_eq!(cache.find("host", due), Some(Found::Stale(address(1))));
        cache.remove("host");
        assert_eq!(cache.find("host", due), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
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
