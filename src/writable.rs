//! Writing to a stream of the process without waiting for it.
//!
//! Streams are shared with whoever started the process, so making them non-blocking would do so for
//! others too. To look before each write is as good for a pipe, as long as a write is no bigger than
//! what one that has room takes at once: [`WRITE_MAX`]. A terminal that has room may have too little
//! of it and make the write wait all the same, but it can be opened anew, for us alone.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A write of up to [`WRITE_MAX`] bytes returns at once.
    Some,
    /// A write would wait.
    None,
    /// Whoever read has left.
    Closed,
}

/// Looks at `stream`, for at most as long as `limit`.
pub(crate) fn room(stream: impl AsFd, limit: Duration) -> Room {
    let mut descriptors = [PollFd::new(&stream, PollFlags::OUT)];
    // Whatever is no time that the system can count waits for none.
    let limit = Timespec::try_from(limit).unwrap_or_default();
    match poll(&mut descriptors, Some(&limit)) {
        Ok(ready) if ready > 0 => {}
        // An interrupted look says nothing, and nobody waits for it twice.
        _ => return Room::None,
    }
    let said = descriptors[0].revents();
    if said.intersects(PollFlags::ERR | PollFlags::HUP) {
        Room::Closed
    } else {
        Room::Some
    }
}

/// `stream`, if it is a terminal, opened anew so that no write to it waits. None where that cannot be
/// done, too: elsewhere than on Linux, or if it is another user's.
pub(crate) fn terminal(stream: impl AsFd) -> Option<File> {
    let stream = stream.as_fd();
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let again = (stream.is_terminal()).then(|| open(path, flags, Mode::empty()).ok())?;
    again.map(File::from)
}

/// Stderr, as far as it has room.
#[derive(Debug)]
pub(crate) struct Stderr {
    terminal: Option<File>,
}

impl Stderr {
    /// That of the process.
    pub(crate) fn new() -> Self {
        let terminal = terminal(io::stderr());
        Self { terminal }
    }

    /// Writes up to [`WRITE_MAX`] bytes. Returns how many were taken: none that would have to wait.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let written = match &mut self.terminal {
            Some(terminal) => terminal.write(bytes),
            // A pipe that has room takes them at once, and so does a socket.
            None if room(io::stderr(), Duration::ZERO) == Room::Some => io::stderr().write(bytes),
            None => Ok(0),
        };
        // Where stderr cannot be written, nobody can be told so.
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
    fn a_pipe_has_room_until_it_is_full_and_again_when_it_is_read() {
        let (mut reader, mut writer) = pipe().unwrap();
        let mut written = 0;
        while room(&writer, Duration::ZERO) == Room::Some {
            writer.write_all(&[0; WRITE_MAX]).unwrap();
            written += WRITE_MAX;
        }
        assert_eq!(room(&writer, Duration::from_millis(1)), Room::None);
        reader.read_exact(&mut vec![0; written]).unwrap();
        assert_eq!(room(&writer, Duration::ZERO), Room::Some);
        drop(reader);
        assert_eq!(room(&writer, Duration::ZERO), Room::Closed);
    }
}
