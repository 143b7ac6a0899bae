//! The client's command line. Each part of it is read in a file of its own.

mod load;
mod measuring;
mod report;
mod requests;

use std::time::Duration;

use super::fields::Fields;
use super::requests::Template;
use super::url::Url;
use crate::options::{BadOption, Options};
use crate::usage;

/// What `--help` prints.
pub const HELP: &str = "\
Listens to a price server with one or many clients and measures what arrives.

Usage: client [OPTIONS]

The load:
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

The measuring:
  --sent-field NAME      where a tick says when it was sent: a member, or a JSON
                         pointer like /data/ts [default: sent]
  --sent-unit UNIT       us, ms, s or ns since 1970, or iso [default: us]
  --seq-field NAME       where it has its number [default: seq]
  --symbol-field NAME    where it has its symbol [default: symbol]
  --expect TIME          how often a tick of each symbol should come: report how
                         late each was, and those that never came
  --sync                 compare the server's clock with this one by pings,
                         {\"op\":\"ping\",\"id\":...}, and correct latencies
  --pid PID              the server's process: report its CPU and memory too

Requests:
  --request JSON         send this from each client, and report how soon replies
                         come; an object gets an id, or \"$id\" stands for it
  --rate RATE            requests per second from each client, sent when due,
                         whether or not replies have come [default: 1]
  --outstanding N        hold back while so many have no reply [default: 100]
  --id-field NAME        where requests and replies have their id [default: id]
  --in-order             replies have no id, they come in the requests' order

The report:
  --json                 print the report as one JSON object

  -h, --help             print this help

TIME is a number with a unit: 500ms, 10s, 1m; without a unit it is seconds.
Exit status: 0 if ticks were measured, 1 if not, 2 if an option is wrong.

Examples:
  client --duration 60
  client --clients 1000 --duration 10s --warmup 2s --pid $(pgrep -x server)
  client --expect 250ms --request '{\"op\":\"ping\"}' --rate 10
  client --url ws://host/feed --sent-field /data/ts --sent-unit ms
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
    /// What is read of a message.
    pub fields: Fields,
    /// Whether the server's clock is compared with this one.
    pub sync: bool,
    /// How often a tick of each symbol should come.
    pub expect: Option<Duration>,
    /// What each client asks for; none: they only listen.
    pub request: Option<Template>,
    /// How often, per second.
    pub rate: f64,
    /// How many requests of a client may be without a reply.
    pub unanswered_max: usize,
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
            fields: Fields::default(),
            sync: false,
            expect: None,
            request: None,
            rate: 1.0,
            unanswered_max: 100,
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
        let mut config = Self::new(url);
        load::read(&mut options, &mut config)?;
        measuring::read(&mut options, &mut config)?;
        requests::read(&mut options, &mut config)?;
        report::read(&mut options, &mut config)?;
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

const DEFAULT_URL: &str = "ws://127.0.0.1:8888/";

/// Descriptors that are no connections: the poll, the streams of the process, files of libraries.
const DESCRIPTORS_RESERVED: u64 = 32;

#[cfg(test)]
mod tests;
