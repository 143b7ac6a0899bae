//! What the report says of clients that are not there all the time, or hardly read: numbers and
//! rows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::config::Config;
use crate::client::measure::catching_up::{Returns, SlowCounts};
use crate::client::report::table::{fixed, kinds, row};

/// Clients that hardly read (`--slow`). None of the other numbers has anything of them, except how
/// many clients there are and what went wrong before they had joined.
#[derive(Clone, Debug, Serialize)]
pub struct SlowClients {
    /// Asked for.
    pub asked: usize,
    /// Upgraded.
    pub connected: usize,
    /// Ticks that they read in the window.
    pub ticks: u64,
    /// The payloads of all messages that they read in the window.
    pub bytes: u64,
    /// The ticks that the server left out for them, by the gaps in their numbers.
    pub missed: u64,
    /// How connections of theirs ended before the run did: how many of each kind.
    pub ended: BTreeMap<String, u64>,
}

/// Connections that were opened anew (`--churn`, `--reconnect`).
#[derive(Clone, Debug, Serialize)]
pub struct Reconnects {
    /// Connections that were closed to be opened anew.
    pub churned: u64,
    /// Those by the length of warm-up and window.
    pub churned_per_s: Option<f64>,
    /// Connections that were lost and were to be opened anew.
    pub lost: u64,
    /// Clients that have come back, of both kinds.
    pub returned: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// How long clients that had lost their connection were without one, in µs.
    pub away_us: Spread,
    /// From the call of connect to the first tick of a connection that was opened anew, in µs.
    pub response_us: Spread,
    /// Ticks that the server had kept for those who had lost their connection.
    pub resumed: u64,
    /// Ticks that those have missed, by the gaps in their numbers.
    pub missed: u64,
    /// How often a symbol's numbers were lower than before, because the server had started anew:
    /// what was missed is then not known.
    pub restarts: u64,
}

/// A distribution in a few numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Half of them were no more.
    pub p50: Option<u64>,
    /// 99 of 100 were no more.
    pub p99: Option<u64>,
    /// The most.
    pub max: Option<u64>,
}

impl SlowClients {
    /// None if there were to be none.
    pub(in crate::client) fn of(config: &Config, counts: &SlowCounts) -> Option<Self> {
        (config.shape.slow > 0).then(|| Self {
            asked: config.shape.slow,
            connected: counts.joined,
            ticks: counts.ticks,
            bytes: counts.bytes,
            missed: counts.missed,
            ended: counts.ended.clone(),
        })
    }

    pub(in crate::client) fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = format!("connected of {} asked for, counted apart", self.asked);
        row(f, "Slow clients", &self.connected.to_string(), &asked)?;
        let missed = format!("read, {} left out by the server", self.missed);
        row(f, "  ticks", &self.ticks.to_string(), &missed)?;
        kinds(f, &self.ended)
    }
}

impl Reconnects {
    /// None if there were to be none. `listened` is the length of warm-up and window.
    pub(in crate::client) fn of(
        config: &Config,
        returns: &Returns,
        listened: Duration,
    ) -> Option<Self> {
        let seconds = listened.as_secs_f64();
        let shape = &config.shape;
        (shape.reconnect || shape.churn.is_some()).then(|| Self {
            churned: returns.churned,
            churned_per_s: (seconds > 0.0).then(|| returns.churned as f64 / seconds),
            lost: returns.lost,
            returned: returns.returned,
            failed_attempts: returns.failed,
            away_us: Spread::of(&returns.away_us),
            response_us: Spread::of(&returns.response_us),
            resumed: returns.resumed,
            missed: returns.missed,
            restarts: returns.restarts,
        })
    }

    pub(in crate::client) fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = format!("of them, {} attempts failed", self.failed_attempts);
        let per_s = format!("left on purpose, {}/s", fixed(self.churned_per_s, 2));
        row(f, "Reconnects", &self.churned.to_string(), &per_s)?;
        row(f, "  lost connections", &self.lost.to_string(), "")?;
        row(f, "  came back", &self.returned.to_string(), &failed)?;
        let response = &self.response_us;
        if response.count > 0 {
            let (p99, max) = (ms(response.p99), ms(response.max));
            let unit = format!("ms, p99 {p99}, max {max}");
            row(f, "  first tick, median", &ms(response.p50), &unit)?;
        }
        if self.lost > 0 {
            let unit = format!("ms, max {}", ms(self.away_us.max));
            row(f, "  away, median", &ms(self.away_us.p50), &unit)?;
            let resumed = format!("ticks while away, {} more came later", self.resumed);
            row(f, "  missed", &self.missed.to_string(), &resumed)?;
        }
        if self.restarts > 0 {
            let unit = "times: the server's numbers began anew";
            row(f, "  unknown", &self.restarts.to_string(), unit)?;
        }
        Ok(())
    }
}

impl Spread {
    fn of(histogram: &Histogram<u64>) -> Self {
        let any = !histogram.is_empty();
        Self {
            count: histogram.len(),
            mean: any.then(|| histogram.mean()),
            p50: any.then(|| histogram.value_at_quantile(0.5)),
            p99: any.then(|| histogram.value_at_quantile(0.99)),
            max: any.then(|| histogram.max()),
        }
    }
}

fn ms(us: Option<u64>) -> String {
    fixed(us.map(|us| us as f64 / 1e3), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::tests::sample;

    #[test]
    fn the_rows_are_aligned_and_fit() {
        let spread = Spread {
            count: 9,
            mean: Some(48_123.4),
            p50: Some(47_400),
            p99: Some(115_600),
            max: Some(120_100),
        };
        let mut report = sample();
        report.slow = Some(SlowClients {
            asked: 20,
            connected: 19,
            ticks: 480,
            bytes: 48_000,
            missed: 12_345,
            ended: [("closed by server (1008)".to_owned(), 3)].into(),
        });
        report.reconnects = Some(Reconnects {
            churned: 252,
            churned_per_s: Some(50.391),
            lost: 4,
            returned: 255,
            failed_attempts: 12,
            away_us: spread.clone(),
            response_us: spread,
            resumed: 7,
            missed: 2,
            restarts: 0,
        });
        let expected = "\
  Slow clients                      19 connected of 20 asked for, counted apart
    ticks                          480 read, 12345 left out by the server
    closed by server (1008)          3
  Reconnects                       252 left on purpose, 50.39/s
    lost connections                 4
    came back                      255 of them, 12 attempts failed
    first tick, median            47.4 ms, p99 115.6, max 120.1
    away, median                  47.4 ms, max 120.1
    missed                           2 ticks while away, 7 more came later
";
        let text = report.to_string();
        assert!(text.contains(expected), "{text}");
    }
}
