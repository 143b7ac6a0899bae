//! The state of a run, which its loop passes to every callback.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::{Timeout, slot};
use mio::Token;
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::measure::clock_step::ClockStepDetector;
use crate::client::measure::measurement::Measurement;
use crate::client::measure::observer::Observer;
use crate::client::measure::recorder::Recorder;
use crate::client::run::barrier::Barrier;
use crate::client::run::connector::Connector;
use crate::client::run::loop_lag::LoopLag;
use crate::client::run::open_loop::{Churn, OpenLoop};
use crate::client::run::phase::{Phase, PhaseTimes, Snapshot};
use crate::client::run::progress::Progress;
use crate::client::run::session::Session;
use crate::client::run::tally::Tally;
use crate::client::run::tick_printer::TickPrinter;
use crate::client::run::users::Users;
use crate::client::run::watchlists::Watchlists;
use crate::client::ws::error::ConnectionError;
use crate::client::ws::tls::TlsConnector;

/// The state of a run.
pub(crate) struct Run {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) tls: Option<TlsConnector>,
    /// The symbols that each client draws from, if clients have their own lists.
    pub(super) lists: Option<Watchlists>,
    pub(super) connector: Connector,
    /// Whether `open_more` is queued; it must not be queued twice.
    pub(super) opening: bool,
    /// When the ramp allows the next connection.
    pub(super) ramp_timeout: Option<Timeout>,
    pub(super) users: Users,
    /// Users that come back as soon as there is room.
    pub(super) returning: VecDeque<usize>,
    pub(super) churn: Option<Churn>,
    /// Indexed by the slot of their token.
    pub(super) sessions: Vec<Option<Session>>,
    /// The buffer that all connections read into, so that none owns one.
    pub(super) scratch: Box<[u8]>,
    pub(super) observer: Observer,
    pub(super) tally: Tally,
    /// When requests are due; `None` before the first.
    pub(super) open_loop: Option<OpenLoop>,
    /// When to give up the first comparison of the clocks.
    pub(super) sync_until: Option<Instant>,
    pub(super) clock_steps: ClockStepDetector,
    pub(super) loop_lag: LoopLag,
    pub(super) times: PhaseTimes,
    /// Whether the window was cut short because it began too late.
    pub(super) cut_short: bool,
    /// Whether the window ended early because no connection was left.
    pub(super) all_lost: bool,
    pub(super) signals: Option<Signals>,
    /// Where this run waits for others, if it is one of several.
    pub(super) barrier: Option<Box<dyn Barrier>>,
    /// Why the others are gone, if they are.
    pub(super) barrier_lost: Option<io::Error>,
    /// Records the intervals of the window; `None` before it begins.
    pub(super) recorder: Option<Recorder>,
    pub(super) progress: Option<Progress>,
    /// Prints ticks as they arrive. Boxed, because few runs have one and every message checks for
    /// it.
    pub(super) printer: Option<Box<TickPrinter>>,
}

impl Run {
    /// The state of a run that begins now.
    pub(super) fn new(config: Config, addresses: Vec<SocketAddr>) -> Self {
        let mut connector =
            Connector::new(addresses, config.clients, config.in_flight, config.ramp);
        if let Some((number, of)) = config.share {
            connector.share_sources(number, of);
        }
        Self {
            phase: Phase::Joining,
            tls: None,
            lists: None,
            connector,
            opening: true,
            ramp_timeout: None,
            users: Users::new(config.clients, config.behaviour.slow),
            returning: VecDeque::new(),
            churn: None,
            sessions: Vec::new(),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            observer: Observer::new(&config),
            tally: Tally::default(),
            open_loop: None,
            sync_until: None,
            clock_steps: ClockStepDetector::new(),
            loop_lag: LoopLag::new(Instant::now()),
            times: PhaseTimes::new(config.pid),
            cut_short: false,
            all_lost: false,
            signals: None,
            barrier: None,
            barrier_lost: None,
            recorder: None,
            progress: Progress::of(&config),
            printer: None,
            config,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::now(self.config.pid)
    }

    pub(super) fn session(&mut self, token: Token) -> Option<&mut Session> {
        let session = self.sessions.get_mut(slot(token))?.as_mut();
        session.filter(|session| session.token == token)
    }

    /// Counts an error of a connection.
    pub(super) fn note_error(&mut self, error: &ConnectionError) {
        self.observer.error(error.kind(), error);
    }

    /// Returns the measurement at the end of the run.
    pub(super) fn finish(self) -> Measurement {
        let mut measurement = self.observer.finish();
        let facts = &mut measurement.run;
        facts.joined = self.tally.joined;
        facts.failed = self.tally.failed;
        facts.listened = self.tally.listened;
        facts.cut_short = self.cut_short;
        facts.all_lost = self.all_lost;
        facts.clock_step_us = self.clock_steps.step_us();
        facts.loop_lag = self.loop_lag.lag;
        self.times.note_phases(facts);
        self.times.note_window(facts);
        let intervals = self.recorder.map(Recorder::into_intervals);
        measurement.intervals = intervals.unwrap_or_default();
        measurement.printed = self.printer.map(|printer| printer.printed().clone());
        measurement.watching = self.lists.as_ref().map(Watchlists::watching);
        measurement
    }
}

/// The size of one read: large enough to make a backlog cheap, small enough for the caches.
const SCRATCH_SIZE: usize = 64 * 1024;

/// How many connects or close frames per turn: a fraction of a millisecond's work.
pub(super) const CONNECTIONS_PER_TURN: usize = 32;

/// How long servers may take for the closing handshake, and for the last replies.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
