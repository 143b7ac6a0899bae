//! The load client: many connections on one loop that measure what a server delivers.
//!
//! A run has phases: all connections **join**, the clocks are compared if that is asked for
//! (**syncing**), then they listen unmeasured (**warm up**), then **measured**, then they **await**
//! the replies to the last requests, then they **close**. Its limits (`limits.rs`) make it end in
//! any case: `--connect-timeout` bounds the joining of each connection, the clock that of all and
//! the phases in the middle, two seconds the awaiting and closing.
//!
//! ```text
//! options ─▶ Client ─┬─ traffic     opens, serves and ends the connections
//!           (phases) │   ├─ connector   where to, from where, how many at a time
//!                    │   ├─ returning   clients that come anew, or back ─ seat
//!                    │   └─ connection  one socket's states ─ stream (tls), handshake, inbox ─ codec
//!                    ├─ asking      sends requests and pings
//!                    ├─ statistics  what is counted ─ fields, sequences, schedule, requests, sync
//!                    │              apart: what is not counted as usual
//!                    ├─ intervals   the same by the second
//!                    ├─ live        progress (where the run stands), print (the ticks)
//!                    └─ summary     the numbers ─ report (as JSON), table (as text), warnings
//!                                   ─ outputs (into files): csv, hdr_log, plot
//! processes ─▶ share of each ─▶ outcome of each ─▶ summed up as that of one Client
//! ```

mod apart;
mod asking;
mod clock;
mod codec;
mod connection;
mod connector;
pub mod csv;
mod failure;
pub mod fields;
pub mod figures;
mod handshake;
pub mod hdr_log;
mod inbox;
pub mod intervals;
mod limits;
mod live;
mod moment;
pub mod options;
mod outcome;
pub mod outputs;
pub mod plot;
pub mod print;
pub mod processes;
mod progress;
pub mod report;
pub mod requests;
mod returning;
mod schedule;
mod seat;
mod sequences;
mod shape;
pub mod share;
mod statistics;
mod stream;
mod summary;
mod sync;
mod table;
mod table_figures;
mod tally;
pub mod thresholds;
mod tls;
mod traffic;
pub mod url;
mod warnings;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use self::clock::StepWatch;
use self::connection::{Connection, State};
use self::connector::Connector;
use self::failure::Failure;
use self::intervals::Recorder;
use self::moment::Moment;
use self::options::Config;
use self::processes::Member;
use self::progress::Progress;
use self::report::Report;
use self::requests::Timetable;
use self::returning::Churn;
use self::seat::{Seat, Seats};
use self::share::{Line, News};
use self::statistics::Statistics;
use self::tally::Tally;
use self::tls::Secrets;
use crate::io_loop::{IoLoop, Ready, Timeout};
use crate::periodic::PeriodicCallback;

/// Connects, listens and counts as `config` says. A signal ends it early, with a report all the
/// same.
///
/// # Errors
/// When the host is not known or the system gives no poll descriptor. What happens to connections
/// is in the report.
pub fn run(config: Config, signals: Option<Signals>) -> io::Result<Report> {
    let mut client = listen(config, signals)?;
    client.finish_output();
    Ok(summary::of(&client))
}

/// The loop of [`run`] and of a [`share`].
fn listen(config: Config, signals: Option<Signals>) -> io::Result<Client> {
    let addresses = config.url.resolve()?;
    let secrets = secrets(&config)?;
    let mut io_loop = IoLoop::new()?;
    let mut client = Client::new(config, addresses, &io_loop);
    client.secrets = secrets;
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, Client::on_signal)?;
        client.signals = Some(signals);
    }
    PeriodicCallback::start(&mut io_loop, HEARTBEAT, Client::on_heartbeat);
    client.begin_output(&mut io_loop)?;
    io_loop.add_callback(Client::open_more);
    let limit = client.began.at + client.config.joining_limit();
    io_loop.call_at(limit, Client::end_joining);
    if client.config.share.is_some() {
        client.join_crew(&mut io_loop)?;
    }
    io_loop.start(&mut client)?;
    Ok(client)
}

/// What TLS needs, if there is to be any.
fn secrets(config: &Config) -> io::Result<Option<Secrets>> {
    if !config.url.is_secure() {
        return Ok(None);
    }
    let roots = config.access.roots().map_err(io::Error::other)?;
    Secrets::new(config.url.host(), &roots, config.access.insecure).map(Some)
}

/// The state of the client's loop.
struct Client {
    config: Config,
    phase: Phase,
    secrets: Option<Secrets>,
    connector: Connector,
    /// Whether [`open_more`](Self::open_more) is queued, so that there is only one of it.
    opening: bool,
    /// When the ramp lets the next one be opened.
    ramp_timeout: Option<Timeout>,
    seats: Seats,
    /// Clients that come back as soon as there is room.
    returning: VecDeque<Seat>,
    churn: Option<Churn>,
    /// By the slot of their token.
    connections: Vec<Option<Connection>>,
    /// All connections read into this one, so that none owns a buffer.
    scratch: Box<[u8]>,
    statistics: Statistics,
    tally: Tally,
    /// When requests are due; none before the first is.
    timetable: Option<Timetable>,
    /// What the ids of requests begin with: no number that a server would give to something else.
    first_id: u64,
    /// When the first comparison of the clocks is given up.
    sync_until: Option<Instant>,
    steps: StepWatch,
    began: Moment,
    joined: Option<Moment>,
    window_began: Option<Moment>,
    ended: Option<Moment>,
    /// Whether the window ended before its time because it began too late.
    cut_short: bool,
    signals: Option<Signals>,
    /// To the process that started this one.
    line: Option<Line>,
    /// The processes that this one has started.
    crew: Vec<Member>,
    /// The window, second by second; none before it.
    recorder: Option<Recorder>,
    progress: Option<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connections are being opened and upgraded.
    Joining,
    /// All have joined or failed. The clocks are compared.
    Syncing,
    /// So far this process has got; others may not have.
    Gathering,
    /// Nothing counts yet.
    WarmingUp,
    /// What arrives counts.
    Measuring,
    /// Replies to requests of the window may still come.
    Awaiting,
    /// Close frames are out; the servers have their time to answer.
    Closing,
}

impl Phase {
    /// Whether the measured window has ended, or will never begin.
    fn is_over(self) -> bool {
        matches!(self, Self::Awaiting | Self::Closing)
    }
}

impl Client {
    fn new(config: Config, addresses: Vec<SocketAddr>, io_loop: &IoLoop<Self>) -> Self {
        let mut connector =
            Connector::new(addresses, config.clients, config.in_flight, config.ramp);
        if let Some((number, of)) = config.share {
            connector.share_sources(number, of);
        }
        let statistics = Statistics::new(&config);
        Self {
            progress: Progress::of(&config),
            began: Moment::now(config.pid, io_loop.lag()),
            seats: Seats::new(config.clients, config.shape.slow),
            returning: VecDeque::new(),
            ramp_timeout: None,
            churn: None,
            cut_short: false,
            line: None,
            crew: Vec::new(),
            config,
            phase: Phase::Joining,
            secrets: None,
            connector,
            opening: true,
            connections: Vec::new(),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            statistics,
            tally: Tally::default(),
            timetable: None,
            first_id: fastrand::u64(1 << 40..1 << 50),
            sync_until: None,
            steps: StepWatch::new(),
            joined: None,
            window_began: None,
            ended: None,
            signals: None,
            recorder: None,
        }
    }

    /// Enters the next phase if what the present one waits for has happened.
    fn proceed(&mut self, io_loop: &mut IoLoop<Self>) {
        let none_open = self.tally.is_nobody_there();
        match self.phase {
            Phase::Joining if !self.connector.is_done() => {}
            Phase::Joining if none_open => self.end(io_loop),
            Phase::Joining if self.config.sync => {
                self.phase = Phase::Syncing;
                self.begin_sync(io_loop);
            }
            Phase::Joining => self.gather(io_loop),
            Phase::Closing if self.tally.alive == 0 => io_loop.stop(),
            Phase::Closing => {}
            _ if none_open => self.end(io_loop),
            _ => {}
        }
    }

    /// Waits for the other processes, if there are any, or goes on.
    fn gather(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.line.is_some() {
            self.phase = Phase::Gathering;
            self.tell(&News::Joined);
        } else {
            self.warm_up(io_loop);
        }
    }

    fn warm_up(&mut self, io_loop: &mut IoLoop<Self>) {
        self.phase = Phase::WarmingUp;
        self.joined = Some(self.moment(io_loop));
        self.begin_churn(io_loop);
        if self.config.warmup.is_zero() {
            self.measure(io_loop);
        } else {
            io_loop.call_later(self.config.warmup, Self::measure);
        }
        // Behind the window's beginning if it is now, so that the first request counts.
        self.begin_requests(io_loop);
    }

    fn measure(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::WarmingUp {
            let now = self.moment(io_loop);
            let end = now.at + self.config.duration;
            let limit = self.began.at + self.config.window_limit();
            self.cut_short = limit < end;
            io_loop.call_at(end.min(limit), Self::end_measured);
            self.tally.listened_until = Some(now.at);
            self.record_intervals(io_loop, now.at);
            self.window_began = Some(now);
            self.statistics.begin_window();
            self.phase = Phase::Measuring;
            self.tell(&News::Measuring);
        }
    }

    /// Ends the window when its time has come, unless it has ended before.
    fn end_measured(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.end(io_loop);
        }
    }

    /// Ends the measuring, or whatever phase there is, then the waiting for replies.
    fn end(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase.is_over() {
            self.begin_closing(io_loop);
            return;
        }
        let was_measuring = self.phase == Phase::Measuring;
        self.phase = Phase::Awaiting;
        if was_measuring {
            self.end_window(io_loop);
        }
        let ended = self.moment(io_loop);
        if was_measuring {
            self.record_interval(ended.at);
        }
        self.statistics.measuring = false;
        self.tally.change_open(|open| open);
        self.tally.listened_until = None;
        self.ended = Some(ended);
        self.tell(&News::Ended);
        self.connector.stop();
        io_loop.call_later(CLOSE_TIMEOUT, |_, io_loop| io_loop.stop());
        if self.awaits_replies() {
            io_loop.call_later(REPLY_TIMEOUT, Self::begin_closing);
        } else {
            self.begin_closing(io_loop);
        }
    }

    fn begin_closing(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.end_requests();
            self.record_late_replies();
            self.close_from(io_loop, 0);
        }
    }

    /// Closes the connections from the slot `first` on, a slice per turn.
    fn close_from(&mut self, io_loop: &mut IoLoop<Self>, first: usize) {
        let end = self.connections.len().min(first + CONNECTIONS_PER_TURN);
        for index in first..end {
            self.close(io_loop, index);
        }
        if end < self.connections.len() {
            io_loop.add_callback(move |client, io_loop| client.close_from(io_loop, end));
        }
        self.proceed(io_loop);
    }

    fn close(&mut self, io_loop: &mut IoLoop<Self>, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let token = connection.token;
        let is_slow = connection.seat.slow;
        let is_deaf = !connection.has_heard();
        match connection.state {
            State::Open(_) => {
                let closed = connection.close();
                if is_deaf && !is_slow {
                    self.statistics.failure(&Failure::NoTick);
                }
                if closed.is_err() {
                    self.remove(io_loop, token);
                } else if is_slow {
                    // From here on it reads as others do, or it would not see the answer.
                    self.drain(io_loop, token);
                }
            }
            State::Connecting(_) | State::Handshaking(_) => self.remove(io_loop, token),
            State::Closing(_) | State::Draining => {}
        }
    }

    /// Makes the loop measure how late it is, also while all it does is listen, and looks at what
    /// nothing else would tell.
    fn on_heartbeat(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.steps.look();
        }
        if self.phase == Phase::Awaiting && !self.awaits_replies() {
            self.begin_closing(io_loop);
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

/// What one read takes at most: big enough that a backlog is cheap, small enough for the caches.
const SCRATCH_SIZE: usize = 64 * 1024;

/// Connects, or close frames, in one turn: a fraction of a millisecond's work.
const CONNECTIONS_PER_TURN: usize = 32;

/// How often the loop measures how late it is.
const HEARTBEAT: Duration = Duration::from_millis(10);

/// How long replies may take after the window.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long servers may take for the closing handshake, and those replies.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
