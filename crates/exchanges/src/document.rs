//! An answer or a message, or one entry of it, in whatever encoding it came.

use std::borrow::Cow;

use serde::Deserialize;

use super::json::{Node, Pointer, scalar};
use super::protobuf;

/// Whether a pointer starts from the whole answer or from the symbol's entry in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    #[default]
    Entry,
    Answer,
}

/// A document in which pointers find values.
#[derive(Debug)]
pub(super) enum Document<'a> {
    Json(Node<'a>),
    /// The bytes of a protobuf message; nothing of it is read before a pointer asks for it.
    Protobuf(&'a [u8]),
}

/// What a pointer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Missing,
    Null,
    /// A string without its quotes, a number or a boolean, as it was sent.
    Text(Cow<'a, str>),
    /// An object, a list or something unreadable, as it was sent.
    Compound(&'a str),
}

/// One entry of a list or an object, not yet read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Json(&'a str),
    Protobuf(&'a [u8]),
}

impl<'a> Document<'a> {
    /// The value that `pointer` leads to.
    pub(super) fn value(&self, pointer: &Pointer) -> Value<'a> {
        match self {
            Self::Json(node) => match node.find(pointer) {
                None => Value::Missing,
                Some("null") => Value::Null,
                Some(json) => scalar(json).map_or(Value::Compound(json), Value::Text),
            },
            Self::Protobuf(message) => match protobuf::find(message, pointer.tokens()) {
                None => Value::Missing,
                Some(value) => value.text().map_or(Value::Compound("bytes"), Value::Text),
            },
        }
    }

    /// The text of the scalar that `pointer` leads to.
    pub(super) fn scalar(&self, pointer: &Pointer) -> Option<Cow<'a, str>> {
        match self.value(pointer) {
            Value::Text(text) => Some(text),
            Value::Missing | Value::Null | Value::Compound(_) => None,
        }
    }

    /// The JSON text that `pointer` leads to, to be repeated in a reply.
    pub(super) fn json(&self, pointer: &Pointer) -> Option<&'a str> {
        match self {
            Self::Json(node) => node.find(pointer),
            Self::Protobuf(_) => None,
        }
    }

    /// Whether `pointer` leads to an object rather than to a list.
    pub(super) fn is_object(&self, pointer: &Pointer) -> bool {
        match self {
            Self::Json(node) => node.is_object(pointer),
            Self::Protobuf(_) => false,
        }
    }

    /// Whether it is an object or a list without anything in it.
    pub(super) fn is_empty(&self) -> bool {
        let mut is_empty = true;
        let entries = self.each_entry(&Pointer::default(), &mut |_, _, _| is_empty = false);
        entries.is_some() && is_empty
    }

    /// The object that `pointer` leads to.
    pub(super) fn sub(&self, pointer: &Pointer) -> Option<Self> {
        match self {
            Self::Json(node) => node.sub(pointer).map(Self::Json),
            Self::Protobuf(_) => None,
        }
    }

    /// Hands the entries of the list or object that `pointer` leads to, with the keys of an object,
    /// to `visit`, and their number; `None` if it is a scalar.
    pub(super) fn each_entry(
        &self,
        pointer: &Pointer,
        visit: &mut dyn FnMut(usize, Option<&str>, Raw<'a>),
    ) -> Option<()> {
        match self {
            Self::Json(node) => node.with_entries(pointer, |entries| {
                let count = entries.len();
                for (key, text) in entries {
                    visit(count, key, Raw::Json(text));
                }
            }),
            Self::Protobuf(message) => {
                let entries = protobuf::repeated(message, pointer.tokens())?;
                let count = entries.len();
                for entry in entries {
                    visit(count, None, Raw::Protobuf(entry));
                }
                Some(())
            }
        }
    }

    /// Its beginning as text, for our own messages.
    pub(super) fn text(&self) -> &'a str {
        match self {
            Self::Json(node) => node.text(),
            Self::Protobuf(_) => "a protobuf message",
        }
    }
}

impl<'a> Raw<'a> {
    /// Its top level, parsed; `None` if it is invalid.
    pub(super) fn open(self) -> Option<Document<'a>> {
        match self {
            Self::Json(text) => Node::parse(text).ok().map(Document::Json),
            Self::Protobuf(message) => Some(Document::Protobuf(message)),
        }
    }
}
