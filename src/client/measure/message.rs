//! Reads the fields of a message that the client needs: symbol, number and send time.
//!
//! The layout that `tickertape`'s own server writes is read in one pass without a JSON parser.
//! Anything else takes one walk over the message's members, and another one for each nested level.

use std::borrow::Cow;

use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::client::config::Fields;
use crate::client::config::unit::unquoted;
use crate::client::measure::walk::walk;
use crate::tick::PrintedTick;

/// The fields read from a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    /// The symbol, if the message has one.
    pub(super) symbol: Option<Cow<'a, str>>,
    pub(super) seq: Option<u64>,
    /// When it was sent, in Unix µs.
    pub(super) sent_us: Option<u64>,
    /// The JSON text of its id.
    pub(super) id: Option<&'a str>,
    /// The server's clock in Unix µs, if this answers a ping.
    pub(super) pong_us: Option<u64>,
    /// Whether it reports the failure of a request.
    pub(super) is_error: bool,
}

/// The kind of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has a symbol and a price, or a send time.
    Tick,
    /// A JSON object without those fields, and without a sign that it is something else. From an
    /// unfamiliar server it counts as a tick.
    Object,
    /// JSON that is not a tick.
    Json,
    /// Not JSON.
    #[default]
    NotJson,
}

/// Reads messages.
#[derive(Debug)]
pub(super) struct Reader {
    fields: Fields,
    /// Whether a tick's fields are those of `tickertape`'s own server.
    are_own: bool,
    /// Whether a field is found by its position in a list, in which case a list is one tick.
    has_positions: bool,
}

impl Reader {
    /// A reader for messages with these fields.
    pub(super) fn new(fields: &Fields) -> Self {
        let all = [&fields.symbol, &fields.seq, &fields.sent, &fields.id];
        Self {
            fields: fields.clone(),
            are_own: fields.are_named_as_own(),
            has_positions: all.iter().any(|field| field.begins_with_position()),
        }
    }

    /// The elements of `text`, if it is a list of ticks rather than a single tick or something
    /// else.
    pub(super) fn list<'a>(&self, text: &'a [u8]) -> Option<List<'a>> {
        List::begin(text).filter(|_| !self.has_positions)
    }

    /// Reads any `text`; fields of unexpected types count as missing.
    pub(super) fn read<'a>(&self, text: &'a [u8]) -> Message<'a> {
        match self.read_printed(text) {
            Some((message, [])) => message,
            _ => self.read_any(text),
        }
    }

    /// Reads a tick in the own server's layout from the start of `text`, and returns the rest.
    fn read_printed<'a>(&self, text: &'a [u8]) -> Option<(Message<'a>, &'a [u8])> {
        let printed = self.are_own.then(|| PrintedTick::parse_first(text));
        let (tick, rest) = printed.flatten()?;
        let message = Message {
            kind: Kind::Tick,
            sent_us: self.fields.sent_unit.us(tick.sent),
            symbol: Some(Cow::Borrowed(tick.symbol)),
            seq: Some(tick.seq),
            ..Message::default()
        };
        Some((message, rest))
    }

    fn read_any<'a>(&self, text: &'a [u8]) -> Message<'a> {
        let fields = &self.fields;
        let mut found = Found::default();
        let walked = walk(text, |name, value| found.note(fields, name, value));
        let Ok(is_object) = walked else {
            let is_json = serde_json::from_slice::<&RawValue>(text).is_ok();
            return Message {
                kind: if is_json { Kind::Json } else { Kind::NotJson },
                ..Message::default()
            };
        };
        let sent_us = found.sent.and_then(|text| fields.sent_unit.read(text));
        let symbol = found.symbol.and_then(words);
        let is_pong = found.op == Some(r#""pong""#);
        let is_priced = found.has_price && symbol.is_some();
        let seq = found.seq.and_then(|text| unquoted(text).parse().ok());
        let is_numbered = seq.is_some() && !self.are_own && !found.is_other;
        Message {
            kind: if found.has_error {
                // A message that reports an error is not a tick, whatever else it contains.
                Kind::Json
            } else if is_priced || sent_us.is_some() || is_numbered {
                Kind::Tick
            } else if is_object && !found.is_other && self.are_own {
                Kind::Object
            } else if symbol.is_some() && !self.are_own && !found.is_other {
                // If the fields of a server were named, they decide which messages are ticks.
                Kind::Tick
            } else {
                Kind::Json
            },
            seq,
            id: found.id,
            pong_us: found
                .time
                .filter(|_| is_pong)
                .and_then(|time| time.parse().ok()),
            is_error: found.has_error || found.op == Some(r#""error""#),
            symbol,
            sent_us,
        }
    }
}

/// The elements of a list that have not been read yet.
#[derive(Debug)]
pub(super) struct List<'a> {
    /// The text after the bracket or the comma; `None` after the last element.
    rest: Option<&'a [u8]>,
    broken: bool,
}

impl<'a> List<'a> {
    /// The elements of `text`; `None` if it does not begin like a list of objects.
    fn begin(text: &'a [u8]) -> Option<Self> {
        let rest = text.trim_ascii_start().strip_prefix(b"[")?;
        rest.trim_ascii_start().starts_with(b"{").then_some(Self {
            rest: Some(rest),
            broken: false,
        })
    }

    /// The next element's text and message; `None` after the last one, and where the list is no
    /// longer valid JSON.
    pub(super) fn next(&mut self, reader: &Reader) -> Option<(&'a [u8], Message<'a>)> {
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

    /// Whether the part read so far is followed by something other than JSON.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// The first element of `text`, and the rest.
fn first<'a>(text: &'a [u8], reader: &Reader) -> Option<(Message<'a>, &'a [u8])> {
    if let Some(tick) = reader.read_printed(text) {
        return Some(tick);
    }
    let mut values = Deserializer::from_slice(text).into_iter::<&'a RawValue>();
    let value = values.next()?.ok()?;
    let behind = &text[values.byte_offset()..];
    Some((reader.read_any(value.get().as_bytes()), behind))
}

/// The JSON texts of the relevant members.
#[derive(Default)]
struct Found<'a> {
    symbol: Option<&'a str>,
    seq: Option<&'a str>,
    sent: Option<&'a str>,
    id: Option<&'a str>,
    op: Option<&'a str>,
    time: Option<&'a str>,
    has_price: bool,
    has_error: bool,
    /// Whether it has a member by which our server marks messages that are not ticks.
    is_other: bool,
}

impl<'a> Found<'a> {
    fn note(&mut self, fields: &Fields, name: &str, value: &'a RawValue) {
        let text = value.get();
        for (pointer, place) in [
            (&fields.symbol, &mut self.symbol),
            (&fields.seq, &mut self.seq),
            (&fields.sent, &mut self.sent),
            (&fields.id, &mut self.id),
        ] {
            if pointer.first() == name {
                *place = pointer.descend(text);
            }
        }
        match name {
            "price" => self.has_price = true,
            "error" => self.has_error = text != "null",
            "event" => self.is_other = true,
            "op" => {
                self.is_other = true;
                self.op = Some(text);
            }
            "time" => self.time = Some(text),
            _ => {}
        }
    }
}

/// The contents of a string, or the text of a number or similar value.
fn words(text: &str) -> Option<Cow<'_, str>> {
    match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str(text).ok().map(Cow::Owned),
        None => (text != "null").then_some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests;
