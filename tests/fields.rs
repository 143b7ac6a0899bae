//! Ticks with fields (`--fields`): through the simulation, recording and replay, in whatever way a
//! client gets them, and in the client that measures.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Output};

use serde_json::{Map, Value};
use testkit::{ServerProcess, TempDir};
use tungstenite::{Message, WebSocket};

const ALL: &str = "bid,ask,volume,quote_volume,change,high,low,open";

type Object = Map<String, Value>;

fn server(arguments: &[&str]) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_server"), arguments)
}

fn join(server: &ServerProcess, query: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/{query}", server.address);
    tungstenite::client(url, server.connect()).unwrap().0
}

fn text(client: &mut WebSocket<TcpStream>) -> String {
    loop {
        if let Message::Text(text) = client.read().unwrap() {
            return text.to_string();
        }
    }
}

fn object(text: &str) -> Object {
    serde_json::from_str(text).unwrap()
}

/// The names of a tick's members, in their order.
fn members(text: &str) -> Vec<String> {
    let named = text.split(",\"").skip(1);
    named
        .map(|member| member.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn ticks_have_the_members_that_were_asked_for_and_no_others() {
    for (fields, between) in [
        (&["--fields", ALL][..], ALL),
        (&["--fields", "low,bid"], "bid,low"),
    ] {
        let server = server(fields);
        let tick = text(&mut join(&server, ""));
        let expected = format!("price,timestamp,{between},seq,sent");
        assert_eq!(members(&tick).join(","), expected, "{tick}");
    }
    let plain = text(&mut join(&server(&[]), ""));
    assert_eq!(members(&plain).join(","), "price,timestamp,seq,sent");
}

#[test]
fn every_way_to_get_a_tick_brings_its_fields() {
    let server = server(&[
        "--fields",
        "bid,ask",
        "--interval",
        "20ms",
        "--tape",
        "64KiB",
    ]);
    let has_fields = |tick: &Object| tick.contains_key("bid") && tick.contains_key("ask");
    let mut client = join(&server, "");
    let snapshot = object(&text(&mut client));
    assert!(has_fields(&snapshot) && has_fields(&object(&text(&mut client))));
    let since = format!("?since={}", snapshot["sent"]);
    assert!(has_fields(&object(&text(&mut join(&server, &since)))));
    let mut thinned = join(&server, "?every=50ms");
    text(&mut thinned);
    assert!(has_fields(&object(&text(&mut thinned))));
    let list: Vec<Object> = serde_json::from_str(&text(&mut join(&server, "?batch"))).unwrap();
    assert!(list.iter().all(has_fields));
    client
        .send(Message::text(r#"{"op":"get","symbol":"BTC/USDT","id":7}"#))
        .unwrap();
    let reply = loop {
        let message = object(&text(&mut client));
        if message.contains_key("id") {
            break message;
        }
    };
    assert!(has_fields(&reply));
}

#[test]
fn a_recording_keeps_fields_and_a_replay_has_those_that_are_asked_for() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ticks.ndjson");
    let path = file.to_str().unwrap();
    let recording = server(&[
        "--fields",
        "bid,volume",
        "--interval",
        "10ms",
        "--record",
        path,
    ]);
    let mut client = join(&recording, "");
    let sent: Vec<String> = (0..20).map(|_| text(&mut client)).collect();
    drop(recording);
    let recorded = fs::read_to_string(&file).unwrap();
    // The last ones may not have been written yet.
    let recorded: Vec<&str> = recorded.lines().collect();
    assert!(
        recorded
            .iter()
            .filter(|line| sent.iter().any(|sent| sent == *line))
            .count()
            > 5
    );

    let source = format!("replay:{path}");
    for (wanted, expected) in [
        (
            &["--fields", "volume,high"][..],
            "price,timestamp,volume,seq,sent",
        ),
        (
            &["--fields", "bid,volume"],
            "price,timestamp,bid,volume,seq,sent",
        ),
        (&[], "price,timestamp,seq,sent"),
    ] {
        let replay = server(&[&["--source", &source], wanted].concat());
        let tick = text(&mut join(&replay, ""));
        assert_eq!(members(&tick).join(","), expected);
        let (tick, first) = (object(&tick), recorded.iter().map(|line| object(line)));
        let original = first
            .into_iter()
            .find(|other| other["timestamp"] == tick["timestamp"]);
        let original = original.unwrap();
        for name in ["price", "bid", "volume"] {
            assert!(tick.get(name).is_none_or(|value| *value == original[name]));
        }
    }
}

#[test]
fn a_recording_without_fields_is_replayed_without_them() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ticks.ndjson");
    fs::write(
        &file,
        "{\"symbol\":\"A/B\",\"price\":1.50,\"timestamp\":1}\n",
    )
    .unwrap();
    let source = format!("replay:{}", file.display());
    let replay = server(&["--source", &source, "--fields", ALL]);
    let tick = text(&mut join(&replay, ""));
    assert_eq!(members(&tick).join(","), "price,timestamp,seq,sent");
    assert!(
        replay.log().contains("it has no bid, ask, volume"),
        "{}",
        replay.log()
    );
}

#[test]
fn the_client_measures_and_prints_ticks_with_fields() {
    let server = server(&[
        "--fields",
        ALL,
        "--symbols",
        "BTC/USDT,ETH/USDT",
        "--interval",
        "10ms",
    ]);
    let url = format!("ws://{}/", server.address);
    let client = |more: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        let arguments = ["--url", &url, "--duration", "300ms", "--clients", "2"];
        command.args(arguments).args(more).output().unwrap()
    };
    for more in [
        &["--json"][..],
        &["--json", "--batch"],
        &["--json", "--every", "50ms"],
    ] {
        let output = client(more);
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["ticks"].as_u64().unwrap() > 10, "{report}");
        let odd =
            ["other_messages", "not_json_messages", "gaps", "missed"].map(|name| &report[name]);
        assert!(odd.iter().all(|count| **count == 0), "{report}");
        assert_eq!(report["errors"]["total"], 0, "{report}");
    }
    let output = client(&["--print"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = format!("price,timestamp,{ALL},seq,sent");
    assert!(printed.lines().count() > 10);
    assert!(
        printed
            .lines()
            .all(|line| members(line).join(",") == expected),
        "{printed}"
    );
}

#[test]
fn an_invalid_list_is_refused_with_the_names_that_are_possible() {
    for (list, expected) in [
        (
            "bid,aks",
            "--fields: unknown field 'aks', did you mean ask? Expected some of bid, ask, ",
        ),
        ("bid,bid", "--fields: 'bid' is listed twice"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        let output = command.args(["--fields", list]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(error.starts_with(&format!("error: {expected}")), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
