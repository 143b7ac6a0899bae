//! The wall clock is moved. The real one is everybody's and takes rights to move; so the server is
//! started with a small library before the system's own (`clock.c`), which adds to the wall clock
//! what the test says, for this process alone. It is compiled here by `cc`, which links every Rust
//! program on Linux and so is there.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{INTERVAL, Outcome, Subject, server};
use crate::cases;
use testkit::{Peer, TempDir};

/// The clock of one process.
struct Clock {
    _folder: TempDir,
    library: PathBuf,
    path: PathBuf,
    file: File,
}

impl Clock {
    fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let (library, path) = (folder.path().join("clock.so"), folder.path().join("offset"));
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/adversary/process/clock.c"
        );
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        let built = built.is_ok_and(|status| status.success());
        cases::must(built, || format!("cc cannot compile {source}"))?;
        fs::write(&path, 0_i64.to_ne_bytes()).map_err(|error| error.to_string())?;
        let file = File::options()
            .write(true)
            .open(&path)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            _folder: folder,
            library,
            path,
            file,
        })
    }

    fn command(&self) -> Command {
        let mut command = server();
        command
            .env("LD_PRELOAD", &self.library)
            .env("ADVERSARY_CLOCK", &self.path);
        command
    }

    /// Sets it to the real time plus `seconds`.
    fn set(&self, seconds: i64) {
        let nanoseconds = seconds * 1_000_000_000;
        self.file
            .write_all_at(&nanoseconds.to_ne_bytes(), 0)
            .unwrap();
    }
}

/// An hour forward, two back, and a day forward: stamps change and only grow, and nothing else
/// happens. A client that never speaks gets 408 at its limit by the monotonic clock.
pub(super) fn moved() -> Outcome {
    let clock = Clock::new()?;
    let limit = Duration::from_millis(600);
    let limits = [
        "--handshake-timeout=600ms",
        "--ping-interval=300ms",
        "--slow-timeout=300ms",
    ];
    let subject = Subject::of(clock.command().args(limits));
    subject.control.await_ticks(5);
    let began = Instant::now();
    let mut silent = Peer::connect(&subject.program.address);
    for hours in [1, -1, 24] {
        clock.set(hours * HOUR);
        let server = time_of(&subject)? / 1_000_000;
        let real = tickertape::tick::unix_us() / 1_000_000;
        let apart = server as i64 - real as i64 - hours * HOUR;
        cases::must(apart.abs() <= 5, || {
            format!("its clock was not moved by {hours} hours")
        })?;
        subject.control.await_ticks(10);
    }
    let received = silent.read_to_end();
    cases::equal("status of a silent peer", received.status(), 408)?;
    cases::must(received.took >= limit, || {
        format!("it had {:?}", received.took)
    })?;
    // Two heartbeats more, answered in time by whichever clock.
    while began.elapsed() < limit * 2 {
        subject.control.await_ticks(10);
    }
    let intervals = began.elapsed().as_millis() / INTERVAL.as_millis();
    let ticks = subject.control.seen().ticks;
    cases::must(u128::from(ticks) <= intervals + 20, || {
        format!("{ticks} ticks")
    })?;
    subject.unharmed()
}

/// The server's own time in Unix µs, from its answer to a ping.
fn time_of(subject: &Subject) -> Result<u64, String> {
    let mut peer = Peer::open(&subject.program.address)?;
    peer.send(&testkit::frames::frame(0x81, br#"{"op":"ping"}"#));
    let pong = peer.frame(|_, payload| payload.starts_with(br#"{"op":"pong""#))?;
    let pong: Value = serde_json::from_slice(&pong).map_err(|error| error.to_string())?;
    pong["time"]
        .as_u64()
        .ok_or_else(|| format!("no time in {pong}"))
}

const HOUR: i64 = 3600;
