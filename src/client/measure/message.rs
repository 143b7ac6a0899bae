//! What the client reads of a message: which of its fields is the symbol, the number, the time at
//! which it was sent, and in what unit.
//!
//! The layout that our own server prints is read in one pass without JSON machinery. Anything else
//! costs one walk over the message's members, and another one for each level below them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::client::config::pointer::Pointer;
use crate::client::config::pointer::walk;
use crate::client::config::unit::Unit;
use crate::client::config::unit::unquoted;
use crate::client::measure::message_list::List;
use crate::tick::PrintedTick;

/// Where to find what, in the messages of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Which symbol a tick is about.
    pub symbol: Pointer,
    /// The number that grows by one from each tick of a symbol to the next.
    pub seq: Pointer,
    /// When the server sent the tick.
    pub sent: Pointer,
    /// The unit of that.
    pub sent_unit: Unit,
    /// What a reply has in common with its request.
    pub id: Pointer,
}

/// What has been read of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct Message<'a> {
    pub(in crate::client) kind: Kind,
    /// Which symbol it is about, if it says so.
    pub(in crate::client) symbol: Option<Cow<'a, str>>,
    pub(in crate::client) seq: Option<u64>,
    /// When it was sent, in Unix µs.
    pub(in crate::client) sent_us: Option<u64>,
    /// The JSON text of its id.
    pub(in crate::client) id: Option<&'a str>,
    /// The server's clock in Unix µs, if this is the answer to a ping.
    pub(in crate::client) pong_us: Option<u64>,
    /// Whether it says that a request has failed.
    pub(in crate::client) is_error: bool,
}

/// What sort of message it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) enum Kind {
    /// It has a symbol and a price, or a time at which it was sent.
    Tick,
    /// A JSON object without those, and without a sign that it is something else. From a server
    /// of which nothing is known it counts as a tick.
    Object,
    /// JSON that is no tick.
    Json,
    /// Not JSON.
    #[default]
    NoJson,
}

impl Default for Fields {
    /// Those of our own server.
    fn default() -> Self {
        Self {
            symbol: Pointer::name("symbol"),
            seq: Pointer::name("seq"),
            sent: Pointer::name("sent"),
            sent_unit: Unit::Microseconds,
            id: Pointer::name("id"),
        }
    }
}

impl Fields {
    /// A reader of messages with these fields.
    pub(in crate::client) fn reader(&self) -> Reader {
        let all = [&self.symbol, &self.seq, &self.sent, &self.id];
        Reader {
            fields: self.clone(),
            are_own: self.are_named_as_own(),
            has_positions: all.iter().any(|it| it.begins_with_position()),
        }
    }

    /// Whether ticks are stamped as those of our own server are.
    pub(in crate::client) fn are_own(&self) -> bool {
        self.are_named_as_own() && self.sent_unit == Unit::Microseconds
    }

    fn are_named_as_own(&self) -> bool {
        let own = Self::default();
        let is_own = |field: fn(&Self) -> &Pointer| field(self) == field(&own);
        is_own(|it| &it.symbol) && is_own(|it| &it.seq) && is_own(|it| &it.sent)
    }
}

/// Reads messages.
#[derive(Debug)]
pub(in crate::client) struct Reader {
    fields: Fields,
    /// Whether the fields of a tick are those that our own server prints.
    are_own: bool,
    /// Whether a field is found by its position in a list, so that a list is one tick.
    has_positions: bool,
}

impl Reader {
    /// The elements of `text`, if it is a list of ticks and not one tick or something else.
    pub(in crate::client) fn list<'a>(&self, text: &'a [u8]) -> Option<List<'a>> {
        List::begin(text).filter(|_| !self.has_positions)
    }

    /// Reads `text`, whatever it is; fields of unexpected types count as missing.
    pub(in crate::client) fn read<'a>(&self, text: &'a [u8]) -> Message<'a> {
        match self.read_printed(text) {
            Some((message, [])) => message,
            _ => self.read_any(text),
        }
    }

    /// Reads the tick that `text` begins with, if our own server has printed it, and returns what
    /// follows it.
    pub(in crate::client) fn read_printed<'a>(
        &self,
        text: &'a [u8],
    ) -> Option<(Message<'a>, &'a [u8])> {
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

    pub(in crate::client) fn read_any<'a>(&self, text: &'a [u8]) -> Message<'a> {
        let fields = &self.fields;
        let mut found = Found::default();
        let walked = walk(text, |name, value| found.note(fields, name, value));
        let Ok(is_object) = walked else {
            let is_json = serde_json::from_slice::<&RawValue>(text).is_ok();
            return Message {
                kind: if is_json { Kind::Json } else { Kind::NoJson },
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
            kind: match is_priced || sent_us.is_some() || is_numbered {
                // It says that something went wrong, whatever else it says.
                _ if found.has_error => Kind::Json,
                true => Kind::Tick,
                // A server of which other fields are known says by them what is a tick.
                false if is_object && !found.is_other && self.are_own => Kind::Object,
                false if symbol.is_some() && !self.are_own && !found.is_other => Kind::Tick,
                false => Kind::Json,
            },
            seq,
            id: found.id,
            pong_us: found
                .time
                .filter(|_| is_pong)
                .and_then(|it| it.parse().ok()),
            is_error: found.has_error || found.op == Some(r#""error""#),
            symbol,
            sent_us,
        }
    }
}

/// The JSON texts of the members that matter.
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
    /// It has what our server marks by that a message is no tick.
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

/// What a string is, or a number or the like as it is written.
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
