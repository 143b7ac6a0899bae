//! The metrics about the server.

use std::env::consts;
use std::time::Instant;

use ioloop::lag::Lag;

use crate::feed::Sources;
use crate::log::Lost;
use crate::server::counters::{Counters, Route};
use crate::server::hub::Hub;
use crate::server::metrics::process::Process;
use crate::server::metrics::text::{SYMBOL_SERIES_MAX, Text};
use crate::server::metrics::{broker, sources};
use crate::server::relay::Relay;
use crate::server::{close, rejection};

/// The numbers of one instant, borrowed from their owners and written at once.
pub(crate) struct Snapshot<'a> {
    pub(crate) now: Instant,
    pub(crate) counters: &'a Counters,
    pub(crate) hub: &'a Hub,
    pub(crate) sources: &'a Sources,
    /// What it does about the log, if it is one of many servers.
    pub(crate) relay: Option<&'a Relay>,
    pub(crate) lag: &'a Lag,
    /// All connections, whatever their state.
    pub(crate) connections: usize,
    /// Clients whose sockets take no bytes although there is something to send.
    pub(crate) slow_clients: usize,
    pub(crate) is_ready: bool,
    /// Ticks that the recorder dropped.
    pub(crate) unrecorded: u64,
    pub(crate) log_lines: Lost,
}

impl Snapshot<'_> {
    /// Writes the page, including the metrics about the process.
    pub(super) fn write(&self, process: &Process) -> String {
        let mut out = Text::new();
        process.write(&mut out);
        self.write_connections(&mut out);
        self.write_delivery(&mut out);
        self.write_symbols(&mut out);
        sources::write(self.sources, self.now, &mut out);
        broker::write(self.relay, self.now, &mut out);
        self.write_state(&mut out);
        self.write_loop(&mut out);
        out.finish()
    }

    fn write_connections(&self, out: &mut Text) {
        let counters = self.counters;
        out.gauge(
            "tickertape_clients",
            "Clients that are connected, by WebSocket or server-sent events",
            counters.clients as f64,
        );
        out.gauge(
            "tickertape_event_streams",
            "Clients that are connected by server-sent events",
            counters.streams as f64,
        );
        out.gauge(
            "tickertape_slow_clients",
            "Clients whose sockets take nothing at the moment although there is something to send",
            self.slow_clients as f64,
        );
        out.gauge(
            "tickertape_handshaking_connections",
            "Connections whose request has not arrived yet",
            counters.handshaking as f64,
        );
        out.gauge(
            "tickertape_connections",
            "Connections in any state, including those that are closing",
            self.connections as f64,
        );
        out.counter(
            "tickertape_accepted_total",
            "Connections accepted; each is a client, is handshaking, or was closed",
            counters.accepted,
        );
        out.counter(
            "tickertape_opened_total",
            "Handshakes completed",
            counters.opened,
        );
        let requests = Route::LABELS.iter().zip(counters.requests);
        out.counters(
            "tickertape_http_requests_total",
            "Requests answered, by endpoint; without handshakes and refusals",
            requests.map(|(&name, count)| ([("endpoint", name)], count)),
        );
        let refused = rejection::LABELS.iter().zip(counters.refused);
        out.counters(
            "tickertape_refused_total",
            "Connections refused, by the status of the answer and its cause; they are among those closed",
            refused.map(|(&(status, cause), count)| ([("status", status), ("cause", cause)], count)),
        );
        let closed = close::NAMES.iter().zip(counters.closed);
        out.counters(
            "tickertape_closed_total",
            "Connections closed, by reason",
            closed.map(|(&name, count)| ([("reason", name)], count)),
        );
    }

    fn write_delivery(&self, out: &mut Text) {
        let counters = self.counters;
        out.counter("tickertape_ticks_total", "Prices published", counters.ticks);
        out.counter(
            "tickertape_deliveries_total",
            "Messages sent to clients, one for each client: prices, events, pings",
            counters.deliveries,
        );
        out.counter(
            "tickertape_writes_total",
            "Writes that sent those messages",
            counters.writes,
        );
        out.counter(
            "tickertape_messages_total",
            "Messages read from clients, including control frames",
            counters.messages,
        );
        out.counter(
            "tickertape_conflated_total",
            "Times that a client too far behind skipped to the newest prices",
            counters.conflated,
        );
        out.counter(
            "tickertape_unrecorded_ticks_total",
            "Prices that --record left out because it could not write them in time",
            self.unrecorded,
        );
        out.counter(
            "tickertape_delivered_bytes_total",
            "Bytes of the messages sent to clients",
            counters.bytes,
        );
    }

    /// Writes the series by symbol. With tens of thousands of symbols, the page would hold up the
    /// loop for long and overload Prometheus.
    fn write_symbols(&self, out: &mut Text) {
        let (count, _) = self.hub.counts();
        let most = if count <= SYMBOL_SERIES_MAX { count } else { 0 };
        let symbols = || self.hub.stats().take(most);
        out.counters(
            "tickertape_symbol_ticks_total",
            "Prices published, by symbol",
            symbols().map(|symbol| ([("symbol", symbol.name)], symbol.ticks)),
        );
        let age = |at| self.now.saturating_duration_since(at).as_secs_f64();
        out.gauges(
            "tickertape_newest_tick_age_seconds",
            "Time since the newest price of a symbol was published",
            symbols()
                .filter_map(|symbol| Some(([("symbol", symbol.name)], age(symbol.published?)))),
        );
        out.gauges(
            "tickertape_symbol_stale",
            "1 while a symbol has been silent for longer than --stale-after",
            symbols().map(|symbol| ([("symbol", symbol.name)], f64::from(symbol.is_stale))),
        );
    }

    fn write_state(&self, out: &mut Text) {
        let (symbols, lists) = self.hub.counts();
        let stale = self.hub.stats().filter(|symbol| symbol.is_stale).count();
        let memory = self.hub.index_memory();
        for (name, help, value) in [
            (
                "tickertape_symbols",
                "Symbols that clients can watch",
                symbols,
            ),
            (
                "tickertape_stale_symbols",
                "Symbols that have been silent for longer than --stale-after",
                stale,
            ),
            ("tickertape_lists", "Distinct watchlists", lists),
            (
                "tickertape_list_memory_bytes",
                "Memory of the watchlists of all clients",
                memory.lists,
            ),
            (
                "tickertape_index_memory_bytes",
                "Memory of the index from symbols to the clients that watch them",
                memory.watchers,
            ),
        ] {
            out.gauge(name, help, value as f64);
        }
        out.gauge(
            "tickertape_ready",
            "1 while /readyz answers 200",
            f64::from(self.is_ready),
        );
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("os", consts::OS),
            ("arch", consts::ARCH),
        ];
        out.gauges(
            "tickertape_build_info",
            "Version and platform of the server",
            [(labels, 1.0)],
        );
    }

    fn write_loop(&self, out: &mut Text) {
        out.histogram(
            "tickertape_loop_lateness_seconds",
            "How late timers ran",
            self.lag.lateness_buckets(),
        );
        out.histogram(
            "tickertape_loop_turn_seconds",
            "How long the loop worked between two polls, which is what any event may have to wait",
            self.lag.turn_buckets(),
        );
        out.counters(
            "tickertape_log_lines_missing_total",
            "Log lines that are missing: stderr had no room for them, or they were held back because \
             there were too many like them",
            [
                ([("why", "blocked")], self.log_lines.blocked),
                ([("why", "held_back")], self.log_lines.held_back),
            ],
        );
    }
}
