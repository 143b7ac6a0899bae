//! Runs several processes that share the clients (`--processes`), so that more than one core and
//! one table of descriptors can generate load. The coordinator starts them, keeps them in step and
//! adds up their measurements; it opens no connection itself.
//!
//! They join at the same time and begin the window together. If one of them fails, the report lists
//! it among the errors and still contains the measurements of the others.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::mem;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ioloop::{IoLoop, PeriodicCallback, Ready};
use mio::unix::pipe::Receiver;
use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::error_kind::ErrorKind;
use crate::client::measure::measurement::{Measurement, Watching};
use crate::client::run::barrier::{Command, Milestone, Standing};
use crate::client::run::phase::{Phase, PhaseTimes, Snapshot};
use crate::client::run::prepare::{Prepared, prepare};
use crate::client::run::progress::{self, Progress, View};
use crate::client::run::watchlists::Watchlists;
use crate::client::workers::Event;
use crate::error_text::plain;

/// Measures `config` in several processes, which `command` creates by number.
///
/// # Errors
/// When preparing fails, or a process cannot be started. Errors of connections and processes are in
/// the measurement.
pub(crate) fn measure(
    config: &Config,
    mut signals: Option<Signals>,
    command: impl Fn(usize) -> std::process::Command,
) -> io::Result<Measurement> {
    // Each process prepares again. Preparing here first reports an error once instead of once for
    // each.
    let prepared = prepare(config, signals.as_mut())?;
    let mut io_loop = IoLoop::new()?;
    let mut coordinator = Coordinator::new(&prepared);
    // If this fails, the workers already started see their stdin end.
    for number in 0..config.processes {
        let mut command = command(number);
        command.args(arguments(&prepared));
        let worker = Worker::start(&mut io_loop, number, command)?;
        coordinator.workers.push(worker);
    }
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, Coordinator::on_signal)?;
        coordinator.signals = Some(signals);
    }
    if coordinator.progress.is_some() {
        let show = |coordinator: &mut Coordinator, _: &mut _| coordinator.show_progress();
        PeriodicCallback::start(&mut io_loop, progress::PERIOD, show);
    }
    let limit = prepared.began + config.symbol_list_limit() + config.window_limit();
    // The workers began later than this process.
    io_loop.call_at(limit, |coordinator: &mut Coordinator, _| {
        coordinator.send_to_all(Command::End);
    });
    let limit = limit + LIMIT_AFTER_WINDOW;
    io_loop.call_at(limit, move |coordinator: &mut Coordinator, io_loop| {
        coordinator.end_workers_at(io_loop, limit);
    });
    io_loop.start(&mut coordinator)?;
    if let Some(progress) = &coordinator.progress {
        progress.clear();
    }
    coordinator.finish()
}

/// The options that spare the workers from preparing again.
fn arguments(prepared: &Prepared) -> Vec<String> {
    let addresses = prepared.addresses.iter().map(ToString::to_string);
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let mut arguments = vec![format!("--share-addresses={addresses}")];
    let seed = prepared.config.watch.as_ref().and_then(|watch| watch.seed);
    arguments.extend(seed.map(|seed| format!("--share-seed={seed}")));
    arguments
}

/// The state of the loop.
struct Coordinator {
    config: Config,
    workers: Vec<Worker>,
    phase: Phase,
    times: PhaseTimes,
    watching: Option<Watching>,
    progress: Option<Progress>,
    signals: Option<Signals>,
    /// Whether a signal has told the workers to end.
    is_ending: bool,
    /// The buffer for the events of all workers.
    buffer: Vec<u8>,
}

impl Coordinator {
    fn new(prepared: &Prepared) -> Self {
        let config = prepared.config.clone();
        let mut times = PhaseTimes::new(config.pid);
        times.began.at = prepared.began;
        Self {
            workers: Vec::new(),
            phase: Phase::Joining,
            times,
            watching: prepared.lists.as_ref().map(Watchlists::watching),
            progress: Progress::of(&config),
            signals: None,
            is_ending: false,
            buffer: vec![0; BUFFER_SIZE],
            config,
        }
    }

    fn on_event(&mut self, io_loop: &mut IoLoop<Self>, token: Token, _: Ready) {
        let worker = self.workers.iter_mut().find(|worker| worker.token == token);
        let Some(worker) = worker else {
            return;
        };
        if !worker.read(&mut self.buffer) {
            worker.stage = Stage::Gone;
            // It can only fail for a pipe that is not registered, which is fine.
            let _ = io_loop.remove_handler(&mut worker.stdout, token);
        }
        self.keep_step(io_loop);
    }

    /// Enters the next phase once all workers have reached it.
    fn keep_step(&mut self, io_loop: &mut IoLoop<Self>) {
        let slowest = self.workers.iter().map(|worker| worker.stage).min();
        let slowest = slowest.unwrap_or(Stage::Gone);
        let pid = self.config.pid;
        if self.phase == Phase::Joining && slowest >= Stage::Joined {
            self.times.joined = Some(Snapshot::now(pid));
            self.phase = Phase::WarmingUp;
            self.send_to_all(Command::Go);
        }
        if self.phase == Phase::WarmingUp && slowest >= Stage::Measuring {
            self.times.window_began = Some(Snapshot::now(pid));
            self.phase = Phase::Measuring;
        }
        // A worker that ended early has lost all its connections, or has died; the others continue.
        if self.phase != Phase::Closing && slowest >= Stage::Ended {
            self.times.ended = Some(Snapshot::now(pid));
            self.phase = Phase::Closing;
        }
        if slowest == Stage::Gone {
            io_loop.stop();
        }
    }

    fn show_progress(&mut self) {
        let standings = self.workers.iter().map(|worker| worker.standing);
        let standing = standings.fold(Standing::default(), |sum, one| Standing {
            joined: sum.joined + one.joined,
            open: sum.open + one.open,
            ticks: sum.ticks + one.ticks,
            errors: sum.errors + one.errors,
        });
        if let Some(progress) = &mut self.progress {
            progress.show(&View {
                phase: self.phase,
                times: &self.times,
                config: &self.config,
                standing,
                alive: standing.open,
                delivery: None,
            });
        }
    }

    /// The first signal ends all workers with their measurements so far, another one ends them at
    /// once.
    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let signals = self.signals.as_mut();
        let came = signals.map_or(0, |signals| signals.pending().count());
        if came > 0 && !self.is_ending {
            self.is_ending = true;
            self.send_to_all(Command::End);
            io_loop.call_later(LIMIT_AFTER_WINDOW, Self::kill_workers);
        } else if came > 0 {
            self.kill_workers(io_loop);
        }
    }

    fn send_to_all(&mut self, command: Command) {
        // To a worker whose window has ended, a further end would mean not to wait for replies.
        let workers = self.workers.iter_mut();
        let busy = workers.filter(|worker| worker.stage < Stage::Ended);
        for stdin in busy.filter_map(|worker| worker.stdin.as_mut()) {
            // A byte always fits, and a worker that is gone need not be told.
            let _ = stdin.write_all(&[command.byte()]);
        }
    }

    /// Ends the remaining workers at `limit`. If this process slept past it (Ctrl-Z), they get more
    /// time, because their events could not be read either.
    fn end_workers_at(&mut self, io_loop: &mut IoLoop<Self>, limit: Instant) {
        if limit.elapsed() > SLEPT {
            io_loop.call_later(LIMIT_AFTER_WINDOW, Self::kill_workers);
        } else {
            self.kill_workers(io_loop);
        }
    }

    /// Kills the remaining workers: they have had their time.
    fn kill_workers(&mut self, _: &mut IoLoop<Self>) {
        let workers = self.workers.iter_mut();
        for worker in workers.filter(|worker| worker.stage != Stage::Gone) {
            // Its last events may not have been read yet.
            worker.read(&mut self.buffer);
            if worker.measurement.is_none() {
                worker.error = Some("did not end in time and was killed".to_owned());
            }
            // It has just ended by itself.
            let _ = worker.process.kill();
        }
    }

    /// Adds up the measurements of the workers.
    fn finish(mut self) -> io::Result<Measurement> {
        let workers = mem::take(&mut self.workers);
        let of = workers.len();
        let mut sum = Measurement::new(&self.config);
        let (mut lost, mut clients_lost) = (Vec::new(), 0);
        sum.run.all_lost = true;
        for mut worker in workers {
            drop(worker.stdin.take());
            let status = worker.process.wait()?;
            match (worker.measurement.take(), worker.error.take()) {
                (Some(measurement), None) => sum += *measurement,
                (_, error) => {
                    let what = error.unwrap_or_else(|| ending(status));
                    let (number, id) = (worker.number + 1, worker.process.id());
                    lost.push(format!("client process {number} of {of} ({id}) {what}"));
                    clients_lost += self.config.share(worker.number, of).clients;
                }
            }
        }
        sum.run.all_lost &= lost.len() < of;
        sum.run.failed += clients_lost;
        sum.watching = self.watching;
        for _ in &lost {
            sum.errors.note(ErrorKind::WorkerLost, all_of(&lost));
        }
        if sum.run.window.is_zero() {
            // All workers ended before their windows.
            self.times.window_began = None;
        }
        self.times.note_phases(&mut sum.run);
        Ok(sum)
    }
}

/// One sentence about all lost workers, since a report has one example of each kind.
fn all_of(lost: &[String]) -> String {
    let mut sentence = lost[..lost.len().min(NAMED_MAX)].join("; ");
    if lost.len() > NAMED_MAX {
        let more = lost.len() - NAMED_MAX;
        write!(sentence, "; and {more} more").expect("a string takes every write");
    }
    sentence
}

/// One of the client processes.
#[derive(Debug)]
struct Worker {
    number: usize,
    process: Child,
    /// Its end tells the worker that this process has ended.
    stdin: Option<ChildStdin>,
    stdout: Receiver,
    token: Token,
    /// The beginning of a line.
    partial: Vec<u8>,
    stage: Stage,
    standing: Standing,
    measurement: Option<Box<Measurement>>,
    error: Option<String>,
}

/// The progress of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Joining,
    Joined,
    Measuring,
    Ended,
    Gone,
}

impl Worker {
    fn start(
        io_loop: &mut IoLoop<Coordinator>,
        number: usize,
        mut command: std::process::Command,
    ) -> io::Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| {
            let what = format!("cannot start client process {}", number + 1);
            io::Error::new(error.kind(), format!("{what}: {}", plain(&error)))
        })?;
        let stdout = process.stdout.take();
        let mut stdout = Receiver::from(stdout.expect("it is a pipe"));
        stdout.set_nonblocking(true)?;
        let token = io_loop.add_handler(&mut stdout, Interest::READABLE, Coordinator::on_event)?;
        Ok(Self {
            number,
            stdin: process.stdin.take(),
            process,
            stdout,
            token,
            partial: Vec::new(),
            stage: Stage::Joining,
            standing: Standing::default(),
            measurement: None,
            error: None,
        })
    }

    /// Reads what has arrived. Returns false at the end of the stream.
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
            self.error = Some("sent an oversized message".to_owned());
            return;
        }
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = mem::take(&mut self.partial);
                match serde_json::from_slice(&line) {
                    Ok(event) => self.note(event),
                    Err(error) => self.error = Some(format!("sent an invalid message: {error}")),
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Reached(Milestone::Joined) => self.stage = Stage::Joined,
            Event::Reached(Milestone::Measuring) => self.stage = Stage::Measuring,
            Event::Reached(Milestone::Ended) => self.stage = Stage::Ended,
            Event::Stands(standing) => self.standing = standing,
            Event::Measured(measurement) => self.measurement = Some(measurement),
            Event::Failed(error) => self.error = Some(format!("could not begin: {error}")),
        }
    }
}

impl Drop for Worker {
    /// Leaves no process behind, for whatever reason the coordinator ends.
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

/// Closing takes two seconds, which the processes enforce themselves.
const LIMIT_AFTER_WINDOW: Duration = Duration::from_millis(2_500);

/// Even a busy machine does not delay a timeout by this much.
const SLEPT: Duration = Duration::from_secs(1);

/// How many lost processes are named.
const NAMED_MAX: usize = 8;

/// Two hours of intervals and 100,000 clients take a tenth of this.
const LINE_LENGTH_MAX: usize = 64 << 20;

const BUFFER_SIZE: usize = 64 * 1024;
