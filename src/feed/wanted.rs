//! What the user wants: names of symbols, and patterns that stand for all markets of an exchange
//! that match them.
//!
//! `BTC/USDT` is a name, `*/USDT` and `*` are patterns. Both may name one exchange:
//! `binance:*/EUR`.

use std::fmt;

use exchanges::Symbol;

/// One entry of the list of symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The exchange that it is wanted from; by default all that have it.
    pub(super) source: Option<String>,
    pub(super) what: What,
}

/// What an entry stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Name(Symbol),
    /// A market with this base and this quote; `None` stands for any.
    Pattern {
        base: Option<String>,
        quote: Option<String>,
    },
}

/// Whether an entry is a pattern.
pub(super) fn is_pattern(entry: &str) -> bool {
    entry.contains('*')
}

impl Wanted {
    /// Reads an entry.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // A colon behind the slash belongs to the quote, as in ccxt's `BTC/USDT:USDT`.
        let slash = text.find('/').unwrap_or(text.len());
        let colon = text[..slash].find(':');
        let (source, market) = match colon {
            Some(colon) => (Some(&text[..colon]), &text[colon + 1..]),
            None => (None, text),
        };
        let source = source.filter(|source| *source != "*");
        let what = if is_pattern(market) {
            pattern(market).ok_or_else(|| {
                format!(
                    "invalid pattern '{text}': a * stands for a whole part, as in */USDT, BTC/*, \
                     binance:*/EUR or *"
                )
            })?
        } else {
            What::Name(market.parse().map_err(|_| {
                format!("invalid symbol '{text}': expected something like BTC/USDT")
            })?)
        };
        Ok(Self {
            source: source.map(str::to_owned),
            what,
        })
    }

    /// Whether it can be about the exchange `id`.
    pub(super) fn is_from(&self, id: &str) -> bool {
        self.source.as_deref().is_none_or(|source| source == id)
    }

    /// The symbol, if it is a name.
    pub(super) fn name(&self) -> Option<&Symbol> {
        match &self.what {
            What::Name(symbol) => Some(symbol),
            What::Pattern { .. } => None,
        }
    }

    /// Whether it is a pattern that matches `symbol`.
    pub(super) fn matches(&self, symbol: &Symbol) -> bool {
        let fits =
            |part: &Option<String>, code: &str| part.as_deref().is_none_or(|part| part == code);
        match &self.what {
            What::Name(_) => false,
            What::Pattern { base, quote } => {
                fits(base, symbol.base()) && fits(quote, symbol.quote())
            }
        }
    }

    /// Whether it stands for a symbol, which is named as on the wire.
    fn stands_for(&self, named: &Self, wire_name: &str) -> bool {
        let is_from = self.source.is_none() || self.source == named.source;
        is_from && (self.what == named.what || self.covers(wire_name))
    }

    /// Whether it is a pattern that matches a symbol named as on the wire, `binance:BTC/EUR` or
    /// `BTC/EUR`.
    pub(super) fn covers(&self, wire_name: &str) -> bool {
        let Ok(named) = Self::parse(wire_name) else {
            return false;
        };
        let is_from = self.source.is_none() || self.source == named.source;
        is_from && named.name().is_some_and(|symbol| self.matches(symbol))
    }
}

/// Which symbols are served of those that another server has: all, or those of a list.
#[derive(Clone, Debug, Default)]
pub struct Selection(Option<Vec<Wanted>>);

impl Selection {
    /// All symbols.
    pub fn all() -> Self {
        Self(None)
    }

    /// The symbols that a list of names and patterns stands for.
    ///
    /// # Errors
    /// A sentence about the first entry that cannot be read.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let wanted: Result<_, _> = entries.iter().map(|entry| Wanted::parse(entry)).collect();
        Ok(Self(Some(wanted?)))
    }

    /// Whether the symbol of this name is served. An entry without a source stands for every source.
    pub(crate) fn has(&self, wire_name: &str) -> bool {
        let Some(wanted) = &self.0 else {
            return true;
        };
        let Ok(named) = Wanted::parse(wire_name) else {
            return false;
        };
        wanted
            .iter()
            .any(|wanted| wanted.stands_for(&named, wire_name))
    }

    /// The entries that stand for none of these symbols.
    pub(crate) fn unmatched(&self, wire_names: &[&str]) -> Vec<&Wanted> {
        let named = wire_names.iter();
        let named = named.filter_map(|name| Some((Wanted::parse(name).ok()?, *name)));
        let named: Vec<_> = named.collect();
        let entries = self.0.iter().flatten();
        let stands_for_none = |wanted: &&Wanted| {
            let mut named = named.iter();
            !named.any(|(named, wire_name)| wanted.stands_for(named, wire_name))
        };
        entries.filter(stands_for_none).collect()
    }
}

fn pattern(market: &str) -> Option<What> {
    let (base, quote) = match market {
        "*" => ("*", "*"),
        market => market.split_once('/')?,
    };
    let is_whole = |part: &str| part == "*" || !part.is_empty() && !part.contains(['*', '/']);
    let part = |part: &str| (part != "*").then(|| part.to_owned());
    (is_whole(base) && is_whole(quote)).then(|| What::Pattern {
        base: part(base),
        quote: part(quote),
    })
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:")?;
        }
        match &self.what {
            What::Name(symbol) => write!(f, "{symbol}"),
            What::Pattern {
                base: None,
                quote: None,
            } => f.write_str("*"),
            What::Pattern { base, quote } => {
                let base = base.as_deref().unwrap_or("*");
                let quote = quote.as_deref().unwrap_or("*");
                write!(f, "{base}/{quote}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(text: &str) -> Vec<&'static str> {
        let wanted = Wanted::parse(text).unwrap();
        let all = ["BTC/USDT", "ETH/USDT", "BTC/EUR"];
        let matches = |symbol: &&str| wanted.matches(&symbol.parse().unwrap());
        all.into_iter().filter(matches).collect()
    }

    #[test]
    fn a_star_stands_for_a_whole_part() {
        assert_eq!(matched("*"), ["BTC/USDT", "ETH/USDT", "BTC/EUR"]);
        assert_eq!(matched("*/*"), ["BTC/USDT", "ETH/USDT", "BTC/EUR"]);
        assert_eq!(matched("*/USDT"), ["BTC/USDT", "ETH/USDT"]);
        assert_eq!(matched("BTC/*"), ["BTC/USDT", "BTC/EUR"]);
        assert_eq!(matched("binance:*/EUR"), ["BTC/EUR"]);
        assert!(matched("*/usdt").is_empty());
        assert!(matched("BTC/USDT").is_empty(), "a name is no pattern");
    }

    #[test]
    fn an_entry_may_name_its_exchange() {
        let one = Wanted::parse("binance:*").unwrap();
        assert!(one.is_from("binance") && !one.is_from("kraken"));
        let any = Wanted::parse("*:*/EUR").unwrap();
        assert!(any.is_from("binance") && any.is_from("kraken"));
        let name = Wanted::parse("kraken:BTC/USD").unwrap();
        assert_eq!(name.name().unwrap().as_str(), "BTC/USD");
        assert!(!name.is_from("binance"));
    }

    #[test]
    fn a_pattern_covers_names_as_on_the_wire() {
        let covers = |pattern: &str, name| Wanted::parse(pattern).unwrap().covers(name);
        assert!(covers("*/USD", "BTC/USD") && covers("*/USD", "kraken:BTC/USD"));
        assert!(covers("kraken:*", "kraken:BTC/USD"));
        assert!(!covers("kraken:*", "BTC/USD") && !covers("*/USD", "BTC/EUR"));
        assert!(!covers("*", "BTC"), "no name of a market");
    }

    #[test]
    fn an_invalid_entry_is_an_error_and_a_valid_one_is_displayed_as_written() {
        for text in [
            "BT*/USDT",
            "*/",
            "/*",
            "**",
            "a:b*",
            "BTC",
            "*/a/b",
            "kraken:BTC",
        ] {
            let error = Wanted::parse(text).unwrap_err();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
        for text in [
            "*",
            "*/USDT",
            "BTC/*",
            "binance:*/EUR",
            "kraken:*",
            "kraken:A/B",
            "A/B:C",
        ] {
            assert_eq!(Wanted::parse(text).unwrap().to_string(), text);
        }
    }
}
