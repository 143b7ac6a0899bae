//! The load client: many connections on one loop that measure what a server delivers.
//!
//! A run has phases: all connections **join**, then they listen unmeasured (**warm up**), then
//! **measured**, then they **close**. Its limits make it end in any case: `--connect-timeout` bounds
//! the joining of each connection, the clock the two phases in the middle, two seconds the closing.
//!
//! ```text
//! options ─▶ Client ─┬─ connector   where to, from where, how many at a time
//!                    ├─ connection  one socket's states ── handshake, inbox
//!                    ├─ statistics  what is counted ────── sequences
//!                    └─ report      the numbers ────────── table, as text
//! ```

mod connection;
mod connector;
mod failure;
mod handshake;
mod inbox;
mod moment;
pub mod options;
pub mod report;
mod sequences;
mod statistics;
mod table;
pub mod url;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use self::connection::{Connection, Progress, State};
use self::connector::{Connector, Next};
use self::failure::Failure;
use self::handshake::Handshake;
use self::moment::Moment;
use self::options::Config;
use self::report::Report;
use self::statistics::Statistics;
use crate::io_loop::{IoLoop, Ready, slot};
use crate::periodic::PeriodicCallback;

/// Connects, listens and counts as `config` says. A signal ends it early, with a report all the
/// same.
///
/// # Errors
/// When the host is not known or the system gives no poll descriptor. What happens to connections
/// is in the report.
pub fn run(config: Config, signals: Option<Signals>) -> io::Result<Report> {
    let addresses = config.url.resolve()?;
    let mut io_loop = IoLoop::new()?;
    let mut client = Client::new(config, addresses, &io_loop);
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, Client::on_signal)?;
        client.signals = Some(signals);
    }
    // Nothing else would make the loop measure how late it is while all it does is listen.
    PeriodicCallback::start(&mut io_loop, HEARTBEAT, |_: &mut Client, _| {});
    io_loop.add_callback(Client::open_more);
    io_loop.start(&mut client)?;
    Ok(Report::of(&client))
}

/// The state of the client's loop.
struct Client {
    config: Config,
    phase: Phase,
    connector: Connector,
    /// Whether [`open_more`](Self::open_more) is queued, so that there is only one of it.
    opening: bool,
    /// By the slot of their token.
    connections: Vec<Option<Connection>>,
    /// All connections read into this one, so that none owns a buffer.
    scratch: Box<[u8]>,
    statistics: Statistics,
    tally: Tally,
    began: Moment,
    joined: Option<Moment>,
    window_began: Option<Moment>,
    ended: Option<Moment>,
    signals: Option<Signals>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connections are being opened and upgraded.
    Joining,
    /// All have joined or failed. Nothing counts yet.
    WarmingUp,
    /// What arrives counts.
    Measuring,
    /// Close frames are out; the servers have their time to answer.
    Closing,
}

/// How many connections there are, were, and for how long.
#[derive(Debug, Default)]
struct Tally {
    /// All that exist, in whatever state.
    alive: usize,
    /// Those that are open now.
    open: usize,
    /// Those that have ever joined.
    joined: usize,
    /// Those that never will.
    failed: usize,
    /// How long connections have been open in the measured window, summed over all.
    listened: Duration,
    /// Until when that has been summed up; none outside the window.
    listened_until: Option<Instant>,
}

impl Client {
    fn new(config: Config, addresses: Vec<SocketAddr>, io_loop: &IoLoop<Self>) -> Self {
        let connector = Connector::new(addresses, config.clients, config.in_flight, config.ramp);
        Self {
            began: Moment::now(config.pid, io_loop.lag()),
            config,
            phase: Phase::Joining,
            connector,
            opening: true,
            connections: Vec::new(),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            statistics: Statistics::new(),
            tally: Tally::default(),
            joined: None,
            window_began: None,
            ended: None,
            signals: None,
        }
    }

    /// Opens what may be opened now, a slice per turn.
    fn open_more(&mut self, io_loop: &mut IoLoop<Self>) {
        for _ in 0..CONNECTIONS_PER_TURN {
            match self.connector.next(Instant::now()) {
                Next::Open => self.open(io_loop),
                Next::At(due) => {
                    io_loop.call_at(due, Self::open_more);
                    return;
                }
                Next::Wait | Next::Done => {
                    self.opening = false;
                    self.proceed(io_loop);
                    return;
                }
            }
        }
        io_loop.add_callback(Self::open_more);
    }

    fn open(&mut self, io_loop: &mut IoLoop<Self>) {
        let began = Instant::now();
        if let Err(failure) = self.try_open(io_loop, began) {
            self.connector.landed();
            self.tally.failed += 1;
            self.statistics.failure(&failure);
        }
    }

    fn try_open(&mut self, io_loop: &mut IoLoop<Self>, began: Instant) -> Result<(), Failure> {
        let mut socket = self.connector.open()?;
        let peer = self.connector.peer();
        let token = io_loop
            .add_handler(
                &mut socket,
                Interest::READABLE | Interest::WRITABLE,
                Self::on_event,
            )
            .map_err(|error| Failure::connect(peer, error))?;
        let limit = began + self.config.connect_timeout;
        let timeout = io_loop.call_at(limit, move |client, io_loop| {
            client.on_timeout(io_loop, token);
        });
        let handshake = Handshake::new(&self.config.url);
        let connection = Connection::new(socket, (token, timeout), peer, began, handshake);
        if self.connections.len() <= slot(token) {
            self.connections.resize_with(slot(token) + 1, || None);
        }
        self.connections[slot(token)] = Some(connection);
        self.tally.alive += 1;
        Ok(())
    }

    fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(slot(token))?.as_mut();
        connection.filter(|connection| connection.token == token)
    }

    fn on_event(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        match self.connection(token).and_then(|it| it.unfinished.as_mut()) {
            // A callback is queued that will see to this as well.
            Some(unfinished) => {
                unfinished.writable |= ready.writable;
                unfinished.closed |= ready.closed;
            }
            None => self.serve(io_loop, token, ready),
        }
    }

    fn go_on(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let unfinished = self.connection(token).and_then(|it| it.unfinished.take());
        if let Some(ready) = unfinished {
            self.serve(io_loop, token, ready);
        }
    }

    fn serve(&mut self, io_loop: &mut IoLoop<Self>, token: Token, ready: Ready) {
        let Some(Some(connection)) = self.connections.get_mut(slot(token)) else {
            return;
        };
        let was_joining = connection.is_joining();
        let progress = connection.on_ready(ready, &mut self.scratch, &mut self.statistics);
        let has_joined = was_joining && !connection.is_joining();
        if let Ok(Progress::Unfinished) = progress {
            connection.unfinished = Some(ready);
            io_loop.add_callback(move |client, io_loop| client.go_on(io_loop, token));
        }
        if has_joined {
            self.on_join(io_loop, token);
        }
        if let Err(failure) = progress {
            self.on_end(io_loop, token, &failure);
        }
    }

    fn on_join(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if let Some(connection) = self.connection(token) {
            io_loop.remove_timeout(connection.timeout);
        }
        self.tally.joined += 1;
        self.tally.change_open(|open| open + 1);
        self.on_landing(io_loop);
    }

    /// One less in flight: room for the next, or the end of the joining.
    fn on_landing(&mut self, io_loop: &mut IoLoop<Self>) {
        self.connector.landed();
        if !self.opening {
            self.opening = true;
            io_loop.add_callback(Self::open_more);
        }
    }

    fn on_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let limit = self.config.connect_timeout;
        let failure = match self.connection(token).map(|it| (&it.state, it.peer)) {
            Some((State::Connecting(_), peer)) => Failure::ConnectTimedOut(peer, limit),
            Some((State::Handshaking(_), _)) => Failure::HandshakeTimedOut(limit),
            _ => return,
        };
        self.on_end(io_loop, token, &failure);
    }

    /// The one place where a connection's end is counted.
    fn on_end(&mut self, io_loop: &mut IoLoop<Self>, token: Token, failure: &Failure) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        let peer = connection.peer;
        let state = std::mem::replace(&mut connection.state, State::Draining);
        if failure.is_answered() && !matches!(state, State::Draining) {
            // What remains is to see the server end the stream.
            self.drain(io_loop, token);
        } else {
            self.remove(io_loop, token);
        }
        match state {
            State::Connecting(_) | State::Handshaking(_) => {
                let elsewhere = self.tally.joined == 0 && failure.is_unreachable();
                if !(elsewhere && self.connector.fall_back(peer)) {
                    self.tally.failed += 1;
                    self.statistics.failure(failure);
                }
                self.on_landing(io_loop);
            }
            State::Open(_) => {
                self.tally.change_open(|open| open - 1);
                self.statistics.failure(failure);
            }
            State::Closing(_) | State::Draining => {}
        }
        self.proceed(io_loop);
    }

    /// Reads on for the end of the stream, which the last event may have told already.
    fn drain(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let Some(connection) = self.connection(token) else {
            return;
        };
        connection.unfinished = Some(Ready {
            readable: true,
            writable: false,
            closed: true,
        });
        io_loop.add_callback(move |client, io_loop| client.go_on(io_loop, token));
    }

    /// The one place where a connection goes.
    fn remove(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(slot(token)).and_then(Option::take);
        if let Some(mut connection) = connection {
            io_loop.remove_timeout(connection.timeout);
            // It can only fail for a socket that is not watched, and then all is well.
            let _ = io_loop.remove_handler(&mut connection.socket, token);
            self.tally.alive -= 1;
        }
    }

    /// Enters the next phase if what the present one waits for has happened.
    fn proceed(&mut self, io_loop: &mut IoLoop<Self>) {
        let none_open = self.tally.open == 0;
        match self.phase {
            Phase::Joining if !self.connector.is_done() => {}
            Phase::Joining if none_open => self.end(io_loop),
            Phase::Joining => self.warm_up(io_loop),
            Phase::WarmingUp | Phase::Measuring if none_open => self.end(io_loop),
            Phase::Closing if self.tally.alive == 0 => io_loop.stop(),
            Phase::WarmingUp | Phase::Measuring | Phase::Closing => {}
        }
    }

    fn warm_up(&mut self, io_loop: &mut IoLoop<Self>) {
        self.phase = Phase::WarmingUp;
        self.joined = Some(self.moment(io_loop));
        if self.config.warmup.is_zero() {
            self.measure(io_loop);
        } else {
            io_loop.call_later(self.config.warmup, Self::measure);
        }
    }

    fn measure(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::WarmingUp {
            let now = self.moment(io_loop);
            io_loop.call_at(now.at + self.config.duration, Self::end);
            self.tally.listened_until = Some(now.at);
            self.window_began = Some(now);
            self.statistics.measuring = true;
            self.phase = Phase::Measuring;
        }
    }

    /// Ends the measuring, or whatever phase there is, and begins the closing.
    fn end(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Closing {
            return;
        }
        self.statistics.measuring = false;
        self.tally.change_open(|open| open);
        self.tally.listened_until = None;
        self.ended = Some(self.moment(io_loop));
        self.phase = Phase::Closing;
        self.connector.stop();
        io_loop.call_later(CLOSE_TIMEOUT, |_, io_loop| io_loop.stop());
        self.close_from(io_loop, 0);
        self.proceed(io_loop);
    }

    /// Closes the connections from the slot `first` on, a slice per turn.
    fn close_from(&mut self, io_loop: &mut IoLoop<Self>, first: usize) {
        let end = self.connections.len().min(first + CONNECTIONS_PER_TURN);
        for index in first..end {
            if let Some(connection) = &mut self.connections[index] {
                let token = connection.token;
                let is_deaf = !connection.is_joining() && !connection.has_heard();
                let was_open = matches!(connection.state, State::Open(_));
                let closed = connection.close();
                if was_open && is_deaf {
                    self.statistics.failure(&Failure::NoTick);
                }
                let gone = closed.is_err() || connection.is_joining();
                if gone {
                    self.remove(io_loop, token);
                }
            }
        }
        if end < self.connections.len() {
            io_loop.add_callback(move |client, io_loop| client.close_from(io_loop, end));
        }
    }

    fn moment(&self, io_loop: &IoLoop<Self>) -> Moment {
        Moment::now(self.config.pid, io_loop.lag())
    }

    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let signals = self.signals.as_mut();
        if signals.is_some_and(|signals| signals.pending().next().is_some()) {
            self.end(io_loop);
        }
    }
}

impl Tally {
    /// Changes the number of open connections, after summing up what it has been until now.
    fn change_open(&mut self, change: impl FnOnce(usize) -> usize) {
        if let Some(until) = &mut self.listened_until {
            let now = Instant::now();
            let open = u32::try_from(self.open).unwrap_or(u32::MAX);
            self.listened += (now - *until) * open;
            *until = now;
        }
        self.open = change(self.open);
    }
}

/// What one read takes at most: big enough that a backlog is cheap, small enough for the caches.
const SCRATCH_SIZE: usize = 64 * 1024;

/// Connects, or close frames, in one turn: a fraction of a millisecond's work.
const CONNECTIONS_PER_TURN: usize = 32;

/// How often the loop measures how late it is.
const HEARTBEAT: Duration = Duration::from_millis(10);

/// How long servers may take for the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
