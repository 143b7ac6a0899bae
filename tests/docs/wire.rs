//! The messages that the documents show are those that a server sends.

use std::collections::BTreeSet;
use std::net::TcpStream;

use serde_json::{Map, Value};
use testkit::ServerProcess;
use tungstenite::{Message, WebSocket};

use crate::markdown::{blocks_in, document};

type Client = WebSocket<TcpStream>;

fn join(server: &ServerProcess, query: &str) -> Client {
    let url = format!("ws://{}/{query}", server.address);
    tungstenite::client(url, server.connect()).unwrap().0
}

/// The next message that is as wanted.
fn next(client: &mut Client, wanted: impl Fn(&Map<String, Value>) -> bool) -> Map<String, Value> {
    loop {
        let text = client.read().unwrap().into_text().unwrap();
        match serde_json::from_str(&text) {
            Ok(Value::Object(message)) if wanted(&message) => return message,
            _ => {}
        }
    }
}

fn members(message: &Map<String, Value>) -> BTreeSet<String> {
    message.keys().cloned().collect()
}

fn first_tick(arguments: &[&str]) -> Map<String, Value> {
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_server"), arguments);
    next(&mut join(&server, ""), |_| true)
}

#[test]
fn ticks_and_events_have_the_members_that_are_shown() {
    let plain = first_tick(&[]);
    let rich = first_tick(&[
        "--fields",
        "bid,ask,volume,quote_volume,change,high,low,open",
    ]);
    let mut count = 0;
    for block in blocks_in("json") {
        for line in block.text.lines() {
            let place = &block.place;
            let shown: Map<String, Value> =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{place}: {error}"));
            let expected = match shown.get("event").and_then(Value::as_str) {
                None if shown.contains_key("bid") => members(&rich),
                None => members(&plain),
                Some("stale") => ["event", "symbol", "age"].map(String::from).into(),
                Some(_) => ["event", "symbol"].map(String::from).into(),
            };
            assert_eq!(members(&shown), expected, "{place}: {line}");
            count += 1;
        }
    }
    assert!(count > 2);
}

#[test]
fn every_request_in_the_table_gets_the_answer_in_the_table() {
    let symbols = "BTC/USDT,ETH/USDT,BTC/EUR";
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &["--symbols", symbols]);
    let protocol = document("docs/protocol.md");
    let rows = protocol.rows();
    let rows: Vec<_> = rows
        .iter()
        .filter(|(head, _)| head[0] == "request")
        .collect();
    for (_, cells) in &rows {
        let request = cells[0].split('`').nth(1).unwrap_or("anything else");
        let mut client = join(&server, "");
        client.send(Message::text(request)).unwrap();
        let reply = next(&mut client, |message| {
            message.contains_key("op") || message.contains_key("id")
        });
        for span in cells[1].split('`').skip(1).step_by(2) {
            let shown: Option<Map<String, Value>> = serde_json::from_str(span).ok();
            if let Some(shown) = shown {
                assert_eq!(members(&reply), members(&shown), "{request}");
                assert_eq!(reply.get("op"), shown.get("op"), "{request}");
            }
        }
        let is_error = reply.get("op").is_some_and(|op| op == "error");
        assert_eq!(is_error, request == "anything else", "{request}: {reply:?}");
    }
    assert!(rows.len() > 6);
}
