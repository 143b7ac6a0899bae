//! The log: what every library here says through `log`, on stderr, and never waiting for it.
//!
//! A terminal that is stopped or a pipe that nobody reads would block the write, and with it every
//! client. So a line is written only when stderr has room at that moment; others are counted, and the
//! count is told once there is room again. Making stderr non-blocking instead would do so for the
//! shell that shares it; but a terminal can be opened anew for that. Lines of which there are too
//! many are held back, counted and told of too.
//!
//! A line is one line, whatever peers have sent: control characters are written as escapes. Libraries
//! have only warnings to say, since what they tell beyond that has the headers of requests in it.

mod limiter;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};

use self::limiter::{Budget, Verdict};

use crate::writable::{Room, Stderr, room};

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
        budget: Mutex::default(),
    };
    // Whoever has started it before keeps it.
    if log::set_logger(LOGGER.get_or_init(|| logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// Log lines that are missing since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Stderr had no room for them, or nobody reads it.
    pub blocked: u64,
    /// There were too many like them.
    pub held_back: u64,
}

/// What is missing so far.
pub fn lost() -> Lost {
    Lost {
        blocked: BLOCKED.load(Ordering::Relaxed),
        held_back: HELD_BACK.load(Ordering::Relaxed),
    }
}

/// Tells what is missing, unless a line has told it already or stderr has no room still. To be called
/// once in a while ([`CATCH_UP_INTERVAL`]), and at the end.
pub fn catch_up() {
    if let Some(logger) = LOGGER.get() {
        logger.settle();
        logger.tell_blocked();
    }
}

/// How often to look whether there is something to catch up with.
pub const CATCH_UP_INTERVAL: Duration = Duration::from_secs(1);

struct Logger {
    inner: env_logger::Logger,
    budget: Mutex<Budget>,
}

impl Logger {
    fn budget(&self) -> MutexGuard<'_, Budget> {
        // What a panic left behind there is still a count.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was held back where it has become quiet.
    fn settle(&self) {
        let settled = self.budget().settle(Instant::now());
        for held in settled {
            let (count, like) = (held.count, held.like);
            self.say(
                held.level,
                format_args!("{count} more lines like this were held back: {like}"),
            );
        }
    }

    /// Tells how many lines stderr had no room for, if it has now.
    fn tell_blocked(&self) {
        if UNTOLD.load(Ordering::Relaxed) == 0 || has_room() != Room::Some {
            return;
        }
        let untold = UNTOLD.swap(0, Ordering::Relaxed);
        self.say(
            Level::Warn,
            format_args!("{untold} log lines were lost because stderr was blocked"),
        );
        if UNTOLD.swap(0, Ordering::Relaxed) > 0 {
            // The room was gone again: this line is told later, and is none of those that count.
            BLOCKED.fetch_sub(1, Ordering::Relaxed);
            UNTOLD.fetch_add(untold, Ordering::Relaxed);
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
        let place = (
            record.file_static().unwrap_or_default(),
            record.line().unwrap_or_default(),
        );
        let line = || record.args().to_string();
        let verdict = self
            .budget()
            .ask(place, record.level(), Instant::now(), &line);
        let Verdict::Say { held } = verdict else {
            HELD_BACK.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.tell_blocked();
        if held > 0 {
            let what = format_args!("{held} lines like the next one were held back");
            self.say(record.level(), what);
        }
        self.inner.log(record);
    }

    fn flush(&self) {}
}

/// Writes lines to stderr that it has room for.
struct Lines {
    stderr: Stderr,
    /// The last line broke off, and the next must not go on in it.
    torn: bool,
}

impl Lines {
    /// Whether the whole line was taken.
    fn put(&mut self, line: &[u8]) -> bool {
        let written = self.stderr.put(line);
        self.torn |= 0 < written && written < line.len();
        written == line.len()
    }
}

impl Write for Lines {
    /// Takes one line, as the logger hands them over.
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
            UNTOLD.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_room() -> Room {
    room(io::stderr(), Duration::ZERO)
}

/// Line breaks and other controls of a terminal, as what they are in source code.
fn on_one_line(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

static LOGGER: OnceLock<Logger> = OnceLock::new();
static BLOCKED: AtomicU64 = AtomicU64::new(0);
static HELD_BACK: AtomicU64 = AtomicU64::new(0);
/// Of those that stderr had no room for, how many no line has told of.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// The crates that are ours: the library, its programs, and the bench that is one.
const OWN: [&str; 5] = ["tickertape", "ioloop", "server", "client", "fetch"];

/// Enough for every line there is; cut, a pipe takes it in one piece.
const LINE_LENGTH_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_write_a_line_of_their_own() {
        let forged = "unknown symbol 'A\nerror: \x1b[2Jall is lost'\r".to_owned();
        assert_eq!(
            on_one_line(forged),
            r"unknown symbol 'A\nerror: \u{1b}[2Jall is lost'\r"
        );
        assert_eq!(on_one_line("5 µs".to_owned()), "5 µs");
    }
}
