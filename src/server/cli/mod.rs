//! The server's command line.

mod cluster;
mod fields;
mod limits;
mod prices;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use log::LevelFilter;

pub use self::cluster::ClusterArgs;
use self::cluster::cluster;
use self::limits::limits;
use self::prices::{check_uses, prices};
use crate::cli::{BadOption, Options, path};
use crate::feed::{LiveOptions, Settings, Source};
use crate::server::config::{Config, TlsFiles};

/// What `server --help` prints.
pub const HELP: &str = "\
Streams live prices over WebSocket to thousands of clients from one thread.

Usage: server [options]

  --port PORT            listen on this port; 0 takes a free one [default: 8888]
  --address ADDRESS      listen on this address; 0.0.0.0 or :: opens it to the network
                         [default: 127.0.0.1]
  --tls-cert FILE        serve wss:// and https://; FILE has the certificate followed by its
                         intermediates (PEM). SIGHUP reads it again
  --tls-key FILE         the private key of the certificate (PEM). SIGHUP reads it again
  --reuse-port           share the port with another server that was started with this
                         option. Send SIGTERM to the old one, and the new one takes over: no
                         client is refused or reset (an --admin port is shared likewise)
  --admin ADDRESS:PORT   serve /metrics, /healthz and /readyz there, without TLS, and stop
                         serving /metrics on the clients' port

Access:
  --token-file FILE      require a token from FILE (one per line, # starts a comment), sent
                         as Authorization: Bearer TOKEN, or as ?token=TOKEN in the URL.
                         /healthz and /readyz need none. SIGHUP reads the file again, and
                         connected clients stay
  --allow-origin ORIGIN  let pages of ORIGIN connect, besides those that the server serves:
                         https://example.org, https://*.example.org, http://localhost:*,
                         file://, null, or * for every page (repeatable). On a loopback
                         address, pages of this machine may connect anyway
  --allow-host NAME      answer to the name NAME in Host headers: prices.example.org,
                         *.example.org, or * for every name (repeatable). On a loopback
                         address, or with this option, the server otherwise answers to names
                         of this machine only; behind a proxy, give the name that it passes on
  --max-clients N        connections at a time [default: as descriptors allow]
  --max-clients-per-ip N connections at a time from one address, or from one IPv6 /64; more
                         are answered with 429, over TLS with an alert [default: no limit]

Prices:
  --source SOURCE        sim: simulated prices; replay:FILE: a recording; binance: that
                         exchange, by requests; binance+stream: by its WebSocket;
                         binance,kraken: the first that is healthy; -: ticks that a script
                         writes to stdin, one JSON object a line; lines:PATH: to a FIFO or
                         a file; https://…: a price on the web, see --price; nats://…: the
                         log of another server, see --publish. Repeatable for
                         'XAU/USD=https://…#/price', each with its symbol, beside exchanges
                         [default: sim]
  --symbols LIST         the symbols, A,B,C, or @FILE to read them from a file, separated by
                         lines, commas or blanks (# starts a comment); up to 65,000. SIGHUP
                         reads the file again and adds and removes symbols to match. An
                         exchange takes patterns, too: '*/USDT' stands for what its list of
                         markets has, now and later. Of a script, all are published by
                         default [default: BTC/USDT]
  --interval TIME        time between two prices of a symbol; an exchange may require more,
                         or take longer to answer [default: 250ms]
  --fields LIST          what ticks have besides the price, where the source has it: some of
                         bid, ask, and of the last 24 hours volume, quote_volume, change (in
                         per cent), high, low, open; A,B,C [default: none]
  --changes-only         publish a live price only if it or a field of --fields differs from
                         the one before
  --stale-after TIME     call a live price stale after this much silence, but no sooner than
                         a stream's sign of life may take [default: three intervals, at
                         least 5s]
  --list-sources [NAME]  print the known exchanges with the fields that each has, or all about
                         the exchange NAME, and exit
  --exchanges FILE       add the exchanges in FILE, or replace built-in ones, in the format
                         of crates/exchanges/exchanges.json
  --price PLACE          where the answer of https://… has the price: a JSON pointer, such as
                         /data/price, or a column of CSV, such as column:Close
  --time PLACE           where it has the time of that price
  --scale SCALE          the power of ten that the price is multiplied by, such as -8, or where
                         the answer has it, such as /data/expo
  --row ROW              the row of CSV that counts, of those with a price: last, the usual
                         one, or first
  --source-header HEADER  'NAME: VALUE' for requests to https://…, or @FILE with one a line, so
                         that no key is in the list of processes (repeatable)
  --upstream URL         send all requests for exchanges and https://… there instead, with
                         their host as the first part of the path, such as
                         http://127.0.0.1:9000
  --ca FILE              trust the certificates in FILE (PEM) too
  --request-timeout TIME how long to wait for an answer from the web [default: 10s]
  --seed N               make the simulation repeatable
  --spread               spread the simulated symbols evenly over the interval instead of
                         moving all of them at once
  --speed N              replay N times as fast, or as fast as possible: max [default: 1]
  --record FILE          append every tick to FILE, for replay:FILE

Sharing prices between servers, through NATS with JetStream:
  --publish URL          write the prices to the log at URL, and serve what the log has
                         accepted. Of several servers with the same URL one writes; the
                         others stand by, and one of them takes over when it ends. URL is
                         nats://[USER:PASSWORD@]HOST[:PORT],…/NAME, or tls://… for TLS; NAME is
                         the name of the log, tickertape if left out
  --source URL           serve the prices of the log at nats://… or tls://…, as any number of
                         servers can. With --symbols, serve only these
  --takeover-after TIME  take over when the log has been silent for this long [default: 3s]
  --broker-creds FILE    authenticate with FILE, a .creds file with a JWT and its seed
  --broker-token FILE    authenticate with the token in FILE
  --broker-timeout TIME  how long to wait for an answer from NATS [default: 300ms]
  --broker-connect TIME  how long to wait for a connection to a NATS server [default: 2s]

Limits:
  --max-message-size SIZE  longest message from a client [default: 4KiB]
  --message-rate N       messages per second from a client, and twice as many at once
                         [default: 50]
  --tape SIZE            memory for recent ticks, kept for clients that are behind or resume
                         with ?since=; a tick takes about 112 bytes [default: 8MiB]
  --list-memory SIZE     memory for all watchlists together; beyond it new lists are refused
                         [default: 64MiB]
  --max-batch N          most ticks in one JSON list, for clients with ?batch [default: 500]
  --send-buffer SIZE     unsent bytes that the system keeps for a client [default: 64KiB]
  --handshake-timeout TIME  how long to wait for a client's request [default: 5s]
  --close-timeout TIME   how long to wait for a client to close after the server did
                         [default: 5s]
  --ping-interval TIME   time between two pings to a client; 0 sends none [default: 20s]
  --ping-timeout TIME    how long to wait for the pong, at most --ping-interval
                         [default: as --ping-interval]
  --resume-wait TIME     how long a client waits whose ?since= is ahead of this server
                         [default: 2s]
  --conflate-after TIME  a client further behind than this skips to the newest ticks
                         [default: 1s]
  --slow-timeout TIME    disconnect a client that has read nothing for this long
                         [default: 30s]
  --drain TIME           spread the goodbyes after SIGTERM or SIGINT over this time, so that
                         clients do not all reconnect at once; a second signal ends the
                         server at once [default: 2s]
  --shutdown-timeout TIME  how long to wait after --drain for clients to answer
                         [default: 2s]

  --log LEVEL            error, warn, info, debug or trace [default: info]
  -h, --help             print this
  --version              print the version

Requests to exchanges and https://… go through the proxy of the environment: HTTPS_PROXY,
NO_PROXY and so on.

Example: server --port 8888 --source binance --symbols BTC/USDT,ETH/USDT
";

/// A valid command line.
#[derive(Debug)]
pub struct Args {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The source of prices.
    pub source: Source,
    /// The settings of the source.
    pub feed: Settings,
    /// The file that ticks are recorded to.
    pub record: Option<PathBuf>,
    /// The file of the tokens that clients need.
    pub token_file: Option<PathBuf>,
    /// What it does as one of many servers.
    pub cluster: Option<ClusterArgs>,
    /// The limits.
    pub config: Config,
    /// The log level.
    pub log: LevelFilter,
}

/// The command that a command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Args>),
    /// Print this text.
    Print(&'static str),
    /// Print the catalogue of exchanges, with those of a file, or all about one of them.
    ListSources(Box<LiveOptions>, Option<String>),
}

impl Command {
    /// Reads the command line.
    ///
    /// # Errors
    /// [`BadOption`] names the option.
    pub fn parse(mut options: Options) -> Result<Self, BadOption> {
        if let Some(text) = options.information(HELP) {
            return Ok(Self::Print(text));
        }
        let mut lists_sources = options.flag("--list-sources");
        let mut name = None;
        if !lists_sources {
            // Written as --list-sources=NAME.
            name = options.value("--list-sources", |text| Ok(text.to_owned()))?;
            lists_sources = name.is_some();
        }
        let args = Args::parse(&mut options)?;
        if lists_sources && name.is_none() {
            name = options.word();
        }
        if !lists_sources {
            check_uses(&options, &args.source)?;
        }
        options.finish()?;
        if lists_sources {
            return Ok(Self::ListSources(Box::new(args.feed.live), name));
        }
        Ok(Self::Serve(Box::new(args)))
    }
}

impl Args {
    fn parse(options: &mut Options) -> Result<Self, BadOption> {
        let ip = options
            .value("--address", ip)?
            .unwrap_or(Ipv4Addr::LOCALHOST.into());
        let port = options.value("--port", port)?.unwrap_or(8888);
        let (source, feed) = prices(options)?;
        let cluster = cluster(options, &source)?;
        let address = SocketAddr::new(ip, port);
        let mut config = Config {
            tls: tls(options)?,
            ..limits(options)?
        };
        config.origins.set_local(ip.is_loopback());
        if config.admin.is_some_and(|admin| overlap(admin, address)) {
            let error = "invalid address: clients connect there; expected another port";
            return Err(BadOption::new("--admin", error));
        }
        let record = options.value("--record", path)?;
        if let (Source::Replay(replayed), Some(record)) = (&source, &record)
            && is_same(replayed, record)
        {
            // It would never end, as each tick that is replayed adds another.
            let error = "this is the recording that is replayed: expected another file";
            return Err(BadOption::new("--record", error));
        }
        Ok(Self {
            address,
            source,
            feed,
            record,
            token_file: options.value("--token-file", path)?,
            cluster,
            config,
            log: options.value("--log", level)?.unwrap_or(LevelFilter::Info),
        })
    }
}

fn tls(options: &mut Options) -> Result<Option<TlsFiles>, BadOption> {
    let cert = options.value("--tls-cert", path)?;
    let key = options.value("--tls-key", path)?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(BadOption::new("--tls-cert", "needs --tls-key too")),
        (None, Some(_)) => Err(BadOption::new("--tls-key", "needs --tls-cert too")),
    }
}

/// Whether two listening addresses would compete for the same connections. Without `--reuse-port`
/// the system refuses that; with it, each listener would take the other for the server that is to
/// replace it.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    let same_family = one.is_ipv4() == other.is_ipv4();
    let everywhere = same_family && (one_ip.is_unspecified() || other_ip.is_unspecified());
    one.port() == other.port() && one.port() != 0 && (one_ip == other_ip || everywhere)
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let found = |path: &Path| path.canonicalize().ok();
    one == other || found(one).is_some_and(|file| found(other) == Some(file))
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        format!("invalid address '{text}': expected an IP address, such as 127.0.0.1 or 0.0.0.0")
    })
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("invalid port '{text}': expected a number from 0 to 65535"))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| format!("invalid level '{text}': expected error, warn, info, debug or trace"))
}

#[cfg(test)]
mod tests;
