//! Limits repeated log lines. A line that peers or prices can trigger again and again is written a
//! number of times in a row, then now and then; suppressed lines are counted and reported.
//!
//! Log lines are grouped by call site, so each call site has its own limit and memory is bounded by
//! their number. Pure: the time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;

use crate::token_bucket::{Rate, TokenBucket};

/// The file and line that a log line comes from.
pub(crate) type CallSite = (&'static str, u32);

/// The log lines of all call sites.
#[derive(Default)]
pub(crate) struct Limiter {
    call_sites: HashMap<CallSite, Lines>,
}

/// The lines of one call site.
struct Lines {
    level: Level,
    /// Lines that it may still write.
    bucket: TokenBucket,
    suppressed: u64,
    last_suppressed: Instant,
    /// The last line that was written, as an example of the suppressed ones.
    example: String,
}

/// Whether to write a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it; this many before it were suppressed.
    Log {
        suppressed: u64,
    },
    Suppress,
}

/// The suppressed lines of a call site that have to be reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suppressed {
    pub(crate) level: Level,
    pub(crate) count: u64,
    /// The beginning of a line like them.
    pub(crate) example: String,
}

impl Limiter {
    /// Whether `call_site` may write one more line. If so, that line is the example of those
    /// suppressed after it.
    pub(crate) fn ask(
        &mut self,
        call_site: CallSite,
        level: Level,
        now: Instant,
        line: &dyn Fn() -> String,
    ) -> Verdict {
        let rate = rate(level);
        let lines = self.call_sites.entry(call_site).or_insert_with(|| Lines {
            level,
            bucket: TokenBucket::full(rate, now),
            suppressed: 0,
            last_suppressed: now,
            example: String::new(),
        });
        lines.level = level;
        if !lines.bucket.take(rate, now) {
            lines.suppressed += 1;
            lines.last_suppressed = now;
            return Verdict::Suppress;
        }
        lines.example = line().chars().take(EXAMPLE_LENGTH_MAX).collect();
        Verdict::Log {
            suppressed: std::mem::take(&mut lines.suppressed),
        }
    }

    /// Reports the suppressed lines of call sites that have become quiet.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Suppressed> {
        let quiet = |lines: &&mut Lines| {
            lines.suppressed > 0 && now.saturating_duration_since(lines.last_suppressed) >= QUIET
        };
        let quiet = self.call_sites.values_mut().filter(quiet);
        quiet.map(Lines::settle).collect()
    }
}

impl Lines {
    fn settle(&mut self) -> Suppressed {
        Suppressed {
            level: self.level,
            count: std::mem::take(&mut self.suppressed),
            example: self.example.clone(),
        }
    }
}

/// How many lines a call site may write. Users who ask for details get more of them.
fn rate(level: Level) -> Rate {
    let (burst, every_ms) = match level {
        Level::Error | Level::Warn | Level::Info => (60, 2_000),
        Level::Debug | Level::Trace => (500, 20),
    };
    let every = Duration::from_millis(every_ms);
    Rate { burst, every }
}

/// Suppressed lines are reported when none has followed for this long.
const QUIET: Duration = Duration::from_secs(1);

/// The length of an example, in characters.
const EXAMPLE_LENGTH_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: CallSite = ("here", 1);

    fn ask(limiter: &mut Limiter, call_site: CallSite, now: Instant) -> Verdict {
        limiter.ask(call_site, Level::Warn, now, &|| {
            "the server is full".to_owned()
        })
    }

    #[test]
    fn a_flood_is_counted_and_does_not_hide_other_lines() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        let lines = (0..1000)
            .filter(|_| ask(&mut limiter, HERE, start) != Verdict::Suppress)
            .count();
        assert_eq!(lines, 60);
        let elsewhere = ask(&mut limiter, ("here", 2), start);
        assert_eq!(elsewhere, Verdict::Log { suppressed: 0 });
        let later = start + Duration::from_secs(2);
        assert_eq!(
            ask(&mut limiter, HERE, later),
            Verdict::Log { suppressed: 940 }
        );
        assert_eq!(ask(&mut limiter, HERE, later), Verdict::Suppress);
    }

    #[test]
    fn suppressed_lines_are_reported_once_it_is_quiet() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        for _ in 0..70 {
            ask(&mut limiter, HERE, start);
        }
        assert_eq!(limiter.settle(start), []);
        let suppressed = Suppressed {
            level: Level::Warn,
            count: 10,
            example: "the server is full".to_owned(),
        };
        let later = start + QUIET;
        assert_eq!(limiter.settle(later), [suppressed]);
        assert_eq!(limiter.settle(later + QUIET), []);
    }

    #[test]
    fn a_quiet_hour_restores_one_burst_and_no_more() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        for _ in 0..60 {
            ask(&mut limiter, HERE, start);
        }
        let later = start + Duration::from_secs(3600);
        let lines = (0..100)
            .filter(|_| ask(&mut limiter, HERE, later) != Verdict::Suppress)
            .count();
        assert_eq!(lines, 60);
    }
}
