//! A server as a process: its log, its answers, and its resources according to `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process_log::ProcessLog;
use crate::{PATIENCE, await_exit, metrics};

/// A running server; killed when it is dropped.
pub struct ServerProcess {
    /// The address that it listens on.
    pub address: String,
    child: Child,
    log: Arc<ProcessLog>,
    /// The line of the log at which [`wait_for`](Self::wait_for) continues.
    next_line: usize,
    /// Reads the log until stderr ends; `None` if the caller reads it.
    keeper: Option<JoinHandle<()>>,
}

/// The resources of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl ServerProcess {
    /// Starts `program`, on a free port unless the arguments name one, and returns when it listens.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        Self::spawn(command.args(arguments))
    }

    /// Runs `command`, and returns when the server listens.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_input(command, Stdio::null())
    }

    /// Does the same, and lets the server read `input`.
    pub fn spawn_with_input(command: &mut Command, input: impl Into<Stdio>) -> Self {
        let (mut server, stderr) = Self::run(command.stdin(input));
        let log = Arc::clone(&server.log);
        server.keeper = Some(thread::spawn(move || log.keep(stderr)));
        server
    }

    /// Runs `command`, and returns when the server listens; the rest of the log is the caller's.
    pub fn spawn_with_log(command: &mut Command) -> (Self, BufReader<ChildStderr>) {
        Self::run(command.stdin(Stdio::null()))
    }

    fn run(command: &mut Command) -> (Self, BufReader<ChildStderr>) {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        (Self::listening(child, &mut stderr), stderr)
    }

    /// A server that was just started and reports on `log` that it listens.
    pub fn listening(child: Child, log: &mut impl BufRead) -> Self {
        let mut server = Self {
            address: String::new(),
            child,
            log: Arc::default(),
            next_line: 0,
            keeper: None,
        };
        loop {
            let mut line = String::new();
            let length = log.read_line(&mut line).expect("the log can be read");
            assert!(length > 0, "it never listened: {}", server.log());
            let address = line.split_once("listening on ");
            let address = address.map(|(_, address)| address.trim_end().to_owned());
            server.log.push(line.trim_end().to_owned());
            if let Some(address) = address {
                server.address = address;
                server.next_line = server.log.length();
                return server;
            }
        }
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Waits for a line of its log that contains `words`, after the last one waited for, and
    /// returns it.
    pub fn wait_for(&mut self, words: &str) -> String {
        self.log.wait_for(words, &mut self.next_line)
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        self.log.whole()
    }

    /// How many lines of its log contain `words`.
    pub fn lines(&self, words: &str) -> u64 {
        self.log.count(words)
    }

    /// Waits for the end, which must be soon; returns the exit code and the whole log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let status = self.exit();
        if let Some(keeper) = self.keeper.take() {
            keeper.join().expect("the log can be read");
        }
        (status, self.log())
    }

    /// Waits for the end, which must be soon; returns the exit code, or `None` if a signal ended
    /// it.
    pub fn exit(&mut self) -> Option<i32> {
        let status = await_exit(&mut self.child, PATIENCE);
        let status = status.unwrap_or_else(|| panic!("it does not end: {}", self.log()));
        status.code()
    }

    /// Its current resources.
    pub fn footprint(&self) -> Footprint {
        let folder = format!("/proc/{}", self.pid());
        let count = |name: &str| {
            let entries = fs::read_dir(format!("{folder}/{name}")).expect("it is there");
            entries.count() as u64
        };
        let status = fs::read_to_string(format!("{folder}/status")).expect("it is there");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|words| words.split_whitespace().next()?.parse().ok());
        Footprint {
            resident_bytes: kibibytes.map_or(0, |kibibytes: u64| kibibytes << 10),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// Its resources once it has as many descriptors as `before`, or after the longest wait: a
    /// descriptor that is just being closed is not a leak.
    pub fn footprint_like(&self, before: Footprint) -> Footprint {
        let until = Instant::now() + PATIENCE / 2;
        loop {
            let now = self.footprint();
            if now.descriptors == before.descriptors || Instant::now() > until {
                return now;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Connects without sending data.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// The whole response to a GET of `path`.
    pub fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let asked = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let read = asked.and_then(|()| stream.read_to_string(&mut answer));
        read.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        answer
    }

    /// The page of metrics.
    pub fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// The value of a metric, by its whole name.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.metrics();
        metrics::value(&page, name).unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// Waits until a metric has a `wanted` value.
    pub fn wait_for_metric(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        metrics::wait_until(name, || self.metric(name), wanted);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if the child has already ended, which is the goal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
