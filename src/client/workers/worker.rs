//! One of several processes that share the clients of a run. It measures its part and reports to
//! the coordinator, which started it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::unix::pipe::Receiver;
use rustix::fs::{FileType, fstat};

use crate::cli::BadOption;
use crate::client::config::Config;
use crate::client::run::barrier::{Barrier, Command, Milestone, Standing};
use crate::client::run::measure;
use crate::client::workers::Event;

/// Checks that a coordinator started this process: stdin and stdout are then pipes, which they are
/// not in a shell.
///
/// # Errors
/// A sentence for people who found `--share` by chance.
pub fn check_pipes() -> Result<(), BadOption> {
    let is_pipe = |fd: BorrowedFd<'_>| {
        fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo())
    };
    if is_pipe(io::stdin().as_fd()) && is_pipe(io::stdout().as_fd()) {
        return Ok(());
    }
    let error = "reserved for the processes that --processes starts, try --processes 2";
    Err(BadOption::new("--share", error))
}

/// Measures this process's part of `config`, and reports the result.
///
/// # Errors
/// When the coordinator is gone.
pub fn run(config: &Config) -> io::Result<()> {
    let (number, of) = config.share.unwrap_or((0, 1));
    let pipe = ControlPipe::new()?;
    let measured = measure(&config.share(number, of), None, Some(Box::new(pipe)));
    match measured {
        Ok(measurement) => send(&Event::Measured(Box::new(measurement))),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
        Err(error) => send(&Event::Failed(error.to_string())),
    }
}

/// The connection of a worker to its coordinator: stdin and stdout.
#[derive(Debug)]
struct ControlPipe {
    stdin: Receiver,
}

impl ControlPipe {
    fn new() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let stdin = Receiver::from(stdin);
        stdin.set_nonblocking(true)?;
        Ok(Self { stdin })
    }
}

impl AsFd for ControlPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }
}

impl Barrier for ControlPipe {
    fn command(&mut self) -> io::Result<Option<Command>> {
        let mut bytes = [0; 16];
        loop {
            match self.stdin.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(length) => match Command::of(&bytes[..length]) {
                    None => {}
                    command => return Ok(command),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    // If the coordinator is gone, stdin ends.
    fn reached(&mut self, milestone: Milestone) {
        let _ = send(&Event::Reached(milestone));
    }

    fn stands(&mut self, standing: Standing) {
        let _ = send(&Event::Stands(standing));
    }
}

/// Writes an event to stdout. It waits for room: the coordinator always reads.
///
/// # Errors
/// When the coordinator is gone.
fn send(event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
