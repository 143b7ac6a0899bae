//! An edge without prices says why: in its log, once for each reason, and at `/readyz`.

use rustix::process::Signal;
use testkit::{NatsServer, ServerProcess};

use crate::outsider::Outsider;
use crate::scene::{Member, broker};

fn edge(url: &str) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_server"), &["--source", url])
}

/// Waits for the warning, and looks for its words at `/readyz`.
fn says(edge: &mut ServerProcess, words: &str) {
    edge.wait_for(words);
    let page = edge.get("/readyz");
    assert!(page.contains("503") && page.contains(words), "{page}");
}

#[test]
fn a_log_that_does_not_exist_is_named_until_an_origin_makes_it() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let mut edge = edge(&url);
    says(&mut edge, "there is no log 'prices': check the NAME");
    let _leader = Member::leader(&url, &[]);
    edge.wait_for("prices come from the log again");
    assert_eq!(edge.lines("there is no log"), 1, "{}", edge.log());
    assert!(edge.get("/readyz").contains("200 OK"));
}

#[test]
fn an_edge_that_may_not_ask_for_the_reason_still_has_one() {
    let config = "authorization { users: [ { user: me, password: x, permissions: {
        publish: [\"$JS.API.DIRECT.GET.prices\"], subscribe: [\"prices.live.>\", \"_INBOX.>\"] } } ] }";
    let Some(broker) = NatsServer::start(config) else {
        return;
    };
    let url = broker.url("prices").replace("nats://", "nats://me:x@");
    let mut edge = edge(&url);
    // Old servers leave a request for a log that is not there without an answer.
    edge.wait_for("no prices: ");
    let page = edge.get("/readyz");
    assert!(
        page.contains("the log") || page.contains("no log"),
        "{page}"
    );
    assert_eq!(edge.lines("may not"), 0, "{}", edge.log());
}

#[test]
fn a_broker_without_jetstream_is_named() {
    let Some(broker) = NatsServer::without_jetstream("") else {
        return;
    };
    let mut edge = edge(&broker.url("prices"));
    says(
        &mut edge,
        "no JetStream here: start nats-server with --jetstream",
    );
}

#[test]
fn a_stream_of_somebody_else_is_named() {
    let Some((broker, url)) = broker() else {
        return;
    };
    Outsider::connect(&broker).make_foreign_stream("prices");
    let mut edge = edge(&url);
    says(&mut edge, "the stream 'prices' is not a log of tickertape");
}

#[test]
fn a_log_that_nobody_writes_is_named() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    leader.wait_for_ticks(5);
    leader.server.signal(Signal::KILL);
    let mut edge = edge(&url);
    says(&mut edge, "no origin writes to the log 'prices'");
}

#[test]
fn an_edge_that_had_prices_says_so_too() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let mut edge = Member::edge(&url, &[]);
    leader.server.signal(Signal::KILL);
    says(&mut edge.server, "no origin writes to the log 'prices'");
}
