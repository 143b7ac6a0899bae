use std::time::Duration;

use super::*;

#[test]
fn an_impossible_rate_ends_in_time() {
    let mut play = Play::new();
    play.outstanding.is_due(60_000_000_000);
    play.end(60_000);
    assert_eq!(play.replies.counters.unsent, 60_000_000_001);
    assert_eq!(play.replies.latency.len(), 60_000_000_001);
}

struct Play {
    began: Instant,
    outstanding: Outstanding,
    replies: Requests,
}

impl Play {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            outstanding: Outstanding::new(0, 100),
            replies: Requests::new(&histogram),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    /// Sends what is due at `ms`, one request every 10 ms.
    fn send(&mut self, ms: u64, limit: usize) {
        self.outstanding.is_due(ms / 10);
        while let Some(round) = self.outstanding.next(limit) {
            let (due, now) = (self.at(round * 10), self.at(ms));
            self.replies.sent(&mut self.outstanding, due, now, true);
        }
    }

    fn reply(&mut self, id: Option<&str>, ms: u64) -> bool {
        let now = self.at(ms);
        self.replies
            .reply(&mut self.outstanding, id, now, Reply::default())
    }

    fn end(&mut self, ms: u64) {
        let (began, now) = (self.began, self.at(ms));
        let due = |round| (began + Duration::from_millis(round * 10), true);
        self.replies.end(&self.outstanding, now, due);
    }
}

#[test]
fn a_reply_counts_from_the_due_time_of_its_request() {
    let mut play = Play::new();
    play.send(50, 100);
    for (id, ms) in [("\"102\"", 52), ("100", 51), ("101", 51), ("105", 60)] {
        assert!(play.reply(Some(id), ms));
    }
    assert!(!play.reply(Some("106"), 60) && !play.reply(Some("99"), 60));
    assert!(!play.reply(Some("null"), 60) && !play.reply(Some("-1"), 60));
    assert!(play.reply(Some("105"), 61), "once more");
    let replies = &play.replies;
    assert_eq!(
        (
            replies.counters.sent,
            replies.counters.replies,
            replies.counters.unexpected
        ),
        (6, 4, 1)
    );
    assert_eq!(replies.latency.max() / 100, 510, "100 was due at 0 ms");
    assert_eq!(replies.uncorrected.max() / 100, 100);
    assert_eq!(play.outstanding.first_id, 103);
}

#[test]
fn held_back_requests_keep_their_due_time() {
    let mut play = Play::new();
    play.send(0, 2);
    play.send(50, 2);
    assert_eq!(
        (play.replies.counters.sent, play.outstanding.next(9)),
        (2, Some(2))
    );
    assert!(play.reply(None, 50) && play.reply(None, 50));
    assert!(!play.reply(None, 50), "nothing was asked");
    play.send(50, 2);
    assert!(play.reply(None, 52));
    assert_eq!(play.replies.latency.count_between(31_000, 33_000), 1);
    play.end(60);
    let replies = &play.replies;
    assert_eq!(
        (
            replies.counters.missing,
            replies.counters.unsent,
            replies.unanswered
        ),
        (1, 2, 0)
    );
    assert_eq!((replies.latency.len(), replies.uncorrected.len()), (6, 3));
}

#[test]
fn a_lost_reply_is_given_up() {
    let mut play = Play::new();
    for round in 0..=UNANSWERED_MAX as u64 {
        play.send(round * 10, 10);
        if round > 0 {
            let id = (100 + round).to_string();
            assert!(play.reply(Some(&id), round * 10));
        }
    }
    assert_eq!(
        (play.replies.counters.missing, play.replies.unanswered),
        (1, 0)
    );
    assert_eq!(play.replies.counters.replies, UNANSWERED_MAX as u64);
    assert!(play.outstanding.pending.is_empty());
}
