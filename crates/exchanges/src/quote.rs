//! Reads prices and times as exchanges write them, exact to the last digit.

use std::fmt;

use super::document::Value;
use super::entry::Mapping;
use super::fields::Fields;
use super::json::excerpt;
use super::number::Places;
use super::time::{TimeField, TimeUnit, is_plausible, unix_ms};
use crate::price::Price;

/// The price of one symbol as an exchange states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The last price, with the digits that were sent.
    pub price: Price,
    /// The exchange's time in Unix ms; `None` if it sends none or an implausible one.
    pub timestamp_ms: Option<u64>,
    /// The clock of that time: 0 for the usual one, more for one that the exchange's entry names
    /// for answers without the usual time. Only times of one clock can be compared: that of the
    /// last trade and that of the answer differ by minutes.
    pub clock: u8,
    /// What else it states, of the fields that were asked for.
    pub fields: Fields,
}

/// Why there is no quote. The log uses its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuoteError {
    /// The exchange does not know or does not trade the symbol.
    UnknownSymbol,
    /// The exchange knows the symbol but states no valid price: a dead or future market.
    NoPrice(String),
    /// Too many requests: the next one has to wait longer.
    RateLimited,
    /// The exchange does not serve this location (HTTP 451 or 403): waiting will not help.
    Blocked(String),
    /// The exchange is temporarily unavailable.
    Down(String),
    /// The exchange answered with another error.
    Refused(String),
    /// The answer is not what the catalogue says it should be.
    Garbage(String),
}

impl fmt::Display for QuoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSymbol => f.write_str("unknown symbol"),
            Self::NoPrice(why) => write!(f, "no price: {why}"),
            Self::RateLimited => f.write_str("too many requests"),
            Self::Blocked(why) => write!(f, "not available from here: {why}"),
            Self::Down(why) => write!(f, "temporarily unavailable: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Garbage(what) => write!(f, "unexpected answer: {what}"),
        }
    }
}

impl std::error::Error for QuoteError {}

/// Reads the price of one entry, with its time and the fields that are wanted.
pub(super) fn read_quote(
    mapping: &Mapping,
    places: Places<'_, '_>,
    now_ms: u64,
) -> Result<Quote, QuoteError> {
    let price = read_price(mapping, places)?;
    let (timestamp_ms, clock) = read_time_of(mapping.time.as_ref(), places, now_ms)?;
    Ok(Quote {
        price,
        timestamp_ms,
        clock,
        fields: read_fields(mapping, places),
    })
}

/// The time in the first place that has one, with the number of that place.
fn read_time_of(
    time: Option<&TimeField>,
    places: Places<'_, '_>,
    now_ms: u64,
) -> Result<(Option<u64>, u8), QuoteError> {
    let mut next = time;
    let mut clock = 0;
    while let Some(time) = next {
        let written = places.of(time.of).scalar(&time.at);
        if let Some(text) = written.filter(|text| !text.is_empty()) {
            return Ok((read_time(&text, time.unit, now_ms)?, clock));
        }
        next = time.or.as_deref();
        clock = clock.saturating_add(1);
    }
    Ok((None, 0))
}

/// The wanted fields that are there and are numbers: null, "" and words mean that there is none.
fn read_fields(mapping: &Mapping, places: Places<'_, '_>) -> Fields {
    let wanted = mapping.fields.wanted().iter();
    wanted
        .filter_map(|(field, place)| {
            let Value::Text(text) = place.value(places) else {
                return None;
            };
            let number = Price::parse(text.trim_ascii()).ok()?;
            Some((*field, place.scaled(number, places)?))
        })
        .collect()
}

/// If the time makes no sense in `unit`, its unit is inferred.
fn read_time(text: &str, unit: TimeUnit, now_ms: u64) -> Result<Option<u64>, QuoteError> {
    let time_ms = unix_ms(text, unit);
    if time_ms == Some(0) {
        return Err(QuoteError::NoPrice("its time is zero".to_owned()));
    }
    let is_plausible = |&time_ms: &u64| is_plausible(time_ms, now_ms);
    let inferred = || unix_ms(text, TimeUnit::Auto).filter(is_plausible);
    Ok(time_ms.filter(is_plausible).or_else(inferred))
}

/// Exchanges state the price of a market that is not traded as null, "", 0 or not at all; none of
/// these may become a tick.
fn read_price(mapping: &Mapping, places: Places<'_, '_>) -> Result<Price, QuoteError> {
    let no_price = |why: &str| Err(QuoteError::NoPrice(why.to_owned()));
    let text = match mapping.last.value(places) {
        Value::Missing => return no_price(MISSING),
        Value::Null => return no_price("it is null"),
        Value::Compound(json) => return no_price(&format!("it is {}", excerpt(json))),
        Value::Text(text) => text,
    };
    if text.is_empty() {
        return no_price("it is empty");
    }
    let Ok(price) = Price::parse(text.trim_ascii()) else {
        return no_price(&format!("it is '{}'", excerpt(&text)));
    };
    if !mapping.any_number {
        check_price(&price)?;
    }
    match mapping.last.scaled(price, places) {
        Some(price) => Ok(price),
        None => no_price("its scale is missing or too large"),
    }
}

/// At an exchange, only a positive number is a price.
fn check_price(price: &Price) -> Result<(), QuoteError> {
    if price.as_str().starts_with('-') {
        return Err(QuoteError::NoPrice("it is negative".to_owned()));
    }
    if is_zero(price) {
        return Err(QuoteError::NoPrice("it is zero".to_owned()));
    }
    Ok(())
}

const MISSING: &str = "it is missing";

impl QuoteError {
    /// Whether the message does not mention the price at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::NoPrice(why) if why == MISSING)
    }
}

fn is_zero(price: &Price) -> bool {
    !price.as_str().contains(|c: char| matches!(c, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Origin};
    use crate::fields::{Field, FieldSet};
    use crate::json::{Node, Pointer};
    use crate::number::NumberField;
    use crate::template::SymbolFormat;
    use crate::time::{AHEAD_MS_MAX, FIRST_PRICE_MS};
    use proptest::prelude::*;

    const NOW: u64 = 1_732_270_001_000;

    /// Reads `json` as the entry of BTC/USDT.
    fn read(json: &str, mapping: &Mapping) -> Result<Quote, QuoteError> {
        let node = Document::Json(Node::parse(json).unwrap());
        let format: SymbolFormat = serde_json::from_str(r#"{"market":"{BASE}"}"#).unwrap();
        let places = Places {
            answer: &node,
            entry: &node,
            market: &format.market(&"BTC/USDT".parse().unwrap()),
        };
        read_quote(mapping, places, NOW)
    }

    fn quote(json: &str, unit: TimeUnit) -> Result<(String, Option<u64>), String> {
        let mapping = Mapping {
            last: NumberField::at(Pointer::parse("/p").unwrap()),
            time: Some(TimeField {
                at: Pointer::parse("/t").unwrap(),
                unit,
                of: Origin::Entry,
                or: None,
            }),
            ..Mapping::default()
        };
        read(json, &mapping)
            .map(|quote| (quote.price.to_string(), quote.timestamp_ms))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn dead_markets_have_no_price() {
        for (price, why) in [
            (r#""""#, "it is empty"),
            ("null", "it is null"),
            ("0", "it is zero"),
            (r#""0.00""#, "it is zero"),
            ("0E-8", "it is zero"),
            ("-1.5", "it is negative"),
            ("-0", "it is negative"),
            ("true", "it is 'true'"),
            (r#""1,5""#, "it is '1,5'"),
            ("[1]", "it is [1]"),
            (r#""0x10""#, "it is '0x10'"),
            (r#""Infinity""#, "it is 'Infinity'"),
            ("1e999", "it is '1e999'"),
        ] {
            let expected = Err(format!("no price: {why}"));
            let json = format!(r#"{{"p":{price}}}"#);
            assert_eq!(quote(&json, TimeUnit::Ms), expected, "{price}");
        }
        let missing = Err("no price: it is missing".to_owned());
        assert_eq!(quote("{}", TimeUnit::Ms), missing);
        for zero in ["0", r#""0""#, "0.000", "-62135596800000"] {
            let json = format!(r#"{{"p":1,"t":{zero}}}"#);
            let expected = Err("no price: its time is zero".to_owned());
            assert_eq!(quote(&json, TimeUnit::Ms), expected);
        }
        let json = r#"{"p":1,"t":"0001-01-01T00:00:00Z"}"#;
        let expected = Err("no price: its time is zero".to_owned());
        assert_eq!(quote(json, TimeUnit::Iso), expected);
    }

    #[test]
    fn the_unit_of_a_time_is_inferred_if_the_declared_one_makes_no_sense() {
        for (time, unit) in [
            ("1732270000123456789", TimeUnit::Ms),
            ("1732270000.123", TimeUnit::Ms),
            ("1732270000123", TimeUnit::S),
            ("1732270000123", TimeUnit::Iso),
            (r#""2024-11-22T10:06:40.123Z""#, TimeUnit::Ms),
        ] {
            let json = format!(r#"{{"p":1,"t":{time}}}"#);
            let moment = quote(&json, unit).unwrap().1;
            assert_eq!(moment, Some(1_732_270_000_123), "{time}");
        }
    }

    #[test]
    fn a_time_may_be_in_one_of_two_places() {
        let mapping: Mapping = serde_json::from_str(
            r#"{"last":"/p","time":{"at":"/ms","unit":"ms","or":{"at":"/s","unit":"s"}}}"#,
        )
        .unwrap();
        for (json, expected, clock) in [
            (
                r#"{"p":1,"ms":1732270000123,"s":9}"#,
                Some(1_732_270_000_123),
                0,
            ),
            (
                r#"{"p":1,"ms":null,"s":"1732270000"}"#,
                Some(1_732_270_000_000),
                1,
            ),
            (r#"{"p":1,"ms":""}"#, None, 0),
        ] {
            let quote = read(json, &mapping).unwrap();
            assert_eq!(
                (quote.timestamp_ms, quote.clock),
                (expected, clock),
                "{json}"
            );
        }
    }

    #[test]
    fn a_price_may_be_scaled_and_needs_its_scale() {
        let mapping: Mapping =
            serde_json::from_str(r#"{"last":{"at":"/p","scale":"/e"}}"#).unwrap();
        let price = |json| read(json, &mapping).map(|quote| quote.price.to_string());
        assert_eq!(
            price(r#"{"p":"9712345000","e":-5}"#).unwrap(),
            "97123.45000"
        );
        let error = price(r#"{"p":"9712345000"}"#).unwrap_err().to_string();
        assert_eq!(error, "no price: its scale is missing or too large");
    }

    #[test]
    fn only_wanted_fields_are_read_and_only_numbers_count() {
        let mut mapping: Mapping = serde_json::from_str(
            r#"{"last":"/p","fields":{"bid":"/b","ask":"/a","volume":"/v","low":"/l",
            "change":{"at":"/c","scale":2}}}"#,
        )
        .unwrap();
        let json = r#"{"p":1,"b":"1.50","a":" 2 ","v":null,"l":"","c":-0.0250}"#;
        assert!(read(json, &mapping).unwrap().fields.is_empty());
        mapping.fields.want(FieldSet::ALL);
        let fields = read(json, &mapping).unwrap().fields;
        assert_eq!(
            format!("{fields:?}"),
            r#"{"bid": "1.50", "ask": "2", "change": "-2.50"}"#
        );
        mapping.fields.want([Field::Ask].into_iter().collect());
        let fields = read(json, &mapping).unwrap().fields;
        assert_eq!(format!("{fields:?}"), r#"{"ask": "2"}"#);
        for json in [
            r#"{"p":1,"a":"1,5"}"#,
            r#"{"p":1,"a":[1]}"#,
            r#"{"p":1,"a":true}"#,
        ] {
            assert!(read(json, &mapping).unwrap().fields.is_empty(), "{json}");
        }
    }

    #[test]
    fn times_come_in_all_units() {
        const MOMENT: Option<u64> = Some(1_732_270_000_123);
        for (time, unit, expected) in [
            ("1732270000", TimeUnit::S, Some(1_732_270_000_000)),
            ("1732270000.123", TimeUnit::S, MOMENT),
            (r#""1732270000.1239""#, TimeUnit::S, MOMENT),
            ("1.732270000123e9", TimeUnit::S, MOMENT),
            ("1732270000123", TimeUnit::Ms, MOMENT),
            (r#""1732270000123""#, TimeUnit::Ms, MOMENT),
            ("1732270000123.9", TimeUnit::Ms, MOMENT),
            ("1732270000123456", TimeUnit::Us, MOMENT),
            ("1732270000123456789", TimeUnit::Ns, MOMENT),
            (r#""2024-11-22T10:06:40.123Z""#, TimeUnit::Iso, MOMENT),
            (
                r#""2024-11-22T11:06:40.123456+01:00""#,
                TimeUnit::Iso,
                MOMENT,
            ),
            (r#""2024-11-22 10:06:40.123""#, TimeUnit::Iso, MOMENT),
            ("null", TimeUnit::Ms, None),
            (r#""""#, TimeUnit::Ms, None),
            (r#""soon""#, TimeUnit::Iso, None),
            ("[]", TimeUnit::Ms, None),
        ] {
            let json = format!(r#"{{"p":1,"t":{time}}}"#);
            assert_eq!(quote(&json, unit), Ok(("1".to_owned(), expected)), "{time}");
        }
    }

    #[test]
    fn a_unit_can_be_inferred() {
        for time in [
            "1732270000.123",
            "1732270000123",
            "1732270000123456",
            "1732270000123456789",
            r#""2024-11-22T10:06:40.123Z""#,
        ] {
            let json = format!(r#"{{"p":1,"t":{time}}}"#);
            let moment = quote(&json, TimeUnit::Auto).unwrap().1;
            assert_eq!(moment, Some(1_732_270_000_123), "{time}");
        }
    }

    #[test]
    fn an_implausible_time_counts_as_missing() {
        for (time, expected) in [
            (FIRST_PRICE_MS - 1, None),
            (FIRST_PRICE_MS, Some(FIRST_PRICE_MS)),
            (NOW + AHEAD_MS_MAX, Some(NOW + AHEAD_MS_MAX)),
            (NOW + AHEAD_MS_MAX + 1, None),
            (u64::MAX, None),
        ] {
            let json = format!(r#"{{"p":"1.0","t":{time}}}"#);
            let expected = Ok(("1.0".to_owned(), expected));
            assert_eq!(quote(&json, TimeUnit::Ms), expected, "{time}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_survives_as_number_and_as_string(
            text in "(0|[1-9][0-9]{0,20})\\.[0-9]{0,19}[1-9]0{0,3}",
        ) {
            for json in [format!(r#"{{"p":{text}}}"#), format!(r#"{{"p":"{text}"}}"#)] {
                prop_assert_eq!(quote(&json, TimeUnit::Ms), Ok((text.clone(), None)));
            }
        }

        #[test]
        fn no_text_makes_the_time_panic(text in "\\PC{0,40}") {
            for unit in [TimeUnit::S, TimeUnit::Ns, TimeUnit::Iso, TimeUnit::Auto] {
                let _ = unix_ms(&text, unit);
            }
        }
    }
}
