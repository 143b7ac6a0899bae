//! Where lines come from: stdin, a FIFO or a file, read without ever waiting.
//!
//! Stdin is shared with other processes, which would not expect it to become non-blocking. So a
//! pipe or a terminal is opened again for us alone where the system can do that, and otherwise
//! asked before each read whether there is anything to read. A regular file is always ready and
//! cannot be polled; its reader has to stop by itself now and then.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ioloop::Registrar;
use mio::Token;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error_text::plain;

/// The place that lines are read from, as `--source` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinesFrom {
    /// `-`
    Stdin,
    /// `lines:PATH`, a FIFO or a file.
    Path(PathBuf),
}

/// An open place.
pub(super) struct Input {
    from: LinesFrom,
    file: File,
    /// Whether writers come and go: it has a name by which more of them find it.
    is_fifo: bool,
    /// Wakes the reader; `None` for a regular file.
    token: Option<Token>,
}

impl Input {
    /// Opens the place, without waiting for a writer.
    ///
    /// # Errors
    /// A sentence that names it, and says what to do.
    pub(super) fn open(from: &LinesFrom) -> Result<Self, String> {
        let (file, is_fifo) = match from {
            LinesFrom::Stdin => (stdin().map_err(|error| failed(from, &error))?, false),
            LinesFrom::Path(path) => {
                let file = again(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => {
                        let reason = failed(from, &error);
                        format!("{reason}: make a FIFO with mkfifo {from}")
                    }
                    _ => failed(from, &error),
                })?;
                let kind = file.metadata().map_err(|error| failed(from, &error))?;
                if kind.is_dir() {
                    return Err(format!(
                        "cannot read lines from {from}: it is a directory; expected a FIFO or a file"
                    ));
                }
                let is_fifo = kind.file_type().is_fifo();
                (file, is_fifo)
            }
        };
        Ok(Self {
            from: from.clone(),
            file,
            is_fifo,
            token: None,
        })
    }

    /// Has the loop watch it, if that is possible.
    pub(super) fn watch(&mut self, registrar: &Registrar) -> io::Result<()> {
        match registrar.register(&mut SourceFd(&self.file.as_raw_fd())) {
            Ok(token) => self.token = Some(token),
            // Files and a few devices cannot be polled.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => self.token = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What wakes its reader when there is more; `None` if there always is.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Whether more writers may come after the end.
    pub(super) fn is_fifo(&self) -> bool {
        self.is_fifo
    }

    /// Opens a FIFO for the next writer. It is open all the time, so nothing that the next one has
    /// written already is lost.
    pub(super) fn reopen(&mut self, registrar: &Registrar) -> io::Result<()> {
        if let LinesFrom::Path(path) = &self.from {
            self.file = again(path)?;
        }
        self.watch(registrar)
    }

    /// Reads into `buffer`; zero bytes mean the end, `WouldBlock` that there is no more for now.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.token.is_some() && !is_readable(&self.file)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.file.read(buffer) {
            // It is tried again in the next turn at the latest.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.file.read(buffer),
            // A terminal that has gone away.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(0),
            read => read,
        }
    }
}

impl fmt::Display for LinesFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

fn failed(from: &LinesFrom, error: &io::Error) -> String {
    format!("cannot read lines from {from}: {}", plain(error))
}

fn again(path: impl AsRef<Path>) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options.open(path)
}

/// The standard input, opened again for us alone if possible. A file is not: the other one would
/// begin at its start.
fn stdin() -> io::Result<File> {
    let shared = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let is_pipe = shared.metadata()?.file_type().is_fifo();
    if is_pipe || shared.is_terminal() {
        // Only Linux has this, and a terminal may belong to another user.
        let own = again(format!("/proc/self/fd/{}", io::stdin().as_raw_fd()));
        return Ok(own.unwrap_or(shared));
    }
    Ok(shared)
}

/// Whether a read returns at once: with bytes, the end, or an error.
fn is_readable(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    loop {
        match poll(&mut polled, Some(&Timespec::default())) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(ready) => return Ok(ready > 0),
        }
    }
}
