//! The fields of a line besides the price: those that are wanted.

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::line::Problem;
use crate::tick::{Field, FieldSet, Fields, WireTick};

/// The fields of a line, and what is wrong with others.
#[derive(Debug, Default)]
pub(super) struct StatedFields {
    pub(super) fields: Fields,
    pub(super) problems: Vec<Problem>,
}

impl StatedFields {
    /// Reads the `wanted` fields of a line. One that is null is missing.
    pub(super) fn read(line: &[u8], wanted: FieldSet) -> Result<Self, Problem> {
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        // What our server has written has numbers only.
        if let Some(WireTick { mut fields, .. }) = WireTick::parse_printed(line) {
            fields.retain(wanted);
            return Ok(Self {
                fields,
                problems: Vec::new(),
            });
        }
        let mut json = serde_json::Deserializer::from_slice(line);
        let stated = json.deserialize_map(FieldsVisitor(wanted));
        stated.map_err(|error| Problem::not_json(&error))
    }

    fn add(&mut self, field: Field, raw: &RawValue) {
        match super::line::number(raw) {
            _ if raw.get() == "null" => {}
            Ok(value) => self.fields.set(field, value),
            Err(_) => self.problems.push(Problem::field(field, raw)),
        }
    }
}

struct FieldsVisitor(FieldSet);

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = StatedFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<StatedFields, A::Error> {
        let mut stated = StatedFields::default();
        while let Some(Name(field)) = members.next_key()? {
            match field.filter(|field| self.0.contains(*field)) {
                Some(field) => stated.add(field, members.next_value()?),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(stated)
    }
}

/// The name of a member, if it is that of a field.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        let mut all = Field::ALL.into_iter();
        Ok(Name(all.find(|field| field.name() == name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fields of a line, and its problems.
    fn read(line: &str, wanted: &str) -> (String, Vec<String>) {
        let stated = StatedFields::read(line.as_bytes(), wanted.parse().unwrap()).unwrap();
        let problems = stated.problems.iter();
        let problems = problems.map(ToString::to_string);
        (format!("{:?}", stated.fields), problems.collect())
    }

    #[test]
    fn the_wanted_fields_are_read_as_numbers_or_as_texts() {
        let line = r#"{"bid":0.90,"symbol":"A","ask":"1.20","low":7,"x":[{}],"high":null}"#;
        for (wanted, expected) in [
            ("bid,ask", r#"{"bid": "0.90", "ask": "1.20"}"#),
            ("low,high", r#"{"low": "7"}"#),
            ("volume", "{}"),
            ("", "{}"),
        ] {
            assert_eq!(
                read(line, wanted),
                (expected.to_owned(), vec![]),
                "{wanted}"
            );
        }
        let printed = r#"{"symbol":"A","price":1,"timestamp":1,"bid":2,"ask":3,"seq":1,"sent":1}"#;
        assert_eq!(
            read(printed, "ask,low"),
            (r#"{"ask": "3"}"#.to_owned(), vec![])
        );
    }

    #[test]
    fn a_field_that_is_not_a_number_is_named_if_it_is_wanted() {
        let line = r#"{"bid":"x","ask":[1],"low":"","volume":2}"#;
        let (fields, problems) = read(line, "bid,ask,volume");
        assert_eq!(fields, r#"{"volume": "2"}"#);
        let words = "expected a number such as 97123.45; the tick is published without it";
        assert_eq!(
            problems,
            [
                format!("invalid bid \"x\": {words}"),
                format!("invalid ask [1]: {words}")
            ]
        );
        assert_eq!(read(line, "low").1.len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = StatedFields::read(&bytes, FieldSet::ALL);
        }
    }
}
