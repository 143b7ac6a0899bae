//! The ids of requests: each client has a range of its own, so that an answer that a server sends
//! to all is nobody else's.

use crate::client::config::Config;

/// The ids of a run.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Ids {
    first: u64,
    /// From the first id of a client to that of the next.
    stride: u64,
    clients: u64,
    /// The most that a client has used.
    used: u64,
}

impl Ids {
    /// Those of this process's share. They stay below 2³¹, which every server can count to, unless
    /// there are more requests than that.
    pub(in crate::client) fn new(config: &Config) -> Self {
        let (number, of) = config.share.unwrap_or((0, 1));
        // All processes of a run begin alike, and different runs differently.
        let run = match config.share {
            Some(_) => std::os::unix::process::parent_id(),
            None => std::process::id(),
        };
        let first = fastrand::Rng::with_seed(run.into()).u64(FIRST_MIN..FIRST_MAX);
        let clients = (config.clients as u64).max(1);
        let requests = config.rate * config.window_limit().as_secs_f64();
        let all = match requests * (clients * of as u64) as f64 > (SMALL - FIRST_MAX) as f64 {
            true => LARGE,
            false => SMALL - FIRST_MAX,
        };
        let share = all / of as u64;
        Self {
            first: first + share * number as u64,
            stride: (share / clients).max(1),
            clients,
            used: 0,
        }
    }

    /// The first id of the client `number`.
    pub(in crate::client) fn first_of(&self, number: usize) -> u64 {
        self.first + self.stride * number as u64
    }

    /// Notes that a client has used the id `id`.
    pub(in crate::client) fn note(&mut self, id: u64) {
        let used = id.saturating_sub(self.first) % self.stride + 1;
        self.used = self.used.max(used);
    }

    /// Whether the JSON text of an id is one that may have been used.
    pub(in crate::client) fn contain(&self, id: &str) -> bool {
        let id = id.trim_matches('"').parse::<u64>().ok();
        id.and_then(|id| id.checked_sub(self.first))
            .is_some_and(|at| at / self.stride < self.clients && at % self.stride < self.used)
    }
}

const FIRST_MIN: u64 = 1 << 24;
const FIRST_MAX: u64 = 1 << 25;

/// What 32 bits with a sign hold.
const SMALL: u64 = 1 << 31;

/// A float, which JSON's numbers often are, holds this exactly.
const LARGE: u64 = 1 << 52;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::url::Url;

    #[test]
    fn no_two_clients_share_an_id_and_all_are_small_as_long_as_possible() {
        let ids = |share, rate| {
            Ids::new(&Config {
                clients: 5_000,
                share,
                rate,
                ..Config::new(Url::parse("ws://h/").unwrap())
            })
        };
        let (one, other) = (ids(Some((0, 2)), 10.0), ids(Some((1, 2)), 10.0));
        assert!(one.first_of(4_999) + one.stride <= other.first_of(0));
        assert!(one.stride > 620, "{one:?}");
        assert!(other.first_of(4_999) + other.stride <= SMALL);
        assert!(ids(None, 1e6).stride > 62_000_000);
    }

    #[test]
    fn only_ids_that_may_have_been_used_are_known() {
        let mut ids = Ids::new(&Config::new(Url::parse("ws://h/").unwrap()));
        let first = ids.first_of(0);
        assert!(!ids.contain(&first.to_string()));
        ids.note(first + 1);
        assert!(ids.contain(&format!("\"{}\"", first + 1)));
        for other in [first - 1, first + 2, u64::MAX] {
            assert!(!ids.contain(&other.to_string()), "{other}");
        }
        assert!(!ids.contain("null"));
    }
}
