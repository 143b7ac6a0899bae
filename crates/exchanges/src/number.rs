//! Where a number is, as a catalogue entry says it: a pointer, or a pointer with the power of ten
//! that its value is multiplied by.
//!
//! ```text
//! "/lastPrice"                             a number, or a string that contains one
//! "/volume/{BASE}"                         the key depends on the market
//! {"at": "/change", "scale": 2}            a fraction, as per cent: the decimal point moves by two
//! {"at": "/price", "scale": "/expo"}       the answer states the power of ten itself
//! {"at": "/price", "scale": "-/decimals"}  the same, without its minus
//! {"at": "/mark", "of": "answer"}          beside the list of entries
//! ```

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::document::{Document, Origin, Value};
use super::json::Pointer;
use super::price::Price;
use super::template::{MARKET_PLACEHOLDERS, Market, Template};

/// Where a number is.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberField {
    at: Place,
    scale: Scale,
    of: Origin,
}

#[derive(Clone, Debug)]
enum Place {
    At(Pointer),
    /// A pointer with placeholders of the market.
    PerMarket(Template),
}

/// The power of ten that a number is multiplied by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawScale")]
pub enum Scale {
    /// This one.
    By(i32),
    /// The answer or the entry has the exponent.
    At(Pointer),
    /// The answer or the entry has the number of decimals, which is the exponent without its minus.
    Decimals(Pointer),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawScale {
    By(i32),
    Text(String),
}

/// What numbers of one market are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Places<'n, 'a> {
    pub(super) answer: &'n Document<'a>,
    pub(super) entry: &'n Document<'a>,
    pub(super) market: &'n Market,
}

impl<'a> Places<'_, 'a> {
    pub(super) fn of(&self, origin: Origin) -> &Document<'a> {
        match origin {
            Origin::Entry => self.entry,
            Origin::Answer => self.answer,
        }
    }
}

impl NumberField {
    /// The number at `pointer` in an entry, as it is.
    pub(super) fn at(pointer: Pointer) -> Self {
        Self {
            at: Place::At(pointer),
            ..Self::default()
        }
    }

    /// Where it is, if it is not multiplied.
    pub(super) fn unscaled_pointer(&self) -> Option<&Pointer> {
        match (&self.at, &self.scale) {
            (Place::At(pointer), Scale::By(0)) => Some(pointer),
            _ => None,
        }
    }

    /// The same number, multiplied.
    pub(super) fn scaled_by(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// What is there.
    pub(super) fn value<'a>(&self, places: Places<'_, 'a>) -> Value<'a> {
        let document = places.of(self.of);
        match &self.at {
            Place::At(pointer) => document.value(pointer),
            Place::PerMarket(template) => {
                let text = template.fill(|name| places.market.value_of(name).map(escaped));
                let pointer = Pointer::parse(&text);
                pointer.map_or(Value::Missing, |pointer| document.value(&pointer))
            }
        }
    }

    /// `number`, as found here, multiplied as the entry demands.
    pub(super) fn scaled(&self, number: Price, places: Places<'_, '_>) -> Option<Price> {
        let by = match &self.scale {
            Scale::By(0) => return Some(number),
            Scale::By(by) => *by,
            Scale::At(pointer) => places.of(self.of).scalar(pointer)?.parse().ok()?,
            Scale::Decimals(pointer) => {
                let decimals: i32 = places.of(self.of).scalar(pointer)?.parse().ok()?;
                decimals.checked_neg()?
            }
        };
        number.shifted(by).ok()
    }

    /// Refuses what could never be a number.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Place::PerMarket(template) = &self.at {
            template.allow(MARKET_PLACEHOLDERS)?;
        }
        self.scale.check()
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(by) => write!(f, "{by}"),
            Self::At(pointer) => write!(f, "{pointer}"),
            Self::Decimals(pointer) => write!(f, "-{pointer}"),
        }
    }
}

impl Scale {
    /// Reads `-8`, `/data/expo` or `-/data/decimals`.
    ///
    /// # Errors
    /// A sentence that shows a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scale = if let Ok(by) = text.parse() {
            Self::By(by)
        } else if let Some(decimals) = text.strip_prefix("-/") {
            Self::Decimals(Pointer::parse(&format!("/{decimals}"))?)
        } else if text.starts_with('/') {
            Self::At(Pointer::parse(text)?)
        } else {
            return Err(format!(
                "invalid scale '{text}': expected a power of ten such as -8, or where it is, such \
                 as /data/expo or -/data/decimals"
            ));
        };
        scale.check().map(|()| scale)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::By(by) if by.unsigned_abs() as usize > Price::LENGTH_MAX => Err(format!(
                "invalid scale {by}: expected a power of ten between -{max} and {max}",
                max = Price::LENGTH_MAX
            )),
            _ => Ok(()),
        }
    }
}

impl TryFrom<RawScale> for Scale {
    type Error = String;

    fn try_from(raw: RawScale) -> Result<Self, String> {
        match raw {
            // Checked with the rest of the entry, which names the field.
            RawScale::By(by) => Ok(Self::By(by)),
            RawScale::Text(text) => Self::parse(&text),
        }
    }
}

/// A market's currency as part of a pointer.
fn escaped(text: String) -> String {
    if text.contains(['~', '/']) {
        text.replace('~', "~0").replace('/', "~1")
    } else {
        text
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::At(Pointer::default())
    }
}

impl Default for Scale {
    fn default() -> Self {
        Self::By(0)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let pointer = Pointer::parse(text)?;
        let template = Template::parse(text)?;
        let is_fixed = template.placeholders().next().is_none();
        Ok(if is_fixed {
            Self::At(pointer)
        } else {
            Self::PerMarket(template)
        })
    }
}

impl<'de> Deserialize<'de> for NumberField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// Accepts a pointer alone, since most numbers need no more.
struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = NumberField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON pointer, or an object with `at` and `scale`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NumberField, E> {
        Ok(NumberField {
            at: Place::parse(text).map_err(E::custom)?,
            ..NumberField::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NumberField, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            at: Place,
            #[serde(default)]
            scale: Scale,
            #[serde(default)]
            of: Origin,
        }

        let Raw { at, scale, of } = Raw::deserialize(MapAccessDeserializer::new(map))?;
        Ok(NumberField { at, scale, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Node;
    use crate::template::SymbolFormat;
    use proptest::prelude::*;

    /// The number that `field`, JSON, leads to in `entry` for BTC/USDT.
    fn number(field: &str, entry: &str) -> Option<String> {
        let field: NumberField = serde_json::from_str(field).unwrap();
        let format: SymbolFormat = serde_json::from_str(r#"{"market":"{BASE}/{QUOTE}"}"#).unwrap();
        let market = format.market(&"BTC/USDT".parse().unwrap());
        let document = |text| Document::Json(Node::parse(text).unwrap());
        let places = Places {
            answer: &document(r#"{"mark":"7.0","expo":1}"#),
            entry: &document(entry),
            market: &market,
        };
        let Value::Text(found) = field.value(places) else {
            return None;
        };
        let found = Price::parse(&found).ok()?;
        field.scaled(found, places).map(|number| number.to_string())
    }

    #[test]
    fn a_number_is_where_the_entry_says() {
        let entry = r#"{"p":"97.10","v":{"BTC":5,"usdt":6,"BTC/USDT":8},"e":-3,"r":"0.0196"}"#;
        for (field, expected) in [
            (r#""/p""#, Some("97.10")),
            (r#""/v/{BASE}""#, Some("5")),
            (r#""/v/{quote}""#, Some("6")),
            (r#""/v/{market}""#, Some("8")),
            (r#"{"at":"/r","scale":2}"#, Some("1.96")),
            (r#"{"at":"/p","scale":-2}"#, Some("0.9710")),
            (r#"{"at":"/p","scale":"/e"}"#, Some("0.09710")),
            (r#"{"at":"/p","scale":"/none"}"#, None),
            (r#"{"at":"/r","scale":"-/e"}"#, Some("19.6")),
            (r#"{"at":"/mark","of":"answer"}"#, Some("7.0")),
            (
                r#"{"at":"/mark","of":"answer","scale":"/expo"}"#,
                Some("70"),
            ),
            (r#""/none""#, None),
        ] {
            assert_eq!(number(field, entry).as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn what_cannot_be_a_number_is_refused() {
        let checked = |text: &str| -> Result<(), String> {
            let field: NumberField =
                serde_json::from_str(text).map_err(|error| error.to_string())?;
            field.check()
        };
        for (text, expected) in [
            (r#""p""#, "invalid JSON pointer 'p'"),
            (r#""/v/{Base}""#, "unknown placeholder {Base}"),
            (r#""/v/{BASE""#, "invalid template"),
            (r#"{"at":"/p","scale":65}"#, "invalid scale 65"),
            (r#"{"at":"/p","scale":"expo"}"#, "invalid scale 'expo'"),
            (r#"{"at":"/p","sale":2}"#, "unknown field `sale`"),
            ("5", "invalid type"),
        ] {
            let error = checked(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_exponent_makes_the_reader_panic(expo in "-?[0-9]{1,12}", digits in "[0-9]{1,30}") {
            let entry = format!(r#"{{"p":{},"e":{expo}}}"#, digits.trim_start_matches('0'));
            if Node::parse(&entry).is_ok() {
                let _ = number(r#"{"at":"/p","scale":"/e"}"#, &entry);
            }
        }
    }
}
