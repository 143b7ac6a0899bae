//! A broker, and servers that share a log there.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use testkit::{NamedTempFile, NatsServer, PATIENCE, ServerProcess, temp_file};
use tungstenite::Error;

/// A server and what it records.
pub(crate) struct Member {
    pub(crate) server: ServerProcess,
    arguments: Vec<String>,
    record: NamedTempFile,
}

/// A client that resumes wherever it comes, and judges what it gets.
pub(crate) struct Client {
    since: Option<u64>,
    /// The newest number of each symbol.
    seqs: std::collections::HashMap<String, u64>,
    pub(crate) ticks: u64,
    /// The longest time between two ticks.
    pub(crate) longest_pause: Duration,
    newest: Option<Instant>,
}

impl Member {
    fn start(arguments: &[&str]) -> Self {
        let record = temp_file("");
        let path = record.path().display().to_string();
        let all = [arguments, &["--record", &path]].concat();
        let arguments: Vec<_> = all.into_iter().map(str::to_owned).collect();
        Self {
            server: Self::run(&arguments),
            arguments,
            record,
        }
    }

    fn run(arguments: &[String]) -> ServerProcess {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        ServerProcess::start(env!("CARGO_BIN_EXE_server"), &arguments)
    }

    /// Ends it by a signal, and starts it again with the same recording.
    pub(crate) fn restart(&mut self, signal: Signal) {
        self.server.signal(signal);
        self.server.exit();
        self.server = Self::run(&self.arguments);
        self.server.wait_for("clients may come");
    }

    /// An origin with simulated prices.
    pub(crate) fn origin(url: &str, more: &[&str]) -> Self {
        let sim = [
            "--symbols",
            "A/USDT,B/USDT,C/USDT",
            "--interval",
            "20ms",
            "--spread",
        ];
        Self::start(&[&sim, more, &["--publish", url]].concat())
    }

    /// An origin that leads.
    pub(crate) fn leader(url: &str, more: &[&str]) -> Self {
        let mut origin = Self::origin(url, more);
        origin.server.wait_for("this server is the leading origin");
        origin
    }

    /// An origin that follows another.
    pub(crate) fn standby(url: &str, more: &[&str]) -> Self {
        let mut origin = Self::origin(url, more);
        origin.server.wait_for("clients may come");
        origin
    }

    /// An edge that serves clients.
    pub(crate) fn edge(url: &str, more: &[&str]) -> Self {
        let mut edge = Self::start(&[&["--source", url], more].concat());
        edge.server.wait_for("clients may come");
        edge
    }

    /// An edge that waits for an origin.
    pub(crate) fn waiting_edge(url: &str) -> Self {
        let mut edge = Self::start(&["--source", url]);
        edge.server.wait_for("connected to");
        edge
    }

    /// Waits until it has recorded this many lines.
    pub(crate) fn wait_for_lines(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.recording().len() < count {
            assert!(Instant::now() < deadline, "{}", self.server.log());
        }
    }

    /// What it has recorded so far, without a line that is not complete.
    pub(crate) fn recording(&self) -> Vec<String> {
        let text = fs::read_to_string(self.record.path()).expect("a recording");
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        text[..end].lines().map(str::to_owned).collect()
    }

    /// Waits until its recording has this many lines in common with that of another server, all of
    /// them equal.
    pub(crate) fn wait_for_common(&self, other: &Self, lines: usize) {
        let deadline = Instant::now() + PATIENCE;
        while common(&self.recording(), &other.recording()) < lines {
            assert!(Instant::now() < deadline, "{}", other.server.log());
        }
    }

    /// Waits until it has printed this many ticks more.
    pub(crate) fn wait_for_ticks(&self, more: u64) {
        let from = self.server.metric("tickertape_ticks_total");
        self.server
            .wait_for_metric("tickertape_ticks_total", |ticks| ticks >= from + more);
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            since: None,
            seqs: std::collections::HashMap::new(),
            ticks: 0,
            longest_pause: Duration::ZERO,
            newest: None,
        }
    }

    /// Reads at a server for a while, from the newest tick on that it has from any server.
    pub(crate) fn read_at(&mut self, member: &Member, time: Duration) {
        let end = Instant::now() + time;
        self.read_while(member, |_| Instant::now() < end);
    }

    /// Reads at a server until something holds.
    pub(crate) fn read_until(&mut self, member: &Member, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.read_while(member, |client| {
            assert!(Instant::now() < deadline, "{}", member.server.log());
            !holds(client)
        });
    }

    fn read_while(&mut self, member: &Member, goes_on: impl Fn(&Self) -> bool) {
        let since = self
            .since
            .map_or(String::new(), |since| format!("?since={since}"));
        let url = format!("ws://{}/{since}", member.server.address);
        let upgraded = tungstenite::client(url, member.server.connect());
        let (mut socket, _) = upgraded.expect("an upgrade");
        let look = Some(Duration::from_millis(20));
        socket.get_mut().set_read_timeout(look).expect("a time");
        while goes_on(self) {
            match socket.read() {
                Ok(message) if message.is_text() => self.take(message.to_text().expect("text")),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn take(&mut self, text: &str) {
        let tick: Value = serde_json::from_str(text).expect("JSON");
        let (Some(seq), Some(sent)) = (tick["seq"].as_u64(), tick["sent"].as_u64()) else {
            return;
        };
        let symbol = tick["symbol"].as_str().expect("a symbol").to_owned();
        if let Some(before) = self.seqs.insert(symbol, seq) {
            assert_eq!(seq, before + 1, "{text}");
        }
        // The newest tick of each symbol comes first, in any order.
        assert!(self.ticks < 3 || self.since < Some(sent), "{text}");
        let now = Instant::now();
        if let Some(newest) = self.newest.replace(now) {
            self.longest_pause = self.longest_pause.max(now - newest);
        }
        self.since = self.since.max(Some(sent));
        self.ticks += 1;
    }
}

/// Starts a broker; `None` if there is none on this machine.
pub(crate) fn broker() -> Option<(NatsServer, String)> {
    let broker = NatsServer::start("")?;
    let url = broker.url("prices");
    Some((broker, url))
}

/// Whether two recordings are equal, line by line, over the range that they have in common.
/// Returns how many lines that are.
pub(crate) fn common(one: &[String], other: &[String]) -> usize {
    let (Some(first), Some(other_first)) = (one.first(), other.first()) else {
        return 0;
    };
    let (one, other) = match one.iter().position(|line| line == other_first) {
        Some(from) => (&one[from..], other),
        None => {
            let from = other.iter().position(|line| line == first);
            (one, &other[from.expect("they overlap")..])
        }
    };
    for (number, (line, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(line, other, "line {number}");
    }
    one.len().min(other.len())
}
