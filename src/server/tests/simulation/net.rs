//! A network that lives in memory: clients connect, send and take; the server has the other ends.
//! It reports edges as epoll and kqueue do, and remembers what the server did.
//!
//! Everything about a connection is kept here under its [`Id`], since both ends outlive each other.

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

/// The network, as everybody has it who takes part.
#[derive(Clone)]
pub(crate) struct Net(Rc<Cell<Option<Box<State>>>>);

/// What a connection is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// Bytes that the system holds for a client.
    pub(crate) capacity: usize,
    /// How many of 100 writes are cut at any byte, the first too.
    pub(crate) cut: u8,
    /// How many of 100 calls a signal interrupts.
    pub(crate) interrupt: u8,
    /// Each event reports only what changed, as kqueue does; else all that is ready, as epoll does.
    pub(crate) separate: bool,
    /// It is expected to speak TLS. What the server writes is then what it gives to TLS.
    pub(crate) secure: bool,
}

/// How a client ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No more bytes come.
    Finished,
    /// It is gone; what was on the way is lost.
    Reset,
}

/// How full the server was when it accepted a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) at: Instant,
    /// Other connections, and those of them that come from the same address.
    pub(crate) others: usize,
    pub(crate) neighbours: usize,
    /// There were no descriptors for it, but the one held back.
    pub(crate) exhausted: bool,
}

/// How the server closed a connection: the place of its reason among the names, and its close code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) reason: usize,
    pub(crate) code: Option<u16>,
    /// The closing frame of the tape was the last that it got.
    pub(crate) is_finished: bool,
}

/// What the server did to a connection since the last look.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    /// The system took something.
    pub(crate) has_moved: bool,
    /// The bytes that it wrote, and where in all of them it began to write, also where nothing was
    /// taken.
    pub(crate) written: Vec<u8>,
    pub(crate) attempts: Vec<u64>,
    /// Where it had the client skip what it was behind with.
    pub(crate) skips: Vec<u64>,
    /// Where the client stood each time that it was given another list.
    pub(crate) changes: Vec<u64>,
}

/// The system's side of one connection.
pub(crate) struct Pipe {
    nature: Nature,
    pub(crate) address: SocketAddr,
    /// By which the server watches it.
    pub(crate) token: Option<Token>,
    pub(crate) accepted: Option<Accepted>,
    /// What has arrived and was not read.
    pub(crate) inbound: VecDeque<u8>,
    pub(crate) ended: Option<End>,
    /// Bytes that the system holds for the client, and what they are if those are records of TLS.
    buffered: usize,
    records: VecDeque<u8>,
    /// It takes nothing although there would be room, until the client takes something.
    starved: bool,
    /// It refused bytes and owes an edge once there is room.
    pub(crate) blocked: bool,
    /// When it had room again last.
    pub(crate) freed: Option<Instant>,
    /// When the server heard last of room that it had been refused.
    pub(crate) told: Option<Instant>,
    /// The server has been refused room and has not heard of any since.
    pub(crate) hindered: bool,
    readable: bool,
    writable: bool,
    /// Its event is among those to be fetched.
    queued: bool,
    /// Until when the server was busy with its handshake last.
    pub(crate) busy: Option<Instant>,
    /// The next call is interrupted by a signal.
    pub(crate) interrupted: bool,
    pub(super) deeds: Deeds,
    /// Bytes that the server wrote in all.
    pub(crate) total: u64,
    finished: bool,
    pub(crate) reset_on_drop: bool,
    /// Messages that the server has read since the last look.
    pub(crate) messages: u64,
    pub(crate) closed: Option<Closed>,
    /// The server has let go of it.
    pub(crate) dropped: bool,
    /// It is among those with deeds.
    touched: bool,
}

struct State {
    clock: ManualClock,
    rng: fastrand::Rng,
    pipes: BTreeMap<Id, Pipe>,
    next: Id,
    /// Who connected and was not accepted; none once nobody listens.
    backlog: Option<VecDeque<Id>>,
    listener: Option<Token>,
    listener_ready: bool,
    /// How many of 100 accepts fail, and the longest that one takes.
    accept: (u8, Duration),
    /// Descriptors have run out, until the next step.
    exhausted: bool,
    /// Who has events: those that came since the last poll, and all that wait to be fetched.
    new: Vec<Id>,
    ready: VecDeque<Id>,
    /// Whom the server did something to since the last look.
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

    /// The state is taken out and put back whole, so there is nothing to borrow. After a panic in
    /// the middle it is gone.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.0.take()?;
        let result = act(&mut state);
        self.0.set(Some(state));
        Some(result)
    }

    fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.with(act).expect("nobody else uses it")
    }

    /// Looks at a connection, if it is still kept.
    pub(crate) fn pipe<T>(&self, id: Id, look: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        self.act(|state| state.pipes.get_mut(&id).map(look))
    }

    /// How many of 100 accepts fail, and the longest that one takes.
    pub(crate) fn set_accept(&self, failing: u8, longest: Duration) {
        self.act(|state| state.accept = (failing, longest));
    }

    /// A client connects from a host of its own network, unless nobody listens.
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

    /// Bytes come from the client.
    pub(crate) fn arrive(&self, id: Id, bytes: &[u8]) {
        self.change(id, |pipe, _| pipe.arrive(bytes));
    }

    /// The client ends its side.
    pub(crate) fn end(&self, id: Id, how: End) {
        self.change(id, |pipe, now| pipe.end(how, now));
    }

    /// The client takes up to `most` bytes; returns how many there were, and what they are if those
    /// are records of TLS.
    pub(crate) fn take(&self, id: Id, most: usize) -> (usize, Vec<u8>) {
        let mut taken = (0, Vec::new());
        self.change(id, |pipe, now| taken = pipe.take(most, now));
        taken
    }

    /// Changes how many bytes more the system takes; no event tells of it.
    pub(crate) fn set_room(&self, id: Id, change: impl FnOnce(usize) -> usize) {
        self.pipe(id, |pipe| {
            let room = change(pipe.nature.capacity - pipe.buffered);
            pipe.nature.capacity = pipe.buffered.saturating_add(room);
        });
    }

    /// Lets something happen to a connection that may be an event.
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

    /// Whether anything is ready that was not fetched, or anybody waits to be accepted.
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

    /// Begins another step of the server; returns whom it did something to in the last.
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

    /// The server does something to a connection.
    pub(super) fn touch<T>(&self, id: Id, act: impl FnOnce(&mut Pipe) -> T) -> Option<T> {
        self.with(|state| state.touch(id, act)).flatten()
    }

    /// The server reads from, or writes to, a connection, unless a signal comes between.
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

    /// Agreeing on keys takes a while.
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

    /// The server begins to watch a connection, or ends that.
    pub(super) fn watch(&self, id: Id, token: Option<Token>) {
        self.touch(id, |pipe| pipe.token = token);
        self.act(|state| state.note_event(id));
    }

    /// The server begins to watch its listener, or ends that.
    pub(super) fn watch_listener(&self, token: Option<Token>) {
        self.act(|state| state.listener = token);
    }

    /// The server accepts the next in line.
    pub(super) fn accept(&self) -> io::Result<(Id, SocketAddr)> {
        self.act(State::accept)
    }

    /// The server lets go of a connection.
    pub(super) fn drop_end(&self, id: Id) {
        self.with(|state| state.drop_end(id));
    }

    /// Nobody listens any more: who waits is refused.
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

    /// Queues what has an event and is watched.
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
        // Among what came between two polls there is no order.
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
    /// It has room, and says so by its first event.
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

    /// Takes out what the server did since the last time.
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
        // The system waits until a good part is free, so that one byte's room makes no event.
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

    /// The server reads; what it has read is gone only if it is to be `taken`.
    pub(super) fn read(&mut self, buffer: &mut [u8], taken: bool) -> io::Result<usize> {
        if self.inbound.is_empty() {
            return match self.ended {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(End::Finished) => Ok(0),
                Some(End::Reset) => Err(ErrorKind::ConnectionReset.into()),
            };
        }
        // As the system does: a read that is short has left nothing. A deque's own would stop where
        // its memory wraps.
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

    /// The server writes.
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

    /// The server gives plain text to TLS, which takes so much of it.
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
