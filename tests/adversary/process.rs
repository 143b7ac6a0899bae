//! What the surroundings do to the process: descriptors, stderr, signals, the clock, ports. Each
//! case has a server and a control client of its own.
//!
//! The contract: no client is kept waiting or dropped for it; a pause of the whole server delays
//! ticks and loses none; the server starts and ends within its limits.
//!
//! A busy machine keeps control clients waiting too. One more server is therefore left in peace: a
//! wait that the baseline, its control client, shares does not count. A machine can also stop one
//! CPU and not the other, so a case that only found a long wait is tried again: the machine hardly
//! does that several times in a row, while a slow server is slow every time.

mod clock;
mod ending;
mod stopping;

use std::io::{BufReader, Read};
use std::process::{ChildStderr, Command};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::cases::{self, Check};
use crate::control_client::{ControlClient, Seen};
use crate::fixture::{await_metric, metric};
use testkit::frames::handshake;
use testkit::{End, Peer, ServerProcess};

/// What happens to the process, and the check of what comes of it.
type Case = (&'static str, fn() -> Outcome);

/// What went wrong for reasons that are not the machine's; otherwise what the control client saw,
/// if its waits are to be judged.
type Outcome = Result<Option<Seen>, String>;

const CASES: [Case; 12] = [
    ("256 descriptors and 400 clients", few_descriptors),
    (
        "descriptors taken away while it runs",
        descriptors_taken_away,
    ),
    ("stderr blocked", stderr_blocked),
    ("stderr closed", stderr_closed),
    ("SIGSTOP, then SIGCONT", stopping::stopped),
    ("many short stops", stopping::stopped_again_and_again),
    (
        "SIGSTOP for longer than a pong may take",
        stopping::stopped_beyond_the_limits,
    ),
    ("wall clock moved", clock::moved),
    ("SIGTERM under load", ending::terminated_under_load),
    (
        "kill -9, and started again on the same port",
        ending::killed_and_started_again,
    ),
    ("port taken", ending::port_taken),
    ("port of nobody", ending::port_of_nobody),
];

/// Runs all cases; returns what failed.
pub(crate) fn run() -> Vec<String> {
    let peace = crate::server(&["--interval", &format!("{}ms", PEACE.as_millis())]);
    let baseline = ControlClient::join(&peace.address, peace.pid(), PEACE);
    let wrongs = cases::run(
        "process",
        &CASES,
        |(name, _)| name,
        |(_, case)| try_again(*case, &baseline),
    );
    let faults = baseline.leave().faults();
    let at_peace = |fault| format!("the server in peace: {fault}");
    wrongs
        .into_iter()
        .chain(faults.into_iter().map(at_peace))
        .collect()
}

/// Runs a case until its control client does not wait too long, a few times at most.
fn try_again(case: fn() -> Outcome, baseline: &ControlClient) -> Check {
    let mut wait = None;
    for _ in 0..TRIES_MAX {
        let Some(seen) = case()? else { return Ok(()) };
        // A wait that both share ends for both at about the same time.
        baseline.await_ticks(SHARED);
        wait = seen.too_late(Some(&baseline.seen()));
        if wait.is_none() {
            break;
        }
    }
    wait.map_or(Ok(()), Err)
}

/// A server in trouble, and its control client.
struct Subject {
    program: ServerProcess,
    control: ControlClient,
    stderr: BufReader<ChildStderr>,
}

impl Subject {
    fn of(command: &mut Command) -> Self {
        Self::on_port("0", command)
    }

    fn on_port(port: &str, command: &mut Command) -> Self {
        let interval = format!("{}ms", INTERVAL.as_millis());
        let command = command.args(["--port", port, "--interval", &interval]);
        let (program, stderr) = ServerProcess::spawn_with_log(command);
        let control = ControlClient::join(&program.address, program.pid(), INTERVAL);
        Self {
            program,
            control,
            stderr,
        }
    }

    fn start(arguments: &[&str]) -> Self {
        Self::of(server().args(arguments))
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(&self.program), signal).unwrap();
    }

    /// Ends a case in which the control client must still be connected and have missed nothing.
    fn unharmed(self) -> Outcome {
        self.control.await_ticks(20);
        faultless(self.control.leave())
    }
}

fn faultless(seen: Seen) -> Outcome {
    let faults = seen.faults();
    cases::must(faults.is_empty(), || faults.join(", "))?;
    Ok(Some(seen))
}

fn server() -> Command {
    Command::new(env!("CARGO_BIN_EXE_server"))
}

fn pid(program: &ServerProcess) -> Pid {
    Pid::from_raw(program.pid().try_into().unwrap()).unwrap()
}

/// As many clients as there is room for are served, the others get 503, and afterwards all are
/// served.
fn few_descriptors() -> Outcome {
    let limited = r#"ulimit -n 256 && exec "$0" "$@""#;
    let server = env!("CARGO_BIN_EXE_server");
    let subject = Subject::of(Command::new("sh").args(["-c", limited, server]));
    crowd(&subject)?;
    subject.unharmed()
}

/// So many that accepting fails in the system.
fn descriptors_taken_away() -> Outcome {
    let subject = Subject::start(&[]);
    let limit = |current: u64| {
        let limit = Rlimit {
            current: Some(current),
            maximum: Some(4096),
        };
        prlimit(Some(pid(&subject.program)), Resource::Nofile, limit).unwrap();
    };
    limit(64);
    crowd(&subject)?;
    limit(1024);
    subject.unharmed()
}

/// Four hundred join at once; when they have left, others find room.
fn crowd(subject: &Subject) -> Check {
    let address = &subject.program.address;
    let before = metric(&subject.program.metrics(), "connections").unwrap();
    let peers: Vec<_> = (0..400).map(|_| Peer::connect(address)).collect();
    let mut served = Vec::new();
    let mut refused = 0;
    for mut peer in peers {
        peer.send(handshake("/").as_bytes());
        let head = peer.head();
        if head.starts_with("HTTP/1.1 101 ") {
            served.push(peer);
            continue;
        }
        refused += 1;
        let is_told = head.starts_with("HTTP/1.1 503 ");
        cases::must(is_told, || {
            format!("number {refused} to be refused got {head:?}")
        })?;
        cases::equal("the end of a 503", peer.read_to_end().end, End::Fin)?;
    }
    let some = served.len() > 30 && refused > 100;
    cases::must(some, || {
        format!("{} were served, {refused} refused", served.len())
    })?;
    drop(served);
    await_metric(&subject.program, "connections", |now| now == before)?;
    Peer::open(address).map(drop)
}

/// Log lines that nobody reads are dropped and counted.
fn stderr_blocked() -> Outcome {
    let mut subject = Subject::start(&["--log", "debug"]);
    // Each makes a log line. When the next one adds nothing, the pipe is full.
    let refused = |subject: &Subject| {
        let mut peer = Peer::connect(&subject.program.address);
        peer.send(handshake("/elsewhere").as_bytes());
        cases::equal("status", peer.read_to_end().status(), 404)
    };
    let (mut before, mut filled) = (0, 1);
    while filled > before {
        refused(&subject)?;
        before = filled;
        filled = ioctl_fionread(subject.stderr.get_ref()).map_err(|error| error.to_string())?;
        cases::must(filled < 1 << 24, || "a pipe that is never full".to_owned())?;
    }
    subject.control.await_ticks(50);
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains("log lines were lost") {
        // There is room by now, and something to be said.
        let mut piece = vec![0; 32 << 10];
        let length = subject
            .stderr
            .read(&mut piece)
            .map_err(|error| error.to_string())?;
        log.extend_from_slice(&piece[..length]);
        cases::must(log.len() < 1 << 20, || {
            "it never says that lines were lost".to_owned()
        })?;
        refused(&subject)?;
    }
    subject.unharmed()
}

fn stderr_closed() -> Outcome {
    let subject = Subject::start(&["--log", "debug"]);
    let Subject {
        program,
        control,
        stderr,
    } = subject;
    drop(stderr);
    for _ in 0..50 {
        Peer::open(&program.address)?;
    }
    control.await_ticks(20);
    faultless(control.leave())
}

/// Between two ticks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Between two ticks of the server left in peace. It differs, so that what the servers do regularly
/// falls on different moments.
const PEACE: Duration = Duration::from_millis(7);

/// After this many more ticks the baseline has seen the end of a wait that both shared.
const SHARED: u64 = 2;

/// How often a case is run at most.
const TRIES_MAX: usize = 3;
