//! Which feed is asked for, as the command line spells it, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use exchanges::{Catalogue, Exchange, Symbol};
use fastrand::Rng;
use ureq::{Proxy, ProxyProtocol};

use super::live::preflight;
use super::live::{Live, LiveSettings, LiveSource};
use super::publish::{Feed, Publish};
use super::replay::{Replay, ReplayError, Speed};
use super::simulated::Sim;
use crate::http_client::{Roots, TransportConfig, UpstreamOverride};
use crate::tape::SYMBOLS_MAX;

/// Which feed is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `sim`: prices made up.
    Sim,
    /// `replay:FILE`: prices recorded before.
    Replay(PathBuf),
    /// `binance,kraken+stream`: exchanges, the first healthy one for each symbol.
    Exchanges(Vec<ExchangeChoice>),
    /// `https://…`: any JSON on the web.
    Url(String),
}

/// An exchange, and how its prices are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeChoice {
    /// Its name, which may be unknown.
    pub name: String,
    /// Whether by its stream.
    pub streams: bool,
}

/// What feeds are opened with. Each takes from it what concerns it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The symbols wanted; a recording brings its own.
    pub symbols: Vec<String>,
    /// The file that they are from, if any.
    pub symbols_file: Option<PathBuf>,
    /// The time between two prices of a symbol.
    pub interval: Duration,
    /// Whether a simulation spreads its symbols over the interval.
    pub spread: bool,
    /// Makes a simulation repeatable.
    pub seed: Option<u64>,
    /// How fast a recording is replayed.
    pub speed: Speed,
    /// What concerns exchanges only.
    pub live: LiveOptions,
}

/// How exchanges are reached and what is taken from them.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// A user's own catalogue.
    pub exchanges: Option<PathBuf>,
    /// Where [`Source::Url`] has the price, and its time: JSON pointers.
    pub price: Option<String>,
    /// See `price`.
    pub time: Option<String>,
    /// An unchanged price is no tick.
    pub changes_only: bool,
    /// After what silence a price is stale; by default that goes by the interval.
    pub stale_after: Option<Duration>,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// Where everything is sent instead.
    pub upstream: Option<UpstreamOverride>,
    /// A file of certificates to trust beside Mozilla's.
    pub ca: Option<PathBuf>,
}

/// Why a feed cannot be opened. Its text is one sentence.
#[derive(Debug)]
pub enum OpenError {
    /// The recording is no good.
    Replay(ReplayError),
    /// An exchange or a symbol is wrong, or a file about them.
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
    /// Reads `sim`, `replay:FILE`, `https://…`, or a list of exchanges. Whether there are such
    /// exchanges shows when it is opened.
    ///
    /// # Errors
    /// A sentence that lists what there is.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Url(text.to_owned()));
        }
        match text.split_once(':').unwrap_or((text, "")) {
            ("sim", "") => Ok(Self::Sim),
            ("replay", "") => Err("a file is missing, try replay:ticks.ndjson".to_owned()),
            ("replay", path) => Ok(Self::Replay(path.into())),
            (_, "") => Self::list(text),
            _ => Err(format!("'{text}' is no source of prices, {THERE_ARE}")),
        }
    }

    fn list(text: &str) -> Result<Self, String> {
        let mut list: Vec<ExchangeChoice> = Vec::new();
        for item in text.split(',') {
            let wanted = ExchangeChoice::parse(item)?;
            if list.contains(&wanted) {
                return Err(format!("'{item}' is listed twice"));
            }
            list.push(wanted);
        }
        Ok(Self::Exchanges(list))
    }

    /// Whether it is one price with no name of its own.
    pub fn is_url(&self) -> bool {
        matches!(self, Self::Url(_))
    }

    /// Makes the feed. May block, so it comes before the loop starts: it reads files, and asks
    /// exchanges whether they know the symbols.
    ///
    /// # Errors
    /// When a recording cannot be replayed, or there is no such exchange or symbol.
    pub fn open<S: Publish>(self, settings: &Settings) -> Result<Box<dyn Feed<S>>, OpenError> {
        Ok(match self {
            Self::Sim => {
                let rng = settings.seed.map_or_else(Rng::new, Rng::with_seed);
                let sim = Sim::new(&settings.symbols, settings.interval, rng);
                Box::new(sim.spread(settings.spread))
            }
            Self::Replay(path) => {
                Box::new(Replay::open(&path, settings.speed).map_err(OpenError::Replay)?)
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
        let (name, way) = text.split_once('+').unwrap_or((text, ""));
        let streams = match way {
            "" if text == name => false,
            "stream" => true,
            _ => {
                return Err(format!(
                    "'{text}' is no source of prices, try {name}+stream"
                ));
            }
        };
        match name {
            "" => Err(format!("a name is missing, {THERE_ARE}")),
            "sim" | "replay" => Err(format!("{name} cannot be one of several sources")),
            _ => Ok(Self {
                name: name.to_owned(),
                streams,
            }),
        }
    }
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
    let source = |wanted: &ExchangeChoice| {
        let exchange = catalogue.get(&wanted.name);
        let exchange = exchange.map_err(|error| error.to_string())?;
        if wanted.streams && !exchange.has_stream() {
            let id = exchange.id();
            return Err(format!("{id} has no stream, use --source {id}"));
        }
        Ok(LiveSource {
            exchange: exchange.clone(),
            streams: wanted.streams,
            is_custom: false,
            has_time: false,
            not_before: Instant::now(),
        })
    };
    let sources: Vec<LiveSource> = list.iter().map(source).collect::<Result<_, String>>()?;
    for (index, source) in sources.iter().enumerate() {
        // By two names of one exchange it would be asked twice as often as it allows.
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
    let price = options.price.as_deref().unwrap_or_default();
    let exchange = Exchange::custom(url, price, options.time.as_deref())?;
    Ok(LiveSource {
        exchange,
        streams: false,
        is_custom: true,
        has_time: options.time.is_some(),
        not_before: Instant::now(),
    })
}

fn live(sources: Vec<LiveSource>, settings: &Settings) -> Result<Live, String> {
    let options = &settings.live;
    let symbols = settings.symbols.iter().map(|symbol| symbol.parse());
    let symbols = symbols.collect::<Result<Vec<Symbol>, _>>();
    let symbols = symbols.map_err(|error| error.to_string())?;
    for LiveSource { exchange, .. } in &sources {
        if let Some((one, other)) = exchange.same_market(&symbols) {
            let (id, market) = (exchange.id(), exchange.market(one));
            return Err(format!(
                "{one} and {other} are one market at {id}, {market}: leave one out"
            ));
        }
    }
    if sources.len() * symbols.len() > STREAMS_MAX {
        return Err(format!(
            "{} symbols from {} sources are more than {STREAMS_MAX} together",
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
        // A proxy could not reach another server on this machine.
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

/// The proxy of the environment, if it is one that can be used.
fn proxy(proxy: Option<Proxy>) -> Result<Option<Proxy>, String> {
    match proxy.as_ref().map(|proxy| (proxy, proxy.protocol())) {
        None | Some((_, ProxyProtocol::Http | ProxyProtocol::Https)) => Ok(proxy),
        Some((socks, _)) => Err(format!(
            "the proxy {}:{} of the environment speaks SOCKS, which is not supported; unset it, or \
             name one that speaks HTTP",
            socks.host(),
            socks.port()
        )),
    }
}

const THERE_ARE: &str = "there are: exchanges (see --list-sources), sim, replay:FILE, https://…";

/// With several sources each symbol is there once for each of them.
const STREAMS_MAX: usize = SYMBOLS_MAX;

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
            spread: false,
            seed: Some(1),
            speed: Speed::Max,
            live: LiveOptions::default(),
        }
    }

    fn refusal(source: Source, settings: &Settings) -> String {
        match source.open::<Audience>(settings) {
            Ok(_) => panic!("it was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_source_is_a_name_and_for_a_replay_its_file() {
        assert_eq!(Source::parse("sim"), Ok(Source::Sim));
        assert_eq!(
            Source::parse("replay:a:b.ndjson"),
            Ok(Source::Replay("a:b.ndjson".into()))
        );
        let url = "https://example.com/a,b?c=d";
        assert_eq!(Source::parse(url), Ok(Source::Url(url.to_owned())));
    }

    #[test]
    fn exchanges_come_in_lists_each_by_requests_or_by_its_stream() {
        let wanted = |name: &str, streams| ExchangeChoice {
            name: name.to_owned(),
            streams,
        };
        assert_eq!(
            Source::parse("binance+stream,binance,kraken"),
            Ok(Source::Exchanges(vec![
                wanted("binance", true),
                wanted("binance", false),
                wanted("kraken", false)
            ]))
        );
    }

    #[test]
    fn what_is_no_source_is_answered_with_what_would_be() {
        for (text, expected) in [
            ("", "a name is missing, there are: exchanges"),
            ("binance,", "a name is missing"),
            ("sim:x", "'sim:x' is no source of prices, there are:"),
            ("binance+ws", "try binance+stream"),
            ("binance,sim", "sim cannot be one of several sources"),
            ("binance,binance", "'binance' is listed twice"),
            ("replay", "a file is missing, try replay:ticks.ndjson"),
            ("replay:", "a file is missing, try replay:ticks.ndjson"),
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
    fn a_proxy_that_cannot_be_used_is_named() {
        let of = |text| proxy(Proxy::new(text).ok());
        assert!(of("http://192.0.2.1:3128").is_ok_and(|it| it.is_some()));
        assert!(of("https://192.0.2.1").is_ok_and(|it| it.is_some()));
        let error = of("socks5://192.0.2.1:1080").unwrap_err();
        assert!(error.contains("192.0.2.1:1080") && error.contains("SOCKS"));
    }

    #[test]
    fn wrong_exchanges_and_files_are_named() {
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
            "BTC/USDT and XBT/USDT are one market at kraken, XBTUSDT: leave one out"
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
