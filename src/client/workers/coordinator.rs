//! Several processes that share the clients (`--processes`), so that more than one core and one
//! table of descriptors can generate load: started, kept in step and summed up by this one, which
//! opens no connection itself.
//!
//! They join at the same time and begin the window together. Whatever happens to one of them is an
//! error that names it; what the others have measured is reported all the same.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ioloop::{IoLoop, Ready};
use mio::unix::pipe::Receiver;
use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::config::watch::Watch;
use crate::client::report::Report;
use crate::client::report::build;
use crate::client::run::phases::Phase;
use crate::client::run::{self, Client, resolve, symbol_list};
use crate::client::workers::outcome::Outcome;
use crate::client::workers::worker::{END, GO, News, Standing};
use crate::client::ws::error::Failure;
use crate::error_text::plain;

/// One of the processes.
#[derive(Debug)]
pub(in crate::client) struct Member {
    number: usize,
    process: Child,
    /// Its end is what tells it that this process has ended.
    stdin: Option<ChildStdin>,
    stdout: Receiver,
    token: Token,
    /// The beginning of a line.
    partial: Vec<u8>,
    stage: Stage,
    standing: Standing,
    outcome: Option<Outcome>,
    error: Option<String>,
}

/// How far one has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Joining,
    Joined,
    Measuring,
    Ended,
    Gone,
}

/// Runs `config` in several processes, each made by `command` of its number.
///
/// # Errors
/// When the host is not known, or a process cannot be started. What happens to connections and
/// processes is in the report.
pub fn run(
    mut config: Config,
    mut signals: Option<Signals>,
    command: impl Fn(usize) -> Command,
) -> io::Result<Report> {
    let mut began = Instant::now();
    let addresses = resolve::resolve(&config.url, signals.as_mut())?;
    let known = addresses.iter().map(ToString::to_string);
    let known = format!("--share-addresses={}", known.collect::<Vec<_>>().join(","));
    let seed = config.watch.as_mut().map(Watch::settle_seed);
    let seed = seed.map(|seed| format!("--share-seed={seed}"));
    // Each process asks the server again. Asking here first reports an error once, not once each.
    let secrets = run::secrets(&config)?;
    let server = (&*addresses, secrets.as_ref());
    let lists = symbol_list::watchlists(&config, server, signals.as_mut())?;
    if lists.is_some() {
        began = Instant::now();
    }
    let processes = config.processes;
    let mut io_loop = IoLoop::new()?;
    let mut client = Client::new(config, addresses);
    client.began.at = began;
    client.lists = lists;
    // If it fails, those that are there find their stdin ended.
    for number in 0..processes {
        let mut command = command(number);
        command.arg(&known).args(&seed);
        let member = start(&mut io_loop, number, command)?;
        client.crew.push(member);
    }
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, |client, io_loop, _, _| {
            client.on_signal_for_all(io_loop);
        })?;
        client.signals = Some(signals);
    }
    client.begin_output(&mut io_loop)?;
    let limit = client.began.at + client.config.asking_limit() + client.config.window_limit();
    // They have begun later than this one.
    io_loop.call_at(limit, |client: &mut Client, _| client.order(END));
    let limit = limit + LIMIT_AFTER_WINDOW;
    io_loop.call_at(limit, move |client: &mut Client, io_loop| {
        client.end_crew_at(io_loop, limit);
    });
    io_loop.start(&mut client)?;
    client.dismiss_crew()?;
    client.finish_output();
    Ok(build::of(&client))
}

fn start(io_loop: &mut IoLoop<Client>, number: usize, mut command: Command) -> io::Result<Member> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let error_text = format!(
                "cannot start client process {}: {}",
                number + 1,
                plain(&error)
            );
            io::Error::new(error.kind(), error_text)
        })?;
    let stdout = process.stdout.take();
    let mut stdout = Receiver::from(stdout.expect("it is a pipe"));
    stdout.set_nonblocking(true)?;
    let token = io_loop.add_handler(&mut stdout, Interest::READABLE, Client::on_news)?;
    Ok(Member {
        number,
        stdin: process.stdin.take(),
        process,
        stdout,
        token,
        partial: Vec::new(),
        stage: Stage::Joining,
        standing: Standing::default(),
        outcome: None,
        error: None,
    })
}

impl Client {
    fn on_news(&mut self, io_loop: &mut IoLoop<Self>, token: Token, _: Ready) {
        let member = self.crew.iter_mut().find(|member| member.token == token);
        let Some(member) = member else {
            return;
        };
        if !member.read(&mut self.scratch) {
            member.stage = Stage::Gone;
            // It can only fail for a pipe that is not watched, and then all is well.
            let _ = io_loop.remove_handler(&mut member.stdout, token);
        }
        self.show_crew();
        self.keep_step(io_loop);
    }

    /// Enters the next phase once all have got there.
    fn keep_step(&mut self, io_loop: &mut IoLoop<Self>) {
        let slowest = self.crew.iter().map(|member| member.stage).min();
        let slowest = slowest.unwrap_or(Stage::Gone);
        if self.phase == Phase::Joining && slowest >= Stage::Joined {
            self.joined = Some(self.moment());
            self.phase = Phase::WarmingUp;
            self.order(GO);
        }
        if self.phase == Phase::WarmingUp && slowest >= Stage::Measuring {
            self.window_began = Some(self.moment());
            self.phase = Phase::Measuring;
        }
        // One that ended early has lost all its connections, or its life; the others go on.
        if self.phase != Phase::Closing && slowest >= Stage::Ended {
            self.ended = Some(self.moment());
            self.phase = Phase::Closing;
        }
        if slowest == Stage::Gone {
            io_loop.stop();
        }
    }

    /// What the progress line says.
    fn show_crew(&mut self) {
        let standings = self.crew.iter().map(|member| member.standing);
        let sum = standings.fold(Standing::default(), |sum, it| Standing {
            joined: sum.joined + it.joined,
            open: sum.open + it.open,
            ticks: sum.ticks + it.ticks,
            errors: sum.errors + it.errors,
        });
        (self.tally.joined, self.tally.open) = (sum.joined, sum.open);
        self.tally.alive = sum.open;
        self.statistics.ticks = sum.ticks;
        self.tally.errors_elsewhere = sum.errors;
    }

    /// The first one ends all with what they have measured, another one at once.
    fn on_signal_for_all(&mut self, io_loop: &mut IoLoop<Self>) {
        let signals = self.signals.as_mut();
        let came = signals.map_or(0, |signals| signals.pending().count());
        if came > 0 && !self.is_ending {
            self.is_ending = true;
            self.order(END);
            io_loop.call_later(LIMIT_AFTER_WINDOW, Self::kill_crew);
        } else if came > 0 {
            self.kill_crew(io_loop);
        }
    }

    /// Tells all of them.
    fn order(&mut self, order: u8) {
        // To one whose window has ended, another end would mean to await no reply.
        let busy = self.crew.iter_mut().filter(|it| it.stage < Stage::Ended);
        for stdin in busy.filter_map(|it| it.stdin.as_mut()) {
            // A byte always fits; who is not there any more need not be told.
            let _ = stdin.write_all(&[order]);
        }
    }

    /// Ends those that are still there at `limit`, which this process may have slept through
    /// (Ctrl-Z): then they have had no chance to be heard either.
    fn end_crew_at(&mut self, io_loop: &mut IoLoop<Self>, limit: Instant) {
        if limit.elapsed() > SLEPT {
            io_loop.call_later(LIMIT_AFTER_WINDOW, Self::kill_crew);
        } else {
            self.kill_crew(io_loop);
        }
    }

    /// Ends those that are still there: they have had their time.
    fn kill_crew(&mut self, _: &mut IoLoop<Self>) {
        for member in self.crew.iter_mut().filter(|it| it.stage != Stage::Gone) {
            // It may have said all there is, only nobody has read it yet.
            member.read(&mut self.scratch);
            if member.outcome.is_none() {
                member.error = Some("did not end in time and was killed".to_owned());
            }
            // It has ended by itself meanwhile.
            let _ = member.process.kill();
        }
    }

    /// Sums up what all have measured.
    fn dismiss_crew(&mut self) -> io::Result<()> {
        let (mut outcomes, mut lost, mut clients_lost) = (Vec::new(), Vec::new(), 0);
        let of = self.crew.len();
        for mut member in self.crew.drain(..) {
            drop(member.stdin.take());
            let status = member.process.wait()?;
            match (member.outcome.take(), member.error.take()) {
                (Some(outcome), None) => outcomes.push(outcome),
                (_, error) => {
                    let what = error.unwrap_or_else(|| ending(status));
                    let (number, id) = (member.number + 1, member.process.id());
                    lost.push(format!("client process {number} of {of} ({id}) {what}"));
                    clients_lost += self.config.share(member.number, of).clients;
                }
            }
        }
        Outcome::merge(outcomes, self)?;
        self.tally.failed += clients_lost;
        // One sentence about all: a report has one example of each kind.
        let named = lost[..lost.len().min(NAMED_MAX)].join("; ");
        let all = match lost.len().checked_sub(NAMED_MAX) {
            None | Some(0) => named,
            Some(more) => format!("{named}; and {more} more"),
        };
        for _ in &lost {
            self.statistics.failure(&Failure::ProcessLost(all.clone()));
        }
        Ok(())
    }
}

impl Member {
    /// Reads what has come. Says no at the end.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.stdout.read(buffer) {
                Ok(0) => return false,
                Ok(length) => self.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.partial.len() > LINE_LENGTH_MAX {
            self.error = Some("said what has no end".to_owned());
            return;
        }
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                match serde_json::from_slice(&line) {
                    Ok(news) => self.hear(news),
                    Err(error) => self.error = Some(format!("said what makes no sense: {error}")),
                }
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Joined => self.stage = Stage::Joined,
            News::Measuring => self.stage = Stage::Measuring,
            News::Ended => self.stage = Stage::Ended,
            News::Progress(standing) => self.standing = standing,
            News::Outcome(outcome) => self.outcome = Some(*outcome),
            News::Failed(error) => self.error = Some(format!("could not begin: {error}")),
        }
    }
}

impl Drop for Member {
    /// No process is left behind, whatever ends this one's part.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with status {code} and no result"),
        (None, None) => "ended without a result".to_owned(),
    }
}

/// Two seconds are for closing, which the processes see to themselves.
const LIMIT_AFTER_WINDOW: Duration = Duration::from_millis(2_500);

/// A busy machine makes no timeout as late as this.
const SLEPT: Duration = Duration::from_secs(1);

/// How many lost processes are named.
const NAMED_MAX: usize = 8;

/// Two hours by the second and 100,000 clients are a tenth of it.
const LINE_LENGTH_MAX: usize = 64 << 20;
