use std::time::Duration;

use super::*;
use crate::client::config::field::Field;
use crate::client::config::template::Template;
use crate::client::measure::listener::Answer;
use crate::client::measure::requests::Outstanding;

fn tick(symbol: &str, seq: u64, sent: u64) -> Vec<u8> {
    format!(r#"{{"symbol":"{symbol}","price":1.5,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
        .into_bytes()
}

/// An observer with empty counts, for one client without options.
pub(crate) fn observer() -> Observer {
    let url = crate::client::config::url::Url::parse("ws://127.0.0.1:8888/").unwrap();
    Observer::new(&Config::new(url))
}

/// The wall clock at `wall_us`.
fn at(wall_us: u64) -> Arrival {
    let at = Instant::now();
    Arrival { wall_us, at }
}

fn measuring() -> (Observer, Listener) {
    let mut observer = observer();
    observer.measuring = true;
    (observer, Listener::new(Instant::now()))
}

#[test]
fn the_first_tick_of_each_symbol_has_no_latency() {
    let (mut observer, mut listener) = measuring();
    for (symbol, seq, now) in [
        ("A", 1, 9_000),
        ("A", 2, 1_400),
        ("B", 1, 9_000),
        ("B", 2, 1_600),
    ] {
        observer.message(
            &mut listener,
            Payload::Text(&tick(symbol, seq, 1_000)),
            at(now),
            None,
        );
    }
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.delivery.len()
        ),
        (4, 2)
    );
    assert_eq!(observer.measurement.delivery.mean(), 500.0);
    assert_eq!(observer.measurement.responses.len(), 1);
}

#[test]
fn known_delays_are_measured_to_the_histograms_precision() {
    let (mut observer, mut listener) = measuring();
    for seq in 0..=10_000 {
        let delay_us = if seq % 100 == 50 { 5_317 } else { 317 };
        let text = tick("A", seq, 1_000_000);
        observer.message(
            &mut listener,
            Payload::Text(&text),
            at(1_000_000 + delay_us),
            None,
        );
    }
    let delivery = &observer.measurement.delivery;
    assert_eq!(delivery.len(), 10_000);
    for (quantile, delay_us) in [
        (0.5, 317.0),
        (0.99, 317.0),
        (0.9901, 5_317.0),
        (0.999, 5_317.0),
    ] {
        let measured = delivery.value_at_quantile(quantile) as f64;
        assert!(
            (measured / delay_us - 1.0).abs() <= 1e-3,
            "{quantile}: {measured}"
        );
    }
    assert!(
        (delivery.mean() / 367.0 - 1.0).abs() <= 1e-3,
        "{}",
        delivery.mean()
    );
}

#[test]
fn ticks_from_the_future_have_no_latency_and_very_old_ones_saturate() {
    let (mut observer, mut listener) = measuring();
    observer.message(&mut listener, Payload::Text(&tick("A", 1, 1)), at(1), None);
    observer.message(
        &mut listener,
        Payload::Text(&tick("A", 2, 2_000)),
        at(1_000),
        None,
    );
    observer.message(
        &mut listener,
        Payload::Text(&tick("A", 3, 0)),
        at(u64::MAX),
        None,
    );
    assert_eq!(observer.measurement.counters.negative_latencies, 1);
    assert_eq!(observer.measurement.delivery.len(), 1);
    let max = observer.measurement.delivery.max();
    assert!((60_000_000..60_100_000).contains(&max), "{max}");
}

#[test]
fn ticks_of_untracked_symbols_count_but_are_not_deliveries() {
    let (mut observer, mut listener) = measuring();
    for _ in 0..2 {
        for symbol in 0..66_000 {
            let text = tick(&symbol.to_string(), 1, 1_000);
            observer.message(&mut listener, Payload::Text(&text), at(1_500), None);
        }
    }
    let untracked = 2 * (66_000 - 65_536);
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.counters.untracked
        ),
        (132_000, untracked)
    );
    assert_eq!(observer.measurement.delivery.len(), 65_536);
}

#[test]
fn a_stamp_in_another_unit_is_kept_as_an_example() {
    let (mut observer, mut listener) = measuring();
    let text = tick("A", 1, 1_700_000_000_000);
    observer.message(
        &mut listener,
        Payload::Text(&text),
        at(1_700_000_000_000_000),
        None,
    );
    assert_eq!(
        observer.measurement.implausible_stamp_us,
        Some(1_698_300_000_000_000)
    );
}

#[test]
fn gaps_count_missing_ticks_and_repeats_are_recognized() {
    let (mut observer, mut listener) = measuring();
    for seq in [5, 6, 9, 9, 10] {
        observer.message(
            &mut listener,
            Payload::Text(&tick("A", seq, 1)),
            at(1),
            None,
        );
    }
    let losses = observer.measurement.losses;
    assert_eq!(losses, *observer.losses_by_symbol.of(0));
    let counted = (losses.gaps, losses.missed, losses.repeats);
    assert_eq!(counted, (1, 2, 1));
}

#[test]
fn each_element_of_a_list_is_a_tick() {
    let (mut observer, mut listener) = measuring();
    let stale = br#"{"event":"stale","symbol":"A","age":9}"#.to_vec();
    let lists = [
        vec![tick("A", 1, 1_000), tick("B", 7, 1_000), stale.clone()],
        vec![tick("A", 3, 1_000), tick("B", 8, 1_000)],
        vec![stale],
    ];
    let mut bytes = 0;
    for list in lists {
        let text = [b"[", &*list.join(&b","[..]), b"]"].concat();
        bytes += text.len() as u64;
        observer.message(&mut listener, Payload::Text(&text), at(1_500), None);
    }
    let messages = (
        observer.measurement.counters.messages,
        observer.measurement.counters.list_messages,
        observer.measurement.counters.other_messages,
    );
    assert_eq!(messages, (3, 3, 1));
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.counters.bytes
        ),
        (4, bytes)
    );
    assert_eq!(
        observer.measurement.delivery.len(),
        2,
        "all but the snapshots"
    );
    assert_eq!(
        (
            observer.measurement.losses.gaps,
            observer.measurement.losses.missed
        ),
        (1, 1)
    );
    let broken = [&b"["[..], &tick("A", 4, 1_000), b",{"].concat();
    observer.message(&mut listener, Payload::Text(&broken), at(1_500), None);
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.counters.not_json_messages
        ),
        (5, 1)
    );
}

#[test]
fn ticks_left_out_on_request_are_not_missed() {
    let (mut observer, mut listener) = measuring();
    observer.conflates = true;
    for seq in [1, 5, 6, 20, 20] {
        let text = tick("A", seq, 1_000);
        observer.message(&mut listener, Payload::Text(&text), at(1_500), None);
    }
    let losses = observer.measurement.losses;
    assert_eq!((losses.gaps, losses.missed, losses.conflated), (0, 0, 16));
    assert_eq!((losses.repeats, losses.numbered), (1, 5));
}

#[test]
fn answers_about_lists_are_not_messages_and_their_errors_are_kept() {
    let (mut observer, mut listener) = measuring();
    let accepted = br#"{"op":"subscribe","id":"watch","count":2,"symbols":["A","B"]}"#;
    let refused = br#"{"op":"error","id":"watch","message":"unknown symbol 'C'"}"#;
    listener.subscription = Subscription::pending(2);
    assert!(listener.subscription.is_over(3) && listener.subscription.take_answer().is_none());
    observer.message(&mut listener, Payload::Text(accepted), at(1), None);
    assert_eq!(listener.subscription.take_answer(), Some(Answer::Accepted));
    assert!(!listener.subscription.is_over(3));
    listener.subscription = Subscription::pending(3);
    observer.message(&mut listener, Payload::Text(refused), at(1), None);
    let refusal = Answer::Refused("unknown symbol 'C'".into());
    assert_eq!(listener.subscription.take_answer(), Some(refusal));
    assert!(listener.subscription.take_answer().is_none() && listener.subscription.is_over(9));
    let counters = observer.measurement.counters;
    assert_eq!((counters.answers, counters.messages), (2, 0));
    // A second answer, with no request pending, is a message.
    observer.message(&mut listener, Payload::Text(refused), at(1), None);
    let counters = observer.measurement.counters;
    assert_eq!((counters.answers, counters.messages), (2, 1));
}

#[test]
fn messages_without_a_tick_count_as_messages() {
    let (mut observer, mut listener) = measuring();
    for other in [
        &br#"{"event":"stale","symbol":"A","age":9}"#[..],
        b"[1]",
        b"hello",
        b"",
    ] {
        observer.message(&mut listener, Payload::Text(other), at(1), None);
    }
    assert_eq!(
        (
            observer.measurement.counters.messages,
            observer.measurement.counters.ticks
        ),
        (4, 0)
    );
    assert!(!listener.has_tick());
    // Messages of another server: no seq, no sent, other fields.
    let other = br#"{"symbol":"A","price":"1","x":[]}"#;
    observer.message(&mut listener, Payload::Binary(other), at(1), None);
    assert_eq!(
        (
            observer.measurement.counters.not_json_messages,
            observer.measurement.counters.binary_messages
        ),
        (2, 1)
    );
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.delivery.len()
        ),
        (1, 0)
    );
    assert!(listener.has_tick());
}

#[test]
fn sequences_and_responses_are_followed_before_the_window() {
    let (mut observer, mut listener) = measuring();
    observer.measuring = false;
    observer.message(&mut listener, Payload::Text(&tick("A", 1, 1)), at(1), None);
    assert_eq!(
        (
            observer.measurement.counters.messages,
            observer.measurement.responses.len()
        ),
        (0, 1)
    );
    observer.measuring = true;
    observer.message(&mut listener, Payload::Text(&tick("A", 3, 1)), at(2), None);
    assert_eq!(
        (
            observer.measurement.counters.ticks,
            observer.measurement.losses.gaps
        ),
        (1, 1)
    );
    assert_eq!(observer.measurement.delivery.len(), 1);
}

#[test]
fn errors_are_counted_by_kind_with_the_first_as_the_example() {
    let mut observer = observer();
    let closed = |code| ErrorKind::Closed(Some(code));
    let kinds = [closed(1001), ErrorKind::NoTick, closed(1013), closed(1001)];
    for (number, kind) in (1..).zip(kinds) {
        observer.error(kind, number);
    }
    let errors = observer.measurement.errors;
    assert_eq!(errors.total(), 4);
    let counted = errors.0.iter();
    let counted: Vec<_> = counted
        .map(|(kind, error)| (kind.to_string(), error.count, &*error.example))
        .collect();
    let expected = [
        ("closed by server (1001)".to_owned(), 2, "1"),
        ("closed by server (1013)".to_owned(), 1, "3"),
        ("no tick".to_owned(), 1, "2"),
    ];
    assert_eq!(counted, expected);
}

#[test]
fn latencies_below_zero_within_the_clock_error_count_as_zero() {
    let (mut observer, mut listener) = measuring();
    let mut sync = ClockSync::default();
    let sent = at(1_000_000);
    sync.ping(sent);
    let came = Arrival {
        wall_us: 1_000_100,
        at: sent.at + Duration::from_micros(100),
    };
    assert!(sync.answer(r#""clock 0""#, Some(1_000_050), came));
    let error_us = sync.best().unwrap().error_us;
    observer.clock_sync = Some(sync);
    // The same clock as ours, except for that error.
    for (seq, ahead_us) in [(1, 0), (2, 0), (3, 40), (4, error_us + 10), (5, 10_000)] {
        let text = tick("A", seq, 2_000_000 + ahead_us);
        observer.message(&mut listener, Payload::Text(&text), at(2_000_002), None);
    }
    assert_eq!(
        (
            observer.measurement.counters.clamped_to_zero,
            observer.measurement.counters.negative_latencies
        ),
        (1, 2)
    );
    assert_eq!(observer.measurement.delivery.len(), 2);
    assert_eq!(observer.measurement.delivery.min(), 0);
}

/// An observer and a listener with one pending request, matched by id or by order.
fn asking(in_order: bool) -> (Observer, Listener) {
    let url = crate::client::config::url::Url::parse("ws://127.0.0.1:8888/").unwrap();
    let id = Field::parse("id").unwrap();
    let request = Template::parse(r#"{"op":"get"}"#, &id, in_order).unwrap();
    let mut observer = Observer::new(&Config {
        request: Some(request),
        sync: true,
        ..Config::new(url)
    });
    observer.measuring = true;
    let now = Instant::now();
    let mut listener = Listener::new(now);
    let mut outstanding = Box::new(Outstanding::new(0, observer.ids.first_of(0)));
    outstanding.is_due(0);
    observer.ids.note(outstanding.next_id());
    let replies = observer.measurement.requests.as_mut().unwrap();
    replies.sent(&mut outstanding, now, now, true);
    listener.outstanding = Some(outstanding);
    (observer, listener)
}

#[test]
fn answers_are_not_pushed_messages() {
    let (mut observer, mut listener) = asking(false);
    let id = observer.ids.first_of(0);
    let reply = format!(r#"{{"symbol":"A","price":1,"timestamp":1,"seq":1,"sent":1,"id":{id}}}"#);
    let pong = r#"{"op":"pong","id":"clock 0","time":5}"#;
    let no_pong = r#"{"op":"error","id":"clock 1","message":"what?"}"#;
    let pushed = tick("A", 1, 1);
    observer.clock_sync.as_mut().unwrap().ping(at(1));
    // The reply a second time, too, when no request is pending any more.
    for answer in [&reply, pong, no_pong, &reply] {
        observer.message(&mut listener, Payload::Text(answer.as_bytes()), at(2), None);
    }
    observer.message(&mut listener, Payload::Text(&pushed), at(3), None);
    let replies = observer.measurement.requests.as_ref().unwrap();
    assert_eq!(
        (replies.counters.replies, replies.counters.unexpected),
        (1, 1)
    );
    assert_eq!(
        (
            observer.measurement.counters.answers,
            observer.clock_sync.unwrap().answered
        ),
        (4, 1)
    );
    assert_eq!(
        (
            observer.measurement.counters.messages,
            observer.measurement.counters.ticks
        ),
        (1, 1)
    );
    assert_eq!(observer.measurement.counters.bytes, pushed.len() as u64);
}

#[test]
fn a_surplus_reply_without_id_is_not_counted_as_a_tick() {
    let (mut observer, mut listener) = asking(true);
    for (text, counts) in [
        // The reply, then a surplus reply, then a message that can only be a tick.
        (r#"{"result":1}"#, [1, 0, 0, 0]),
        (r#"{"result":1}"#, [1, 1, 0, 0]),
        (r#"{"symbol":"A","price":1}"#, [1, 1, 1, 1]),
        ("[1]", [1, 1, 2, 1]),
    ] {
        observer.message(&mut listener, Payload::Text(text.as_bytes()), at(2), None);
        let replies = observer.measurement.requests.as_ref().unwrap();
        let counted = [
            replies.counters.replies,
            replies.counters.unexpected,
            observer.measurement.counters.messages,
            observer.measurement.counters.ticks,
        ];
        assert_eq!(counted, counts, "{text}");
    }
    // Before the first request it answers none, but it is still not a tick.
    let mut silent = Listener::new(Instant::now());
    observer.message(&mut silent, Payload::Text(br#"{"result":1}"#), at(2), None);
    assert_eq!(
        (
            observer.measurement.counters.messages,
            observer.measurement.counters.ticks
        ),
        (3, 1)
    );
    assert_eq!(
        observer.measurement.requests.unwrap().counters.unexpected,
        1
    );
    assert!(!silent.has_tick());
}
