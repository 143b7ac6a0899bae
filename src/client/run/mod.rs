//! The load client: many connections on one loop that measure what a server delivers.
//!
//! Where to is looked up first (`resolving.rs`), and which symbols there are to watch, if each client
//! is to have its own (`listing.rs`). A run has phases (`phases.rs`): all connections
//! **join**, the clocks are compared if that is asked for (**syncing**), then they listen
//! unmeasured (**warm up**), then **measured**, then they **await** the replies to the last
//! requests, then they **close**. Its limits (`limits.rs`) make it end in any case:
//! `--connect-timeout` bounds the joining of each connection, the clock that of all and the phases
//! in the middle, two seconds the awaiting and closing.
//!
//! ```text
//! options ─▶ Client ─┬─ traffic     opens, serves and ends the connections
//!           (phases) │   ├─ connector   where to, from where, how many at a time
//!                    │   ├─ watchlists  which symbols each client asks for
//!                    │   ├─ places      what is due at a client while it is away
//!                    │   ├─ returning   clients that come anew, or back ─ seat
//!                    │   └─ connection  one socket's states ─ stream (tls), handshake, inbox ─ codec
//!                    ├─ asking      sends requests and pings
//!                    ├─ statistics  what is counted ─ fields, sequences, schedule, requests, sync
//!                    │              apart: what is not counted as usual
//!                    ├─ intervals   the same by the second
//!                    ├─ heartbeat   how late the client itself is
//!                    ├─ live        progress (where the run stands), print (the ticks)
//!                    └─ summary     the numbers ─ report (as JSON), table (as text), warnings
//!                                   ─ outputs (into files): csv, hdr_log, plot
//! processes ─▶ share of each ─▶ outcome of each ─▶ summed up as that of one Client
//! ```

mod connections;
mod connector;
pub(super) mod loop_lag;
pub(super) mod open_loop;
mod output;
pub(super) mod phases;
pub(super) mod places;
mod prepare;
pub(super) mod progress;
mod requester;
pub(super) mod resolve;
mod returns;
pub(super) mod snapshot;
pub(super) mod symbol_list;
pub mod tick_printer;
pub(super) mod users;
pub(super) mod watchlists;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, PeriodicCallback, Ready, Timeout};
use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::measure::clock::StepWatch;
use crate::client::measure::observer::Statistics;
use crate::client::measure::recorder::Recorder;
use crate::client::measure::tally::Tally;
use crate::client::report::{Report, build};
use crate::client::run::connector::Connector;
use crate::client::run::loop_lag::Heartbeat;
use crate::client::run::open_loop::Timetable;
use crate::client::run::phases::Phase;
use crate::client::run::places::Place;
use crate::client::run::progress::Progress;
use crate::client::run::returns::Churn;
use crate::client::run::snapshot::Moment;
use crate::client::run::users::{Seat, Seats};
use crate::client::run::watchlists::Watchlists;
use crate::client::workers::coordinator::Member;
use crate::client::workers::worker::Line;
use crate::client::ws::connection::Connection;
use crate::client::ws::tls::Secrets;

/// Connects, listens and counts as `config` says. A signal ends it early, with a report all the
/// same.
///
/// # Errors
/// When the host is not known or the system gives no poll descriptor. What happens to connections
/// is in the report.
pub fn run(config: Config, signals: Option<Signals>) -> io::Result<Report> {
    let mut client = listen(config, signals)?;
    client.finish_output();
    Ok(build::of(&client))
}

/// The loop of [`run`] and of a [`share`].
pub(in crate::client) fn listen(
    mut config: Config,
    mut signals: Option<Signals>,
) -> io::Result<Client> {
    let mut began = Instant::now();
    let addresses = match config.addresses.as_slice() {
        [] => resolve::resolve(&config.url, signals.as_mut())?,
        known => known.to_vec(),
    };
    let secrets = secrets(&config)?;
    if let Some(watch) = &mut config.watch {
        watch.settle_seed();
    }
    let server = (&*addresses, secrets.as_ref());
    let lists = symbol_list::watchlists(&config, server, signals.as_mut())?;
    if lists.is_some() {
        // The question has its own limit.
        began = Instant::now();
    }
    let mut io_loop = IoLoop::new()?;
    let mut client = Client::new(config, addresses);
    client.began.at = began;
    client.secrets = secrets;
    client.lists = lists;
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, Client::on_signal)?;
        client.signals = Some(signals);
    }
    PeriodicCallback::start(&mut io_loop, loop_lag::INTERVAL, Client::on_heartbeat);
    client.heartbeat = Heartbeat::new(Instant::now());
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
pub(in crate::client) fn secrets(config: &Config) -> io::Result<Option<Secrets>> {
    if !config.url.is_secure() {
        return Ok(None);
    }
    let roots = config.access.roots().map_err(io::Error::other)?;
    Secrets::new(config.url.host(), &roots, config.access.insecure).map(Some)
}

/// The state of the client's loop.
pub(in crate::client) struct Client {
    pub(in crate::client) config: Config,
    pub(in crate::client) phase: Phase,
    pub(in crate::client) secrets: Option<Secrets>,
    /// What each client draws its symbols from, if it has its own.
    pub(in crate::client) lists: Option<Watchlists>,
    pub(in crate::client) connector: Connector,
    /// Whether [`open_more`](Self::open_more) is queued, so that there is only one of it.
    pub(in crate::client) opening: bool,
    /// When the ramp lets the next one be opened.
    pub(in crate::client) ramp_timeout: Option<Timeout>,
    pub(in crate::client) seats: Seats,
    /// By the number of the client.
    pub(in crate::client) places: Vec<Place>,
    /// Clients that come back as soon as there is room.
    pub(in crate::client) returning: VecDeque<Seat>,
    pub(in crate::client) churn: Option<Churn>,
    /// By the slot of their token.
    pub(in crate::client) connections: Vec<Option<Connection>>,
    /// All connections read into this one, so that none owns a buffer.
    pub(in crate::client) scratch: Box<[u8]>,
    pub(in crate::client) statistics: Statistics,
    pub(in crate::client) tally: Tally,
    /// When requests are due; none before the first is.
    pub(in crate::client) timetable: Option<Timetable>,
    /// When the first comparison of the clocks is given up.
    pub(in crate::client) sync_until: Option<Instant>,
    pub(in crate::client) steps: StepWatch,
    pub(in crate::client) heartbeat: Heartbeat,
    pub(in crate::client) began: Moment,
    pub(in crate::client) joined: Option<Moment>,
    pub(in crate::client) window_began: Option<Moment>,
    pub(in crate::client) ended: Option<Moment>,
    /// Whether the window ended before its time because it began too late.
    pub(in crate::client) cut_short: bool,
    /// Whether it ended before its time because nobody was there any more.
    pub(in crate::client) all_lost: bool,
    pub(in crate::client) signals: Option<Signals>,
    /// To the process that started this one.
    pub(in crate::client) line: Option<Line>,
    /// The processes that this one has started.
    pub(in crate::client) crew: Vec<Member>,
    /// Whether a signal has told them to end.
    pub(in crate::client) is_ending: bool,
    /// The window, second by second; none before it.
    pub(in crate::client) recorder: Option<Recorder>,
    pub(in crate::client) progress: Option<Progress>,
}

impl Client {
    pub(in crate::client) fn new(config: Config, addresses: Vec<SocketAddr>) -> Self {
        let mut connector =
            Connector::new(addresses, config.clients, config.in_flight, config.ramp);
        if let Some((number, of)) = config.share {
            connector.share_sources(number, of);
        }
        let statistics = Statistics::new(&config);
        Self {
            progress: Progress::of(&config),
            began: Moment::now(config.pid),
            seats: Seats::new(config.clients, config.shape.slow),
            places: (0..config.clients).map(|_| Place::Nowhere).collect(),
            returning: VecDeque::new(),
            ramp_timeout: None,
            churn: None,
            cut_short: false,
            all_lost: false,
            line: None,
            crew: Vec::new(),
            is_ending: false,
            config,
            phase: Phase::Joining,
            secrets: None,
            lists: None,
            connector,
            opening: true,
            connections: Vec::new(),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            statistics,
            tally: Tally::default(),
            timetable: None,
            sync_until: None,
            steps: StepWatch::new(),
            heartbeat: Heartbeat::new(Instant::now()),
            joined: None,
            window_began: None,
            ended: None,
            signals: None,
            recorder: None,
        }
    }

    /// Makes the loop measure how late it is, also while all it does is listen, and looks at what
    /// nothing else would tell.
    fn on_heartbeat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.heartbeat.beat(Instant::now());
        if self.phase == Phase::Measuring {
            self.steps.look();
        }
        if self.phase == Phase::Awaiting && !self.awaits_replies() {
            self.begin_closing(io_loop);
        }
    }

    pub(in crate::client) fn moment(&self) -> Moment {
        Moment::now(self.config.pid)
    }

    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let signals = self.signals.as_mut();
        if signals.is_some_and(|signals| signals.pending().next().is_some()) {
            self.end(io_loop);
        }
    }
}

/// What one read takes at most: big enough that a backlog is cheap, small enough for the caches.
pub(in crate::client) const SCRATCH_SIZE: usize = 64 * 1024;

/// Connects, or close frames, in one turn: a fraction of a millisecond's work.
pub(in crate::client) const CONNECTIONS_PER_TURN: usize = 32;

/// How long servers may take for the closing handshake, and those replies.
pub(in crate::client) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
