//! One line of a user's own source: `{"symbol":"BTC/USDT","price":97123.45,"timestamp":1732270000123}`.
//!
//! Whoever writes such lines wants to know what is wrong with one, so every reason has its words.

use std::borrow::Cow;
use std::fmt;

use exchanges::BadPrice;
use exchanges::json::JsonText;
use exchanges::text::printable;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::symbol_name::{NAME_LENGTH_MAX, is_clear};
use crate::tick::{Field, Price};

/// A tick as a line states it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stated<'a> {
    pub(super) symbol: Cow<'a, str>,
    pub(super) price: Price,
    /// Unix ms; `None` if it has none, or one that is ahead of our clock.
    pub(super) timestamp: Option<u64>,
}

/// Why a line is not a tick. Its text follows the number of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotJson(String),
    /// It is the end of the input, and ends in the middle.
    Torn,
    Missing(&'static str),
    Symbol(String),
    Price(String),
    Timestamp(String),
    /// The tick is published without this field.
    Field(Field, String),
    TooLong,
}

impl<'a> Stated<'a> {
    /// Reads a line. `now_ms` is the wall clock.
    pub(super) fn read(line: &'a [u8], now_ms: u64) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            symbol: Option<&'a RawValue>,
            #[serde(borrow)]
            price: Option<&'a RawValue>,
            #[serde(borrow)]
            timestamp: Option<&'a RawValue>,
        }

        if line.first() != Some(&b'{') {
            return Err(Problem::NotJson("expected an object".to_owned()));
        }
        let raw: Raw<'a> =
            serde_json::from_slice(line).map_err(|error| Problem::not_json(&error))?;
        Ok(Self {
            symbol: symbol(raw.symbol.ok_or(Problem::Missing("symbol"))?)?,
            price: price(raw.price.ok_or(Problem::Missing("price"))?)?,
            timestamp: match raw.timestamp {
                None => None,
                Some(raw) => timestamp(raw, now_ms)?,
            },
        })
    }
}

fn symbol(raw: &RawValue) -> Result<Cow<'_, str>, Problem> {
    let wrong = || Problem::Symbol(excerpt(raw));
    let JsonText(symbol) = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let is_sound = (1..=NAME_LENGTH_MAX).contains(&symbol.len()) && is_clear(&symbol);
    if is_sound { Ok(symbol) } else { Err(wrong()) }
}

fn price(raw: &RawValue) -> Result<Price, Problem> {
    number(raw).map_err(|_| Problem::Price(excerpt(raw)))
}

/// A number, or a text that is one.
pub(super) fn number(raw: &RawValue) -> Result<Price, BadPrice> {
    let text = raw.get();
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    Price::parse(bare.unwrap_or(text))
}

/// A time that is ahead of our clock says that one of the two is wrong, so it counts as missing.
/// One in another unit is the mistake of whoever wrote the line.
fn timestamp(raw: &RawValue, now_ms: u64) -> Result<Option<u64>, Problem> {
    let text = raw.get().trim_matches('"');
    let whole = text.split('.').next().unwrap_or_default();
    let is_number = Price::parse(text).is_ok();
    match whole.parse() {
        Ok(ms) if is_number && TIMESTAMPS.contains(&ms) => {
            Ok((ms <= now_ms.saturating_add(AHEAD_MS_MAX)).then_some(ms))
        }
        _ => Err(Problem::Timestamp(excerpt(raw))),
    }
}

fn excerpt(raw: &RawValue) -> String {
    beginning(raw.get())
}

/// The beginning of a text as the log may show it.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_LENGTH_MAX) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

impl Problem {
    pub(super) fn not_json(error: &serde_json::Error) -> Self {
        let words = error.to_string();
        Self::NotJson(words.replace(" at line 1 column", " at column"))
    }

    pub(super) fn field(field: Field, found: &RawValue) -> Self {
        Self::Field(field, excerpt(found))
    }

    /// One word for metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::TooLong => "long_line",
            Self::Field(..) => "bad_field",
            _ => "bad_line",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => write!(f, "invalid JSON: {why}; {EXPECTED}"),
            Self::Torn => f.write_str("the input ends in the middle of it"),
            Self::Missing(member) => write!(f, "no \"{member}\"; {EXPECTED}"),
            Self::Symbol(found) => write!(
                f,
                "invalid symbol {found}: expected a text such as \"BTC/USDT\", at most \
                 {NAME_LENGTH_MAX} bytes, without blanks, commas, * and invisible characters"
            ),
            Self::Price(found) => {
                write!(
                    f,
                    "invalid price {found}: expected a number such as 97123.45"
                )
            }
            Self::Timestamp(found) => write!(
                f,
                "invalid timestamp {found}: expected Unix ms, such as 1732270000123"
            ),
            Self::Field(field, found) => write!(
                f,
                "invalid {field} {found}: expected a number such as 97123.45; the tick is \
                 published without it"
            ),
            Self::TooLong => write!(
                f,
                "longer than {} KiB, so it is skipped",
                super::splitter::LENGTH_MAX >> 10
            ),
        }
    }
}

const EXPECTED: &str = r#"expected {"symbol":"BTC/USDT","price":97123.45}"#;

/// Unix ms from 1973 to 5138: times in seconds are below, those in microseconds above.
const TIMESTAMPS: std::ops::Range<u64> = 100_000_000_000..100_000_000_000_000;

/// How far a time may be ahead of our clock.
const AHEAD_MS_MAX: u64 = 60_000;

/// How much of a line or of a wrong value goes into the log, in characters.
const EXCERPT_LENGTH_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_732_270_001_000;

    fn read(line: &str) -> Result<(String, String, Option<u64>), String> {
        Stated::read(line.as_bytes(), NOW)
            .map(|tick| {
                (
                    tick.symbol.into_owned(),
                    tick.price.to_string(),
                    tick.timestamp,
                )
            })
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_tick_needs_a_symbol_and_a_price() {
        let tick = |price: &str, time| Ok(("A/B".to_owned(), price.to_owned(), time));
        for (line, expected) in [
            (r#"{"symbol":"A/B","price":1.50}"#, tick("1.50", None)),
            (
                r#"{"price":"1.50","symbol":"A/B","x":[{}]}"#,
                tick("1.50", None),
            ),
            (
                r#"{"symbol":"A/B","price":-2.5e3,"timestamp":null}"#,
                tick("-2500", None),
            ),
            (
                r#"{"symbol":"A\/B","price":1,"timestamp":1732270000123}"#,
                tick("1", Some(1_732_270_000_123)),
            ),
            (
                r#"{"symbol":"A/B","price":1,"timestamp":1732270000123.9}"#,
                tick("1", Some(1_732_270_000_123)),
            ),
            (
                r#"{"symbol":"A/B","price":1,"timestamp":"1732270000123"}"#,
                tick("1", Some(1_732_270_000_123)),
            ),
            // Ahead of our clock by more than a minute.
            (
                r#"{"symbol":"A/B","price":1,"timestamp":1732270061001}"#,
                tick("1", None),
            ),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn a_symbol_may_have_letters_of_any_script() {
        for symbol in ["币安人生/USDT", "MÜNZE/€", "🐸"] {
            let line = format!(r#"{{"symbol":"{symbol}","price":1}}"#);
            let expected = (symbol.to_owned(), "1".to_owned(), None);
            assert_eq!(read(&line), Ok(expected));
        }
        for symbol in [
            "A\u{202e}B",
            "A\u{200b}",
            "A\u{a0}B",
            "A\\u0007",
            "A,B",
            "A/*",
        ] {
            let error = read(&format!(r#"{{"symbol":"{symbol}","price":1}}"#)).unwrap_err();
            let words = "without blanks, commas, * and invisible characters";
            assert!(error.contains(words), "{error}");
            assert_eq!(error, printable(&error));
        }
    }

    #[test]
    fn a_line_that_is_not_a_tick_is_told_why() {
        let long = format!(r#"{{"symbol":"{}","price":1}}"#, "A".repeat(54));
        for (line, expected) in [
            (
                "nonsense",
                "invalid JSON: expected an object; expected {\"symbol\"",
            ),
            (r#"["A/B",1]"#, "invalid JSON: expected an object"),
            (
                r#"{"symbol":"A/B","pri"#,
                "invalid JSON: EOF while parsing a string at column 20",
            ),
            (
                r#"{"symbol":"A/B","price":NaN}"#,
                "invalid JSON: expected value at column",
            ),
            (r#"{"price":1}"#, r#"no "symbol"; expected {"symbol":"#),
            (r#"{"symbol":"A/B"}"#, r#"no "price"; expected"#),
            (
                r#"{"symbol":"A/B","price":null}"#,
                r#"no "price"; expected"#,
            ),
            (
                r#"{"symbol":7,"price":1}"#,
                "invalid symbol 7: expected a text",
            ),
            (
                r#"{"symbol":"","price":1}"#,
                r#"invalid symbol "": expected"#,
            ),
            (
                r#"{"symbol":"A B","price":1}"#,
                r#"invalid symbol "A B": expected"#,
            ),
            (
                r#"{"symbol":"*","price":1}"#,
                r#"invalid symbol "*": expected"#,
            ),
            (&long, "at most 53 bytes"),
            (
                r#"{"symbol":"A","price":"1,5"}"#,
                r#"invalid price "1,5": expected"#,
            ),
            (r#"{"symbol":"A","price":{}}"#, "invalid price {}: expected"),
            (
                r#"{"symbol":"A","price":1,"timestamp":1732270000}"#,
                "invalid timestamp 1732270000: expected Unix ms",
            ),
            (
                r#"{"symbol":"A","price":1,"timestamp":1732270000123456}"#,
                "expected Unix ms",
            ),
            (
                r#"{"symbol":"A","price":1,"timestamp":"2024-11-22"}"#,
                "expected Unix ms",
            ),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Stated::read(&bytes, NOW);
        }

        #[test]
        fn a_price_keeps_its_digits(price in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?") {
            let expected = Ok(("A".to_owned(), price.clone(), None));
            prop_assert_eq!(read(&format!(r#"{{"symbol":"A","price":{price}}}"#)), expected.clone());
            prop_assert_eq!(read(&format!(r#"{{"symbol":"A","price":"{price}"}}"#)), expected);
        }
    }
}
