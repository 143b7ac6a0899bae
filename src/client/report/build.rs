//! From what was counted and marked to the numbers of the report. All arithmetic is here.

use std::cmp::Reverse;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::client::measure::clock_sync::Sync;
use crate::client::measure::observer::{LATENCY_US_MAX, Statistics};
use crate::client::measure::recorder::Recorder;
use crate::client::report::figures::{
    ClockSync, Lateness, Requests, Saturated, SymbolLosses, Watching,
};
use crate::client::report::latencies::{CurvePoint, Delivery, Response};
use crate::client::report::shape::{Reconnects, SlowClients};
use crate::client::report::usage::{ClientUsage, ServerUsage};
use crate::client::report::warnings;
use crate::client::report::{Clients, Errors, Report, WORST_MAX};
use crate::client::run::Client;
use crate::client::run::snapshot::Moment;
use crate::client::run::watchlists::Watchlists;
use crate::client::ws::error::Failure;

/// The report of a run that has ended.
pub(in crate::client) fn of(client: &Client) -> Report {
    let Client {
        config,
        statistics,
        tally,
        ..
    } = client;
    let marks = Marks::of(client);
    let window = marks.window();
    let ticks = statistics.ticks;
    let symbols = statistics.losses_by_name();
    let mut report = Report {
        url: config.url.to_string(),
        clients: Clients {
            asked: config.clients,
            connected: tally.joined,
            failed: tally.failed,
        },
        watch: client.lists.as_ref().map(Watching::of),
        every_s: config.every.map(|every| every.as_secs_f64()),
        duration_s: window.as_secs_f64(),
        warmup_s: (marks.window_began.at - marks.joined.at).as_secs_f64(),
        joining_s: (marks.joined.at - marks.began.at).as_secs_f64(),
        messages: statistics.messages,
        answers: statistics.answers,
        ticks,
        list_messages: statistics.lists,
        other_messages: statistics.messages - statistics.with_ticks,
        messages_per_s: ratio(statistics.messages as f64, window.as_secs_f64()),
        ticks_per_s: ratio(ticks as f64, window.as_secs_f64()),
        bytes: statistics.bytes,
        message_size_bytes_mean: ratio(statistics.bytes as f64, statistics.messages as f64),
        time_between_messages_s_mean: ratio(
            tally.listened.as_secs_f64(),
            statistics.messages as f64,
        ),
        binary_messages: statistics.binary,
        not_json_messages: statistics.no_json,
        stamped: statistics.stamped,
        delivery_us: Delivery::of(&statistics.delivery_us),
        delivery_curve: CurvePoint::curve(&statistics.delivery_us),
        negative_latencies: statistics.negative_latencies,
        within_error: statistics.within_error,
        untracked: statistics.untracked,
        saturated: Saturated::of(statistics),
        response_s: Response::of(&statistics.responses),
        sync: ClockSync::of_all(statistics),
        schedule: Lateness::of(client),
        requests: Requests::of(client),
        losses: statistics.losses,
        symbols_with_gaps: symbols.iter().filter(|it| it.losses.gaps > 0).count(),
        worst_symbols: worst(&symbols),
        symbols,
        errors: Errors::of(statistics),
        slow: SlowClients::of(config, &statistics.slow),
        reconnects: Reconnects::of(config, &statistics.returns, marks.listened()),
        client: ClientUsage::of(client, &marks),
        server: None,
        measured_from_unix_s: client.recorder.as_ref().map_or(0.0, Recorder::began_unix_s),
        intervals: client
            .recorder
            .as_ref()
            .map_or_else(Vec::new, |recorder| recorder.intervals().to_vec()),
        thresholds: Vec::new(),
        printed: statistics.printer.as_ref().map(|it| it.printed().clone()),
        lost_process: statistics
            .failures
            .get(Failure::PROCESS_LOST)
            .map(|(_, sentence)| sentence.clone()),
        warnings: Vec::new(),
    };
    report.server = config
        .pid
        .and_then(|pid| ServerUsage::of(pid, &marks, &report));
    report.thresholds = config.thresholds.judge(&report);
    report.warnings = warnings::of(&report, client);
    report
}

/// The symbols that have lost most, if they have lost anything, the worst first.
fn worst(symbols: &[SymbolLosses]) -> Vec<SymbolLosses> {
    let mut worst: Vec<_> = symbols.iter().filter(|it| it.losses.lost() > 0).collect();
    worst.sort_by_key(|it| Reverse(it.losses.lost()));
    worst.into_iter().take(WORST_MAX).cloned().collect()
}

impl Watching {
    fn of(lists: &Watchlists) -> Self {
        Self {
            count: lists.count(),
            of: lists.symbols(),
            seed: lists.seed(),
            zipf: lists.zipf(),
        }
    }
}

impl Delivery {
    pub(in crate::client) fn of(histogram: &Histogram<u64>) -> Self {
        let any = !histogram.is_empty();
        let quantile = |quantile| any.then(|| histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: any.then(|| histogram.mean()),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: any.then(|| histogram.max()),
        }
    }
}

impl Response {
    fn of(samples: &[Duration]) -> Self {
        let mut sorted: Vec<_> = samples.iter().map(Duration::as_secs_f64).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let mean = ratio(sorted.iter().sum(), count as f64);
        let median = match (sorted.get(count / 2), count.checked_sub(1)) {
            (Some(&upper), Some(last)) => Some((sorted[last / 2] + upper) / 2.0),
            _ => None,
        };
        let stdev = mean.filter(|_| count > 1).map(|mean| {
            let squares: f64 = sorted.iter().map(|sample| (sample - mean).powi(2)).sum();
            (squares / (count - 1) as f64).sqrt()
        });
        Self {
            count,
            mean,
            median,
            stdev,
            min: sorted.first().copied(),
            max: sorted.last().copied(),
        }
    }
}

impl Errors {
    fn of(statistics: &Statistics) -> Self {
        let mut failures: Vec<_> = statistics.failures.iter().collect();
        failures.sort_by_key(|(_, (count, _))| Reverse(*count));
        let example = |(_, (_, sentence)): &(&String, &(u64, String))| sentence.clone();
        Self {
            total: failures.iter().map(|(_, (count, _))| count).sum(),
            examples: failures.iter().take(EXAMPLES_MAX).map(example).collect(),
            kinds: failures
                .into_iter()
                .map(|(kind, (count, _))| (kind.clone(), *count))
                .collect(),
        }
    }
}

impl ClientUsage {
    fn of(client: &Client, marks: &Marks<'_>) -> Self {
        let used = marks.ended.own.since(&marks.window_began.own);
        let ticks = client.statistics.ticks as f64;
        let processes = client.config.processes as f64;
        let late = &client.heartbeat.lateness_us;
        Self {
            cpu_percent: percent(used.cpu, marks.window()),
            cpu_s: used.cpu.as_secs_f64(),
            cpu_us_per_tick: ratio(used.cpu.as_secs_f64() * 1e6, ticks),
            // Of several processes each may wait all the time.
            waited_percent: percent(used.waited, marks.window()).map(|it| it / processes),
            reads: client.statistics.reads.count,
            full_reads: client.statistics.reads.full,
            clock_step_us: client.steps.step_us(),
            rss_bytes: used.resident_bytes,
            lateness_p99_us: late.value_at_quantile(0.99),
            lateness_p999_us: late.value_at_quantile(0.999),
            lateness_max_us: late.max(),
        }
    }
}

impl ClockSync {
    /// That of this process, or of those that it has started; none if it was not asked for.
    fn of_all(statistics: &Statistics) -> Option<Self> {
        let elsewhere = statistics.sync_elsewhere.clone();
        elsewhere.or_else(|| statistics.sync.as_ref().map(Self::of))
    }

    pub(in crate::client) fn of(sync: &Sync) -> Self {
        let best = sync.best();
        let (drift_us, drift_error_us) = sync.drift_us();
        Self {
            answered: sync.answered,
            offset_us: best.map(|best| best.offset_us),
            error_us: best.map(|_| sync.error_us_max()),
            drift_us,
            drift_error_us,
            uncorrected: sync.uncorrected,
        }
    }
}

impl Saturated {
    fn of(statistics: &Statistics) -> Self {
        let beyond = |histogram: &Histogram<u64>| histogram.count_between(LATENCY_US_MAX, u64::MAX);
        let (grid, replies) = (&statistics.grid, &statistics.replies);
        Self {
            deliveries: beyond(&statistics.delivery_us),
            schedule: grid.as_ref().map_or(0, |it| beyond(&it.lateness_us)),
            replies: replies.as_ref().map_or(0, |it| beyond(&it.latency_us)),
        }
    }
}

impl Lateness {
    fn of(client: &Client) -> Option<Self> {
        let grid = client.statistics.grid.as_ref()?;
        let expect_s = client.config.expect?.as_secs_f64();
        Some(Self {
            expect_s,
            interval_s_mean: grid.spacing.mean_s(),
            interval_differs: grid.spacing.differs(expect_s),
            lateness_us: Delivery::of(&grid.lateness_us),
            lateness_curve: CurvePoint::curve(&grid.lateness_us),
            skipped: grid.skipped,
        })
    }
}

impl Requests {
    fn of(client: &Client) -> Option<Self> {
        let replies = client.statistics.replies.as_ref()?;
        Some(Self {
            rate_per_s: client.config.rate,
            sent: replies.sent,
            replies: replies.replies,
            late: replies.late,
            failed: replies.failed,
            missing: replies.missing,
            unsent: replies.unsent,
            unexpected: replies.unexpected,
            latency_us: Delivery::of(&replies.latency_us),
            latency_curve: CurvePoint::curve(&replies.latency_us),
            uncorrected_us: Delivery::of(&replies.uncorrected_us),
        })
    }
}

impl ServerUsage {
    /// None if the process was gone at one of the marks.
    fn of(pid: u32, marks: &Marks<'_>, report: &Report) -> Option<Self> {
        let joining = marks.joined.server?.since(&marks.began.server?);
        let before = marks.window_began.server?;
        let used = marks.ended.server?.since(&before);
        let us_per = |cpu: Duration, count: f64| ratio(cpu.as_secs_f64() * 1e6, count);
        let ticks = report.ticks as f64;
        Some(Self {
            pid,
            cpu_percent: percent(used.cpu, marks.window()),
            cpu_s: used.cpu.as_secs_f64(),
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
            cpu_us_per_tick: us_per(used.cpu, ticks),
            user_us_per_tick: us_per(used.user, ticks),
            joining_cpu_s: joining.cpu.as_secs_f64(),
            joining_cpu_us_per_client: us_per(joining.cpu, report.clients.connected as f64),
            rss_bytes_before: before.resident_bytes,
            rss_bytes_after: used.resident_bytes,
        })
    }
}

/// The moments between the phases. One that was not reached is the next one that was.
struct Marks<'a> {
    began: &'a Moment,
    joined: &'a Moment,
    window_began: &'a Moment,
    ended: &'a Moment,
}

impl<'a> Marks<'a> {
    fn of(client: &'a Client) -> Self {
        let ended = client.ended.as_ref().unwrap_or(&client.began);
        Self {
            began: &client.began,
            joined: client.joined.as_ref().unwrap_or(ended),
            window_began: client.window_began.as_ref().unwrap_or(ended),
            ended,
        }
    }

    /// Warm-up and window.
    fn listened(&self) -> Duration {
        self.ended.at - self.joined.at
    }

    fn window(&self) -> Duration {
        self.ended.at - self.window_began.at
    }
}

fn ratio(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

/// None of a window too short for it to say anything.
fn percent(cpu: Duration, of: Duration) -> Option<f64> {
    ratio(cpu.as_secs_f64() * 100.0, of.as_secs_f64()).filter(|_| of >= SHARED_MIN)
}

/// A share of less time than a turn or two of the loop is chance.
const SHARED_MIN: Duration = Duration::from_millis(10);

/// There are only so many kinds, unless a server makes up close codes.
const EXAMPLES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn milliseconds(samples: &[u64]) -> Response {
        let samples: Vec<_> = samples.iter().copied().map(Duration::from_millis).collect();
        Response::of(&samples)
    }

    #[test]
    fn response_times_are_summed_up_as_python_does() {
        let response = milliseconds(&[4, 1, 3, 2]);
        assert_eq!(response.mean, Some(0.0025));
        assert_eq!(response.median, Some(0.0025));
        // statistics.stdev([4, 1, 3, 2]) / 1000
        let stdev = response.stdev.unwrap();
        assert!(
            (stdev - 0.001_290_994_448_735_805_6).abs() < 1e-12,
            "{stdev}"
        );
        assert_eq!((response.min, response.max), (Some(0.001), Some(0.004)));
        assert_eq!(milliseconds(&[9, 1, 2]).median, Some(0.002));
    }

    #[test]
    fn few_samples_have_no_deviation_and_none_have_nothing() {
        let one = milliseconds(&[5]);
        assert_eq!((one.median, one.stdev), (Some(0.005), None));
        let none = milliseconds(&[]);
        assert_eq!((none.count, none.mean, none.median), (0, None, None));
    }

    #[test]
    fn percentiles_of_nothing_are_none() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        assert_eq!(Delivery::of(&histogram).p50, None);
        for latency in 1..=1000 {
            histogram.saturating_record(latency);
        }
        let delivery = Delivery::of(&histogram);
        assert_eq!(delivery.mean, Some(500.5));
        assert_eq!(
            (delivery.p50, delivery.p999, delivery.max),
            (Some(500), Some(999), Some(1000))
        );
    }

    proptest! {
        #[test]
        fn the_median_lies_between_the_extremes(samples in proptest::collection::vec(0u64..10_000, 1..50)) {
            let response = milliseconds(&samples);
            prop_assert!(response.min <= response.median && response.median <= response.max);
            prop_assert!(response.mean.unwrap() >= response.min.unwrap() - 1e-9);
        }
    }
}
