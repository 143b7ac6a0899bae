//! Measures what our server costs, compared with the floor: one bare `write` per client and tick.
//! Both are driven by the project's own load client, in pairs of runs right after each other, and
//! are separate processes, on separate cores if there are two. With watchlists the floor writes
//! bytes that are ready-made, and the load client does the least that checks every tick.
//!
//! `cargo bench` runs all scenarios, `cargo bench -- paced` one; see [`HELP`].

#[path = "../common/mod.rs"]
mod common;
mod listener;
mod lists;
mod load;
mod loader;
mod memory;
mod process;
mod ready;
mod server;
mod ticks;
mod watchlists;

use std::process::ExitCode;
use std::time::Duration;

use common::table::{self, Target};
use common::{Arguments, Bench, Load, Scenario, at, exit_code, number, ratio};
use listener::Wire;
use load::Pairs;
use memory::Crowd;
use serde_json::Value;
use server::Paper;

const HELP: &str = "\
Compares our server with the floor, a server that only does one write per client
and tick.

Usage: cargo bench -- [SCENARIO...] [OPTIONS]

Scenarios [default: all]:
  paced      1,000 clients, a tick each 10 ms: the cost of a delivery
  overload   1,000 clients, a tick each 1 ms: an overloaded server
  crowd      as many clients as descriptors allow, up to 19,000: the last in line
  joining    4,000 clients, no tick: the cost of an upgrade
  listening  1,000 clients, a tick each 10 ms: the cost of the load client, compared
             with a client that only reads
  events     1,000 clients, a tick each 10 ms: the cost of server-sent events, compared
             with WebSockets
  memory     1,000 and 10,000 clients, idle, with their own lists, after four messages
             each, and with server-sent events
  lists      all with watchlists, each client with its own random list:
  lists-250, lists-500, lists-2000
             1,000 clients, 5 of this many symbols, a burst of all symbols each 100 ms
  lists-crowd, lists-crowd-1s
             9,900 clients, 5 of 500, a burst each 250 ms or 1 s
  lists-long 1,000 clients, 50 of 2,000, a burst each second
  lists-single, lists-single-crowd
             1,000 or 9,900 clients, 5 of 500, one symbol at a time, 2,000 ticks/s
  lists-20ms, lists-5ms
             1,000 clients, 20 of 500, a burst each 20 or 5 ms
  lists-joining
             10,000 clients that join and leave, compared with clients without a list
  lists-memory
             19,000 clients, 5 of 20,000 symbols: the memory of lists and their index
  unwatched  5,000 symbols, a burst each 250 ms, one client that watches one symbol

Options:
  --quick    half the time, and fewer pairs with watchlists: four minutes for
             all instead of eleven
  --json     also print the figures as one JSON object on the last line
  -h, --help print this

Exit status: 0 if all was measured, 1 if not, 2 if an argument is invalid. A missed
target is not a failure: that depends on the machine.

TICKERTAPE_SERVER may name the path of another server to measure instead of ours.
";

/// The bench passes this to itself, with the interval, to become the floor. For watchlists the
/// number of symbols follows and, for one symbol at a time, [`SPREAD`].
const SERVE_FLOOR: &str = "--serve-floor";

const SPREAD: &str = "spread";

/// It passes this to itself, with the arguments of [`loader::load`], to become the load of
/// watchlists.
const LOAD_LISTS: &str = "--load-lists";

/// It passes this to itself, with the arguments of [`listener::listen`], to become the least
/// client.
const LISTEN_FLOOR: &str = "--listen-floor";

/// The scenarios, in the order of the table.
const SCENARIOS: [Scenario; 20] = [
    ("paced", Bench::paced),
    ("overload", Bench::overload),
    ("crowd", Bench::crowd),
    ("joining", Bench::joining),
    ("listening", Bench::listening),
    ("events", Bench::events),
    ("memory", Bench::memory_per_connection),
    ("lists-250", |bench| bench.watch(&watchlists::OF_250)),
    ("lists-500", |bench| bench.watch(&watchlists::OF_500)),
    ("lists-2000", |bench| bench.watch(&watchlists::OF_2000)),
    ("lists-crowd", |bench| bench.watch(&watchlists::CROWD)),
    ("lists-crowd-1s", |bench| bench.watch(&watchlists::CROWD_1S)),
    ("lists-long", |bench| bench.watch(&watchlists::LONG)),
    ("lists-single", |bench| bench.watch(&watchlists::SINGLE)),
    ("lists-single-crowd", |bench| {
        bench.watch(&watchlists::SINGLE_CROWD);
    }),
    ("lists-20ms", |bench| bench.watch(&watchlists::EACH_20_MS)),
    ("lists-5ms", |bench| bench.watch(&watchlists::EACH_5_MS)),
    ("lists-joining", Bench::join_with_lists),
    ("lists-memory", Bench::memory_of_many_lists),
    ("unwatched", Bench::unwatched),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == SERVE_FLOOR => return exit_code(serve_floor(rest)),
        Some((first, rest)) if first == LISTEN_FLOOR => return exit_code(listener::listen(rest)),
        Some((first, rest)) if first == LOAD_LISTS => return exit_code(loader::load(rest)),
        _ => {}
    }
    if words.is_empty() {
        // `cargo test --benches` runs benchmarks without arguments, and does not want measurements.
        println!("the floor is measured by: cargo bench");
        return ExitCode::SUCCESS;
    }
    let scenarios = SCENARIOS.iter().map(|(name, _)| *name);
    match Arguments::parse(words, scenarios, "cargo bench", HELP) {
        Ok(arguments) => Bench::measure(&arguments, &SCENARIOS, "medians of pairs of runs"),
        Err(exit_code) => exit_code,
    }
}

fn serve_floor(words: &[String]) -> Result<(), String> {
    let [interval, rest @ ..] = words else {
        return Err("the interval is missing".to_owned());
    };
    let interval = tickertape::cli::period(interval)?;
    let paper = match rest {
        [] => Paper::OneSymbol,
        [symbols, rest @ ..] => Paper::Lists {
            symbols: symbols
                .parse()
                .map_err(|error| format!("{symbols}: {error}"))?,
            is_spread: rest.iter().any(|word| word == SPREAD),
        },
    };
    server::serve(interval, paper).map_err(|error| error.to_string())
}

impl Bench {
    fn paced(&mut self) {
        let load = self.load(1_000, Duration::from_millis(10), 500, 2_500);
        let pairs = Pairs::measure(self, "paced", 5, &load);
        self.begin("paced", "1,000 clients, a tick each 10 ms, 5 pairs of runs");
        let cpu = pairs.median(|report| at(report, "/server/cpu_us_per_tick"));
        let user = pairs.pooled("/server/user_s", "/ticks", 1e6);
        let most = Target::AtMost(RATIO, 1.03);
        self.table.row("CPU per delivery (µs)", 3, cpu, Some(most));
        let most = Target::AtMost(OURS, 0.4);
        self.table.row("  in user mode (µs)", 3, user, Some(most));
        self.delivery_row(&pairs, None);
        self.table.row("gaps", 0, pairs.sum("/gaps"), None);
    }

    fn overload(&mut self) {
        let load = self.load(1_000, Duration::from_millis(1), 500, 2_500);
        let pairs = Pairs::measure(self, "overload", 3, &load);
        self.begin(
            "overload",
            "1,000 clients, a tick each 1 ms, 3 pairs of runs",
        );
        let per_cpu =
            pairs.median(|report| ratio(at(report, "/ticks")?, at(report, "/server/cpu_s")?));
        let per_second =
            pairs.median(|report| ratio(at(report, "/ticks")?, at(report, "/duration_s")?));
        let busy = pairs.median(|report| at(report, "/server/cpu_percent"));
        let least = Target::AtLeast(RATIO, 6.0);
        self.table
            .row("deliveries per CPU second", 0, per_cpu, Some(least));
        let least = Target::AtLeast(OURS, 1e6);
        self.table
            .row("deliveries per second", 0, per_second, Some(least));
        self.table.row("CPU in use (%)", 0, busy, None);
        self.delivery_row(&pairs, None);
        self.table.row("gaps", 0, pairs.sum("/gaps"), None);
    }

    fn crowd(&mut self) {
        let clients = self.descriptors.saturating_sub(DESCRIPTORS_RESERVED);
        let clients = clients.min(19_000);
        let load = self.load(clients, Duration::from_millis(250), 1_000, 4_000);
        let pairs = Pairs::measure(self, "crowd", 1, &load);
        let clients = number(clients as f64, 0);
        let limit = number(self.descriptors as f64, 0);
        self.begin(
            "crowd",
            &format!("{clients} clients (of {limit} descriptors), a tick each 250 ms"),
        );
        let cpu = pairs.median(|report| at(report, "/server/cpu_us_per_tick"));
        self.delivery_row(&pairs, Some(Target::AtMost(RATIO, 1.2)));
        self.table.row("CPU per delivery (µs)", 3, cpu, None);
        self.table.row("gaps", 0, pairs.sum("/gaps"), None);
        self.table
            .row("errors", 0, pairs.sum("/errors/total"), None);
    }

    fn joining(&mut self) {
        let clients = 4_000.min(self.descriptors.saturating_sub(DESCRIPTORS_RESERVED));
        // The window is not used; joining is measured before it.
        let load = self.load(clients, Duration::from_secs(3_600), 0, 100);
        let pairs = Pairs::measure(self, "joining", 3, &load);
        let clients = number(clients as f64, 0);
        self.begin(
            "joining",
            &format!("{clients} clients, no tick to come, 3 pairs of runs"),
        );
        let cpu = pairs.median(|report| at(report, "/server/joining_cpu_us_per_client"));
        let most = Target::AtMost(RATIO, 1.15);
        self.table.row("CPU per upgrade (µs)", 2, cpu, Some(most));
        let rate = pairs
            .median(|report| ratio(at(report, "/clients/connected")?, at(report, "/joining_s")?));
        self.table.row("upgrades per second", 0, rate, None);
    }

    fn listening(&mut self) {
        let load = self.load(1_000, Duration::from_millis(10), 500, 2_500);
        let pairs = Pairs::measure_clients(self, "listening", 3, &load);
        self.begin(
            "listening",
            "1,000 clients, a tick each 10 ms, 3 pairs of clients at our server",
        );
        let cpu = pairs.pooled("/client/cpu_s", "/ticks", 1e6);
        let most = Target::AtMost(OURS, 2.5);
        self.table
            .row("CPU per received tick (µs)", 2, cpu, Some(most));
    }

    fn events(&mut self) {
        let load = self.load(1_000, Duration::from_millis(10), 500, 2_500);
        let all = Pairs::measure_wires(self, "events", (5, Wire::Events), &load);
        let half = Pairs::measure_wires(self, "events", (5, Wire::Both), &load);
        self.table.begin(
            "events",
            "1,000 clients, a tick each 10 ms, 5 pairs of runs".to_owned(),
            &["WebSockets", "events", table::RATIO],
        );
        let cpu = |report: &Value| ratio(at(report, "/server/cpu_s")? * 1e6, at(report, "/ticks")?);
        let most = Target::AtMost(RATIO, 1.15);
        self.table
            .row("CPU per delivery (µs)", 3, all.median(cpu), Some(most));
        // Half of them are WebSockets.
        let most = Target::AtMost(RATIO, 1.075);
        self.table
            .row("  with 500 of each (µs)", 3, half.median(cpu), Some(most));
    }

    fn memory_per_connection(&mut self) {
        let many = 10_000.min(self.descriptors.saturating_sub(DESCRIPTORS_RESERVED));
        let few = many / 10;
        let most = |bytes| Some(Target::AtMost(OURS, bytes));
        let own_lists = Crowd {
            lists: Some(watchlists::OF_500.lists),
            ..Crowd::IDLE
        };
        let active = Crowd {
            messages: 4,
            ..Crowd::IDLE
        };
        let events = Crowd {
            reads_events: true,
            ..Crowd::IDLE
        };
        let rows = [
            ("bytes per connection, idle", Crowd::IDLE, most(150.0)),
            ("  with server-sent events", events, most(400.0)),
            ("  with a list of 5 of 500", own_lists, most(300.0)),
            ("  after 4 messages each", active, most(450.0)),
        ];
        let figures = rows.map(|(_, crowd, _)| self.memory((few, many), crowd));
        let span = format!(
            "RSS between {} and {} clients",
            number(few as f64, 0),
            number(many as f64, 0)
        );
        self.begin("memory", &span);
        for ((label, _, target), figure) in rows.into_iter().zip(figures) {
            self.table.row(label, 0, figure, target);
        }
    }

    fn memory_of_many_lists(&mut self) {
        let clients = 19_000.min(self.descriptors.saturating_sub(DESCRIPTORS_RESERVED));
        let lists = watchlists::of(5, 20_000);
        let bytes = self.memory_of_lists(lists, clients);
        let clients = number(clients as f64, 0);
        let title = format!("{clients} clients, each with 5 of 20,000 symbols of its own");
        self.table.begin("lists-memory", title, &["ours"]);
        let megabytes = bytes.map(|bytes| bytes / 1e6);
        let most = Some(Target::AllAtMost(20.0));
        self.table
            .row("lists and index (MB)", 1, vec![megabytes], most);
    }

    fn load(&self, clients: usize, interval: Duration, warmup_ms: u64, duration_ms: u64) -> Load {
        Load {
            clients,
            interval,
            warmup: self.scaled(warmup_ms),
            duration: self.scaled(duration_ms),
        }
    }

    /// The duration for this run: quick runs have less.
    fn scaled(&self, ms: u64) -> Duration {
        Duration::from_millis(if self.quick { ms / 2 } else { ms })
    }

    /// The problem, if there cannot be this many clients.
    fn too_few_descriptors(&self, clients: usize) -> Option<String> {
        let limit = self.descriptors;
        let is_enough = clients + DESCRIPTORS_RESERVED <= limit;
        let said = || format!("{clients} clients take more than the {limit} descriptors allowed");
        (!is_enough).then(said)
    }

    fn begin(&mut self, name: &'static str, title: &str) {
        self.table
            .begin(name, title.to_owned(), &["floor", "ours", table::RATIO]);
    }

    fn delivery_row(&mut self, pairs: &Pairs, target: Option<Target>) {
        let p99 = pairs.median(|report| Some(at(report, "/delivery_us/p99")? / 1e3));
        self.table.row("delivery p99 (ms)", 2, p99, target);
    }
}

/// The column of the table that has targets.
const OURS: usize = 1;
const RATIO: usize = 2;

/// Descriptors for other uses, in any of the processes.
const DESCRIPTORS_RESERVED: usize = 200;
