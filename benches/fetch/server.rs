//! The server under test: does what `./server` does with the same options, and then reports how its
//! loop performed. Every server also has a timer that only measures its own lateness: a server
//! without a timer that is due while it is blocked would never seem late.

use std::fs;
use std::time::Duration;

use ioloop::lag::Lag;
use ioloop::{IoLoop, PeriodicCallback};
use serde_json::{Value, json};
use tickertape::cli::Options;
use tickertape::feed::Feed;
use tickertape::process;
use tickertape::server::cli::{Args, Command};
use tickertape::server::{Server, listen};

use crate::blocking::Blocking;

/// The bench passes this to itself, with a server's options, to become that server.
pub(crate) const SERVE: &str = "--serve";

/// The same for the blocking server, with the exchange's URL before the options.
pub(crate) const SERVE_BLOCKING: &str = "--serve-blocking";

/// Serves until SIGTERM. After that, the last line on stdout is the loop's report.
pub(crate) fn serve(words: &[String]) -> Result<(), String> {
    let args = parse(words)?;
    let feed = args.source.clone().open(&args.feed);
    run(args, feed.map_err(|error| error.to_string())?)
}

/// Does the same with blocking calls.
pub(crate) fn serve_blocking(words: &[String]) -> Result<(), String> {
    let (url, words) = words.split_first().ok_or("the exchange's URL is missing")?;
    let args = parse(words)?;
    let feed = Blocking::new(url, &args.source, &args.feed)?;
    run(args, Box::new(feed))
}

fn parse(words: &[String]) -> Result<Args, String> {
    let options = Options::new(words.iter().map(Into::into).collect());
    match Command::parse(options).map_err(|error| error.to_string())? {
        Command::Serve(args) => Ok(*args),
        _ => Err("invalid options: they start no server".to_owned()),
    }
}

fn run(args: Args, feed: Box<dyn Feed<Server>>) -> Result<(), String> {
    tickertape::log::start(args.log);
    let words = |error: std::io::Error| error.to_string();
    process::raise_descriptor_limit().map_err(words)?;
    let listener = listen(args.address, &args.config).map_err(words)?;
    let mut io_loop = IoLoop::new().map_err(words)?;
    let mut server =
        Server::new(&mut io_loop, listener, args.config, feed.symbols()).map_err(words)?;
    server.stop_on_signals(&mut io_loop).map_err(words)?;
    server.watch(&mut io_loop, feed.watched());
    PeriodicCallback::start(&mut io_loop, PROBE_INTERVAL, |_: &mut Server, _| {});
    log::info!("{}", feed.describe());
    if let Some(address) = server.address() {
        log::info!("listening on {address}");
    }
    feed.start(&mut io_loop);
    io_loop.start(&mut server).map_err(words)?;
    println!("{}", report(io_loop.lag()));
    Ok(())
}

/// The report since the start. Times are in µs.
fn report(lag: &Lag) -> Value {
    let (lateness, turns) = (lag.lateness(), lag.turns());
    json!({
        "lateness_p99_us": lateness.value_at_quantile(0.99),
        "lateness_max_us": lateness.max(),
        "turns": turns.len(),
        "turn_max_us": turns.max(),
        "long_turns": turns.len() - turns.count_between(0, LONG_TURN_US),
        "off_core_us": off_core_us(),
    })
}

/// How long this process was ready to run while its core was busy with others.
fn off_core_us() -> Option<u64> {
    let schedstat = fs::read_to_string("/proc/self/schedstat").ok()?;
    let waited_ns: u64 = schedstat.split_whitespace().nth(1)?.parse().ok()?;
    Some(waited_ns / 1_000)
}

/// Often enough that a hundredth of the samples is a meaningful number.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// A longer turn makes all clients wait.
const LONG_TURN_US: u64 = 10_000;
