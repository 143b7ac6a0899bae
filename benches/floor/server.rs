//! The floor: the least that a server can do for its clients, in one thread, on mio. It accepts,
//! upgrades every client, and for each tick calls `write` once per client, in slot order. It has no
//! limits, no pings, no answers, and no record of missed ticks; its cost is the kernel's. To
//! clients with watchlists it writes ready-made bytes, see [`Ready`].
//!
//! It sends a tick for every beat that is due, without skipping or merging any, so a floor that
//! cannot keep up falls behind. A tick that is late because of its own backlog is stamped with the
//! time it was due, otherwise its latency would leave out the wait.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};
use tickertape::frame;
use tickertape::tick::{Price, Tick, unix_us, write_json};
use tungstenite::handshake::derive_accept_key;

use crate::lists;
use crate::ready::Ready;

/// The ticks that the floor sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paper {
    /// One symbol, to all clients.
    OneSymbol,
    /// Several symbols, to the clients with them on their lists: all at once, or spread over the
    /// interval.
    Lists { symbols: u32, is_spread: bool },
}

/// Serves until stdin is closed; then reports on stderr what it could not send.
pub(crate) fn serve(interval: Duration, paper: Paper) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let registry = poll.registry();
    let mut listener = listen()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let stdin = io::stdin().as_raw_fd();
    registry.register(&mut SourceFd(&stdin), STDIN, Interest::READABLE)?;
    eprintln!("info: listening on {}", listener.local_addr()?);

    let mut floor = Floor::default();
    let mut tape = Tape::default();
    let mut ready = match paper {
        Paper::OneSymbol => None,
        Paper::Lists { symbols, is_spread } => Some(Ready::new(symbols, is_spread)),
    };
    let interval = ready
        .as_ref()
        .map_or(interval, |ready| ready.step(interval));
    let mut beats = Beats::start(interval);
    let metronome = Metronome::start(&poll, interval);
    let mut events = Events::with_capacity(1024);
    loop {
        let wait = beats.next.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&poll, &listener)?,
                STDIN => return floor.report_losses(),
                METRONOME => metronome.iter().for_each(Metronome::on_beat),
                token => floor.on_readable(token, event),
            }
        }
        if beats.next <= Instant::now() {
            let stamp = beats.stamp(wait.is_zero());
            match &mut ready {
                Some(ready) => {
                    for (slot, list) in floor.changes() {
                        ready.note(slot, list);
                    }
                    ready.send(stamp.sent, |slot, bytes| floor.write(slot, bytes));
                }
                None => floor.send(tape.print(stamp)),
            }
        }
    }
}

/// The clients by slot, and the ticks that they did not get.
struct Floor {
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    scratch: Box<[u8]>,
    dropped: u64,
    torn: u64,
    /// Slots whose client has joined or left since the last call of `changes`.
    changed: Vec<usize>,
}

struct Client {
    socket: TcpStream,
    /// The part of the request that has arrived; `None` once it is upgraded.
    head: Option<Vec<u8>>,
    /// The symbols that it requested.
    list: Vec<u32>,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            free: Vec::new(),
            scratch: vec![0; 4096].into_boxed_slice(),
            dropped: 0,
            torn: 0,
            changed: Vec::new(),
        }
    }
}

impl Floor {
    fn accept(&mut self, poll: &Poll, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let token = Token(slot + CLIENTS);
            poll.registry()
                .register(&mut socket, token, Interest::READABLE)?;
            self.clients[slot] = Some(Client {
                socket,
                head: Some(Vec::new()),
                list: Vec::new(),
            });
        }
    }

    fn on_readable(&mut self, token: Token, event: &Event) {
        let slot = token.0 - CLIENTS;
        let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let was_joining = client.head.is_some();
        if !client.read(&mut self.scratch, event.is_read_closed()) {
            self.drop(slot);
        } else if was_joining && client.head.is_none() {
            self.changed.push(slot);
        }
    }

    /// The fan-out that all servers are compared with.
    fn send(&mut self, frame: &[u8]) {
        for slot in 0..self.clients.len() {
            self.write(slot, frame);
        }
    }

    /// One bare write to the client in `slot`, if there is one.
    fn write(&mut self, slot: usize, bytes: &[u8]) {
        let Some(client) = &mut self.clients[slot] else {
            return;
        };
        if client.head.is_some() {
            return;
        }
        match client.socket.write(bytes) {
            Ok(length) if length == bytes.len() => {}
            Ok(_) => {
                self.torn += 1;
                self.drop(slot);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.dropped += 1,
            Err(_) => self.drop(slot),
        }
    }

    /// The slots whose client has joined or left since the last call, and the current list of each.
    fn changes(&mut self) -> Vec<(usize, &[u32])> {
        let changed = std::mem::take(&mut self.changed);
        let list = |slot: usize| {
            let client = self.clients[slot].as_ref();
            let list = client.map_or(&[][..], |client| &client.list);
            (slot, list)
        };
        changed.into_iter().map(list).collect()
    }

    fn drop(&mut self, slot: usize) {
        if self.clients[slot].take().is_some() {
            self.free.push(slot);
            self.changed.push(slot);
        }
    }

    fn report_losses(&self) -> io::Result<()> {
        eprintln!("lost: {} {}", self.dropped, self.torn);
        Ok(())
    }
}

impl Client {
    /// Reads what has arrived. Returns whether the client stays.
    fn read(&mut self, scratch: &mut [u8], to_the_end: bool) -> bool {
        loop {
            let length = match self.socket.read(scratch) {
                Ok(0) => return false,
                Ok(length) => length,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            if !self.take(&scratch[..length]) {
                return false;
            }
            if length < scratch.len() && !to_the_end {
                return true;
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        let Some(head) = &mut self.head else {
            // All data but a close is discarded; a load client waits for the server to close first.
            return bytes[0] != FINAL_CLOSE;
        };
        head.extend_from_slice(bytes);
        if !head.ends_with(b"\r\n\r\n") {
            return true;
        }
        let Some(key) = key(head) else {
            return false;
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key)
        );
        self.list = lists::requested(target(head));
        self.head = None;
        matches!(self.socket.write(answer.as_bytes()), Ok(length) if length == answer.len())
    }
}

fn key(head: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"Sec-WebSocket-Key:";
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then(|| value.trim_ascii())
    })
}

/// The path and the query of a request.
fn target(head: &[u8]) -> &str {
    let target = head.split(|&byte| byte == b' ').nth(1);
    str::from_utf8(target.unwrap_or_default()).unwrap_or_default()
}

/// When ticks are due, and their stamps.
struct Beats {
    interval: Duration,
    /// When the next tick is due.
    next: Instant,
    sent: u64,
}

/// The time in a tick.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    timestamp: u64,
    /// Unix µs.
    sent: u64,
}

impl Beats {
    fn start(interval: Duration) -> Self {
        Self {
            interval,
            next: Instant::now() + interval,
            sent: 0,
        }
    }

    /// The stamp of the tick that is due. `overdue` means that the one before was not finished by
    /// this beat.
    fn stamp(&mut self, overdue: bool) -> Stamp {
        let late = if overdue {
            self.next.elapsed()
        } else {
            Duration::ZERO
        };
        let now = unix_us();
        let due = now.saturating_sub(u64::try_from(late.as_micros()).unwrap_or(0));
        self.sent = due.max(self.sent + 1);
        self.next += self.interval;
        Stamp {
            timestamp: now / 1000,
            sent: self.sent,
        }
    }
}

/// The framed tick, written again on every beat.
struct Tape {
    tick: Tick,
    seq: u64,
    json: Vec<u8>,
    frame: Vec<u8>,
}

impl Default for Tape {
    fn default() -> Self {
        Self {
            tick: Tick::new(
                "sim:BTC/USDT",
                Price::parse("97123.45").expect("a number"),
                0,
            ),
            seq: 0,
            json: Vec::new(),
            frame: Vec::new(),
        }
    }
}

impl Tape {
    fn print(&mut self, stamp: Stamp) -> &[u8] {
        self.seq += 1;
        self.json.clear();
        self.frame.clear();
        self.tick.timestamp = stamp.timestamp;
        write_json(
            &mut self.json,
            SYMBOL_JSON,
            &self.tick,
            self.seq,
            stamp.sent,
        );
        frame::text(&mut self.frame, &self.json);
        &self.frame
    }
}

/// Listens on a free port of the loopback. Accepted sockets inherit the options set here.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(i32::MAX)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Ends the poll on time: its own timeout is whole milliseconds, rounded up. Where it does not
/// exist, the timeout has to do.
#[cfg(target_os = "linux")]
struct Metronome(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Metronome {
    fn start(poll: &Poll, interval: Duration) -> Option<Self> {
        use rustix::time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        };

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
        let interval = Timespec::try_from(interval).ok()?;
        let times = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).ok()?;
        let descriptor = timer.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), METRONOME, Interest::READABLE)
            .ok()?;
        Some(Self(timer))
    }

    /// It stays readable until it is read.
    fn on_beat(&self) {
        // The number of beats, which is its only content, is known.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

#[cfg(not(target_os = "linux"))]
struct Metronome;

#[cfg(not(target_os = "linux"))]
impl Metronome {
    fn start(_: &Poll, _: Duration) -> Option<Self> {
        None
    }

    fn on_beat(&self) {}
}

const SYMBOL_JSON: &str = r#""sim:BTC/USDT""#;

/// The first byte of a close frame (RFC 6455 section 5.2).
const FINAL_CLOSE: u8 = 0x88;

const LISTENER: Token = Token(0);
const STDIN: Token = Token(1);
const METRONOME: Token = Token(2);
/// Tokens of clients start here, in order of slots.
const CLIENTS: usize = 3;
