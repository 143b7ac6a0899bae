//! Requests: whatever a client asks, it gets one JSON object with its id in it, of a length that its
//! own text bounds, and leaves no tape behind.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::value::RawValue;

use super::super::board::{Board, ChannelId};
use super::super::request::{Reply, answer};
use crate::tick::{Price, Tick};

/// `bytes` are the texts of one client, one a line.
///
/// # Panics
/// When a promise is broken.
pub fn request(bytes: &[u8]) {
    let Ok(texts) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut board = board();
    let mut channel = board.join(None).expect("there is room");
    for text in texts.split('\n').take(TEXTS_MAX) {
        channel = check(text, &mut board, channel);
        assert!(board.tapes() <= 2, "{} tapes for one reader", board.tapes());
    }
    board.leave(channel);
    assert_eq!(board.tapes(), 1, "a tape that nobody reads");
}

fn board() -> Board {
    let symbols = SYMBOLS.map(|(symbol, _)| symbol.to_owned());
    let mut board = Board::new(symbols.to_vec(), 4096, 3);
    for (symbol, price) in SYMBOLS.iter().filter(|(_, price)| !price.is_empty()) {
        let tick = Tick {
            symbol: (*symbol).to_owned(),
            price: Price::parse(price).expect("a price"),
            timestamp: 1_732_270_000_123,
        };
        board.print(&tick, Instant::now());
    }
    board
}

/// Answers `text`; returns where the client reads after that.
fn check(text: &str, board: &mut Board, channel: ChannelId) -> ChannelId {
    let (to, reply) = match answer(text, board, channel) {
        Reply::Text(reply) => (None, reply),
        Reply::Move { to, text } => (Some(to), text),
    };
    let reply = String::from_utf8(reply).expect("UTF-8");
    let fields = check_reply(text, &reply);
    if !fields.contains_key("op") {
        check_tick(
            &fields,
            &string(&object(text).expect("an object"), "symbol"),
        );
    }
    let is_change = |op: &&str| matches!(*op, "\"subscribe\"" | "\"unsubscribe\"");
    assert_eq!(fields.get("op").is_some_and(is_change), to.is_some());
    let Some(to) = to else { return channel };
    let symbols: Vec<String> = serde_json::from_str(fields["symbols"]).expect("a list");
    assert!(board.names(to).eq(symbols.iter().map(String::as_str)));
    board.leave(channel);
    to
}

/// Whether `reply` can be the answer to `text`; returns its fields as they are written.
pub(super) fn check_reply<'r>(text: &str, reply: &'r str) -> HashMap<String, &'r str> {
    let length = reply.len();
    assert!(length <= 4 * text.len() + 1024, "{length} bytes of answer");
    let fields = object(reply).unwrap_or_else(|| panic!("no JSON object: {reply}"));
    let asked = object(text);
    let op = fields.get("op").map(|op| op.trim_matches('"'));
    let is_unread =
        op == Some("error") && string(&fields, "message").starts_with("not a JSON object");
    assert!(is_unread || asked.is_some(), "taken for an object: {text}");
    let id = asked
        .as_ref()
        .filter(|_| !is_unread)
        .and_then(|asked| asked.get("id"));
    assert_eq!(
        fields.get("id"),
        Some(id.unwrap_or(&"null")),
        "the id of {text}"
    );
    match op {
        Some("error") => assert!(!string(&fields, "message").is_empty()),
        Some("pong") => assert!(fields["time"].parse::<u64>().is_ok()),
        Some("subscribe" | "unsubscribe") | None => {}
        Some(other) => panic!("answered with {other}"),
    }
    fields
}

/// The newest tick is of the symbol asked for, to the digit.
fn check_tick(fields: &HashMap<String, &str>, asked: &str) {
    assert_eq!(string(fields, "symbol"), asked);
    let known = SYMBOLS.iter().find(|(symbol, _)| *symbol == asked);
    assert_eq!(Some(fields["price"]), known.map(|(_, price)| *price));
    assert_eq!(fields["seq"], "1");
}

/// The members of an object as they are written; no nesting is too deep, no number too big.
pub(super) fn object(text: &str) -> Option<HashMap<String, &str>> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let raw = members.into_iter().map(|(name, value)| (name, value.get()));
    Some(raw.collect())
}

pub(super) fn string(fields: &HashMap<String, &str>, name: &str) -> String {
    let raw = fields.get(name).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(raw).unwrap_or_else(|_| panic!("{name} is no string: {raw}"))
}

/// Names that JSON has to escape among them, and one without a tick.
const SYMBOLS: [(&str, &str); 5] = [
    ("A", "1.50"),
    ("BTC/USDT", "97123.450"),
    ("a\"b\\c/\u{7}", "0.00000001"),
    ("€/\u{2028}", "12345678901234567890.5"),
    ("B", ""),
];

const TEXTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::twin;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?",
            "null|true|false",
            "\"(\\\\u[0-9a-fd][0-9a-f]{3}|\\\\[nbt\"\\\\/]|[ !#-\\[\\]-~]|€){0,9}\"",
            prop::sample::select(&SYMBOLS[..])
                .prop_map(|(symbol, _)| serde_json::Value::from(symbol).to_string()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                ("[a-z]{0,3}", inner).prop_map(|(key, value)| format!("{{\"{key}\" :{value}}}")),
            ]
        })
    }

    fn text() -> impl Strategy<Value = String> {
        let symbol = || {
            prop::sample::select(&SYMBOLS[..])
                .prop_map(|it| serde_json::Value::from(it.0).to_string())
        };
        let symbols = prop::collection::vec(symbol(), 0..4)
            .prop_map(|names| format!("[{}]", names.join(",")));
        let member = prop_oneof![
            4 => "\"(get|ping|subscribe|unsubscribe|buy)\"".prop_map(|op| format!("\"op\":{op}")),
            2 => value().prop_map(|id| format!("\"id\":{id}")),
            3 => symbol().prop_map(|name| format!("\"symbol\":{name}")),
            3 => symbols.prop_map(|names| format!("\"symbols\":{names}")),
            1 => ("op|id|symbol|symbols|x", value()).prop_map(|(key, value)| format!("\"{key}\":{value}")),
        ];
        prop_oneof![
            8 => prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => value(),
            1 => "\\PC{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn every_request_gets_a_sound_answer(texts in prop::collection::vec(text(), 1..6)) {
            request(texts.join("\n").as_bytes());
        }

        #[test]
        fn a_damaged_one_too(bytes in twin::damaged("request")) {
            request(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        twin::hold("request", request);
    }
}
