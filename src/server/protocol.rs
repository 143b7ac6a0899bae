//! The protocol: the small JSON texts that a client may send, and their answers.
//!
//! A malformed request gets an error answer and the connection stays open. The `id` of a request is
//! never parsed, only returned: it keeps its exact bytes, whatever its type.

use std::time::Duration;

use exchanges::json::JsonText;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::cli;
use crate::frame;
use crate::server::hub::{Hub, ListId, PERIOD_MAX, PERIOD_MIN, rounded};

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The answer.
    pub(crate) text: Vec<u8>,
    /// The change to what the client reads, if there is one.
    pub(crate) change: Option<Change>,
}

/// What a client is going to read. The list has been taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) list: ListId,
    pub(crate) delivery: Delivery,
}

/// How a client wants its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// How often it gets the newest tick of each symbol; `None` for every tick.
    pub(crate) every: Option<Duration>,
    /// Whether messages come as JSON lists.
    pub(crate) batches: bool,
}

/// Any JSON object; its members are parsed one by one, so that an error in one of them still has
/// the id.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    symbol: Option<&'a RawValue>,
    #[serde(borrow)]
    symbols: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    every: Option<&'a RawValue>,
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
}

/// Reads a member that is present, even as a null, which serde would otherwise count as missing.
fn even_null<'de: 'a, 'a, D>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error>
where
    D: Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Answers `text`, a request of a client that reads `list` with this `delivery`.
pub(crate) fn answer(text: &str, hub: &mut Hub, list: ListId, delivery: Delivery) -> Reply {
    // serde would accept a JSON list as the members in their order.
    if !text.trim_start().starts_with('{') {
        return error("null", "invalid request: expected a JSON object");
    }
    match serde_json::from_str::<Raw<'_>>(text) {
        Ok(request) => {
            let id = request.id.map_or("null", RawValue::get);
            request
                .follow(id, hub, (list, delivery))
                .unwrap_or_else(|message| error(id, &message))
        }
        Err(cause) => error(
            "null",
            &format!("invalid request: expected a JSON object ({cause})"),
        ),
    }
}

impl Raw<'_> {
    fn follow(
        &self,
        id: &str,
        hub: &mut Hub,
        reading: (ListId, Delivery),
    ) -> Result<Reply, String> {
        let JsonText(op) = read(self.op, "op", OPS)?;
        match &*op {
            "ping" => {
                let time = hub.wall_us();
                Ok(text(format!(r#"{{"op":"pong","id":{id},"time":{time}}}"#)))
            }
            "get" => self.get(id, hub),
            "list" => self.list(id, hub),
            "subscribe" | "unsubscribe" => self.change(id, &op, hub, reading),
            _ => {
                let op: String = op.chars().take(OP_SHOWN_MAX).collect();
                Err(format!("unknown op '{op}': expected {OPS}"))
            }
        }
    }

    fn get(&self, id: &str, hub: &Hub) -> Result<Reply, String> {
        let JsonText(symbol) = read(self.symbol, "symbol", "the name of a symbol")?;
        let newest = hub.newest(&symbol).map_err(|error| error.to_string())?;
        let (_, members) = newest.split_last().ok_or("no tick yet")?;
        Ok(Reply {
            text: [members, br#","id":"#, id.as_bytes(), b"}"].concat(),
            change: None,
        })
    }

    fn list(&self, id: &str, hub: &mut Hub) -> Result<Reply, String> {
        let entries: Option<Vec<JsonText<'_>>> = match self.symbols {
            None => None,
            symbols => Some(read(symbols, "symbols", SYMBOLS)?),
        };
        let after: Option<JsonText<'_>> = match self.after {
            None => None,
            after => Some(read(
                after,
                "after",
                "the last name of the previous answer",
            )?),
        };
        let after = after.as_ref().map(AsRef::as_ref);
        let mut out = format!(r#"{{"op":"list","id":{id},"symbols":"#);
        hub.write_names(entries.as_deref(), after, &mut out)
            .map_err(|error| error.to_string())?;
        out.push('}');
        Ok(text(out))
    }

    fn change(
        &self,
        id: &str,
        op: &str,
        hub: &mut Hub,
        (list, delivery): (ListId, Delivery),
    ) -> Result<Reply, String> {
        let subscribe = op == "subscribe";
        let has_way = self.every.is_some() || self.batch.is_some();
        let entries: Vec<JsonText<'_>> = match self.symbols {
            // A request may change the delivery alone.
            None if subscribe && has_way => Vec::new(),
            symbols => read(symbols, "symbols", SYMBOLS)?,
        };
        let delivery = if subscribe {
            self.delivery(delivery)?
        } else {
            delivery
        };
        let list = hub
            .reselect(list, &entries, subscribe)
            .map_err(|error| error.to_string())?;
        let mut out = format!(r#"{{"op":"{op}","id":{id}"#);
        hub.describe(list, &mut out);
        if let Some(every) = delivery.every {
            out.push_str(&format!(r#","every":"{}ms""#, every.as_millis()));
        }
        if delivery.batches {
            out.push_str(r#","batch":true"#);
        }
        out.push('}');
        let change = Some(Change { list, delivery });
        Ok(Reply {
            change,
            ..text(out)
        })
    }

    fn delivery(&self, known: Delivery) -> Result<Delivery, String> {
        let every = match self.every {
            None => known.every,
            every => {
                let every: Option<JsonText<'_>> = read(
                    every,
                    "every",
                    r#"a time such as "1s", or null for every tick"#,
                )?;
                every
                    .map(|JsonText(every)| parse_every(&every))
                    .transpose()?
            }
        };
        let batches = match self.batch {
            None => known.batches,
            batch => read(batch, "batch", "true or false")?,
        };
        Ok(Delivery { every, batches })
    }
}

/// Parses how often a client wants the newest ticks.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse_every(text: &str) -> Result<Duration, String> {
    let every = cli::period(text)
        .map_err(|_| format!("invalid every '{text}': expected a time such as 1s or 250ms"))?;
    if !(PERIOD_MIN..=PERIOD_MAX).contains(&every) {
        return Err(format!(
            "invalid every '{text}': expected {PERIOD_MIN:?} to {PERIOD_MAX:?}"
        ));
    }
    Ok(rounded(every))
}

/// Parses one member; `wanted` says what it must be. A JSON null is a value like any other.
fn read<'a, T: Deserialize<'a>>(
    member: Option<&'a RawValue>,
    name: &str,
    wanted: &str,
) -> Result<T, String> {
    let member = member.ok_or_else(|| format!("missing {name}: expected {wanted}"))?;
    serde_json::from_str(member.get()).map_err(|_| format!("invalid {name}: expected {wanted}"))
}

fn text(text: String) -> Reply {
    Reply {
        text: text.into_bytes(),
        change: None,
    }
}

/// Frames an error that does not answer a request.
pub(crate) fn notice(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::text(&mut out, &error("null", message).text);
    out
}

fn error(id: &str, message: &str) -> Reply {
    let message = serde_json::Value::from(message);
    text(format!(r#"{{"op":"error","id":{id},"message":{message}}}"#))
}

const OPS: &str = r#"one of "get", "list", "ping", "subscribe" and "unsubscribe""#;

/// As much of an unknown op as an error repeats, in characters.
const OP_SHOWN_MAX: usize = 64;

const SYMBOLS: &str = "a list of names and patterns of symbols";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{self, Price, Tick};
    use serde_json::Value;
    use std::time::Instant;

    fn hub() -> Hub {
        let symbols = ["A/USD", "B/USD", "B/EUR"].map(String::from).to_vec();
        let mut hub = Hub::new(symbols, 4096, 1 << 20).unwrap();
        let price = Price::parse("1.50").unwrap();
        hub.publish(&Tick::new("A/USD", price, 5), Instant::now());
        hub
    }

    fn reply(text: &str) -> String {
        let mut hub = hub();
        let list = hub.select_everything().unwrap();
        let reply = answer(text, &mut hub, list, Delivery::default());
        String::from_utf8(reply.text).unwrap()
    }

    #[test]
    fn a_get_returns_the_newest_tick_and_the_id() {
        let reply = reply(r#"{"op":"get","symbol":"A/USD","id":7}"#);
        assert!(
            reply.starts_with(r#"{"symbol":"A/USD","price":1.50,"timestamp":5,"seq":1,"sent":"#)
        );
        assert!(reply.ends_with(r#","id":7}"#));
    }

    #[test]
    fn a_ping_returns_the_time() {
        let before = tick::unix_us();
        let pong: Value = serde_json::from_str(&reply(r#"{"op":"ping"}"#)).unwrap();
        assert_eq!(
            (pong["op"].as_str(), &pong["id"]),
            (Some("pong"), &Value::Null)
        );
        assert!((before..=tick::unix_us()).contains(&pong["time"].as_u64().unwrap()));
    }

    #[test]
    fn list_names_all_symbols_or_the_requested_ones() {
        for (text, names) in [
            (r#"{"op":"list","id":1}"#, r#"["A/USD","B/USD","B/EUR"]"#),
            (
                r#"{"op":"list","id":1,"symbols":["B/*"]}"#,
                r#"["B/USD","B/EUR"]"#,
            ),
            (
                r#"{"op":"list","id":1,"symbols":["B/EUR","*/USD"]}"#,
                r#"["A/USD","B/USD","B/EUR"]"#,
            ),
            (r#"{"op":"list","id":1,"symbols":[]}"#, "[]"),
        ] {
            assert_eq!(
                reply(text),
                format!(r#"{{"op":"list","id":1,"symbols":{names}}}"#)
            );
        }
    }

    #[test]
    fn a_long_list_of_names_takes_several_requests() {
        let names: Vec<_> = (0..12_000).map(|number| format!("S{number}/USD")).collect();
        let mut hub = Hub::new(names.clone(), 4096, 1 << 20).unwrap();
        hub.delist("S5/USD", Instant::now());
        let all = hub.select_everything().unwrap();
        let (mut got, mut after) = (Vec::new(), String::new());
        loop {
            let text = format!(r#"{{"op":"list","symbols":["*/USD"]{after}}}"#);
            let reply = answer(&text, &mut hub, all, Delivery::default()).text;
            assert!(reply.len() < (64 << 10) + 200, "{}", reply.len());
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            let some = reply["symbols"].as_array().unwrap();
            got.extend(some.iter().map(|name| name.as_str().unwrap().to_owned()));
            let Some(more) = reply["more"].as_u64() else {
                break;
            };
            assert_eq!(more as usize + got.len(), names.len() - 1);
            after = format!(r#","after":"{}""#, got[got.len() - 1]);
        }
        assert!(got.iter().eq(names.iter().filter(|name| *name != "S5/USD")));
        let text = r#"{"op":"list","after":"X/USD"}"#;
        let reply = answer(text, &mut hub, all, Delivery::default()).text;
        assert!(String::from_utf8_lossy(&reply).contains("unknown symbol 'X/USD'"));
    }

    #[test]
    fn subscriptions_answer_with_the_new_list() {
        for (text, now) in [
            (
                r#"{"op":"subscribe","symbols":["B/USD"],"id":"x"}"#,
                r#"{"op":"subscribe","id":"x","count":3,"symbols":["*"]}"#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["A/USD","A/USD"]}"#,
                r#"{"op":"unsubscribe","id":null,"count":2,"symbols":["*"],"except":["A/USD"]}"#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["*/USD"]}"#,
                r#"{"op":"unsubscribe","id":null,"count":1,"symbols":["*"],"except":["*/USD"]}"#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["*"]}"#,
                r#"{"op":"unsubscribe","id":null,"count":0,"symbols":[]}"#,
            ),
            (
                r#"{"op":"subscribe","every":"1234ms","batch":true}"#,
                r#"{"op":"subscribe","id":null,"count":3,"symbols":["*"],"every":"1200ms","batch":true}"#,
            ),
        ] {
            assert_eq!(reply(text), now, "{text}");
        }
    }

    #[test]
    fn names_and_patterns_build_a_list_step_by_step() {
        let mut hub = hub();
        let mut list = hub.select(&["A/USD"]).unwrap();
        let mut delivery = Delivery::default();
        for (text, now) in [
            (
                r#"{"op":"subscribe","symbols":["B/*"]}"#,
                r#""count":3,"symbols":["B/*","A/USD"]"#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["B/EUR"]}"#,
                r#""count":2,"symbols":["B/*","A/USD"],"except":["B/EUR"]"#,
            ),
            (
                r#"{"op":"subscribe","symbols":["B/*"],"every":"1s"}"#,
                r#""count":3,"symbols":["B/*","A/USD"],"every":"1000ms""#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["B/*"]}"#,
                r#""count":1,"symbols":["A/USD"],"every":"1000ms""#,
            ),
            (
                r#"{"op":"subscribe","every":null}"#,
                r#""count":1,"symbols":["A/USD"]"#,
            ),
            (
                r#"{"op":"unsubscribe","symbols":["A/USD"]}"#,
                r#""count":0,"symbols":[]"#,
            ),
            (
                r#"{"op":"subscribe","symbols":["*"]}"#,
                r#""count":3,"symbols":["*"]"#,
            ),
        ] {
            let reply = answer(text, &mut hub, list, delivery);
            let change = reply.change.unwrap();
            hub.give_back(list);
            (list, delivery) = (change.list, change.delivery);
            let reply = String::from_utf8(reply.text).unwrap();
            assert!(reply.ends_with(&format!("{now}}}")), "{text}: {reply}");
        }
        hub.give_back(list);
        assert_eq!(hub.counts().1, 0);
    }

    #[test]
    fn an_id_of_any_type_is_returned_unchanged() {
        for id in [
            "1e999",
            r#""\ud800""#,
            "[[1,{\"a\":2}]]",
            "12345678901234567890123",
            r#""a\"b""#,
        ] {
            let reply = reply(&format!(r#"{{"op":"ping","id":{id}}}"#));
            assert!(reply.contains(&format!(r#","id":{id},"#)), "{reply}");
        }
    }

    #[test]
    fn an_error_names_the_mistake_and_the_remedy() {
        const NO_OBJECT: &str = "invalid request: expected a JSON object";
        for (text, message) in [
            ("", NO_OBJECT),
            ("[]", NO_OBJECT),
            ("null", NO_OBJECT),
            (
                r#"{"op":"get""#,
                "invalid request: expected a JSON object (EOF while parsing an object",
            ),
            (r#"["ping",1,"A",[]]"#, NO_OBJECT),
            ("{}", "missing op: expected one of"),
            (r#"{"op":1}"#, "invalid op: expected one of"),
            (r#"{"op":"buy"}"#, "unknown op 'buy': expected one of"),
            (r#"{"op":"get"}"#, "missing symbol: expected"),
            (
                r#"{"op":"get","symbol":"C/GBP"}"#,
                "unknown symbol 'C/GBP', there are: A/USD, B/USD, B/EUR",
            ),
            (
                r#"{"op":"get","symbol":"B/GBP"}"#,
                "unknown symbol 'B/GBP', similar are: B/USD, B/EUR",
            ),
            (r#"{"op":"get","symbol":"B/EUR"}"#, "no tick yet"),
            (
                r#"{"op":"get","symbol":"a/usd"}"#,
                "unknown symbol 'a/usd', similar are: A/USD",
            ),
            (
                r#"{"op":"subscribe","symbols":"A/USD"}"#,
                "invalid symbols: expected a list",
            ),
            (
                r#"{"op":"subscribe","symbols":["A/U*"]}"#,
                "invalid pattern 'A/U*': a * stands",
            ),
            (r#"{"op":"subscribe"}"#, "missing symbols: expected"),
            (
                r#"{"op":"subscribe","symbols":[],"every":"1ms"}"#,
                "invalid every '1ms': expected 10ms to 3600s",
            ),
            (
                r#"{"op":"subscribe","symbols":[],"every":5}"#,
                "invalid every: expected a time",
            ),
            (
                r#"{"op":"subscribe","batch":"yes"}"#,
                "invalid batch: expected true or false",
            ),
            (r#"{"op":"ping","op":"ping"}"#, "duplicate field"),
        ] {
            let answer: Value = serde_json::from_str(&reply(text)).unwrap();
            let found = answer["message"].as_str().unwrap();
            assert!(
                answer["op"] == "error" && found.contains(message),
                "{text}: {found}"
            );
            assert!(!found.contains("struct"), "{found}");
        }
        assert!(reply(r#"{"op":"buy","id":[3]}"#).contains(r#""id":[3]"#));
        let deep = format!(
            r#"{{"op":"ping","id":{}{}}}"#,
            "[".repeat(2000),
            "]".repeat(2000)
        );
        assert!(reply(&deep).contains("pong"));
    }
}
