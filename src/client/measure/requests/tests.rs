use super::*;
use crate::client::config::pointer::Pointer;
use crate::client::config::template::{LENGTH_MAX, Template};
use crate::client::run::open_loop::Timetable;
use std::time::Duration;

fn template(text: &str) -> Result<String, String> {
    Template::parse(text, &Pointer::parse("id").unwrap(), false).map(|it| it.text(7))
}

#[test]
fn objects_get_an_id_and_others_stay_as_they_are() {
    for (text, sent) in [
        (r#"{"op":"ping"}"#, r#"{"op":"ping","id":7}"#),
        (" { } ", r#"{"id":7}"#),
        (r#"{"p":{"id":1} }"#, r#"{"p":{"id":1},"id":7}"#),
        (r#"{"p":{"i":"$id"}}"#, r#"{"p":{"i":7}}"#),
        (r#"["get","$id"]"#, r#"["get",7]"#),
        ("[1]", "[1]"),
        (r#""hi""#, r#""hi""#),
    ] {
        assert_eq!(template(text).as_deref(), Ok(sent));
    }
    let in_order = Template::parse("{}", &Pointer::parse("id").unwrap(), true).unwrap();
    assert!(!in_order.has_id());
    let elsewhere = Template::parse("{}", &Pointer::parse("req_id").unwrap(), false).unwrap();
    assert_eq!(elsewhere.text(7), r#"{"req_id":7}"#);
}

#[test]
fn what_is_no_request_is_named() {
    for (text, error) in [
        ("hi", "no JSON: expected value at line 1 column 1"),
        (
            r#"{"id":3}"#,
            r#"says nowhere where its id goes, write "$id" there"#,
        ),
        (r#"["$id","$id"]"#, r#"has more than one "$id""#),
        (
            &format!("\"{}\"", "x".repeat(LENGTH_MAX)),
            "longer than 16384 bytes",
        ),
    ] {
        assert_eq!(template(text).unwrap_err(), error);
    }
}

#[test]
fn clients_take_turns_at_a_constant_rate() {
    let began = Instant::now();
    let mut timetable = Timetable::new(began, 5.0, 2);
    let now = began + Duration::from_millis(250);
    let taken: Vec<_> = std::iter::from_fn(|| timetable.take(now)).collect();
    assert_eq!(taken, [(0, 0), (1, 0), (0, 1)]);
    assert_eq!(timetable.next_due() - began, Duration::from_millis(300));
    for (place, round, ms) in [
        (0, 0, 0),
        (1, 0, 100),
        (0, 1, 200),
        (1, 9, 1_900),
        (3, 0, 100),
    ] {
        assert_eq!(
            timetable.due(place, round) - began,
            Duration::from_millis(ms)
        );
    }
}

#[test]
fn what_is_due_is_known_without_counting_it() {
    let began = Instant::now();
    let timetable = Timetable::new(began, 5.0, 2);
    let last = |place, ms| timetable.last_round(place, began + Duration::from_millis(ms));
    assert_eq!(
        (last(0, 0), last(1, 0), last(1, 101)),
        (Some(0), None, Some(0))
    );
    assert_eq!(
        (last(0, 250), last(1, 250), last(1, 301)),
        (Some(1), Some(0), Some(1))
    );
    assert_eq!(last(3, 86_400_050), Some(431_999));
}

#[test]
fn a_rate_that_nobody_can_keep_up_with_ends_in_time() {
    let mut play = Play::new();
    play.asking.is_due(60_000_000_000);
    play.end(60_000);
    assert_eq!(play.replies.unsent, 60_000_000_001);
    assert_eq!(play.replies.latency_us.len(), 60_000_000_001);
}

struct Play {
    began: Instant,
    asking: Asking,
    replies: Replies,
}

impl Play {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        Self {
            began: Instant::now(),
            asking: Asking::new(0, 100),
            replies: Replies::new(&histogram),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    /// Sends what is due, a request each 10 ms, at `ms`.
    fn send(&mut self, ms: u64, limit: usize) {
        self.asking.is_due(ms / 10);
        while let Some(round) = self.asking.next(limit) {
            let (due, now) = (self.at(round * 10), self.at(ms));
            self.replies.sent(&mut self.asking, due, now, true);
        }
    }

    fn reply(&mut self, id: Option<&str>, ms: u64) -> bool {
        let now = self.at(ms);
        self.replies
            .reply(&mut self.asking, id, now, (false, false))
    }

    fn end(&mut self, ms: u64) {
        let (began, now) = (self.began, self.at(ms));
        let due = |round| (began + Duration::from_millis(round * 10), true);
        self.replies.end(&self.asking, now, due);
    }
}

#[test]
fn a_reply_counts_from_when_its_request_was_due() {
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
        (replies.sent, replies.replies, replies.unexpected),
        (6, 4, 1)
    );
    assert_eq!(replies.latency_us.max() / 100, 510, "100 was due at 0 ms");
    assert_eq!(replies.uncorrected_us.max() / 100, 100);
    assert_eq!(play.asking.first_id, 103);
}

#[test]
fn what_is_held_back_keeps_the_time_at_which_it_was_due() {
    let mut play = Play::new();
    play.send(0, 2);
    play.send(50, 2);
    assert_eq!((play.replies.sent, play.asking.next(9)), (2, Some(2)));
    assert!(play.reply(None, 50) && play.reply(None, 50));
    assert!(!play.reply(None, 50), "nothing was asked");
    play.send(50, 2);
    assert!(play.reply(None, 52));
    assert_eq!(play.replies.latency_us.count_between(31_000, 33_000), 1);
    play.end(60);
    let replies = &play.replies;
    assert_eq!(
        (replies.missing, replies.unsent, replies.unanswered),
        (1, 2, 0)
    );
    assert_eq!(
        (replies.latency_us.len(), replies.uncorrected_us.len()),
        (6, 3)
    );
}

#[test]
fn a_lost_reply_is_not_waited_for_for_ever() {
    let mut play = Play::new();
    for round in 0..=PENDING_MAX as u64 {
        play.send(round * 10, 10);
        if round > 0 {
            let id = (100 + round).to_string();
            assert!(play.reply(Some(&id), round * 10));
        }
    }
    assert_eq!((play.replies.missing, play.replies.unanswered), (1, 0));
    assert_eq!(play.replies.replies, PENDING_MAX as u64);
    assert!(play.asking.pending.is_empty());
}
