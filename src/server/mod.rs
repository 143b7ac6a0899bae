//! The server: it accepts clients, upgrades them, and publishes the feed's prices on the tape that
//! they read.
//!
//! ```text
//! listener ──▶ connection ──▶ http ──▶ hub: join ──▶ broadcast ──▶ outbox
//!                  │                     ▲   ▲
//!                  └─ frames ─ protocol ─┘   └── publish ◀── feed
//! ```
//!
//! | room | what it does |
//! |---|---|
//! | `scaled` | limits of work that tests lower |
//! | `rejection`, `close` | why clients are rejected, and why connections end |
//! | `admission` | which pages, tokens and addresses may connect |
//! | [`Config`], `counters` | the limits; the counters |
//! | `hub` | symbols, their newest prices, the tape, and who watches what |
//! | `event_stream`, `packing` | server-sent events; the messages of one write |
//! | `context` | a connection's view of all of the above |
//! | `socket`, `outbox` | socket traits; the outgoing half |
//! | `relay` | what a server does about the log that it shares with others |
//! | `protocol`, `http` | the requests of open clients, and the HTTP requests before |
//! | `turns`, `tls`, `peer` | turns in a queue; TLS over a socket; a client's name in the log |
//! | `subscriber`, `connection` | an open client; a client from accept to close |
//! | `connections`, `closing` | all clients; the queue of those to close |
//! | `metrics` | `/metrics` |
//! | `symbol_file`, [`cli`] | the file that lists the symbols; the command line |
//! | [`Server`] | the state, and the consequences of each connection's events |
//! | `listener`, `broadcast`, `liveness`, `shutdown`, `following` | use the loop: accepting, timers, signals, the log |
//!
//! Each room imports only rooms before it in this table, and only the last four and this file use
//! the loop: `tests/imports.rs` checks that.
//!
//! Compared with Tornado's chat demo: [`Server`] is the application, `on_head` is the handler's
//! `open`, `on_message` its `on_message`, `close` its `on_close`, and `publish` puts a price on the
//! tape once; the broadcast then writes it to every client.

#![allow(
    private_bounds,
    reason = "the kind of socket is internal: outside this room there is only one"
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
mod event_stream;
mod following;
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
mod relay;
mod scaled;
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

use self::admission::Advice;
use self::broadcast::Broadcast;
use self::close::CloseReason;
use self::closing::{CloseQueue, Ending};
use self::connection::Action;
use self::connections::Connections;
use self::context::{Context, UptimeMs};
use self::counters::Counters;
use self::http::pages;
use self::http::readiness::Readiness;
use self::http::request::{self, Get, Request};
use self::http::response::{self, Response};
use self::http::router::{Endpoint, Target};
use self::http::selection::select;
use self::http::unread::UnreadAnswers;
use self::http::upgrade::Upgrade;
use self::hub::{Gather, Hub};
use self::listener::acceptor::Acceptor;
use self::metrics::{Metrics, Snapshot};
use self::packing::Packing;
use self::peer::{CloseSummary, PeerId};
use self::rejection::Rejection;
use self::relay::Relay;
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
pub use self::relay::Member;

/// What a source that waits does next.
type SourceCallback<S> = Box<dyn FnOnce(&mut Server<S>, &mut IoLoop<Server<S>>)>;

/// The state of the server's loop. Its sockets are those of the system, or of a simulation.
pub struct Server<S: Transport = TcpStream> {
    config: Config,
    acceptor: Acceptor<S>,
    connections: Connections<ClientSocket<S>>,
    /// The certificate and the handshakes under way, if the server speaks TLS.
    tls: Option<Tls>,
    hub: Hub,
    broadcast: Broadcast,
    counters: Counters,
    /// What the operator was told about pages and names that are refused.
    advice: Advice,
    metrics: Metrics,
    /// The answers that clients have yet to read.
    unread_answers: UnreadAnswers,
    recorder: Option<Recorder>,
    /// If it is one of many servers: what it does about their log.
    relay: Option<Box<Relay>>,
    /// Sources that go on when that log has room.
    waiting_sources: Vec<SourceCallback<S>>,
    /// The feed's state of each source.
    sources: Sources,
    /// The file that lists the symbols, if the feed follows it, and the symbols it had at the last
    /// reload.
    symbols_file: Option<PathBuf>,
    wanted: Option<Vec<String>>,
    /// Wakes the feed after that file was reloaded.
    waiting_feed: Option<Token>,
    /// Clients' lists are taking symbols that were added; more symbols were added since that began.
    refreshes_lists: bool,
    must_refresh_again: bool,
    /// Some market has lost its current price, and the log says so.
    is_stale: bool,
    /// Silent symbols are being marked as stale, one share per turn.
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
    /// The buffer that sockets are read into, one at a time.
    scratch: Box<[u8]>,
    /// Buffers in which the messages for one client are gathered and packed.
    gather: Gather,
    packing: Packing,
    /// The turn of the loop to which the clients' work is charged.
    work_turn: u64,
    started: Instant,
}

impl Server {
    /// Creates a server on `io_loop` that accepts from `listener`, which [`listen`] has bound, and
    /// will publish prices of `symbols`. It serves clients once the loop starts.
    ///
    /// # Errors
    /// When the listener cannot be prepared or watched, or the certificate cannot be used.
    pub fn new(
        io_loop: &mut IoLoop<Self>,
        listener: std::net::TcpListener,
        config: Config,
        symbols: Vec<String>,
    ) -> io::Result<Self> {
        Self::accepting(io_loop, watchable(listener)?, config, symbols)
    }

    /// Serves health and metrics at `listener`, which [`listen`] made. With [`Config::admin`] set,
    /// `/metrics` is served nowhere else.
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
    /// Creates a server that accepts from any kind of listener.
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
            advice: Advice::default(),
            metrics: Metrics::default(),
            unread_answers: UnreadAnswers::default(),
            recorder: None,
            relay: None,
            waiting_sources: Vec::new(),
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

    /// The address that the server listens at.
    pub fn address(&self) -> Option<SocketAddr> {
        self.acceptor.address()
    }

    /// Reads the symbols from `file` again on SIGHUP, and makes the feed follow them.
    pub fn follow_symbols(&mut self, file: PathBuf) {
        self.symbols_file = Some(file);
    }

    /// Handles an event of a client's socket.
    fn on_ready(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        // A connection that becomes ready while others wait queues behind them.
        let must_wait = self.has_worked_enough(io_loop) || !self.unread.is_empty();
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        let next = connection.on_ready(ready, must_wait, &mut context);
        self.apply(io_loop, token, next);
    }

    /// Continues to read from a connection that may have had more than one turn's share.
    fn on_more(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let (connections, mut context) = self.parts(io_loop.time());
        let Some(connection) = connections.get_mut(token) else {
            return;
        };
        connection.queued = false;
        let next = connection.on_readable(&mut context);
        self.apply(io_loop, token, next);
    }

    /// Queues a connection to read on in the next turn, once, however many events ask for it.
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

    /// Lets each connection that waited for this turn read on, as far as the turn has room for its
    /// work. One always gets its turn, so that new events cannot starve the queue. A connection
    /// that was served goes to the end of the queue, so that a few with heavy requests cannot keep
    /// the others from being heard.
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

    /// Whether clients have used up the work that a turn of the loop has room for. Work is counted
    /// and not timed, so that the result does not depend on the machine.
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

    /// Handles a complete request head (Tornado's `open`, or a `RequestHandler`'s `get`).
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
            Ok(Request::Get(get)) => self.serve(io_loop, token, get),
            Err(rejection) => {
                self.reject_or_close(io_loop, token, &CloseReason::Refused(rejection));
            }
        }
    }

    /// Answers a request that is no handshake (a `RequestHandler`'s `get`).
    fn serve(&mut self, io_loop: &mut IoLoop<Self>, token: Token, mut get: Get) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        get.keep_alive &= connection.answered() < self.config.requests_per_connection
            && !self.shutdown.has_begun();
        match self.answer(io_loop, token, &get) {
            Ok(answer) => {
                self.counters.answered(get.target.route());
                if get.keep_alive {
                    self.send_answer(io_loop, token, &answer);
                } else {
                    self.close(io_loop, token, &CloseReason::Served, &answer);
                }
            }
            Err(rejection) => {
                let rejection = rejection.in_form(get.form);
                self.reject_or_close(io_loop, token, &CloseReason::Refused(rejection));
            }
        }
    }

    /// The answer to a request, encoded.
    fn answer(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        token: Token,
        get: &Get,
    ) -> Result<Vec<u8>, Rejection> {
        let now = io_loop.time();
        let encoded = |response: &Response<'_>| Ok(response.to_bytes(&get.form, get.keep_alive));
        match &get.target {
            Target::Live => encoded(&pages::live()),
            Target::Info => {
                let body = self.info();
                encoded(&Response::json(StatusCode::OK, body.as_bytes()))
            }
            Target::Health => encoded(&pages::ok()),
            Target::Ready => {
                let (status, body) = self.readiness(now).page(now);
                encoded(&Response::text(status, &body))
            }
            Target::Metrics => {
                let page = self.metrics_page(io_loop);
                self.reserve_answer(token, page.len())?;
                encoded(&Response {
                    status: StatusCode::OK,
                    content_type: metrics::CONTENT_TYPE,
                    body: page.as_bytes(),
                    tag: None,
                })
            }
            Target::Check(symbols) => {
                self.check(symbols.as_deref())?;
                encoded(&pages::ok())
            }
            Target::Data(data) => {
                self.refuse_late()?;
                let body = data.answer(&mut self.hub, now)?;
                self.reserve_answer(token, body.bytes.len())?;
                let known = get.known.as_deref();
                encoded(&Response::tagged(body.content_type, &body.bytes, known))
            }
            Target::Options => Ok(response::options(&get.form, get.keep_alive)),
        }
    }

    /// Notes that a client gets an answer of this length.
    ///
    /// # Errors
    /// When too many clients have yet to read theirs.
    fn reserve_answer(&mut self, token: Token, length: usize) -> Result<(), Rejection> {
        let connections = &mut self.connections;
        let has_pending = |token| {
            let taker = connections.get_mut(token);
            taker.is_some_and(|connection| connection.has_pending())
        };
        if self.unread_answers.take(token, length, has_pending) {
            Ok(())
        } else {
            Err(Rejection::unavailable(
                "too many clients are reading slowly",
            ))
        }
    }

    /// Sends an answer, and waits for the next request.
    fn send_answer(&mut self, io_loop: &mut IoLoop<Self>, token: Token, answer: &[u8]) {
        let now = self.uptime(io_loop.time());
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if let Some(timeout) = connection.handshake_timeout() {
            io_loop.remove_timeout(timeout);
        }
        if let Err(reason) = connection.answer(answer, now) {
            return self.close(io_loop, token, &reason, &[]);
        }
        let has_pending = connection.has_pending();
        let until = self.limit_idle(io_loop, token, has_pending);
        if let Some(connection) = self.connections.get_mut(token) {
            connection.set_handshake_timeout(until);
        }
    }

    /// What the server is, for programs that find only its address.
    fn info(&self) -> String {
        let (symbols, _) = self.hub.counts();
        pages::info(symbols, self.counters.clients)
    }

    /// How a handshake for these symbols would be answered: browsers hide that from their pages.
    fn check(&mut self, symbols: Option<&[String]>) -> Result<(), Rejection> {
        self.refuse_late()?;
        let list = select(symbols, &mut self.hub)?;
        self.hub.give_back(list);
        Ok(())
    }

    /// Refuses clients that come during the shutdown, or before there are prices for them.
    fn refuse_late(&self) -> Result<(), Rejection> {
        if self.shutdown.refuses() {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Rejection::new(status, "shutting down"));
        }
        match &self.relay {
            Some(relay) if !relay.is_open() => Err(Rejection::unavailable("no prices yet")),
            _ => Ok(()),
        }
    }

    fn readiness(&self, now: Instant) -> Readiness<'_> {
        Readiness {
            hub: &self.hub,
            sources: &self.sources,
            is_stopping: self.shutdown.has_begun(),
            relay: self.relay.as_deref(),
            now,
        }
    }

    /// The page of `/metrics`, written once per turn of the loop.
    fn metrics_page(&mut self, io_loop: &IoLoop<Self>) -> Rc<str> {
        let turn = io_loop.turn_number();
        if let Some(page) = self.metrics.page_of(turn) {
            return page;
        }
        let connections = self.connections.iter_mut();
        let slow_clients = connections
            .filter(|connection| connection.is_stuck())
            .count();
        let page = self.metrics.write(&Snapshot {
            now: io_loop.time(),
            counters: &self.counters,
            hub: &self.hub,
            sources: &self.sources,
            relay: self.relay.as_deref(),
            lag: io_loop.lag(),
            connections: self.connections.len(),
            slow_clients,
            is_ready: self.readiness(io_loop.time()).is_ready(),
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
        self.refuse_late().map_err(CloseReason::Refused)?;
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

    /// Ends a client's wait for the tape to reach a stamp that it has from another server.
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
            CloseReason::Refused(rejection) => {
                if let Some(advice) = &rejection.advice {
                    self.advice.give(advice);
                }
                response::reject(rejection)
            }
            _ => Vec::new(),
        };
        self.close(io_loop, token, reason, &answer);
    }

    /// The only place that ends connections and logs why. `answer` is the final response to a
    /// client that has not become a WebSocket.
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
        // Without keys nothing can be sent, and the log must not claim otherwise.
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
                // The event for the bytes that are still unread has passed.
                self.resume_read(io_loop, token);
            }
        } else {
            self.remove(io_loop, token);
        }
    }

    /// Queues connections to be closed; the first are closed at once if no others wait.
    fn close_many(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        endings: impl IntoIterator<Item = (Token, Ending)>,
    ) {
        if self.closing.add(endings) {
            self.close_some(io_loop);
        }
    }

    /// Closes a turn's share of the queue: fewer where long lists have to be taken out of the
    /// index.
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
            Ending::Shutdown => self.send_rest(io_loop.time(), token),
        };
        if let Some(reason) = reason {
            self.reject_or_close(io_loop, token, &reason);
        }
    }

    /// Removes a connection that was closed; does nothing if it is already gone.
    fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connections.remove(token) else {
            return;
        };
        self.acceptor.leave(token, connection.endpoint());
        io_loop.close_source(connection.into_socket(), token);
        self.on_removed(io_loop);
    }

    /// The connections, and the context in which one of them works at `instant`.
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

/// Turns a listener into one that the loop can watch.
fn watchable(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener))
}

/// A turn's share of reading from one client, and room for the longest request head.
const SCRATCH_LENGTH: usize = request::HEAD_LENGTH_MAX;

/// Ticks published within this time grow old together, or a hundred thousand ticks a second would
/// have to be remembered one by one. The simulation needs each tick's own age.
const AGE_GRAIN: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 1 });

/// How long work that can be cut may hold the loop before it lets others through.
const TURN_SHARE: Duration = Duration::from_millis(1);

/// Connections closed in one turn: about a millisecond's work.
const CLOSES_PER_TURN: usize = 64;
