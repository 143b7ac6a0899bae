//! The format of the catalogue file: one entry per exchange, everything about it as data.
//!
//! | field | meaning |
//! |---|---|
//! | `id`, `name`, `aliases` | its names on the command line and in the log |
//! | `example` | a symbol that it trades, for the list of sources; `BTC/USDT` by default |
//! | `notes` | what its users should know |
//! | `elsewhere` | the entries of this exchange that serve places which this one refuses |
//! | `spelling` | how it writes symbols: see [`SymbolFormat`] |
//! | `interval_ms` | the shortest time between two requests |
//! | `headers` | headers of all its requests, the handshake of its stream included: `{"Origin": "https://example.com"}` |
//! | `one`, `many` | how to ask for one symbol and for several, and where the answers have the prices: see [`Query`] and [`Batch`]; both may be absent where there is a stream |
//! | `ok` | a [`Condition`] that every good answer meets |
//! | `errors` | conditions that classify an error answer: see [`Errors`] |
//! | `message` | pointers to the error message of the exchange |
//! | `stream` | its WebSocket: see [`StreamEntry`] |
//! | `markets` | the list of all its markets: see [`MarketList`] |
//!
//! What answers and messages contain is said by a [`Mapping`]:
//!
//! | field | meaning |
//! |---|---|
//! | `inside` | the pointer to a string that contains the real answer as JSON |
//! | `list`, `map` | a list of entries, `"/data"`, or of lists of entries, `["/events", "/tickers"]`; or an object of entries by symbol. An object where the `list` should be counts as its only entry |
//! | `symbol` | where an entry names its market: `"/s"`, `"{/base}-{/quote}"`, `{"at": "/s", "of": "answer"}` |
//! | `names` | how that name is written, if not as in requests |
//! | `channel` | instead of `symbol`: the number that an acknowledgement announced |
//! | `last` | the price: `"/last"`, `{"at": "/last", "scale": -8}`, `{"at": "/last", "scale": "/expo"}` |
//! | `time` | when it was the price: see [`TimeField`] |
//! | `fields` | bid, ask and the figures of 24 hours: `{"bid": "/b", "change": {"at": "/c", "scale": 2}}` |
//!
//! A pointer's token `-1` is the last item of a list; the empty pointer is the entry itself, as in
//! a map from symbols to bare prices.
//!
//! Unknown fields are errors, so that misspelled ones are found.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bad_catalogue::BadCatalogue;
use super::condition::Condition;
use super::fields::FieldPlaces;
use super::json::{Node, Pointer, excerpt};
use super::list_path::ListPath;
use super::message::Message;
use super::name::NameField;
use super::number::NumberField;
use super::template::{MARKET_PLACEHOLDERS, SymbolFormat, Template};
use super::time::TimeField;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default = "btc_usdt")]
    pub(super) example: String,
    #[serde(default)]
    pub(super) notes: String,
    #[serde(default)]
    pub(super) elsewhere: Vec<String>,
    pub(super) spelling: SymbolFormat,
    pub(super) interval_ms: u64,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) one: Option<Query>,
    pub(super) many: Option<Batch>,
    pub(super) ok: Option<Condition>,
    #[serde(default)]
    pub(super) errors: Errors,
    #[serde(default)]
    pub(super) message: Vec<Pointer>,
    pub(super) stream: Option<StreamEntry>,
    pub(super) markets: Option<MarketList>,
}

/// Where the list of all markets is. An entry of it states either the two currencies of the market
/// or only its name, which has to be taken apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarketList {
    pub(super) url: String,
    /// An array of entries (`list`), which may be plain names, or an object of entries by name
    /// (`map`).
    pub(super) list: Option<Pointer>,
    pub(super) map: Option<Pointer>,
    /// The currencies in an entry.
    pub(super) base: Option<Pointer>,
    pub(super) quote: Option<Pointer>,
    /// The name in an entry; in a `map` it is the key by default. With `base` and `quote` it only
    /// serves to check that requests would write the market in the same way.
    pub(super) name: Option<NameField>,
    /// How the name is written, if not as in requests; several where it varies.
    #[serde(default)]
    pub(super) written: Vec<Template>,
    /// The currencies that prices are in, for names in which nothing separates the two.
    #[serde(default)]
    pub(super) quotes: Vec<String>,
    /// Currencies that end like the beginning of one of these: `PAXG` in `PAXGUSD`, which is not
    /// `PAX` in `GUSD`.
    #[serde(default)]
    pub(super) bases: Vec<String>,
    /// What entries of markets that are traded meet; by default all are.
    pub(super) trading: Option<Condition>,
    /// What a good answer meets, if not what other answers do.
    pub(super) ok: Option<Condition>,
}

/// A URL with the placeholder `{market}` (or `{BASE}` and so on), and where its answer has the
/// price. `{now_s}` and `{now_ms}` are the time at which it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) url: Template,
    /// The body of a POST request, JSON; it may name the market instead. Without it, the request is
    /// a GET.
    pub(super) post: Option<Message>,
    pub(super) answer: Mapping,
}

/// How to ask for several symbols in one request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// With the placeholder `{markets}`; without it the answer lists all markets of the exchange.
    pub(super) url: Template,
    /// The body of a POST request, as in [`Query`]; there, the markets may also be items of a list.
    pub(super) post: Option<Message>,
    /// How `{markets}` writes each market, and what separates two of them.
    #[serde(default = "bare_market")]
    pub(super) each: Template,
    #[serde(default = "comma")]
    pub(super) between: String,
    /// The number of symbols from which on this is better than asking for each.
    #[serde(default = "two")]
    pub(super) from: usize,
    /// How many symbols a request may name.
    #[serde(default = "fifty")]
    pub(super) most: usize,
    /// Overrides the entry's.
    pub(super) interval_ms: Option<u64>,
    pub(super) answer: Mapping,
}

/// Where prices are in an answer or a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// The string that contains all that follows as JSON.
    pub(super) inside: Option<Pointer>,
    /// An array of entries (`list`) or an object of entries by symbol (`map`). With neither, the
    /// whole answer is the one entry.
    pub(super) list: Option<ListPath>,
    pub(super) map: Option<Pointer>,
    /// The symbol of an entry; in a `map` without this, it is the key.
    pub(super) symbol: Option<NameField>,
    /// Instead of `symbol`: the channel number that a stream's acknowledgement announced.
    pub(super) channel: Option<Pointer>,
    /// How that name is written, if not as in requests; several where it varies.
    #[serde(default)]
    pub(super) names: Vec<Template>,
    /// The last price in an entry.
    pub(super) last: NumberField,
    /// Whether the price may be zero or negative, as that of power can. At an exchange such a number
    /// means that there is no price.
    #[serde(skip)]
    pub(super) any_number: bool,
    pub(super) time: Option<TimeField>,
    /// Where an entry has bid, ask and the figures of 24 hours, each by the name of its
    /// [`Field`](super::Field); all of them are optional.
    #[serde(default)]
    pub(super) fields: FieldPlaces,
}

/// Conditions on an error answer, tried in this order; one of each kind is enough. An answer that
/// meets none is classified by its HTTP status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Errors {
    pub(super) unknown_symbol: Vec<Condition>,
    pub(super) rate_limited: Vec<Condition>,
    pub(super) blocked: Vec<Condition>,
    pub(super) down: Vec<Condition>,
}

/// A WebSocket that sends prices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamEntry {
    /// May have the placeholders `{endpoint}` and `{token}` (from `token`), `{id}` (a new number for
    /// each connection), `{markets}`, and any placeholder of one market, such as `{market}`. A URL
    /// that names one market needs a connection per market.
    pub(super) url: Template,
    #[serde(default)]
    pub(super) encoding: Encoding,
    pub(super) token: Option<Token>,
    /// If it writes symbols differently than requests do.
    pub(super) spelling: Option<SymbolFormat>,
    /// How long to wait after connecting before anything is sent.
    #[serde(default)]
    pub(super) settle_ms: u64,
    /// Messages to send before and after `subscribe`: once, or as often as it if they name markets.
    #[serde(default)]
    pub(super) before: Vec<Message>,
    /// Absent where the URL says it all.
    pub(super) subscribe: Option<Message>,
    #[serde(default)]
    pub(super) after: Vec<Message>,
    /// How many markets a subscribe message may name.
    #[serde(default = "fifty")]
    pub(super) most: usize,
    /// Whether a second subscribe message replaces the first: then all markets of a connection go
    /// into one, and `most` limits the connection.
    #[serde(default)]
    pub(super) replaces: bool,
    /// How `{markets}` writes each market, and what separates two of them.
    #[serde(default = "bare_market")]
    pub(super) each: Template,
    #[serde(default = "comma")]
    pub(super) between: String,
    /// How many markets a connection may have; further ones get connections of their own.
    #[serde(default = "thousand")]
    pub(super) per_connection: usize,
    /// The shortest time between two subscribe messages on a connection.
    #[serde(default)]
    pub(super) subscribe_every_ms: u64,
    /// The shortest time between opening two connections.
    #[serde(default = "quarter")]
    pub(super) connect_every_ms: u64,
    /// Recognises messages with prices, and says where the prices are.
    pub(super) ticks: Ticks,
    pub(super) ack: Option<Ack>,
    /// Messages that only show that the connection is alive, with the reply that each needs.
    #[serde(default)]
    pub(super) heartbeats: Vec<Heartbeat>,
    /// Messages that report an error.
    #[serde(default)]
    pub(super) errors: Vec<Condition>,
    /// Messages that ask the client to reconnect, as before maintenance.
    #[serde(default)]
    pub(super) leave: Vec<Condition>,
    /// What the client has to send periodically; absent where the server pings.
    pub(super) ping: Option<Ping>,
    #[serde(default)]
    pub(super) alive: Alive,
}

/// What arrives at least every `every_ms`, even while no market trades. Exchanges send prices when
/// they change, so in silence only this sign of life tells a quiet market from a dead connection:
/// it confirms the prices that have arrived on the connection before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alive {
    pub(super) by: Sign,
    pub(super) every_ms: u64,
}

/// Where a sign of life comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sign {
    /// The answer to our `ping`, which is then sent at least this often; without a `ping`, to a
    /// ping frame.
    Pong,
    /// One of the `heartbeats`, which the exchange sends unasked, or any other message instead.
    Heartbeat,
    /// One of the `heartbeats` that names a channel or a symbol in the same place as a tick. It
    /// confirms that price only.
    Channel,
}

impl Default for Alive {
    fn default() -> Self {
        Self {
            by: Sign::Pong,
            every_ms: 10_000,
        }
    }
}

/// How messages are written, apart from gzip and zlib, which are recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    #[default]
    Json,
    /// Messages that are not JSON are protobuf, whose pointers consist of field numbers: `/314/1`.
    /// In a pointer, `0` is the first of a repeated field and `-1` the last.
    Protobuf,
    /// JSON behind the digits of Socket.IO: `42["event",{}]`. They are not part of the JSON, but of
    /// the `text` in conditions.
    SocketIo,
}

/// A token that must be fetched, by a POST with an empty body, before connecting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) post: String,
    pub(super) token: Pointer,
    pub(super) endpoint: Pointer,
    /// The interval between pings, if the answer has it.
    pub(super) ping_ms: Option<Pointer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticks {
    pub(super) when: Condition,
    pub(super) message: Mapping,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    pub(super) when: Condition,
    /// Where it has the channel number and its symbol, if ticks carry only the number.
    pub(super) channel: Option<Pointer>,
    pub(super) symbol: Option<Pointer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    pub(super) when: Condition,
    pub(super) reply: Option<Message>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ping {
    pub(super) every_ms: u64,
    /// A ping frame by default.
    pub(super) send: Option<Message>,
}

/// Reads a catalogue file.
pub(super) fn read_entries(text: &str) -> Result<Vec<Entry>, BadCatalogue> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File<'a> {
        #[serde(default, rename = "about")]
        _about: String,
        #[serde(borrow)]
        exchanges: Vec<&'a RawValue>,
    }

    let file: File<'_> =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            let reason = in_words_of_json(&error.to_string());
            BadCatalogue(format!("invalid catalogue: {reason}"))
        })?;
    let raw_entries = file.exchanges.iter().enumerate();
    raw_entries
        .map(|(index, raw)| read_entry(index, raw.get()))
        .collect()
}

fn read_entry(index: usize, text: &str) -> Result<Entry, BadCatalogue> {
    let id_pointer = Pointer::parse("/id").unwrap_or_default();
    let node = Node::parse(text).ok();
    let id = node.as_ref().and_then(|node| node.scalar(&id_pointer));
    let name = match &id {
        Some(id) => format!("exchange '{}'", excerpt(id)),
        None => format!("exchange number {}", index + 1),
    };
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    let entry: Entry = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let reason = error.inner().to_string();
        // serde counts the line from the beginning of the entry, which would mislead.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let reason = in_words_of_json(reason);
        BadCatalogue(match error.path().to_string().as_str() {
            "." => format!("{name}: {reason}"),
            field => format!("{name}: field {field}: {reason}"),
        })
    })?;
    match entry.check() {
        Ok(()) => Ok(entry),
        Err((field, reason)) => Err(BadCatalogue(format!("{name}: field {field}: {reason}"))),
    }
}

/// Translates serde's "found" and "expected", which name Rust types, into JSON terms.
fn in_words_of_json(reason: &str) -> String {
    let Some((found, expected)) = reason.split_once(", expected ") else {
        return reason.to_owned();
    };
    let (expected, place) = match expected.split_once(" at line ") {
        Some((expected, place)) => (expected, format!(" at line {place}")),
        None => (expected, String::new()),
    };
    let found = match found.strip_prefix("invalid type: ").unwrap_or(found) {
        "map" => "an object",
        "sequence" => "a list",
        found if found.starts_with("invalid length") => "a list",
        found => found,
    };
    let expected = match expected {
        "u64" | "usize" => "a whole number",
        "a sequence" => "a list",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    };
    format!("{found}, expected {expected}{place}")
}

impl Query {
    /// Whether it asks for one market, rather than for whatever there is.
    pub(super) fn names_market(&self) -> bool {
        self.url.mentions(MARKET_PLACEHOLDERS)
            || self.post.as_ref().is_some_and(Message::mentions_markets)
    }
}

impl Batch {
    /// Whether its answer lists all markets of the exchange.
    pub(super) fn lists_all(&self) -> bool {
        let post = self.post.as_ref();
        !self.url.mentions(&["markets"]) && !post.is_some_and(Message::mentions_markets)
    }
}

impl StreamEntry {
    /// Whether its URL names all markets of the connection, or the only one.
    pub(super) fn names_markets(&self) -> bool {
        self.names_one_market() || self.url.placeholders().any(|name| name == "markets")
    }

    /// Whether its URL names one market, so that each has a connection of its own.
    pub(super) fn names_one_market(&self) -> bool {
        let mut names = self.url.placeholders();
        names.any(|name| MARKET_PLACEHOLDERS.contains(&name))
    }
}

impl Mapping {
    /// Where the entries are, if there can be several.
    pub(super) fn container(&self) -> Option<&Pointer> {
        let list = self.list.as_ref().map(|list| &list.outer);
        list.or(self.map.as_ref())
    }

    /// Whether the answer is for one symbol, which it need not name.
    pub(super) fn is_single(&self) -> bool {
        self.list.is_none() && self.map.is_none()
    }
}

fn btc_usdt() -> String {
    "BTC/USDT".to_owned()
}

fn bare_market() -> Template {
    Template::placeholder("market")
}

fn comma() -> String {
    ",".to_owned()
}

fn two() -> usize {
    2
}

/// Keeps URLs and messages short enough for every server.
fn fifty() -> usize {
    50
}

/// More on one connection would be lost together, and no exchange needs fewer connections.
fn thousand() -> usize {
    1000
}

/// Slow enough for exchanges that state no limit.
fn quarter() -> u64 {
    250
}
