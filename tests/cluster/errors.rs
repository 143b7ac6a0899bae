//! What cannot work ends with one sentence.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use testkit::{NatsServer, PATIENCE, ServerProcess};

use crate::outsider::Outsider;
use crate::scene::{Member, broker};

/// The last line of a server that ends by itself, and its exit status.
pub(crate) fn failure(arguments: &[&str]) -> (Option<i32>, String) {
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
        line.contains("no JetStream here: start nats-server with --jetstream"),
        "{line}"
    );
}

#[test]
fn a_stream_of_somebody_else_is_named() {
    let Some((broker, url)) = broker() else {
        return;
    };
    Outsider::connect(&broker).make_foreign_stream("prices");
    let (status, line) = failure(&["--publish", &url]);
    assert_eq!(status, Some(1));
    assert!(
        line.contains("the stream 'prices' is not a log of tickertape"),
        "{line}"
    );
    assert!(
        line.contains("subjects (expected prices.key and prices.ticks)"),
        "{line}"
    );
}

#[test]
fn a_single_server_that_is_asked_for_three_copies_says_what_to_change() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let (status, line) = failure(&["--publish", &format!("{url}?replicas=3")]);
    assert_eq!(status, Some(1));
    assert!(
        line.contains("put ?replicas=1 at the end of the URL"),
        "{line}"
    );
}

#[test]
fn another_server_of_the_list_will_do() {
    let config = "authorization { user: me, password: other }";
    let (Some(strict), Some(plain), Some(good)) = (
        NatsServer::start(config),
        NatsServer::without_jetstream(""),
        NatsServer::start(""),
    ) else {
        return;
    };
    let (strict, plain, good) = (&strict.address, &plain.address, &good.address);
    let url = format!("nats://me:mine@{strict},{plain},{good}/prices?replicas=1");
    // They are tried in any order.
    for _ in 0..3 {
        Member::leader(&url, &["--takeover-after", "1500ms"]);
    }
    let leader = Member::leader(&url, &["--takeover-after", "1500ms"]);
    let edge = Member::edge(&url, &[]);
    edge.wait_for_ticks(5);
    assert!(leader.server.get("/readyz").contains("200 OK"));
}

#[test]
fn when_no_server_of_the_list_will_do_each_says_why() {
    let config = "authorization { user: me, password: other }";
    let (Some(strict), Some(plain)) =
        (NatsServer::start(config), NatsServer::without_jetstream(""))
    else {
        return;
    };
    let url = format!("nats://me:mine@{},{}/prices", strict.address, plain.address);
    let (status, line) = failure(&["--publish", &url]);
    assert_eq!(status, Some(1));
    assert!(line.contains("Authorization Violation"), "{line}");
    assert!(line.contains("no JetStream here"), "{line}");
}

#[test]
fn a_server_that_is_full_is_asked_again() {
    let Some(broker) = NatsServer::start("max_connections: 1") else {
        return;
    };
    let mut other = TcpStream::connect(&broker.address).expect("it listens");
    other.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // It counts as a client once it has been greeted.
    other.read_exact(&mut [0; 5]).expect("INFO");
    let url = broker.url("prices");
    let mut edge = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &["--source", &url]);
    edge.wait_for("maximum connections exceeded");
    drop(other);
    edge.wait_for("connected to");
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
        page.contains("503") && page.contains("no prices from the log yet"),
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
            "--publish: a server either writes a log or reads one",
        ),
        (
            &["--publish", log, "--takeover-after", "200ms"],
            "--takeover-after: invalid time 200ms: expected at least 1.5s",
        ),
        (
            &["--takeover-after", "2s"],
            "--takeover-after: works with --publish, --source",
        ),
        (
            &["--source", log, "--takeover-after", "2s"],
            "--takeover-after: works with --publish only",
        ),
        (
            &["--source", log, "--interval", "1s"],
            "--interval: works at the origin only",
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
