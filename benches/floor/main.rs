//! What our server costs, held against the floor: one bare `write` per client and tick. Both are
//! driven by the project's own load client, in pairs of runs right after each other, and both are
//! processes of their own, on a core of their own where there are two.
//!
//! `cargo bench` runs all, `cargo bench -- paced` one scenario; see [`HELP`].

#[path = "../common/mod.rs"]
mod common;
mod listener;
mod load;
mod memory;
mod process;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use common::table::{self, Target};
use common::{Asked, Bench, Load, Scenario, at, exit_code, number, ratio};
use load::Pairs;

const HELP: &str = "\
Measures our server against the floor, a server that does one write per client
and tick and nothing else.

Usage: cargo bench -- [SCENARIO...] [OPTIONS]

Scenarios [default: all]:
  paced      1,000 clients, a tick each 10 ms: the cost of a delivery
  overload   1,000 clients, a tick each 1 ms: what a server does that is behind
  crowd      as many clients as descriptors allow, up to 19,000: the last in line
  joining    4,000 clients, no tick: the cost of an upgrade
  listening  1,000 clients, a tick each 10 ms: what the load client costs, beside one
             that reads and does nothing
  memory     1,000 and 10,000 clients, idle and after four messages each

Options:
  --quick    half the time
  --json     print the figures as one JSON object too, on the last line
  -h, --help print this

Exit status: 0 if all was measured, 1 if not, 2 if an argument is wrong. A target
that is missed is no failure: that depends on the machine.
";

/// What the bench passes to itself, with the interval, to become the floor.
const SERVE_FLOOR: &str = "--serve-floor";

/// What it passes to itself, with what [`listener::listen`] needs, to become the least client.
const LISTEN_FLOOR: &str = "--listen-floor";

/// The scenarios, in the order of the table.
const SCENARIOS: [Scenario; 6] = [
    ("paced", Bench::paced),
    ("overload", Bench::overload),
    ("crowd", Bench::crowd),
    ("joining", Bench::joining),
    ("listening", Bench::listening),
    ("memory", Bench::memory_per_connection),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, interval] = words.as_slice()
        && first == SERVE_FLOOR
    {
        return serve_floor(interval);
    }
    if let [first, rest @ ..] = words.as_slice()
        && first == LISTEN_FLOOR
    {
        return exit_code(listener::listen(rest));
    }
    if words.is_empty() {
        // `cargo test --benches` runs benchmarks without a word, and means no measurement.
        println!("the floor is measured by: cargo bench");
        return ExitCode::SUCCESS;
    }
    let scenarios = SCENARIOS.iter().map(|(name, _)| *name);
    match Asked::parse(words, scenarios, "cargo bench", HELP) {
        Ok(asked) => Bench::measure(&asked, &SCENARIOS, "medians of pairs of runs"),
        Err(exit_code) => exit_code,
    }
}

fn serve_floor(interval: &str) -> ExitCode {
    let served = tickertape::options::period(interval)
        .and_then(|interval| server::serve(interval).map_err(|error| error.to_string()));
    exit_code(served)
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
        // The window is for nothing; joining is measured before it.
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

    fn memory_per_connection(&mut self) {
        let many = 10_000.min(self.descriptors.saturating_sub(DESCRIPTORS_RESERVED));
        let few = many / 10;
        let idle = self.memory((few, many), 0);
        let active = self.memory((few, many), 4);
        let span = format!(
            "RSS between {} and {} clients",
            number(few as f64, 0),
            number(many as f64, 0)
        );
        self.begin("memory", &span);
        let most = Some(Target::AtMost(OURS, 450.0));
        self.table.row("bytes per connection, idle", 0, idle, most);
        self.table.row("  after 4 messages each", 0, active, most);
    }

    fn load(&self, clients: usize, interval: Duration, warmup_ms: u64, duration_ms: u64) -> Load {
        let scale = |ms| Duration::from_millis(if self.quick { ms / 2 } else { ms });
        Load {
            clients,
            interval,
            warmup: scale(warmup_ms),
            duration: scale(duration_ms),
        }
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

/// The columns of the table that targets are about.
const OURS: usize = 1;
const RATIO: usize = 2;

/// Descriptors that are no connections, in any of the processes.
const DESCRIPTORS_RESERVED: usize = 200;
