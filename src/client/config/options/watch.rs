//! Options for subscriptions: which symbols, and how their ticks are sent.

use std::collections::HashSet;
use std::time::Duration;

use crate::cli::{BadOption, Options, count, period};
use crate::client::config::limits::too_few;
use crate::client::config::url::Url;
use crate::client::config::{Config, Watch};

/// Reads these options into `config`; those not given keep their defaults.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let symbols = options.value("--symbols", symbols)?;
    let watch = options.value("--watch", watched)?;
    let seed = options.value("--watch-seed", seed)?;
    let zipf = if options.flag("--watch-zipf") {
        Some(1.0)
    } else {
        options.value("--watch-zipf", exponent)?
    };
    let Some(count) = watch else {
        if let Some(symbols) = symbols {
            ask_for(config, "--symbols", "symbols", |url| {
                url.with_symbols(&symbols)
            })?;
        }
        return match (seed, zipf) {
            (None, None) => read_delivery(options, config),
            (Some(_), _) => Err(lonely("--watch-seed")),
            (None, Some(_)) => Err(lonely("--watch-zipf")),
        };
    };
    if config.url.asks_for("symbols") {
        let error = "the URL already names symbols; name those to draw from with --symbols instead";
        return Err(BadOption::new("--watch", error));
    }
    let watch = Watch {
        count,
        seed,
        zipf,
        of: distinct(symbols.as_deref().unwrap_or_default()),
    };
    if !watch.must_ask() && watch.of.len() < count {
        let error = too_few(count, watch.of.len());
        return Err(BadOption::new("--watch", error));
    }
    config.watch = Some(watch);
    read_delivery(options, config)
}

/// Reads how the server should send ticks.
fn read_delivery(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    config.every = options.value("--every", period)?;
    if let Some(every) = config.every {
        let pair = format!("every={}", written(every));
        ask_for(config, "--every", "every", |url| url.with_query(&pair))?;
    }
    if options.flag("--batch") {
        ask_for(config, "--batch", "batch", |url| url.with_query("batch"))?;
    }
    Ok(())
}

/// Adds the value of the option `name` to the URL's query as `parameter`.
fn ask_for(
    config: &mut Config,
    name: &str,
    parameter: &str,
    add: impl FnOnce(Url) -> Url,
) -> Result<(), BadOption> {
    if config.url.asks_for(parameter) {
        return Err(BadOption::new(name, "the URL already sets this"));
    }
    config.url = add(config.url.clone());
    Ok(())
}

fn lonely(name: &str) -> BadOption {
    BadOption::new(name, "only makes sense with --watch K")
}

/// Only the server knows its symbols; all that can be checked here is that none is empty.
fn symbols(text: &str) -> Result<String, String> {
    if text.split(',').any(|symbol| symbol.trim().is_empty()) {
        return Err(format!(
            "invalid symbols '{text}': one is empty, expected something like BTC/USDT,ETH/USDT"
        ));
    }
    Ok(text.to_owned())
}

/// The symbols of a list without duplicates, so that none is drawn twice.
fn distinct(symbols: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = symbols
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names
        .filter(|name| seen.insert(*name))
        .map(str::to_owned)
        .collect()
}

fn watched(text: &str) -> Result<usize, String> {
    match count(text)? {
        more if more > WATCHED_MAX => Err(format!(
            "invalid count '{text}': expected at most {WATCHED_MAX}"
        )),
        count => Ok(count),
    }
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("invalid seed '{text}': expected a whole number"))
}

fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok();
    exponent
        .filter(|exponent| (0.01..=10.0).contains(exponent))
        .ok_or_else(|| format!("invalid exponent '{text}': expected a number like 1 or 0.8"))
}

/// A duration in the format that the query uses.
fn written(time: Duration) -> String {
    match time.as_micros() {
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

/// The longest list that can be drawn: as many symbols as a server should accept at once.
const WATCHED_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_the_query_look_like_those_in_options() {
        for (text, expected) in [
            ("1", "1s"),
            ("90s", "90s"),
            ("1.5", "1500ms"),
            ("250ms", "250ms"),
            ("0.0005", "500us"),
        ] {
            assert_eq!(written(period(text).unwrap()), expected);
        }
    }

    #[test]
    fn a_symbol_named_twice_is_drawn_once() {
        assert_eq!(distinct("A, B,A,C"), ["A", "B", "C"]);
        assert!(distinct("").is_empty());
    }
}
