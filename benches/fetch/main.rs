//! Measures what fetching prices costs the clients: our server with prices of an exchange, compared
//! with the same server with simulated prices, and with one that fetches by blocking calls, as the
//! Python original did. The exchange is the tests' fake, over real HTTPS, and as slow to answer as
//! real ones.
//!
//! The servers are this program. They do what `./server` does with the same options, and have an
//! additional timer that shows the loop's lateness; see `server.rs`. Servers, exchange and load
//! client are separate processes.
//!
//! `cargo bench --bench fetch` runs all scenarios; see [`HELP`]. A bare `cargo bench` leaves it
//! out, since together with the floor's runs it would take too long (`bench = false` in
//! Cargo.toml).

mod blocking;
#[path = "../common/mod.rs"]
mod common;
mod life;
mod many;
mod memory;
mod one;
mod server;
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

use common::{Arguments, Bench, Scenario, exit_code};

const HELP: &str = "\
Measures what it costs clients that the server fetches prices of an exchange: a
fake exchange on this machine that answers after 260 ms, over HTTPS.

Usage: cargo bench --bench fetch -- [SCENARIO...] [OPTIONS]

Scenarios [default: all]:
  one        1,000 clients join at once, a price each 250 ms: simulated, fetched,
             and fetched with calls that block the loop, in turns
  many       50 symbols, 10 exchanges, and 50 symbols of each of 10 exchanges
  memory     1, 11 and 21 exchanges: the cost of another feed

Options:
  --quick    about two thirds of the time
  --json     also print the figures as one JSON object on the last line
  -h, --help print this

Exit status: 0 if all was measured, 1 if not, 2 if an argument is invalid. A missed
target is not a failure: that depends on the machine.
";

/// The scenarios, in the order of the table.
const SCENARIOS: [Scenario; 3] = [
    ("one", Bench::one),
    ("many", Bench::many),
    ("memory", Bench::memory_per_feed),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(server::SERVE) => return exit_code(server::serve(&words[1..])),
        Some(server::SERVE_BLOCKING) => return exit_code(server::serve_blocking(&words[1..])),
        Some(upstream::FAKE) => return exit_code(upstream::fake(&words[1..])),
        // `cargo test --benches` runs benchmarks without arguments, and does not want measurements.
        None => {
            println!("fetching is measured by: cargo bench --bench fetch");
            return ExitCode::SUCCESS;
        }
        Some(_) => {}
    }
    let scenarios = SCENARIOS.iter().map(|(name, _)| *name);
    match Arguments::parse(words, scenarios, "cargo bench --bench fetch", HELP) {
        Ok(arguments) => Bench::measure(&arguments, &SCENARIOS, "the exchange where the client is"),
        Err(exit_code) => exit_code,
    }
}

impl Bench {
    /// A time to measure for; half of it in a quick run.
    fn time(&self, ms: u64) -> Duration {
        Duration::from_millis(if self.quick { ms / 2 } else { ms })
    }
}

/// The interval between two prices of a symbol, which is the server's default.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long the exchange takes to answer.
const ANSWER_TIME: Duration = Duration::from_millis(260);
