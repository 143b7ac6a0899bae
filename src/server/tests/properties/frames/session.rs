//! One client of a server on a loop that is turned by hand: what happens to it, and what it gets.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ioloop::{Driver, IoLoop, ManualClock, Ready};
use mio::{Poll, Token};

use crate::feed::Publish;
use crate::server::tests::properties::frames::seen::{SYMBOLS, Seen};
use crate::server::tests::simulation::net::{Closed, End, Id, Nature, Net, Pipe};
use crate::server::tests::simulation::socket::{SimListener, SimSocket};
use crate::server::{Config, Server, close};
use crate::tick::{Price, Tick};

type SimServer = Server<SimSocket>;

/// A server and one client of it.
pub(super) struct Session {
    server: SimServer,
    io_loop: IoLoop<SimServer>,
    clock: ManualClock,
    net: Net,
    client: Id,
    /// The token of the events of the client, which count while the server watches it.
    token: Token,
    events: Events,
    /// Everything that the client sent once it was open.
    sent: Vec<u8>,
}

/// The events that the next turn fetches.
#[derive(Default)]
struct Events(VecDeque<(Token, Ready)>);

impl<S> Driver<S> for Events {
    fn poll(
        &mut self,
        _: &mut Poll,
        _: Option<Duration>,
        ready: &mut VecDeque<(Token, Ready)>,
    ) -> io::Result<()> {
        ready.append(&mut self.0);
        Ok(())
    }
}

impl Session {
    /// A session whose client is open.
    pub(super) fn new(scratch: usize) -> Self {
        let clock = ManualClock::new(Instant::now());
        let net = Net::new(clock.clone(), 0);
        let mut io_loop = IoLoop::by_hand(clock.clone(), 1).expect("a poll descriptor");
        let (listener, symbols) = (SimListener::new(net.clone()), SYMBOLS.map(str::to_owned));
        let server = Server::accepting(&mut io_loop, listener, config(), symbols.to_vec());
        let mut server = server.expect("the simulation registers with no system");
        server.scratch = vec![0; scratch].into_boxed_slice();
        let client = net.connect(1, NATURE).expect("it listens");
        let mut session = Self {
            server,
            io_loop,
            clock,
            net,
            client,
            token: Token(0),
            events: Events::default(),
            sent: Vec::new(),
        };
        session.open();
        session
    }

    fn open(&mut self) {
        self.print(0);
        self.events.0.extend(self.net.poll(usize::MAX));
        self.turn();
        let token = self.with_pipe(|pipe| pipe.token);
        self.token = token.expect("it is accepted");
        self.arrives(HEAD, true);
        self.settle();
        assert_eq!(self.server.counters.clients, 1, "cannot be opened");
        self.sent.clear();
    }

    pub(super) fn arrives(&mut self, bytes: &[u8], is_told: bool) {
        if self.with_pipe(|pipe| pipe.ended.is_none()) {
            self.net.arrive(self.client, bytes);
            self.sent.extend_from_slice(bytes);
            if is_told {
                self.on_ready(true, false);
            }
        }
    }

    /// Ends the client's side.
    pub(super) fn ends(&mut self, how: End) {
        self.net.end(self.client, how);
        self.on_ready(true, how == End::Reset);
    }

    pub(super) fn has_room(&mut self, room: usize) {
        self.gains_room(room);
        self.on_ready(false, true);
    }

    pub(super) fn gains_room(&mut self, room: usize) {
        let gain = |known: usize| known.saturating_add(room);
        self.net.set_room(self.client, gain);
    }

    pub(super) fn has_no_room(&mut self) {
        self.net.set_room(self.client, |_| 0);
    }

    pub(super) fn is_interrupted(&mut self) {
        self.with_pipe(|pipe| pipe.interrupted = true);
    }

    pub(super) fn print(&mut self, symbol: u8) {
        let tick = Tick::new(
            SYMBOLS[usize::from(symbol) % SYMBOLS.len()],
            Price::parse("1.50").expect("a price"),
            1_732_270_000_123,
        );
        self.server.publish(&mut self.io_loop, tick);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    pub(super) fn beat(&mut self) {
        self.server.beat(&mut self.io_loop);
    }

    pub(super) fn age(&mut self) {
        let old = self
            .clock
            .time()
            .checked_sub(self.server.config.conflate_after);
        old.into_iter()
            .for_each(|old| self.server.hub.expire_before(old));
    }

    pub(super) fn shut_down(&mut self) {
        if !self.server.hub.is_closed() {
            self.server.shut_down(&mut self.io_loop);
        }
    }

    pub(super) fn close_overdue(&mut self) {
        let ping = self.server.last_ping();
        self.server.close_overdue(&mut self.io_loop, ping);
    }

    /// Gives the next turn an event for the client.
    pub(super) fn on_ready(&mut self, readable: bool, writable: bool) {
        let ready = Ready {
            readable,
            writable,
            closed: self.with_pipe(|pipe| pipe.ended.is_some()),
        };
        self.events.0.push_back((self.token, ready));
    }

    pub(super) fn turn(&mut self) {
        let turned = self.io_loop.turn(&mut self.server, &mut self.events);
        turned.expect("no real poll");
    }

    /// Turns until no work is left; each turn reads its share, or is one of the last turns.
    fn settle(&mut self) {
        let unread = self.with_pipe(|pipe| pipe.inbound.len());
        let turns = unread / self.server.scratch.len() + LAST_TURNS;
        for _ in 0..turns {
            self.turn();
            if !self.io_loop.has_callbacks() {
                return;
            }
        }
        panic!("still busy after {turns} turns");
    }

    /// The client takes everything and leaves; everything that it has had by then is judged.
    pub(super) fn finish(mut self) {
        self.turn();
        let is_whole = !self.is_gone();
        self.has_room(usize::MAX);
        self.on_ready(true, true);
        self.settle();
        let reason = self.closed();
        let is_finished = self.with_pipe(|pipe| pipe.is_finished());
        assert!(reason.is_none() || self.is_gone() || is_finished, "no end");
        let is_to_reset = self.with_pipe(|pipe| pipe.reset_on_drop);
        let is_slow = reason.is_some_and(|closed| close::NAMES[closed.reason] == "slow");
        assert_eq!(is_to_reset, is_slow);
        self.ends(End::Finished);
        self.settle();
        assert!(self.is_gone(), "it has gone, but is kept");
        assert_eq!(self.server.hub.counts().1, 0, "a list without readers");
        let out = self.with_pipe(|pipe| pipe.take_deeds().written);
        let config = &self.server.config;
        let judged = Seen::new(&self.sent, config.max_message_size);
        let gaps = self.server.counters.conflated > 0;
        judged.check(&out, reason, is_whole, gaps);
    }

    fn is_gone(&self) -> bool {
        self.with_pipe(|pipe| pipe.dropped)
    }

    fn closed(&self) -> Option<Closed> {
        self.with_pipe(|pipe| pipe.closed)
    }

    fn with_pipe<T>(&self, look: impl FnOnce(&mut Pipe) -> T) -> T {
        let found = self.net.pipe(self.client, look);
        found.expect("it has not been forgotten")
    }
}

/// A configuration with room for few messages.
fn config() -> Config {
    const TAPE_SIZE: usize = 2048;
    Config {
        tape_size: TAPE_SIZE,
        max_message_size: 512,
        message_burst: 40.0,
        drain: Duration::ZERO,
        // Events that come by themselves are rare: the script has its own.
        ping_interval: Duration::from_secs(3600),
        ..Config::default()
    }
}

/// A client that takes everything until the script says otherwise.
const NATURE: Nature = Nature {
    capacity: usize::MAX,
    cut: 0,
    interrupt: 0,
    separate: true,
    secure: false,
};

/// Turns with no bytes left to read: broadcasts, checks for overdue clients, goodbyes.
const LAST_TURNS: usize = 12;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
