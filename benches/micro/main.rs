//! The cost of single steps: publishing a tick on the tape, reading it there, encoding, parsing, a
//! message of an exchange, an upgrade, a tick published, a delivery, a tick measured by the client,
//! a timer. `cargo bench --bench micro` prints nanoseconds, which vary; `scripts/budget.sh` counts
//! the instructions of the same cases with valgrind, which do not, and compares them with
//! `budget.txt`.

mod client;
mod market;
mod pure;
mod served;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Measures the cost of single steps.

Usage: cargo bench --bench micro -- [CASE...] [OPTIONS]

Options:
  --times N   do each case N times without printing, for a profiler
  --list      print the names of the cases
  -h, --help  print this
";

/// Performs its step this many times (never zero), and returns how long that took.
type Case = fn(u32) -> Duration;

/// The cases: name, function, and a description of one step.
const CASES: [(&str, Case, &str); 17] = [
    (
        "tape_append",
        pure::tape_append,
        "a frame appended to a tape of 1 MiB",
    ),
    (
        "tape_read",
        pure::tape_read,
        "eight frames read, the last one cut off by the socket",
    ),
    (
        "tick_encode",
        pure::tick_encode,
        "a tick encoded as a frame",
    ),
    (
        "tick_encode_fields",
        pure::tick_encode_fields,
        "a tick with all eight fields encoded as a frame",
    ),
    (
        "tick_parse",
        pure::tick_parse,
        "a tick parsed from a frame, in the client",
    ),
    (
        "tick_parse_fields",
        pure::tick_parse_fields,
        "a tick with all eight fields parsed from a frame, in the client",
    ),
    (
        "price_parse",
        pure::price_parse,
        "an exchange's price, every fourth with an exponent",
    ),
    (
        "stream_read",
        pure::stream_read,
        "a message of an exchange's stream, read without further fields",
    ),
    (
        "timer",
        served::timer,
        "a timeout set, another cancelled, a third run",
    ),
    (
        "upgrade",
        served::upgrade,
        "a client accepted, upgraded and closed",
    ),
    (
        "delivery",
        served::delivery,
        "a tick published to a client, of 64",
    ),
    (
        "upgrade_list",
        market::upgrade,
        "a client with 20 of 5,000 symbols accepted, upgraded and closed",
    ),
    (
        "delivery_list",
        market::delivery,
        "a tick published to a client, of 64 that each watch 5 of 20 symbols",
    ),
    (
        "publish_unwatched",
        market::publish_unwatched,
        "a tick published without a client that watches it, of 5,000 symbols",
    ),
    (
        "publish_fields",
        market::publish_fields,
        "the same with all eight fields",
    ),
    (
        "publish_crowd",
        market::publish_crowd,
        "a tick published to 9,000 clients with their own lists, up to the writes",
    ),
    (
        "client_message",
        client::message,
        "a tick read by the client, from the frame to the histogram",
    ),
];

fn main() -> ExitCode {
    let mut options = pico_args::Arguments::from_env();
    if options.contains(["-h", "--help"]) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    // Cargo's flag for running benchmarks; `cargo test --benches` runs them without it.
    let measured = options.contains("--bench");
    if options.contains("--list") {
        CASES.iter().for_each(|(name, ..)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let times: Result<Option<u32>, _> = options.opt_value_from_str("--times");
    let words = options.finish();
    let names: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let unknown = names
        .iter()
        .find(|name| CASES.iter().all(|(case, ..)| case != name));
    let times = match (times, unknown) {
        (_, Some(unknown)) => return refuse(&format!("unexpected argument '{unknown}'")),
        (Err(_) | Ok(Some(0)), _) => {
            return refuse("invalid --times: expected a whole number from 1");
        }
        (Ok(times), None) => times,
    };
    for (name, case, step) in CASES {
        if !names.is_empty() && names.iter().all(|asked| asked != name) {
            continue;
        }
        match times {
            Some(times) => drop(case(times)),
            None if measured => println!("{name:<18} {:>9.1} ns  {step}", nanoseconds(case)),
            None => drop(case(1)),
        }
    }
    ExitCode::SUCCESS
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("error: {problem}, see cargo bench --bench micro -- --help");
    ExitCode::from(2)
}

/// The fastest of several measurements: disturbances make a machine slower, never faster.
fn nanoseconds(case: Case) -> f64 {
    let mut times = 64;
    let mut took = case(times);
    while took < GO && times < TIMES_MAX {
        let missing = GO.as_secs_f64() / took.as_secs_f64().max(1e-9);
        times *= missing.clamp(2.0, 64.0).ceil() as u32;
        took = case(times);
    }
    let goes = (1..GOES).map(|_| case(times));
    let fastest = goes.fold(took, Duration::min);
    fastest.as_nanos() as f64 / f64::from(times)
}

/// How long `steps` take. Setting up and cleaning up are excluded if this matters.
fn time<T>(steps: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(steps());
    began.elapsed()
}

/// Long enough for the clock's resolution.
const GO: Duration = Duration::from_millis(50);

const GOES: usize = 7;

const TIMES_MAX: u32 = u32::MAX / 128;
