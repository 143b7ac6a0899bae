//! The server around the simulated sockets: the real connections, board and sweep, with a clock and
//! a loop that the simulation turns by hand.
//!
//! What is mirrored here and not shared with [`Server`](crate::server::Server) is only what talks to
//! the loop: `on_ready`, `on_more`, `read_more`, `go_on`, `on_head` and `upgrade` (without pages),
//! `close`, `close_all`, `remove`, `sweep_soon`, `sweep_slice`, `beat`, `close_overdue`,
//! `close_still_overdue`, `publish` and `shut_down`, and the loop's `call_after_events`, each by a method of the same name. A change there belongs here too.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use mio::Token;
use tungstenite::http::StatusCode;

use super::client::Client;
use super::model::Model;
use super::socket::SimSocket;
use crate::io_loop::{Ready, Timeout};
use crate::server::board::Board;
use crate::server::close::{self, CloseReason};
use crate::server::connection::{Connection, Desk, Next};
use crate::server::connections::Connections;
use crate::server::counters::Counters;
use crate::server::head::{Asked, Port, Refusal};
use crate::server::sweep::Sweep;
use crate::server::{Config, Moment, answer};

thread_local! {
    /// The wall clock of the simulation that runs on this thread, Unix µs.
    static WALL: Cell<u64> = const { Cell::new(0) };
}

/// All of a simulation but the dice.
pub(super) struct World {
    pub(super) connections: Connections<SimSocket>,
    pub(super) board: Board,
    pub(super) sweep: Sweep,
    pub(super) sweeping: bool,
    pub(super) counters: Counters,
    pub(super) config: Config,
    scratch: Box<[u8]>,
    pub(super) heartbeat: u32,
    pub(super) shutting_down: bool,
    start: Instant,
    /// Monotonic ms since the start.
    pub(super) now: u64,
    pub(super) callbacks: VecDeque<Callback>,
    pub(super) timers: BTreeMap<(u64, u64), Callback>,
    next_id: u64,
    /// The limit for which clients are being closed.
    pub(super) limit: Limit,
    /// Who has events that were not fetched, in the order in which they came.
    pub(super) ready: VecDeque<Token>,
    pub(super) is_ready: BTreeSet<Token>,
    pub(super) events_per_turn: usize,
    pub(super) has_more_events: bool,
    pub(super) free: Vec<usize>,
    pub(super) clients: BTreeMap<Token, Client>,
    pub(super) model: Model,
    /// Clients let in, and connections closed by reason, as the model counts them.
    pub(super) opened: u64,
    pub(super) closed: [u64; close::NAMES.len()],
    /// Messages that were read, as counted client by client.
    pub(super) messages: u64,
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) hash: DefaultHasher,
    pub(super) bytes: u64,
    pub(super) trace: bool,
    /// Breaks a sweep now and then, as a timer that comes due does.
    pub(super) impatience: fastrand::Rng,
}

/// A limit that came due: the heartbeat that was to be answered by then, and when that was, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit {
    pub(super) heartbeat: u32,
    pub(super) due: u64,
}

/// What the loop is asked to run later.
#[derive(Debug)]
pub(super) enum Callback {
    More(Token),
    BeginSweep,
    SweepSlice,
    CloseAll(Vec<(Token, CloseReason)>),
    HandshakeTimeout(Token),
    Remove(Token),
    Beat,
    Overdue(u32),
    /// To close who is overdue, after that many polls at most.
    CloseOverdue(Limit, usize),
    CloseStillOverdue(Limit, Vec<Token>),
    Look,
}

impl World {
    pub(super) fn new(seed: u64, config: Config, names: &[String], scratch: usize) -> Self {
        let tapes_max = config.tapes_max();
        let mut board = Board::new(names.to_vec(), config.tape_size, tapes_max);
        board.set_wall_clock(|| WALL.get());
        WALL.set(1_700_000_000_000_000);
        Self {
            connections: Connections::default(),
            board,
            sweep: Sweep::default(),
            sweeping: false,
            counters: Counters::default(),
            model: Model::new(names, STALE_AFTER, (config.tape_size, tapes_max)),
            config,
            scratch: vec![0; scratch].into_boxed_slice(),
            heartbeat: 0,
            shutting_down: false,
            start: Instant::now(),
            now: 0,
            callbacks: VecDeque::new(),
            timers: BTreeMap::new(),
            next_id: 1 << 32,
            limit: Limit::default(),
            ready: VecDeque::new(),
            is_ready: BTreeSet::new(),
            events_per_turn: usize::MAX,
            has_more_events: false,
            free: Vec::new(),
            clients: BTreeMap::new(),
            opened: 0,
            closed: [0; close::NAMES.len()],
            messages: 0,
            events: BTreeMap::new(),
            hash: DefaultHasher::new(),
            bytes: 0,
            trace: false,
            impatience: fastrand::Rng::with_seed(!seed),
        }
    }

    pub(super) fn note(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    pub(super) fn wall(&self) -> u64 {
        WALL.get()
    }

    pub(super) fn set_wall(&mut self, wall: u64) {
        WALL.set(wall);
    }

    pub(super) fn call_later(&mut self, limit: Duration, callback: Callback) -> Timeout {
        self.next_id += 1;
        let deadline = self.now + limit.as_millis() as u64;
        self.timers.insert((deadline, self.next_id), callback);
        Timeout::of(self.instant() + limit, self.next_id)
    }

    pub(super) fn connect(&mut self, socket: SimSocket, client: Client) {
        let slot = self.free.pop().unwrap_or(self.connections.slots());
        self.next_id += 1;
        let token = Token(((self.next_id as u32 as usize) << 32) | slot);
        let limit = self.config.handshake_timeout;
        let timeout = self.call_later(limit, Callback::HandshakeTimeout(token));
        self.counters.accepted();
        self.connections
            .insert(Connection::new(socket, token, timeout, Port::Public));
        self.clients.insert(token, client);
    }

    pub(super) fn parts(&mut self) -> (&mut Connections<SimSocket>, Desk<'_>) {
        let instant = self.instant();
        let desk = Desk {
            board: &mut self.board,
            counters: &mut self.counters,
            config: &self.config,
            scratch: &mut self.scratch,
            now: self.now as Moment,
            instant,
            heartbeat: self.heartbeat,
        };
        (&mut self.connections, desk)
    }

    pub(super) fn run(&mut self, callback: Callback) {
        match callback {
            Callback::More(token) => self.on_more(token),
            Callback::BeginSweep => self.begin_sweep(),
            Callback::SweepSlice => self.sweep_slice(),
            Callback::CloseAll(losers) => self.close_all(losers),
            Callback::HandshakeTimeout(token) => {
                let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "too late");
                let waits = self.connections.get_mut(token);
                if waits.is_some_and(|it| it.handshake_timeout().is_some()) {
                    let answer = answer::refuse(&refusal);
                    self.close(token, &CloseReason::HandshakeTimeout, &answer);
                }
            }
            Callback::Remove(token) => self.remove(token),
            Callback::Beat => self.beat(),
            Callback::Overdue(heartbeat) => self.close_overdue_soon(heartbeat),
            Callback::CloseOverdue(limit, polls) if self.has_more_events && polls > 1 => {
                let again = Callback::CloseOverdue(limit, polls - 1);
                self.callbacks.push_back(again);
            }
            Callback::CloseOverdue(limit, _) => self.close_overdue(limit),
            Callback::CloseStillOverdue(limit, tokens) => self.close_still_overdue(limit, tokens),
            Callback::Look => {
                self.close_overdue_soon(0);
                let limit = self.config.slow_timeout / 8;
                self.call_later(limit, Callback::Look);
            }
        }
    }

    pub(super) fn on_ready(&mut self, token: Token, ready: Ready) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        let known = desk.counters.messages;
        let next = connection.on_ready(ready, &mut desk);
        self.on_heard(token, known);
        self.go_on(token, next);
    }

    pub(super) fn on_more(&mut self, token: Token) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        connection.queued = false;
        let known = desk.counters.messages;
        let next = connection.on_readable(&mut desk);
        self.on_heard(token, known);
        self.go_on(token, next);
    }

    pub(super) fn read_more(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if !std::mem::replace(&mut connection.queued, true) {
            self.callbacks.push_back(Callback::More(token));
        }
    }

    fn go_on(&mut self, token: Token, next: Result<Next, CloseReason>) {
        self.observe(token);
        match next {
            Ok(Next::Wait) => {}
            Ok(Next::More) => self.read_more(token),
            Ok(Next::Head { head, unread }) => {
                self.on_head(token, head);
                if unread {
                    self.read_more(token);
                }
            }
            Ok(Next::Gone) => self.remove(token),
            Err(_) if self.is_closing(token) => self.remove(token),
            Err(reason) => self.close(token, &reason, &[]),
        }
    }

    fn is_closing(&mut self, token: Token) -> bool {
        let connection = self.connections.get_mut(token);
        connection.is_some_and(|connection| connection.is_closing())
    }

    fn on_head(&mut self, token: Token, head: Result<Asked, Refusal>) {
        let result = match head {
            Ok(Asked::Upgrade(_)) if self.shutting_down => {
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
                Err(CloseReason::Refused(refusal))
            }
            Ok(Asked::Upgrade(upgrade)) => {
                let (connections, mut desk) = self.parts();
                let Some(connection) = connections.get_mut(token) else {
                    return;
                };
                let opened = connection.open(upgrade, &mut desk);
                self.opened += u64::from(!matches!(opened, Err(CloseReason::Refused(_))));
                self.observe(token);
                opened
            }
            Ok(Asked::Page { .. }) => {
                let page = answer::Answer::text(StatusCode::OK, "page").to_bytes(false);
                return self.close(token, &CloseReason::Served, &page);
            }
            Err(refusal) => Err(CloseReason::Refused(refusal)),
        };
        if let Err(reason) = result {
            self.refuse_or_close(token, &reason);
        }
    }

    pub(super) fn refuse_or_close(&mut self, token: Token, reason: &CloseReason) {
        let answer = match reason {
            CloseReason::Refused(refusal) => answer::refuse(refusal),
            _ => Vec::new(),
        };
        self.close(token, reason, &answer);
    }

    pub(super) fn finish(&self) -> u64 {
        self.hash.finish()
    }
}

/// When a symbol that is not heard of is stale, ms.
pub(super) const STALE_AFTER: u64 = 700;
