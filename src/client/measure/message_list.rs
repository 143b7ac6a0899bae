//! A message that is a list of objects: several ticks that came in one piece (`batch`).
//!
//! Elements are read one after the other from where they lie, so a list costs what its ticks cost.

use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::client::measure::message::{Message, Reader};

/// The elements of a list that have not been read yet.
#[derive(Debug)]
pub(in crate::client) struct List<'a> {
    /// What follows the bracket or the comma; none behind the last element.
    rest: Option<&'a [u8]>,
    broken: bool,
}

impl<'a> List<'a> {
    /// The elements of `text`; none if it does not begin as a list of objects does.
    pub(in crate::client) fn begin(text: &'a [u8]) -> Option<Self> {
        let rest = text.trim_ascii_start().strip_prefix(b"[")?;
        rest.trim_ascii_start().starts_with(b"{").then_some(Self {
            rest: Some(rest),
            broken: false,
        })
    }

    /// The next element's text and what it says; none behind the last one, and where the list is
    /// no JSON any more.
    pub(in crate::client) fn next(&mut self, reader: &Reader) -> Option<(&'a [u8], Message<'a>)> {
        let text = self.rest.take()?.trim_ascii_start();
        let Some((message, behind)) = first(text, reader) else {
            self.broken = true;
            return None;
        };
        match behind.trim_ascii_start() {
            [b',', rest @ ..] => self.rest = Some(rest),
            [b']', rest @ ..] if rest.trim_ascii_start().is_empty() => {}
            _ => self.broken = true,
        }
        Some((&text[..text.len() - behind.len()], message))
    }

    /// Whether what has been read so far is followed by something that is no JSON.
    pub(in crate::client) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// What `text` begins with, and what is behind that.
fn first<'a>(text: &'a [u8], reader: &Reader) -> Option<(Message<'a>, &'a [u8])> {
    if let Some(tick) = reader.read_printed(text) {
        return Some(tick);
    }
    let mut values = Deserializer::from_slice(text).into_iter::<&'a RawValue>();
    let value = values.next()?.ok()?;
    let behind = &text[values.byte_offset()..];
    Some((reader.read_any(value.get().as_bytes()), behind))
}
