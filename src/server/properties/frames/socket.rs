//! A socket that does as it is told.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use super::super::super::socket::Socket;

/// Reads what is in its inbox and takes what it has room for.
pub(super) struct Scripted {
    pub(super) inbox: VecDeque<u8>,
    /// The client's end comes behind the inbox.
    pub(super) ended: bool,
    /// It was reset.
    pub(super) broken: bool,
    /// Bytes that it takes.
    pub(super) room: usize,
    /// The next call is interrupted by a signal.
    pub(super) interrupted: bool,
    /// What it has taken.
    pub(super) out: Vec<u8>,
    pub(super) is_finished: bool,
    pub(super) is_to_reset: bool,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            inbox: VecDeque::new(),
            ended: false,
            broken: false,
            room: usize::MAX,
            interrupted: false,
            out: Vec::new(),
            is_finished: false,
            is_to_reset: false,
        }
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.interrupted) {
            Err(ErrorKind::Interrupted.into())
        } else if self.broken {
            Err(ErrorKind::ConnectionReset.into())
        } else if self.inbox.is_empty() && !self.ended {
            Err(ErrorKind::WouldBlock.into())
        } else {
            // As the system does: a read that is short has left nothing. A deque's own would stop
            // where its memory wraps.
            let length = buffer.len().min(self.inbox.len());
            let bytes = self.inbox.drain(..length);
            buffer
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = from);
            Ok(length)
        }
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.is_finished, "written behind the end");
        assert!(!bytes.is_empty(), "nothing is written");
        if std::mem::take(&mut self.interrupted) {
            return Err(ErrorKind::Interrupted.into());
        } else if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        } else if self.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = bytes.len().min(self.room);
        self.out.extend_from_slice(&bytes[..length]);
        // As much room as nobody uses up never ends.
        if self.room < usize::MAX {
            self.room -= length;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Scripted {
    fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        Err(ErrorKind::NotConnected.into())
    }

    fn finish(&mut self) {
        self.is_finished = true;
    }

    fn reset_on_drop(&mut self) {
        self.is_to_reset = true;
    }
}
