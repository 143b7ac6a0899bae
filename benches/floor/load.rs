//! Runs of the load client against either server, in pairs, and the medians over them.

use std::time::Duration;

use serde_json::Value;

use crate::Bench;
use crate::process::{Guard, Server, Which};
use crate::table::Figure;

/// What the client is to do, and how often the server ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) interval: Duration,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
}

/// The client's reports of runs that belong together: floor and ours, right after each other.
pub(crate) struct Pairs(Vec<(Value, Value)>);

impl Pairs {
    /// Measures `count` pairs. Each goes first as often as the other, so that a machine that gets
    /// slower or faster meanwhile favours nobody. A run that fails is a problem, and its pair is
    /// left out.
    pub(crate) fn measure(bench: &mut Bench, name: &str, count: usize, load: &Load) -> Self {
        let mut pairs = Vec::new();
        for index in 0..count {
            let mut one = |which| {
                if !crate::interrupted() {
                    eprintln!("{name} {}/{count}: {which}", index + 1);
                }
                bench.run(name, which, load)
            };
            let pair = if index % 2 == 0 {
                let floor = one(Which::Floor);
                (floor, one(Which::Ours))
            } else {
                let ours = one(Which::Ours);
                (one(Which::Floor), ours)
            };
            if let (Some(floor), Some(ours)) = pair {
                pairs.push((floor, ours));
            }
        }
        Self(pairs)
    }

    /// The medians of what `value` finds in the reports; the ratio is the median of the pairs'.
    pub(crate) fn median(&self, value: impl Fn(&Value) -> Option<f64>) -> Figure {
        let values = || {
            self.0
                .iter()
                .map(|(floor, ours)| (value(floor), value(ours)))
        };
        let ratios = values().filter_map(|(floor, ours)| ratio(ours?, floor?));
        Figure {
            floor: median(values().filter_map(|(floor, _)| floor).collect()),
            ours: median(values().filter_map(|(_, ours)| ours).collect()),
            ratio: median(ratios.collect()),
        }
    }

    /// One quotient over all runs, for counts that are too coarse for each run by itself.
    pub(crate) fn pooled(&self, part: &str, of: &str, scale: f64) -> Figure {
        let quotient = |floor| {
            let reports = || {
                self.0
                    .iter()
                    .map(|pair| if floor { &pair.0 } else { &pair.1 })
            };
            let sum = |path| reports().filter_map(|report| at(report, path)).sum::<f64>();
            ratio(sum(part) * scale, sum(of))
        };
        let (floor, ours) = (quotient(true), quotient(false));
        let ratio = floor.zip(ours).and_then(|(floor, ours)| ratio(ours, floor));
        Figure { floor, ours, ratio }
    }

    /// The sums of a count over all runs.
    pub(crate) fn sum(&self, path: &str) -> Figure {
        let any = !self.0.is_empty();
        let sum = |pick: fn(&(Value, Value)) -> &Value| {
            let counts = self.0.iter().filter_map(|pair| at(pick(pair), path));
            any.then(|| counts.sum())
        };
        Figure {
            floor: sum(|pair| &pair.0),
            ours: sum(|pair| &pair.1),
            ratio: None,
        }
    }
}

impl Bench {
    /// One run. What is wrong with it is noted; without numbers it is none.
    fn run(&mut self, name: &str, which: Which, load: &Load) -> Option<Value> {
        if crate::interrupted() {
            return None;
        }
        match self.try_run(name, which, load) {
            Ok(report) => Some(report),
            Err(error) => {
                self.problem(format!("{name}, {which}: {error}"));
                None
            }
        }
    }

    fn try_run(&mut self, name: &str, which: Which, load: &Load) -> Result<Value, String> {
        let server = Server::start(which, load.interval, &self.cores)?;
        let mut client = Guard::start(self.cores.client(env!("CARGO_BIN_EXE_client")).args([
            "--json",
            "--url",
            &format!("ws://{}/", server.address),
            "--pid",
            &server.pid().to_string(),
            "--clients",
            &load.clients.to_string(),
            "--warmup",
            &format!("{}ms", load.warmup.as_millis()),
            "--duration",
            &format!("{}ms", load.duration.as_millis()),
        ]))?;
        let limit = load.warmup + load.duration + CLIENT_LIMIT;
        let (out, errors) = client
            .finish(limit)
            .map_err(|error| format!("the client: {error}"))?;
        let report: Value = serde_json::from_str(&out)
            .map_err(|_| format!("the client has no report: {}", errors.trim()))?;
        self.judge(name, which, load, &report);
        if let Some(lost) = server.stop()? {
            self.note(format!("{name}: {lost}"));
        }
        Ok(report)
    }

    /// Notes what the client itself found wrong. Its exit status says no more than its report, and
    /// that no tick came where none was due is right.
    fn judge(&mut self, name: &str, which: Which, load: &Load, report: &Value) {
        let is_silent = load.duration < load.interval;
        let kinds = report.pointer("/errors/kinds").and_then(Value::as_object);
        for (kind, count) in kinds.into_iter().flatten() {
            if !(is_silent && kind == "no tick") {
                self.problem(format!("{name}, {which}: {count} times {kind}"));
            }
        }
        if report.get("server").is_none_or(Value::is_null) {
            self.problem(format!("{name}, {which}: its CPU time is not known"));
        }
        let warnings = report.get("warnings").and_then(Value::as_array);
        for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
            // What to try instead is for people who chose the load themselves.
            let (warning, _) = warning.split_once(": try ").unwrap_or((warning, ""));
            self.note(format!("{name}, {which}: {warning}"));
        }
    }
}

/// The number at `path`, `/delivery_us/p99`, of a report.
pub(crate) fn at(report: &Value, path: &str) -> Option<f64> {
    report.pointer(path)?.as_f64()
}

/// `part` by `of`, unless that is nothing.
pub(crate) fn ratio(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// For joining, closing and whatever delays them.
const CLIENT_LIMIT: Duration = Duration::from_secs(30);
