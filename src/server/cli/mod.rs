//! The server's command line.

mod limits;
mod prices;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use log::LevelFilter;

use self::limits::limits;
use self::prices::prices;
pub(crate) use self::prices::symbols_of_file;
use crate::cli::{BadOption, Options};
use crate::feed::{Online, Settings, Source};
use crate::server::{Config, TlsFiles};

/// What `server --help` prints.
pub const HELP: &str = "\
Streams live prices over WebSocket to thousands of clients from one thread.

Usage: server [options]

  --port PORT            listen on this port; 0 takes a free one [default: 8888]
  --address ADDRESS      listen on this address; 0.0.0.0 or :: opens it to the network
                         [default: 127.0.0.1]
  --tls-cert FILE        speak TLS, wss:// and https://; FILE has the certificate, then
                         those it is signed by (PEM), and is read again on SIGHUP
  --tls-key FILE         its private key (PEM), read again likewise
  --reuse-port           share the port with a server that has it and was started so too.
                         End that one with SIGTERM, and this one takes over: no client is
                         refused or reset (--admin ports are shared alike)
  --admin ADDRESS:PORT   serve /metrics, /healthz and /readyz there, and /metrics no longer
                         where clients connect; without TLS

Who may come in:
  --token-file FILE      only who has a token of FILE, one to a line (# begins a comment):
                         Authorization: Bearer TOKEN, or ?token=TOKEN in the URL; all but
                         /healthz and /readyz. SIGHUP reads it again; who is in stays
  --allow-origin ORIGIN  let pages of ORIGIN connect too, or of any: * (repeatable)
  --max-clients N        connections at a time [default: as descriptors allow]
  --max-clients-per-ip N as many from one address, or network of IPv6 (/64); others are
                         answered 429, by TLS with an alert [default: no limit]

Prices:
  --source SOURCE        sim: a simulated walk; replay:FILE: a recording; binance: that
                         exchange; binance+stream: by its WebSocket; binance,kraken: the
                         first that is healthy; https://…: JSON, see --price [default: sim]
  --symbols LIST         the symbols, A,B,C, or @FILE to read them from a file, separated by
                         lines, commas or blanks (# starts a comment); up to 65,000. With
                         --source sim, SIGHUP reads the file again and adds and removes
                         symbols to match [default: BTC/USDT]
  --interval TIME        time between two prices of a symbol; an exchange may ask for
                         more, and answers that take longer skip beats [default: 250ms]
  --changes-only         a price that has not changed is no tick
  --stale-after TIME     after what silence a price is stale [default: three intervals,
                         at least 5s]
  --list-sources         print the exchanges there are
  --exchanges FILE       know those in FILE too; same format as crates/exchanges/exchanges.json
  --price POINTER        where https://… has the price: /data/price
  --time POINTER         where it has the time of that price
  --upstream URL         send everything there instead, http://127.0.0.1:9000 for one, with
                         the exchange's host as the first part of the path
  --ca FILE              trust the certificates in FILE (PEM) too
  --request-timeout TIME for an exchange to answer [default: 10s]
  --seed N               make the simulation repeatable
  --spread               spread the simulated symbols evenly over the interval instead of
                         moving all of them at once
  --speed N              replay N times as fast, or as fast as it goes: max [default: 1]
  --record FILE          append every tick to FILE, for replay:FILE

Limits:
  --max-message-size N   longest message from a client [default: 4KiB]
  --message-rate N       messages a second from a client, twice that at once [default: 50]
  --tape SIZE            memory for recent ticks, kept for clients that are behind or resume
                         with ?since=; a tick takes about 112 bytes [default: 8MiB]
  --list-memory SIZE     memory for all watchlists together; beyond it new lists are refused
                         [default: 64MiB]
  --max-batch N          most ticks in one JSON list, for clients with ?batch [default: 500]
  --send-buffer SIZE     unsent bytes kept by the system for a client [default: 64KiB]
  --handshake-timeout TIME  for the request to arrive [default: 5s]
  --close-timeout TIME   for a client to end after our last word [default: 5s]
  --ping-interval TIME   between heartbeats; 0 for none [default: 20s]
  --ping-timeout TIME    how long to wait for the pong, at most --ping-interval
                         [default: as --ping-interval]
  --resume-wait TIME     how long a client whose ?since= is in this server's future waits
                         for it [default: 2s]
  --conflate-after TIME  a client further behind than this skips to the newest ticks
                         [default: 1s]
  --slow-timeout TIME    a client that takes nothing for so long is dropped [default: 30s]
  --drain TIME           spread goodbyes after SIGTERM or SIGINT over this, so that not all
                         come back at once; a second signal ends at once [default: 2s]
  --shutdown-timeout TIME  after --drain, for the last to be answered [default: 2s]

  --log LEVEL            error, warn, info, debug or trace [default: info]
  -h, --help             print this
  --version              print the version

Proxies for exchanges are those of the environment: HTTPS_PROXY, NO_PROXY and their kin.

Example: server --port 8888 --source binance --symbols BTC/USDT,ETH/USDT
";

/// A command line that makes sense.
#[derive(Debug)]
pub struct Args {
    /// Where to listen.
    pub address: SocketAddr,
    /// Where prices come from.
    pub source: Source,
    /// What the source is opened with.
    pub feed: Settings,
    /// Where ticks are recorded.
    pub record: Option<PathBuf>,
    /// Where the tokens are that let clients in.
    pub token_file: Option<PathBuf>,
    /// The limits.
    pub config: Config,
    /// What is logged.
    pub log: LevelFilter,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Command {
    /// To serve.
    Serve(Box<Args>),
    /// To print this.
    Print(&'static str),
    /// To print the catalogue of exchanges, with those of a file.
    ListSources(Online),
}

impl Command {
    /// Reads the command line.
    ///
    /// # Errors
    /// [`BadOption`] names the option.
    pub fn parse(mut options: Options) -> Result<Self, BadOption> {
        if options.help() {
            return Ok(Self::Print(HELP));
        }
        if options.flag("--version") {
            return Ok(Self::Print(concat!(
                "tickertape ",
                env!("CARGO_PKG_VERSION"),
                "\n"
            )));
        }
        let lists_sources = options.flag("--list-sources");
        let args = Args::parse(&mut options)?;
        options.finish()?;
        if lists_sources {
            return Ok(Self::ListSources(args.feed.online));
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
        let address = SocketAddr::new(ip, port);
        let config = Config {
            tls: tls(options)?,
            ..limits(options)?
        };
        if config.admin.is_some_and(|admin| overlap(admin, address)) {
            let error = "clients connect there, take another port";
            return Err(BadOption::new("--admin", error));
        }
        Ok(Self {
            address,
            source,
            feed,
            record: options.value("--record", |text| Ok(PathBuf::from(text)))?,
            token_file: options.value("--token-file", |text| Ok(PathBuf::from(text)))?,
            config,
            log: options.value("--log", level)?.unwrap_or(LevelFilter::Info),
        })
    }
}

fn tls(options: &mut Options) -> Result<Option<TlsFiles>, BadOption> {
    let path = |text: &str| Ok(PathBuf::from(text));
    let cert = options.value("--tls-cert", path)?;
    let key = options.value("--tls-key", path)?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(BadOption::new("--tls-cert", "needs --tls-key too")),
        (None, Some(_)) => Err(BadOption::new("--tls-key", "needs --tls-cert too")),
    }
}

/// Whether clients of the one would come to the other. Without `--reuse-port` the system refuses
/// that; with it, one would take the other for the server that is to replace it.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (one_ip, other_ip) = (one.ip(), other.ip());
    let same_family = one.is_ipv4() == other.is_ipv4();
    let everywhere = same_family && (one_ip.is_unspecified() || other_ip.is_unspecified());
    one.port() == other.port() && one.port() != 0 && (one_ip == other_ip || everywhere)
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no IP address, try 127.0.0.1 or 0.0.0.0"))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no port, try a number from 0 to 65535"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no whole number"))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no level, try error, warn, info, debug or trace"))
}

#[cfg(test)]
mod tests;
