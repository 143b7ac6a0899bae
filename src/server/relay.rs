//! One server of many: prints what the log has. See [`cluster`](crate::cluster).
//!
//! An origin's own sources do not reach the tape: they go into the log first, and everybody prints
//! what the log has.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ioloop::fiber::Fiber;
use log::Level;

use crate::cluster::{
    Advice, DownReason, Effect, Node, Outbox, RelayCounters, Role, SymbolInfo, Watch,
};
use crate::feed::{Selection, Watched};
use crate::http_client::Roots;
use crate::nats::{NatsUrl, Settings};
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
    was_connected: bool,
    /// The log says that the broker is gone.
    is_down: bool,
    /// Why there is no connection.
    why_down: Option<String>,
    /// The servers that will not do, which the log says once of each, and whether that showed only
    /// behind the connection.
    refused_by: BTreeMap<String, bool>,
    pub(super) watch: Watch,
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
    pub(super) fn new(node: Node, outbox: Outbox, selection: Selection, url: &NatsUrl) -> Self {
        Self {
            why_down: None,
            refused_by: BTreeMap::new(),
            watch: Watch::new(url, node.is_origin()),
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

    /// Whether there has been an origin, so that clients may come.
    pub(crate) fn is_open(&self) -> bool {
        self.node.is_ready()
    }

    /// What is wrong with the log, if anything is, for those who watch this server.
    pub(crate) fn trouble(&self, now: Instant) -> Option<String> {
        if self.has_prices(now) && !self.watch.is_denied() {
            return None;
        }
        let mut trouble = if !self.node.is_ready() {
            "no prices from the log yet".to_owned()
        } else if self.has_prices(now) {
            "a right is missing".to_owned()
        } else {
            let silence = self.node.silence(now);
            format!("the log has been silent for {silence:.1?}")
        };
        let why = match &self.server {
            Some(_) => self.watch.obstacle(),
            None => Some(match &self.why_down {
                Some(why) => format!("no connection to the broker: {why}"),
                None => "no connection to the broker yet".to_owned(),
            }),
        };
        if let Some(why) = why {
            trouble.push_str(": ");
            trouble.push_str(&why);
        }
        Some(trouble)
    }

    /// Whether an origin writes.
    fn has_prices(&self, now: Instant) -> bool {
        self.node.is_ready() && self.node.silence(now) < SILENCE_MAX
    }

    /// Finds out why there are no prices, and tells the operator. Returns whether the broker has to
    /// be asked.
    pub(super) fn look_for_obstacles(&mut self, now: Instant) -> bool {
        if self.server.is_none() {
            return false;
        }
        let has_prices = self.has_prices(now);
        if has_prices {
            self.refused_by.clear();
        }
        let advice = self.watch.advance(has_prices, now);
        match &advice {
            Some(Advice::Ask) => self.outbox.ask_for_state(),
            Some(Advice::Warn(why)) if has_prices => log::warn!("broker: {why}"),
            Some(Advice::Warn(why)) => log::warn!("broker: no prices: {why}"),
            Some(Advice::Relieve) => log::info!("broker: prices come from the log again"),
            None => {}
        }
        advice == Some(Advice::Ask)
    }

    /// Whether this server only follows.
    pub(super) fn is_edge(&self) -> bool {
        !self.node.is_origin()
    }

    /// Serves other symbols of the log from now on. Returns those that are new here, and those that
    /// are no longer served.
    pub(super) fn select(
        &mut self,
        selection: Selection,
    ) -> (Vec<(String, SymbolInfo)>, Vec<String>) {
        let before = std::mem::replace(&mut self.selection, selection);
        let (mut added, mut gone) = (Vec::new(), Vec::new());
        for (symbol, info) in self.node.log_symbols() {
            match (before.has(symbol), self.selection.has(symbol)) {
                (false, true) => added.push((symbol.to_owned(), info.clone())),
                (true, false) => gone.push(symbol.to_owned()),
                _ => {}
            }
        }
        (added, gone)
    }

    /// Warns of entries of `--symbols` that stand for no symbol of the log.
    pub(super) fn warn_of_unmatched(&self) {
        let symbols: Vec<_> = self.node.log_symbols().map(|(symbol, _)| symbol).collect();
        let unmatched = self.selection.unmatched(&symbols);
        for entry in unmatched.iter().take(UNMATCHED_NAMED_MAX) {
            log::warn!("--symbols: the log has no symbol that matches {entry}");
        }
        if unmatched.len() > UNMATCHED_NAMED_MAX {
            let more = unmatched.len() - UNMATCHED_NAMED_MAX;
            log::warn!("--symbols: {more} more entries match no symbol of the log");
        }
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
        let level = match self.refused_by.get(&server) {
            Some(true) => Level::Debug,
            _ => Level::Info,
        };
        let without = if self.was_connected {
            format!(", after {after:.0?} without a connection")
        } else {
            String::new()
        };
        log::log!(
            level,
            "broker: connected to {server}, version {version}{without}"
        );
        (self.was_connected, self.is_down) = (true, false);
        self.watch.begin();
        self.server = Some(server);
    }

    pub(super) fn on_down(&mut self, server: &str, why: &str, reason: DownReason) {
        let was_connected = self.server.take().is_some();
        let mut is_news = !std::mem::replace(&mut self.is_down, true);
        // One line for each change, not for each attempt.
        if reason == DownReason::Refused {
            let before = self.refused_by.insert(server.to_owned(), was_connected);
            is_news = before.is_none();
        }
        let level = if is_news { Level::Warn } else { Level::Debug };
        if reason == DownReason::Refused && was_connected {
            log::log!(level, "broker: leaving {server}: {why}");
        } else if was_connected {
            log::log!(
                level,
                "broker: lost the connection to {server}: {why}; reconnecting"
            );
        } else {
            log::log!(
                level,
                "broker: no connection to {server}: {why}; trying again"
            );
        }
        self.why_down = Some(format!("{server}: {why}"));
    }
}

/// How many entries without a symbol the log names.
const UNMATCHED_NAMED_MAX: usize = 10;

/// An origin writes at least once a second, and another takes over soon after the last one fell silent.
const SILENCE_MAX: Duration = Duration::from_secs(5);
