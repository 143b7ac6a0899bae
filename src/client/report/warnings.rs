//! What makes a run's numbers doubtful: each with its likely cause, and what can be done about it.

mod clocks;
mod own;

use crate::client::config::Config;
use crate::client::report::Report;
use crate::client::report::table::time;
use crate::client::run::Client;
use crate::tick::unix_us;

/// The warnings about a run, the gravest first.
pub(in crate::client) fn of(report: &Report, client: &Client) -> Vec<String> {
    let mut warnings = about(report, &client.config);
    if client.all_lost {
        warnings.push(format!(
            "all connections were lost after {:.1} of {:.1} s: try --reconnect",
            report.duration_s,
            client.config.duration.as_secs_f64()
        ));
    }
    let unit = client.config.fields.sent_unit;
    let off = client.statistics.far_off_us;
    warnings.extend(off.map(|off_us| clocks::far_off(off_us, unit, unix_us())));
    if client.cut_short {
        warnings.push(format!(
            "joining took {:.1} s, so the window was cut to {:.1} s: try a longer --duration",
            report.joining_s, report.duration_s
        ));
    }
    warnings
}

fn about(report: &Report, config: &Config) -> Vec<String> {
    let found = [
        not_checked(config),
        own::cpu(report, config),
        own::waiting(report),
        own::lateness(report),
        own::backlog(report),
        clocks::clock_step(report),
        clocks::sync(report),
        clocks::future(report),
        untracked(report),
        clocks::saturated(report),
        clocks::no_stamps(report, config),
        interval(report),
        unanswered(report),
        held_back(report),
        not_printed(report),
        too_short(report),
        server_gone(report, config),
    ];
    found.into_iter().flatten().collect()
}

fn not_checked(config: &Config) -> Option<String> {
    (config.url.is_secure() && config.access.insecure).then(|| {
        "the server's certificate was not checked (--insecure), so it may be somebody else who was \
         measured: try --ca"
            .to_owned()
    })
}

fn untracked(report: &Report) -> Option<String> {
    let ticks = report.untracked;
    (ticks > 0).then(|| {
        format!(
            "{ticks} ticks are of more symbols than can be told apart, so their delivery, gaps \
             and lateness are not known: try fewer --symbols"
        )
    })
}

fn unanswered(report: &Report) -> Option<String> {
    let missing = report.requests.as_ref()?.missing;
    (missing > 0).then(|| {
        format!(
            "{missing} requests got no reply: the server does not keep up with --rate, or its \
             replies have no id (see --id-field, --in-order)"
        )
    })
}

fn held_back(report: &Report) -> Option<String> {
    let unsent = report.requests.as_ref()?.unsent;
    (unsent > 0).then(|| {
        format!(
            "{unsent} requests were held back: too many had no reply (--outstanding), or the \
             socket was full, or the connection was lost, or this client was late"
        )
    })
}

/// An interval that the server does not have makes lateness say nothing.
fn interval(report: &Report) -> Option<String> {
    let schedule = report.schedule.as_ref().filter(|it| it.interval_differs)?;
    let mean_s = schedule.interval_s_mean?;
    let [mean, expected] = [mean_s, schedule.expect_s].map(time);
    Some(match mean_s < schedule.expect_s {
        true => format!(
            "ticks of a symbol came every {mean} on average, more often than --expect {expected}, \
             so hardly any can seem late: try --expect {mean}"
        ),
        false => format!(
            "ticks of a symbol came every {mean} on average, and not every {expected}: the server \
             does not keep its interval, or it has another one (--expect {mean})"
        ),
    })
}

fn not_printed(report: &Report) -> Option<String> {
    let printed = report.printed.as_ref().filter(|it| it.dropped > 0)?;
    Some(format!(
        "{} ticks were not printed, because the reader of stdout could not keep up: try fewer \
         symbols, or a file",
        printed.dropped
    ))
}

/// Ten samples beyond a percentile are the least that it should rest on.
fn too_short(report: &Report) -> Option<String> {
    let schedule = report.schedule.as_ref().map(|it| it.lateness_us.count);
    let requests = report.requests.as_ref().map(|it| it.latency_us.count);
    let few: Vec<_> = [
        (Some(report.delivery_us.count), "delivery latency"),
        (schedule, "schedule lateness"),
        (requests, "reply latency"),
    ]
    .into_iter()
    .filter_map(|(count, what)| Some((count?, what)))
    .filter(|(count, _)| (1..SAMPLES_MIN).contains(count))
    .map(|(count, what)| format!("{count} of {what}"))
    .collect();
    (!few.is_empty()).then(|| {
        format!(
            "too few samples for p99.9, which takes {SAMPLES_MIN} ({}): measure for longer, or with \
             more clients",
            few.join(", ")
        )
    })
}

fn server_gone(report: &Report, config: &Config) -> Option<String> {
    let pid = config.pid.filter(|_| report.server.is_none())?;
    Some(format!(
        "process {pid} ended before the measurement did, so what it used is unknown"
    ))
}

const SAMPLES_MIN: u64 = 10_000;

#[cfg(test)]
mod tests;
