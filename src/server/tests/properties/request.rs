//! Requests: whatever a client asks, it gets one JSON object with its id, of a length bounded by
//! its own text, and no list is left behind.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::value::RawValue;

use crate::server::hub::{Hub, ListId};
use crate::server::protocol::Delivery;
use crate::server::protocol::{Change, answer};
use crate::tick::{Price, Tick};

/// Treats `bytes` as the texts of one client, one per line.
///
/// # Panics
/// When a promise is broken.
pub fn request(bytes: &[u8]) {
    let Ok(texts) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut hub = hub();
    let mut reading = Change {
        list: hub.select_everything().expect("it is open"),
        delivery: Delivery::default(),
    };
    for text in texts.split('\n').take(TEXTS_MAX) {
        reading = check(text, &mut hub, reading);
        let lists = hub.counts().1;
        assert_eq!(lists, 1, "lists of one reader");
    }
    hub.give_back(reading.list);
    assert_eq!(hub.counts().1, 0, "a list without readers");
}

fn hub() -> Hub {
    let symbols = SYMBOLS.map(|(symbol, _)| symbol.to_owned());
    let mut hub = Hub::new(symbols.to_vec(), 4096, 1 << 20).expect("a few symbols");
    for (symbol, price) in SYMBOLS.iter().filter(|(_, price)| !price.is_empty()) {
        let tick = Tick::new(
            *symbol,
            Price::parse(price).expect("a price"),
            1_732_270_000_123,
        );
        hub.publish(&tick, Instant::now());
    }
    hub
}

/// Answers `text`; returns what the client reads from then on.
fn check(text: &str, hub: &mut Hub, reading: Change) -> Change {
    let reply = answer(text, hub, reading.list, reading.delivery);
    let (change, reply) = (reply.change, reply.text);
    let reply = String::from_utf8(reply).expect("UTF-8");
    let fields = check_reply(text, &reply);
    if !fields.contains_key("op") {
        check_tick(
            &fields,
            &string(&object(text).expect("an object"), "symbol"),
        );
    }
    let is_change = |op: &&str| matches!(*op, "\"subscribe\"" | "\"unsubscribe\"");
    assert_eq!(fields.get("op").is_some_and(is_change), change.is_some());
    let Some(change) = change else { return reading };
    check_list(hub, change.list, &fields);
    hub.give_back(reading.list);
    change
}

/// Compares a list with its description.
fn check_list(hub: &Hub, list: ListId, fields: &HashMap<String, &str>) {
    let names = SYMBOLS.map(|(name, _)| name);
    let of_list = (0..)
        .zip(names)
        .filter(|(id, _)| hub.symbols(list).contains(*id));
    let of_list: Vec<_> = of_list.map(|(_, name)| name.to_owned()).collect();
    assert_eq!(watched(&names, fields), of_list);
    assert_eq!(fields["count"], of_list.len().to_string());
}

/// The names that a client watches if its answer had these fields: asking for the entries, without
/// the exceptions, selects the same.
pub(super) fn watched(names: &[&str], fields: &HashMap<String, &str>) -> Vec<String> {
    let symbols = names.iter().map(ToString::to_string).collect();
    let mut hub = Hub::new(symbols, 4096, 1 << 20).expect("a few symbols");
    let entries = |name| fields.get(name).map_or("[]", |entries| entries);
    let entries = |name| serde_json::from_str::<Vec<String>>(entries(name)).expect("a list");
    let whole = hub
        .select(&entries("symbols"))
        .expect("entries of the reply");
    let list = hub.reselect(whole, &entries("except"), false);
    let list = list.expect("exceptions of the reply");
    let watched = (0..)
        .zip(names)
        .filter(|(id, _)| hub.symbols(list).contains(*id));
    watched.map(|(_, name)| (*name).to_owned()).collect()
}

/// Checks that `reply` can be the answer to `text`; returns its fields as they are written.
pub(super) fn check_reply<'r>(text: &str, reply: &'r str) -> HashMap<String, &'r str> {
    let length = reply.len();
    assert!(length <= 4 * text.len() + 1024, "{length} bytes of answer");
    let fields = object(reply).unwrap_or_else(|| panic!("no JSON object: {reply}"));
    let asked = object(text);
    let op = fields.get("op").map(|op| op.trim_matches('"'));
    let is_unread = op == Some("error")
        && string(&fields, "message").starts_with("invalid request: expected a JSON object");
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
        Some("subscribe" | "unsubscribe" | "list") | None => {}
        Some(other) => panic!("answered with {other}"),
    }
    fields
}

/// The newest tick belongs to the requested symbol, to the digit.
fn check_tick(fields: &HashMap<String, &str>, asked: &str) {
    assert_eq!(string(fields, "symbol"), symbol_of(asked));
    let known = SYMBOLS
        .iter()
        .find(|(symbol, _)| *symbol == symbol_of(asked));
    assert_eq!(Some(fields["price"]), known.map(|(_, price)| *price));
    assert_eq!(fields["seq"], "1");
}

/// The symbol that a name stands for.
fn symbol_of(asked: &str) -> &str {
    if asked == "ETH/EUR" {
        "sim:ETH/EUR"
    } else {
        asked
    }
}

/// The members of an object as they are written; any depth of nesting and any size of number are
/// accepted.
pub(super) fn object(text: &str) -> Option<HashMap<String, &str>> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let raw = members.into_iter().map(|(name, value)| (name, value.get()));
    Some(raw.collect())
}

pub(super) fn string(fields: &HashMap<String, &str>, name: &str) -> String {
    let raw = fields.get(name).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(raw).unwrap_or_else(|_| panic!("{name} is no string: {raw}"))
}

/// Symbols with their newest prices. Some names need escaping in JSON, and one symbol has no tick.
const SYMBOLS: [(&str, &str); 6] = [
    ("A", "1.50"),
    ("BTC/USDT", "97123.450"),
    ("sim:ETH/EUR", "3.0"),
    ("a\"b\\c/\u{7}", "0.00000001"),
    ("€/\u{2028}", "12345678901234567890.5"),
    ("B", ""),
];

const TEXTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
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
                .prop_map(|symbol| serde_json::Value::from(symbol.0).to_string())
        };
        let entry = prop_oneof![
            3 => symbol(),
            1 => Just("\"ETH/EUR\"".to_owned()),
            2 => "\"(\\*|\\*/USDT|BTC/\\*|sim:\\*/EUR|sim:\\*|\\*/X|\\*\\*|B\\*/X)\"",
        ];
        let symbols =
            prop::collection::vec(entry, 0..4).prop_map(|names| format!("[{}]", names.join(",")));
        let member = prop_oneof![
            4 => "\"(get|list|ping|subscribe|unsubscribe|buy)\"".prop_map(|op| format!("\"op\":{op}")),
            2 => value().prop_map(|id| format!("\"id\":{id}")),
            3 => symbol().prop_map(|name| format!("\"symbol\":{name}")),
            3 => symbols.prop_map(|names| format!("\"symbols\":{names}")),
            1 => "\"(10ms|1s|1h|0|x|)\"|null".prop_map(|every| format!("\"every\":{every}")),
            1 => "true|false|null|1".prop_map(|batch| format!("\"batch\":{batch}")),
            1 => ("op|id|symbol|symbols|every|batch|x", value()).prop_map(|(key, value)| format!("\"{key}\":{value}")),
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
        fn a_damaged_one_too(bytes in fuzz_twin::damaged("request")) {
            request(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("request", request);
    }
}
