//! Writing to a stream of the process without waiting for it.
//!
//! The process shares its streams with its parent, so making them non-blocking would affect others.
//! For a pipe it is enough to check before each write, as long as a write is no longer than what a
//! writable pipe accepts at once: [`WRITE_MAX`]. A terminal may have less space than that and make
//! the write wait all the same, but it can be opened again for us alone.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

/// Whether a stream can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writability {
    /// A write of up to [`WRITE_MAX`] bytes returns at once.
    Ready,
    /// A write would wait.
    Blocked,
    /// The reader has left.
    Closed,
}

/// Checks `stream`, and waits for at most `limit` until it can be written.
pub(crate) fn writable(stream: impl AsFd, limit: Duration) -> Writability {
    let mut descriptors = [PollFd::new(&stream, PollFlags::OUT)];
    // A limit that the system cannot represent counts as zero.
    let limit = Timespec::try_from(limit).unwrap_or_default();
    match poll(&mut descriptors, Some(&limit)) {
        Ok(ready) if ready > 0 => {}
        // An interrupted check tells nothing and is not repeated.
        _ => return Writability::Blocked,
    }
    let said = descriptors[0].revents();
    if said.intersects(PollFlags::ERR | PollFlags::HUP) {
        Writability::Closed
    } else {
        Writability::Ready
    }
}

/// `stream`, if it is a terminal, opened again so that no write to it waits. Also `None` where that
/// is impossible: on systems other than Linux, or if the terminal belongs to another user.
pub(crate) fn terminal(stream: impl AsFd) -> Option<File> {
    let stream = stream.as_fd();
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let again = (stream.is_terminal()).then(|| open(path, flags, Mode::empty()).ok())?;
    again.map(File::from)
}

/// Stderr, written only as far as it can be without waiting.
#[derive(Debug)]
pub(crate) struct Stderr {
    terminal: Option<File>,
}

impl Stderr {
    /// The stderr of the process.
    pub(crate) fn new() -> Self {
        let terminal = terminal(io::stderr());
        Self { terminal }
    }

    /// Writes up to [`WRITE_MAX`] bytes. Returns how many were written without waiting.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let written = match &mut self.terminal {
            Some(terminal) => terminal.write(bytes),
            // A writable pipe or socket takes them at once.
            None if writable(io::stderr(), Duration::ZERO) == Writability::Ready => {
                io::stderr().write(bytes)
            }
            None => Ok(0),
        };
        // If stderr cannot be written, there is no place to report that.
        written.unwrap_or(0)
    }
}

/// A pipe is writable while a whole page of it is free (POSIX `PIPE_BUF`: at least 512; Linux:
/// 4096).
pub(crate) const WRITE_MAX: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, pipe};

    #[test]
    fn a_pipe_is_writable_until_it_is_full_and_again_once_it_is_read() {
        let (mut reader, mut writer) = pipe().unwrap();
        let mut written = 0;
        while writable(&writer, Duration::ZERO) == Writability::Ready {
            writer.write_all(&[0; WRITE_MAX]).unwrap();
            written += WRITE_MAX;
        }
        assert_eq!(
            writable(&writer, Duration::from_millis(1)),
            Writability::Blocked
        );
        reader.read_exact(&mut vec![0; written]).unwrap();
        assert_eq!(writable(&writer, Duration::ZERO), Writability::Ready);
        drop(reader);
        assert_eq!(writable(&writer, Duration::ZERO), Writability::Closed);
    }
}
