//! The server's command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::board::SYMBOL_LENGTH_MAX;
use super::{Config, Origins};
use crate::feed::{Mirror, Online, SYMBOLS_MAX, Settings, Source, Speed};
use crate::options::{BadOption, Options, count, duration, period, size};

/// What `server --help` prints.
pub const HELP: &str = "\
Streams live prices over WebSocket to thousands of clients from one thread.

Usage: server [options]

  --port PORT            listen on this port; 0 takes a free one [default: 8888]
  --address ADDRESS      listen on this address; 0.0.0.0 opens it to the network
                         [default: 127.0.0.1]

Prices:
  --source SOURCE        sim: a simulated walk; replay:FILE: a recording; binance: that
                         exchange; binance+stream: by its WebSocket; binance,kraken: the
                         first that is healthy; https://…: JSON, see --price [default: sim]
  --symbols A,B          whose prices [default: BTC/USDT]
  --interval TIME        time between two prices of a symbol; an exchange may ask for
                         more [default: 250ms]
  --changes-only         a price that has not changed is no tick
  --stale-after TIME     after what silence a price is stale [default: three intervals,
                         at least 5s]
  --list-sources         print the exchanges there are
  --exchanges FILE       know those in FILE too; same format as src/exchanges.json
  --price POINTER        where https://… has the price: /data/price
  --time POINTER         where it has the time of that price
  --upstream URL         send everything there instead, http://127.0.0.1:9000 for one, with
                         the exchange's host as the first part of the path
  --ca FILE              trust the certificates in FILE (PEM) too
  --request-timeout TIME for an exchange to answer [default: 10s]
  --seed N               make the simulation repeatable
  --speed N              replay N times as fast, or as fast as it goes: max [default: 1]
  --record FILE          write every tick to FILE, for replay:FILE

Limits:
  --max-clients N        connections at a time [default: as descriptors allow]
  --max-message-size N   longest message from a client [default: 4KiB]
  --message-rate N       messages a second from a client, twice that at once [default: 50]
  --tape SIZE            what each tape keeps for clients that are behind [default: 1MiB]
  --tape-memory SIZE     memory for the tapes of all sets of symbols [default: 256MiB]
  --send-buffer SIZE     unsent bytes kept by the system for a client [default: 64KiB]
  --handshake-timeout TIME  for the request to arrive [default: 5s]
  --close-timeout TIME   for a client to end after our last word [default: 5s]
  --ping-interval TIME   between heartbeats; 0 for none [default: 20s]
  --ping-timeout TIME    for the answer; not over the interval [default: 20s]
  --conflate-after TIME  a client that is further behind skips to now [default: 1s]
  --slow-timeout TIME    a client that takes nothing for so long is dropped [default: 30s]
  --shutdown-timeout TIME   for all goodbyes after SIGTERM or SIGINT [default: 2s]
  --allow-origin ORIGIN  let pages of ORIGIN connect too, or of any: * (repeatable)

  --log LEVEL            error, warn, info, debug or trace [default: info]
  -h, --help             print this
  --version              print the version

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
        let source = options
            .value("--source", Source::parse)?
            .unwrap_or(Source::Sim);
        let symbols = options.value("--symbols", symbols)?;
        let online = online(options)?;
        check_url(&source, symbols.as_deref(), &online)?;
        let feed = Settings {
            symbols: symbols.unwrap_or(vec!["BTC/USDT".to_owned()]),
            interval: options
                .value("--interval", period)?
                .unwrap_or(Duration::from_millis(250)),
            seed: options.value("--seed", number)?,
            speed: options
                .value("--speed", Speed::parse)?
                .unwrap_or(Speed::Times(1.0)),
            online,
        };
        Ok(Self {
            address: SocketAddr::new(ip, port),
            source,
            feed,
            record: options.value("--record", |text| Ok(PathBuf::from(text)))?,
            config: limits(options)?,
            log: options.value("--log", level)?.unwrap_or(LevelFilter::Info),
        })
    }
}

fn online(options: &mut Options) -> Result<Online, BadOption> {
    let path = |text: &str| Ok(PathBuf::from(text));
    let pointer = |text: &str| match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is no JSON pointer, try /data/price")),
    };
    let defaults = Online::default();
    let timeout = options.value("--request-timeout", period)?;
    Ok(Online {
        exchanges: options.value("--exchanges", path)?,
        price: options.value("--price", pointer)?,
        time: options.value("--time", pointer)?,
        changes_only: options.flag("--changes-only"),
        stale_after: options.value("--stale-after", period)?,
        request_timeout: timeout.unwrap_or(defaults.request_timeout),
        upstream: options.value("--upstream", Mirror::parse)?,
        ca: options.value("--ca", path)?,
    })
}

/// A URL says neither where the price is nor of what: a price must not get a name by default.
fn check_url(
    source: &Source,
    symbols: Option<&[String]>,
    online: &Online,
) -> Result<(), BadOption> {
    let wrong = |name, error| Err(BadOption::new(name, error));
    match (source.is_url(), symbols, &online.price) {
        (true, _, None) => wrong("--price", "is missing, say where the price is: /data/price"),
        (true, Some([_]), Some(_)) => Ok(()),
        (true, _, Some(_)) => wrong("--symbols", "a URL has exactly one, as BTC/USDT"),
        (false, _, Some(_)) => wrong("--price", "is for --source https://… only"),
        (false, _, None) if online.time.is_some() => {
            wrong("--time", "is for --source https://… only")
        }
        (false, _, None) => Ok(()),
    }
}

fn limits(options: &mut Options) -> Result<Config, BadOption> {
    let mut config = Config {
        clients_max: options.value("--max-clients", count)?,
        ..Config::default()
    };
    let mut set = |name, field: &mut Duration, parse: fn(&str) -> Result<Duration, String>| {
        options
            .value(name, parse)
            .map(|value| *field = value.unwrap_or(*field))
    };
    set("--handshake-timeout", &mut config.handshake_timeout, period)?;
    set("--close-timeout", &mut config.close_timeout, period)?;
    set("--ping-interval", &mut config.ping_interval, duration)?;
    set("--conflate-after", &mut config.conflate_after, period)?;
    set("--slow-timeout", &mut config.slow_timeout, period)?;
    set("--shutdown-timeout", &mut config.shutdown_timeout, period)?;
    let mut set = |name, field: &mut usize, least: usize| match options.value(name, size)? {
        Some(value) if value < least => Err(BadOption::new(name, format!("at least {least}"))),
        value => {
            *field = value.unwrap_or(*field);
            Ok(())
        }
    };
    set("--max-message-size", &mut config.max_message_size, 1)?;
    set("--tape", &mut config.tape_size, TAPE_SIZE_MIN)?;
    set("--tape-memory", &mut config.tape_memory, 0)?;
    set("--send-buffer", &mut config.send_buffer, SEND_BUFFER_MIN)?;
    if let Some(rate) = options.value("--message-rate", count)? {
        config.message_rate = rate as f32;
        config.message_burst = 2.0 * config.message_rate;
    }
    config.ping_timeout = ping_timeout(options, config.ping_interval)?;
    config.origins = origins(options)?;
    Ok(config)
}

/// As in Tornado it defaults to the interval and may not exceed it.
fn ping_timeout(options: &mut Options, interval: Duration) -> Result<Duration, BadOption> {
    match options.value("--ping-timeout", period)? {
        Some(timeout) if timeout > interval => {
            let error = format!("not longer than --ping-interval, which is {interval:?}");
            Err(BadOption::new("--ping-timeout", error))
        }
        timeout => Ok(timeout.unwrap_or(interval)),
    }
}

fn origins(options: &mut Options) -> Result<Origins, BadOption> {
    let mut listed = Vec::new();
    while let Some(origin) = options.value("--allow-origin", origin)? {
        listed.push(origin);
    }
    Ok(match listed.as_slice() {
        [] => Origins::Same,
        list if list.iter().any(|origin| origin == "*") => Origins::Any,
        _ => Origins::Listed(listed),
    })
}

fn origin(text: &str) -> Result<String, String> {
    let authority = text.split_once("://").map(|(_, authority)| authority);
    if text == "*" || authority.is_some_and(|it| !it.is_empty() && !it.contains('/')) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "'{text}' is no origin, try https://example.org or *"
        ))
    }
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

/// A list of symbols, each once.
fn symbols(text: &str) -> Result<Vec<String>, String> {
    let mut symbols: Vec<String> = Vec::new();
    for symbol in text.split(',') {
        let sides = symbol.split('/').filter(|side| !side.is_empty());
        if sides.count() != 2 || symbol.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(format!(
                "'{symbol}' is no symbol, they read BASE/QUOTE, as BTC/USDT"
            ));
        }
        if symbol.len() > SYMBOL_LENGTH_MAX - "replay:sim:".len() {
            return Err(format!("'{symbol}' is too long for a symbol"));
        }
        if symbols.iter().any(|known| known == symbol) {
            return Err(format!("'{symbol}' is listed twice"));
        }
        symbols.push(symbol.to_owned());
    }
    if symbols.len() > SYMBOLS_MAX {
        return Err(format!("more than {SYMBOLS_MAX} symbols"));
    }
    Ok(symbols)
}

/// Room for the longest frames and some time to read them.
const TAPE_SIZE_MIN: usize = 64 << 10;

/// Less than this, and the system takes its own minimum.
const SEND_BUFFER_MIN: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn parse(line: &str) -> Result<Command, BadOption> {
        Command::parse(Options::new(
            line.split_whitespace().map(OsString::from).collect(),
        ))
    }

    fn args(line: &str) -> Args {
        match parse(line) {
            Ok(Command::Serve(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The options in the help text, and whether each takes a value.
    fn documented() -> impl Iterator<Item = (&'static str, bool)> {
        HELP.lines()
            .filter(|line| line.starts_with("  --"))
            .map(|line| {
                let mut words = line.split_whitespace();
                let name = words.next().unwrap();
                (
                    name,
                    words
                        .next()
                        .is_some_and(|word| word.chars().all(|c| !c.is_lowercase())),
                )
            })
    }

    #[test]
    fn every_documented_option_is_understood() {
        for (name, takes_value) in documented().filter(|(_, takes_value)| *takes_value) {
            let error = parse(name).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{name}: a value is missing"),
                "{takes_value}"
            );
        }
        assert!(documented().count() > 20);
    }

    #[test]
    fn the_documented_defaults_are_those_that_hold() {
        let defaults = args("");
        let stated = args(
            "--port 8888 --address 127.0.0.1 --source sim --symbols BTC/USDT --interval 250ms \
             --speed 1 --max-message-size 4KiB --message-rate 50 --tape 1MiB --tape-memory 256MiB \
             --send-buffer 64KiB --request-timeout 10s --handshake-timeout 5s --close-timeout 5s --ping-interval 20s \
             --ping-timeout 20s --conflate-after 1s --slow-timeout 30s --shutdown-timeout 2s \
             --log info",
        );
        assert_eq!(format!("{defaults:?}"), format!("{stated:?}"));
    }

    #[test]
    fn bad_values_are_named_with_what_would_be_right() {
        for (line, expected) in [
            (
                "--port 99999",
                "--port: '99999' is no port, try a number from 0 to 65535",
            ),
            (
                "--symbols BTC",
                "--symbols: 'BTC' is no symbol, they read BASE/QUOTE, as BTC/USDT",
            ),
            ("--symbols A/B,A/B", "--symbols: 'A/B' is listed twice"),
            (
                "--ping-timeout 1m",
                "--ping-timeout: not longer than --ping-interval, which is 20s",
            ),
            (
                "--allow-origin x",
                "--allow-origin: 'x' is no origin, try https://example.org or *",
            ),
            ("--tape 1", "--tape: at least 65536"),
            ("--interval 0", "--interval: '0' is too short, try 1ms"),
            ("--verbose", "unexpected argument '--verbose', see --help"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn origins_add_up() {
        let two = args("--allow-origin http://a --allow-origin http://b")
            .config
            .origins;
        assert_eq!(
            two,
            Origins::Listed(vec!["http://a".into(), "http://b".into()])
        );
        assert_eq!(
            args("--allow-origin http://a --allow-origin *")
                .config
                .origins,
            Origins::Any
        );
    }
}
