//! The load for watchlists: clients that each request their own list, read all ticks and check
//! them.
//!
//! The project's own client measures more, and takes 5 µs per tick for it; at four million ticks a
//! second that would measure the client. This one knows the layout of a tick and takes less than a
//! tenth of that. It never sleeps if it has its own core, since waking it would be charged to the
//! server.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};
use tickertape::process::{Usage, raise_descriptor_limit};
use tickertape::tick::unix_us;

use crate::lists::{self, Lists};
use crate::ticks::{Sequences, Step, frame, tick};

/// The task, from the command line.
struct Orders {
    address: String,
    /// The server's process id.
    pid: u32,
    clients: usize,
    lists: Lists,
    /// The time between two bursts of ticks.
    interval: Duration,
    warmup: Duration,
    duration: Duration,
    /// Whether to check that ticks have requested symbols, and numbers without gaps.
    checks: bool,
    spins: bool,
}

impl Orders {
    fn parse(words: &[String]) -> Result<Self, pico_args::Error> {
        let words = words.iter().map(Into::into).collect();
        let mut options = pico_args::Arguments::from_vec(words);
        let mut ms = |name| options.value_from_str(name).map(Duration::from_millis);
        let (warmup, duration) = (ms("--warmup-ms")?, ms("--duration-ms")?);
        Ok(Self {
            address: options.value_from_str("--address")?,
            pid: options.value_from_str("--pid")?,
            clients: options.value_from_str("--clients")?,
            lists: Lists {
                symbols: options.value_from_str("--symbols")?,
                watched: options.value_from_str("--watched")?,
                have_one_in_common: options.contains("--one-in-common"),
            },
            interval: Duration::from_micros(options.value_from_str("--interval-us")?),
            warmup,
            duration,
            checks: !options.contains("--unchecked"),
            spins: options.contains("--spin"),
        })
    }
}

/// Connects the clients, reads for two periods, and prints the results of the second as JSON, with
/// the names in our client's reports.
pub(crate) fn load(words: &[String]) -> Result<(), String> {
    let orders = Orders::parse(words).map_err(|error| error.to_string())?;
    let report = run(&orders).map_err(|error| error.to_string())?;
    println!("{report}");
    Ok(())
}

fn run(orders: &Orders) -> io::Result<Value> {
    raise_descriptor_limit()?;
    let before = Usage::of(orders.pid)?;
    let mut loader = Loader::new(orders)?;
    loader.connect(orders)?;
    loader.read_until_settled(orders)?;
    let joining = Usage::of(orders.pid)?.since(&before).cpu;

    loader.read_for(orders.warmup)?;
    loader.read_until_quiet(orders.interval)?;
    loader.counts = Counts::default();
    let (before, own_before) = (Usage::of(orders.pid)?, Usage::of_self()?);
    let began = Instant::now();
    loader.read_for(orders.duration)?;
    loader.read_until_quiet(orders.interval)?;
    let (duration, used) = (began.elapsed(), Usage::of(orders.pid)?.since(&before));
    let own_used = Usage::of_self()?.since(&own_before);
    let resident = crate::common::memory::resident_bytes(orders.pid)?;

    let before = Usage::of(orders.pid)?;
    loader.clients.clear();
    loader.read_until_settled(orders)?;
    let leaving = Usage::of(orders.pid)?.since(&before).cpu;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / orders.clients as f64;
    let mut report = loader.counts.report(duration);
    report["clients"] = json!({"connected": orders.clients});
    report["server"] = json!({
        "cpu_s": used.cpu.as_secs_f64(),
        "cpu_percent": percent(used.cpu, duration),
        "waited_percent": percent(used.waited, duration),
        "cpu_us_per_tick": crate::common::ratio(
            used.cpu.as_secs_f64() * 1e6,
            loader.counts.ticks as f64,
        ),
        "rss_bytes_after": resident,
        "joining_cpu_us_per_client": each(joining),
        "leaving_cpu_us_per_client": each(leaving),
    });
    report["client"]["waited_percent"] = percent(own_used.waited, duration).into();
    Ok(report)
}

fn percent(part: Duration, of: Duration) -> f64 {
    100.0 * part.as_secs_f64() / of.as_secs_f64()
}

/// The clients, and the data they have received.
struct Loader {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    scratch: Box<[u8]>,
    checks: bool,
    /// How long a poll may wait.
    patience: Duration,
    /// When data last arrived.
    heard: Instant,
    counts: Counts,
}

struct Client {
    socket: TcpStream,
    sequences: Sequences,
    /// The beginning of a frame whose end has not arrived.
    rest: Vec<u8>,
}

impl Loader {
    fn new(orders: &Orders) -> io::Result<Self> {
        let spins = orders.spins;
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::with_capacity(orders.clients),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            checks: orders.checks,
            patience: if spins { Duration::ZERO } else { PATIENCE },
            heard: Instant::now(),
            counts: Counts::default(),
        })
    }

    /// Connects several clients at a time, like clients that return together.
    fn connect(&mut self, orders: &Orders) -> io::Result<()> {
        while self.clients.len() < orders.clients {
            let first = self.clients.len();
            let last = orders.clients.min(first + JOINING_AT_ONCE);
            let joining: io::Result<Vec<_>> = (first..last)
                .map(|client| {
                    let list = orders.lists.of(client);
                    Ok((ask(&orders.address, &list)?, list))
                })
                .collect();
            for (socket, list) in joining? {
                self.admit(socket, list)?;
            }
            while self.turn(Duration::ZERO)? {}
        }
        Ok(())
    }

    fn admit(&mut self, mut socket: std::net::TcpStream, list: Vec<u32>) -> io::Result<()> {
        let rest = upgraded(&mut socket)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let token = Token(self.clients.len());
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.clients.push(Client {
            socket,
            sequences: Sequences::new(list),
            rest,
        });
        Ok(())
    }

    fn read_for(&mut self, duration: Duration) -> io::Result<()> {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            self.turn(self.patience)?;
        }
        Ok(())
    }

    /// Reads until no data has come for a moment, so that no burst is cut in two; without such a
    /// moment, reads for an interval.
    fn read_until_quiet(&mut self, interval: Duration) -> io::Result<()> {
        let give_up = Instant::now() + interval;
        while self.heard.elapsed() < QUIET && Instant::now() < give_up {
            self.turn(self.patience)?;
        }
        Ok(())
    }

    /// Reads until the server has finished the work of joining or leaving. With ticks to send there
    /// is no such moment, but then that cost is not measured.
    fn read_until_settled(&mut self, orders: &Orders) -> io::Result<()> {
        let give_up = Instant::now() + orders.interval.min(SETTLE_LIMIT);
        let mut used = Usage::of(orders.pid)?.cpu;
        while Instant::now() < give_up {
            self.read_for(SETTLED)?;
            let now = Usage::of(orders.pid)?.cpu;
            if now.saturating_sub(used) < SETTLED / 100 {
                break;
            }
            used = now;
        }
        Ok(())
    }

    /// Reads what has arrived. Returns whether there was any data.
    fn turn(&mut self, patience: Duration) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            polled => polled?,
        }
        if self.events.is_empty() {
            return Ok(false);
        }
        self.heard = Instant::now();
        for event in &self.events {
            let Some(client) = self.clients.get_mut(event.token().0) else {
                continue;
            };
            if let Err(error) = client.read(&mut self.scratch, self.checks, &mut self.counts) {
                self.counts.fail(error.kind().to_string());
            }
        }
        self.counts.busy += self.heard.elapsed();
        Ok(true)
    }
}

impl Client {
    /// Reads what has arrived; a read that does not fill the buffer was the last.
    fn read(&mut self, scratch: &mut [u8], checks: bool, counts: &mut Counts) -> io::Result<()> {
        loop {
            let kept = self.rest.len();
            scratch[..kept].copy_from_slice(&self.rest);
            let length = match self.socket.read(&mut scratch[kept..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => kept + length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.rest.clear();
            let whole = self.take(&scratch[..length], checks, counts);
            self.rest.extend_from_slice(&scratch[whole..length]);
            if length < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Counts complete frames. Returns the offset of the first incomplete one.
    fn take(&mut self, bytes: &[u8], checks: bool, counts: &mut Counts) -> usize {
        let now = unix_us();
        let mut at = 0;
        while let Some((payload, length)) = frame(&bytes[at..]) {
            at += length;
            let Some(tick) = tick(payload) else {
                counts.others += 1;
                continue;
            };
            counts.ticks += 1;
            counts.bytes += length as u64;
            counts
                .deliveries
                .saturating_record(now.saturating_sub(tick.sent));
            if checks {
                match self.sequences.follow(&tick) {
                    Step::Next => {}
                    Step::Gap(missing) => counts.gaps += missing,
                    Step::Repeat => counts.fail("repeated tick".to_owned()),
                    Step::Unasked => counts.fail("tick that was not asked for".to_owned()),
                }
            }
        }
        at
    }
}

/// Counts of what arrived.
struct Counts {
    ticks: u64,
    /// Messages that are not ticks.
    others: u64,
    bytes: u64,
    gaps: u64,
    errors: BTreeMap<String, u64>,
    /// In µs.
    deliveries: Histogram<u64>,
    /// Time spent reading.
    busy: Duration,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            ticks: 0,
            others: 0,
            bytes: 0,
            gaps: 0,
            errors: BTreeMap::new(),
            deliveries: Histogram::new_with_bounds(1, DELIVERY_MAX_US, 3).expect("valid bounds"),
            busy: Duration::ZERO,
        }
    }
}

impl Counts {
    fn fail(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }

    fn report(&self, duration: Duration) -> Value {
        let percentile = |percent| self.deliveries.value_at_percentile(percent);
        json!({
            "duration_s": duration.as_secs_f64(),
            "ticks": self.ticks,
            "gaps": self.gaps,
            "bytes_per_tick": crate::common::ratio(self.bytes as f64, self.ticks as f64),
            "response_s": {"mean": null},
            "delivery_us": {
                "p50": percentile(50.0),
                "p99": percentile(99.0),
                "max": self.deliveries.max(),
            },
            "errors": {
                "total": self.errors.values().sum::<u64>(),
                "kinds": self.errors,
                "examples": self.errors.keys().collect::<Vec<_>>(),
            },
            "client": {
                "cpu_percent": percent(self.busy, duration),
                "lateness_p99_us": null,
            },
        })
    }
}

/// Connects and requests `list`.
fn ask(address: &str, list: &[u32]) -> io::Result<std::net::TcpStream> {
    let mut socket = std::net::TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let target = lists::target(list);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    Ok(socket)
}

/// Waits for the answer. Returns the bytes after it.
fn upgraded(socket: &mut std::net::TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&buffer[..length]),
        }
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            if !answer.starts_with(b"HTTP/1.1 101") {
                let line = answer.split(|&byte| byte == b'\r').next();
                let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
                return Err(io::Error::other(format!("no upgrade: {line}")));
            }
            return Ok(answer.split_off(end + 4));
        }
    }
}

const SCRATCH_SIZE: usize = 256 * 1024;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const JOINING_AT_ONCE: usize = 256;
const DELIVERY_MAX_US: u64 = 60_000_000;

/// How long a poll waits if the loader shares its core.
const PATIENCE: Duration = Duration::from_millis(10);

/// Longer than a server takes between two ticks of a burst.
const QUIET: Duration = Duration::from_millis(3);

/// A long pause compared with the time of an answer.
const SETTLED: Duration = Duration::from_millis(50);
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
