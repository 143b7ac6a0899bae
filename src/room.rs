//! Whether a stream of the process would take bytes now, without waiting.
//!
//! Streams are shared with whoever started the process, so making them non-blocking would do so for
//! others too. To look before each write is as good, as long as a write is no bigger than what a
//! pipe that has room takes at once: [`WRITE_MAX`].

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
pub(crate) fn room(stream: impl AsFd, limit: std::time::Duration) -> Room {
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

/// A pipe is writable while a whole page of it is free (POSIX `PIPE_BUF`: at least 512; Linux:
/// 4096).
pub(crate) const WRITE_MAX: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write, pipe};
    use std::time::Duration;

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
