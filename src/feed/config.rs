//! The feed that the command line names, and opening it.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use exchanges::{Catalogue, Custom, Exchange, Symbol};
use fastrand::Rng;
use ureq::http::HeaderMap;
use ureq::{Proxy, ProxyProtocol};

use super::followed::Followed;
use super::lines::{Lines, LinesFrom, LinesSettings};
use super::live::groups::Live;
use super::live::preflight;
use super::live::{HasSources, LiveGroup, LiveSettings, LiveSource};
use super::publish::{Feed, STALE_AFTER_MIN};
use super::replay::{Replay, ReplayError, Speed};
use super::simulated::Sim;
use super::source_header::{self, SourceHeader};
use super::url_source::{Places, UrlSource};
use super::wanted::{Wanted, is_pattern};
use crate::error_text::plain;
use crate::http_client::{NoProxy, Roots, TransportConfig, UpstreamOverride};
use crate::nats::NatsUrl;
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
    /// `https://…`: a price anywhere on the web.
    Url(UrlSource),
    /// `-` or `lines:PATH`: ticks that a script writes.
    Lines(LinesFrom),
    /// `nats://…`: a log that other servers write.
    Log(NatsUrl),
    /// Several at a time: URLs with a symbol each, and at most one list of exchanges.
    Several(Vec<Source>),
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
    /// The symbols to publish. A recording and named URLs have their own; of a script, all symbols
    /// are published if there are none here.
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
    /// Where the answer of a [`Source::Url`] has the price, unless the URL says so itself.
    pub places: Places,
    /// Headers of requests to URLs.
    pub headers: Vec<SourceHeader>,
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
    /// A simulation has only symbols that are named, not this pattern.
    Pattern(String),
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            exchanges: None,
            places: Places::default(),
            headers: Vec::new(),
            changes_only: false,
            stale_after: None,
            request_timeout: Duration::from_secs(10),
            upstream: None,
            ca: None,
        }
    }
}

impl Source {
    /// Reads `sim`, `replay:FILE`, `https://…`, `-`, or a list of exchanges. Unknown exchanges are
    /// refused later, when the feed is opened.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(source) = UrlSource::parse(text) {
            return Ok(Self::Url(source?));
        }
        match text.split_once(':').unwrap_or((text, "")) {
            ("sim", "") => Ok(Self::Sim),
            ("nats" | "tls", _) => Ok(Self::Log(text.parse()?)),
            ("-", "") | ("lines", "-") => Ok(Self::Lines(LinesFrom::Stdin)),
            ("lines", "") => Err(invalid(text, "a FIFO or a file, such as lines:ticks.fifo")),
            ("lines", path) => Ok(Self::Lines(LinesFrom::Path(path.into()))),
            ("replay", "") => Err(invalid(text, "a file, such as replay:ticks.ndjson")),
            ("replay", path) => Ok(Self::Replay(path.into())),
            (_, "") => Self::list(text),
            _ => Err(invalid(text, EXPECTED)),
        }
    }

    /// Puts several sources together; simulated prices if there are none.
    ///
    /// # Errors
    /// When they cannot serve together.
    pub fn all(mut list: Vec<Self>) -> Result<Self, String> {
        let only = match list.len() {
            0 => Some(Self::Sim),
            1 => list.pop(),
            _ => None,
        };
        if let Some(source) = only {
            return Ok(source);
        }
        let mut lists = 0;
        for source in &list {
            match source {
                Self::Url(UrlSource {
                    symbol: Some(_), ..
                }) => {}
                Self::Url(source) => {
                    let host = source.host();
                    return Err(format!(
                        "name the symbol of each of several URLs, as in 'XAU/USD=https://{host}/…'"
                    ));
                }
                Self::Exchanges(_) if lists == 0 => lists += 1,
                Self::Exchanges(_) => {
                    let reason = "put all exchanges into one --source, as in binance,kraken";
                    return Err(reason.to_owned());
                }
                Self::Sim => return Err("sim cannot be one of several sources".to_owned()),
                Self::Replay(_) => return Err("replay cannot be one of several sources".to_owned()),
                Self::Lines(from) => {
                    return Err(format!(
                        "lines from {from} cannot be one of several sources: have the script write \
                         all of them"
                    ));
                }
                Self::Log(_) => return Err("a log cannot be one of several sources".to_owned()),
                Self::Several(_) => {
                    return Err("several sources cannot be one of several".to_owned());
                }
            }
        }
        Ok(Self::Several(list))
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

    /// The URLs among its sources.
    pub fn urls(&self) -> Vec<&UrlSource> {
        match self {
            Self::Url(source) => vec![source],
            Self::Several(list) => list.iter().flat_map(Self::urls).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether its symbols are those of `--symbols`, or some of them.
    pub fn takes_symbols(&self) -> bool {
        match self {
            Self::Url(source) => source.symbol.is_none(),
            Self::Several(list) => list.iter().any(Self::takes_symbols),
            Self::Replay(_) => false,
            Self::Sim | Self::Exchanges(_) | Self::Lines(_) | Self::Log(_) => true,
        }
    }

    /// Opens the feed. Call it before the loop starts, since it may block: it reads files, and asks
    /// exchanges whether they know the symbols.
    ///
    /// # Errors
    /// When a recording or a script cannot be read, an exchange or symbol is unknown, a file or the
    /// proxy cannot be used, or a simulation is asked for a pattern.
    pub fn open<S: HasSources>(self, settings: &Settings) -> Result<Box<dyn Feed<S>>, OpenError> {
        Ok(match self {
            Self::Sim => {
                if let Some(pattern) = settings.symbols.iter().find(|symbol| is_pattern(symbol)) {
                    return Err(OpenError::Pattern(pattern.clone()));
                }
                let rng = settings.seed.map_or_else(Rng::new, Rng::with_seed);
                let sim = Sim::new(&settings.symbols, settings.interval, rng);
                Box::new(sim.spread(settings.spread).with_fields(settings.fields))
            }
            Self::Replay(path) => {
                let replay = Replay::open(&path, settings.speed).map_err(OpenError::Replay)?;
                Box::new(replay.with_fields(settings.fields))
            }
            Self::Lines(from) => {
                let (patterns, symbols): (Vec<_>, Vec<_>) = settings
                    .symbols
                    .iter()
                    .cloned()
                    .partition(|symbol| is_pattern(symbol));
                let patterns = patterns.iter().map(|pattern| Wanted::parse(pattern));
                let settings = LinesSettings {
                    symbols,
                    patterns: patterns
                        .collect::<Result<_, _>>()
                        .map_err(OpenError::Live)?,
                    fields: settings.fields,
                    changes_only: settings.live.changes_only,
                    stale_after: settings.live.stale_after(settings.interval),
                };
                Box::new(Lines::open(from, settings).map_err(OpenError::Live)?)
            }
            Self::Log(url) => Box::new(Followed(url)),
            Self::Several(list) => Box::new(live(&list, settings).map_err(OpenError::Live)?),
            source => Box::new(live(&[source], settings).map_err(OpenError::Live)?),
        })
    }
}

impl LiveOptions {
    /// The certificates to trust.
    ///
    /// # Errors
    /// When the file of `--ca` cannot be used.
    pub(crate) fn roots(&self) -> Result<Roots, String> {
        match &self.ca {
            None => Ok(Roots::default()),
            Some(path) => Roots::with_file(path)
                .map_err(|error| format!("cannot use {}: {}", path.display(), plain(&error))),
        }
    }

    /// How long a source that sends a price every `interval` may be silent before it is stale.
    pub(super) fn stale_after(&self, interval: Duration) -> Duration {
        let usual = (3 * interval).max(STALE_AFTER_MIN);
        self.stale_after.unwrap_or(usual)
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
    let text =
        text.map_err(|error| format!("cannot read {}: {}", path.display(), plain(&error)))?;
    let catalogue = Catalogue::builtin().with_file(&text);
    catalogue.map_err(|error| format!("{}: {error}", path.display()))
}

fn sources(list: &[ExchangeChoice], options: &LiveOptions) -> Result<Vec<LiveSource>, String> {
    let catalogue = catalogue(options)?;
    let source = |choice: &ExchangeChoice| {
        let exchange = catalogue.get(&choice.name);
        let exchange =
            exchange.map_err(|error| format!("{error}{}", way_out_of_file(&choice.name)))?;
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
            headers: source_header::of_exchange(exchange),
            not_before: Instant::now(),
            refused: None,
            elsewhere: elsewhere(exchange, &catalogue),
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

/// What to do where the name of an exchange looks like that of a file.
fn way_out_of_file(name: &str) -> String {
    if !name.contains(['/', '.']) {
        return String::new();
    }
    let name = exchanges::text::printable(name);
    format!(
        "; if it is a script, use {name} | ./server --source -, if it is a recording, --source \
         replay:{name}, if it is a FIFO, --source lines:{name}"
    )
}

/// The entries of `exchange` for other places, as far as the catalogue has them.
fn elsewhere(exchange: &Exchange, catalogue: &Catalogue) -> Vec<String> {
    let names = exchange.elsewhere().iter();
    let known = names.filter(|name| catalogue.get(name).is_ok());
    known.cloned().collect()
}

fn custom(
    (source, name): (&UrlSource, String),
    headers: HeaderMap,
    options: &LiveOptions,
) -> Result<LiveSource, String> {
    let places = source.places.or(&options.places);
    let has_time = places.time.is_some();
    let exchange = Exchange::custom(Custom {
        name,
        url: source.url.clone(),
        price: places.price.unwrap_or_default(),
        time: places.time,
        scale: places.scale.unwrap_or_default(),
        row: places.row,
    })?;
    Ok(LiveSource {
        exchange,
        streams: false,
        is_custom: true,
        has_time,
        headers,
        not_before: Instant::now(),
        refused: None,
        elsewhere: Vec::new(),
    })
}

/// The name of a URL in the log: its host, and its symbol where several have one host.
fn name(source: &UrlSource, all: &[&UrlSource]) -> String {
    let host = source.host();
    let is_alone = all.iter().filter(|other| other.host() == host).count() == 1;
    match &source.symbol {
        Some(symbol) if !is_alone => format!("{host} {symbol}"),
        _ => host.to_owned(),
    }
}

/// The feed of live sources: the exchanges stand in for each other, each named URL is on its own.
fn live(list: &[Source], settings: &Settings) -> Result<Live, String> {
    let options = &settings.live;
    let shared = (&live_settings(settings)?, settings.fields);
    let urls: Vec<_> = list.iter().flat_map(Source::urls).collect();
    let mut headers = source_header::of_urls(&options.headers, &urls)?.into_iter();
    let mut groups = Vec::new();
    for source in list {
        let group = match source {
            Source::Exchanges(list) => group(sources(list, options)?, &settings.symbols, shared)?,
            Source::Url(url) => {
                let headers = headers.next().unwrap_or_default();
                let named = url.symbol.iter().map(Symbol::to_string).collect();
                let symbols = match url.symbol {
                    Some(_) => &named,
                    None => &settings.symbols,
                };
                let source = custom((url, name(url, &urls)), headers, options)?;
                group(vec![source], symbols, shared)?
            }
            _ => continue,
        };
        groups.push(group);
    }
    let mut known = HashSet::new();
    let mut names = groups.iter().flat_map(LiveGroup::wire_names);
    if let Some(twice) = names.find(|name| !known.insert(name.clone())) {
        return Err(format!(
            "{twice} comes from several --source: leave all but one out"
        ));
    }
    let urls = groups.iter().filter(|group| !group.follows_symbols());
    let taken = urls.flat_map(|group| group.wanted.iter().filter_map(Wanted::name));
    let taken: Vec<_> = taken.cloned().collect();
    for group in &mut groups {
        // The symbols of several exchanges have other names.
        if group.follows_symbols() && group.has_one_exchange() {
            group.taken.clone_from(&taken);
        }
    }
    preflight::check(&mut groups)?;
    Ok(Live(groups))
}

fn group(
    mut sources: Vec<LiveSource>,
    symbols: &[String],
    (settings, fields): (&LiveSettings, FieldSet),
) -> Result<LiveGroup, String> {
    for source in &mut sources {
        want_fields(source, fields);
    }
    let mut group = LiveGroup {
        sources,
        wanted: Vec::new(),
        taken: Vec::new(),
        settings: settings.clone(),
    };
    group.wanted = group.read_wanted(symbols)?;
    group.warn_of_sources_without_lists();
    let names = group.wire_names().len();
    if names > SYMBOLS_MAX {
        // With several sources, each symbol is published under one name for each of them.
        return Err(format!(
            "{} symbols from {} sources need {names} names: at most {SYMBOLS_MAX} are possible",
            symbols.len(),
            group.sources.len()
        ));
    }
    Ok(group)
}

fn live_settings(settings: &Settings) -> Result<LiveSettings, String> {
    let options = &settings.live;
    let roots = options.roots()?;
    let transport = TransportConfig {
        // A proxy could not reach a server on this machine.
        proxy: match options.upstream {
            None => proxy(Proxy::try_from_env())?,
            Some(_) => None,
        },
        no_proxy: NoProxy::from_env(),
        timeout: options.request_timeout,
        roots,
    };
    Ok(LiveSettings {
        interval: settings.interval,
        changes_only: options.changes_only,
        stale_after: options.stale_after,
        transport,
        upstream: options.upstream.clone(),
    })
}

/// Lets a source read the fields that ticks are to have.
fn want_fields(source: &mut LiveSource, wanted: FieldSet) {
    let exchange = &source.exchange;
    let known = if source.streams {
        exchange.stream_fields()
    } else {
        exchange.request_fields()
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

const EXPECTED: &str = "exchanges (see --list-sources), sim, replay:FILE, lines:PATH, -, https://…, nats://… or tls://…";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay(error) => write!(f, "{error}"),
            Self::Live(error) => f.write_str(error),
            Self::Pattern(pattern) => write!(
                f,
                "{pattern} stands for markets of an exchange: a simulation needs the names of its \
                 symbols"
            ),
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
        let url = Source::parse("https://example.com/a,b?c=d").unwrap();
        assert_eq!(url.urls()[0].url, "https://example.com/a,b?c=d");
        assert_eq!(Source::parse("-"), Ok(Source::Lines(LinesFrom::Stdin)));
        let fifo = LinesFrom::Path("a:b.fifo".into());
        assert_eq!(Source::parse("lines:a:b.fifo"), Ok(Source::Lines(fifo)));
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
            (
                "lines:",
                "'lines:': expected a FIFO or a file, such as lines:",
            ),
            ("replay:", "'replay:': expected a file, such as replay:"),
        ] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn several_sources_serve_together_if_each_has_its_symbols() {
        let all = |list: &[&str]| {
            let list = list.iter().map(|text| Source::parse(text).unwrap());
            Source::all(list.collect())
        };
        assert_eq!(all(&[]), Ok(Source::Sim));
        assert_eq!(all(&["-"]), Ok(Source::Lines(LinesFrom::Stdin)));
        let several = all(&["A/B=http://a/#/p", "binance,kraken", "C/D=http://a/#/q"]).unwrap();
        assert!(several.takes_symbols());
        assert_eq!(several.urls().len(), 2);
        assert!(
            !all(&["A/B=http://a/#/p", "C/D=http://a/#/q"])
                .unwrap()
                .takes_symbols()
        );
        for (list, expected) in [
            (["A/B=http://a/", "http://b/p"], "name the symbol of each"),
            (
                ["binance", "kraken"],
                "into one --source, as in binance,kraken",
            ),
            (["binance", "sim"], "sim cannot be one of several sources"),
            (["replay:x", "binance"], "replay cannot be one of several"),
            (
                ["-", "binance"],
                "lines from stdin cannot be one of several",
            ),
        ] {
            let error = all(&list).unwrap_err();
            assert!(error.contains(expected), "{list:?}: {error}");
        }
    }

    #[test]
    fn two_sources_cannot_have_the_same_symbol() {
        let parse = |text| Source::parse(text).unwrap();
        let list = ["BTC/USDT=http://127.0.0.1:1/#/p", "binance"].map(parse);
        let error = refusal(Source::all(list.to_vec()).unwrap(), &settings());
        assert_eq!(
            error,
            "BTC/USDT comes from several --source: leave all but one out"
        );
    }

    #[test]
    fn a_symbol_may_name_its_exchange_by_an_older_name() {
        let settings = settings();
        let list = [ExchangeChoice::parse("gateio").unwrap()];
        let sources = sources(&list, &settings.live).unwrap();
        let shared = (&live_settings(&settings).unwrap(), FieldSet::NONE);
        let symbols = ["gateio:*/EUR", "Gate:BTC/USDT"].map(str::to_owned);
        let wanted = group(sources, &symbols, shared).unwrap().wanted;
        let wanted: Vec<_> = wanted.iter().map(Wanted::to_string).collect();
        assert_eq!(wanted, ["gate:*/EUR", "gate:BTC/USDT"]);
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
            open("./prices.py", &settings()),
            "unknown exchange './prices.py', see --list-sources; if it is a script, use \
             ./prices.py | ./server --source -, if it is a recording, --source \
             replay:./prices.py, if it is a FIFO, --source lines:./prices.py"
        );
        assert_eq!(
            open("luno+stream", &settings()),
            "luno has no stream, use --source luno"
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
        assert_eq!(
            open("mine", &with_file),
            "cannot read /no/such/file: no such file or directory"
        );
        let mut with_ca = settings();
        with_ca.live.ca = Some("/no/such/file".into());
        assert_eq!(
            open("binance", &with_ca),
            "cannot use /no/such/file: no such file or directory"
        );
    }
}
