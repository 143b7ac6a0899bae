//! The processes under test, and the cores they run on. Every process started here is stopped when
//! its guard is dropped.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::interrupted;

/// Separate cores for server and client, if there are two.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    pinned: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first and the last allowed core: neighbours may be two threads of one core.
    pub(crate) fn choose() -> Self {
        let has_taskset = Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let ends = allowed_cores().filter(|(first, last)| has_taskset && first != last);
        Self { pinned: ends }
    }

    /// Whether server and client have separate cores.
    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) fn are_pinned(&self) -> bool {
        self.pinned.is_some()
    }

    pub(crate) fn server(&self, program: &str) -> Command {
        pinned(program, self.pinned.map(|(server, _)| server))
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        pinned(program, self.pinned.map(|(_, client)| client))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pinned {
            Some((server, client)) => {
                write!(
                    f,
                    "servers pinned to core {server}, client to core {client}"
                )
            }
            None => f.write_str("nothing pinned (that takes two cores and taskset)"),
        }
    }
}

/// `taskset` replaces itself by the program, so the child is the program itself.
fn pinned(program: &str, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// The first and the last core in `Cpus_allowed_list: 0-3,8`.
fn allowed_cores() -> Option<(usize, usize)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = list.trim().split([',', '-']).map(str::parse);
    let first = cores.next()?.ok()?;
    Some((first, cores.next_back().map_or(Some(first), Result::ok)?))
}

/// A child process that ends with its guard.
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts `command` with its three streams in pipes.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn();
        child
            .map(Self)
            .map_err(|error| format!("cannot start {command:?}: {error}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The output of a child that ends by itself; it has to fit into a pipe. Meanwhile `watch` is
    /// called repeatedly.
    pub(crate) fn finish(
        &mut self,
        limit: Duration,
        watch: impl FnMut(),
    ) -> Result<(String, String), String> {
        if !self.ends_within(limit, watch) {
            if interrupted() {
                return Err("it was interrupted".to_owned());
            }
            return Err(format!("it ran for longer than {limit:?}"));
        }
        Ok((read(self.0.stdout.as_mut()), read(self.0.stderr.as_mut())))
    }

    fn ends_within(&mut self, limit: Duration, mut watch: impl FnMut()) -> bool {
        let give_up = Instant::now() + limit;
        loop {
            watch();
            match self.0.try_wait() {
                Ok(Some(_)) => return true,
                Ok(None) if Instant::now() < give_up && !interrupted() => {
                    thread::sleep(Duration::from_millis(10));
                }
                _ => return false,
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only if the child has already ended, which is the goal.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(stream: Option<&mut impl Read>) -> String {
    let mut text = String::new();
    // Output that is not text is not a report either, which the caller will notice.
    let _ = stream.map(|stream| stream.read_to_string(&mut text));
    text
}

/// A child that serves, and reports on stderr that it listens.
pub(crate) struct Service {
    guard: Guard,
    log: Receiver<String>,
    /// The address that it listens on.
    pub(crate) address: String,
}

impl Service {
    /// Starts it, and waits until it reports that it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let mut guard = Guard::start(command)?;
        let (lines, log) = channel();
        if let Some(stderr) = guard.0.stderr.take() {
            // The thread ends with the child's stderr.
            thread::spawn(move || {
                let read = BufReader::new(stderr).lines().map_while(Result::ok);
                read.for_each(|line| drop(lines.send(line)));
            });
        }
        let address = listening_address(&log)?;
        Ok(Self {
            guard,
            log,
            address,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Stops it, by closing its stdin and by `signal`. Returns its output, and its log since it
    /// began to listen.
    pub(crate) fn stop(mut self, signal: Option<Signal>) -> Result<(String, Vec<String>), String> {
        drop(self.guard.0.stdin.take());
        if let Some(signal) = signal {
            // It fails only if the child has ended; its id cannot be reused before the wait.
            let _ = kill_process(Pid::from_child(&self.guard.0), signal);
        }
        if !self.guard.ends_within(STOP_LIMIT, || {}) {
            return Err("did not stop when asked to".to_owned());
        }
        let out = read(self.guard.0.stdout.as_mut());
        Ok((out, self.log.iter().collect()))
    }
}

fn listening_address(log: &Receiver<String>) -> Result<String, String> {
    let give_up = Instant::now() + START_LIMIT;
    let mut last = String::new();
    loop {
        match log.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.split_once("listening on ") {
                Some((_, address)) => return Ok(address.trim().to_owned()),
                None => last = line,
            },
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("does not listen after {START_LIMIT:?}: {last}"));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("ended: {last}")),
        }
    }
}

/// A server that requests each of many symbols once takes a minute to start.
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(5);
