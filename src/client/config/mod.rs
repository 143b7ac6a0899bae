//! The configuration of a run.

pub mod field;
pub mod limits;
pub mod options;
pub mod template;
pub mod unit;
pub mod url;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::BadOption;
use crate::client::config::field::Field;
use crate::client::config::template::Template;
use crate::client::config::unit::Unit;
use crate::client::config::url::Url;
use crate::error_text::plain;
use crate::http_client::Roots;

/// The configuration of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to connect; its query holds what is the same for all clients.
    pub url: Url,
    /// How each client draws its own symbols, if it does.
    pub watch: Option<Watch>,
    /// How often the server sends the newest tick of each symbol (also part of the query); `None`
    /// for every tick.
    pub every: Option<Duration>,
    /// How many connections to open.
    pub clients: usize,
    /// How long to measure.
    pub duration: Duration,
    /// How long to listen before measuring.
    pub warmup: Duration,
    /// New connections per second; `None` opens them as fast as handshakes finish.
    pub ramp: Option<f64>,
    /// How many handshakes may be in progress at once.
    pub in_flight: usize,
    /// The limit from connect to upgrade.
    pub connect_timeout: Duration,
    /// What clients do besides listening: some read slowly, some come and go.
    pub behaviour: Behaviour,
    /// Headers to send, and certificates to trust.
    pub access: Access,
    /// How many processes share the clients.
    pub processes: usize,
    /// The number of this process's first client, counted over all processes.
    pub first_client: usize,
    /// Which of several processes this is, and how many there are.
    pub share: Option<(usize, usize)>,
    /// The addresses of the URL's host, if they are already resolved.
    pub addresses: Vec<SocketAddr>,
    /// The process id of the server, to report its CPU time and memory.
    pub pid: Option<u32>,
    /// The fields to read from each message.
    pub fields: Fields,
    /// Whether to compare the server's clock with this one.
    pub sync: bool,
    /// How often each symbol should tick.
    pub expect: Option<Duration>,
    /// The request that each client sends; `None` if clients only listen.
    pub request: Option<Template>,
    /// Requests per second and client.
    pub rate: f64,
    /// How many requests may be unanswered on one connection.
    pub unanswered_max: usize,
    /// Whether to print the report as JSON.
    pub json: bool,
    /// Whether to print ticks as they arrive.
    pub print: bool,
    /// Whether to hide the progress line.
    pub quiet: bool,
    /// Where to write the intervals as CSV; `-` is stdout.
    pub csv: Option<PathBuf>,
    /// Where to write the HdrHistogram interval log.
    pub hdr: Option<PathBuf>,
    /// Where to write the charts.
    pub plot: Option<PathBuf>,
    /// Reports of earlier runs to include in the charts.
    pub compare: Vec<PathBuf>,
    /// The thresholds that the run has to meet.
    pub thresholds: Thresholds,
}

impl Config {
    /// A client for `url`, with the command line's defaults for the rest.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            watch: None,
            every: None,
            first_client: 0,
            clients: 1,
            duration: Duration::from_secs(60),
            warmup: Duration::ZERO,
            ramp: None,
            in_flight: 1024,
            connect_timeout: Duration::from_secs(10),
            behaviour: Behaviour::default(),
            access: Access::default(),
            processes: 1,
            share: None,
            addresses: Vec::new(),
            pid: None,
            fields: Fields::default(),
            sync: false,
            expect: None,
            request: None,
            rate: 1.0,
            unanswered_max: 100,
            json: false,
            print: false,
            quiet: false,
            csv: None,
            hdr: None,
            plot: None,
            compare: Vec::new(),
            thresholds: Thresholds::default(),
        }
    }

    /// Whether the CSV goes to stdout.
    pub fn csv_to_stdout(&self) -> bool {
        self.csv.as_deref() == Some(Path::new("-"))
    }

    /// The part of process `number` out of `of`. It reports to another process, so it neither
    /// prints nor writes files.
    #[must_use]
    pub(crate) fn share(&self, number: usize, of: usize) -> Self {
        let part = |all: usize, number: usize| (all as u128 * number as u128 / of as u128) as usize;
        let (from, to) = (part(self.clients, number), part(self.clients, number + 1));
        // The same spreading as in `Users`, so that no process gets more slow clients than clients.
        let slow = |clients: usize| {
            (clients as u128 * self.behaviour.slow as u128 / self.clients.max(1) as u128) as usize
        };
        let part_of = |rate: Option<f64>| rate.map(|rate| rate / of as f64);
        Self {
            clients: to - from,
            first_client: from,
            ramp: part_of(self.ramp),
            in_flight: self.in_flight.div_ceil(of),
            behaviour: Behaviour {
                slow: slow(to) - slow(from),
                churn: part_of(self.behaviour.churn),
                ..self.behaviour.clone()
            },
            processes: 1,
            share: Some((number, of)),
            // Only the coordinator looks at the server's process.
            pid: None,
            quiet: true,
            ..self.clone()
        }
    }
}

/// What clients do besides listening: some read slowly, some come and go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// How many of the clients are slow readers.
    pub slow: usize,
    /// How many connections per second to close and reopen.
    pub churn: Option<f64>,
    /// Whether to reopen lost connections.
    pub reconnect: bool,
}

/// Headers to send, and certificates to trust.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// A file of root certificates to trust in addition to Mozilla's.
    pub ca: Option<PathBuf>,
    /// Whether to accept any certificate.
    pub insecure: bool,
    /// Additional headers of the handshake, as names and values.
    pub headers: Vec<(String, String)>,
}

impl Access {
    /// Returns the trusted root certificates.
    ///
    /// # Errors
    /// When the file cannot be read or contains no certificate.
    pub fn roots(&self) -> Result<Roots, BadOption> {
        match &self.ca {
            None => Ok(Roots::default()),
            Some(path) => Roots::with_file(path).map_err(|error| {
                let (name, error) = (path.display(), plain(&error));
                BadOption::new("--ca", format!("cannot use {name}: {error}"))
            }),
        }
    }
}

/// Symbols that each client draws at random (`--watch`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    /// How many symbols each client gets.
    pub count: usize,
    /// Determines which client draws which symbols; `None` picks a random seed.
    pub seed: Option<u64>,
    /// The exponent of Zipf's law for the symbols' popularity; `None` makes all equally popular.
    pub zipf: Option<f64>,
    /// The symbols to draw from; empty for all that the server has.
    pub of: Vec<String>,
}

impl Watch {
    /// Whether the symbols to draw from have to be requested from the server.
    pub(crate) fn must_ask(&self) -> bool {
        self.of.is_empty() || self.of.iter().any(|symbol| symbol.contains('*'))
    }

    /// Returns the seed, picking a random one if none was given.
    pub(crate) fn settle_seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| fastrand::u64(..SEEDS))
    }
}

/// The thresholds of a run. None is set by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The highest acceptable 99th percentile of delivery latency.
    pub max_p99: Option<Duration>,
    /// The highest acceptable 99.9th percentile of delivery latency.
    pub max_p999: Option<Duration>,
    /// The highest acceptable number of errors.
    pub max_errors: Option<u64>,
    /// The lowest acceptable number of messages per second.
    pub min_throughput: Option<f64>,
}

/// Where the fields are found in a server's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The symbol of a tick.
    pub symbol: Field,
    /// The number that grows by one from each tick of a symbol to the next.
    pub seq: Field,
    /// The time at which the server sent the tick.
    pub sent: Field,
    /// The unit of that time.
    pub sent_unit: Unit,
    /// The id that a reply shares with its request.
    pub id: Field,
}

impl Default for Fields {
    /// The fields of `tickertape`'s own server.
    fn default() -> Self {
        Self {
            symbol: Field::name("symbol"),
            seq: Field::name("seq"),
            sent: Field::name("sent"),
            sent_unit: Unit::Microseconds,
            id: Field::name("id"),
        }
    }
}

impl Fields {
    /// Whether ticks are stamped in the format of `tickertape`'s own server.
    pub(crate) fn are_own(&self) -> bool {
        self.are_named_as_own() && self.sent_unit == Unit::Microseconds
    }

    /// Whether the fields have the names that `tickertape`'s own server uses.
    pub(crate) fn are_named_as_own(&self) -> bool {
        let own = Self::default();
        let is_own = |field: fn(&Self) -> &Field| field(self) == field(&own);
        is_own(|fields| &fields.symbol)
            && is_own(|fields| &fields.seq)
            && is_own(|fields| &fields.sent)
    }
}

/// Keeps randomly picked seeds short enough to type.
const SEEDS: u64 = 1_000_000_000;
