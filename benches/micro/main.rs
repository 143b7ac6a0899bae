//! What single steps cost: printing a tick on the tape, reading it there, encoding, parsing, an
//! upgrade, a delivery, a timer. `cargo bench --bench micro` prints nanoseconds, which flicker;
//! `scripts/budget.sh` has valgrind count the instructions of the same cases, which do not, and
//! holds them against `budget.txt`.

mod pure;
mod served;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Measures what single steps cost.

Usage: cargo bench --bench micro -- [CASE...] [OPTIONS]

Options:
  --times N   do each case N times and print nothing: for a profiler
  --list      print the names of the cases
  -h, --help  print this
";

/// Does its step so many times, which is never zero.
type Case = fn(u32);

/// The cases, what one step of each is, and how often it is done in one go at least.
const CASES: [(&str, Case, &str); 8] = [
    (
        "tape_append",
        pure::tape_append,
        "a frame printed on a tape of 1 MiB",
    ),
    (
        "tape_read",
        pure::tape_read,
        "eight frames read, the last one cut off by the socket",
    ),
    ("tick_encode", pure::tick_encode, "a tick made a frame"),
    (
        "tick_parse",
        pure::tick_parse,
        "a frame made a tick, in the client",
    ),
    (
        "price_parse",
        pure::price_parse,
        "an exchange's price, every fourth with an exponent",
    ),
    (
        "timer",
        served::timer,
        "a timeout set, another cancelled, a third run",
    ),
    (
        "upgrade",
        served::upgrade,
        "a client accepted, upgraded and gone",
    ),
    (
        "delivery",
        served::delivery,
        "a tick published to a client, of 64",
    ),
];

fn main() -> ExitCode {
    let mut options = pico_args::Arguments::from_env();
    if options.contains(["-h", "--help"]) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    // Cargo's word for "run the benchmarks"; `cargo test --benches` runs them without it.
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
        (Err(_) | Ok(Some(0)), _) => return refuse("--times takes a number from 1 on"),
        (Ok(times), None) => times,
    };
    for (name, case, step) in CASES {
        if !names.is_empty() && names.iter().all(|asked| asked != name) {
            continue;
        }
        match times {
            Some(times) => case(times),
            None if measured => println!("{name:<12} {:>9.1} ns  {step}", nanoseconds(case)),
            None => case(1),
        }
    }
    ExitCode::SUCCESS
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("error: {problem}, see cargo bench --bench micro -- --help");
    ExitCode::from(2)
}

/// The fastest of several goes: whatever disturbs a machine makes it slower, never faster.
fn nanoseconds(case: Case) -> f64 {
    let mut times = 64;
    while time(case, times) < GO && times < u32::MAX / 2 {
        times *= 2;
    }
    let goes = (0..GOES).map(|_| time(case, times));
    let fastest = goes.min().unwrap_or_default();
    fastest.as_nanos() as f64 / f64::from(times)
}

fn time(case: Case, times: u32) -> Duration {
    let began = Instant::now();
    black_box(case)(times);
    began.elapsed()
}

/// Long enough that setting up does not count.
const GO: Duration = Duration::from_millis(50);

const GOES: usize = 7;
