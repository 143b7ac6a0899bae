//! One of our servers: an origin, an edge, or the single one that edges are compared with. It can be
//! started again on the same port, each time with a recording of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::{Peer, ServerProcess};

use crate::http;
use crate::kill::Way;
use crate::{is_interrupted, wait_until};

/// A server with its recordings.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    command: Vec<String>,
    folder: PathBuf,
    process: Option<ServerProcess>,
    is_paused: bool,
    /// How often it was started.
    lives: usize,
    pub(crate) recordings: Vec<PathBuf>,
    /// When its CPU time was this, in seconds: where the percentage counts from.
    counted_from: (Instant, f64),
}

/// What a server says of itself at the end.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) lives: usize,
    /// Of a core, in per cent.
    pub(crate) cpu: f64,
    pub(crate) lateness_ms: Option<f64>,
    pub(crate) page: String,
}

impl Node {
    /// Starts a server; `command` is its program with its options.
    pub(crate) fn start(name: String, command: Vec<String>, folder: &Path) -> Result<Self, String> {
        let mut node = Self {
            name,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            command,
            folder: folder.to_owned(),
            process: None,
            is_paused: false,
            lives: 0,
            recordings: Vec::new(),
            counted_from: (Instant::now(), 0.0),
        };
        node.run()?;
        Ok(node)
    }

    fn run(&mut self) -> Result<(), String> {
        self.lives += 1;
        let recording = self
            .folder
            .join(format!("{}.{}.ndjson", self.name, self.lives));
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .arg("--record")
            .arg(&recording);
        // Nobody is there any more when it ends.
        command.args(["--drain", "0", "--port", &self.address.port().to_string()]);
        self.recordings.push(recording);
        self.counted_from = (Instant::now(), 0.0);
        let process = ServerProcess::spawn(&mut command);
        let address = process.address.parse();
        self.address = address.map_err(|_| format!("'{}' is no address", process.address))?;
        self.process = Some(process);
        Ok(())
    }

    /// Whether it is neither ended nor paused.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some() && !self.is_paused
    }

    /// Waits until it is ready.
    pub(crate) fn await_readiness(&self) -> Result<(), String> {
        let failed = || {
            self.process
                .as_ref()
                .is_some_and(|process| process.lines("error: ") > 0)
        };
        let is_ready = || http::is_ready(self.address).unwrap_or(false);
        wait_until(&format!("readiness of {}", self.name), || {
            is_ready() || failed()
        })?;
        match &self.process {
            Some(process) if failed() => Err(format!("{} ended: {}", self.name, process.log())),
            _ => Ok(()),
        }
    }

    /// Its page of metrics, if it answers.
    pub(crate) fn metrics(&self) -> Option<String> {
        if !self.is_running() {
            return None;
        }
        Some(http::get(self.address, "/metrics").ok()?.1)
    }

    /// Lets the percentage of CPU count from now on.
    pub(crate) fn count_cpu_from_now(&mut self) {
        let cpu = http::cpu(self.address).unwrap_or_default();
        self.counted_from = (Instant::now(), cpu);
    }

    /// What it says of itself, if it answers.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let page = self.metrics()?;
        let (since, before) = self.counted_from;
        let cpu = http::value(&page, "process_cpu_seconds_total")? - before;
        let lateness = http::quantile(&page, "tickertape_loop_lateness_seconds", 0.99);
        Some(Figures {
            name: self.name.clone(),
            lives: self.lives,
            cpu: 100.0 * cpu / since.elapsed().as_secs_f64(),
            lateness_ms: lateness.map(|seconds| 1_000.0 * seconds),
            page,
        })
    }

    /// Ends or pauses it.
    pub(crate) fn end(&mut self, way: Way) -> io::Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match way {
            Way::Kill => process.signal(Signal::KILL),
            Way::Term => process.signal(Signal::TERM),
            Way::Pause => process.signal(Signal::STOP),
        }
        self.is_paused = way == Way::Pause;
        if way == Way::Kill {
            self.await_end()?;
        }
        Ok(())
    }

    /// Undoes that; the server then listens again.
    pub(crate) fn bring_back(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.is_paused) {
            if let Some(process) = &self.process {
                process.signal(Signal::CONT);
            }
            return Ok(());
        }
        self.await_end().map_err(|error| error.to_string())?;
        self.run()
    }

    /// Waits until it has ended, and writes down its log.
    pub(crate) fn await_end(&mut self) -> io::Result<()> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        let log = self
            .folder
            .join(format!("{}.{}.log", self.name, self.lives));
        fs::write(log, process.wait().1)
    }

    /// Waits for the first tick that a client gets; returns how long after the start that was.
    pub(crate) fn await_first_tick(&self) -> Result<Duration, String> {
        let began = self.counted_from.0;
        loop {
            match Peer::open(&self.address.to_string()) {
                Ok(mut peer) => {
                    let is_tick = |_, text: &[u8]| text.starts_with(b"{\"symbol\":");
                    peer.frame(is_tick)?;
                    return Ok(began.elapsed());
                }
                Err(error) if began.elapsed() > START_MAX || is_interrupted() => {
                    return Err(format!("{}: {error}", self.name));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its log may be wanted. If it cannot be written, the folder has gone, and so has the wish.
        let _ = self.end(Way::Kill);
    }
}

/// How long a server may take until clients may come.
const START_MAX: Duration = Duration::from_secs(20);
