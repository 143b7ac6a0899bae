//! Whether it was this client that was slow, and not the server.

use crate::client::config::Config;
use crate::client::report::Report;
use crate::client::report::latencies::Delivery;

pub(in crate::client) fn cpu(report: &Report, config: &Config) -> Option<String> {
    let percent = report.client.cpu_percent? / config.processes as f64;
    let (whose, more) = match config.processes {
        1 => ("this client used", "several client processes (--processes)"),
        _ => (
            "each client process used",
            "more processes, if there are cores for them",
        ),
    };
    (percent > CPU_PERCENT_MAX).then(|| {
        format!(
            "{whose} {percent:.0} % of its core and may itself be the bottleneck: try fewer \
             clients, or {more}"
        )
    })
}

pub(in crate::client) fn waiting(report: &Report) -> Option<String> {
    let percent = report.client.waited_percent?;
    (percent > WAITED_PERCENT_MAX).then(|| {
        format!(
            "this client had to wait for a core for {percent:.0} % of the time, because others \
             run on it, the server perhaps: give each a core of its own (taskset -c 1)"
        )
    })
}

/// Its own lateness is in all latencies, but beside long ones it does not matter.
pub(in crate::client) fn lateness(report: &Report) -> Option<String> {
    let own = &report.client;
    let matters = |late_us: u64, beside: fn(&Delivery) -> Option<u64>| {
        let reported = latencies(report).filter_map(beside).max();
        let reported = reported.unwrap_or_default();
        late_us > LATENESS_US_MAX && late_us.saturating_mul(4) > reported
    };
    let (late_us, which) = if matters(own.lateness_p99_us, |it| it.p99) {
        (own.lateness_p99_us, "p99")
    } else if matters(own.lateness_max_us, |it| it.max) {
        (own.lateness_max_us, "at its worst")
    } else {
        return None;
    };
    Some(format!(
        "this client's own loop was {:.1} ms late ({which}), which latencies include: try fewer \
         clients, or a core of its own (taskset)",
        late_us as f64 / 1e3
    ))
}

/// All latencies that are reported.
fn latencies(report: &Report) -> impl Iterator<Item = &Delivery> {
    let schedule = report.schedule.as_ref().map(|it| &it.lateness_us);
    let requests = report.requests.as_ref().map(|it| &it.latency_us);
    [Some(&report.delivery_us), schedule, requests]
        .into_iter()
        .flatten()
}

pub(in crate::client) fn backlog(report: &Report) -> Option<String> {
    let (full, reads) = (report.client.full_reads, report.client.reads);
    (full > 0 && full.saturating_mul(100) >= reads).then(|| {
        format!(
            "{full} of {reads} reads filled their buffer, so this client was behind what came: \
             try fewer clients, or several client processes (--processes)"
        )
    })
}

/// A client that computes for more of the time leaves ticks waiting.
const CPU_PERCENT_MAX: f64 = 90.0;

const WAITED_PERCENT_MAX: f64 = 5.0;

const LATENESS_US_MAX: u64 = 1_000;
