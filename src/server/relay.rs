//! One server of many: prints what the log has. See [`cluster`](crate::cluster).
//!
//! An origin's own sources do not reach the tape: they go into the log first, and everybody prints
//! what the log has.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ioloop::fiber::Fiber;

use crate::cluster::{Effect, Node, Outbox, RelayCounters, Role, SymbolInfo};
use crate::feed::{Selection, Watched};
use crate::http_client::Roots;
use crate::nats::Settings;
use crate::tick::Tick;

/// The state of a server that is one of many.
pub(crate) struct Relay {
    pub(super) node: Node,
    pub(super) outbox: Outbox,
    /// The fiber that keeps the connection.
    pub(super) fiber: Option<Fiber>,
    /// What is still to be done on the tape.
    pub(super) effects: VecDeque<Effect>,
    pub(super) is_applying: bool,
    pub(super) is_due: bool,
    /// Which symbols of the log are served.
    pub(super) selection: Selection,
    pub(crate) counters: RelayCounters,
    /// The server that it is connected to, and whether it ever was to any.
    server: Option<String>,
    pub(super) was_connected: bool,
    /// The log says that the broker is gone.
    is_down: bool,
    /// Why this server cannot be one of many, if it cannot.
    pub(crate) failure: Option<String>,
}

/// What a server needs to be one of many.
#[derive(Debug)]
pub struct Member {
    pub(crate) role: Role,
    pub(crate) broker: Settings,
    /// How long the broker may take to answer.
    pub(crate) timeout: Duration,
    pub(crate) roots: Roots,
    /// Which symbols of the log it serves.
    pub(crate) selection: Selection,
    /// Whether its sources tell their symbols while they run.
    pub(crate) lists_later: bool,
}

impl Relay {
    pub(super) fn new(node: Node, outbox: Outbox, selection: Selection) -> Self {
        Self {
            node,
            outbox,
            fiber: None,
            effects: VecDeque::new(),
            is_applying: false,
            is_due: false,
            selection,
            counters: RelayCounters::default(),
            server: None,
            was_connected: false,
            is_down: false,
            failure: None,
        }
    }

    /// What keeps clients out, if anything does.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if self.node.is_ready() {
            return None;
        }
        Some(match &self.server {
            None => "no connection to the broker yet".to_owned(),
            Some(server) => format!("no origin yet: nobody writes into the log at {server}"),
        })
    }

    /// What is wrong with the log although there is an origin, for those who watch this server.
    pub(crate) fn trouble(&self, now: Instant) -> Option<String> {
        let silence = self.node.silence(now);
        let is_silent = self.node.is_ready() && silence >= SILENCE_MAX;
        is_silent.then(|| format!("the log has been silent for {silence:.1?}"))
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The server of the broker that it is connected to.
    pub(crate) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether this server has handed over, so that it may end.
    pub(crate) fn may_end(&self) -> bool {
        self.node.has_left() || self.server.is_none()
    }

    /// Takes a price of this server's own sources.
    pub(crate) fn publish(&mut self, tick: Tick, now: Instant) {
        self.node.publish(tick, now);
    }

    /// Notes that a price of this server's own sources still stands.
    pub(crate) fn confirm(&mut self, symbol: &str) {
        self.node.confirm(symbol);
    }

    /// Adds symbols of this server's own sources.
    pub(crate) fn list(&mut self, symbols: &[String]) {
        let missing = symbols
            .iter()
            .filter(|symbol| self.node.symbol(symbol).is_none());
        let missing: Vec<_> = missing
            .map(|symbol| (symbol.clone(), SymbolInfo::plain(symbol)))
            .collect();
        self.node.add_symbols(missing);
    }

    /// Notes how long symbols of this server's own sources may be silent, and their markets.
    pub(crate) fn watch(&mut self, watched: Vec<Watched>) {
        self.node.add_symbols(watched.into_iter().map(|watched| {
            let info = SymbolInfo {
                market: watched.market,
                stale_after: Some(watched.stale_after.as_millis() as u64),
            };
            (watched.symbol, info)
        }));
    }

    /// Removes symbols of this server's own sources.
    pub(crate) fn delist(&mut self, symbols: &[String]) {
        symbols
            .iter()
            .for_each(|symbol| self.node.remove_symbol(symbol));
    }

    /// Writes a sign of life soon, since some price has become stale.
    pub(crate) fn beat_soon(&mut self) {
        self.node.beat_soon();
    }

    pub(super) fn on_up(&mut self, server: String, version: &str, after: Duration) {
        if self.was_connected {
            log::info!("broker: at {server}, version {version}, after {after:.0?}");
        } else {
            log::info!("broker: connected to {server}, version {version}");
        }
        (self.was_connected, self.is_down) = (true, false);
        self.server = Some(server);
    }

    pub(super) fn on_down(&mut self, server: &str, why: &str) {
        self.server = None;
        // One line for each change, not for each attempt.
        if self.is_down {
            log::debug!("broker: {server}: {why}; trying the next one");
        } else {
            log::warn!("broker: {server} is gone: {why}; trying the others");
        }
        self.is_down = true;
    }
}

/// An origin writes at least once a second, and another takes over soon after the last one fell silent.
const SILENCE_MAX: Duration = Duration::from_secs(5);
