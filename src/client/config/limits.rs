//! The limits that make every run end in time, whatever the servers do: at the latest five seconds
//! after ramp, warm-up and duration are over. Asking the server for its symbols first (`--watch`) is
//! limited by `--connect-timeout`, which comes on top.

use std::time::Duration;

use crate::client::config::Config;

impl Config {
    /// How long all connects take on the ramp.
    fn ramp_time(&self) -> Duration {
        let seconds = self.ramp.map_or(0.0, |rate| self.clients as f64 / rate);
        // A century, as the longest duration.
        Duration::from_secs_f64(seconds.min(3_153_600_000.0))
    }

    /// How long asking the server for its symbols may take; no time if it need not be asked.
    pub(crate) fn asking_limit(&self) -> Duration {
        match &self.watch {
            Some(watch) if watch.must_ask() => self.connect_timeout,
            _ => Duration::ZERO,
        }
    }

    /// After what time those who have not joined are given up: joining takes its time from the
    /// window, but at most half of it.
    pub(crate) fn joining_limit(&self) -> Duration {
        self.ramp_time() + JOINING_TIME + self.duration / 2
    }

    /// After what time the window ends, however late it began.
    pub(crate) fn window_limit(&self) -> Duration {
        self.ramp_time() + JOINING_TIME + self.warmup + self.duration
    }
}

/// The sentence about symbols that are too few to draw from.
pub(crate) fn too_few(count: usize, there: usize) -> String {
    format!("cannot draw {count} different symbols: there are {there}")
}

/// What joining may take without making the window shorter. With the time for closing it makes four
/// seconds; the fifth is for a machine that has other things to do.
const JOINING_TIME: Duration = Duration::from_secs(2);

/// How many requests of one connection may be without a reply: as many as are remembered.
pub(crate) const UNANSWERED_MAX: usize = 4096;

/// How many runs one picture takes, so that what each has measured has a line of its own.
pub(crate) const RUNS_MAX: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::url::Url;

    #[test]
    fn the_limits_grow_with_what_was_asked_for() {
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
