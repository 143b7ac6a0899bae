//! Texts with placeholders: symbols as an exchange writes them, and URLs.
//!
//! `{BASE}` and `{QUOTE}` are the currencies in upper case, `{base}` and `{quote}` in lower case,
//! `{market}` is the symbol as the exchange writes it, `{markets}` all of them. Other placeholders
//! are described where they are filled. `{{` stands for a brace, and so does `}}`.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Symbol;

/// A text with placeholders.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Placeholder(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut written = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, behind) = rest.split_at(brace);
            written += before;
            // Doubled, a brace stands for itself; a closing one may also stand alone.
            let doubled = ["{{", "}}"].iter().find(|two| behind.starts_with(**two));
            if doubled.is_some() || behind.starts_with('}') {
                written += &behind[..1];
                rest = &behind[doubled.map_or(1, |two| two.len())..];
                continue;
            }
            let Some((placeholder, after)) = behind[1..].split_once('}') else {
                return Err(format!(
                    "invalid template '{text}': a {{ has no matching }}"
                ));
            };
            parts.push(Part::Text(std::mem::take(&mut written)));
            parts.push(Part::Placeholder(placeholder.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(written + rest));
        Ok(Self(parts))
    }

    /// Whether it has any of these placeholders.
    pub(super) fn mentions(&self, names: &[&str]) -> bool {
        self.placeholders().any(|name| names.contains(&name))
    }

    /// A template that consists of the placeholder `name`.
    pub(super) fn placeholder(name: &str) -> Self {
        Self(vec![Part::Placeholder(name.to_owned())])
    }

    /// A text without placeholders, even if it contains braces.
    pub(super) fn verbatim(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// The names of its placeholders.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Refuses placeholders that are not `known`.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), String> {
        match self
            .placeholders()
            .find(|placeholder| !known.contains(placeholder))
        {
            None => Ok(()),
            Some(placeholder) => {
                let known = known.join("}, {");
                Err(format!(
                    "unknown placeholder {{{placeholder}}}: expected one of {{{known}}}"
                ))
            }
        }
    }

    /// The base and the quote in a text that this template has written. Where nothing separates
    /// them, the first may be one of `bases` and the second one of `quotes`; without these both
    /// have three letters.
    pub(super) fn split(
        &self,
        text: &str,
        (bases, quotes): (&[String], &[String]),
    ) -> Option<(String, String)> {
        let (literals, names) = self.parts()?;
        let [before, between, after] = &literals;
        let inner = text.strip_prefix(&**before)?.strip_suffix(&**after)?;
        let (first, second) = if between.is_empty() {
            inner.split_at_checked(without_separator(inner, bases, quotes)?)?
        } else {
            inner.split_once(&**between)?
        };
        let is_clear = between.is_empty() || !second.contains(&**between);
        let (first, second) = (first.to_owned(), second.to_owned());
        match (names[0].as_str(), names[1].as_str()) {
            ("base", "quote") if is_clear => Some((first, second)),
            ("quote", "base") if is_clear => Some((second, first)),
            _ => None,
        }
    }

    /// Whether it has two placeholders, with something between them.
    pub(super) fn has_separator(&self) -> bool {
        let parts = self.parts();
        parts.is_some_and(|(literals, _)| !literals[1].is_empty())
    }

    /// The texts around and between two placeholders, and the names of these.
    fn parts(&self) -> Option<([String; 3], [String; 2])> {
        let mut literals = vec![String::new()];
        let mut names = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => literals.last_mut()?.push_str(text),
                Part::Placeholder(name) => {
                    names.push(name.to_lowercase());
                    literals.push(String::new());
                }
            }
        }
        Some((literals.try_into().ok()?, names.try_into().ok()?))
    }

    /// The text, each placeholder replaced by what `fill` returns for its name.
    pub(super) fn fill(&self, mut fill: impl FnMut(&str) -> Option<String>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Placeholder(name) => text.push_str(&fill(name).unwrap_or_default()),
            }
        }
        text
    }
}

/// Where the second currency of `name` begins. The longest that fits is meant: BTCFDUSD is priced in
/// FDUSD.
fn without_separator(name: &str, bases: &[String], quotes: &[String]) -> Option<usize> {
    if quotes.is_empty() {
        return (name.len() == 6).then_some(3);
    }
    let name = name.to_uppercase();
    let mut bases = bases.iter();
    if let Some(base) = bases.find(|base| name.starts_with(base.as_str())) {
        return Some(base.len());
    }
    let fitting = quotes.iter().filter(|&quote| {
        let base = name.strip_suffix(quote.as_str());
        base.is_some_and(|base| !base.is_empty())
    });
    let longest = fitting.map(String::len).max()?;
    Some(name.len() - longest)
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// How an exchange writes symbols.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SymbolFormat {
    pub(super) market: Template,
    /// Used instead if a currency code is longer than three letters.
    pub(super) long: Option<Template>,
    /// Currencies that have another code there: `"BTC": "XBT"`.
    #[serde(default)]
    pub(super) renames: BTreeMap<String, String>,
    /// The quote currencies, as requests write them, of an exchange that names only the base of a
    /// market: with any other, a symbol is unknown.
    #[serde(default)]
    pub(super) quotes: Vec<String>,
    /// Whether a code that mixes both cases stays as it is, as in AAPLx. Usually all are converted.
    #[serde(default)]
    pub(super) keeps_case: bool,
}

/// A symbol as an exchange writes it.
#[derive(Clone, Debug)]
pub(super) struct Market {
    base: String,
    quote: String,
    text: String,
    /// Whether the exchange can have it at all.
    is_possible: bool,
}

impl SymbolFormat {
    pub(super) fn market(&self, symbol: &Symbol) -> Market {
        let rename = |code: &str| {
            let upper = code.to_uppercase();
            let is_mixed = code != upper && code != code.to_lowercase();
            match self.renames.get(&upper) {
                Some(renamed) => renamed.clone(),
                None if self.keeps_case && is_mixed => code.to_owned(),
                None => upper,
            }
        };
        let mut market = Market {
            base: rename(symbol.base()),
            quote: rename(symbol.quote()),
            text: String::new(),
            is_possible: true,
        };
        market.is_possible = self.quotes.is_empty() || self.quotes.contains(&market.quote);
        let is_long = market.base.chars().count() > 3 || market.quote.chars().count() > 3;
        let template = self.long.as_ref().filter(|_| is_long);
        market.text = template
            .unwrap_or(&self.market)
            .fill(|placeholder| market.value_of(placeholder));
        market
    }
}

impl Market {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the exchange can have it at all: answers about any other are about something else.
    pub(super) fn is_possible(&self) -> bool {
        self.is_possible
    }

    /// The value of one of the [`MARKET_PLACEHOLDERS`].
    pub(super) fn value_of(&self, name: &str) -> Option<String> {
        match name {
            "market" => Some(self.text.clone()),
            "BASE" => Some(self.base.clone()),
            "QUOTE" => Some(self.quote.clone()),
            "base" => Some(self.base.to_lowercase()),
            "quote" => Some(self.quote.to_lowercase()),
            _ => None,
        }
    }
}

/// The placeholders that one market fills.
pub(super) const MARKET_PLACEHOLDERS: &[&str] = &["market", "BASE", "QUOTE", "base", "quote"];

/// The placeholders that the time of sending fills.
pub(super) const TIME_PLACEHOLDERS: &[&str] = &["now_s", "now_ms"];

/// Makes a text safe anywhere in a URL; the characters of usual symbols stay readable.
pub(super) fn url_encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b':');
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol_format(text: &str) -> SymbolFormat {
        serde_json::from_str(text).unwrap()
    }

    fn written(format: &SymbolFormat, symbol: &str) -> String {
        let market = format.market(&symbol.parse().unwrap());
        market.as_str().to_owned()
    }

    #[test]
    fn a_format_may_rename_currencies_and_depend_on_their_length() {
        let bitfinex = symbol_format(
            r#"{"market":"t{BASE}{QUOTE}","long":"t{BASE}:{QUOTE}","renames":{"USDT":"UST"}}"#,
        );
        assert_eq!(written(&bitfinex, "btc/usdt"), "tBTCUST");
        assert_eq!(written(&bitfinex, "DOGE/USD"), "tDOGE:USD");
        let upbit = symbol_format(r#"{"market":"{quote}-{BASE}"}"#);
        assert_eq!(written(&upbit, "BTC/KRW"), "krw-BTC");
    }

    #[test]
    fn an_exchange_may_have_one_quote_currency_only() {
        let format = symbol_format(r#"{"market":"{BASE}","quotes":["JPY"]}"#);
        let is_possible = |symbol: &str| format.market(&symbol.parse().unwrap()).is_possible();
        assert!(is_possible("btc/jpy") && !is_possible("BTC/USD"));
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        let template = Template::parse("{BASE}{qoute}").unwrap();
        let error = template.allow(MARKET_PLACEHOLDERS).unwrap_err();
        assert!(
            error.starts_with("unknown placeholder {qoute}: expected one of {market}, {BASE}"),
            "{error}"
        );
        assert!(Template::parse("a{b").is_err());
    }

    #[test]
    fn a_code_in_both_cases_may_be_kept() {
        let format = |keeps| {
            symbol_format(&format!(
                r#"{{"market":"{{BASE}}/{{QUOTE}}","renames":{{"XBTX":"BTC"}},"keeps_case":{keeps}}}"#
            ))
        };
        for (symbol, kept, converted) in [
            ("AAPLx/USD", "AAPLx/USD", "AAPLX/USD"),
            ("btc/Usd", "BTC/Usd", "BTC/USD"),
            ("xbtX/USD", "BTC/USD", "BTC/USD"),
        ] {
            assert_eq!(written(&format(true), symbol), kept);
            assert_eq!(written(&format(false), symbol), converted);
        }
    }

    #[test]
    fn doubled_braces_stand_for_themselves() {
        let filled = |text: &str| {
            let template = Template::parse(text).unwrap();
            template.fill(|name| Some(format!("<{name}>")))
        };
        assert_eq!(filled("{{a}} {b}"), "{a} <b>");
        assert_eq!(filled("{a}}}{{{b}"), "<a>}{<b>");
        assert_eq!(filled("a} é}} b"), "a} é} b");
        assert!(Template::parse("{{{a").is_err());
    }

    #[test]
    fn a_symbol_cannot_leave_its_place_in_a_url() {
        assert_eq!(url_encoded("tDOGE:USD-_.~"), "tDOGE:USD-_.~");
        assert_eq!(url_encoded("a&b=c/#?ü"), "a%26b%3Dc%2F%23%3F%C3%BC");
    }
}
