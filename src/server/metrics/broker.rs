//! The metrics about the log that several servers share.

use std::time::Instant;

use crate::server::metrics::text::Text;
use crate::server::relay::Relay;

/// Writes the metrics about the log, or nothing for a server on its own.
pub(super) fn write(relay: Option<&Relay>, now: Instant, out: &mut Text) {
    let Some(relay) = relay else {
        return;
    };
    write_connection(relay, out);
    write_log(relay, now, out);
    write_origin(relay, out);
}

fn write_connection(relay: &Relay, out: &mut Text) {
    let counters = &relay.counters;
    let server = relay.server();
    out.gauges(
        "tickertape_broker_connected",
        "1 for the NATS server that this server is connected to",
        server.map(|server| ([("server", server)], 1.0)),
    );
    let reconnects = counters.reconnects.iter();
    out.counters(
        "tickertape_broker_reconnects_total",
        "Connections to the broker that ended or could not be made, by reason",
        reconnects.map(|(reason, count)| ([("reason", reason.name())], *count)),
    );
    out.counter(
        "tickertape_broker_messages_total",
        "Messages of the log that the subscription brought",
        counters.messages,
    );
    out.counters(
        "tickertape_broker_bytes_total",
        "Bytes received from the broker and sent to it, whatever they are for, without those of TLS",
        [
            ([("direction", "in")], counters.traffic.received()),
            ([("direction", "out")], counters.traffic.sent()),
        ],
    );
    out.counter(
        "tickertape_broker_unanswered_total",
        "Requests that the broker did not answer in time",
        counters.unanswered,
    );
}

fn write_log(relay: &Relay, now: Instant, out: &mut Text) {
    let counters = &relay.counters;
    for (name, help, count) in [
        (
            "tickertape_broker_fetched_total",
            "Messages of the log that the subscription lacked, so that they were fetched one by one; \
             those that a server fetches to join do not count",
            counters.fetched,
        ),
        (
            "tickertape_broker_gaps_total",
            "Times that ticks of the log were lost",
            counters.gaps,
        ),
        (
            "tickertape_broker_missed_ticks_total",
            "Ticks of the log that were lost",
            counters.missed_ticks,
        ),
        (
            "tickertape_broker_disagreements_total",
            "Times that the log contradicted itself, which must never happen",
            counters.disagreements,
        ),
        (
            "tickertape_broker_foreign_messages_total",
            "Messages of other programs in the log, or in place of its messages",
            counters.foreign,
        ),
        (
            "tickertape_broker_lost_logs_total",
            "Times that the log was lost and a new one began",
            counters.lost_logs,
        ),
    ] {
        out.counter(name, help, count);
    }
    out.histogram(
        "tickertape_broker_lag_seconds",
        "Time from the stamp of a tick to its print here, by the clocks of both machines",
        &counters.lag,
    );
    let node = relay.node();
    out.gauge(
        "tickertape_broker_silence_seconds",
        "Time since the newest message of the log",
        node.silence(now).as_secs_f64(),
    );
    let position = node.position().unwrap_or_default();
    out.gauge(
        "tickertape_broker_term",
        "The term of the newest message, which grows with each origin that takes over",
        position.term as f64,
    );
    out.gauge(
        "tickertape_broker_position",
        "The number of the newest message within its term",
        position.n as f64,
    );
}

fn write_origin(relay: &Relay, out: &mut Text) {
    let (counters, node) = (&relay.counters, relay.node());
    if !node.is_origin() {
        return;
    }
    let (waiting, conflated) = node.waiting();
    out.gauge(
        "tickertape_broker_leading",
        "1 while this server writes into the log",
        f64::from(node.leads()),
    );
    out.counter(
        "tickertape_broker_takeovers_total",
        "Times that this server took over",
        counters.takeovers,
    );
    out.counter(
        "tickertape_broker_deposed_total",
        "Times that another origin took over from this server",
        counters.deposed,
    );
    out.histogram(
        "tickertape_broker_ack_seconds",
        "Time until the log accepted a message",
        &counters.ack,
    );
    out.counter(
        "tickertape_broker_refused_total",
        "Messages that the log refused, since another one was there first",
        counters.refused,
    );
    out.gauge(
        "tickertape_broker_waiting_ticks",
        "Prices that wait to be written",
        waiting as f64,
    );
    out.counter(
        "tickertape_broker_conflated_total",
        "Prices that made room for newer ones of the same symbol and that nobody has written",
        conflated,
    );
    out.gauge(
        "tickertape_broker_clock_ahead_seconds",
        "How far the stamps of the log are ahead of this machine's clock",
        node.clock_ahead().as_secs_f64(),
    );
}
