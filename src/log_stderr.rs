//! The log: what every library here says through `log`, on stderr, and never waiting for it.
//!
//! A terminal that is stopped or a pipe that nobody reads would block the write, and with it every
//! client. So a line is written only when stderr has room at that moment; others are counted, and
//! the count is told once there is room again. Making stderr non-blocking instead would do so for
//! the shell that shares it.

use std::io::{self, Write};
use std::time::Duration;

use env_logger::{Builder, Target};
use log::LevelFilter;

use crate::room::{Room, room};

/// Starts logging, for the rest of the process.
pub fn start(level: LevelFilter) {
    Builder::new()
        .filter_level(level)
        .target(Target::Pipe(Box::new(Stderr::default())))
        .format(|line, record| {
            let level = record.level().as_str().to_lowercase();
            writeln!(line, "{level}: {}", record.args())
        })
        .init();
}

/// Writes lines to stderr that it has room for.
#[derive(Default)]
struct Stderr {
    dropped: u64,
}

impl Write for Stderr {
    /// Takes one line, as the logger hands them over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !has_room() {
            self.dropped += 1;
            return Ok(line.len());
        }
        let dropped = std::mem::take(&mut self.dropped);
        // A pipe that has room takes this much at once (POSIX: PIPE_BUF is at least 512; Linux:
        // 4096).
        let cut = line.len().min(LINE_LENGTH_MAX);
        let mut out = Vec::with_capacity(cut + 64);
        if dropped > 0 {
            writeln!(
                out,
                "warn: {dropped} log lines were dropped, stderr was blocked"
            )?;
        }
        out.extend_from_slice(&line[..cut]);
        if cut < line.len() {
            out.push(b'\n');
        }
        // Who has closed stderr wants no log.
        let _ = io::stderr().write(&out);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stderr that was closed takes a line as well as any: it is dropped, and nobody waits.
fn has_room() -> bool {
    room(io::stderr(), Duration::ZERO) != Room::None
}

/// With the notice of dropped lines before it, this fits a pipe's page.
const LINE_LENGTH_MAX: usize = 2048;
