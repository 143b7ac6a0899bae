//! Somebody publishes where only the log does: nothing of that reaches a tape, and nobody loses its
//! place.

use crate::outsider::Outsider;
use crate::scene::{Member, broker};

const FORGED: &str = "{\"tape\":\"ticks\",\"term\":1,\"n\":1}\n\
    {\"symbol\":\"FORGED/USDT\",\"price\":1,\"timestamp\":1,\"seq\":1,\"sent\":1}\n";

/// The headers of a message that the log has published again.
fn headers<'a>(stream: &'a str, subject: &'a str, seq: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("Nats-Stream", stream),
        ("Nats-Subject", subject),
        ("Nats-Sequence", seq),
    ]
}

#[test]
fn messages_without_the_headers_of_the_log_are_dropped_and_counted() {
    let Some((broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let mut edge = Member::edge(&url, &[]);
    let mut outsider = Outsider::connect(&broker);
    outsider.publish("prices.live.ticks", &[], FORGED);
    for (stream, subject, seq) in [
        ("other", "prices.ticks", "5000"),
        ("prices", "prices.key", "5000"),
        ("prices", "prices.ticks", "x"),
    ] {
        outsider.publish("prices.live.ticks", &headers(stream, subject, seq), FORGED);
    }
    outsider.publish(
        "prices.live.else",
        &headers("prices", "prices.else", "5000"),
        FORGED,
    );
    edge.server.wait_for("that the log prices did not publish");
    let name = "tickertape_broker_foreign_messages_total";
    edge.server.wait_for_metric(name, |count| count == 5);
    keeps_its_place(&leader, &edge);
}

fn keeps_its_place(leader: &Member, edge: &Member) {
    edge.wait_for_ticks(50);
    leader.wait_for_common(edge, 50);
    for member in [leader, edge] {
        let server = &member.server;
        assert!(
            !member
                .recording()
                .iter()
                .any(|line| line.contains("FORGED"))
        );
        assert_eq!(server.metric("tickertape_broker_gaps_total"), 0);
        assert_eq!(server.metric("tickertape_broker_lost_logs_total"), 0);
    }
    assert_eq!(leader.server.metric("tickertape_broker_deposed_total"), 0);
    assert_eq!(edge.server.lines("reading what the origin"), 1);
}
#[test]
fn a_number_that_the_log_does_not_have_costs_nobody_its_place() {
    let Some((broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let edge = Member::edge(&url, &[]);
    let mut outsider = Outsider::connect(&broker);
    for seq in ["1000000", "9007199254740993", "18446744073709551615"] {
        let headers = headers("prices", "prices.ticks", seq);
        outsider.publish("prices.live.ticks", &headers, FORGED);
    }
    // The log is asked for what is missing until that has lasted too long.
    edge.wait_for_ticks(800);
    keeps_its_place(&leader, &edge);
}
