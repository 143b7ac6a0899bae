//! One symbol of one exchange and a crowd: simulated, fetched, and fetched with blocking calls.

use std::time::Duration;

use serde_json::Value;

use crate::common::table::{Figure, Target};
use crate::common::{Load, at, interrupted, median, ratio};
use crate::life::{Death, Life, Prices};
use crate::upstream::Upstream;
use crate::{ANSWER_TIME, Bench, INTERVAL};

/// The columns of the table.
const KINDS: [&str; 3] = ["sim", "fetched", "blocking"];
const FETCHED: usize = 1;

/// The results of all servers of one kind.
#[derive(Default)]
struct Record {
    /// The client's reports on the crowds that stayed for a while, one for each server.
    windows: Vec<Value>,
    /// Those, and the reports on crowds that only joined.
    joins: Vec<Value>,
    deaths: Vec<Death>,
}

impl Bench {
    pub(crate) fn one(&mut self) {
        let rounds = if self.quick { 2 } else { 3 };
        let mut records: [Record; 3] = Default::default();
        match Upstream::start(&self.cores, ANSWER_TIME) {
            Ok(upstream) => self.rounds(rounds, &upstream, &mut records),
            Err(error) => self.findings.problem(format!("one: {error}")),
        }
        self.table.begin(
            "one",
            format!(
                "1,000 clients join at once, {} times; a price each {} ms, answers take {} ms",
                rounds * JOINS,
                INTERVAL.as_millis(),
                ANSWER_TIME.as_millis()
            ),
            &KINDS,
        );
        self.response_rows(&records);
        self.loop_rows(&records);
    }

    /// Runs the kinds in rotating order, so that a machine that gets slower or faster meanwhile
    /// favours none.
    fn rounds(&mut self, rounds: usize, upstream: &Upstream, records: &mut [Record; 3]) {
        let exchange = (upstream, "binance", "BTC/USDT");
        let (upstream, source, symbol) = exchange;
        let prices = [
            Prices::Simulated,
            Prices::Fetched(upstream, source, symbol),
            Prices::FetchedBlocking(upstream, source, symbol),
        ];
        for turn in 0..rounds * KINDS.len() {
            if interrupted() {
                return;
            }
            let (round, kind) = (
                turn / KINDS.len(),
                (turn + turn / KINDS.len()) % KINDS.len(),
            );
            let name = format!("one, {}", KINDS[kind]);
            eprintln!("{name} {}/{rounds}", round + 1);
            let phases = (0..JOINS).map(|join| (join * rounds + round) as f64);
            let phases = phases.map(|phase| phase / (JOINS * rounds) as f64);
            if let Err(error) = self.live_once(&name, prices[kind], phases, &mut records[kind]) {
                self.findings.problem(format!("{name}: {error}"));
            }
        }
    }

    /// One server, and a crowd that joins it repeatedly, at all phases of the server's work for a
    /// price.
    fn live_once(
        &mut self,
        name: &str,
        prices: Prices<'_>,
        phases: impl Iterator<Item = f64>,
        record: &mut Record,
    ) -> Result<(), String> {
        let mut load = Load {
            clients: CLIENTS,
            interval: INTERVAL,
            warmup: self.time(500),
            duration: self.time(2_500),
        };
        let mut life = Life::begin(name, prices, &self.cores)?;
        for phase in phases {
            life.wait_for_phase(phase)?;
            let report = life.load(&load, &self.cores, &mut self.findings)?;
            if load.duration > INTERVAL {
                record.windows.push(report.clone());
            }
            record.joins.push(report);
            // The windows of the other crowds are not used; joining is measured before them.
            (load.warmup, load.duration) = (Duration::ZERO, Duration::from_millis(100));
        }
        if matches!(prices, Prices::Fetched(..)) {
            let answers = life.answers().map_err(|error| error.to_string())?;
            if answers.failed > 0 || answers.good == 0 {
                return Err(format!("the feed had failures: {answers:?}"));
            }
        }
        record.deaths.push(life.end(&mut self.findings)?);
        Ok(())
    }

    fn response_rows(&mut self, records: &[Record; 3]) {
        let row = &mut |label, decimals, figure, target| {
            self.table.row(label, decimals, figure, target);
        };
        // The mean of each crowd, and the median of those, as some crowds meet a busy machine.
        let typical = figure(records, |record| {
            median(values_ms(record, "/response_s/mean").collect())
        });
        let most = Target::TimesFirst(FETCHED, 1.1);
        row("response time, mean (ms)", 2, typical, Some(most));
        let mean = figure(records, |record| Some(record.response()?.0));
        row("  mean over all crowds", 2, mean, None);
        let middle = figure(records, |record| {
            median(values_ms(record, "/response_s/median").collect())
        });
        row("  median", 2, middle, None);
        let deviation = figure(records, |record| Some(record.response()?.1));
        row("  standard deviation, all", 2, deviation, None);
        let longest = figure(records, |record| {
            values_ms(record, "/response_s/max").reduce(f64::max)
        });
        row("  longest of all", 2, longest, None);
        let errors = figure(records, |record| sum(record.joins.iter().map(errors)));
        row("errors", 0, errors, Some(Target::AtMost(FETCHED, 0.0)));
        let delivery = figure(records, |record| {
            median(
                values(&record.windows, "/delivery_us/p99")
                    .map(|us| us / 1e3)
                    .collect(),
            )
        });
        row("delivery p99 (ms)", 2, delivery, None);
        let cpu = figure(records, |record| {
            median(values(&record.windows, "/server/cpu_percent").collect())
        });
        row("CPU in use (%)", 1, cpu, None);
    }

    fn loop_rows(&mut self, records: &[Record; 3]) {
        let row = &mut |label, decimals, figure, target| {
            self.table.row(label, decimals, figure, target);
        };
        let late = figure(records, |record| {
            median(lags_ms(record, "lateness_p99_us").collect())
        });
        let most = Target::AtMost(FETCHED, 5.0);
        row("loop lateness p99 (ms)", 2, late, Some(most));
        let latest = figure(records, |record| {
            lags_ms(record, "lateness_max_us").reduce(f64::max)
        });
        row("  latest of all", 2, latest, None);
        let longest = figure(records, |record| {
            lags_ms(record, "turn_max_us").reduce(f64::max)
        });
        row("longest turn of the loop (ms)", 2, longest, None);
        let long = figure(records, |record| sum(lags(record, "long_turns")));
        // Other processes of the machine make turns long as well, but for either server.
        let most = Target::TimesFirst(FETCHED, 1.0);
        row("turns longer than 10 ms", 0, long, Some(most));
        let share = figure(records, |record| {
            ratio(
                100.0 * sum(lags(record, "long_turns"))?,
                sum(lags(record, "turns"))?,
            )
        });
        row("  share of all (%)", 3, share, None);
        let waited = figure(records, |record| sum(lags_ms(record, "off_core_us")));
        row("kept off its core (ms in all)", 1, waited, None);
        let threads = figure(records, |record| {
            let threads = record.deaths.iter().map(|death| death.threads);
            Some(threads.max()? as f64)
        });
        let most = Target::AtMost(FETCHED, 1.0);
        row("threads", 0, threads, Some(most));
    }
}

impl Record {
    /// The mean and the standard deviation over all clients of all crowds, in ms.
    fn response(&self) -> Option<(f64, f64)> {
        let crowds =
            || values_ms(self, "/response_s/mean").zip(values_ms(self, "/response_s/stdev"));
        let count = crowds().count() as f64;
        let mean = sum(crowds().map(|(mean, _)| mean))? / count;
        // The variance within the crowds, and between them.
        let variance = crowds().map(|(of_crowd, stdev)| stdev.powi(2) + (of_crowd - mean).powi(2));
        Some((mean, (sum(variance)? / count).sqrt()))
    }
}

/// The errors of a run. A missing tick is not an error in a window shorter than the interval.
fn errors(report: &Value) -> f64 {
    let is_silent =
        at(report, "/duration_s").is_some_and(|seconds| seconds < INTERVAL.as_secs_f64());
    let kinds = report.pointer("/errors/kinds").and_then(Value::as_object);
    let wrong = kinds
        .into_iter()
        .flatten()
        .filter(|(kind, _)| !(is_silent && *kind == "no tick"));
    wrong.filter_map(|(_, count)| count.as_f64()).sum()
}

fn figure(records: &[Record; 3], of: impl Fn(&Record) -> Option<f64>) -> Figure {
    records.iter().map(of).collect()
}

fn values<'r>(reports: &'r [Value], path: &'r str) -> impl Iterator<Item = f64> + 'r {
    reports.iter().filter_map(move |report| at(report, path))
}

/// The values of all crowds at `path`, converted from seconds to ms.
fn values_ms<'r>(record: &'r Record, path: &'r str) -> impl Iterator<Item = f64> + 'r {
    values(&record.joins, path).map(|s| s * 1e3)
}

fn lags<'r>(record: &'r Record, name: &'r str) -> impl Iterator<Item = f64> + 'r {
    record
        .deaths
        .iter()
        .filter_map(move |death| death.lag(name))
}

fn lags_ms<'r>(record: &'r Record, name: &'r str) -> impl Iterator<Item = f64> + 'r {
    lags(record, name).map(|us| us / 1e3)
}

/// The sum; `None` without values.
fn sum(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(|sum, value| sum + value)
}

const CLIENTS: usize = 1_000;

/// How often a crowd joins each server.
const JOINS: usize = 8;
