//! A network in memory: clients connect, send and take; the server has the other ends. It reports
//! edges as epoll and kqueue do, and remembers what the server did.
//!
//! All state of a connection is kept here under its [`Id`], because each end may outlive the other.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::{ManualClock, Ready};
use mio::Token;

use crate::server::close::CloseReason;

/// The number of a connection, in the order of connecting.
pub(crate) type Id = u64;

/// A handle to the network, shared by all its users.
#[derive(Clone)]
pub(crate) struct Net(Rc<Cell<Option<Box<State>>>>);

/// The properties of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// How many bytes the system buffers for a client.
    pub(crate) capacity: usize,
    /// How many of 100 writes are cut, at any byte including the first.
    pub(crate) cut: u8,
    /// How many of 100 calls a signal interrupts.
    pub(crate) interrupt: u8,
    /// Whether each event reports only what changed, as kqueue does, or everything that is ready,
    /// as epoll does.
    pub(crate) separate: bool,
    /// Whether it is expected to speak TLS. The server's writes are then the text that it gives to
    /// TLS.
    pub(crate) secure: bool,
}

/// How a client ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No more bytes come.
    Finished,
    /// It is gone, and bytes on their way are lost.
    Reset,
}

/// How full the server was when it accepted a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) at: Instant,
    /// Other connections, and how many of them come from the same address.
    pub(crate) others: usize,
    pub(crate) neighbours: usize,
    /// Whether there was no descriptor for it except the reserve.
    pub(crate) exhausted: bool,
}

/// How the server closed a connection: the index of its reason among the names, and its close code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) reason: usize,
    pub(crate) code: Option<u16>,
    /// Whether the last frame that it got was the closing frame of the tape.
    pub(crate) is_finished: bool,
}

/// What the server did to a connection since the last check.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    /// Whether the system took any bytes.
    pub(crate) has_moved: bool,
    /// The bytes written, and the positions in the whole stream at which writes began, including
    /// writes that took no bytes.
    pub(crate) written: Vec<u8>,
    pub(crate) attempts: Vec<u64>,
    /// The positions at which the server let the client skip.
    pub(crate) skips: Vec<u64>,
    /// Where the client stood each time that it was given another list.
    pub(crate) changes: Vec<u64>,
}

/// The system's side of one connection.
pub(crate) struct Pipe {
    nature: Nature,
    pub(crate) address: SocketAddr,
    /// The token by which the server watches it.
    pub(crate) token: Option<Token>,
    pub(crate) accepted: Option<Accepted>,
    /// Bytes that have arrived and have not been read.
    pub(crate) inbound: VecDeque<u8>,
    pub(crate) ended: Option<End>,
    /// How many bytes the system buffers for the client and, with TLS, the records themselves.
    buffered: usize,
    records: VecDeque<u8>,
    /// Whether it takes no bytes, although there would be room, until the client takes some.
    starved: bool,
    /// Whether it refused bytes and owes an edge once there is room.
    pub(crate) blocked: bool,
    /// When it last had room again.
    pub(crate) freed: Option<Instant>,
    /// When the server last heard of room that it had been refused.
    pub(crate) told: Option<Instant>,
    /// Whether the server has been refused room and has not heard of any since.
    pub(crate) hindered: bool,
    readable: bool,
    writable: bool,
    /// Whether its event is queued to be fetched.
    queued: bool,
    /// Until when the server was last busy with its handshake.
    pub(crate) busy: Option<Instant>,
    /// Whether a signal interrupts the next call.
    pub(crate) interrupted: bool,
    pub(super) deeds: Deeds,
    /// How many bytes the server has written in all.
    pub(crate) total: u64,
    finished: bool,
    pub(crate) reset_on_drop: bool,
    /// How many messages the server has read since the last check.
    pub(crate) messages: u64,
    pub(crate) closed: Option<Closed>,
    /// Whether the server has dropped its end.
    pub(crate) dropped: bool,
    /// Whether it is among the connections with deeds.
    touched: bool,
}

struct State {
    clock: ManualClock,
    rng: fastrand::Rng,
    pipes: BTreeMap<Id, Pipe>,
    next: Id,
    /// Clients that connected and were not accepted; `None` once the server has stopped listening.
    backlog: Option<VecDeque<Id>>,
    listener: Option<Token>,
    listener_ready: bool,
    /// How many of 100 accepts fail, and the longest time that one takes.
    accept: (u8, Duration),
    /// Whether descriptors have run out, until the next step.
    exhausted: bool,
    /// Connections with events: those since the last poll, and all that wait to be fetched.
    new: Vec<Id>,
    ready: VecDeque<Id>,
    /// Connections that the server did something to since the last check.
    touched: Vec<Id>,
}

impl Net {
    /// A network with a server that listens, on `clock`.
    pub(crate) fn new(clock: ManualClock, seed: u64) -> Self {
        let state = State {
            clock,
            rng: fastrand::Rng::with_seed(seed),
            pipes: BTreeMap::new(),
            next: 0,
            backlog: Some(VecDeque::new()),
            listener: None,
            listener_ready: false,
            accept: (0, Duration::ZERO),
            exhausted: false,
            new: Vec::new(),
            ready: VecDeque::new(),
            touched: Vec::new(),
        };
        Self(Rc::new(Cell::new(Some(Box::new(state)))))
    }

    /// The state is taken out and put back whole, so there is no borrow to conflict. After a panic
    /// in the middle it is gone.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.0.take()?;
        let result = act(&mut state);
        self.0.set(Some(state));
        Some(result)
    }

    fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.with(act).expect("it has no other users")
    }

    /// Inspects a connection that is still kept.
    pub(crate) fn pipe<T>(&self, id: Id, look: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        self.act(|state| state.pipes.get_mut(&id).map(look))
    }

    /// Sets how many of 100 accepts fail, and the longest time that one takes.
    pub(crate) fn set_accept(&self, failing: u8, longest: Duration) {
        self.act(|state| state.accept = (failing, longest));
    }

    /// Connects a client from a host of its own network, if the server listens.
    pub(crate) fn connect(&self, host: u8, nature: Nature) -> Option<Id> {
        self.act(|state| {
            let id = state.next;
            state.backlog.as_mut()?.push_back(id);
            state.listener_ready = true;
            state.next += 1;
            let address = (IpAddr::from(Ipv4Addr::new(127, 0, 0, host)), 1).into();
            state.pipes.insert(id, Pipe::new(nature, address));
            Some(id)
        })
    }

    /// Lets bytes from the client arrive.
    pub(crate) fn arrive(&self, id: Id, bytes: &[u8]) {
        self.change(id, |pipe, _| pipe.arrive(bytes));
    }

    /// The client ends its side.
    pub(crate) fn end(&self, id: Id, how: End) {
        self.change(id, |pipe, now| pipe.end(how, now));
    }

    /// Lets the client take up to `most` bytes; returns how many there were and, with TLS, the
    /// records.
    pub(crate) fn take(&self, id: Id, most: usize) -> (usize, Vec<u8>) {
        let mut taken = (0, Vec::new());
        self.change(id, |pipe, now| taken = pipe.take(most, now));
        taken
    }

    /// Changes how many more bytes the system takes; no event reports it.
    pub(crate) fn set_room(&self, id: Id, change: impl FnOnce(usize) -> usize) {
        self.pipe(id, |pipe| {
            let room = change(pipe.nature.capacity - pipe.buffered);
            pipe.nature.capacity = pipe.buffered.saturating_add(room);
        });
    }

    /// Changes a connection in a way that may be an event.
    fn change(&self, id: Id, act: impl FnOnce(&mut Pipe, Instant)) {
        self.act(|state| {
            let now = state.clock.time();
            if let Some(pipe) = state.pipes.get_mut(&id) {
                act(pipe, now);
                state.note_event(id);
            }
        });
    }

    /// Fetches a turn's share of events in the order in which they came.
    pub(crate) fn poll(&self, most: usize) -> Vec<(Token, Ready)> {
        self.act(|state| state.poll(most))
    }

    /// Whether any event has not been fetched, or any client waits to be accepted.
    pub(crate) fn is_restless(&self) -> bool {
        self.act(|state| {
            let waits = state
                .backlog
                .as_ref()
                .is_some_and(|backlog| !backlog.is_empty());
            let has_event = |id: &Id| state.pipes.get(id).is_some_and(Pipe::has_event);
            waits || state.new.iter().chain(&state.ready).any(has_event)
        })
    }

    /// Begins another step of the server; returns the connections that it did something to in the
    /// last.
    pub(crate) fn next_step(&self) -> Vec<Id> {
        self.act(|state| {
            state.exhausted = false;
            let touched = std::mem::take(&mut state.touched);
            for id in &touched {
                if let Some(pipe) = state.pipes.get_mut(id) {
                    pipe.touched = false;
                }
            }
            touched
        })
    }

    /// Forgets a connection that both sides are done with.
    pub(crate) fn forget(&self, id: Id) {
        self.act(|state| state.pipes.remove(&id));
    }

    /// Notes that the server does something to a connection.
    pub(super) fn touch<T>(&self, id: Id, act: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        self.with(|state| state.touch(id, act)).flatten()
    }

    /// Reads from or writes to a connection for the server, unless a signal interrupts.
    pub(super) fn transfer(
        &self,
        id: Id,
        act: impl FnOnce(&mut Pipe, &mut fastrand::Rng) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.act(|state| {
            let mut rng = state.rng.fork();
            state.touch(id, |pipe| {
                let dice = rng.u8(..100) < pipe.nature.interrupt;
                if std::mem::take(&mut pipe.interrupted) || dice {
                    return Err(ErrorKind::Interrupted.into());
                }
                act(pipe, &mut rng)
            })
        })
        .expect("a connection is kept while the server has it")
    }

    /// Spends the time that agreeing on keys takes.
    pub(super) fn spend(&self, id: Id) {
        self.act(|state| {
            let Some(pipe) = state.pipes.get_mut(&id) else {
                return;
            };
            if pipe.nature.secure && pipe.total == 0 {
                let cost = Duration::from_micros(state.rng.u64(..400));
                state.clock.advance(cost);
                pipe.busy = Some(state.clock.time());
            }
        });
    }

    /// Sets or clears the token by which the server watches a connection.
    pub(super) fn watch(&self, id: Id, token: Option<Token>) {
        self.touch(id, |pipe| pipe.token = token);
        self.act(|state| state.note_event(id));
    }

    /// Sets or clears the token by which the server watches its listener.
    pub(super) fn watch_listener(&self, token: Option<Token>) {
        self.act(|state| state.listener = token);
    }

    /// Accepts the next client in line for the server.
    pub(super) fn accept(&self) -> io::Result<(Id, SocketAddr)> {
        self.act(State::accept)
    }

    /// Drops the server's end of a connection.
    pub(super) fn drop_end(&self, id: Id) {
        self.with(|state| state.drop_end(id));
    }

    /// Stops listening: waiting clients are refused.
    pub(super) fn stop_listening(&self) {
        self.with(|state| {
            for id in state.backlog.take().into_iter().flatten() {
                state.drop_end(id);
            }
        });
    }
}

impl State {
    fn touch<T>(&mut self, id: Id, act: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        let pipe = self.pipes.get_mut(&id)?;
        if !std::mem::replace(&mut pipe.touched, true) {
            self.touched.push(id);
        }
        Some(act(pipe))
    }

    /// Queues a connection that has an event and is watched.
    fn note_event(&mut self, id: Id) {
        if let Some(pipe) = self.pipes.get_mut(&id)
            && pipe.token.is_some()
            && pipe.has_event()
            && !std::mem::replace(&mut pipe.queued, true)
        {
            self.new.push(id);
        }
    }

    fn poll(&mut self, most: usize) -> Vec<(Token, Ready)> {
        // Events between two polls have no order.
        self.rng.shuffle(&mut self.new);
        self.ready
            .append(&mut VecDeque::from(std::mem::take(&mut self.new)));
        let mut events = Vec::new();
        if let Some(listener) = self.listener
            && std::mem::take(&mut self.listener_ready)
        {
            events.push((listener, READABLE));
        }
        let now = self.clock.time();
        while events.len() < most
            && let Some(id) = self.ready.pop_front()
        {
            let Some(pipe) = self.pipes.get_mut(&id) else {
                continue;
            };
            pipe.queued = false;
            if let (Some(token), Some(ready)) = (pipe.token, pipe.event(now)) {
                events.push((token, ready));
            }
        }
        events
    }

    fn accept(&mut self) -> io::Result<(Id, SocketAddr)> {
        let waiting = self.backlog.as_mut().ok_or(ErrorKind::WouldBlock)?;
        let Some(&id) = waiting.front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let (failing, longest) = self.accept;
        if !self.exhausted && self.rng.u8(..100) < failing {
            return Err(self.fail_to_accept(id));
        }
        self.backlog.as_mut().map(VecDeque::pop_front);
        let longest = longest.as_micros() as u64;
        let cost = Duration::from_micros(self.rng.u64(..=longest));
        self.clock.advance(cost);
        let address = self.pipes[&id].address;
        let others = self.pipes.values().filter(|pipe| pipe.token.is_some());
        let neighbours = others.clone().filter(|pipe| pipe.address == address);
        let accepted = Accepted {
            at: self.clock.time(),
            others: others.count(),
            neighbours: neighbours.count(),
            exhausted: self.exhausted,
        };
        self.touch(id, |pipe| pipe.accepted = Some(accepted));
        Ok((id, address))
    }

    fn fail_to_accept(&mut self, first: Id) -> io::Error {
        match self.rng.u8(..3) {
            0 => ErrorKind::Interrupted.into(),
            1 => {
                self.backlog.as_mut().map(VecDeque::pop_front);
                self.drop_end(first);
                ErrorKind::ConnectionAborted.into()
            }
            _ => {
                self.exhausted = true;
                rustix::io::Errno::MFILE.into()
            }
        }
    }

    fn drop_end(&mut self, id: Id) {
        self.touch(id, |pipe| {
            pipe.token = None;
            pipe.dropped = true;
        });
    }
}

impl Pipe {
    /// It has room, and its first event says so.
    fn new(nature: Nature, address: SocketAddr) -> Self {
        Self {
            nature,
            address,
            token: None,
            accepted: None,
            inbound: VecDeque::new(),
            ended: None,
            buffered: 0,
            records: VecDeque::new(),
            starved: false,
            blocked: false,
            freed: None,
            told: None,
            hindered: false,
            readable: false,
            writable: true,
            queued: false,
            busy: None,
            interrupted: false,
            deeds: Deeds::default(),
            total: 0,
            finished: false,
            reset_on_drop: false,
            messages: 0,
            closed: None,
            dropped: false,
            touched: false,
        }
    }

    /// Takes out what the server did since the last call.
    pub(crate) fn take_deeds(&mut self) -> Deeds {
        std::mem::take(&mut self.deeds)
    }

    /// Whether anything has changed since the last event.
    pub(crate) fn has_event(&self) -> bool {
        self.readable || self.writable
    }

    fn arrive(&mut self, bytes: &[u8]) {
        if self.ended.is_none() && !bytes.is_empty() {
            self.inbound.extend(bytes);
            self.readable = true;
        }
    }

    fn end(&mut self, how: End, now: Instant) {
        if self.ended.is_none() || how == End::Reset {
            self.ended = Some(how);
            self.readable = true;
        }
        if how == End::Reset {
            self.inbound.clear();
            self.writable = true;
            self.blocked = false;
            self.freed = Some(now);
        }
    }

    fn take(&mut self, most: usize, now: Instant) -> (usize, Vec<u8>) {
        let taken = most.min(self.buffered);
        let records = self.records.drain(..taken.min(self.records.len()));
        let records = records.collect();
        self.buffered -= taken;
        self.starved = false;
        // The system waits until a good part is free, so that a single byte of room makes no event.
        let free = self.nature.capacity.saturating_sub(self.buffered);
        if self.blocked && free > 0 && free >= self.nature.capacity / 3 {
            self.blocked = false;
            self.writable = true;
            self.freed = Some(now);
        }
        (taken, records)
    }

    /// The next event, if anything has changed since the last.
    fn event(&mut self, now: Instant) -> Option<Ready> {
        let (readable, writable) = (self.readable, self.writable);
        if !self.has_event() {
            return None;
        }
        (self.readable, self.writable) = (false, false);
        let all = !self.nature.separate;
        let closed = self.ended.is_some() && (readable || all);
        let writable = writable || (all && self.has_room());
        if writable && std::mem::take(&mut self.hindered) {
            self.told = Some(now);
        }
        Some(Ready {
            readable: readable || (all && (!self.inbound.is_empty() || closed)),
            writable,
            closed,
        })
    }

    fn has_room(&self) -> bool {
        !self.starved && self.buffered < self.nature.capacity
    }

    /// Reads for the server; the bytes are consumed only if they are to be `taken`.
    pub(super) fn read(&mut self, buffer: &mut [u8], taken: bool) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return match self.ended {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(End::Finished) => Ok(0),
                Some(End::Reset) => Err(ErrorKind::ConnectionReset.into()),
            };
        }
        // Behaves like the system: a short read has left no bytes. A deque's own read would stop
        // where its memory wraps.
        let length = buffer.len().min(self.inbound.len());
        let bytes = self.inbound.iter();
        buffer
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        if taken {
            self.inbound.drain(..length);
        }
        Ok(length)
    }

    /// Writes for the server.
    pub(super) fn write(&mut self, bytes: &[u8], rng: &mut fastrand::Rng) -> io::Result<usize> {
        assert!(!self.finished, "a write after the end");
        assert!(!bytes.is_empty(), "nothing is written");
        if self.ended == Some(End::Reset) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if !self.nature.secure {
            self.deeds.attempts.push(self.total);
        }
        let room = if self.has_room() {
            self.nature.capacity - self.buffered
        } else {
            0
        };
        let mut length = bytes.len().min(room);
        if length > 0 && rng.u8(..100) < self.nature.cut {
            length = rng.usize(..length);
            self.starved = true;
        }
        let is_short = length < bytes.len();
        self.blocked |= is_short;
        self.hindered |= is_short;
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.buffered += length;
        self.deeds.has_moved = true;
        if self.nature.secure {
            self.records.extend(&bytes[..length]);
        } else {
            self.deeds.written.extend_from_slice(&bytes[..length]);
            self.total += length as u64;
        }
        Ok(length)
    }

    /// Notes plain text that the server gives to TLS and that TLS takes.
    pub(super) fn seal(&mut self, text: &[u8]) {
        if self.nature.secure {
            self.deeds.attempts.push(self.total);
            self.deeds.written.extend_from_slice(text);
            self.total += text.len() as u64;
        }
    }

    /// Records of TLS that the client has not taken.
    pub(crate) fn records(&self) -> Option<&VecDeque<u8>> {
        self.nature.secure.then_some(&self.records)
    }

    /// The server ends its side.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether the server has ended its side.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn close(&mut self, reason: &CloseReason, is_finished: bool) {
        assert!(self.closed.is_none(), "closed twice: {reason}");
        self.closed = Some(Closed {
            reason: reason.index(),
            code: reason.code().map(u16::from),
            is_finished,
        });
    }
}

const READABLE: Ready = Ready {
    readable: true,
    writable: false,
    closed: false,
};
