//! What was asked for.

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

/// What a run of the client does.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to connect; its query holds what all clients ask for.
    pub url: Url,
    /// What each client draws its own symbols from, if it has its own.
    pub watch: Option<Watch>,
    /// How often the server sends the newest tick of each symbol, which is part of the query, too;
    /// none: it sends every tick.
    pub every: Option<Duration>,
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
    /// What clients do besides listening: some are slow, some come and go.
    pub shape: Shape,
    /// What it takes to get in.
    pub access: Access,
    /// How many processes share the clients.
    pub processes: usize,
    /// The number of this process's first client, counted over all processes.
    pub first_client: usize,
    /// The number of this process among several, and how many there are.
    pub share: Option<(usize, usize)>,
    /// The addresses of the URL's host, if they have been looked up already.
    pub addresses: Vec<SocketAddr>,
    /// The server's process, to report its CPU and memory.
    pub pid: Option<u32>,
    /// Which fields of a message are read.
    pub fields: Fields,
    /// Whether the server's clock is compared with this one.
    pub sync: bool,
    /// How often a tick of each symbol should come.
    pub expect: Option<Duration>,
    /// The request that each client sends; none: clients only listen.
    pub request: Option<Template>,
    /// Requests per second and client.
    pub rate: f64,
    /// How many requests of a client may be unanswered.
    pub unanswered_max: usize,
    /// Whether the report is to be JSON.
    pub json: bool,
    /// Whether ticks are to be printed as they come.
    pub print: bool,
    /// Whether no progress is to be shown.
    pub quiet: bool,
    /// Where the intervals go as CSV; `-` is stdout.
    pub csv: Option<PathBuf>,
    /// Where the HdrHistogram interval log goes.
    pub hdr: Option<PathBuf>,
    /// Where the charts go.
    pub plot: Option<PathBuf>,
    /// Reports of earlier runs to draw as well.
    pub compare: Vec<PathBuf>,
    /// The limits that the run has to keep.
    pub thresholds: Thresholds,
}

impl Config {
    /// One client at `url` with the defaults of the command line.
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
            shape: Shape::default(),
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

    /// The share of process `number` of `of`. A share reports to another process, so it neither
    /// prints nor writes files.
    #[must_use]
    pub(crate) fn share(&self, number: usize, of: usize) -> Self {
        let part = |all: usize, number: usize| (all as u128 * number as u128 / of as u128) as usize;
        let (from, to) = (part(self.clients, number), part(self.clients, number + 1));
        // As `Seats` spreads them, so that no process gets more slow clients than clients.
        let slow = |clients: usize| {
            (clients as u128 * self.shape.slow as u128 / self.clients.max(1) as u128) as usize
        };
        let part_of = |rate: Option<f64>| rate.map(|rate| rate / of as f64);
        Self {
            clients: to - from,
            first_client: from,
            ramp: part_of(self.ramp),
            in_flight: self.in_flight.div_ceil(of),
            shape: Shape {
                slow: slow(to) - slow(from),
                churn: part_of(self.shape.churn),
                ..self.shape.clone()
            },
            processes: 1,
            share: Some((number, of)),
            // The server is looked at once.
            pid: None,
            quiet: true,
            ..self.clone()
        }
    }
}

/// What clients do besides listening: some are slow, some come and go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// How many of the clients are slow readers.
    pub slow: usize,
    /// How many connections per second are closed and opened again.
    pub churn: Option<f64>,
    /// Whether a lost connection is opened again.
    pub reconnect: bool,
}

/// What it takes to get in, and whom to trust.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// A file with root certificates to trust besides Mozilla's.
    pub ca: Option<PathBuf>,
    /// Whether certificates are not checked.
    pub insecure: bool,
    /// Further headers of the handshake: names and values.
    pub headers: Vec<(String, String)>,
}

impl Access {
    /// The root certificates that are trusted.
    ///
    /// # Errors
    /// When the file cannot be read or has no certificate.
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

/// Symbols for each client, drawn at random (`--watch`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    /// How many symbols each client gets.
    pub count: usize,
    /// Decides which client draws which symbols; none: random.
    pub seed: Option<u64>,
    /// The exponent of Zipf's law, by which symbols are popular; none: all are equally popular.
    pub zipf: Option<f64>,
    /// The symbols to draw from; none: all that the server has.
    pub of: Vec<String>,
}

impl Watch {
    /// Whether only the server knows the symbols to draw from.
    pub(crate) fn must_ask(&self) -> bool {
        self.of.is_empty() || self.of.iter().any(|symbol| symbol.contains('*'))
    }

    /// The seed; without one it is made up.
    pub(crate) fn settle_seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| fastrand::u64(..SEEDS))
    }
}

/// The limits asked for. None of them is set by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The most that the 99th percentile of delivery latency may be.
    pub max_p99: Option<Duration>,
    /// The same for the 99.9th.
    pub max_p999: Option<Duration>,
    /// How many errors there may be.
    pub max_errors: Option<u64>,
    /// How many messages per second there must be.
    pub min_throughput: Option<f64>,
}

/// Where the fields are in the messages of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Which symbol a tick is about.
    pub symbol: Field,
    /// The number that grows by one from each tick of a symbol to the next.
    pub seq: Field,
    /// When the server sent the tick.
    pub sent: Field,
    /// The unit of the send time.
    pub sent_unit: Unit,
    /// The id that a reply shares with its request.
    pub id: Field,
}

impl Default for Fields {
    /// The fields of our own server.
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
    /// Whether ticks are stamped the way our own server stamps them.
    pub(crate) fn are_own(&self) -> bool {
        self.are_named_as_own() && self.sent_unit == Unit::Microseconds
    }

    /// Whether the fields have the names that our own server uses.
    pub(crate) fn are_named_as_own(&self) -> bool {
        let own = Self::default();
        let is_own = |field: fn(&Self) -> &Field| field(self) == field(&own);
        is_own(|it| &it.symbol) && is_own(|it| &it.seq) && is_own(|it| &it.sent)
    }
}

/// Seeds that are made up are short enough to be typed.
const SEEDS: u64 = 1_000_000_000;
