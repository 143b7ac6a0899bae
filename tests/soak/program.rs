//! A server as a process: what it says, and what it costs as `/proc` tells it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tickertape::process::Usage;

/// A running server; killed when dropped.
pub(crate) struct Program {
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// What a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) resident_bytes: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl Program {
    /// Starts it on a free port and returns when it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        let (program, stderr) = Self::spawn(command.args(["--port", "0"]).args(arguments));
        let kept = Arc::clone(&program.log);
        thread::spawn(move || keep(stderr, &kept));
        program
    }

    /// Starts it as `command` says and returns when it listens; the rest of its log is the
    /// caller's to read.
    pub(crate) fn spawn(command: &mut Command) -> (Self, BufReader<ChildStderr>) {
        let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "{command:?}");
        }
        let address = line.trim_end().rsplit(' ').next().unwrap().to_owned();
        let program = Self {
            address,
            child,
            log: Arc::default(),
        };
        (program, stderr)
    }

    /// The number of its process.
    #[allow(dead_code, reason = "one of several test files uses it")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, and returns how it came.
    #[allow(dead_code, reason = "one of several test files uses it")]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What it has now.
    pub(crate) fn footprint(&self) -> Footprint {
        let pid = self.child.id();
        let count = |folder| {
            fs::read_dir(format!("/proc/{pid}/{folder}"))
                .unwrap()
                .count() as u64
        };
        Footprint {
            resident_bytes: Usage::of(pid).unwrap().resident_bytes,
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// What it has once it has no more descriptors than `before`, or for good: one that is being
    /// closed is none that was lost.
    pub(crate) fn footprint_like(&self, before: Footprint) -> Footprint {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let now = self.footprint();
            if now.descriptors == before.descriptors || Instant::now() > until {
                return now;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.get("/healthz").starts_with("HTTP/1.1 200 ")
    }

    /// Whether each source's newest answer was a good one.
    pub(crate) fn sources_are_up(&self) -> bool {
        let page = self.metrics();
        let lines = page.lines();
        let mut up = lines.filter(|line| line.starts_with("tickertape_source_up{"));
        up.all(|line| line.ends_with(" 1.0"))
    }

    /// Below what 99 of 100 timers were late, and all of them.
    pub(crate) fn lateness(&self) -> String {
        let page = self.metrics();
        let buckets: Vec<(String, u64)> = page.lines().filter_map(bucket).collect();
        let all = buckets.last().map_or(0, |(_, count)| *count);
        let bound = |least: u64| {
            let found = buckets.iter().find(|(_, count)| *count >= least);
            found.map_or("?", |(bound, _)| bound).to_owned()
        };
        format!("{} / {}", bound(all - all / 100), bound(all))
    }

    /// How many lines of its log have these words.
    pub(crate) fn lines(&self, words: &str) -> u64 {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(words)).count() as u64
    }

    /// The whole log so far, as one text.
    #[allow(dead_code, reason = "one of two test files uses it")]
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("; ")
    }

    /// The page of metrics.
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics")
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let limit = Some(Duration::from_secs(5));
        socket.set_read_timeout(limit).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::env::var_os("SOAK_LOG").is_some() {
            for line in self.log.lock().unwrap().iter() {
                println!("{line}");
            }
        }
    }
}

/// The bound in seconds, and how many were within it.
fn bucket(line: &str) -> Option<(String, u64)> {
    let rest = line.strip_prefix("tickertape_loop_lateness_seconds_bucket{le=\"")?;
    let (bound, rest) = rest.split_once("\"}")?;
    Some((bound.to_owned(), rest.trim().parse().ok()?))
}

fn keep(stderr: BufReader<ChildStderr>, log: &Mutex<Vec<String>>) {
    for line in stderr.lines().map_while(Result::ok) {
        let mut log = log.lock().unwrap();
        if log.len() < LINES_MAX {
            log.push(line);
        }
    }
}

/// Ten minutes with ten changes a second.
const LINES_MAX: usize = 6_000;
