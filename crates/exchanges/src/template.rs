//! Texts with holes: how a market is spelled, and URLs.
//!
//! `{BASE}` and `{QUOTE}` are the currencies in upper case, `{base}` and `{quote}` in lower case,
//! `{market}` is the market as the exchange spells it, `{markets}` all of them. Other holes belong
//! to the place where they are filled.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Symbol;

/// A text with holes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Hole(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, hole)) = rest.split_once('{') {
            let Some((hole, after)) = hole.split_once('}') else {
                return Err(format!("'{text}' has a {{ without its }}"));
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Hole(hole.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Nothing but the hole `name`.
    pub(super) fn hole(name: &str) -> Self {
        Self(vec![Part::Hole(name.to_owned())])
    }

    /// A text without holes, whatever is in it.
    pub(super) fn verbatim(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// The names of its holes.
    pub(super) fn holes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Hole(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Refuses holes that nobody would fill.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), String> {
        match self.holes().find(|hole| !known.contains(hole)) {
            None => Ok(()),
            Some(hole) => {
                let known = known.join("}, {");
                Err(format!(
                    "unknown placeholder {{{hole}}}, known are {{{known}}}"
                ))
            }
        }
    }

    /// The text, each hole filled with what `fill` says about its name.
    pub(super) fn fill(&self, mut fill: impl FnMut(&str) -> Option<String>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Hole(name) => text.push_str(&fill(name).unwrap_or_default()),
            }
        }
        text
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// How an exchange spells its markets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spelling {
    pub(super) market: Template,
    /// Used instead where a currency's code is longer than three letters.
    pub(super) long: Option<Template>,
    /// Currencies that have another name there: `"BTC": "XBT"`.
    #[serde(default)]
    pub(super) renames: BTreeMap<String, String>,
}

/// A symbol as an exchange spells it.
#[derive(Clone, Debug)]
pub(super) struct Market {
    base: String,
    quote: String,
    spelled: String,
}

impl Spelling {
    pub(super) fn market(&self, symbol: &Symbol) -> Market {
        let rename = |code: &str| {
            let code = code.to_uppercase();
            self.renames.get(&code).cloned().unwrap_or(code)
        };
        let mut market = Market {
            base: rename(symbol.base()),
            quote: rename(symbol.quote()),
            spelled: String::new(),
        };
        let is_long = market.base.chars().count() > 3 || market.quote.chars().count() > 3;
        let template = self.long.as_ref().filter(|_| is_long);
        market.spelled = template
            .unwrap_or(&self.market)
            .fill(|hole| market.hole(hole));
        market
    }
}

impl Market {
    pub(super) fn spelled(&self) -> &str {
        &self.spelled
    }

    /// What fills the holes of [`MARKET_HOLES`].
    pub(super) fn hole(&self, name: &str) -> Option<String> {
        match name {
            "market" => Some(self.spelled.clone()),
            "BASE" => Some(self.base.clone()),
            "QUOTE" => Some(self.quote.clone()),
            "base" => Some(self.base.to_lowercase()),
            "quote" => Some(self.quote.to_lowercase()),
            _ => None,
        }
    }
}

/// The holes that one market fills.
pub(super) const MARKET_HOLES: &[&str] = &["market", "BASE", "QUOTE", "base", "quote"];

/// Makes a text safe at any place of a URL but keeps what spellings consist of readable.
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

    fn spelling(text: &str) -> Spelling {
        serde_json::from_str(text).unwrap()
    }

    fn spelled(spelling: &Spelling, symbol: &str) -> String {
        let market = spelling.market(&symbol.parse().unwrap());
        market.spelled().to_owned()
    }

    #[test]
    fn markets_are_spelled_with_renames_and_lengths() {
        let bitfinex = spelling(
            r#"{"market":"t{BASE}{QUOTE}","long":"t{BASE}:{QUOTE}","renames":{"USDT":"UST"}}"#,
        );
        assert_eq!(spelled(&bitfinex, "btc/usdt"), "tBTCUST");
        assert_eq!(spelled(&bitfinex, "DOGE/USD"), "tDOGE:USD");
        let upbit = spelling(r#"{"market":"{quote}-{BASE}"}"#);
        assert_eq!(spelled(&upbit, "BTC/KRW"), "krw-BTC");
    }

    #[test]
    fn unknown_holes_are_refused() {
        let template = Template::parse("{BASE}{qoute}").unwrap();
        let error = template.allow(MARKET_HOLES).unwrap_err();
        assert!(
            error.starts_with("unknown placeholder {qoute}, known are {market}, {BASE}"),
            "{error}"
        );
        assert!(Template::parse("a{b").is_err());
    }

    #[test]
    fn spellings_cannot_leave_their_place_in_a_url() {
        assert_eq!(url_encoded("tDOGE:USD-_.~"), "tDOGE:USD-_.~");
        assert_eq!(url_encoded("a&b=c/#?ü"), "a%26b%3Dc%2F%23%3F%C3%BC");
    }
}
