//! Patterns of symbols: `*/USDT`, `BTC/*`, `binance:*/EUR`, `*`.
//!
//! A symbol is written `[SOURCE:]BASE/QUOTE`, and a `*` stands for one whole part. So patterns are
//! compared part by part, as numbers, and trying one on twenty thousand symbols takes some
//! microseconds, whatever a client sends.

use std::fmt;

use hashbrown::HashMap;

/// What a pattern says about each part of a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    /// `None` matches any source, and symbols without one.
    source: Option<Box<str>>,
    base: Option<Box<str>>,
    quote: Option<Box<str>>,
}

/// A rule of a watchlist: a symbol is in the list if the last rule that matches it includes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) includes: bool,
}

/// The numbers of the parts of symbols; equal parts have equal numbers.
#[derive(Debug, Default)]
pub(crate) struct PartTable {
    numbers: HashMap<Box<str>, Part>,
    /// Numbers that are free to be used again.
    spare: Vec<u32>,
}

#[derive(Debug)]
struct Part {
    number: u32,
    /// How many symbols have the part.
    symbols: usize,
}

/// The parts of a symbol: its source, base and quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts([u32; 3]);

/// A pattern with numbers for parts: the parts that a symbol must have, wherever the mask has bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matcher {
    wanted: [u32; 3],
    mask: [u32; 3],
}

impl Pattern {
    /// The pattern of every symbol.
    pub(crate) const EVERYTHING: Self = Self {
        source: None,
        base: None,
        quote: None,
    };

    /// Parses a pattern; `None` if it has no `*`, so that it is a name.
    ///
    /// # Errors
    /// When a `*` stands for less than a whole part.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, BadPattern> {
        if !text.contains('*') {
            return Ok(None);
        }
        if text.len() > TEXT_LENGTH_MAX {
            return Err(BadPattern);
        }
        let (source, base, quote) = split(text);
        let is_whole = |part: &str| part == "*" || !part.contains('*');
        let any_market = base == "*" && quote.is_empty();
        if ![source, base, quote].into_iter().all(is_whole) || quote.is_empty() && !any_market {
            return Err(BadPattern);
        }
        let part = |part: &str| (part != "*").then(|| Box::<str>::from(part));
        Ok(Some(Self {
            source: part(source).filter(|source| !source.is_empty()),
            base: part(base),
            quote: part(quote).filter(|_| !any_market),
        }))
    }

    /// The patterns of every symbol with the base, and with the quote, of `name`.
    pub(crate) fn near(name: &str) -> [Self; 2] {
        let (_, base, quote) = split(name);
        let part = |part: &str| Some(Box::from(part));
        let of_base = Self {
            base: part(base),
            ..Self::EVERYTHING
        };
        let of_quote = Self {
            quote: part(quote),
            ..Self::EVERYTHING
        };
        [of_base, of_quote]
    }

    /// The pattern in numbers; `None` if no known symbol can match it.
    pub(crate) fn matcher(&self, parts: &PartTable) -> Option<Matcher> {
        let (mut wanted, mut mask) = ([0; 3], [0; 3]);
        let own = [&self.source, &self.base, &self.quote];
        for (index, part) in own.into_iter().enumerate() {
            if let Some(part) = part {
                wanted[index] = parts.numbers.get(part)?.number;
                mask[index] = u32::MAX;
            }
        }
        Some(Matcher { wanted, mask })
    }
}

impl Matcher {
    pub(crate) fn matches(&self, Parts(parts): Parts) -> bool {
        // No branches: this runs on all symbols for each pattern of a list.
        let differs = |part: usize| (self.wanted[part] ^ parts[part]) & self.mask[part];
        differs(0) | differs(1) | differs(2) == 0
    }
}

impl PartTable {
    /// The parts of one more symbol, by its name. New parts get numbers.
    pub(crate) fn take(&mut self, name: &str) -> Parts {
        let (source, base, quote) = split(name);
        Parts([source, base, quote].map(|part| self.number(part)))
    }

    /// Removes a symbol, with its parts that no other symbol has.
    pub(crate) fn give_back(&mut self, name: &str) {
        let (source, base, quote) = split(name);
        for text in [source, base, quote] {
            let Some(part) = self.numbers.get_mut(text) else {
                continue;
            };
            part.symbols -= 1;
            if part.symbols == 0 {
                self.spare.push(part.number);
                self.numbers.remove(text);
            }
        }
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(part) = self.numbers.get_mut(text) {
            part.symbols += 1;
            return part.number;
        }
        // While none is spare, the numbers in use are 0 up to their count.
        let number = self.spare.pop().unwrap_or(self.numbers.len() as u32);
        self.numbers
            .insert(text.into(), Part { number, symbols: 1 });
        number
    }

    /// How many parts there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// A longer pattern is longer than the names of symbols and cannot match any.
const TEXT_LENGTH_MAX: usize = 4 * super::SYMBOL_LENGTH_MAX;

/// The name of a symbol without its source: `BTC/USDT` for `sim:BTC/USDT`. `None` if it has no
/// source.
pub(crate) fn bare(name: &str) -> Option<&str> {
    let (source, _, _) = split(name);
    (!source.is_empty()).then(|| &name[source.len() + 1..])
}

/// Splits into source, base and quote. A colon behind the slash belongs to the quote, as in ccxt's
/// `BTC/USDT:USDT`; without a slash the whole name is the base.
fn split(name: &str) -> (&str, &str, &str) {
    let (market, quote) = name.split_once('/').unwrap_or((name, ""));
    let (source, base) = market.rsplit_once(':').unwrap_or(("", market));
    (source, base, quote)
}

/// A `*` that stands for less than a whole part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPattern;

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:")?;
        }
        let part = |part: &Option<Box<str>>| part.as_deref().unwrap_or("*").to_owned();
        match (&self.base, &self.quote) {
            (None, None) => f.write_str("*"),
            (base, quote) => write!(f, "{}/{}", part(base), part(quote)),
        }
    }
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a * stands for a whole part, as in */USDT, BTC/*, binance:*/EUR or *")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] = [
        "sim:BTC/USDT",
        "BTC/USDT",
        "BTC/USDT:USDT",
        "replay:sim:ETH/USDT",
        "binance:ETH/EUR",
        "BTCUP/USDT",
        "GOLD",
    ];

    fn matched(text: &str) -> Vec<&'static str> {
        let mut table = PartTable::default();
        let parts = NAMES.map(|name| table.take(name));
        let pattern = Pattern::parse(text).unwrap().unwrap();
        let Some(matcher) = pattern.matcher(&table) else {
            return Vec::new();
        };
        let names = NAMES.into_iter().zip(parts);
        names
            .filter(|(_, parts)| matcher.matches(*parts))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn a_star_stands_for_a_whole_part() {
        for (pattern, names) in [
            ("*", &NAMES[..]),
            ("*/*", &NAMES[..]),
            (
                "*/USDT",
                &[
                    "sim:BTC/USDT",
                    "BTC/USDT",
                    "replay:sim:ETH/USDT",
                    "BTCUP/USDT",
                ],
            ),
            ("BTC/*", &["sim:BTC/USDT", "BTC/USDT", "BTC/USDT:USDT"]),
            ("*/USDT:USDT", &["BTC/USDT:USDT"]),
            ("binance:*/EUR", &["binance:ETH/EUR"]),
            ("binance:*", &["binance:ETH/EUR"]),
            ("replay:sim:*/USDT", &["replay:sim:ETH/USDT"]),
            ("*:ETH/USDT", &["replay:sim:ETH/USDT"]),
            ("sim:*/EUR", &[]),
            ("*/XYZ", &[]),
            ("*/usdt", &[]),
        ] {
            assert_eq!(matched(pattern), names, "{pattern}");
        }
    }

    #[test]
    fn a_star_inside_a_part_is_an_error() {
        for text in [
            "1000*/USDT",
            "BTC/US*",
            "BTC/USDT:*",
            "**",
            "*BTC",
            "bin*:BTC/USDT",
            "BTC*",
        ] {
            assert_eq!(Pattern::parse(text), Err(BadPattern), "{text}");
        }
        assert_eq!(Pattern::parse("BTC/USDT"), Ok(None));
        assert_eq!(Pattern::parse(""), Ok(None));
    }

    #[test]
    fn a_pattern_is_displayed_as_written() {
        for text in [
            "*",
            "*/USDT",
            "BTC/*",
            "binance:*/EUR",
            "*/USDT:USDT",
            "replay:sim:ETH/*",
        ] {
            let pattern = Pattern::parse(text).unwrap().unwrap();
            assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn freed_numbers_of_parts_are_reused_without_duplicates() {
        let mut table = PartTable::default();
        let kept = table.take("A/USD");
        for round in 0..100 {
            let name = format!("x{round}:B{round}/USD");
            let Parts(numbers) = table.take(&name);
            assert!(numbers.iter().all(|&number| number < 5), "{numbers:?}");
            assert!(numbers[0] != numbers[1] && numbers[2] == kept.0[2]);
            table.give_back(&name);
            assert_eq!(table.len(), 3, "no source, A and USD");
        }
    }

    #[test]
    fn a_bare_name_has_no_source() {
        assert_eq!(bare("sim:BTC/USDT"), Some("BTC/USDT"));
        assert_eq!(bare("replay:sim:BTC/USDT:USDT"), Some("BTC/USDT:USDT"));
        assert_eq!(bare("BTC/USDT:USDT"), None);
        assert_eq!(bare("GOLD"), None);
    }
}
