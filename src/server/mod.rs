//! The server: accepts, upgrades, and prints what its feed brings on the tapes that clients read.
//!
//! Beside Tornado's chat demo: [`Server`] is the application, `on_head` its `open`, `on_message` and
//! `close` are the handler's, and `publish` is the broadcast, which here prints once and lets the
//! sweep write it out.
//!
//! ```text
//! accept ──▶ connection ──▶ head ──▶ board: join ──▶ sweep ──▶ wire
//!                │                     ▲    ▲
//!                └─ frames ─ request ──┘    └── publish ◀── feed
//! ```

mod accept;
mod addresses;
mod answer;
mod board;
mod close;
mod config;
mod connection;
mod connections;
mod counters;
mod deferral;
mod freshness;
mod handover;
mod head;
mod heartbeat;
mod listener;
mod metrics;
pub mod options;
mod origin;
mod pages;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod reader;
mod readiness;
mod refusals;
mod request;
mod shutdown;
#[cfg(test)]
mod simulation;
mod socket;
mod sweep;
mod tls;
mod tokens;
mod who;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Token;
use tungstenite::http::StatusCode;

use self::accept::Acceptor;
use self::board::Board;
use self::close::CloseReason;
use self::connection::{Desk, Next};
use self::connections::Connections;
use self::counters::Counters;
use self::head::{Asked, Refusal, Upgrade};
use self::metrics::Metrics;
use self::shutdown::Shutdown;
use self::sweep::Sweep;
use self::tls::{ClientSocket, Tls};
use self::who::{Told, Who};
use crate::feed::{Publish, Recorder, Sources};
use crate::io_loop::{IoLoop, Ready};
use crate::periodic::PeriodicCallback;
use crate::tick::Tick;

pub use self::config::Config;
pub use self::listener::listen;
pub use self::origin::Origins;
pub use self::tls::TlsFiles;
pub use self::tokens::Tokens;

/// Milliseconds since the server started: half the size of an `Instant`, for what every
/// connection keeps. Enough for 49 days between two events of one connection.
type Moment = u32;

/// The state of the server's loop.
pub struct Server {
    config: Config,
    acceptor: Acceptor,
    connections: Connections<ClientSocket>,
    /// How clients are met, if not in plain text.
    tls: Option<Tls>,
    board: Board,
    sweep: Sweep,
    counters: Counters,
    metrics: Metrics,
    recorder: Option<Recorder>,
    /// What the feed knows of the exchanges it has prices from.
    sources: Sources,
    /// Something has no price of now although it had one, and the log knows.
    is_stale: bool,
    shutdown: Shutdown,
    /// The number of the last heartbeat.
    heartbeat: u32,
    /// Where sockets are read into, one at a time.
    scratch: Box<[u8]>,
    started: Instant,
}

impl Server {
    /// A server on `io_loop` that accepts from `listener`, which [`listen`] made and is bound already,
    /// and will publish prices of `symbols`. Clients are served once the loop starts.
    ///
    /// # Errors
    /// When the listener cannot be prepared or watched, or a certificate is of no use.
    pub fn new(
        io_loop: &mut IoLoop<Self>,
        listener: std::net::TcpListener,
        config: Config,
        symbols: Vec<String>,
    ) -> io::Result<Self> {
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        let acceptor = Acceptor::new(io_loop, listener, &config)?;
        let server = Self {
            acceptor,
            connections: Connections::default(),
            tls,
            board: Board::new(symbols, config.tape_size, config.tapes_max()),
            sweep: Sweep::default(),
            counters: Counters::default(),
            metrics: Metrics::default(),
            recorder: None,
            sources: Sources::default(),
            is_stale: false,
            shutdown: Shutdown::default(),
            heartbeat: 0,
            scratch: vec![0; SCRATCH_LENGTH].into_boxed_slice(),
            started: Instant::now(),
            config,
        };
        server.start_heartbeat(io_loop);
        Ok(server)
    }

    /// Serves its state at `listener`, which [`listen`] made; nobody else can ask for `/metrics` if
    /// [`Config::admin`] says so.
    ///
    /// # Errors
    /// When the listener cannot be prepared or watched.
    pub fn serve_admin(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        listener: std::net::TcpListener,
    ) -> io::Result<()> {
        self.acceptor.open_admin(io_loop, listener)
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.acceptor.address()
    }

    /// Writes every tick that is published to `recorder` as well.
    pub fn record(&mut self, io_loop: &mut IoLoop<Self>, recorder: Recorder) {
        self.recorder = Some(recorder);
        PeriodicCallback::start(io_loop, RECORDER_FLUSH_INTERVAL, |server: &mut Self, _| {
            server.flush_recorder();
        });
    }

    /// Writes out what the recorder holds; at the end of a run too.
    pub fn flush_recorder(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
    }

    /// An event of a client's socket.
    fn on_ready(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        let next = connection.on_ready(ready, &mut desk);
        self.go_on(io_loop, token, next);
    }

    /// More may have come than one turn's share.
    fn on_more(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        connection.queued = false;
        let next = connection.on_readable(&mut desk);
        self.go_on(io_loop, token, next);
    }

    /// Has a connection read on in the next turn; once, however many events ask for it.
    fn read_more(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if std::mem::replace(&mut connection.queued, true) {
            return;
        }
        if connection.is_securing() {
            self.secure_soon(io_loop, token);
        } else {
            io_loop.add_callback(move |server, io_loop| server.on_more(io_loop, token));
        }
    }

    fn go_on(&mut self, io_loop: &mut IoLoop<Self>, token: Token, next: Result<Next, CloseReason>) {
        match next {
            Ok(Next::Wait) => {}
            Ok(Next::More) => self.read_more(io_loop, token),
            Ok(Next::Head { head, unread }) => {
                self.on_head(io_loop, token, head);
                if unread {
                    self.read_more(io_loop, token);
                }
            }
            Ok(Next::Gone) => self.remove(io_loop, token),
            Err(_) if self.is_closing(token) => self.remove(io_loop, token),
            Err(reason) => self.close(io_loop, token, &reason, &[]),
        }
    }

    fn is_closing(&mut self, token: Token) -> bool {
        self.connections
            .get_mut(token)
            .is_some_and(|connection| connection.is_closing())
    }

    /// A client has said what it wants (Tornado's `open`, or a `RequestHandler`'s `get`).
    fn on_head(&mut self, io_loop: &mut IoLoop<Self>, token: Token, head: Result<Asked, Refusal>) {
        match head {
            Ok(Asked::Upgrade(upgrade)) => match self.upgrade(io_loop, token, upgrade) {
                Ok(()) => {}
                Err(reason) => self.refuse_or_close(io_loop, token, &reason),
            },
            Ok(Asked::Page { page, head_only }) => self.give(io_loop, token, (page, head_only)),
            Err(refusal) => self.refuse_or_close(io_loop, token, &CloseReason::Refused(refusal)),
        }
    }

    fn upgrade(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        upgrade: Upgrade,
    ) -> Result<(), CloseReason> {
        if self.shutdown.refuses() {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
            return Err(CloseReason::Refused(refusal));
        }
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return Ok(());
        };
        if let Some(timeout) = connection.handshake_timeout() {
            io_loop.remove_timeout(timeout);
        }
        let resuming = upgrade.since.map_or("", |_| ", resuming");
        connection.open(upgrade, &mut desk)?;
        if let Some(channel) = connection.channel() {
            log::debug!(
                "{}: a client of {} symbols{resuming}",
                Who(connection.socket(), token),
                desk.board.names(channel).count(),
            );
        }
        Ok(())
    }

    fn refuse_or_close(&mut self, io_loop: &mut IoLoop<Self>, token: Token, reason: &CloseReason) {
        let answer = match reason {
            CloseReason::Refused(refusal) => answer::refuse(refusal),
            _ => Vec::new(),
        };
        self.close(io_loop, token, reason, &answer);
    }

    /// The one place that ends connections, and that logs why. `answer` is the last word to who has
    /// not become a WebSocket.
    fn close(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        reason: &CloseReason,
        answer: &[u8],
    ) {
        let (connections, mut desk) = self.parts();
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        if connection.is_closing() {
            return;
        }
        // Without keys there are no words, and the log does not claim any.
        let answer: &[u8] = if connection.is_securing() {
            &[]
        } else {
            answer
        };
        log::debug!(
            "{}: {reason}{}",
            Who(connection.socket(), token),
            Told(reason, answer)
        );
        if let Some(timeout) = connection.handshake_timeout() {
            io_loop.remove_timeout(timeout);
        }
        if connection.close(reason, answer, &mut desk) {
            let may_have_unread = connection.may_have_unread();
            let limit = self.config.close_timeout;
            io_loop.call_later(limit, move |server, io_loop| server.remove(io_loop, token));
            if may_have_unread {
                // What had arrived unread has had its event.
                self.read_more(io_loop, token);
            }
        } else {
            self.remove(io_loop, token);
        }
    }

    /// Closes many, a turn's share at a time.
    fn close_all(&mut self, io_loop: &mut IoLoop<Self>, mut losers: Vec<(Token, CloseReason)>) {
        let later = losers.split_off(losers.len().min(CLOSES_PER_TURN));
        for (token, reason) in losers {
            self.refuse_or_close(io_loop, token, &reason);
        }
        if !later.is_empty() {
            io_loop.add_callback(move |server, io_loop| server.close_all(io_loop, later));
        }
    }

    /// Lets go of a connection that was closed; nothing happens if it is gone.
    fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connections.remove(token) else {
            return;
        };
        self.acceptor.leave(token, connection.port());
        io_loop.close_source(connection.into_socket(), token);
        self.on_removed(io_loop);
    }

    /// The connections, and what one of them needs while it works.
    fn parts(&mut self) -> (&mut Connections<ClientSocket>, Desk<'_>) {
        let instant = Instant::now();
        let now = self.moment(instant);
        let desk = Desk {
            board: &mut self.board,
            counters: &mut self.counters,
            config: &self.config,
            scratch: &mut self.scratch,
            now,
            instant,
            heartbeat: self.heartbeat,
        };
        (&mut self.connections, desk)
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.started);
        since.as_millis() as Moment
    }
}

impl Publish for Server {
    /// Prints a price on the tapes and has it swept out to the clients.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
        let Some(json) = self.board.print(&tick, Instant::now()) else {
            log::debug!("nobody is to be told of {}", tick.symbol);
            return;
        };
        self.counters.ticks += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.record(json);
        }
        self.sweep_soon(io_loop);
    }

    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str) {
        if self.board.confirm(symbol, Instant::now()) {
            self.sweep_soon(io_loop);
        }
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

/// A turn's share of reading from one client, and room for the longest request head.
const SCRATCH_LENGTH: usize = head::HEAD_LENGTH_MAX;

/// How long work that can be cut may hold the loop before it lets others through.
const TURN_SHARE: Duration = Duration::from_millis(1);

/// Goodbyes in one turn: about a millisecond's work.
const CLOSES_PER_TURN: usize = 64;

/// A crash loses at most what was recorded in this time.
const RECORDER_FLUSH_INTERVAL: Duration = Duration::from_millis(100);
