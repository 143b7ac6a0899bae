//! The log: writes what all libraries log through `log` to stderr, and never waits for it.
//!
//! A stopped terminal or an unread pipe would block the write, and with it every client.
//! So a line is written only if stderr can take it at that moment; others are counted, and the
//! count is reported once stderr is writable again. Making stderr non-blocking would affect the
//! shell that shares it, but a terminal can be opened a second time for us alone. Too many similar
//! lines are suppressed, counted and reported, too.
//!
//! Control characters and their like are escaped, so a log line stays one line and reads from left
//! to right, whatever peers send. Other
//! libraries log warnings only, since their finer levels show the headers of requests.

mod limiter;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use env_logger::{Builder, Target};
use exchanges::text::is_deceptive;
use log::{Level, LevelFilter, Log, Metadata, Record};

use self::limiter::{Limiter, Verdict};

use crate::writable::{Stderr, Writability, writable};

/// Starts logging, for the rest of the process.
pub fn start(level: LevelFilter) {
    let mut builder = Builder::new();
    builder
        .filter_level(level.min(LevelFilter::Warn))
        .target(Target::Pipe(Box::new(Lines {
            stderr: Stderr::new(),
            torn: false,
        })))
        .format(|line, record| {
            let level = record.level().as_str().to_lowercase();
            writeln!(line, "{level}: {}", on_one_line(record.args().to_string()))
        });
    for name in OWN {
        builder.filter_module(name, level);
    }
    let logger = Logger {
        inner: builder.build(),
        limiter: Mutex::default(),
    };
    // If a logger is installed already, it stays.
    if log::set_logger(LOGGER.get_or_init(|| logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// How many log lines have been lost since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines lost because stderr was blocked or closed.
    pub blocked: u64,
    /// Lines suppressed because there were too many similar ones.
    pub held_back: u64,
}

/// The log lines that have been lost so far.
pub fn lost() -> Lost {
    Lost {
        blocked: BLOCKED.load(Ordering::Relaxed),
        held_back: HELD_BACK.load(Ordering::Relaxed),
    }
}

/// Reports lost lines that have not been reported yet, if stderr is writable. Call it every
/// [`CATCH_UP_INTERVAL`], and at the end.
pub fn catch_up() {
    if let Some(logger) = LOGGER.get() {
        logger.settle();
        logger.report_blocked();
    }
}

/// How often to call [`catch_up`].
pub const CATCH_UP_INTERVAL: Duration = Duration::from_secs(1);

struct Logger {
    inner: env_logger::Logger,
    limiter: Mutex<Limiter>,
}

impl Logger {
    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        // Its counts are valid even if a thread panicked while holding the lock.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the suppressed lines of call sites that have become quiet.
    fn settle(&self) {
        let settled = self.limiter().settle(Instant::now());
        for suppressed in settled {
            let (count, example) = (suppressed.count, suppressed.example);
            self.say(
                suppressed.level,
                format_args!("{count} more lines like this were held back: {example}"),
            );
        }
    }

    /// Reports how many lines were lost while stderr was blocked, if it is writable now.
    fn report_blocked(&self) {
        if UNREPORTED.load(Ordering::Relaxed) == 0 || !is_writable() {
            return;
        }
        let unreported = UNREPORTED.swap(0, Ordering::Relaxed);
        self.say(
            Level::Warn,
            format_args!("{unreported} log lines were lost because stderr was blocked"),
        );
        if UNREPORTED.swap(0, Ordering::Relaxed) > 0 {
            // Stderr was blocked again: report them later, and do not count this line itself.
            BLOCKED.fetch_sub(1, Ordering::Relaxed);
            UNREPORTED.fetch_add(unreported, Ordering::Relaxed);
        }
    }

    fn say(&self, level: Level, what: std::fmt::Arguments<'_>) {
        let target = env!("CARGO_PKG_NAME");
        self.inner.log(
            &Record::builder()
                .level(level)
                .target(target)
                .args(what)
                .build(),
        );
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.inner.matches(record) {
            return;
        }
        let call_site = (
            record.file_static().unwrap_or_default(),
            record.line().unwrap_or_default(),
        );
        let line = || record.args().to_string();
        let verdict = self
            .limiter()
            .ask(call_site, record.level(), Instant::now(), &line);
        let Verdict::Log { suppressed } = verdict else {
            HELD_BACK.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.report_blocked();
        if suppressed > 0 {
            let what = format_args!("{suppressed} lines like the next one were held back");
            self.say(record.level(), what);
        }
        self.inner.log(record);
    }

    fn flush(&self) {}
}

/// Writes lines to stderr as far as it can take them.
struct Lines {
    stderr: Stderr,
    /// The last line was cut short, so the next one has to start with a line break.
    torn: bool,
}

impl Lines {
    /// Returns whether the whole line was written.
    fn put(&mut self, line: &[u8]) -> bool {
        let written = self.stderr.put(line);
        self.torn |= 0 < written && written < line.len();
        written == line.len()
    }
}

impl Write for Lines {
    /// Writes one line; the logger passes exactly one at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(LINE_LENGTH_MAX + 2);
        if self.torn {
            out.push(b'\n');
        }
        out.extend_from_slice(&line[..line.len().min(LINE_LENGTH_MAX)]);
        if line.len() > LINE_LENGTH_MAX {
            out.push(b'\n');
        }
        if self.put(&out) {
            self.torn = false;
        } else {
            BLOCKED.fetch_add(1, Ordering::Relaxed);
            UNREPORTED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_writable() -> bool {
    writable(io::stderr(), Duration::ZERO) == Writability::Ready
}

/// Escapes line breaks, other control characters and invisible ones that rewrite the text around
/// them, as in source code.
fn on_one_line(text: String) -> String {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control())
        || !text.contains(is_deceptive)
    {
        return text;
    }
    let escaped = |c: char| {
        if is_deceptive(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escaped).collect()
}

static LOGGER: OnceLock<Logger> = OnceLock::new();
static BLOCKED: AtomicU64 = AtomicU64::new(0);
static HELD_BACK: AtomicU64 = AtomicU64::new(0);
/// Lines lost because stderr was blocked that have not been reported yet.
static UNREPORTED: AtomicU64 = AtomicU64::new(0);

/// Our own crates: the library, the loop, the programs and a benchmark.
const OWN: [&str; 5] = ["tickertape", "ioloop", "server", "client", "fetch"];

/// The longest line. It fits every line of ours, and is short enough for a pipe to take it in one
/// piece; longer lines are cut.
const LINE_LENGTH_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_cannot_forge_log_lines() {
        let forged = "unknown symbol 'A\nerror: \x1b[2Jall is lost'\r".to_owned();
        assert_eq!(
            on_one_line(forged),
            r"unknown symbol 'A\nerror: \u{1b}[2Jall is lost'\r"
        );
        assert_eq!(on_one_line("5 µs".to_owned()), "5 µs");
        assert_eq!(
            on_one_line("a\u{202e}b\u{2066}c\u{2028}d".to_owned()),
            r"a\u{202e}b\u{2066}c\u{2028}d"
        );
    }
}
