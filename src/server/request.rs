//! Requests: the small JSON texts that a client may send, and their answers.
//!
//! A request that makes no sense gets an error answer and the connection stays. The `id` of a
//! request is never understood, only returned: it keeps its very bytes, whatever type it has.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::board::{Board, ChannelId, JoinError};

/// What a request leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// This text, and nothing else.
    Text(Vec<u8>),
    /// The client reads another set of symbols from now on; after this text.
    Move { to: ChannelId, text: Vec<u8> },
}

/// Any JSON object; what its fields hold is found out one by one, so that an error in one of them
/// still has the id.
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
}

/// Answers `text`, a request of a reader of `channel`.
pub(crate) fn answer(text: &str, board: &mut Board, channel: ChannelId) -> Reply {
    match serde_json::from_str::<Raw<'_>>(text) {
        // serde would take a list for the fields in their order.
        Ok(_) if !text.trim_start().starts_with('{') => error("null", "not a JSON object"),
        Ok(request) => {
            let id = request.id.map_or("null", RawValue::get);
            request
                .follow(id, board, channel)
                .unwrap_or_else(|message| error(id, &message))
        }
        Err(cause) => error("null", &format!("not a JSON object as expected: {cause}")),
    }
}

impl Raw<'_> {
    fn follow(&self, id: &str, board: &mut Board, channel: ChannelId) -> Result<Reply, String> {
        let op: Cow<'_, str> = read(self.op, "op", OPS)?;
        match &*op {
            "ping" => {
                let time = board.wall_us();
                let text = format!(r#"{{"op":"pong","id":{id},"time":{time}}}"#);
                Ok(Reply::Text(text.into_bytes()))
            }
            "get" => self.get(id, board),
            "subscribe" | "unsubscribe" => self.change(id, &op, board, channel),
            _ => Err(format!("unknown op, it is {OPS}")),
        }
    }

    fn get(&self, id: &str, board: &Board) -> Result<Reply, String> {
        let symbol: Cow<'_, str> = read(self.symbol, "symbol", "the name of a symbol")?;
        let newest = board.newest(&symbol).map_err(|error| error.to_string())?;
        let (_, fields) = newest.split_last().ok_or("there has been no tick yet")?;
        Ok(Reply::Text(
            [fields, br#","id":"#, id.as_bytes(), b"}"].concat(),
        ))
    }

    fn change(
        &self,
        id: &str,
        op: &str,
        board: &mut Board,
        channel: ChannelId,
    ) -> Result<Reply, String> {
        let names: Vec<String> = read(self.symbols, "symbols", "a list of names of symbols")?;
        let to = board
            .rejoin(channel, &names, op == "subscribe")
            .map_err(|error: JoinError| error.to_string())?;
        let symbols: Vec<_> = board.names(to).collect();
        let symbols = serde_json::Value::from(symbols);
        let text = format!(r#"{{"op":"{op}","id":{id},"symbols":{symbols}}}"#);
        Ok(Reply::Move {
            to,
            text: text.into_bytes(),
        })
    }
}

/// Reads one field; `wanted` says what it must be.
fn read<'a, T: Deserialize<'a>>(
    field: Option<&'a RawValue>,
    name: &str,
    wanted: &str,
) -> Result<T, String> {
    let field = field.ok_or_else(|| format!("{name} is missing, it is {wanted}"))?;
    serde_json::from_str(field.get()).map_err(|_| format!("{name} is not {wanted}"))
}

fn error(id: &str, message: &str) -> Reply {
    let message = serde_json::Value::from(message);
    Reply::Text(format!(r#"{{"op":"error","id":{id},"message":{message}}}"#).into_bytes())
}

const OPS: &str = r#"one of "get", "ping", "subscribe" and "unsubscribe""#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{self, Price, Tick};
    use serde_json::Value;
    use std::time::Instant;

    fn board() -> Board {
        let mut board = Board::new(vec!["A".into(), "B".into()], 4096, 8);
        let price = Price::parse("1.50").unwrap();
        board.print(
            &Tick {
                symbol: "A".into(),
                price,
                timestamp: 5,
            },
            Instant::now(),
        );
        board
    }

    fn reply(text: &str) -> String {
        let mut board = board();
        let channel = board.join(None).unwrap();
        match answer(text, &mut board, channel) {
            Reply::Text(text) | Reply::Move { text, .. } => String::from_utf8(text).unwrap(),
        }
    }

    #[test]
    fn a_get_has_the_newest_tick_and_the_id() {
        let reply = reply(r#"{"op":"get","symbol":"A","id":7}"#);
        assert!(reply.starts_with(r#"{"symbol":"A","price":1.50,"timestamp":5,"seq":1,"sent":"#));
        assert!(reply.ends_with(r#","id":7}"#));
    }

    #[test]
    fn a_ping_has_the_time() {
        let before = tick::unix_us();
        let pong: Value = serde_json::from_str(&reply(r#"{"op":"ping"}"#)).unwrap();
        assert_eq!(
            (pong["op"].as_str(), &pong["id"]),
            (Some("pong"), &Value::Null)
        );
        assert!((before..=tick::unix_us()).contains(&pong["time"].as_u64().unwrap()));
    }

    #[test]
    fn subscriptions_answer_with_the_set_that_is_read_from_now_on() {
        let same = r#"{"op":"subscribe","id":"x","symbols":["A","B"]}"#;
        assert_eq!(
            reply(r#"{"op":"subscribe","symbols":["B"],"id":"x"}"#),
            same
        );
        let less = r#"{"op":"unsubscribe","id":null,"symbols":["B"]}"#;
        assert_eq!(reply(r#"{"op":"unsubscribe","symbols":["A","A"]}"#), less);
    }

    #[test]
    fn an_id_returns_as_it_came_whatever_it_is() {
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
    fn what_makes_no_sense_gets_an_error_that_says_what_would() {
        for (text, message) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"["ping",1,"A",[]]"#, "not a JSON object"),
            ("{}", "op is missing"),
            (r#"{"op":1}"#, "op is not one of"),
            (r#"{"op":"buy"}"#, "unknown op"),
            (r#"{"op":"get"}"#, "symbol is missing"),
            (
                r#"{"op":"get","symbol":"C"}"#,
                "unknown symbol 'C', there are: A, B",
            ),
            (r#"{"op":"get","symbol":"B"}"#, "there has been no tick yet"),
            (
                r#"{"op":"subscribe","symbols":"A"}"#,
                "symbols is not a list",
            ),
            (r#"{"op":"ping","op":"ping"}"#, "duplicate field"),
        ] {
            let answer: Value = serde_json::from_str(&reply(text)).unwrap();
            let found = answer["message"].as_str().unwrap();
            assert!(
                answer["op"] == "error" && found.contains(message),
                "{text}: {found}"
            );
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
