//! The scenarios with watchlists: each client has its own random list. The floor writes the same
//! number of ready-made bytes to the same clients at the same beats.

use std::time::Duration;

use serde_json::Value;

use crate::common::process::Guard;
use crate::common::table::{RATIO, Target};
use crate::common::{Bench, at, interrupted, number, ratio};
use crate::lists::Lists;
use crate::load::{Pairs, SERVERS};
use crate::process::{Prices, Server, Which};

/// A load with watchlists.
pub(crate) struct Regime {
    name: &'static str,
    clients: usize,
    pub(crate) lists: Lists,
    interval: Duration,
    /// Whether symbols tick one at a time instead of in a burst.
    is_spread: bool,
    duration_ms: u64,
    /// The most CPU per tick, relative to the floor.
    cpu_at_most: f64,
}

/// Random lists of this many of this many symbols.
pub(crate) const fn of(watched: u32, symbols: u32) -> Lists {
    Lists {
        symbols,
        watched,
        have_one_in_common: false,
    }
}

pub(crate) const OF_250: Regime = Regime {
    name: "lists-250",
    clients: 1_000,
    lists: of(5, 250),
    interval: Duration::from_millis(100),
    is_spread: false,
    duration_ms: 2_500,
    cpu_at_most: 1.10,
};

pub(crate) const OF_500: Regime = Regime {
    name: "lists-500",
    lists: of(5, 500),
    ..OF_250
};

pub(crate) const OF_2000: Regime = Regime {
    name: "lists-2000",
    lists: of(5, 2_000),
    cpu_at_most: 1.25,
    ..OF_250
};

pub(crate) const CROWD: Regime = Regime {
    name: "lists-crowd",
    clients: 9_900,
    lists: of(5, 500),
    interval: Duration::from_millis(250),
    ..OF_250
};

pub(crate) const CROWD_1S: Regime = Regime {
    name: "lists-crowd-1s",
    interval: Duration::from_secs(1),
    duration_ms: 5_000,
    ..CROWD
};

pub(crate) const LONG: Regime = Regime {
    name: "lists-long",
    lists: of(50, 2_000),
    interval: Duration::from_secs(1),
    duration_ms: 5_000,
    cpu_at_most: 1.25,
    ..OF_250
};

/// 500 symbols in 250 ms are 2,000 ticks a second.
pub(crate) const SINGLE: Regime = Regime {
    name: "lists-single",
    lists: of(5, 500),
    interval: Duration::from_millis(250),
    is_spread: true,
    ..OF_250
};

pub(crate) const SINGLE_CROWD: Regime = Regime {
    name: "lists-single-crowd",
    clients: 9_900,
    ..SINGLE
};

pub(crate) const EACH_20_MS: Regime = Regime {
    name: "lists-20ms",
    lists: of(20, 500),
    interval: Duration::from_millis(20),
    ..OF_250
};

/// Four million ticks a second.
pub(crate) const EACH_5_MS: Regime = Regime {
    name: "lists-5ms",
    interval: Duration::from_millis(5),
    ..EACH_20_MS
};

impl Regime {
    fn prices(&self) -> Prices {
        Prices {
            interval: self.interval,
            symbols: Some(self.lists.symbols),
            is_spread: self.is_spread,
        }
    }

    fn title(&self, pairs: usize) -> String {
        let Lists {
            watched, symbols, ..
        } = self.lists;
        let pace = if self.is_spread {
            "one symbol at a time, a round each"
        } else {
            "a burst each"
        };
        format!(
            "{} clients, each {watched} of {} symbols, {pace} {:?}, {pairs} pairs of runs",
            number(self.clients as f64, 0),
            number(f64::from(symbols), 0),
            self.interval,
        )
    }
}

impl Bench {
    pub(crate) fn watch(&mut self, regime: &Regime) {
        if let Some(limit) = self.too_few_descriptors(regime.clients) {
            return self.findings.note(format!("{}: {limit}", regime.name));
        }
        let count = if self.quick { PAIRS_OF_QUICK } else { PAIRS };
        let run = |which| self.run_lists(regime, which);
        let pairs = Pairs::interleave(regime.name, count, SERVERS, run);
        self.begin(regime.name, &regime.title(count));
        self.lists_rows(&pairs, regime);
        self.note_different_loads(&pairs, regime.name);
    }

    fn lists_rows(&mut self, pairs: &Pairs, regime: &Regime) {
        let cpu = pairs.median(|report| at(report, "/server/cpu_us_per_tick"));
        let most = Target::AtMost(crate::RATIO, regime.cpu_at_most);
        self.table
            .row("CPU per delivered tick (µs)", 3, cpu, Some(most));
        self.delivery_row(pairs, None);
        let rate = pairs.median(ticks_per_second);
        self.table.row("ticks delivered per second", 0, rate, None);
        let most = Target::AtMost(crate::OURS, 0.0);
        self.table.row("gaps", 0, pairs.sum("/gaps"), Some(most));
        let most = Target::AtMost(crate::OURS, rss_at_most(regime.clients));
        let memory = pairs.median(|report| Some(at(report, "/server/rss_bytes_after")? / 1e6));
        self.table.row("RSS (MB)", 1, memory, Some(most));
    }

    /// Notes if the floor did not write as much and as often as ours, since their ratio would be
    /// meaningless.
    fn note_different_loads(&mut self, pairs: &Pairs, name: &str) {
        let bytes = pairs.median(|report| at(report, "/bytes_per_tick"));
        let rates = pairs.median(ticks_per_second);
        for (figure, what) in [(rates, "ticks"), (bytes, "bytes per tick")] {
            let of_floor = figure[crate::RATIO].filter(|ratio| (ratio - 1.0).abs() > ALIKE);
            if let Some(of_floor) = of_floor {
                let note =
                    format!("{name}: our server sent {of_floor:.2} times the floor's {what}");
                self.findings.note(note);
            }
        }
    }

    /// Joining and leaving with a list of 20 out of 5,000 symbols, one of which is on all lists,
    /// compared with clients that request no list of a server with one symbol.
    pub(crate) fn join_with_lists(&mut self) {
        let most = self.descriptors.saturating_sub(crate::DESCRIPTORS_RESERVED);
        let without = Regime {
            name: "lists-joining",
            clients: 10_000.min(most),
            lists: of(0, 1),
            // There are no ticks during the run.
            interval: Duration::from_secs(3_600),
            duration_ms: 0,
            ..OF_250
        };
        let with = Regime {
            lists: Lists {
                have_one_in_common: true,
                ..of(20, 5_000)
            },
            ..without
        };
        let labels = ["no list", "a list each"];
        let pairs = Pairs::interleave(without.name, 3, labels, |which| match which {
            Which::Floor => self.run_lists(&without, Which::Ours),
            Which::Ours => self.run_lists(&with, Which::Ours),
        });
        let clients = number(without.clients as f64, 0);
        let title = format!("{clients} clients, each 20 of 5,000 symbols, 3 pairs of runs");
        let columns = [labels[0], labels[1], RATIO];
        self.table.begin(without.name, title, &columns);
        for (label, path) in [
            ("CPU per upgrade (µs)", "/server/joining_cpu_us_per_client"),
            ("CPU per leave (µs)", "/server/leaving_cpu_us_per_client"),
        ] {
            let cpu = pairs.median(|report| at(report, path));
            let most = Target::AtMost(crate::RATIO, 1.3);
            self.table.row(label, 2, cpu, Some(most));
        }
    }

    /// The cost of ticks that no client watches: nearly all of them.
    pub(crate) fn unwatched(&mut self) {
        let regime = Regime {
            name: "unwatched",
            clients: 1,
            lists: of(1, 5_000),
            interval: Duration::from_millis(250),
            ..OF_250
        };
        let Some(report) = self.run_lists(&regime, Which::Ours) else {
            return;
        };
        let title = "5,000 symbols, a burst each 250ms, one client that watches one".to_owned();
        self.table.begin(regime.name, title, &["ours"]);
        let percent = at(&report, "/server/cpu_percent");
        let per_second = f64::from(regime.lists.symbols) / regime.interval.as_secs_f64();
        let each = percent.map(|percent| percent / 100.0 * 1e6 / per_second);
        let most = |most| Some(Target::AllAtMost(most));
        self.table
            .row("CPU in use (%)", 2, vec![percent], most(5.0));
        self.table
            .row("CPU per printed tick (µs)", 3, vec![each], most(1.0));
    }

    /// One run. Problems are noted; `None` if there is no report.
    fn run_lists(&mut self, regime: &Regime, which: Which) -> Option<Value> {
        if interrupted() {
            return None;
        }
        let name = format!("{}, {which}", regime.name);
        match self.try_run_lists(&name, regime, which) {
            Ok(report) => Some(report),
            Err(error) => {
                self.findings.problem(format!("{name}: {error}"));
                None
            }
        }
    }

    fn try_run_lists(
        &mut self,
        name: &str,
        regime: &Regime,
        which: Which,
    ) -> Result<Value, String> {
        let server = Server::start(which, regime.prices(), &self.cores)?;
        let warmup = self.scaled(WARMUP_MS);
        let duration = self.scaled(regime.duration_ms);
        let mut loader = Guard::start(
            self.cores
                .client(&current_program()?)
                .arg(crate::LOAD_LISTS)
                .args(["--address", server.address()])
                .args(["--pid", &server.pid().to_string()])
                .args(["--clients", &regime.clients.to_string()])
                .args(["--symbols", &regime.lists.symbols.to_string()])
                .args(["--watched", &regime.lists.watched.to_string()])
                .args(regime.lists.have_one_in_common.then_some("--one-in-common"))
                .args(["--interval-us", &regime.interval.as_micros().to_string()])
                .args(["--warmup-ms", &warmup.as_millis().to_string()])
                .args(["--duration-ms", &duration.as_millis().to_string()])
                .args((which == Which::Floor).then_some("--unchecked"))
                .args(self.cores.are_pinned().then_some("--spin")),
        )?;
        let (out, errors) = loader.finish(warmup + duration + LOADER_LIMIT, || {})?;
        let report: Value = serde_json::from_str(&out)
            .map_err(|_| format!("the load has no report: {}", errors.trim()))?;
        self.judge(name, &report);
        if let Some(lost) = server.stop()? {
            self.findings.note(format!("{name}: {lost}"));
        }
        Ok(report)
    }

    fn judge(&mut self, name: &str, report: &Value) {
        let kinds = report.pointer("/errors/kinds").and_then(Value::as_object);
        for (kind, count) in kinds.into_iter().flatten() {
            self.findings
                .problem(format!("{name}: {count} times {kind}"));
        }
        if at(report, "/client/cpu_percent").is_some_and(|busy| busy > BUSY_PERCENT) {
            let note = format!("{name}: the load was busy all the time, latencies include its own");
            self.findings.note(note);
        }
        for (path, who) in [
            ("/server/waited_percent", "the server"),
            ("/client/waited_percent", "the load"),
        ] {
            if let Some(waited) = at(report, path).filter(|&waited| waited > WAITED_PERCENT) {
                let note = format!(
                    "{name}: {who} had to wait for a core for {waited:.0} % of the time, because \
                     others use the machine: measure again when it is idle"
                );
                self.findings.note(note);
            }
        }
    }
}

fn ticks_per_second(report: &Value) -> Option<f64> {
    ratio(at(report, "/ticks")?, at(report, "/duration_s")?)
}

fn current_program() -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(program.to_string_lossy().into_owned())
}

/// The most memory of the process, in MB.
fn rss_at_most(clients: usize) -> f64 {
    if clients > 1_000 { 16.0 } else { 12.0 }
}

/// How many pairs of runs the medians are taken over.
const PAIRS: usize = 5;
const PAIRS_OF_QUICK: usize = 3;

const WARMUP_MS: u64 = 500;

/// By how much the loads of a pair may differ.
const ALIKE: f64 = 0.02;

const BUSY_PERCENT: f64 = 95.0;

/// Above this, a figure depends on the machine's other processes as well.
const WAITED_PERCENT: f64 = 5.0;

/// Time for joining and leaving.
const LOADER_LIMIT: Duration = Duration::from_secs(60);
