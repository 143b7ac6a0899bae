//! The control client: it behaves well and must not notice what others do. It listens throughout,
//! counts the ticks, and measures how long it waits for each.
//!
//! On a busy machine every process sometimes waits for a CPU, which is no fault of the server. The
//! kernel counts how long each task was ready to run and had to wait (`/proc/PID/schedstat`): that
//! time, of the server and of the control client's own thread, is subtracted from a wait. A server
//! that blocks or works for too long does not wait for a CPU, so its stalls count in full. The
//! kernel cannot count a pause of the whole virtual machine. For that a second server is left in
//! peace: a stall counts only if the baseline, the control client of that server, had none like it
//! at the same moment.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::PATIENCE;
use tungstenite::{Message, WebSocket};

/// A well-behaved client that listens in a thread of its own.
pub(crate) struct ControlClient {
    thread: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
    leaves: Arc<AtomicBool>,
}

/// What a control client saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Ticks that came.
    pub(crate) ticks: u64,
    /// Ticks that it missed, had twice, or that came out of turn.
    pub(crate) wrong: u64,
    /// The stamp `sent` did not grow.
    pub(crate) stamps_back: u64,
    /// Waits longer than the interval, in their order.
    pub(crate) stalls: Vec<Stall>,
    /// When each of the last ticks came, with its stamp in Unix µs.
    pub(crate) recent: Vec<(Instant, u64)>,
    /// How the connection ended, if it was not left.
    pub(crate) end: Option<String>,
    seqs: HashMap<String, u64>,
}

/// A wait for a tick, less the interval and less all waiting for a CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
    pub(crate) excess: Duration,
}

/// One tick's arrival, and how long tasks had waited for a CPU until then.
#[derive(Clone, Copy)]
struct Arrival {
    at: Instant,
    waited: Duration,
}

/// The waits for a CPU of the server and of the calling thread.
struct Waits {
    server: File,
    own: File,
}

impl ControlClient {
    /// Joins the server of process `pid`, which prints each symbol every `interval`. It listens
    /// when this returns.
    pub(crate) fn join(address: &str, pid: u32, interval: Duration) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (client, _) = tungstenite::client(format!("ws://{address}/"), socket).unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let leaves: Arc<AtomicBool> = Arc::default();
        let (kept, told) = (Arc::clone(&seen), Arc::clone(&leaves));
        let thread = thread::spawn(move || {
            if let Err(end) = listen(client, pid, interval, &kept, &told) {
                kept.lock().unwrap().end.get_or_insert(end);
            }
        });
        let thread = Some(thread);
        Self {
            thread,
            seen,
            leaves,
        }
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until it has seen this many more ticks.
    pub(crate) fn await_ticks(&self, ticks: u64) {
        let until = Instant::now() + PATIENCE * 6;
        let wanted = self.seen().ticks + ticks;
        while self.seen().ticks < wanted {
            let seen = self.seen();
            assert!(
                Instant::now() < until && seen.end.is_none(),
                "{:?}",
                seen.end
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Leaves, and returns what it saw.
    pub(crate) fn leave(mut self) -> Seen {
        self.leaves.store(true, Ordering::Relaxed);
        self.end()
    }

    /// Waits until the server has ended the connection.
    pub(crate) fn end(&mut self) -> Seen {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.seen()
    }
}

fn listen(
    mut client: WebSocket<TcpStream>,
    pid: u32,
    interval: Duration,
    seen: &Mutex<Seen>,
    leaves: &AtomicBool,
) -> Result<(), String> {
    let waits = Waits::of(pid);
    let mut last: Option<Arrival> = None;
    while !leaves.load(Ordering::Relaxed) {
        match client.read().map_err(|error| error.to_string())? {
            Message::Text(text) => {
                let now = Arrival {
                    at: Instant::now(),
                    waited: waits.now(),
                };
                let stall = last.replace(now).and_then(|last| last.stall(now, interval));
                seen.lock().unwrap().take(&text, now.at, stall);
            }
            Message::Ping(_) => client.flush().map_err(|error| error.to_string())?,
            Message::Close(close) => {
                let code = close.map_or(1005, |close| close.code.into());
                let _ = client.flush();
                return Err(format!("closed with {code}"));
            }
            other => return Err(format!("{other:?}")),
        }
    }
    client.close(None).map_err(|error| error.to_string())
}

impl Arrival {
    fn stall(self, next: Self, interval: Duration) -> Option<Stall> {
        let waited = next.waited.saturating_sub(self.waited);
        let excess = (next.at - self.at).checked_sub(interval + waited)?;
        let (from, to) = (self.at, next.at);
        (excess > NOTED).then_some(Stall { from, to, excess })
    }
}

impl Waits {
    /// Of process `pid`, which has one thread, and of the calling thread.
    fn of(pid: u32) -> Self {
        let open =
            |path: String| File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            server: open(format!("/proc/{pid}/schedstat")),
            own: open("/proc/thread-self/schedstat".to_owned()),
        }
    }

    fn now(&self) -> Duration {
        Self::read(&self.server) + Self::read(&self.own)
    }

    /// The second number is the nanoseconds of waiting; 0 for a process that has ended.
    fn read(file: &File) -> Duration {
        let mut text = [0; 64];
        let length = file.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..length]);
        let nanoseconds = text
            .split(' ')
            .nth(1)
            .and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or(0))
    }
}

impl Seen {
    fn take(&mut self, text: &str, at: Instant, stall: Option<Stall>) {
        let tick: Value = serde_json::from_str(text).unwrap();
        let (Some(symbol), Some(seq)) = (tick["symbol"].as_str(), tick["seq"].as_u64()) else {
            self.end = Some(format!("no tick: {text}"));
            return;
        };
        self.ticks += 1;
        self.stalls.extend(stall);
        let last = self.seqs.insert(symbol.to_owned(), seq);
        self.wrong += u64::from(last.is_some_and(|last| seq != last + 1));
        let sent = tick["sent"].as_u64().unwrap();
        let back = self.recent.last().is_some_and(|(_, last)| sent <= *last);
        self.stamps_back += u64::from(back);
        self.recent.push((at, sent));
        if self.recent.len() > RECENT_MAX {
            self.recent.drain(..RECENT_MAX / 2);
        }
    }

    /// Everything that is wrong; `baseline` listened to a server left in peace.
    pub(crate) fn verdict(&self, baseline: Option<&Self>) -> Vec<String> {
        let mut wrongs = self.faults();
        wrongs.extend(self.too_late(baseline));
        wrongs
    }

    /// What is wrong on any machine, however busy.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut wrongs = Vec::new();
        if self.wrong + self.stamps_back > 0 {
            let Self {
                wrong, stamps_back, ..
            } = self;
            wrongs.push(format!(
                "{wrong} ticks missed, {stamps_back} stamps that did not grow"
            ));
        }
        if let Some(end) = &self.end {
            wrongs.push(format!("the control client's connection ended: {end}"));
        }
        if self.ticks == 0 {
            wrongs.push("the control client received nothing".to_owned());
        }
        wrongs
    }

    /// Says so if a wait took longer than allowed.
    pub(crate) fn too_late(&self, baseline: Option<&Self>) -> Option<String> {
        let worst = self.worst(baseline)?.excess;
        (worst > STALL_MAX).then(|| format!("the control client waited {worst:?} too long"))
    }

    /// The longest stall that the baseline did not share.
    pub(crate) fn worst(&self, baseline: Option<&Self>) -> Option<Stall> {
        let shared = |stall: &&Stall| {
            let others = baseline.map_or(&[][..], |baseline| &baseline.stalls);
            let like_it = |other: &Stall| {
                other.from < stall.to && stall.from < other.to && other.excess * 2 > stall.excess
            };
            others.iter().any(like_it)
        };
        let alone = self.stalls.iter().filter(|stall| !shared(stall));
        alone.max_by_key(|stall| stall.excess).copied()
    }
}

/// The longest wait allowed beyond the interval.
pub(crate) const STALL_MAX: Duration = Duration::from_millis(50);

/// Shorter stalls are not kept.
const NOTED: Duration = Duration::from_millis(5);

/// Enough of the last ticks for a second of them.
const RECENT_MAX: usize = 4096;
