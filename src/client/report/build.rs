//! Computes the numbers of the report from a measurement. All arithmetic is here.

use std::cmp::Reverse;
use std::time::Duration;

use crate::client::config::Config;
use crate::client::error_kind::ErrorKind;
use crate::client::measure::intervals;
use crate::client::measure::losses::SymbolLosses;
use crate::client::measure::measurement::{self, Measurement, Returns, RunFacts, SlowCounts};
use crate::client::report::percentiles::{CurvePoint, Percentiles, Response, Series};
use crate::client::report::{
    ClientUsage, Clients, Errors, Interval, Lateness, Reconnects, Report, Requests, Saturated,
    ServerUsage, SlowClients, WORST_MAX, verdicts, warnings,
};

impl Report {
    /// The report of a run with this configuration and measurement.
    pub(crate) fn new(config: &Config, measurement: &Measurement) -> Self {
        let Measurement { counters, run, .. } = measurement;
        let window_s = run.window.as_secs_f64();
        let messages = counters.messages as f64;
        let symbols = &measurement.symbols;
        let lost_process = measurement.errors.0.get(&ErrorKind::WorkerLost);
        let mut report = Self {
            url: config.url.to_string(),
            clients: Clients {
                asked: config.clients,
                connected: run.joined,
                failed: run.failed,
            },
            watch: measurement.watching.clone(),
            every_s: config.every.map(|every| every.as_secs_f64()),
            duration_s: window_s,
            warmup_s: run.warmup.as_secs_f64(),
            joining_s: run.joining.as_secs_f64(),
            counters: *counters,
            messages_per_s: ratio(messages, window_s),
            ticks_per_s: ratio(counters.ticks as f64, window_s),
            message_size_bytes_mean: ratio(counters.bytes as f64, messages),
            time_between_messages_s_mean: ratio(run.listened.as_secs_f64(), messages),
            delivery_us: Percentiles::of(&measurement.delivery),
            delivery_curve: CurvePoint::curve(&measurement.delivery),
            saturated: Saturated::of(measurement),
            response_s: Response::of(&measurement.responses),
            sync: measurement.clock.clone(),
            schedule: Lateness::of(config, measurement),
            requests: Requests::of(config, measurement),
            losses: measurement.losses,
            symbols_with_gaps: symbols
                .iter()
                .filter(|symbol| symbol.losses.gaps > 0)
                .count(),
            worst_symbols: worst(symbols),
            symbols: symbols.clone(),
            errors: Errors::of(&measurement.errors),
            slow: SlowClients::of(config, &measurement.slow),
            reconnects: Reconnects::of(config, &measurement.returns, run),
            client: ClientUsage::of(config, measurement),
            server: ServerUsage::of(config, measurement),
            measured_from_unix_s: measurement.intervals.began_unix_s,
            intervals: measurement
                .intervals
                .list
                .iter()
                .map(Interval::of)
                .collect(),
            thresholds: Vec::new(),
            printed: measurement.printed.clone(),
            lost_process: lost_process.map(|lost| lost.example.clone()),
            warnings: Vec::new(),
        };
        report.thresholds = verdicts::judge(
            &config.thresholds,
            &report.delivery_us,
            report.errors.total,
            report.messages_per_s,
        );
        report.warnings = warnings::of(&report, config, measurement);
        report
    }
}

/// The symbols that have lost most, the worst first; empty if none has lost any.
fn worst(symbols: &[SymbolLosses]) -> Vec<SymbolLosses> {
    let mut worst: Vec<_> = symbols
        .iter()
        .filter(|symbol| symbol.losses.lost() > 0)
        .collect();
    worst.sort_by_key(|symbol| Reverse(symbol.losses.lost()));
    worst.into_iter().take(WORST_MAX).cloned().collect()
}

impl Interval {
    pub(super) fn of(interval: &intervals::Interval) -> Self {
        Self {
            time_s: interval.time_s,
            length_s: interval.length_s,
            connected: interval.connected,
            counts: interval.counts,
            delivery_us: Series::of(&interval.delivery),
            lateness_us: interval.lateness.as_ref().map(Series::of),
            reply_us: interval.reply.as_ref().map(Series::of),
        }
    }
}

impl Errors {
    fn of(errors: &measurement::Errors) -> Self {
        let mut frequent: Vec<_> = errors.0.iter().collect();
        frequent.sort_by_key(|(_, error)| Reverse(error.count));
        let examples = frequent.iter().take(EXAMPLES_MAX);
        Self {
            total: errors.total(),
            examples: examples.map(|(_, error)| error.example.clone()).collect(),
            kinds: frequent
                .into_iter()
                .map(|(kind, error)| (*kind, error.count))
                .collect(),
        }
    }
}

impl ClientUsage {
    fn of(config: &Config, measurement: &Measurement) -> Self {
        let Measurement { counters, run, .. } = measurement;
        let cpu_s = run.cost.cpu.as_secs_f64();
        let processes = config.processes as f64;
        Self {
            cpu_percent: percent(run.cost.cpu, run.window),
            cpu_s,
            cpu_us_per_tick: ratio(cpu_s * 1e6, counters.ticks as f64),
            // With several processes, each of them may wait all the time.
            waited_percent: percent(run.cost.waited, run.window).map(|percent| percent / processes),
            reads: measurement.reads,
            clock_step_us: run.clock_step_us,
            rss_bytes: run.cost.resident_bytes,
            lateness_p99_us: run.loop_lag.value_at_quantile(0.99),
            lateness_p999_us: run.loop_lag.value_at_quantile(0.999),
            lateness_max_us: run.loop_lag.max(),
        }
    }
}

impl ServerUsage {
    fn of(config: &Config, measurement: &Measurement) -> Option<Self> {
        let Measurement { counters, run, .. } = measurement;
        let (pid, server) = (config.pid?, run.server?);
        let used = server.window;
        let us_per = |cpu: Duration, count: f64| ratio(cpu.as_secs_f64() * 1e6, count);
        let ticks = counters.ticks as f64;
        Some(Self {
            pid,
            cpu_percent: percent(used.cpu, run.window),
            cpu_s: used.cpu.as_secs_f64(),
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
            cpu_us_per_tick: us_per(used.cpu, ticks),
            user_us_per_tick: us_per(used.user, ticks),
            joining_cpu_s: server.joining.cpu.as_secs_f64(),
            joining_cpu_us_per_client: us_per(server.joining.cpu, run.joined as f64),
            rss_bytes_before: server.resident_bytes_before,
            rss_bytes_after: used.resident_bytes,
        })
    }
}

impl Saturated {
    fn of(measurement: &Measurement) -> Self {
        let (cadence, requests) = (&measurement.cadence, &measurement.requests);
        let lateness = cadence.as_ref().map(|cadence| cadence.lateness.saturated());
        let replies = requests
            .as_ref()
            .map(|requests| requests.latency.saturated());
        Self {
            deliveries: measurement.delivery.saturated(),
            schedule: lateness.unwrap_or_default(),
            replies: replies.unwrap_or_default(),
        }
    }
}

impl Lateness {
    fn of(config: &Config, measurement: &Measurement) -> Option<Self> {
        let cadence = measurement.cadence.as_ref()?;
        let expect_s = config.expect?.as_secs_f64();
        Some(Self {
            expect_s,
            interval_s_mean: cadence.inter_arrival.mean_s(),
            interval_differs: cadence.inter_arrival.differs(expect_s),
            lateness_us: Percentiles::of(&cadence.lateness),
            lateness_curve: CurvePoint::curve(&cadence.lateness),
            skipped: cadence.skipped,
        })
    }
}

impl Requests {
    fn of(config: &Config, measurement: &Measurement) -> Option<Self> {
        let requests = measurement.requests.as_ref()?;
        Some(Self {
            rate_per_s: config.rate,
            counters: requests.counters,
            latency_us: Percentiles::of(&requests.latency),
            latency_curve: CurvePoint::curve(&requests.latency),
            uncorrected_us: Percentiles::of(&requests.uncorrected),
        })
    }
}

impl SlowClients {
    /// `None` if no slow clients were configured.
    fn of(config: &Config, slow: &SlowCounts) -> Option<Self> {
        (config.behaviour.slow > 0).then(|| Self {
            asked: config.behaviour.slow,
            counters: slow.counters,
            ended: slow.ended.clone(),
        })
    }
}

impl Reconnects {
    /// `None` if no reconnecting was configured.
    fn of(config: &Config, returns: &Returns, run: &RunFacts) -> Option<Self> {
        let counters = returns.counters;
        let listened_s = (run.warmup + run.window).as_secs_f64();
        let behaviour = &config.behaviour;
        (behaviour.reconnect || behaviour.churn.is_some()).then(|| Self {
            counters,
            churned_per_s: ratio(counters.churned as f64, listened_s),
            away_us: Percentiles::of(&returns.away),
            response_us: Percentiles::of(&returns.response),
        })
    }
}

fn ratio(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

/// `None` if the window is too short for a meaningful share.
fn percent(cpu: Duration, of: Duration) -> Option<f64> {
    ratio(cpu.as_secs_f64() * 100.0, of.as_secs_f64()).filter(|_| of >= SHARED_MIN)
}

/// Below this, which is a turn or two of the loop, a share is chance.
const SHARED_MIN: Duration = Duration::from_millis(10);

/// There are few kinds, unless a server makes up close codes.
const EXAMPLES_MAX: usize = 20;
