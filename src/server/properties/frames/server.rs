//! As much of the server as one connection needs: what the loop, the feed and the clock do to it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mio::Token;

use super::super::super::board::Board;
use super::super::super::close::CloseReason;
use super::super::super::config::Config;
use super::super::super::connection::{Connection, Desk, Next};
use super::super::super::counters::Counters;
use super::super::super::head::{Asked, Port};
use super::SYMBOLS;
use super::seen::Seen;
use super::socket::Scripted;
use crate::frame;
use crate::io_loop::{IoLoop, Ready, Timeout};
use crate::tick::{Price, Tick};

/// A server with one client, and what became of that.
pub(super) struct Server {
    board: Board,
    counters: Counters,
    config: Config,
    scratch: Vec<u8>,
    started: Instant,
    now_ms: u32,
    heartbeat: u32,
    connection: Option<Connection<Scripted>>,
    /// The socket of a connection that has been let go.
    socket: Option<Scripted>,
    /// A turn's share is used up.
    more: bool,
    reason: Option<CloseReason>,
    /// All that the client sent once it was open.
    sent: Vec<u8>,
}

impl Server {
    /// With a connection that is open.
    pub(super) fn new(scratch: usize) -> Self {
        static TIMEOUT: LazyLock<Timeout> = LazyLock::new(|| {
            let mut io_loop = IoLoop::<()>::new().expect("a poll descriptor");
            io_loop.call_later(Duration::ZERO, |(), _| {})
        });
        let mut counters = Counters::default();
        counters.accepted();
        let connection = Connection::new(Scripted::default(), Token(0), *TIMEOUT, Port::Public);
        let config = Config {
            max_message_size: 512,
            message_burst: 40.0,
            ..Config::default()
        };
        let mut server = Self {
            board: Board::new(SYMBOLS.map(str::to_owned).to_vec(), 2048, 4),
            counters,
            config,
            scratch: vec![0; scratch],
            started: Instant::now(),
            now_ms: 0,
            heartbeat: 0,
            connection: Some(connection),
            socket: None,
            more: false,
            reason: None,
            sent: Vec::new(),
        };
        server.print(0);
        server.arrives(HEAD, true);
        server.settle();
        server.sent.clear();
        server
    }

    pub(super) fn arrives(&mut self, bytes: &[u8], is_told: bool) {
        let is_heard = self.with_socket(|socket| {
            let is_heard = !socket.ended && !socket.broken;
            if is_heard {
                socket.inbox.extend(bytes);
            }
            is_heard
        });
        if is_heard == Some(true) {
            self.sent.extend_from_slice(bytes);
            if is_told {
                self.on_ready(true, false);
            }
        }
    }

    pub(super) fn has_room(&mut self, room: usize) {
        self.gains_room(room);
        self.on_ready(false, true);
    }

    pub(super) fn gains_room(&mut self, room: usize) {
        self.with_socket(|socket| socket.room = socket.room.saturating_add(room));
    }

    pub(super) fn print(&mut self, symbol: u8) {
        let tick = Tick {
            symbol: SYMBOLS[usize::from(symbol) % SYMBOLS.len()].to_owned(),
            price: Price::parse("1.50").expect("a price"),
            timestamp: 1_732_270_000_123,
        };
        self.board.print(&tick, self.instant());
        self.pump();
    }

    pub(super) fn pass(&mut self, ms: u32) {
        self.now_ms += ms;
    }

    pub(super) fn beat(&mut self) {
        self.heartbeat += 1;
        let mut ping = Vec::new();
        frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
        self.board.print_for_all(&ping, self.instant());
        self.pump();
    }

    pub(super) fn age(&mut self) {
        let old = self.instant().checked_sub(self.config.conflate_after);
        old.into_iter().for_each(|old| self.board.age(old));
    }

    pub(super) fn seal(&mut self) {
        if self.board.is_sealed() {
            return;
        }
        let (mut goodbye, why) = (Vec::new(), CloseReason::Shutdown);
        let code = why.code().expect("the client is told");
        frame::close(&mut goodbye, code, &why.to_string());
        self.board.seal(&goodbye, self.instant());
        self.pump();
    }

    /// What the sweep does.
    fn pump(&mut self) {
        let pumped = self.with(|connection, desk| match connection.wants_pump(desk.board) {
            true => connection.pump(desk),
            false => Ok(()),
        });
        if let Some(Err(reason)) = pumped {
            self.close(reason);
        }
    }

    pub(super) fn close_overdue(&mut self) {
        let (now, slow) = (self.now_ms, self.config.slow_timeout);
        let heartbeat = self.heartbeat;
        let overdue = self.with(|connection, _| connection.overdue(now, heartbeat, slow));
        if let Some(Some(reason)) = overdue {
            self.close(reason);
        }
    }

    pub(super) fn on_ready(&mut self, readable: bool, writable: bool) {
        let closed = self.with_socket(|socket| socket.ended || socket.broken) == Some(true);
        let ready = Ready {
            readable,
            writable,
            closed,
        };
        let next = self.with(|connection, desk| connection.on_ready(ready, desk));
        self.go_on(next);
    }

    /// The next turn of reading, if one is due. Returns whether there was one.
    pub(super) fn read_more(&mut self) -> bool {
        if !std::mem::take(&mut self.more) {
            return false;
        }
        let next = self.with(Connection::on_readable);
        self.go_on(next);
        true
    }

    /// Reads until there is nothing; each turn takes a share or is the last.
    fn settle(&mut self) {
        let unread = self.with_socket(|socket| socket.inbox.len()).unwrap_or(0);
        let turns = unread / self.scratch.len() + 4;
        let used = (0..=turns).take_while(|_| self.read_more()).count();
        assert!(used <= turns, "still reading after {turns} turns");
    }

    fn go_on(&mut self, next: Option<Result<Next, CloseReason>>) {
        match next {
            None | Some(Ok(Next::Wait)) => {}
            Some(Ok(Next::More)) => self.more = true,
            Some(Ok(Next::Head { head, unread })) => {
                let Ok(Asked::Upgrade(upgrade)) = head else {
                    panic!("the handshake is refused: {head:?}")
                };
                let open = |connection: &mut Connection<Scripted>, desk: &mut Desk<'_>| {
                    connection.open(upgrade, desk)
                };
                assert!(matches!(self.with(open), Some(Ok(()))), "cannot be opened");
                self.more = unread;
            }
            Some(Ok(Next::Gone)) => self.remove(),
            Some(Err(reason)) => self.close(reason),
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        if connection.is_closing() {
            return self.remove();
        }
        let is_slow = matches!(reason, CloseReason::Slow);
        let waits = self.with(|connection, desk| connection.close(&reason, &[], desk));
        let is_to_reset = self.with_socket(|socket| socket.is_to_reset);
        assert_eq!(is_to_reset, Some(is_slow));
        assert!(self.reason.is_none(), "closed twice");
        self.reason = Some(reason);
        match waits {
            Some(true) => self.more = true,
            _ => self.remove(),
        }
    }

    fn remove(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.socket = Some(std::mem::take(connection.socket()));
        }
    }

    /// The client takes everything and goes: what it has had by then is judged.
    pub(super) fn finish(mut self) {
        let is_whole = self.connection.is_some();
        self.has_room(usize::MAX);
        self.on_ready(true, true);
        self.settle();
        self.pump();
        let is_open = self.connection.is_some() && self.reason.is_none();
        assert!(
            is_open || self.with_socket(|socket| socket.is_finished) != Some(false),
            "no end"
        );
        self.with_socket(|socket| socket.ended = true);
        self.on_ready(true, false);
        self.settle();
        assert!(self.connection.is_none(), "it has gone, but is kept");
        assert_eq!(self.board.tapes(), 1, "a tape that nobody reads");
        let out = self
            .socket
            .take()
            .map(|socket| socket.out)
            .unwrap_or_default();
        let reason = self.reason.take().filter(|_| !is_open);
        let judged = Seen::new(&self.sent, self.config.max_message_size);
        let gaps = self.counters.conflated > 0;
        judged.check(&out, reason.as_ref(), is_whole, gaps);
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(self.now_ms.into())
    }

    pub(super) fn with_socket<T>(&mut self, act: impl FnOnce(&mut Scripted) -> T) -> Option<T> {
        self.connection
            .as_mut()
            .map(|connection| act(connection.socket()))
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Connection<Scripted>, &mut Desk<'_>) -> T,
    ) -> Option<T> {
        let connection = self.connection.as_mut()?;
        let mut desk = Desk {
            board: &mut self.board,
            counters: &mut self.counters,
            config: &self.config,
            scratch: &mut self.scratch,
            now: self.now_ms,
            instant: self.started + Duration::from_millis(self.now_ms.into()),
            heartbeat: self.heartbeat,
        };
        Some(act(connection, &mut desk))
    }
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
