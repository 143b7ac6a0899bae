//! The options for prices: the symbols, their source, and its settings.

use std::path::PathBuf;
use std::time::Duration;

use exchanges::{Place, Scale};

use crate::cli::{BadOption, Options, path, period};
use crate::feed::{LiveOptions, Places, Settings, Source, SourceHeader, Speed, UrlSource, row};
use crate::http_client::UpstreamOverride;
use crate::server::cli::fields::fields;
use crate::server::symbol_file::{symbols, symbols_of_file};

/// The source of prices, and the settings of its feed.
pub(super) fn prices(options: &mut Options) -> Result<(Source, Settings), BadOption> {
    let sources = options.values("--source", Source::parse)?;
    let source = Source::all(sources).map_err(|error| BadOption::new("--source", error))?;
    let symbols = options.value("--symbols", Symbols::parse)?;
    let live = live(options)?;
    let names = symbols.as_ref().map(|symbols| symbols.names.as_slice());
    check_urls(&source, names, &live)?;
    let symbols = symbols.unwrap_or_else(|| Symbols::default_of(&source));
    let settings = Settings {
        symbols: symbols.names,
        symbols_file: symbols.file,
        interval: options
            .value("--interval", period)?
            .unwrap_or(Duration::from_millis(250)),
        fields: options.value("--fields", fields)?.unwrap_or_default(),
        spread: options.flag("--spread"),
        seed: options.value("--seed", number)?,
        speed: options
            .value("--speed", Speed::parse)?
            .unwrap_or(Speed::Times(1.0)),
        live,
    };
    Ok((source, settings))
}

fn live(options: &mut Options) -> Result<LiveOptions, BadOption> {
    let defaults = LiveOptions::default();
    let timeout = options.value("--request-timeout", period)?;
    Ok(LiveOptions {
        exchanges: options.value("--exchanges", path)?,
        places: Places {
            price: options.value("--price", place)?,
            time: options.value("--time", place)?,
            scale: options.value("--scale", Scale::parse)?,
            row: options.value("--row", row)?,
        },
        headers: options.values("--source-header", SourceHeader::parse)?,
        changes_only: options.flag("--changes-only"),
        stale_after: options.value("--stale-after", period)?,
        request_timeout: timeout.unwrap_or(defaults.request_timeout),
        upstream: options.value("--upstream", UpstreamOverride::parse)?,
        ca: options.value("--ca", path)?,
    })
}

/// A URL does not tell where its price is or which symbol it belongs to, and a guessed name would
/// mislabel the price, so both must be given.
fn check_urls(
    source: &Source,
    symbols: Option<&[String]>,
    live: &LiveOptions,
) -> Result<(), BadOption> {
    let wrong = |name, error| Err(BadOption::new(name, error));
    let urls = source.urls();
    let has_price = |url: &&UrlSource| url.places.price.is_some() || live.places.price.is_some();
    if !urls.iter().all(has_price) {
        return wrong(
            "--price",
            "missing: expected where the price is, such as /data/price",
        );
    }
    let is_unnamed = urls.iter().any(|url| url.symbol.is_none());
    match symbols {
        Some([_]) => Ok(()),
        _ if is_unnamed => wrong(
            "--symbols",
            "expected exactly one with a URL, such as BTC/USDT",
        ),
        _ => Ok(()),
    }
}

/// Refuses options that `source` would ignore.
pub(super) fn check_uses(options: &Options, source: &Source) -> Result<(), BadOption> {
    for (names, uses, error) in USES {
        let given = names.iter().find(|name| {
            // Brokers have certificates, too.
            let is_for_broker = **name == "--ca" && options.was_given("--publish");
            options.was_given(name) && !is_for_broker
        });
        if let Some(name) = given.filter(|_| !uses(source)) {
            return Err(BadOption::new(name, error));
        }
    }
    Ok(())
}

/// Options that only some sources use, whether a source does, and the error if it does not.
type Uses = (&'static [&'static str], fn(&Source) -> bool, &'static str);

const USES: [Uses; 15] = [
    (
        &["--seed", "--spread"],
        |source| *source == Source::Sim,
        "works with --source sim only",
    ),
    (
        &["--speed"],
        is_recording,
        "works with --source replay:FILE only",
    ),
    (
        &["--symbols"],
        |source| !is_recording(source),
        "a recording has its own symbols",
    ),
    (
        &["--symbols"],
        |source| !has_urls(source) || source.takes_symbols(),
        "not with --source NAME=https://…, which names its symbol itself",
    ),
    (
        &["--interval", "--fields"],
        |source| !is_log(source),
        "works at the origin only: the log has the prices as the origin wrote them",
    ),
    (
        &["--interval"],
        |source| !is_recording(source),
        "a recording has its own pace, see --speed",
    ),
    (
        &["--changes-only", "--stale-after"],
        |source| has_urls(source) || has_exchanges(source) || is_script(source),
        "works with live prices only, such as --source binance",
    ),
    (
        &["--ca"],
        |source| has_urls(source) || has_exchanges(source) || is_log(source),
        "works with prices of the web and with brokers only, such as --source binance",
    ),
    (
        &["--upstream", "--request-timeout"],
        |source| has_urls(source) || has_exchanges(source),
        "works with prices of the web only, such as --source binance",
    ),
    (
        &["--exchanges"],
        has_exchanges,
        "works with exchanges only, such as --source binance",
    ),
    (
        &["--price", "--time", "--scale", "--row", "--source-header"],
        has_urls,
        "works with --source https://… only",
    ),
    (
        &["--price"],
        |source| any_leaves_out(source, |places| places.price.is_none()),
        SAID_BY_URLS,
    ),
    (
        &["--time"],
        |source| any_leaves_out(source, |places| places.time.is_none()),
        SAID_BY_URLS,
    ),
    (
        &["--scale"],
        |source| any_leaves_out(source, |places| places.scale.is_none()),
        SAID_BY_URLS,
    ),
    (
        &["--row"],
        |source| any_leaves_out(source, |places| places.row.is_none()),
        SAID_BY_URLS,
    ),
];

const SAID_BY_URLS: &str = "has no effect: each --source https://… has its own behind the #";

fn is_recording(source: &Source) -> bool {
    matches!(source, Source::Replay(_))
}

fn is_log(source: &Source) -> bool {
    matches!(source, Source::Log(_))
}

fn is_script(source: &Source) -> bool {
    matches!(source, Source::Lines(_))
}

fn has_urls(source: &Source) -> bool {
    !source.urls().is_empty()
}

/// Whether one of its URLs does not say something about its answer itself.
fn any_leaves_out(source: &Source, is_left_out: fn(&Places) -> bool) -> bool {
    let mut urls = source.urls().into_iter();
    urls.any(|url| is_left_out(&url.places))
}

fn has_exchanges(source: &Source) -> bool {
    match source {
        Source::Exchanges(_) => true,
        Source::Several(list) => list.iter().any(has_exchanges),
        _ => false,
    }
}

fn place(text: &str) -> Result<Place, String> {
    // The empty pointer would mean the whole answer; here an unset variable is more likely.
    if text.is_empty() {
        return Err("missing value".to_owned());
    }
    Place::parse(text)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("invalid number '{text}': expected a whole number"))
}

/// The value of `--symbols`: a list, or a file with a list.
struct Symbols {
    names: Vec<String>,
    file: Option<PathBuf>,
}

impl Symbols {
    /// The symbols where none are given. A script says itself which it has.
    fn default_of(source: &Source) -> Self {
        let names = match source {
            Source::Lines(_) | Source::Log(_) => Vec::new(),
            _ => vec!["BTC/USDT".to_owned()],
        };
        Self { names, file: None }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file = text.strip_prefix('@').map(PathBuf::from);
        let names = match &file {
            Some(file) => symbols_of_file(file)?,
            None => symbols(text.split(',').map(str::trim))?,
        };
        Ok(Self { names, file })
    }
}
