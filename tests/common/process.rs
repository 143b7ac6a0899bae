//! The server as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, metric_of, wait_until};

/// A running server; killed when it is dropped.
pub struct Process {
    /// Where it listens.
    pub address: String,
    /// What it has said until it listened.
    pub log: String,
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Process {
    /// Starts it and waits until it listens; on a free port, if the arguments name none.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        command.args(arguments).stdin(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut process = Self {
            address: String::new(),
            log: String::new(),
            child,
            stderr,
        };
        process.wait_for("listening on ");
        process.address = process.last_word();
        process
    }

    /// Waits until it has said `text`.
    pub fn wait_for(&mut self, text: &str) {
        while !self.log.lines().last().is_some_and(|it| it.contains(text)) {
            let length = self.stderr.read_line(&mut self.log).unwrap();
            assert!(length > 0, "it never said '{text}': {}", self.log);
        }
    }

    /// The last word that it has said.
    pub fn last_word(&self) -> String {
        self.log.split_whitespace().last().unwrap().to_owned()
    }

    /// Connects without saying anything.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The value of a metric, by its whole name.
    pub fn metric(&self, name: &str) -> u64 {
        metric_of(self.connect(), name)
    }

    /// Waits until a metric has a value.
    pub fn wait_for_metric(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        wait_until(name, || self.metric(name), wanted);
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for the end; returns the exit status and the whole log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.log).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
