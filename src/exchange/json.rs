//! Walks JSON without reading its numbers: what a pointer finds is the text as it was sent.
//!
//! Only what a pointer passes through is taken apart, one level at a time. Everything else is
//! skipped by serde_json's scanner, which keeps its nesting on the heap: no depth of brackets can
//! overflow the stack. A key that occurs twice counts with its last value, as in JavaScript and
//! Python.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An RFC 6901 pointer: `/data/0/last`; the empty one is the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(format!("'{text}' is no JSON pointer, try /data/0/last"));
        };
        // In this order, as the RFC asks: `~01` is the key `~1`.
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self(tokens.split('/').map(unescape).collect()))
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// A JSON value with its top level taken apart.
#[derive(Debug)]
pub(super) struct Node<'a> {
    text: &'a str,
    children: Children<'a>,
}

#[derive(Debug)]
enum Children<'a> {
    Members(Vec<(Cow<'a, str>, &'a RawValue)>),
    Items(Vec<&'a RawValue>),
    /// It is a string, a number, a boolean or null.
    None,
}

impl<'a> Node<'a> {
    /// Takes `text` apart; fails when it is not one JSON value and nothing else.
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        let text = text.trim_ascii();
        let children = match text.as_bytes().first() {
            Some(b'{') => Children::Members(serde_json::from_str::<Members<'a>>(text)?.0),
            Some(b'[') => Children::Items(serde_json::from_str(text)?),
            _ => {
                serde_json::from_str::<&RawValue>(text)?;
                Children::None
            }
        };
        Ok(Self { text, children })
    }

    /// The value as it was sent.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The JSON text that `pointer` leads to.
    pub(super) fn find(&self, pointer: &Pointer) -> Option<&'a str> {
        let Some((first, rest)) = pointer.0.split_first() else {
            return Some(self.text);
        };
        let mut found = self.child(first)?;
        for token in rest {
            found = Self::parse(found).ok()?.child(token)?;
        }
        Some(found)
    }

    /// The scalar that `pointer` leads to: a string without its quotes, else as written. Null,
    /// objects and arrays are none.
    pub(super) fn scalar(&self, pointer: &Pointer) -> Option<Cow<'a, str>> {
        scalar(self.find(pointer)?)
    }

    /// The values in it, with their keys if it is an object; none if it is a scalar.
    pub(super) fn entries(&self) -> Option<Vec<(Option<&str>, &'a str)>> {
        match &self.children {
            Children::Members(members) => {
                let members = members.iter();
                Some(
                    members
                        .map(|(key, value)| (Some(&**key), value.get()))
                        .collect(),
                )
            }
            Children::Items(items) => Some(items.iter().map(|item| (None, item.get())).collect()),
            Children::None => None,
        }
    }

    fn child(&self, token: &str) -> Option<&'a str> {
        match &self.children {
            Children::Members(members) => {
                let last = members.iter().rfind(|(key, _)| key == token);
                last.map(|(_, value)| value.get())
            }
            Children::Items(items) => {
                let canonical = token == "0" || !token.starts_with(['0', '+']);
                let index = token.parse::<usize>().ok().filter(|_| canonical)?;
                items.get(index).map(|item| item.get())
            }
            Children::None => None,
        }
    }
}

/// A scalar's text; see [`Node::scalar`].
pub(super) fn scalar(json: &str) -> Option<Cow<'_, str>> {
    /// As `Cow<str>` by itself would always copy.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json)
            .ok()
            .map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// Text of others for a message of ours: its beginning, in one line.
pub(super) fn excerpt(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let beginning: String = text.trim().chars().take(EXCERPT_LENGTH_MAX * 4).collect();
    let words: Vec<_> = beginning.split_whitespace().collect();
    let line: String = words.join(" ").chars().map(printable).collect();
    match line.char_indices().nth(EXCERPT_LENGTH_MAX) {
        Some((end, _)) => line[..end].to_owned() + "…",
        None => line,
    }
}

/// As much of a foreign text as a log line takes.
const EXCERPT_LENGTH_MAX: usize = 120;

/// An object's members in the order sent, duplicates included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        let pointer = Pointer::parse(pointer).unwrap();
        Node::parse(text).unwrap().find(&pointer)
    }

    #[test]
    fn a_pointer_finds_the_text_as_sent() {
        let text = r#" {"a":[{"b":1.50e3},[2]],"":{"x/y":{"~":"é\n"}}} "#;
        assert_eq!(find(text, "/a/0/b"), Some("1.50e3"));
        assert_eq!(find(text, "/a/1/0"), Some("2"));
        assert_eq!(find(text, "//x~1y/~0"), Some(r#""é\n""#));
        assert_eq!(find(text, ""), Some(text.trim()));
        for missing in ["/b", "/a/2", "/a/00", "/a/+0", "/a/-1", "/a/0/b/c", "/a/b"] {
            assert_eq!(find(text, missing), None, "{missing}");
        }
        assert!(Pointer::parse("a/b").is_err());
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(find(r#"{"a":1,"b":2,"\u0061":3}"#, "/a"), Some("3"));
    }

    #[test]
    fn scalars_lose_their_quotes_and_nothing_else() {
        let text = |json| scalar(json).map(Cow::into_owned);
        assert_eq!(text(r#""a\"b""#).as_deref(), Some("a\"b"));
        assert_eq!(text("1.0").as_deref(), Some("1.0"));
        assert_eq!(text("true").as_deref(), Some("true"));
        for none in ["null", "{}", "[1]", r#""\ud800""#, ""] {
            assert_eq!(scalar(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in ["", "{", "[1", r#"{"a":1}}"#, "1 2", "NaN", r#"{"a" 1}"#] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_depth_of_brackets_overflows_the_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(find(&deep, "/0/0/0").map(str::len), Some(1_999_994));
        let objects = r#"{"a":"#.repeat(300_000) + "1" + &"}".repeat(300_000);
        assert!(find(&objects, "/a/a").is_some());
        assert!(Node::parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("a\n  b\u{7}c"), "a b c");
        assert_eq!(excerpt(&"é".repeat(200)), "é".repeat(120) + "…");
    }
}
