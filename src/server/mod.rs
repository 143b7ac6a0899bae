//! The server: accepts, upgrades, and publishes what its feed brings on the tape that clients read.
//!
//! ```text
//! listener ──▶ connection ──▶ http ──▶ hub: join ──▶ broadcast ──▶ outbox
//!                  │                     ▲   ▲
//!                  └─ frames ─ protocol ─┘   └── publish ◀── feed
//! ```
//!
//! | room | what it does |
//! |---|---|
//! | `rejection`, `close` | why clients get no further, and why connections end |
//! | `admission` | which pages, tokens and addresses come in |
//! | [`Config`], `counters`, `context` | the limits; what is counted; both as a connection at work has them |
//! | `hub` | symbols, their newest prices, the tape, and who watches what |
//! | `socket`, `outbox`, `packing` | what the server asks of sockets; the outgoing half; several messages in one write |
//! | `protocol`, `http` | what clients ask once they are open, and before |
//! | `tls`, `turns`, `peer` | TLS over a socket; turns in a queue; how the log calls a client |
//! | `subscriber`, `connection`, `connections`, `closing` | a client that is open; one from accept to close; all of them; those to close |
//! | `metrics` | `/metrics` |
//! | [`cli`] | the command line |
//! | [`Server`] | the state, and what follows from an event of a connection |
//! | `listener`, `broadcast`, `liveness`, `shutdown` | what happens by itself: these and this file alone know the loop |
//!
//! Each room imports those above it in this table, and none below: `tests/imports.rs` holds them to
//! it.
//!
//! Beside Tornado's chat demo: [`Server`] is the application, `on_head` its `open`, `on_message` and
//! `close` are the handler's, and `publish` puts a price on the tape once, for the broadcast to write
//! it out.

#![allow(
    private_bounds,
    reason = "what a server's sockets are is its own business: outside there is but one kind"
)]

mod admission;
mod broadcast;
pub mod cli;
mod close;
mod closing;
mod config;
mod connection;
mod connections;
mod context;
mod counters;
mod http;
mod hub;
mod listener;
mod liveness;
mod metrics;
mod outbox;
mod packing;
mod peer;
mod protocol;
mod rejection;
mod shutdown;
mod socket;
mod subscriber;
mod symbol_file;
#[cfg(any(test, fuzzing))]
pub(crate) mod tests;
mod tls;
mod turns;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, Ready};
use mio::Token;
use mio::net::{TcpListener, TcpStream};
use tungstenite::http::StatusCode;

use self::broadcast::Broadcast;
use self::close::CloseReason;
use self::closing::{CloseQueue, Ending};
use self::connection::Action;
use self::connections::Connections;
use self::context::{Context, UptimeMs};
use self::counters::Counters;
use self::http::pages;
use self::http::readiness::Readiness;
use self::http::request::{self, Request};
use self::http::response::{self, Response};
use self::http::router::{Endpoint, Page};
use self::http::upgrade::Upgrade;
use self::hub::{Gather, Hub};
use self::listener::acceptor::Acceptor;
use self::metrics::{Metrics, Snapshot};
use self::packing::Packing;
use self::peer::{CloseSummary, PeerId};
use self::rejection::Rejection;
use self::shutdown::Shutdown;
use self::socket::Transport;
use self::subscriber::Progress;
use self::tls::{ClientSocket, Tls};
use self::turns::Turn;
use crate::feed::{Recorder, Sources};
use crate::tape::FrameNumber;

pub use self::admission::origin::Origins;
pub use self::admission::tokens::Tokens;
pub use self::config::{Config, TlsFiles};
pub use self::listener::listen;

/// The state of the server's loop. Its sockets are the system's, or those of a simulation.
pub struct Server<S: Transport = TcpStream> {
    config: Config,
    acceptor: Acceptor<S>,
    connections: Connections<ClientSocket<S>>,
    /// The certificate and the handshakes under way, if the server speaks TLS.
    tls: Option<Tls>,
    hub: Hub,
    broadcast: Broadcast,
    counters: Counters,
    metrics: Metrics,
    recorder: Option<Recorder>,
    /// What the feed knows about its exchanges.
    sources: Sources,
    /// The file that lists the symbols, if the feed follows it, and the symbols that it had when it was
    /// last read again.
    symbols_file: Option<PathBuf>,
    wanted: Option<Vec<String>>,
    /// What wakes the feed when that file was read again.
    waiting_feed: Option<Token>,
    /// The lists of clients are taking symbols that were added; more were added since that began.
    refreshes_lists: bool,
    must_refresh_again: bool,
    /// Some market has no current price although it had one, and that has been logged.
    is_stale: bool,
    /// Silent symbols are being called stale, a turn's share at a time.
    looks_for_silence: bool,
    /// How often the server looks for silent symbols, if at all.
    silence_look: Option<Duration>,
    shutdown: Shutdown,
    /// The number of the last ping.
    heartbeat: u32,
    /// The number of that ping's frame on the tape.
    ping_frame: FrameNumber,
    /// Connections that read on in the next turn.
    unread: VecDeque<Turn>,
    /// Connections that are to be closed.
    closing: CloseQueue,
    /// Where sockets are read into, one at a time.
    scratch: Box<[u8]>,
    /// Where the messages for one client are gathered and packed.
    gather: Gather,
    packing: Packing,
    /// The turn of the loop in which clients have had work done.
    work_turn: u64,
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
        Self::accepting(io_loop, watchable(listener)?, config, symbols)
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
        let on_client = |server: &mut Self, io_loop: &mut _, _, _| {
            server.accept(io_loop, Endpoint::Admin);
        };
        self.acceptor
            .open_admin(io_loop, watchable(listener)?, on_client)
    }
}

impl<S: Transport> Server<S> {
    /// A server that accepts from any kind of listener.
    fn accepting(
        io_loop: &mut IoLoop<Self>,
        listener: S::Listener,
        config: Config,
        symbols: Vec<String>,
    ) -> io::Result<Self> {
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        let on_client = |server: &mut Self, io_loop: &mut _, _, _| {
            server.accept(io_loop, Endpoint::Public);
        };
        let acceptor = Acceptor::new(io_loop, listener, &config, on_client)?;
        let hub = Hub::new(symbols, config.tape_size, config.list_memory);
        let mut hub = hub.map_err(io::Error::other)?;
        hub.set_grain(AGE_GRAIN);
        let server = Self {
            acceptor,
            connections: Connections::default(),
            tls,
            hub,
            broadcast: Broadcast::default(),
            counters: Counters::default(),
            metrics: Metrics::default(),
            recorder: None,
            sources: Sources::default(),
            symbols_file: None,
            wanted: None,
            waiting_feed: None,
            refreshes_lists: false,
            must_refresh_again: false,
            silence_look: None,
            is_stale: false,
            looks_for_silence: false,
            shutdown: Shutdown::default(),
            heartbeat: 0,
            ping_frame: 0,
            unread: VecDeque::new(),
            closing: CloseQueue::default(),
            scratch: vec![0; SCRATCH_LENGTH].into_boxed_slice(),
            gather: Gather::default(),
            packing: Packing::default(),
            work_turn: io_loop.turn_number(),
            started: io_loop.time(),
            config,
        };
        server.start_heartbeat(io_loop);
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.acceptor.address()
    }

    /// Reads the symbols again from `file` on SIGHUP, and has the feed follow them.
    pub fn follow_symbols(&mut self, file: PathBuf) {
        self.symbols_file = Some(file);
    }

    /// An event of a client's socket.
    fn on_ready(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        // A connection that becomes ready while others wait stands behind them.
        let must_wait = self.has_worked_enough(io_loop) || !self.unread.is_empty();
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        let next = connection.on_ready(ready, must_wait, &mut context);
        self.apply(io_loop, token, next);
    }

    /// More may have come than one turn's share.
    fn on_more(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        connection.queued = false;
        let next = connection.on_readable(&mut context);
        self.apply(io_loop, token, next);
    }

    /// Has a connection read on in the next turn; once, however many events ask for it.
    fn resume_read(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if std::mem::replace(&mut connection.queued, true) {
            return;
        }
        if connection.is_securing() {
            self.secure_soon(io_loop, token);
        } else {
            self.take_turn(io_loop, Turn::Read(token));
        }
    }

    fn take_turn(&mut self, io_loop: &mut IoLoop<Self>, turn: Turn) {
        self.unread.push_back(turn);
        if self.unread.len() == 1 {
            io_loop.add_callback(Self::read_some);
        }
    }

    /// Has each of those read on that waited for this turn, as far as there is room for what they
    /// want, and one in any case, so that new events cannot keep all who wait from their turn. Who
    /// was served stands behind the others, so that a few who want much cannot keep them from being
    /// heard.
    fn read_some(&mut self, io_loop: &mut IoLoop<Self>) {
        let mut waiting = std::mem::take(&mut self.unread);
        while let Some(turn) = waiting.pop_front() {
            match turn {
                Turn::Read(token) => self.on_more(io_loop, token),
                Turn::End(token) => self.on_handshake_timeout(io_loop, token),
            }
            if self.has_worked_enough(io_loop) {
                break;
            }
        }
        let is_queued = !self.unread.is_empty();
        waiting.append(&mut self.unread);
        if !is_queued && !waiting.is_empty() {
            io_loop.add_callback(Self::read_some);
        }
        self.unread = waiting;
    }

    /// Whether clients have had as much work done as a turn of the loop has room for. It is counted and
    /// not timed, so that it does not depend on the machine.
    fn has_worked_enough(&mut self, io_loop: &IoLoop<Self>) -> bool {
        let turn = io_loop.turn_number();
        if self.work_turn != turn {
            self.work_turn = turn;
            self.hub.rest();
        }
        self.hub.is_overworked()
    }

    fn apply(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        next: Result<Action, CloseReason>,
    ) {
        if self.hub.take_call() {
            self.broadcast_soon(io_loop);
        }
        self.start_new_periods(io_loop);
        match next {
            Ok(Action::Wait) => {}
            Ok(Action::More) => self.resume_read(io_loop, token),
            Ok(Action::Head { head, unread }) => {
                self.on_head(io_loop, token, head);
                if unread {
                    self.resume_read(io_loop, token);
                }
            }
            Ok(Action::Finished) => self.close(io_loop, token, &CloseReason::Shutdown, &[]),
            Ok(Action::Gone) => self.remove(io_loop, token),
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
    fn on_head(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        head: Result<Request, Rejection>,
    ) {
        match head {
            Ok(Request::Upgrade(upgrade)) => match self.upgrade(io_loop, token, upgrade) {
                Ok(()) => {}
                Err(reason) => self.reject_or_close(io_loop, token, &reason),
            },
            Ok(Request::Page { page, head_only }) => self.serve(io_loop, token, page, head_only),
            Err(rejection) => {
                self.reject_or_close(io_loop, token, &CloseReason::Refused(rejection));
            }
        }
    }

    /// Answers with a page, only with its head if `head_only`, and ends the connection.
    fn serve(&mut self, io_loop: &mut IoLoop<Self>, token: Token, page: Page, head_only: bool) {
        let answer = match page {
            Page::Live => pages::live(head_only),
            Page::Health => pages::health(head_only),
            Page::Ready => pages::ready(&self.readiness(), io_loop.time(), head_only),
            Page::Metrics => {
                let page = self.metrics_page(io_loop);
                let connections = &mut self.connections;
                let has_pending = |token| {
                    let taker = connections.get_mut(token);
                    taker.is_some_and(|connection| connection.has_pending())
                };
                if !self.metrics.take(token, page.len(), has_pending) {
                    let rejection = Rejection {
                        head_only,
                        ..Rejection::unavailable("too many read this page")
                    };
                    let reason = CloseReason::Refused(rejection);
                    return self.reject_or_close(io_loop, token, &reason);
                }
                let response = Response {
                    status: StatusCode::OK,
                    content_type: metrics::CONTENT_TYPE,
                    body: &page,
                };
                response.to_bytes(head_only)
            }
        };
        self.close(io_loop, token, &CloseReason::Served, &answer);
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness {
            hub: &self.hub,
            sources: &self.sources,
            is_stopping: self.shutdown.has_begun(),
        }
    }

    /// The page of `/metrics`, written once in a turn of the loop.
    fn metrics_page(&mut self, io_loop: &IoLoop<Self>) -> Rc<str> {
        let turn = io_loop.turn_number();
        if let Some(page) = self.metrics.page_of(turn) {
            return page;
        }
        let connections = self.connections.iter_mut();
        let slow_clients = connections.filter(|it| it.is_stuck()).count();
        let page = self.metrics.write(&Snapshot {
            now: io_loop.time(),
            counters: &self.counters,
            hub: &self.hub,
            sources: &self.sources,
            lag: io_loop.lag(),
            connections: self.connections.len(),
            slow_clients,
            is_ready: self.readiness().is_ready(),
            unrecorded: self.recorder.as_ref().map_or(0, Recorder::left_out),
            log_lines: crate::log::lost(),
        });
        self.metrics.keep(turn, &page);
        page
    }

    fn upgrade(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        upgrade: Upgrade,
    ) -> Result<(), CloseReason> {
        if self.shutdown.refuses() {
            let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
            return Err(CloseReason::Refused(rejection));
        }
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return Ok(());
        };
        if let Some(timeout) = connection.handshake_timeout() {
            io_loop.remove_timeout(timeout);
        }
        let resuming = upgrade.since.map_or("", |_| ", resuming");
        let opened = connection.open(upgrade, &mut context);
        if let Some(count) = connection
            .symbol_count(context.hub)
            .filter(|_| opened.is_ok())
        {
            let peer = PeerId(connection.socket(), token);
            log::debug!("{peer}: joined, watching {count} symbols{resuming}");
        }
        if opened.is_ok() && connection.is_awaiting() {
            let limit = self.config.resume_wait;
            io_loop.call_later(limit, move |server, io_loop| {
                server.stop_waiting(io_loop, token);
            });
        }
        if self.hub.take_call() {
            self.broadcast_soon(io_loop);
        }
        self.start_new_periods(io_loop);
        opened
    }

    /// A client has waited long enough for the tape to get to a stamp that it has from another server.
    fn stop_waiting(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        match connection.stop_waiting(&mut context) {
            Ok(Progress::Open) if self.hub.take_call() => self.broadcast_soon(io_loop),
            Ok(Progress::Open) => {}
            Ok(Progress::Finished) => self.close(io_loop, token, &CloseReason::Shutdown, &[]),
            Err(reason) => self.close(io_loop, token, &reason, &[]),
        }
    }

    fn reject_or_close(&mut self, io_loop: &mut IoLoop<Self>, token: Token, reason: &CloseReason) {
        let answer = match reason {
            CloseReason::Refused(rejection) => response::reject(rejection),
            _ => Vec::new(),
        };
        self.close(io_loop, token, reason, &answer);
    }

    /// The one place that ends connections, and that logs why. `answer` is the last word to a client
    /// that has not become a WebSocket.
    fn close(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        reason: &CloseReason,
        answer: &[u8],
    ) {
        let (connections, mut context) = self.parts(io_loop.time());
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
            PeerId(connection.socket(), token),
            CloseSummary(reason, answer)
        );
        if let Some(timeout) = connection.handshake_timeout() {
            io_loop.remove_timeout(timeout);
        }
        if connection.close(reason, answer, &mut context) {
            let may_have_unread = connection.may_have_unread();
            let limit = self.config.close_timeout;
            io_loop.call_later(limit, move |server, io_loop| server.remove(io_loop, token));
            if may_have_unread {
                // What had arrived unread has had its event.
                self.resume_read(io_loop, token);
            }
        } else {
            self.remove(io_loop, token);
        }
    }

    /// Has connections closed, the first of them at once if no others wait.
    fn close_many(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        endings: impl IntoIterator<Item = (Token, Ending)>,
    ) {
        if self.closing.add(endings) {
            self.close_some(io_loop);
        }
    }

    /// Closes a turn's share of those that wait for it: fewer where long lists have to be taken out of
    /// the index.
    fn close_some(&mut self, io_loop: &mut IoLoop<Self>) {
        for _ in 0..CLOSES_PER_TURN {
            let Some((token, ending)) = self.closing.next() else {
                break;
            };
            self.end(io_loop, token, ending);
            if self.has_worked_enough(io_loop) {
                break;
            }
        }
        if self.closing.goes_on() {
            io_loop.add_callback(Self::close_some);
        }
    }

    fn end(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ending: Ending) {
        let reason = match ending {
            Ending::Because(reason) => Some(reason),
            Ending::IfOverdue(ping) => self.overdue(io_loop.time(), token, ping),
            Ending::Goodbye => self.send_rest(io_loop.time(), token),
        };
        if let Some(reason) = reason {
            self.reject_or_close(io_loop, token, &reason);
        }
    }

    /// Lets go of a connection that was closed; nothing happens if it is gone.
    fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connections.remove(token) else {
            return;
        };
        self.acceptor.leave(token, connection.endpoint());
        io_loop.close_source(connection.into_socket(), token);
        self.on_removed(io_loop);
    }

    /// The connections, and what one of them needs while it works at `instant`.
    fn parts(&mut self, instant: Instant) -> (&mut Connections<ClientSocket<S>>, Context<'_>) {
        let now = self.uptime(instant);
        let context = Context {
            hub: &mut self.hub,
            gather: &mut self.gather,
            packing: &mut self.packing,
            counters: &mut self.counters,
            config: &self.config,
            scratch: &mut self.scratch,
            now,
            instant,
            heartbeat: self.heartbeat,
        };
        (&mut self.connections, context)
    }

    fn uptime(&self, instant: Instant) -> UptimeMs {
        let since = instant.saturating_duration_since(self.started);
        since.as_millis() as UptimeMs
    }
}

/// A listener as the loop takes it.
fn watchable(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener))
}

/// A turn's share of reading from one client, and room for the longest request head.
const SCRATCH_LENGTH: usize = request::HEAD_LENGTH_MAX;

/// What was printed within this time grows old together, or a hundred thousand ticks a second would
/// have to be remembered one by one. The simulation knows when each of them does.
const AGE_GRAIN: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 1 });

/// How long work that can be cut may hold the loop before it lets others through.
const TURN_SHARE: Duration = Duration::from_millis(1);

/// Connections that are closed in one turn: about a millisecond's work.
const CLOSES_PER_TURN: usize = 64;
