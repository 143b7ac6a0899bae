//! What fetching prices costs those who wait for them: our server with prices of an exchange, held
//! against the same server with simulated ones, and against itself with a fetch that blocks, as the
//! Python project that it descends from had it. The exchange is the tests' stand-in, over real
//! HTTPS, and as slow to answer as real ones are.
//!
//! The servers are this program, doing what `./server` does with the same options, plus a timer
//! that the loop's lateness shows in; see `server.rs`. Servers, exchange and load client are
//! processes of their own.
//!
//! `cargo bench --bench fetch` runs all; see [`HELP`]. A bare `cargo bench` leaves it out, since
//! with the floor's runs it would take too long (`bench = false` in Cargo.toml).

#[allow(dead_code, reason = "a part of the tests")]
#[path = "../../tests/stand_in/authority.rs"]
mod authority;
mod blocking;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/stand_in/exchange/mod.rs"]
mod exchange;
mod life;
mod many;
mod memory;
mod one;
mod server;
mod table;
mod upstream;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::process::Cores;
use common::{Asked, Findings, exit_code, interrupted, machine, stop_on_signals};
use table::Table;

const HELP: &str = "\
Measures what it costs clients that the server fetches prices of an exchange: a
stand-in on this machine that answers after 260 ms, over HTTPS.

Usage: cargo bench --bench fetch -- [SCENARIO...] [OPTIONS]

Scenarios [default: all]:
  one        1,000 clients join at once, a price each 250 ms: simulated, fetched,
             and fetched by calls that block the loop, in turns
  many       50 symbols, 10 exchanges, and 50 symbols of each of 10 exchanges
  memory     1, 11 and 21 exchanges: the cost of another feed

Options:
  --quick    about two thirds of the time
  --json     print the figures as one JSON object too, on the last line
  -h, --help print this

Exit status: 0 if all was measured, 1 if not, 2 if an argument is wrong. A target
that is missed is no failure: that depends on the machine.
";

type Measure = fn(&mut Bench);

/// The scenarios, in the order of the table.
const SCENARIOS: [(&str, Measure); 3] = [
    ("one", Bench::one),
    ("many", Bench::many),
    ("memory", Bench::memory_per_feed),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(server::SERVE) => return exit_code(server::serve(&words[1..])),
        Some(server::SERVE_BLOCKING) => return exit_code(server::serve_blocking(&words[1..])),
        Some(upstream::STAND_IN) => return exit_code(upstream::stand_in(&words[1..])),
        // `cargo test --benches` runs benchmarks without a word, and means no measurement.
        None => {
            println!("fetching is measured by: cargo bench --bench fetch");
            return ExitCode::SUCCESS;
        }
        Some(_) => {}
    }
    let scenarios = SCENARIOS.iter().map(|(name, _)| *name);
    match Asked::parse(words, scenarios, "cargo bench --bench fetch", HELP) {
        Ok(asked) => measure(&asked),
        Err(exit_code) => exit_code,
    }
}

fn measure(asked: &Asked) -> ExitCode {
    stop_on_signals();
    let began = Instant::now();
    let mut bench = Bench {
        cores: Cores::choose(),
        quick: asked.quick,
        table: Table::default(),
        findings: Findings::default(),
    };
    if let Err(error) = tickertape::usage::raise_descriptor_limit() {
        let problem = format!("the limit on descriptors stays: {error}");
        bench.findings.problem(problem);
    }
    for (name, scenario) in SCENARIOS {
        if asked.wants(name) && !interrupted() {
            scenario(&mut bench);
        }
    }
    if interrupted() {
        bench.findings.problem("interrupted".to_owned());
    }
    bench.print(began.elapsed());
    if asked.json {
        println!("{}", bench.to_json());
    }
    ExitCode::from(u8::from(!bench.findings.is_good()))
}

/// What is measured with, and what came of it.
struct Bench {
    cores: Cores,
    quick: bool,
    table: Table,
    findings: Findings,
}

impl Bench {
    /// A time to measure for; half of it if it is to be quick.
    fn time(&self, ms: u64) -> Duration {
        Duration::from_millis(if self.quick { ms / 2 } else { ms })
    }

    fn print(&self, took: Duration) {
        println!(
            "{}, {}; the exchange where the client is",
            machine(),
            self.cores
        );
        println!("{:.0} s in all", took.as_secs_f64());
        self.table.print();
        self.findings.print();
    }

    fn to_json(&self) -> serde_json::Value {
        let mut report = serde_json::json!({
            "machine": machine(),
            "cores": self.cores.to_string(),
            "figures": self.table.to_json(),
        });
        self.findings.add_to(&mut report);
        report
    }
}

/// Between two prices of a symbol, as the server has it unless told otherwise.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long the exchange takes to answer.
const ANSWER_TIME: Duration = Duration::from_millis(260);
