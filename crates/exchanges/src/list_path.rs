//! The way to a list of entries: `"/data"`, or `["/events", "/tickers"]` where each item of the first
//! list has a list itself.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::json::Pointer;

/// The pointer to a list, and those to the lists within its items.
#[derive(Clone, Debug)]
pub(super) struct ListPath {
    pub(super) outer: Pointer,
    pub(super) inner: Vec<Pointer>,
}

impl<'de> Deserialize<'de> for ListPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = ListPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON pointer, or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ListPath, E> {
        Ok(ListPath {
            outer: Pointer::parse(text).map_err(E::custom)?,
            inner: Vec::new(),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pointers: A) -> Result<ListPath, A::Error> {
        let outer = pointers.next_element()?;
        let outer = outer.ok_or_else(|| A::Error::custom("expected at least one JSON pointer"))?;
        let mut inner = Vec::new();
        while let Some(pointer) = pointers.next_element()? {
            inner.push(pointer);
        }
        Ok(ListPath { outer, inner })
    }
}
