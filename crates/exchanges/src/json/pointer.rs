//! JSON pointers (RFC 6901), and finding the value that one leads to.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::string::JsonText;

/// An RFC 6901 pointer: `/data/0/last`; the empty one is the whole document. In a list, `-1` is the
/// last item, which RFC 6901 has no word for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// A sentence that shows a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(format!(
                "invalid JSON pointer '{text}': expected something like /data/0/last"
            ));
        };
        // In this order, as the RFC demands: `~01` is the key `~1`.
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self(tokens.split('/').map(unescape).collect()))
    }

    /// The pointer to the member `name` of the document.
    pub fn to_member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The pointer with these keys and positions, the outermost first.
    pub(crate) fn of_tokens(tokens: impl IntoIterator<Item = String>) -> Self {
        Self(tokens.into_iter().collect())
    }

    /// Its keys and positions, the outermost first.
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tokens = self.0.iter();
        tokens.try_for_each(|token| {
            let escaped = token.replace('~', "~0").replace('/', "~1");
            write!(f, "/{escaped}")
        })
    }
}

/// The JSON text that `tokens` of a [`Pointer`] lead to from the JSON value `text`.
pub fn descend<'a, 't>(
    text: &'a str,
    tokens: impl IntoIterator<Item = &'t String>,
) -> Option<&'a str> {
    tokens.into_iter().try_fold(text, |text, token| {
        let deserializer = &mut serde_json::Deserializer::from_str(text);
        let found = deserializer.deserialize_any(Child(token)).ok()?;
        found.map(RawValue::get)
    })
}

/// The position of an item that a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    From(usize),
    Last,
}

impl Position {
    /// The index in a list of this length; `None` if an empty list has no last item.
    pub(super) fn within(self, length: usize) -> Option<usize> {
        match self {
            Self::From(index) => Some(index),
            Self::Last => length.checked_sub(1),
        }
    }
}

/// The position that a token stands for: a number without a sign or leading zeros, or `-1`.
pub(super) fn position(token: &str) -> Option<Position> {
    if token == "-1" {
        return Some(Position::Last);
    }
    let is_canonical = token == "0" || !token.starts_with(['0', '+']);
    let index = token.parse().ok().filter(|_| is_canonical);
    index.map(Position::From)
}

/// Finds one member or element without keeping the others.
struct Child<'t>(&'t str);

impl<'a> Visitor<'a> for Child<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(JsonText(key)) = map.next_key()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let wanted = position(self.0);
        let mut found = None;
        for index in 0.. {
            let Some(element) = list.next_element()? else {
                break;
            };
            if wanted == Some(Position::From(index)) || wanted == Some(Position::Last) {
                found = Some(element);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_printed_as_it_is_read() {
        for text in ["", "/", "/data/0/last", "/a~1b/~0", "/~01"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        assert!(Pointer::parse("a/b").is_err());
        assert_eq!(Pointer::to_member("a/b").to_string(), "/a~1b");
    }

    #[test]
    fn descending_goes_through_objects_and_lists() {
        let text = r#"{"a":1,"b":[{"c":"x"},[7, 1.50]],"a":2}"#;
        let find = |pointer: &str| descend(text, Pointer::parse(pointer).unwrap().tokens());
        assert_eq!(find(""), Some(text));
        assert_eq!(find("/a"), Some("2"), "the last of two equal keys counts");
        assert_eq!(find("/b/0/c"), Some(r#""x""#));
        assert_eq!(find("/b/1/1"), Some("1.50"));
        assert_eq!(find("/b/-1/-1"), Some("1.50"), "-1 is the last");
        for missing in ["/c", "/b/2", "/b/00", "/b/+0", "/b/-2", "/b/c", "/a/0"] {
            assert_eq!(find(missing), None, "{missing}");
        }
    }
}
