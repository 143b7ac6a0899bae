//! What `/metrics` counts.

use rustix::process::Signal;

use crate::scene::{Member, broker};

const FETCHED: &str = "tickertape_broker_fetched_total";
const SENT: &str = r#"tickertape_broker_bytes_total{direction="out"}"#;
const RECEIVED: &str = r#"tickertape_broker_bytes_total{direction="in"}"#;

#[test]
fn all_bytes_to_and_from_the_broker_are_counted() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    leader.wait_for_ticks(100);
    let edge = Member::edge(&url, &[]);
    // An edge writes no messages, but it asks for some, each in more than 50 bytes.
    assert!(edge.server.metric(SENT) > 500);
    let length = |member: &Member| member.recording().concat().len() as u64;
    assert!(edge.server.metric(RECEIVED) > length(&edge));
    assert!(leader.server.metric(SENT) > length(&leader));
}

#[test]
fn only_messages_that_should_have_come_by_themselves_count_as_fetched() {
    let Some((mut broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &["--takeover-after", "60s"]);
    leader.wait_for_ticks(100);
    let edge = Member::edge(&url, &[]);
    edge.wait_for_ticks(20);
    assert_eq!(edge.server.metric(FETCHED), 0);
    // The leader connects again at once, and the edge only when it goes on.
    edge.server.signal(Signal::STOP);
    broker.stop();
    broker.restart();
    leader.wait_for_ticks(100);
    edge.server.signal(Signal::CONT);
    edge.wait_for_ticks(100);
    leader.wait_for_common(&edge, 200);
    assert!(edge.server.metric(FETCHED) > 0, "{}", edge.server.log());
}
