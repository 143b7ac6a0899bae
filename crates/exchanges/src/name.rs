//! Where an answer or a message names a market.
//!
//! ```text
//! "/symbol"                           the value is the name
//! "{/target}-{/quote}"                the name consists of several values
//! {"at": "/s", "of": "answer"}        beside the list of entries, for all of them
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::document::{Document, Origin};
use super::json::Pointer;
use super::template::Template;

/// Where the name of a market is.
#[derive(Clone, Debug)]
pub(super) struct NameField {
    at: Place,
    of: Origin,
}

#[derive(Clone, Debug)]
enum Place {
    At(Pointer),
    /// A text whose placeholders are pointers.
    Joined(Template),
}

impl NameField {
    /// The name, if all parts of it are there.
    pub(super) fn read<'a>(
        &self,
        answer: &Document<'a>,
        entry: &Document<'a>,
    ) -> Option<Cow<'a, str>> {
        let document = match self.of {
            Origin::Entry => entry,
            Origin::Answer => answer,
        };
        match &self.at {
            Place::At(pointer) => document.scalar(pointer),
            Place::Joined(template) => joined(template, document).map(Cow::Owned),
        }
    }
}

fn joined(template: &Template, document: &Document<'_>) -> Option<String> {
    let mut is_complete = true;
    let name = template.fill(|pointer| {
        let part = Pointer::parse(pointer).ok();
        let part = part.and_then(|pointer| document.scalar(&pointer));
        is_complete &= part.is_some();
        part.map(Cow::into_owned)
    });
    is_complete.then_some(name)
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("{/") {
            return Pointer::parse(text).map(Self::At);
        }
        let template = Template::parse(text)?;
        for pointer in template.placeholders() {
            Pointer::parse(pointer)?;
        }
        Ok(Self::Joined(template))
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for NameField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

/// Accepts a pointer alone, since most names need no more.
struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = NameField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON pointer, or an object with `at` and `of`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NameField, E> {
        Ok(NameField {
            at: Place::parse(text).map_err(E::custom)?,
            of: Origin::Entry,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NameField, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            at: Place,
            #[serde(default)]
            of: Origin,
        }

        let Raw { at, of } = Raw::deserialize(MapAccessDeserializer::new(map))?;
        Ok(NameField { at, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: &str) -> Option<String> {
        let field: NameField = serde_json::from_str(field).unwrap();
        let document = |text| Document::Json(crate::json::Node::parse(text).unwrap());
        let answer = document(r#"{"s":"whole"}"#);
        let entry = document(r#"{"s":"part","base":"btc","quote":"krw","n":7,"no":null}"#);
        field.read(&answer, &entry).map(Cow::into_owned)
    }

    #[test]
    fn a_name_is_one_value_or_consists_of_several() {
        for (field, expected) in [
            (r#""/s""#, Some("part")),
            (r#"{"at":"/s","of":"answer"}"#, Some("whole")),
            (r#""{/base}-{/quote}""#, Some("btc-krw")),
            (r#""x{/n}""#, Some("x7")),
            (r#""{/base}-{/no}""#, None),
            (r#""/no""#, None),
        ] {
            assert_eq!(name(field).as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (text, expected) in [
            (r#""s""#, "invalid JSON pointer 's'"),
            (r#""{/base}{quote}""#, "invalid JSON pointer 'quote'"),
            (r#"{"at":"/s","off":"answer"}"#, "unknown field `off`"),
        ] {
            let error = serde_json::from_str::<NameField>(text).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
