//! What cannot work ends with one sentence.

use std::process::{Command, Stdio};

use testkit::NatsServer;
use testkit::ServerProcess;

use crate::scene::broker;

/// The last line of a server that ends by itself, and its exit status.
fn failure(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0"]).args(arguments);
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("it starts");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = log.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

#[test]
fn a_wrong_password_is_named() {
    let config = "authorization { user: me, password: right }";
    let Some(broker) = NatsServer::start(config) else {
        return;
    };
    let url = broker.url("prices").replace("nats://", "nats://me:wrong@");
    for option in ["--source", "--publish"] {
        let (status, line) = failure(&[option, &url]);
        assert_eq!(status, Some(1));
        assert!(line.contains("Authorization Violation"), "{line}");
        assert!(!line.contains("wrong@"), "{line}");
    }
}

#[test]
fn a_broker_without_jetstream_is_named() {
    let Some(broker) = NatsServer::without_jetstream("") else {
        return;
    };
    let (status, line) = failure(&["--publish", &broker.url("prices")]);
    assert_eq!(status, Some(1));
    assert!(
        line.ends_with("has no JetStream: start it with -js, or name one that has"),
        "{line}"
    );
}

#[test]
fn before_there_is_an_origin_clients_are_told() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let mut edge = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &["--source", &url]);
    edge.wait_for("connected to");
    assert!(edge.get("/healthz").contains("200 OK"));
    let page = edge.get("/readyz");
    assert!(
        page.contains("503") && page.contains("no origin yet"),
        "{page}"
    );
    let url = format!("ws://{}/", edge.address);
    let refused = tungstenite::client(url, edge.connect())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("503"), "{refused}");
}

#[test]
fn options_that_do_not_fit_are_named() {
    let log = "nats://localhost/prices";
    for (arguments, expected) in [
        (
            &["--source", log, "--publish", log][..],
            "--publish: a server either writes",
        ),
        (
            &["--publish", log, "--takeover-after", "200ms"],
            "--takeover-after: invalid time 200ms: expected at least 1.5s",
        ),
        (
            &["--takeover-after", "2s"],
            "--takeover-after: works with --publish or",
        ),
        (
            &["--source", log, "--takeover-after", "2s"],
            "--takeover-after: works with --publish only",
        ),
        (
            &["--source", log, "--interval", "1s"],
            "--interval: the origin that writes the log",
        ),
        (
            &["--source", log, "--stale-after", "1s"],
            "--stale-after: works with live prices only",
        ),
        (&["--publish", "redis://localhost"], "--publish: "),
        (&["--source", "nats://localhost/a b"], "--source: "),
    ] {
        let (status, line) = failure(arguments);
        assert_eq!(status, Some(2), "{line}");
        assert!(line.contains(expected), "{line}");
    }
}
