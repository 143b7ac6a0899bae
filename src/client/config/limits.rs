//! The limits that end every run in time, whatever the servers do: at most five seconds after ramp,
//! warm-up and duration are over. The query for the server's symbols (`--watch`) comes before that
//! and is limited by `--connect-timeout`.

use std::time::Duration;

use crate::client::config::Config;

impl Config {
    /// How long the ramp takes to open all connections.
    fn ramp_time(&self) -> Duration {
        let seconds = self.ramp.map_or(0.0, |rate| self.clients as f64 / rate);
        // A century is the longest duration that options accept.
        Duration::from_secs_f64(seconds.min(3_153_600_000.0))
    }

    /// How long the query for the server's symbols may take; zero if none is needed.
    pub(crate) fn symbol_list_limit(&self) -> Duration {
        match &self.watch {
            Some(watch) if watch.must_ask() => self.connect_timeout,
            _ => Duration::ZERO,
        }
    }

    /// When to give up on clients that have not joined. Late joining eats into the window, but
    /// takes at most half of it.
    pub(crate) fn joining_limit(&self) -> Duration {
        self.ramp_time() + JOINING_TIME + self.duration / 2
    }

    /// When the window ends, however late it began.
    pub(crate) fn window_limit(&self) -> Duration {
        self.ramp_time() + JOINING_TIME + self.warmup + self.duration
    }
}

/// The error for a list of symbols that is too short to draw from.
pub(crate) fn too_few(count: usize, there: usize) -> String {
    format!("cannot draw {count} different symbols: there are {there}")
}

/// How long joining may take without shortening the window. Together with closing that makes four
/// seconds; the fifth is slack for a busy machine.
const JOINING_TIME: Duration = Duration::from_secs(2);

/// The most requests that may be unanswered on one connection; each is remembered.
pub(crate) const UNANSWERED_MAX: usize = 4096;

/// How many runs fit into one chart with a distinct line for each metric.
pub(crate) const RUNS_MAX: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::url::Url;

    #[test]
    fn limits_grow_with_the_options() {
        let seconds = Duration::from_secs;
        let config = Config {
            clients: 1000,
            ramp: Some(100.0),
            duration: seconds(60),
            warmup: seconds(5),
            ..Config::new(Url::parse("ws://h/").unwrap())
        };
        assert_eq!(config.joining_limit(), seconds(10 + 2 + 30));
        assert_eq!(config.window_limit(), seconds(10 + 2 + 5 + 60));
    }
}
