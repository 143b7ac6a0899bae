//! The feed that the command line names, and opening it.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use exchanges::json::Pointer;
use exchanges::{Catalogue, Exchange, Symbol};
use fastrand::Rng;
use ureq::{Proxy, ProxyProtocol};

use super::live::preflight;
use super::live::{HasSources, Live, LiveSettings, LiveSource};
use super::publish::Feed;
use super::replay::{Replay, ReplayError, Speed};
use super::simulated::Sim;
use crate::http_client::{Roots, TransportConfig, UpstreamOverride};
use crate::tape::SYMBOLS_MAX;
use crate::tick::FieldSet;

/// A feed, as `--source` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `sim`: simulated prices.
    Sim,
    /// `replay:FILE`: recorded prices.
    Replay(PathBuf),
    /// `binance,kraken+stream`: exchanges, the first healthy one for each symbol.
    Exchanges(Vec<ExchangeChoice>),
    /// `https://…`: any JSON on the web.
    Url(String),
}

/// An exchange, and how to get its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeChoice {
    /// Its name; whether such an exchange exists is checked when the feed is opened.
    pub name: String,
    /// Whether to listen to its stream instead of sending requests.
    pub streams: bool,
}

/// What feeds are opened with; each kind uses the settings that apply to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The symbols to publish; a recording has its own.
    pub symbols: Vec<String>,
    /// The file that lists them, if any.
    pub symbols_file: Option<PathBuf>,
    /// The time between two prices of a symbol.
    pub interval: Duration,
    /// What ticks have besides the price, where the source has it.
    pub fields: FieldSet,
    /// Whether a simulation spreads its symbols over the interval.
    pub spread: bool,
    /// Makes a simulation repeatable.
    pub seed: Option<u64>,
    /// How fast a recording is replayed.
    pub speed: Speed,
    /// Settings of live sources.
    pub live: LiveOptions,
}

/// How live sources are reached, and which of their prices are used.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// A file with the user's own entries for the catalogue.
    pub exchanges: Option<PathBuf>,
    /// Where the answer of a [`Source::Url`] has the price.
    pub price: Option<Pointer>,
    /// Where it has the price's time, if it has one.
    pub time: Option<Pointer>,
    /// Whether a price is only published when it differs from the one before.
    pub changes_only: bool,
    /// How long a source may be silent before its prices are stale; by default derived from the
    /// interval.
    pub stale_after: Option<Duration>,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// A server that gets all requests instead of the exchanges.
    pub upstream: Option<UpstreamOverride>,
    /// A file of certificates to trust in addition to Mozilla's.
    pub ca: Option<PathBuf>,
}

/// Why a feed cannot be opened. Its text is one sentence.
#[derive(Debug)]
pub enum OpenError {
    /// The recording cannot be replayed.
    Replay(ReplayError),
    /// An exchange, a symbol, a file or the proxy cannot be used.
    Live(String),
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            exchanges: None,
            price: None,
            time: None,
            changes_only: false,
            stale_after: None,
            request_timeout: Duration::from_secs(10),
            upstream: None,
            ca: None,
        }
    }
}

impl Source {
    /// Reads `sim`, `replay:FILE`, `https://…`, or a list of exchanges. Unknown exchanges are
    /// refused later, when the feed is opened.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Url(text.to_owned()));
        }
        match text.split_once(':').unwrap_or((text, "")) {
            ("sim", "") => Ok(Self::Sim),
            ("replay", "") => Err(invalid(text, "a file, such as replay:ticks.ndjson")),
            ("replay", path) => Ok(Self::Replay(path.into())),
            (_, "") => Self::list(text),
            _ => Err(invalid(text, EXPECTED)),
        }
    }

    fn list(text: &str) -> Result<Self, String> {
        let mut list: Vec<ExchangeChoice> = Vec::new();
        for item in text.split(',') {
            let choice = ExchangeChoice::parse(item)?;
            if list.contains(&choice) {
                return Err(format!("'{item}' is listed twice"));
            }
            list.push(choice);
        }
        Ok(Self::Exchanges(list))
    }

    /// Whether it is a URL, which has one price and no name for it.
    pub fn is_url(&self) -> bool {
        matches!(self, Self::Url(_))
    }

    /// Opens the feed. Call it before the loop starts, since it may block: it reads files, and asks
    /// exchanges whether they know the symbols.
    ///
    /// # Errors
    /// When a recording cannot be replayed, or an exchange or symbol is unknown.
    pub fn open<S: HasSources>(self, settings: &Settings) -> Result<Box<dyn Feed<S>>, OpenError> {
        Ok(match self {
            Self::Sim => {
                let rng = settings.seed.map_or_else(Rng::new, Rng::with_seed);
                let sim = Sim::new(&settings.symbols, settings.interval, rng);
                Box::new(sim.spread(settings.spread).with_fields(settings.fields))
            }
            Self::Replay(path) => {
                let replay = Replay::open(&path, settings.speed).map_err(OpenError::Replay)?;
                Box::new(replay.with_fields(settings.fields))
            }
            Self::Exchanges(list) => {
                let sources = sources(&list, &settings.live).map_err(OpenError::Live)?;
                Box::new(live(sources, settings).map_err(OpenError::Live)?)
            }
            Self::Url(url) => {
                let source = custom(&url, &settings.live).map_err(OpenError::Live)?;
                Box::new(live(vec![source], settings).map_err(OpenError::Live)?)
            }
        })
    }
}

impl ExchangeChoice {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, transport) = text.split_once('+').unwrap_or((text, ""));
        let streams = match transport {
            "" if text == name => false,
            "stream" => true,
            _ => return Err(invalid(text, &format!("{name}+stream"))),
        };
        match name {
            "" => Err(invalid(text, EXPECTED)),
            "sim" | "replay" => Err(format!("{name} cannot be one of several sources")),
            _ => Ok(Self {
                name: name.to_owned(),
                streams,
            }),
        }
    }
}

fn invalid(source: &str, expected: &str) -> String {
    format!("invalid source '{source}': expected {expected}")
}

/// The catalogue, with the user's own entries.
///
/// # Errors
/// When the file cannot be read; names the entry and the field.
pub fn catalogue(options: &LiveOptions) -> Result<Catalogue, String> {
    let Some(path) = &options.exchanges else {
        return Ok(Catalogue::builtin());
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let catalogue = Catalogue::builtin().with_file(&text);
    catalogue.map_err(|error| format!("{}: {error}", path.display()))
}

fn sources(list: &[ExchangeChoice], options: &LiveOptions) -> Result<Vec<LiveSource>, String> {
    let catalogue = catalogue(options)?;
    let source = |choice: &ExchangeChoice| {
        let exchange = catalogue.get(&choice.name);
        let exchange = exchange.map_err(|error| error.to_string())?;
        if choice.streams && !exchange.has_stream() {
            let id = exchange.id();
            return Err(format!("{id} has no stream, use --source {id}"));
        }
        if !choice.streams && !exchange.has_requests() {
            let id = exchange.id();
            return Err(format!("{id} only has a stream, use --source {id}+stream"));
        }
        Ok(LiveSource {
            exchange: exchange.clone(),
            streams: choice.streams,
            is_custom: false,
            has_time: false,
            not_before: Instant::now(),
        })
    };
    let sources: Vec<LiveSource> = list.iter().map(source).collect::<Result<_, String>>()?;
    for (index, source) in sources.iter().enumerate() {
        // An exchange listed under two of its names would be asked twice as often as it allows.
        if sources[..index]
            .iter()
            .any(|other| other.name() == source.name())
        {
            let twice = source.name();
            return Err(format!(
                "'{}' is listed twice, as {twice}",
                list[index].name
            ));
        }
    }
    Ok(sources)
}

fn custom(url: &str, options: &LiveOptions) -> Result<LiveSource, String> {
    let price = options.price.clone().unwrap_or_default();
    let exchange = Exchange::custom(url, price, options.time.clone())?;
    Ok(LiveSource {
        exchange,
        streams: false,
        is_custom: true,
        has_time: options.time.is_some(),
        not_before: Instant::now(),
    })
}

fn live(mut sources: Vec<LiveSource>, settings: &Settings) -> Result<Live, String> {
    let options = &settings.live;
    for source in &mut sources {
        want_fields(source, settings.fields);
    }
    let symbols = settings.symbols.iter().map(|symbol| symbol.parse());
    let symbols = symbols.collect::<Result<Vec<Symbol>, _>>();
    let symbols = symbols.map_err(|error| error.to_string())?;
    for LiveSource { exchange, .. } in &sources {
        if let Some((one, other)) = exchange.same_market(&symbols) {
            let (id, market) = (exchange.id(), exchange.market(one));
            return Err(format!(
                "{one} and {other} are the same market at {id}, {market}: remove one of them"
            ));
        }
    }
    let names = sources.len() * symbols.len();
    if names > SYMBOLS_MAX {
        // With several sources, each symbol is published under one name for each of them.
        return Err(format!(
            "{} symbols from {} sources need {names} names: at most {SYMBOLS_MAX} are possible",
            symbols.len(),
            sources.len()
        ));
    }
    let roots = match &options.ca {
        None => Roots::default(),
        Some(path) => Roots::with_file(path)
            .map_err(|error| format!("cannot use {}: {error}", path.display()))?,
    };
    let transport = TransportConfig {
        // A proxy could not reach a server on this machine.
        proxy: match options.upstream {
            None => proxy(Proxy::try_from_env())?,
            Some(_) => None,
        },
        timeout: options.request_timeout,
        roots,
    };
    let mut live = Live {
        sources,
        symbols,
        settings: LiveSettings {
            interval: settings.interval,
            changes_only: options.changes_only,
            stale_after: options.stale_after,
            transport,
            upstream: options.upstream.clone(),
        },
    };
    preflight::check(&mut live)?;
    Ok(live)
}

/// Lets a source read the fields that ticks are to have.
fn want_fields(source: &mut LiveSource, wanted: FieldSet) {
    let exchange = &source.exchange;
    let known = match source.streams {
        true => exchange.stream_fields(),
        false => exchange.request_fields(),
    };
    let missing = wanted.without(known);
    if !missing.is_empty() {
        let name = source.name();
        log::warn!("{name} has no {missing}: its ticks come without (see --list-sources)");
    }
    source.exchange = exchange.clone().with_fields(wanted);
}

/// The proxy from the environment, which must not be a SOCKS proxy.
fn proxy(proxy: Option<Proxy>) -> Result<Option<Proxy>, String> {
    match proxy.as_ref().map(|proxy| (proxy, proxy.protocol())) {
        None | Some((_, ProxyProtocol::Http | ProxyProtocol::Https)) => Ok(proxy),
        Some((socks, _)) => Err(format!(
            "the proxy {}:{} from the environment speaks SOCKS, which is not supported: unset it, \
             or use one that speaks HTTP",
            socks.host(),
            socks.port()
        )),
    }
}

const EXPECTED: &str = "exchanges (see --list-sources), sim, replay:FILE or https://…";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay(error) => write!(f, "{error}"),
            Self::Live(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::super::testing::Audience;
    use super::*;

    fn settings() -> Settings {
        Settings {
            symbols: vec!["BTC/USDT".to_owned()],
            symbols_file: None,
            interval: Duration::from_millis(1),
            fields: FieldSet::NONE,
            spread: false,
            seed: Some(1),
            speed: Speed::Max,
            live: LiveOptions::default(),
        }
    }

    fn refusal(source: Source, settings: &Settings) -> String {
        match source.open::<Audience>(settings) {
            Ok(_) => panic!("the feed was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_source_is_sim_or_a_replay_with_its_file_or_a_url() {
        assert_eq!(Source::parse("sim"), Ok(Source::Sim));
        assert_eq!(
            Source::parse("replay:a:b.ndjson"),
            Ok(Source::Replay("a:b.ndjson".into()))
        );
        let url = "https://example.com/a,b?c=d";
        assert_eq!(Source::parse(url), Ok(Source::Url(url.to_owned())));
    }

    #[test]
    fn a_list_of_exchanges_may_mix_requests_and_streams() {
        let choice = |name: &str, streams| ExchangeChoice {
            name: name.to_owned(),
            streams,
        };
        assert_eq!(
            Source::parse("binance+stream,binance,kraken"),
            Ok(Source::Exchanges(vec![
                choice("binance", true),
                choice("binance", false),
                choice("kraken", false)
            ]))
        );
    }

    #[test]
    fn an_invalid_source_is_answered_with_what_was_expected() {
        for (text, expected) in [
            ("", "invalid source '': expected exchanges"),
            ("binance,", "invalid source '': expected exchanges"),
            ("sim:x", "invalid source 'sim:x': expected exchanges (see"),
            ("binance+ws", "'binance+ws': expected binance+stream"),
            ("binance,sim", "sim cannot be one of several sources"),
            ("binance,binance", "'binance' is listed twice"),
            ("replay", "'replay': expected a file, such as replay:"),
            ("replay:", "'replay:': expected a file, such as replay:"),
        ] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_source_opens_the_feed_that_it_names() {
        let sim: Box<dyn Feed<Audience>> = Source::Sim.open(&settings()).unwrap();
        assert_eq!(sim.symbols(), ["sim:BTC/USDT"]);
        let missing = Source::Replay("/no/such/recording".into());
        assert!(refusal(missing, &settings()).contains("/no/such/recording"));
    }

    #[test]
    fn a_socks_proxy_is_refused_by_name() {
        let proxy = |text| proxy(Proxy::new(text).ok());
        assert!(proxy("http://192.0.2.1:3128").is_ok_and(|proxy| proxy.is_some()));
        assert!(proxy("https://192.0.2.1").is_ok_and(|proxy| proxy.is_some()));
        let error = proxy("socks5://192.0.2.1:1080").unwrap_err();
        assert!(error.contains("192.0.2.1:1080") && error.contains("SOCKS"));
    }

    #[test]
    fn errors_name_the_exchange_symbol_or_file_at_fault() {
        let open =
            |text: &str, settings: &Settings| refusal(Source::parse(text).unwrap(), settings);
        assert_eq!(
            open("binance,binnace", &settings()),
            "unknown exchange 'binnace', did you mean binance?"
        );
        assert_eq!(
            open("gemini+stream", &settings()),
            "gemini has no stream, use --source gemini"
        );
        let mut twice = settings();
        twice.symbols = ["BTC/USDT", "XBT/USDT"].map(str::to_owned).to_vec();
        assert_eq!(
            open("kraken", &twice),
            "BTC/USDT and XBT/USDT are the same market at kraken, XBTUSDT: remove one of them"
        );
        assert_eq!(
            open("gate,gateio", &settings()),
            "'gateio' is listed twice, as gate"
        );
        let mut with_file = settings();
        with_file.live.exchanges = Some("/no/such/file".into());
        assert!(open("mine", &with_file).starts_with("cannot read /no/such/file: "));
        let mut with_ca = settings();
        with_ca.live.ca = Some("/no/such/file".into());
        assert!(open("binance", &with_ca).starts_with("cannot use /no/such/file: "));
    }
}
