//! The options for prices: the symbols, their source, and its settings.

use std::path::PathBuf;
use std::time::Duration;

use exchanges::json::Pointer;

use crate::cli::{BadOption, Options, period};
use crate::feed::{LiveOptions, Settings, Source, Speed};
use crate::http_client::UpstreamOverride;
use crate::server::cli::fields::fields;
use crate::server::symbol_file::{symbols, symbols_of_file};

/// The source of prices, and the settings of its feed.
pub(super) fn prices(options: &mut Options) -> Result<(Source, Settings), BadOption> {
    let source = options
        .value("--source", Source::parse)?
        .unwrap_or(Source::Sim);
    let symbols = options.value("--symbols", Symbols::parse)?;
    let live = live(options)?;
    let names = symbols.as_ref().map(|symbols| symbols.names.as_slice());
    check_url(&source, names, &live)?;
    let symbols = symbols.unwrap_or_else(|| Symbols {
        names: vec!["BTC/USDT".to_owned()],
        file: None,
    });
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
    let path = |text: &str| Ok(PathBuf::from(text));
    let defaults = LiveOptions::default();
    let timeout = options.value("--request-timeout", period)?;
    Ok(LiveOptions {
        exchanges: options.value("--exchanges", path)?,
        price: options.value("--price", pointer)?,
        time: options.value("--time", pointer)?,
        changes_only: options.flag("--changes-only"),
        stale_after: options.value("--stale-after", period)?,
        request_timeout: timeout.unwrap_or(defaults.request_timeout),
        upstream: options.value("--upstream", UpstreamOverride::parse)?,
        ca: options.value("--ca", path)?,
    })
}

/// A URL does not tell where its price is or which symbol it belongs to, and a guessed name would
/// mislabel the price, so both must be given.
fn check_url(
    source: &Source,
    symbols: Option<&[String]>,
    live: &LiveOptions,
) -> Result<(), BadOption> {
    let wrong = |name, error| Err(BadOption::new(name, error));
    match (&live.price, symbols) {
        _ if !source.is_url() => Ok(()),
        (None, _) => wrong(
            "--price",
            "missing: expected where the price is, such as /data/price",
        ),
        (Some(_), Some([_])) => Ok(()),
        (Some(_), _) => wrong(
            "--symbols",
            "expected exactly one with a URL, such as BTC/USDT",
        ),
    }
}

/// Refuses options that `source` would ignore.
pub(super) fn check_uses(options: &Options, source: &Source) -> Result<(), BadOption> {
    for (names, uses, error) in USES {
        let given = names.iter().find(|name| options.was_given(name));
        if let Some(name) = given.filter(|_| !uses(source)) {
            return Err(BadOption::new(name, error));
        }
    }
    Ok(())
}

/// Options that only some sources use, whether a source does, and the error if it does not.
type Uses = (&'static [&'static str], fn(&Source) -> bool, &'static str);

const USES: [Uses; 7] = [
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
        &["--interval"],
        |source| !is_recording(source),
        "a recording has its own pace, see --speed",
    ),
    (
        &[
            "--changes-only",
            "--stale-after",
            "--upstream",
            "--ca",
            "--request-timeout",
        ],
        |source| source.is_url() || is_exchanges(source),
        "works with live prices only, such as --source binance",
    ),
    (
        &["--exchanges"],
        is_exchanges,
        "works with exchanges only, such as --source binance",
    ),
    (
        &["--price", "--time"],
        Source::is_url,
        "works with --source https://… only",
    ),
];

fn is_recording(source: &Source) -> bool {
    matches!(source, Source::Replay(_))
}

fn is_exchanges(source: &Source) -> bool {
    matches!(source, Source::Exchanges(_))
}

fn pointer(text: &str) -> Result<Pointer, String> {
    // The empty pointer would mean the whole answer; here an unset variable is more likely.
    if text.is_empty() {
        return Err("missing value".to_owned());
    }
    Pointer::parse(text)
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
    fn parse(text: &str) -> Result<Self, String> {
        let file = text.strip_prefix('@').map(PathBuf::from);
        let names = match &file {
            Some(file) => symbols_of_file(file)?,
            None => symbols(text.split(','))?,
        };
        Ok(Self { names, file })
    }
}
