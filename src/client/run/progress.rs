//! The progress line on stderr.
//!
//! It is shown only on a terminal. The client's own loop drives it, a few times a second; indicatif
//! draws and erases, and starts no thread as long as its steady tick is off. A stopped terminal
//! (Ctrl-S) never makes the client wait (`terminal.rs`).

mod terminal;

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::config::Config;
use crate::client::measure::latency::Latency;
use crate::client::run::barrier::Standing;
use crate::client::run::phase::{Phase, PhaseTimes, Snapshot};
use crate::client::run::progress::terminal::Terminal;

/// The progress line on the terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// When it was last drawn, and how many ticks there had been.
    last: Option<(Instant, u64)>,
}

/// The data that the line shows.
pub(crate) struct View<'a> {
    pub(crate) phase: Phase,
    pub(crate) times: &'a PhaseTimes,
    pub(crate) config: &'a Config,
    pub(crate) standing: Standing,
    /// Connections in any state.
    pub(crate) alive: usize,
    /// `None` where only other processes know it.
    pub(crate) delivery: Option<&'a Latency>,
}

/// The contents of the line.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Joining {
        joined: usize,
        asked: usize,
        elapsed: Duration,
        errors: u64,
    },
    WarmingUp {
        elapsed: Duration,
        of: Duration,
        open: usize,
        errors: u64,
    },
    Measuring {
        elapsed: Duration,
        of: Duration,
        open: usize,
        ticks_per_s: Option<f64>,
        p99_us: Option<u64>,
        errors: u64,
    },
    Closing {
        alive: usize,
    },
}

impl Progress {
    /// The line for a run; `None` if it is disabled, or if ticks are printed on the same terminal.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let is_taken = config.print && io::stdout().is_terminal();
        if config.quiet || is_taken {
            return None;
        }
        Self::on_stderr()
    }

    /// A line on stderr; `None` if stderr is not a terminal, or one that cannot move its cursor.
    fn on_stderr() -> Option<Self> {
        let is_seen = !ProgressDrawTarget::stderr().is_hidden();
        is_seen.then(|| {
            let terminal = Box::new(Terminal::new());
            let target = ProgressDrawTarget::term_like_with_hz(terminal, DRAWS_PER_S_MAX);
            let bar = ProgressBar::with_draw_target(None, target);
            let style = ProgressStyle::with_template("{wide_msg}");
            bar.set_style(style.expect("the template is constant and valid"));
            Self { bar, last: None }
        })
    }

    /// Removes the line, so that later output stands alone.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Redraws the line.
    pub(crate) fn show(&mut self, view: &View<'_>) {
        let now = Instant::now();
        let rate = match view.phase {
            Phase::Measuring => self.rate(now, view.standing.ticks),
            _ => None,
        };
        self.bar.set_message(view.line(now, rate).to_string());
    }

    /// Ticks per second since the last call.
    fn rate(&mut self, now: Instant, ticks: u64) -> Option<f64> {
        let last = self.last.replace((now, ticks));
        last.filter(|(at, _)| now > *at)
            .map(|(at, before)| (ticks - before) as f64 / (now - at).as_secs_f64())
    }
}

impl View<'_> {
    fn line(&self, now: Instant, ticks_per_s: Option<f64>) -> Line {
        let since = |snapshot: &Option<Snapshot>| {
            let began = snapshot.as_ref().map_or(now, |snapshot| snapshot.at);
            now.saturating_duration_since(began)
        };
        let Standing {
            joined,
            open,
            errors,
            ..
        } = self.standing;
        match self.phase {
            Phase::Joining => Line::Joining {
                joined,
                asked: self.config.clients,
                elapsed: now.saturating_duration_since(self.times.began.at),
                errors,
            },
            Phase::Syncing | Phase::Gathering | Phase::WarmingUp => Line::WarmingUp {
                elapsed: since(&self.times.joined),
                of: self.config.warmup,
                open,
                errors,
            },
            Phase::Measuring => Line::Measuring {
                elapsed: since(&self.times.window_began),
                of: self.config.duration,
                open,
                ticks_per_s,
                p99_us: (self.delivery.filter(|delivery| !delivery.is_empty()))
                    .map(|delivery| delivery.value_at_quantile(0.99)),
                errors,
            },
            Phase::Awaiting | Phase::Closing => Line::Closing { alive: self.alive },
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joining {
                joined,
                asked,
                elapsed,
                errors,
            } => {
                let elapsed = seconds(*elapsed, *elapsed);
                write!(
                    f,
                    "joining    {joined}/{asked} clients, {elapsed} s, {}",
                    plural(*errors)
                )
            }
            Self::WarmingUp {
                elapsed,
                of,
                open,
                errors,
            } => {
                let share = share(*elapsed, *of);
                write!(f, "warm-up    {share}, {open} clients, {}", plural(*errors))
            }
            Self::Measuring {
                elapsed,
                of,
                open,
                ticks_per_s,
                p99_us,
                errors,
            } => {
                let share = share(*elapsed, *of);
                write!(f, "measuring  {share}, {open} clients, ")?;
                let rate = ticks_per_s.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
                let p99 = p99_us.map_or_else(|| "-".to_owned(), latency);
                write!(f, "{rate} ticks/s, p99 {p99}, {}", plural(*errors))
            }
            Self::Closing { alive } => write!(f, "closing    {alive} clients left"),
        }
    }
}

/// `elapsed`, as precise as a phase of length `of` deserves.
fn seconds(elapsed: Duration, of: Duration) -> String {
    let decimals = usize::from(of < Duration::from_secs(10));
    format!("{:.decimals$}", elapsed.as_secs_f64())
}

/// How much of a phase has passed.
fn share(elapsed: Duration, of: Duration) -> String {
    format!("{}/{} s", seconds(elapsed, of), seconds(of, of))
}

fn latency(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} µs"),
        10_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

fn plural(errors: u64) -> String {
    let s = if errors == 1 { "" } else { "s" };
    format!("{errors} error{s}")
}

/// How often the line is drawn.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// indicatif's own limit, which applies on top of that.
const DRAWS_PER_S_MAX: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_shows_its_own_numbers() {
        let mut measuring = Line::Measuring {
            elapsed: Duration::from_millis(12_345),
            of: Duration::from_secs(60),
            open: 998,
            ticks_per_s: Some(3_992.4),
            p99_us: Some(4_903),
            errors: 1,
        };
        let said = "measuring  12/60 s, 998 clients, 3992 ticks/s, p99 4903 µs, 1 error";
        assert_eq!(measuring.to_string(), said);
        if let Line::Measuring {
            ticks_per_s,
            p99_us,
            ..
        } = &mut measuring
        {
            (*ticks_per_s, *p99_us) = (None, None);
        }
        let said = "measuring  12/60 s, 998 clients, - ticks/s, p99 -, 1 error";
        assert_eq!(measuring.to_string(), said);
        let joining = Line::Joining {
            joined: 512,
            asked: 1000,
            elapsed: Duration::from_millis(340),
            errors: 2,
        };
        assert_eq!(
            joining.to_string(),
            "joining    512/1000 clients, 0.3 s, 2 errors"
        );
        let warming_up = Line::WarmingUp {
            elapsed: Duration::ZERO,
            of: Duration::from_millis(500),
            open: 1000,
            errors: 0,
        };
        assert_eq!(
            warming_up.to_string(),
            "warm-up    0.0/0.5 s, 1000 clients, 0 errors"
        );
        let closing = Line::Closing { alive: 7 };
        assert_eq!(closing.to_string(), "closing    7 clients left");
    }

    #[test]
    fn a_long_line_fits_a_terminal() {
        let view = Line::Measuring {
            elapsed: Duration::from_secs(3_599),
            of: Duration::from_secs(3_600),
            open: 20_000,
            ticks_per_s: Some(1_234_567.0),
            p99_us: Some(59_900_000),
            errors: 9_999,
        };
        // indicatif cuts longer lines.
        let line = view.to_string();
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(latency(10_000), "10.0 ms");
        assert_eq!(latency(2_345_678), "2.35 s");
    }

    #[test]
    fn the_rate_covers_the_time_since_the_last_drawing() {
        let mut progress = Progress {
            bar: ProgressBar::hidden(),
            last: None,
        };
        let now = Instant::now();
        assert_eq!(progress.rate(now, 5), None);
        assert_eq!(progress.rate(now + PERIOD, 105), Some(400.0));
        assert_eq!(progress.rate(now + PERIOD, 105), None);
    }
}
