//! One of several processes that share the clients of a run (`--processes`): what it tells the one
//! that started it, on its stdout and a line each, and what it is told, on its stdin and a byte
//! each.
//!
//! The end of stdin is the end of the other process, and so the end of this one.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use ioloop::{IoLoop, PeriodicCallback, Ready};
use mio::unix::pipe::Receiver;
use mio::{Interest, Token};
use rustix::fs::{FileType, fstat};
use serde::{Deserialize, Serialize};

use crate::client::config::Config;
use crate::client::run::phases::Phase;
use crate::client::run::{self, Client, progress};
use crate::client::workers::outcome::Outcome;
use crate::options::BadOption;

/// What a process tells.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) enum News {
    /// Its clients have joined or failed. It waits for the word to go on.
    Joined,
    /// Its window has begun.
    Measuring,
    /// Where it stands.
    Progress(Standing),
    /// Its window has ended.
    Ended,
    /// What it has measured; the last that it says.
    Outcome(Box<Outcome>),
    /// Why it could not even begin.
    Failed(String),
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::client) struct Standing {
    pub joined: usize,
    pub open: usize,
    pub ticks: u64,
    pub errors: u64,
}

/// The word to begin.
pub(in crate::client) const GO: u8 = b'g';

/// The word to end now.
pub(in crate::client) const END: u8 = b'e';

/// A share's end of the line.
#[derive(Debug)]
pub(in crate::client) struct Line {
    stdin: Receiver,
    /// Whether nobody is there any more.
    pub(in crate::client) is_cut: bool,
}

impl Client {
    /// Listens to the process that started this one, and tells it how things stand.
    pub(in crate::client) fn join_crew(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let mut stdin = Receiver::from(stdin);
        stdin.set_nonblocking(true)?;
        io_loop.add_handler(&mut stdin, Interest::READABLE, Self::on_order)?;
        let is_cut = false;
        self.line = Some(Line { stdin, is_cut });
        PeriodicCallback::start(io_loop, progress::PERIOD, |client: &mut Self, _| {
            let standing = Standing {
                joined: client.tally.joined,
                open: client.tally.open,
                ticks: client.statistics.ticks,
                errors: client.statistics.failures.values().map(|(n, _)| n).sum(),
            };
            client.tell(&News::Progress(standing));
        });
        Ok(())
    }

    /// Tells the process that started this one, if there is one.
    pub(in crate::client) fn tell(&mut self, news: &News) {
        if let Some(line) = &mut self.line {
            line.is_cut |= tell(news).is_err();
        }
    }

    fn on_order(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let Some(line) = &mut self.line else {
            return;
        };
        let mut orders = [0; 16];
        loop {
            match line.stdin.read(&mut orders) {
                Ok(0) => {
                    line.is_cut = true;
                    io_loop.stop();
                    return;
                }
                Ok(length) if orders[..length].contains(&END) => return self.end(io_loop),
                Ok(_) if self.phase == Phase::Gathering => return self.warm_up(io_loop),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// Makes sure that there is a process that has started this one as a share: both of its lines are
/// pipes then, and never so where somebody types.
///
/// # Errors
/// A sentence for whoever came upon `--share` by chance.
pub fn check_lines() -> Result<(), BadOption> {
    let is_pipe = |fd: BorrowedFd<'_>| {
        fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo())
    };
    if is_pipe(io::stdin().as_fd()) && is_pipe(io::stdout().as_fd()) {
        return Ok(());
    }
    let error = "only for the processes that --processes starts, try --processes 2";
    Err(BadOption::new("--share", error))
}

/// Runs the part of `config` that is this process's share, and tells the result.
///
/// # Errors
/// When the process that started this one is not there any more, or could not be told.
pub fn run(config: &Config) -> io::Result<()> {
    let (number, of) = config.share.unwrap_or((0, 1));
    let measured = run::listen(config.share(number, of), None);
    let news = match measured {
        Ok(client) if client.line.as_ref().is_some_and(|line| line.is_cut) => {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(client) => News::Outcome(Box::new(Outcome::of(&client))),
        Err(error) => News::Failed(error.to_string()),
    };
    tell(&news)
}

/// Writes a line to stdout. It waits for room: the other end always reads.
///
/// # Errors
/// When nobody is there.
pub(in crate::client) fn tell(news: &News) -> io::Result<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
