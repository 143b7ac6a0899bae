//! Where in a JSON text a field is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The place of a field: the name of a member, or a JSON pointer (RFC 6901) to a deeper one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The member of this name.
    pub(crate) fn name(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The name of its outermost member.
    pub(crate) fn first(&self) -> &str {
        &self.0[0]
    }

    /// Whether its outermost part is a position in a list.
    pub(crate) fn begins_with_position(&self) -> bool {
        self.first().bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Reads a name, or a pointer, which begins with a slash.
    ///
    /// # Errors
    /// A sentence that shows what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<String> = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(parts) => parts
                .split('/')
                .map(|part| part.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        if parts.iter().any(String::is_empty) {
            return Err(format!(
                "invalid field '{text}': expected something like sent or /data/sent"
            ));
        }
        Ok(Self(parts))
    }

    /// Its name, if it is no deeper than that.
    pub(crate) fn as_name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }

    /// From the JSON text of the outermost member to that of the field itself.
    pub(crate) fn descend<'a>(&self, mut text: &'a str) -> Option<&'a str> {
        for part in &self.0[1..] {
            let mut found = None;
            let note = |name: &str, value: &'a RawValue| {
                if name == part {
                    found = Some(value.get());
                }
            };
            walk(text.as_bytes(), note).ok()?;
            text = found?;
        }
        Some(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "/{}", self.0.join("/")),
        }
    }
}

/// Calls `visit` for each member of an object or list, the latter by their positions. Returns
/// whether it is an object.
pub(crate) fn walk<'a>(
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
        while let Some(Name(name)) = map.next_key()? {
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

/// As `Cow<str>` by itself would always copy.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
