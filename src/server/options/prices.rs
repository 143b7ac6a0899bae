//! The options about prices: which, from where and how.

use std::path::PathBuf;
use std::time::Duration;

use super::number;
use crate::feed::{Mirror, Online, SYMBOLS_MAX, Settings, Source, Speed};
use crate::options::{BadOption, Options, period};
use crate::server::board::SYMBOL_LENGTH_MAX;

/// Where prices come from, and what that is opened with.
pub(super) fn prices(options: &mut Options) -> Result<(Source, Settings), BadOption> {
    let source = options
        .value("--source", Source::parse)?
        .unwrap_or(Source::Sim);
    let symbols = options.value("--symbols", symbols)?;
    let online = online(options)?;
    check_url(&source, symbols.as_deref(), &online)?;
    let settings = Settings {
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
    Ok((source, settings))
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

/// A list of symbols, each once.
fn symbols(text: &str) -> Result<Vec<String>, String> {
    let mut symbols: Vec<String> = Vec::new();
    for symbol in text.split(',') {
        let is_whole = symbol.split_once('/').is_some_and(|(base, quote)| {
            !base.is_empty() && !quote.is_empty() && !quote.contains('/')
        });
        if !is_whole || symbol.contains(|c: char| !c.is_ascii_graphic()) {
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
