//! Runs the load client against both servers, in pairs, and computes medians.

use std::time::Duration;

use serde_json::Value;

use crate::Bench;
use crate::common::process::Guard;
use crate::common::table::Figure;
use crate::common::{Load, at, interrupted, median, ratio};
use crate::listener::Wire;
use crate::process::{Server, Which};

/// The client's reports of paired runs: floor and ours, right after each other.
pub(crate) struct Pairs(Vec<(Value, Value)>);

impl Pairs {
    /// Measures `count` pairs of servers under `load`.
    pub(crate) fn measure(bench: &mut Bench, name: &str, count: usize, load: &Load) -> Self {
        Self::interleave(name, count, SERVERS, |which| bench.run(name, which, load))
    }

    /// Measures `count` pairs of clients, the least one and ours, each against our server.
    pub(crate) fn measure_clients(
        bench: &mut Bench,
        name: &str,
        count: usize,
        load: &Load,
    ) -> Self {
        let clients = ["the least client", "our client"];
        let run = |which| bench.run_client(name, which, load);
        Self::interleave(name, count, clients, run)
    }

    /// Measures `count` pairs of the least clients at our server: WebSockets, and those of `wire`.
    pub(crate) fn measure_wires(
        bench: &mut Bench,
        name: &str,
        (count, wire): (usize, Wire),
        load: &Load,
    ) -> Self {
        let run = |which| {
            let wire = match which {
                Which::Floor => Wire::WebSocket,
                Which::Ours => wire,
            };
            bench.run_wire(name, load, wire)
        };
        Self::interleave(name, count, ["WebSockets", wire.name()], run)
    }

    /// Runs `count` pairs, named by `labels`: the reference and ours. Each goes first as often as
    /// the other, so that a machine that gets slower or faster meanwhile favours neither. A run
    /// that fails is a problem, and its pair is left out.
    pub(crate) fn interleave(
        name: &str,
        count: usize,
        labels: [&str; 2],
        mut run: impl FnMut(Which) -> Option<Value>,
    ) -> Self {
        let mut pairs = Vec::new();
        for index in 0..count {
            let mut one = |which| {
                if !interrupted() {
                    let label = labels[usize::from(which == Which::Ours)];
                    eprintln!("{name} {}/{count}: {label}", index + 1);
                }
                run(which)
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

    /// The medians of `value` over the reports; the ratio is the median of the pairs' ratios.
    pub(crate) fn median(&self, value: impl Fn(&Value) -> Option<f64>) -> Figure {
        let values = || {
            self.0
                .iter()
                .map(|(floor, ours)| (value(floor), value(ours)))
        };
        let ratios = values().filter_map(|(floor, ours)| ratio(ours?, floor?));
        vec![
            median(values().filter_map(|(floor, _)| floor).collect()),
            median(values().filter_map(|(_, ours)| ours).collect()),
            median(ratios.collect()),
        ]
    }

    /// One quotient over all runs, for counts that are too coarse in a single run.
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
        vec![floor, ours, ratio]
    }

    /// The sums of a count over all runs.
    pub(crate) fn sum(&self, path: &str) -> Figure {
        let any = !self.0.is_empty();
        let sum = |pick: fn(&(Value, Value)) -> &Value| {
            let counts = self.0.iter().filter_map(|pair| at(pick(pair), path));
            any.then(|| counts.sum())
        };
        vec![sum(|pair| &pair.0), sum(|pair| &pair.1), None]
    }
}

impl Bench {
    /// One run. Problems are noted; `None` if there is no report.
    fn run(&mut self, name: &str, which: Which, load: &Load) -> Option<Value> {
        if interrupted() {
            return None;
        }
        let name = format!("{name}, {which}");
        match self.try_run(&name, which, load) {
            Ok(report) => Some(report),
            Err(error) => {
                self.findings.problem(format!("{name}: {error}"));
                None
            }
        }
    }

    /// One run of the least client against our server.
    fn run_wire(&mut self, name: &str, load: &Load, wire: Wire) -> Option<Value> {
        if interrupted() {
            return None;
        }
        match self.try_run_least_client(load, wire) {
            Ok(report) => Some(report),
            Err(error) => {
                self.findings.problem(format!("{name}, {wire:?}: {error}"));
                None
            }
        }
    }

    fn run_client(&mut self, name: &str, which: Which, load: &Load) -> Option<Value> {
        if which == Which::Ours {
            return self.run(name, which, load);
        }
        self.run_wire(&format!("{name}, the least client"), load, Wire::WebSocket)
    }

    fn try_run_least_client(&mut self, load: &Load, wire: Wire) -> Result<Value, String> {
        let server = Server::start(Which::Ours, load.interval, &self.cores)?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut client = Guard::start(self.cores.client(&program.to_string_lossy()).args([
            crate::LISTEN_FLOOR,
            &server.service.address,
            &server.pid().to_string(),
            wire.name(),
            &load.clients.to_string(),
            &load.warmup.as_millis().to_string(),
            &load.duration.as_millis().to_string(),
        ]))?;
        let limit = load.warmup + load.duration + LEAST_CLIENT_LIMIT;
        let (out, errors) = client.finish(limit, || {})?;
        server.stop()?;
        serde_json::from_str(&out).map_err(|_| format!("no report: {}", errors.trim()))
    }

    fn try_run(&mut self, name: &str, which: Which, load: &Load) -> Result<Value, String> {
        let server = Server::start(which, load.interval, &self.cores)?;
        let report = load.run(
            name,
            &server.service,
            &self.cores,
            &mut self.findings,
            || {},
        )?;
        if let Some(lost) = server.stop()? {
            self.findings.note(format!("{name}: {lost}"));
        }
        Ok(report)
    }
}

/// The usual labels of a pair.
pub(crate) const SERVERS: [&str; 2] = ["the floor", "our server"];

/// Time for a thousand handshakes, one after the other.
const LEAST_CLIENT_LIMIT: Duration = Duration::from_secs(10);
