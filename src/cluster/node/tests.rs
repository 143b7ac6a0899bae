//! What a node does about announcements that the log does not bear out, and about connections.

use super::*;

fn origin() -> Node {
    Node::origin(OriginSettings {
        id: "a".to_owned(),
        takeover_after: Duration::from_secs(3),
        lists_later: false,
        wall_us: || 1,
    })
}

/// Answers what a node asks of a broker that has no log.
fn find_no_log(node: &mut Node, now: Instant) {
    for command in node.take_commands() {
        if let Command::GetLast { look, subject } = command {
            let found = None;
            node.take(
                Input::GotLast {
                    look,
                    subject,
                    found,
                },
                now,
            );
        }
    }
}

#[test]
fn each_connection_inspects_the_log_again() {
    let now = Instant::now();
    let mut node = origin();
    for _ in 0..3 {
        node.take(Input::Connected, now);
        find_no_log(&mut node, now);
        assert_eq!(node.take_commands(), [Command::Inspect]);
        // The connection ends with the answer still due.
        node.take(Input::Disconnected, now);
    }
    node.take(Input::Connected, now);
    find_no_log(&mut node, now);
    assert_eq!(node.take_commands(), [Command::Inspect]);
    node.take(Input::Unanswered(Request::Inspect), now);
    let later = now + Duration::from_secs(1);
    node.advance(later, &|_| None);
    find_no_log(&mut node, later);
    assert_eq!(node.take_commands(), [Command::Inspect]);
}
