//! Walks JSON without converting its numbers: what a pointer finds is the text as it was sent.
//!
//! Only the levels that a pointer passes through are parsed. serde_json's scanner skips everything
//! else and keeps its nesting on the heap, so no depth of brackets can overflow the stack. Of a key
//! that occurs twice the last value counts, as in JavaScript and Python.

mod pointer;
mod string;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::pointer::position;
pub use self::pointer::{Pointer, descend};
pub use self::string::JsonText;

/// A JSON value with its top level parsed.
#[derive(Debug)]
pub(super) struct Node<'a> {
    text: &'a str,
    children: Children<'a>,
}

#[derive(Clone, Debug)]
enum Children<'a> {
    Members(Vec<(Cow<'a, str>, Child<'a>)>),
    Items(Vec<&'a RawValue>),
    /// A string, a number, a boolean or null has none.
    None,
}

#[derive(Clone, Debug)]
enum Child<'a> {
    Raw(&'a RawValue),
    /// Parsed already, since it contains a long list; its text is not kept.
    Open(Children<'a>),
}

/// The values of a list or an object, the latter with their keys.
pub(super) type Entries<'n, 'a> = Vec<(Option<&'n str>, &'a str)>;

impl<'a> Node<'a> {
    /// Parses the top level of `text`; fails unless it is exactly one JSON value.
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        let text = text.trim_ascii();
        let children = match text.as_bytes().first() {
            Some(b'{' | b'[') => {
                let deserializer = &mut serde_json::Deserializer::from_str(text);
                let visitor = PathVisitor {
                    path: &[],
                    pause: &mut || {},
                };
                let children = visitor.deserialize(&mut *deserializer)?;
                deserializer.end()?;
                children
            }
            _ => {
                serde_json::from_str::<&RawValue>(text)?;
                Children::None
            }
        };
        Ok(Self { text, children })
    }

    /// Parses `text` and the list that `path` leads to in one pass, and calls `pause` after each
    /// fraction of a millisecond. Parsed in one piece, a list of a few megabytes would hold the
    /// loop for as many milliseconds, twice.
    pub(super) fn parse_along(
        text: &'a str,
        path: &Pointer,
        pause: &mut dyn FnMut(),
    ) -> serde_json::Result<Self> {
        let text = text.trim_ascii();
        let deserializer = &mut serde_json::Deserializer::from_str(text);
        let visitor = PathVisitor {
            path: path.tokens(),
            pause,
        };
        match visitor.deserialize(&mut *deserializer) {
            Ok(children) => {
                deserializer.end()?;
                Ok(Self { text, children })
            }
            // There is no list at this place, as in error answers.
            Err(error) if error.is_data() => Self::parse(text),
            Err(error) => Err(error),
        }
    }

    /// The value as it was sent.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The JSON text that `pointer` leads to; `{}` or `[]` for a value that has been parsed.
    pub(super) fn find(&self, pointer: &Pointer) -> Option<&'a str> {
        let Some((last, path)) = pointer.tokens().split_last() else {
            return Some(self.text);
        };
        let (children, path) = self.children.open(path);
        let Some((first, path)) = path.split_first() else {
            return children.child(last);
        };
        descend(children.child(first)?, path.iter().chain([last]))
    }

    /// Whether `pointer` leads to an object.
    pub(super) fn is_object(&self, pointer: &Pointer) -> bool {
        match self.children.open(pointer.tokens()) {
            (children, []) => matches!(children, Children::Members(_)),
            _ => self.find(pointer).is_some_and(|json| json.starts_with('{')),
        }
    }

    /// The value that `pointer` leads to, with its own top level parsed.
    pub(super) fn sub(&self, pointer: &Pointer) -> Option<Self> {
        match self.children.open(pointer.tokens()) {
            (children, []) => Some(Self {
                text: self.find(pointer)?,
                children: children.clone(),
            }),
            _ => Self::parse(self.find(pointer)?).ok(),
        }
    }

    /// The scalar that `pointer` leads to: a string without its quotes, else as written. `None` for
    /// null, objects and arrays.
    pub(super) fn scalar(&self, pointer: &Pointer) -> Option<Cow<'a, str>> {
        scalar(self.find(pointer)?)
    }

    /// Hands the values of the list or object that `pointer` leads to, with the keys of an object,
    /// to `read`; `None` if it is a scalar.
    pub(super) fn with_entries<T>(
        &self,
        pointer: &Pointer,
        read: impl FnOnce(Entries<'_, 'a>) -> T,
    ) -> Option<T> {
        match self.children.open(pointer.tokens()) {
            (children, []) => children.entries().map(read),
            _ => Self::parse(self.find(pointer)?)
                .ok()?
                .children
                .entries()
                .map(read),
        }
    }
}

impl<'a> Children<'a> {
    /// Goes along `path` as far as it has been parsed, and returns the rest of the path.
    fn open<'n, 'p>(&'n self, path: &'p [String]) -> (&'n Self, &'p [String]) {
        let Some((first, rest)) = path.split_first() else {
            return (self, path);
        };
        match self.member(first) {
            Some(Child::Open(children)) => children.open(rest),
            _ => (self, path),
        }
    }

    fn member(&self, key: &str) -> Option<&Child<'a>> {
        let Self::Members(members) = self else {
            return None;
        };
        let last = members.iter().rfind(|(known, _)| known == key);
        last.map(|(_, child)| child)
    }

    fn child(&self, token: &str) -> Option<&'a str> {
        match self {
            Self::Members(_) => self.member(token).map(Child::text),
            Self::Items(items) => {
                let index = position(token)?.within(items.len())?;
                items.get(index).map(|item| item.get())
            }
            Self::None => None,
        }
    }

    fn entries(&self) -> Option<Entries<'_, 'a>> {
        match self {
            Self::Members(members) => {
                let members = members.iter();
                Some(
                    members
                        .map(|(key, child)| (Some(&**key), child.text()))
                        .collect(),
                )
            }
            Self::Items(items) => Some(items.iter().map(|item| (None, item.get())).collect()),
            Self::None => None,
        }
    }
}

impl<'a> Child<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Raw(value) => value.get(),
            Self::Open(Children::Members(_)) => "{}",
            Self::Open(_) => "[]",
        }
    }
}

/// A scalar's text; see [`Node::scalar`].
pub(super) fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<JsonText<'_>>(json)
            .ok()
            .map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The beginning of a foreign text on one line, for our own messages.
pub(super) fn excerpt(text: &str) -> String {
    let beginning: String = text.trim().chars().take(EXCERPT_LENGTH_MAX * 4).collect();
    let printable = crate::text::printable(&beginning);
    let words: Vec<_> = printable.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(EXCERPT_LENGTH_MAX) {
        Some((end, _)) => line[..end].to_owned() + "…",
        None => line,
    }
}

/// How much of a foreign text goes into a log line, in characters.
const EXCERPT_LENGTH_MAX: usize = 120;

/// Reads a list or an object in pieces, and does the same to each level along `path`.
struct PathVisitor<'p> {
    path: &'p [String],
    pause: &'p mut dyn FnMut(),
}

impl<'de> DeserializeSeed<'de> for PathVisitor<'_> {
    type Value = Children<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathVisitor<'_> {
    type Value = Children<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        let mut piece = 0;
        while let Some(item) = sequence.next_element::<&RawValue>()? {
            piece = pause_after(piece + item.get().len(), self.pause);
            items.push(item);
        }
        Ok(Children::Items(items))
    }

    /// Keeps the order and duplicates.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        let mut piece = 0;
        while let Some(JsonText(key)) = map.next_key()? {
            let child = match self.path.split_first() {
                Some((first, path)) if *first == key => {
                    Child::Open(map.next_value_seed(PathVisitor {
                        path,
                        pause: &mut *self.pause,
                    })?)
                }
                _ => {
                    let value: &RawValue = map.next_value()?;
                    piece = pause_after(piece + value.get().len(), self.pause);
                    Child::Raw(value)
                }
            };
            members.push((key, child));
        }
        Ok(Children::Members(members))
    }
}

/// Pauses once `piece` bytes, as read since the last pause, are enough; returns the bytes since.
fn pause_after(piece: usize, pause: &mut dyn FnMut()) -> usize {
    if piece < PIECE {
        return piece;
    }
    pause();
    0
}

/// The bytes that are parsed in a fraction of a millisecond.
const PIECE: usize = 32 << 10;

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
        assert_eq!(find(text, "/a/-1/0"), Some("2"), "-1 is the last");
        for missing in ["/b", "/a/2", "/a/00", "/a/+0", "/a/-2", "/a/0/b/c", "/a/b"] {
            assert_eq!(find(text, missing), None, "{missing}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(find(r#"{"a":1,"b":2,"\u0061":3}"#, "/a"), Some("3"));
    }

    #[test]
    fn a_long_list_is_parsed_in_pieces_wherever_it_is() {
        let entries = vec![format!(r#"{{"p":"{}"}}"#, "1".repeat(1_000)); 1_000].join(",");
        for (text, path) in [
            (format!("[{entries}]"), ""),
            (
                format!(r#"{{"code":"0","a":{{"b":[{entries}]}},"t":5}}"#),
                "/a/b",
            ),
        ] {
            let path = Pointer::parse(path).unwrap();
            let mut pauses = 0;
            let node = Node::parse_along(&text, &path, &mut || pauses += 1).unwrap();
            assert!(pauses >= text.len() / PIECE - 1, "{pauses}");
            assert_eq!(
                node.with_entries(&path, |entries| entries.len()),
                Some(1_000)
            );
        }
    }

    #[test]
    fn a_pointer_still_finds_what_has_been_parsed() {
        let text = r#"{"b":{"a":{"l":[1,2],"x":{"y":3}},"n":"0"},"l":5}"#;
        let pointer = |text| Pointer::parse(text).unwrap();
        let parsed = |path| Node::parse_along(text, &pointer(path), &mut || {}).unwrap();
        for path in ["", "/b", "/b/a", "/b/a/l", "/b/a/x", "/l", "/no/such"] {
            let node = parsed(path);
            for (at, expected) in [("/b/a/l/1", "2"), ("/b/a/x/y", "3"), ("/b/n", r#""0""#)] {
                assert_eq!(node.find(&pointer(at)), Some(expected), "{at} along {path}");
            }
            assert_eq!(node.find(&pointer("/b/a/z")), None);
            assert_eq!(node.find(&pointer("/l")), Some("5"), "no list there");
            let entries = |at| node.with_entries(&pointer(at), |entries| entries.len());
            assert_eq!(
                (entries("/b/a/l"), entries("/b/a"), entries("/l")),
                (Some(2), Some(2), None)
            );
        }
        assert_eq!(
            parsed("/b/a/l").find(&pointer("/b/a/l")),
            Some("[]"),
            "only that it exists"
        );
    }

    #[test]
    fn an_object_within_can_be_a_node_of_its_own() {
        let text = r#"{"a":{"l":[1],"o":{"y":3}},"n":5}"#;
        let pointer = |text| Pointer::parse(text).unwrap();
        for path in ["", "/a", "/a/o", "/n"] {
            let node = Node::parse_along(text, &pointer(path), &mut || {}).unwrap();
            for (at, is_object) in [("", true), ("/a", true), ("/a/o", true), ("/a/l", false)] {
                assert_eq!(node.is_object(&pointer(at)), is_object, "{at} along {path}");
            }
            let sub = node.sub(&pointer("/a/o")).unwrap();
            assert_eq!(sub.find(&pointer("/y")), Some("3"), "along {path}");
            assert!(node.sub(&pointer("/b")).is_none());
        }
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
    fn only_a_single_json_value_is_accepted() {
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
