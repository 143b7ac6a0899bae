//! What `/metrics` says about the server: the numbers of one moment.

use std::env::consts;
use std::fmt;

use ioloop::IoLoop;
use ioloop::lag::LoopDurations;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::sources::Sources;
use super::writer::{Writer, family};
use super::{Format, Server};
use crate::feed::Recorder;
use crate::log::{Lost, lost};
use crate::server::counters::Counters;
use crate::server::hub::IndexMemory;
use crate::server::socket::Transport;
use crate::server::{close, rejection};

#[derive(Debug)]
pub(super) struct Sample {
    format: Format,
    counters: Counters,
    connections: usize,
    slow: usize,
    symbol_count: usize,
    stale_count: usize,
    lists: usize,
    index: IndexMemory,
    ready: bool,
    unrecorded: u64,
    log_lines: Lost,
    lateness: LoopDurations,
    turns: LoopDurations,
    symbols: Vec<Symbol>,
    sources: Sources,
}

/// What is said of one symbol.
#[derive(Debug)]
struct Symbol {
    name: String,
    ticks: u64,
    /// Of the newest tick, in seconds.
    age: Option<f64>,
    is_stale: bool,
}

impl Sample {
    pub(super) fn of<S: Transport>(
        server: &mut Server<S>,
        io_loop: &IoLoop<Server<S>>,
        format: Format,
    ) -> Self {
        let now = io_loop.time();
        let connections = server.connections.iter_mut();
        let slow = connections.filter(|it| it.is_stuck()).count();
        let symbols = server.hub.stats().map(|stats| Symbol {
            name: stats.name.to_owned(),
            ticks: stats.ticks,
            age: stats
                .published
                .map(|at| now.saturating_duration_since(at).as_secs_f64()),
            is_stale: stats.is_stale,
        });
        // A page of tens of thousands of series would hold the loop for long, and no Prometheus
        // wants it.
        let has_few = server.hub.counts().0 <= SYMBOL_SERIES_MAX;
        let symbols = symbols.take(if has_few { SYMBOL_SERIES_MAX } else { 0 });
        Self {
            format,
            counters: server.counters.clone(),
            connections: server.connections.len(),
            slow,
            symbol_count: server.hub.counts().0,
            lists: server.hub.counts().1,
            index: server.hub.index_memory(),
            stale_count: server.hub.stats().filter(|it| it.is_stale).count(),
            ready: server.is_ready(),
            unrecorded: server.recorder.as_ref().map_or(0, Recorder::left_out),
            log_lines: lost(),
            lateness: io_loop.lag().lateness_buckets().clone(),
            turns: io_loop.lag().turn_buckets().clone(),
            symbols: symbols.collect(),
            sources: Sources::of(&server.sources),
        }
    }

    fn connections(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let counters = &self.counters;
        let clients = family("clients", "WebSocket clients that are connected");
        out.gauge(&clients, counters.clients as f64)?;
        let slow = family(
            "slow_clients",
            "Clients whose sockets take nothing at the moment although there is something to send",
        );
        out.gauge(&slow, self.slow as f64)?;
        let handshaking = family(
            "handshaking_connections",
            "Connections whose request has not arrived yet",
        );
        out.gauge(&handshaking, counters.handshaking as f64)?;
        let all = family(
            "connections",
            "Connections in any state, including those that are closing",
        );
        out.gauge(&all, self.connections as f64)?;
        let accepted = family(
            "accepted",
            "Connections accepted; each is a client, is handshaking, or was closed",
        );
        out.counter(&accepted, counters.accepted)?;
        let opened = family("opened", "Handshakes completed");
        out.counter(&opened, counters.opened)?;
        let refused = rejection::LABELS.iter().zip(counters.refused);
        let refused = refused
            .map(|(&(status, cause), count)| ([("status", status), ("cause", cause)], count));
        let help = "Connections refused, by the status of the answer and its cause; they are \
            among those closed";
        out.counters(&family("refused", help), refused)?;
        let closed = close::NAMES.iter().zip(counters.closed);
        let closed = closed.map(|(&name, count)| ([("reason", name)], count));
        out.counters(&family("closed", "Connections closed, by reason"), closed)
    }

    fn delivery(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let counters = &self.counters;
        for (name, help, value) in [
            ("ticks", "Prices published", counters.ticks),
            (
                "deliveries",
                "Messages sent to clients, one for each client: prices, events, pings",
                counters.deliveries,
            ),
            ("writes", "Writes that sent those messages", counters.writes),
            (
                "messages",
                "Messages read from clients, including control frames",
                counters.messages,
            ),
            (
                "conflated",
                "Times that a client too far behind skipped to the newest prices",
                counters.conflated,
            ),
            (
                "unrecorded_ticks",
                "Prices that --record left out because it could not write them in time",
                self.unrecorded,
            ),
        ] {
            out.counter(&family(name, help), value)?;
        }
        let help = "Bytes of the messages sent to clients";
        let delivered = family("delivered", help).in_unit(Unit::Bytes);
        out.counter(&delivered, counters.bytes)
    }

    fn symbols(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let symbols = || self.symbols.iter();
        let ticks = symbols().map(|it| ([("symbol", it.name.as_str())], it.ticks));
        out.counters(
            &family("symbol_ticks", "Prices published, by symbol"),
            ticks,
        )?;
        let ages = symbols().filter_map(|it| Some(([("symbol", it.name.as_str())], it.age?)));
        let help = "Time since the newest price of a symbol was published";
        out.gauges(
            &family("newest_tick_age", help).in_unit(Unit::Seconds),
            ages,
        )?;
        let stale = symbols().map(|it| ([("symbol", it.name.as_str())], f64::from(it.is_stale)));
        let help = "1 while a symbol has been silent for longer than --stale-after";
        out.gauges(&family("symbol_stale", help), stale)
    }

    fn itself(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        let ready = family("ready", "1 while /readyz answers 200");
        out.gauge(&ready, f64::from(self.ready))?;
        let symbols = family("symbols", "Symbols that clients can watch");
        out.gauge(&symbols, self.symbol_count as f64)?;
        let help = "Symbols that have been silent for longer than --stale-after";
        out.gauge(&family("stale_symbols", help), self.stale_count as f64)?;
        let lists = family("lists", "Distinct watchlists");
        out.gauge(&lists, self.lists as f64)?;
        let help = "Memory of the watchlists of all clients";
        let memory = family("list_memory", help).in_unit(Unit::Bytes);
        out.gauge(&memory, self.index.lists as f64)?;
        let help = "Memory of the index from symbols to the clients that watch them";
        let memory = family("index_memory", help).in_unit(Unit::Bytes);
        out.gauge(&memory, self.index.watchers as f64)?;
        let lateness = family("loop_lateness", "How late timers ran");
        out.histogram(&lateness.in_unit(Unit::Seconds), &self.lateness)?;
        let help = "How long the loop worked between two polls, which is what any event may have \
            to wait";
        let turns = family("loop_turn", help).in_unit(Unit::Seconds);
        out.histogram(&turns, &self.turns)?;
        let help = "Log lines that are missing: those that stderr had no room for, and those held \
            back because there were too many like them";
        let missing = [
            ([("why", "blocked")], self.log_lines.blocked),
            ([("why", "held_back")], self.log_lines.held_back),
        ];
        out.counters(&family("log_lines_missing", help), missing)?;
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("os", consts::OS),
            ("arch", consts::ARCH),
        ];
        out.info("build", "Version and platform of the server", &labels)
    }
}

/// With more symbols, series by symbol are left out.
const SYMBOL_SERIES_MAX: usize = 1000;

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer {
            format: self.format,
            encoder: &mut encoder,
        };
        self.connections(&mut out)?;
        self.delivery(&mut out)?;
        self.symbols(&mut out)?;
        self.sources.encode(&mut out)?;
        self.itself(&mut out)
    }
}
