//! Reasons to doubt a run's numbers, each with its likely cause and a remedy.

use crate::client::config::Config;
use crate::client::config::unit::Unit;
use crate::client::measure::measurement::Measurement;
use crate::client::report::Report;
use crate::client::report::metric::Metric;
use crate::client::report::percentiles::Percentiles;
use crate::client::report::table::time;
use crate::tick::unix_us;

/// The warnings about a run, the most serious first.
pub(super) fn of(report: &Report, config: &Config, measurement: &Measurement) -> Vec<String> {
    let mut warnings = about(report, config);
    if measurement.run.all_lost {
        warnings.push(format!(
            "all connections were lost after {:.1} of {:.1} s: try --reconnect",
            report.duration_s,
            config.duration.as_secs_f64()
        ));
    }
    let unit = config.fields.sent_unit;
    let off = measurement.implausible_stamp_us;
    warnings.extend(off.map(|off_us| implausible_stamp(off_us, unit, unix_us())));
    if measurement.run.cut_short {
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
        cpu(report, config),
        waiting(report),
        lateness(report),
        backlog(report),
        clock_step(report),
        sync(report),
        future(report),
        untracked(report),
        saturated(report),
        no_stamps(report, config),
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
        "the server's certificate was not checked (--insecure), so another server may have \
         answered: try --ca"
            .to_owned()
    })
}

fn untracked(report: &Report) -> Option<String> {
    let ticks = report.counters.untracked;
    (ticks > 0).then(|| {
        format!(
            "{ticks} ticks belong to symbols beyond the 65,536 that are tracked, so their \
             latency, gaps and lateness are unknown: try fewer --symbols"
        )
    })
}

fn unanswered(report: &Report) -> Option<String> {
    let missing = report.requests.as_ref()?.counters.missing;
    (missing > 0).then(|| {
        format!(
            "{missing} requests got no reply: the server cannot keep up with --rate, or its \
             replies have no id (see --id-field, --in-order)"
        )
    })
}

fn held_back(report: &Report) -> Option<String> {
    let unsent = report.requests.as_ref()?.counters.unsent;
    (unsent > 0).then(|| {
        format!(
            "{unsent} requests were held back: too many were unanswered (--outstanding), the \
             socket was full, the connection was lost, or this client was late"
        )
    })
}

/// An interval that the server does not keep makes lateness meaningless.
fn interval(report: &Report) -> Option<String> {
    let schedule = report
        .schedule
        .as_ref()
        .filter(|schedule| schedule.interval_differs)?;
    let mean_s = schedule.interval_s_mean?;
    let [mean, expected] = [mean_s, schedule.expect_s].map(time);
    Some(if mean_s < schedule.expect_s {
        format!(
            "a symbol ticked every {mean} on average, more often than --expect {expected}, so \
             hardly any tick can seem late: try --expect {mean}"
        )
    } else {
        format!(
            "a symbol ticked every {mean} on average, not every {expected}: the server does not \
             keep its interval, or uses another one (--expect {mean})"
        )
    })
}

fn not_printed(report: &Report) -> Option<String> {
    let printed = report
        .printed
        .as_ref()
        .filter(|printed| printed.dropped > 0)?;
    Some(format!(
        "{} ticks were not printed because the reader of stdout could not keep up: try fewer \
         symbols, or a file",
        printed.dropped
    ))
}

/// A percentile needs at least ten samples beyond it.
fn too_short(report: &Report) -> Option<String> {
    let measured = Metric::ALL.into_iter();
    let few: Vec<_> = measured
        .filter_map(|metric| Some((metric, report.measured(metric)?.0.count)))
        .filter(|(_, count)| (1..SAMPLES_MIN).contains(count))
        .map(|(metric, count)| format!("{count} of {}", metric.title().to_lowercase()))
        .collect();
    (!few.is_empty()).then(|| {
        format!(
            "too few samples for p99.9, which needs {SAMPLES_MIN} ({}): measure longer, or with \
             more clients",
            few.join(", ")
        )
    })
}

fn server_gone(report: &Report, config: &Config) -> Option<String> {
    let pid = config.pid.filter(|_| report.server.is_none())?;
    Some(format!(
        "process {pid} ended before the measurement did, so its CPU time and memory are unknown"
    ))
}

const SAMPLES_MIN: u64 = 10_000;

fn cpu(report: &Report, config: &Config) -> Option<String> {
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

fn waiting(report: &Report) -> Option<String> {
    let percent = report.client.waited_percent?;
    (percent > WAITED_PERCENT_MAX).then(|| {
        format!(
            "this client waited for a core for {percent:.0} % of the time because other \
             processes use it, perhaps the server: give each its own core (taskset -c 1)"
        )
    })
}

/// All latencies include the client's own lateness, but beside long ones it does not matter.
fn lateness(report: &Report) -> Option<String> {
    let own = &report.client;
    let matters = |late_us: u64, beside: fn(&Percentiles) -> Option<u64>| {
        let reported = latencies(report).filter_map(beside).max();
        let reported = reported.unwrap_or_default();
        late_us > LATENESS_US_MAX && late_us.saturating_mul(4) > reported
    };
    let (late_us, which) = if matters(own.lateness_p99_us, |percentiles| percentiles.p99) {
        (own.lateness_p99_us, "p99")
    } else if matters(own.lateness_max_us, |percentiles| percentiles.max) {
        (own.lateness_max_us, "at its worst")
    } else {
        return None;
    };
    Some(format!(
        "this client's own loop was {:.1} ms late ({which}), which latencies include: try fewer \
         clients, or give it its own core (taskset)",
        late_us as f64 / 1e3
    ))
}

/// All latencies in the report.
fn latencies(report: &Report) -> impl Iterator<Item = &Percentiles> {
    let measured = Metric::ALL.into_iter();
    measured.filter_map(|metric| Some(report.measured(metric)?.0))
}

fn backlog(report: &Report) -> Option<String> {
    let (full, reads) = (report.client.reads.full_reads, report.client.reads.reads);
    (full > 0 && full.saturating_mul(100) >= reads).then(|| {
        format!(
            "{full} of {reads} reads filled their buffer, so this client was behind: try fewer \
             clients, or several client processes (--processes)"
        )
    })
}

/// Above this share of a core, ticks wait for the client.
const CPU_PERCENT_MAX: f64 = 90.0;

const WAITED_PERCENT_MAX: f64 = 5.0;

const LATENESS_US_MAX: u64 = 1_000;

fn clock_step(report: &Report) -> Option<String> {
    let step_us = report.client.clock_step_us;
    (step_us > CLOCK_STEP_US_MAX).then(|| {
        format!(
            "this machine's clock was set by {:.1} ms during the run, and delivery latencies are \
             off by as much from then on: run again once the clock is steady (chronyc tracking)",
            step_us as f64 / 1e3
        )
    })
}

fn sync(report: &Report) -> Option<String> {
    let sync = report.sync.as_ref()?;
    if sync.offset_us.is_none() {
        let what = "the server answered no ping, so the clocks could not be compared and delivery \
                    latencies are uncorrected: leave out --sync, and keep both clocks right by NTP";
        return Some(what.to_owned());
    }
    if sync.uncorrected > 0 {
        return Some(format!(
            "{} deliveries arrived before the server's first answer to a ping, so their \
             latencies are uncorrected: try --warmup to leave time for one",
            sync.uncorrected
        ));
    }
    let (error_us, p50_us) = (sync.error_us?, report.delivery_us.p50?);
    (error_us > p50_us).then(|| {
        format!(
            "the clocks' comparison may be wrong by {error_us} µs, more than the median delivery \
             latency: try again when server and network are less busy"
        )
    })
}

fn future(report: &Report) -> Option<String> {
    let ticks = report.counters.negative_latencies;
    let is_corrected = report
        .sync
        .as_ref()
        .is_some_and(|sync| sync.offset_us.is_some());
    let cause = if is_corrected {
        "one of the clocks was set, or ticks are not stamped by the clock that answers --sync, \
             so delivery latencies may be off by as much"
    } else {
        "the clocks of the two machines differ, so delivery latencies are off by as much (see \
             --sync)"
    };
    (ticks > 0).then(|| format!("{ticks} ticks seem to come from the future: {cause}"))
}

/// Describes a stamp that is off by `off_us` at `now_us`, and suggests the unit that fits best.
fn implausible_stamp(off_us: i64, unit: Unit, now_us: u64) -> String {
    let days = off_us.unsigned_abs() / DAY_US;
    let far = match days {
        ..730 => format!("{days} days"),
        _ => format!("{} years", (days as f64 / 365.25).round()),
    };
    let sent_us = i128::from(now_us) - i128::from(off_us);
    let factor = |unit: Unit| unit.us(1_000_000_000).map(|us| us as f64 / 1e9);
    let written = factor(unit).map(|factor| sent_us as f64 / factor);
    let is_right = |other: &Unit| {
        let other_us = written.zip(factor(*other)).map(|(number, us)| number * us);
        other_us.is_some_and(|other_us| (other_us - now_us as f64).abs() <= DAY_US as f64)
    };
    let likely = Unit::NUMBERS.into_iter().find(is_right);
    let likely = likely.map_or_else(
        || format!("is --sent-unit really {unit}, and --sent-field right?"),
        |likely| format!("--sent-unit is probably {likely}"),
    );
    format!("`sent` is {far} off: {likely}")
}

fn saturated(report: &Report) -> Option<String> {
    let latencies = report.saturated.total();
    (latencies > 0).then(|| {
        format!(
            "{latencies} latencies were longer than a minute and count as one: the percentiles \
             are too low (see --sent-field, --sent-unit and --expect)"
        )
    })
}

fn no_stamps(report: &Report, config: &Config) -> Option<String> {
    (report.counters.ticks > 0 && report.counters.stamped == 0).then(|| {
        format!(
            "no tick says when it was sent (--sent-field {}, --sent-unit {}), so the report has \
             the time between messages but no latency",
            config.fields.sent, config.fields.sent_unit
        )
    })
}

/// Reading two clocks one after the other may be wrong by this much.
const CLOCK_STEP_US_MAX: u64 = 2_000;

const DAY_US: u64 = 86_400_000_000;

#[cfg(test)]
mod tests;
