//! A missing right is named: at the start by an error, later by warnings and at `/readyz`.

use testkit::{NatsServer, PATIENCE};

use crate::errors::failure;
use crate::scene::Member;

const ORIGIN: &[&str] = &[
    "prices.ticks",
    "prices.key",
    "$JS.API.STREAM.CREATE.prices",
    "$JS.API.STREAM.INFO.prices",
    "$JS.API.DIRECT.GET.prices",
];
const EDGE: &[&str] = &["$JS.API.DIRECT.GET.prices", "$JS.API.STREAM.INFO.prices"];
const BOTH: &[&str] = &["prices.live.>", "_INBOX.>"];

/// The permissions of `me`, without those that match `lacking`.
fn permissions(publish: &[&str], subscribe: &[&str], lacking: &str) -> String {
    let list = |subjects: &[&str]| {
        let subjects = subjects.iter().filter(|subject| **subject != lacking);
        let subjects: Vec<_> = subjects.map(|subject| format!("\"{subject}\"")).collect();
        subjects.join(", ")
    };
    format!(
        "{{ publish: [{}], subscribe: [{}] }}",
        list(publish),
        list(subscribe)
    )
}

/// Users of a broker: an `origin` with all rights, and `me`.
fn users(mine: &str) -> String {
    let all = permissions(ORIGIN, BOTH, "");
    format!(
        "authorization {{ users: [ {{ user: origin, password: x, permissions: {all} }}
         {{ user: me, password: x, permissions: {mine} }} ] }}"
    )
}

fn url(broker: &NatsServer, user: &str) -> String {
    let user = format!("nats://{user}:x@");
    broker.url("prices").replace("nats://", &user)
}

/// Looks whether a server ends that lacks each of these rights in turn.
fn names_each(option: &str, publish: &[&str], needed: &[&str]) {
    for lacking in needed.iter().chain(BOTH) {
        let users = users(&permissions(publish, BOTH, lacking));
        let Some(broker) = NatsServer::start(&users) else {
            return;
        };
        // The log is there already, or has to be made.
        let _leader = (option == "--source").then(|| Member::leader(&url(&broker, "origin"), &[]));
        let (status, line) = failure(&[option, &url(&broker, "me")]);
        assert_eq!(status, Some(1), "{line}");
        let right = if BOTH.contains(lacking) {
            "subscribe"
        } else {
            "publish"
        };
        let expected = format!("this user may not {right} to {lacking}: add");
        assert!(line.contains(&expected), "{line}");
    }
}

#[test]
fn an_origin_that_lacks_a_right_ends_and_names_it() {
    let needed = [ORIGIN[0], ORIGIN[1], ORIGIN[2], ORIGIN[4]];
    names_each("--publish", ORIGIN, &needed);
}

#[test]
fn an_edge_that_lacks_a_right_ends_and_names_it() {
    names_each("--source", EDGE, &EDGE[..1]);
}

#[test]
fn a_standby_that_may_not_write_ends_before_it_is_needed() {
    let users = users(&permissions(ORIGIN, BOTH, "prices.ticks"));
    let Some(broker) = NatsServer::start(&users) else {
        return;
    };
    let _leader = Member::leader(&url(&broker, "origin"), &[]);
    let (status, line) = failure(&["--publish", &url(&broker, "me")]);
    assert_eq!(status, Some(1));
    assert!(line.contains("may not publish to prices.ticks"), "{line}");
}

#[test]
fn a_right_that_is_taken_away_is_named_until_it_is_given_back() {
    let whole = permissions(EDGE, BOTH, "");
    let Some(mut broker) = NatsServer::start(&users(&whole)) else {
        return;
    };
    let _leader = Member::leader(&url(&broker, "origin"), &[]);
    let mut edge = Member::edge(&url(&broker, "me"), &[]);
    let lacking = permissions(EDGE, BOTH, "prices.live.>");
    broker.reload(&users(&whole), &users(&lacking));
    edge.server.wait_for("may not subscribe to prices.live.>");
    let page = edge.server.get("/readyz");
    assert!(
        page.contains("503") && page.contains("may not subscribe to prices.live.>"),
        "{page}"
    );
    broker.reload(&users(&lacking), &users(&whole));
    edge.server.wait_for("prices come from the log again");
    let until = std::time::Instant::now() + PATIENCE;
    while !edge.server.get("/readyz").contains("200 OK") {
        assert!(std::time::Instant::now() < until, "{}", edge.server.log());
    }
}
