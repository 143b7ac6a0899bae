//! Prints ticks to stdout as they arrive, one per line (NDJSON), with the bytes of each message
//! unchanged.
//!
//! Measuring comes first: a slow reader never makes the client wait, which would show as latency.
//! What stdout does not take is kept, up to a limit; beyond it, ticks are dropped, a whole line at
//! a time, and counted. If the reader leaves, the run ends, like `cat` does at the end of its pipe.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::client::measure::measurement::Printed;
use crate::client::measure::observer::TickSink;
use crate::writable::{WRITE_MAX, Writability, terminal, writable};

/// Writes lines to a stream without waiting for it.
#[derive(Debug)]
pub(super) struct TickPrinter {
    stream: OwnedFd,
    /// A file takes any amount at once; a pipe or a terminal only this much.
    write_max: usize,
    unwritten: VecDeque<u8>,
    /// Ticks not written yet count as printed, until it turns out that they never will be.
    printed: Printed,
    /// Whether a callback is queued, or an event expected, that will write the rest.
    is_scheduled: bool,
}

/// The result of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All is written.
    All,
    /// There is more to write, but other work is waiting.
    Some,
    /// The stream has no room until the reader takes more.
    Blocked,
    /// The reader has left.
    Closed,
}

impl TickPrinter {
    /// A printer to stdout.
    ///
    /// # Errors
    /// When the process has no more descriptors.
    pub(super) fn to_stdout() -> io::Result<Self> {
        let terminal = terminal(io::stdout()).map(OwnedFd::from);
        let stream = terminal.map_or_else(|| io::stdout().as_fd().try_clone_to_owned(), Ok)?;
        Ok(Self::new(stream))
    }

    fn new(stream: OwnedFd) -> Self {
        let is_file = fstat(&stream)
            .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile);
        Self {
            stream,
            write_max: if is_file { FILE_WRITE_MAX } else { WRITE_MAX },
            unwritten: VecDeque::new(),
            printed: Printed::default(),
            is_scheduled: false,
        }
    }

    /// The stream, to be watched.
    pub(super) fn stream(&self) -> &OwnedFd {
        &self.stream
    }

    /// What has been printed so far.
    pub(super) fn printed(&self) -> &Printed {
        &self.printed
    }

    /// Whether a callback that will [`write`](Self::write) has to be queued: there are lines to
    /// write, and no other callback or event will do it.
    pub(super) fn must_schedule(&mut self) -> bool {
        let must = !self.is_scheduled && !self.unwritten.is_empty();
        self.is_scheduled |= must;
        must
    }

    /// Writes until the stream blocks or the turn's share of work is done.
    pub(super) fn write(&mut self) -> Written {
        self.is_scheduled = true;
        let written = self.write_some(WRITES_PER_TURN, Duration::ZERO);
        if written == Written::All {
            self.is_scheduled = false;
        }
        written
    }

    /// Writes all that is left, for at most `limit`. The rest is dropped.
    pub(super) fn finish(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.write_some(WRITES_PER_TURN, left) {
                Written::All | Written::Closed => break,
                _ if left.is_zero() => break,
                Written::Some | Written::Blocked => {}
            }
        }
        self.printed.dropped += self.discard();
    }

    fn write_some(&mut self, writes: usize, limit: Duration) -> Written {
        for _ in 0..writes {
            match writable(&self.stream, limit) {
                Writability::Blocked => return self.blocked(),
                Writability::Closed => return self.closed(Errno::PIPE),
                Writability::Ready => {}
            }
            let (bytes, _) = self.unwritten.as_slices();
            if bytes.is_empty() {
                return Written::All;
            }
            match rustix::io::write(&self.stream, &bytes[..bytes.len().min(self.write_max)]) {
                Ok(length) => drop(self.unwritten.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return self.blocked(),
                Err(error) => return self.closed(error),
            }
        }
        Written::Some
    }

    fn blocked(&self) -> Written {
        if self.unwritten.is_empty() {
            Written::All
        } else {
            Written::Blocked
        }
    }

    fn closed(&mut self, error: Errno) -> Written {
        self.discard();
        match error {
            Errno::PIPE => self.printed.reader_left = true,
            error => self.printed.error = Some(io::Error::from(error).kind().to_string()),
        }
        Written::Closed
    }

    fn is_closed(&self) -> bool {
        self.printed.reader_left || self.printed.error.is_some()
    }

    /// Drops what is not written. Returns how many ticks that is.
    fn discard(&mut self) -> u64 {
        let unwritten = std::mem::take(&mut self.unwritten);
        let lines = unwritten.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.printed.ticks -= lines;
        lines
    }
}

impl TickSink for TickPrinter {
    /// Takes one message. A line break can only be white space between two tokens of the JSON,
    /// where a blank means the same and keeps the message on one line.
    #[cold] // Without a printer, a run only pays for checking whether there is one.
    fn tick(&mut self, message: &[u8]) {
        if self.is_closed() {
            return;
        }
        if self.unwritten.len() + message.len() >= UNWRITTEN_MAX {
            self.printed.dropped += 1;
            return;
        }
        let from = self.unwritten.len();
        self.unwritten.extend(message);
        if message.iter().any(|&byte| is_line_break(byte)) {
            let line = self.unwritten.range_mut(from..);
            line.filter(|byte| is_line_break(**byte))
                .for_each(|byte| *byte = b' ');
        }
        self.unwritten.push_back(b'\n');
        self.printed.ticks += 1;
    }
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// How much is kept for a slow reader: about 80,000 ticks.
const UNWRITTEN_MAX: usize = 8 * 1024 * 1024;

/// With a pipe's pages this is a quarter of a MiB per turn.
const WRITES_PER_TURN: usize = 64;

const FILE_WRITE_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read, pipe};

    fn printer() -> (TickPrinter, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (TickPrinter::new(writer.into()), reader)
    }

    #[test]
    fn each_message_is_one_line() {
        let (mut printer, mut reader) = printer();
        for message in [&b"{\"a\":1}"[..], b"{\n\t\"b\":\r\n2}", b"\xff"] {
            printer.tick(message);
        }
        assert!(printer.must_schedule() && !printer.must_schedule());
        assert_eq!(printer.write(), Written::All);
        assert!(!printer.must_schedule());
        drop(printer);
        let mut printed = Vec::new();
        reader.read_to_end(&mut printed).unwrap();
        assert_eq!(printed, b"{\"a\":1}\n{ \t\"b\":  2}\n\xff\n");
    }

    #[test]
    fn a_slow_reader_misses_whole_lines_and_memory_stays_bounded() {
        let (mut printer, mut reader) = printer();
        let message = [b'x'; 99_999];
        let count = 300;
        for _ in 0..count {
            printer.tick(&message);
            printer.write();
        }
        assert_eq!(printer.write(), Written::Blocked);
        assert!(printer.unwritten.capacity() <= 2 * UNWRITTEN_MAX);
        let reading = std::thread::spawn(move || {
            let mut printed = Vec::new();
            reader.read_to_end(&mut printed).unwrap();
            printed
        });
        printer.finish(Duration::from_secs(10));
        let Printed { ticks, dropped, .. } = *printer.printed();
        drop(printer);
        let printed = reading.join().unwrap();
        assert_eq!(printed.len() as u64, ticks * 100_000);
        assert!(printed.chunks(100_000).all(|line| line.ends_with(b"x\n")));
        assert_eq!(ticks + dropped, count);
        assert!(ticks >= 80 && dropped > 0, "{ticks} {dropped}");
    }

    #[test]
    fn ticks_that_are_never_read_count_as_dropped() {
        let (mut printer, _reader) = printer();
        for _ in 0..10 {
            printer.tick(&[b'x'; 99_999]);
        }
        printer.finish(Duration::ZERO);
        let Printed { ticks, dropped, .. } = *printer.printed();
        assert_eq!(ticks + dropped, 10);
        assert!(dropped > 0 && printer.unwritten.is_empty());
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_without_a_tick() {
        let (mut printer, reader) = printer();
        printer.tick(b"{}");
        assert_eq!(printer.write(), Written::All);
        drop(reader);
        assert_eq!(printer.write(), Written::Closed);
        printer.tick(b"{}");
        let printed = Printed {
            ticks: 1,
            reader_left: true,
            ..Printed::default()
        };
        assert_eq!(*printer.printed(), printed);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        // Only some systems have this device.
        let Ok(full) = full else { return };
        let mut printer = TickPrinter::new(full.into());
        printer.tick(b"{}");
        assert_eq!(printer.write(), Written::Closed);
        let Printed {
            ticks,
            reader_left,
            error,
            ..
        } = printer.printed();
        assert_eq!((*ticks, *reader_left), (0, false));
        assert_eq!(error.as_deref(), Some("no storage space"));
    }
}
