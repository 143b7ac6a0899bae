//! The client's command line. Each group of options has its own file.

mod access;
mod load;
mod measuring;
mod output;
mod watch;

use crate::cli::{BadOption, Options};
use crate::client::config::Config;
use crate::client::config::url::Url;
use crate::process;

/// The text of `--help`.
pub const HELP: &str = "\
Measures what a price server delivers, with one or many WebSocket clients.

Usage: client [OPTIONS]

Load:
  --url URL              where to connect, with path and query
                         [default: ws://127.0.0.1:8888/]
                         wss:// uses TLS; ws://user:password@host/ logs in, and
                         the report leaves out the password
  --symbols A,B          subscribe to these symbols [default: all]
  --watch K              give each client its own K symbols, drawn at random
                         from --symbols, or from all that the server lists
  --watch-zipf           draw the first symbols more often, as in real markets:
                         symbol number r has weight 1/r, or 1/r^S with
                         --watch-zipf=S
  --watch-seed N         draw the same lists again
                         [default: random, shown in the report]
  --every TIME           ask for the newest tick of each changed symbol once per
                         TIME; ticks in between are conflated, not missed
  --batch                ask for all ticks of one write as a JSON list
  --clients N            connections to open [default: 1]
  --duration TIME        how long to measure once all have joined [default: 60s]
  --warmup TIME          how long to listen before measuring [default: 0s]
  --ramp RATE            new connections per second
                         [default: as fast as handshakes finish]
  --in-flight N          handshakes in progress at a time [default: 1024]
  --connect-timeout TIME limit from connect to upgrade [default: 10s]
  --slow N               make N of the clients slow readers; reported separately
  --churn RATE           close and reopen RATE connections per second
  --reconnect            reopen lost connections, and resume where they ended
  --processes K          spread the clients over K processes [default: 1]

Access:
  --ca FILE              also trust the certificate authorities in FILE (PEM)
  --insecure             accept any certificate: anyone in between can read and
                         change all traffic
  --header 'NAME: VALUE' add a header to the handshake; repeatable

Measurement:
  --sent-field NAME      the field with the time a tick was sent: a member, or a
                         JSON pointer like /data/ts [default: sent]
  --sent-unit UNIT       us, ms, s or ns since 1970, or iso [default: us]
  --seq-field NAME       the field with its number [default: seq]
  --symbol-field NAME    the field with its symbol [default: symbol]
  --expect TIME          the interval at which each symbol should tick: report
                         how late ticks were, and how many never came
  --sync                 compare the server's clock with this one by pings,
                         {\"op\":\"ping\",\"id\":...}, and correct latencies
  --pid PID              the server's process: report its CPU and memory too

Requests:
  --request JSON         send this from each client, and report how soon replies
                         come; an object gets an id, or \"$id\" marks its place
  --rate RATE            requests per second from each client, sent when due
                         whether or not earlier ones were answered [default: 1]
  --outstanding N        hold requests back while N have no reply [default: 100]
  --id-field NAME        the field with the id, in requests and replies
                         [default: id]
  --in-order             replies have no id and come in the order of requests

Report:
  --json                 print the report as one JSON object
  --csv FILE             write one row per second; - is stdout
  --hdr FILE             write an HdrHistogram interval log, one line per second
  --plot FILE            draw latencies by percentile and over time, as SVG
  --compare RUN.json     draw an earlier run, saved with --json, too; repeatable
  --print                print each tick as it arrives, one per line
  --quiet                show no progress line

Thresholds (missing one makes the exit status 3):
  --max-p99 TIME         the longest delivery latency allowed at p99
  --max-p999 TIME        the same at p99.9
  --max-errors N         the most errors allowed
  --min-throughput RATE  the fewest messages per second allowed

  -h, --help             print this
  --version              print the version

TIME is a number with a unit: 500ms, 10s, 1m; without a unit it is seconds.
Results go to stdout, everything else to stderr. With --print, or --csv -,
stdout carries only that, and the report goes to stderr. A reader of printed
ticks that cannot keep up loses some (8 MiB are kept for it), and the report
says how many; a reader that exits ends the run.
Latencies in files are in µs; the first line of a CSV file names its columns.
What --expect and --request measure has its own columns and tags there.
Exit status: 0 if ticks were measured, 1 if not (or a file could not be
written), 2 if an option is invalid, 3 if a threshold was missed.

Examples:
  client --duration 60
  client --clients 1000 --duration 10s --warmup 2s --pid $(pgrep -x server)
  client --clients 1000 --watch 20 --watch-zipf --duration 10s
  client --expect 250ms --request '{\"op\":\"ping\"}' --rate 10
  client --url ws://host/feed --sent-field /data/ts --sent-unit ms
  client --clients 100 --duration 10s --max-p99 5ms --max-errors 0
  client --json --duration 10s >before.json
  client --plot after.svg --compare before.json --duration 10s
  client --print --duration 1h --symbols BTC/USDT >ticks.ndjson
";

/// Parses a command line.
///
/// # Errors
/// A sentence about the first invalid option.
pub fn parse(mut options: Options) -> Result<Config, BadOption> {
    let url = match options.value("--url", Url::parse)? {
        Some(url) => url,
        None => Url::parse(DEFAULT_URL).expect("the default is a URL"),
    };
    let mut config = Config::new(url);
    watch::read(&mut options, &mut config)?;
    load::read(&mut options, &mut config)?;
    access::read(&mut options, &mut config)?;
    measuring::read(&mut options, &mut config)?;
    output::read(&mut options, &mut config)?;
    load::check_processes(&config)?;
    options.finish()?;
    Ok(config)
}

/// Raises the limit on open files as far as allowed, and checks that the clients fit into it.
///
/// # Errors
/// A sentence that names the limit.
pub fn reserve_descriptors(config: &Config) -> Result<(), BadOption> {
    let limit =
        process::raise_descriptor_limit().map_err(|error| BadOption::new("--clients", error))?;
    let room = limit.saturating_sub(DESCRIPTORS_RESERVED);
    if config.processes as u64 > room / DESCRIPTORS_PER_PROCESS {
        let error = format!("the limit of {limit} open files is too low, raise ulimit -n");
        return Err(BadOption::new("--processes", error));
    }
    let clients = config.clients.div_ceil(config.processes);
    if clients as u64 > room {
        return Err(BadOption::new(
            "--clients",
            format!("the limit of {limit} open files leaves room for {room}, raise ulimit -n"),
        ));
    }
    Ok(())
}

const DEFAULT_URL: &str = "ws://127.0.0.1:8888/";

/// Descriptors for other uses: the poll, the standard streams, files that libraries open.
const DESCRIPTORS_RESERVED: u64 = 32;

/// Each worker takes two pipes here, and one more while it starts.
const DESCRIPTORS_PER_PROCESS: u64 = 3;

#[cfg(test)]
mod tests;
