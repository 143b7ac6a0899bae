//! One pass over the members of a JSON object, or the elements of a list, without reading them.

use std::fmt;

use exchanges::json::JsonText;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `visit` for each member of an object, or for each element of a list with its position.
/// Returns whether it is an object.
pub(super) fn walk<'a>(
    text: &'a [u8],
    visit: impl FnMut(&str, &'a RawValue),
) -> serde_json::Result<bool> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let is_object = deserializer.deserialize_any(Walk(visit))?;
    deserializer.end()?;
    Ok(is_object)
}

struct Walk<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Walk<F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<bool, A::Error> {
        while let Some(JsonText(name)) = map.next_key()? {
            (self.0)(&name, map.next_value()?);
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut position = 0usize;
        while let Some(value) = list.next_element()? {
            (self.0)(&position.to_string(), value);
            position += 1;
        }
        Ok(false)
    }
}
