//! The client's command line.

use std::time::Duration;

use super::url::Url;
use crate::options::{BadOption, Options, count, duration, period};
use crate::usage;

/// What `--help` prints.
pub const HELP: &str = "\
Listens to a price server with one or many clients and measures what arrives.

Usage: client [OPTIONS]

Options:
  --url URL              where to connect, with path and query
                         [default: ws://127.0.0.1:8888/]
  --symbols A,B          ask for these symbols only [default: all there are]
  --clients N            how many connections to open [default: 1]
  --duration TIME        how long to measure once all have joined [default: 60s]
  --warmup TIME          how long to listen before it is measured [default: 0s]
  --ramp RATE            new connections per second
                         [default: as fast as handshakes finish]
  --in-flight N          handshakes under way at a time [default: 1024]
  --connect-timeout TIME limit from connect to upgrade [default: 10s]
  --pid PID              the server's process: report its CPU and memory too
  --json                 print the report as one JSON object
  -h, --help             print this help

TIME is a number with a unit: 500ms, 10s, 1m; without a unit it is seconds.
Exit status: 0 if ticks were measured, 1 if not, 2 if an option is wrong.

Examples:
  client --duration 60
  client --clients 1000 --duration 10s --warmup 2s --pid $(pgrep -x server)
";

/// What a run of the client shall do.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to connect; the symbols asked for are part of its query.
    pub url: Url,
    /// How many connections to open.
    pub clients: usize,
    /// How long to measure.
    pub duration: Duration,
    /// How long to listen before that.
    pub warmup: Duration,
    /// New connections per second; none: as fast as handshakes finish.
    pub ramp: Option<f64>,
    /// How many handshakes may be under way.
    pub in_flight: usize,
    /// From the call of connect to the upgrade.
    pub connect_timeout: Duration,
    /// The server's process, to account for.
    pub pid: Option<u32>,
    /// Whether the report is to be JSON.
    pub json: bool,
}

impl Config {
    /// One client at `url` with the defaults of the command line.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            clients: 1,
            duration: Duration::from_secs(60),
            warmup: Duration::ZERO,
            ramp: None,
            in_flight: 1024,
            connect_timeout: Duration::from_secs(10),
            pid: None,
            json: false,
        }
    }

    /// Reads a command line; none if it asks for help.
    ///
    /// # Errors
    /// A sentence about the first option that is wrong.
    pub fn parse(mut options: Options) -> Result<Option<Self>, BadOption> {
        if options.help() {
            return Ok(None);
        }
        let url = match options.value("--url", Url::parse)? {
            Some(url) => url,
            None => Url::parse(DEFAULT_URL).expect("the default is a URL"),
        };
        let url = match options.value("--symbols", symbols)? {
            Some(symbols) => url.with_symbols(&symbols),
            None => url,
        };
        let default = Self::new(url);
        let config = Self {
            clients: options
                .value("--clients", count)?
                .unwrap_or(default.clients),
            duration: options
                .value("--duration", period)?
                .unwrap_or(default.duration),
            warmup: options
                .value("--warmup", duration)?
                .unwrap_or(default.warmup),
            ramp: options.value("--ramp", rate)?,
            in_flight: options
                .value("--in-flight", count)?
                .unwrap_or(default.in_flight),
            connect_timeout: options
                .value("--connect-timeout", period)?
                .unwrap_or(default.connect_timeout),
            pid: options.value("--pid", pid)?,
            json: options.flag("--json"),
            ..default
        };
        options.finish()?;
        Ok(Some(config))
    }

    /// Raises the limit on descriptors as far as it goes and holds the number of clients against it.
    ///
    /// # Errors
    /// A sentence that names the limit.
    pub fn reserve_descriptors(&self) -> Result<(), BadOption> {
        let limit =
            usage::raise_descriptor_limit().map_err(|error| BadOption::new("--clients", error))?;
        let room = limit.saturating_sub(DESCRIPTORS_RESERVED);
        if self.clients as u64 > room {
            return Err(BadOption::new(
                "--clients",
                format!("the limit of {limit} open files leaves room for {room}, raise ulimit -n"),
            ));
        }
        Ok(())
    }
}

/// Symbols are the server's; all that is certain is that one cannot be empty.
fn symbols(text: &str) -> Result<String, String> {
    if text.split(',').any(|symbol| symbol.trim().is_empty()) {
        return Err(format!(
            "'{text}' has an empty symbol, try BTC/USDT,ETH/USDT"
        ));
    }
    Ok(text.to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| format!("'{text}' is no rate, try 100 (connections per second)"))
}

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|&pid| pid > 0);
    let pid = pid.ok_or_else(|| format!("'{text}' is no process id"))?;
    match usage::Usage::of(pid) {
        Ok(_) => Ok(pid),
        Err(error) => Err(format!("cannot read process {pid}: {}", error.kind())),
    }
}

const DEFAULT_URL: &str = "ws://127.0.0.1:8888/";

/// Descriptors that are no connections: the poll, the streams of the process, files of libraries.
const DESCRIPTORS_RESERVED: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn parse(line: &str) -> Result<Option<Config>, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        Config::parse(Options::new(words)).map_err(|error| error.to_string())
    }

    fn config(line: &str) -> Config {
        parse(line).unwrap().unwrap()
    }

    /// The options of `HELP` with a value that is not the default.
    const OTHER_VALUES: [(&str, &str); 10] = [
        ("--url", "ws://example.org/"),
        ("--symbols", "BTC/USDT"),
        ("--clients", "7"),
        ("--duration", "7s"),
        ("--warmup", "7s"),
        ("--ramp", "7"),
        ("--in-flight", "7"),
        ("--connect-timeout", "7s"),
        ("--pid", "1"),
        ("--json", ""),
    ];

    #[test]
    fn help_and_parser_know_the_same_options() {
        let named: Vec<_> = HELP
            .lines()
            .filter_map(|line| line.strip_prefix("  --")?.split_whitespace().next())
            .map(|name| format!("--{name}"))
            .collect();
        let mut expected: Vec<_> = OTHER_VALUES.iter().map(|(name, _)| *name).collect();
        for (name, value) in OTHER_VALUES {
            assert_ne!(config(&format!("{name} {value}")), config(""), "{name}");
        }
        let mut named: Vec<_> = named.iter().map(String::as_str).collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected);
        assert_eq!(parse("--clients 0 -h"), Ok(None));
    }

    #[test]
    fn help_names_the_defaults_that_hold() {
        let default_of = |name: &str| {
            let (_, behind) = HELP.split_once(&format!("  {name} ")).unwrap();
            let (_, behind) = behind.split_once("[default: ").unwrap();
            behind.split_once(']').unwrap().0
        };
        for name in [
            "--url",
            "--clients",
            "--duration",
            "--warmup",
            "--in-flight",
            "--connect-timeout",
        ] {
            let line = format!("{name} {}", default_of(name));
            assert_eq!(config(&line), config(""), "{line}");
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        assert!(HELP.lines().all(|line| line.len() <= 80), "{HELP}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, error) in [
            (
                "--clients 0",
                "--clients: '0' is no count, try a whole number from 1",
            ),
            (
                "--url wss://h/",
                "--url: wss:// is not supported yet, only ws:// without TLS",
            ),
            (
                "--ramp 0",
                "--ramp: '0' is no rate, try 100 (connections per second)",
            ),
            (
                "--ramp NaN",
                "--ramp: 'NaN' is no rate, try 100 (connections per second)",
            ),
            (
                "--symbols A,",
                "--symbols: 'A,' has an empty symbol, try BTC/USDT,ETH/USDT",
            ),
            ("--pid 0", "--pid: '0' is no process id"),
            (
                "--pid 4294967295",
                "--pid: cannot read process 4294967295: entity not found",
            ),
            (
                "--clients 5 --fast",
                "unexpected argument '--fast', see --help",
            ),
        ] {
            assert_eq!(parse(line), Err(error.to_owned()));
        }
    }

    #[test]
    fn more_clients_than_descriptors_are_refused_before_any_connects() {
        let mut config = config("--clients 9");
        config.reserve_descriptors().unwrap();
        config.clients = usize::MAX;
        // A system without a limit has room for them.
        if let Err(error) = config.reserve_descriptors() {
            let error = error.to_string();
            assert!(error.starts_with("--clients: the limit of "), "{error}");
            assert!(error.ends_with("raise ulimit -n"), "{error}");
        }
    }
}
