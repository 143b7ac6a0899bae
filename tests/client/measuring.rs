//! Everything that arrives is counted correctly.

use std::io::Write;
use std::thread;
use std::time::Duration;

use tickertape::client;
use tickertape::client::config::Config;
use tickertape::client::config::field::Field;
use tickertape::client::config::template::Template;
use tickertape::client::error_kind::ErrorKind;
use tickertape::client::measure::intervals::Counts;
use tickertape::tick::unix_us;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::{
    WINDOW, accept, answer_requests, begin, bind, config, finish, kinds, run, run_bare, send,
    serve_steadily, tick,
};

#[test]
fn ticks_are_counted_and_the_connection_is_closed_politely() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in 2..=3 {
            send(peer, tick(seq, 0));
        }
        assert_eq!(finish(peer), CloseCode::Normal);
    });
    assert_eq!(
        (
            report.counters.messages,
            report.counters.ticks,
            report.counters.other_messages
        ),
        (3, 3, 0)
    );
    assert_eq!(
        (
            report.losses.gaps,
            report.losses.repeats,
            report.errors.total
        ),
        (0, 0, 0)
    );
    assert_eq!(report.delivery_us.count, 2, "the first is a snapshot");
    assert_eq!(report.response_s.count, 1);
    assert_eq!(
        report.message_size_bytes_mean,
        Some(tick(2, 0).len() as f64)
    );
    assert!(report.duration_s >= 0.2, "{}", report.duration_s);
    let between = report.time_between_messages_s_mean.unwrap();
    assert!(
        (between - report.duration_s / 3.0).abs() < 1e-3,
        "{between}"
    );
    assert_eq!(report.error(), None);
}

#[test]
fn latency_counts_from_the_stamp() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in 2..=101 {
            // One tick in a hundred is much older.
            let age_us = if seq == 50 { 5_000_000 } else { 500_000 };
            send(peer, tick(seq, age_us));
        }
        finish(peer);
    });
    let delivery = &report.delivery_us;
    assert_eq!(delivery.count, 100);
    assert!(
        (500_000..1_500_000).contains(&delivery.p50.unwrap()),
        "{delivery:?}"
    );
    assert!(
        (500_000..1_500_000).contains(&delivery.p99.unwrap()),
        "{delivery:?}"
    );
    assert!(
        (5_000_000..6_000_000).contains(&delivery.p999.unwrap()),
        "{delivery:?}"
    );
}

#[test]
fn gaps_repeats_and_ticks_from_the_future_are_seen() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        for seq in [2, 5, 5, 6] {
            send(peer, tick(seq, 0));
        }
        let future = tick(7, 0).replace("\"sent\":", "\"sent\":9");
        send(peer, future);
        finish(peer);
    });
    assert_eq!(
        (
            report.losses.gaps,
            report.losses.missed,
            report.losses.repeats
        ),
        (1, 2, 1)
    );
    assert_eq!(
        (report.counters.negative_latencies, report.delivery_us.count),
        (1, 4)
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("future"))
    );
}

#[test]
fn messages_that_are_not_ticks_are_tolerated() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        send(peer, r#"{"event":"stale","symbol":"A/B","age":9}"#);
        send(peer, "hello");
        peer.send(Message::binary(vec![0, 159, 146, 150])).unwrap();
        send(peer, tick(2, 0));
        finish(peer);
    });
    assert_eq!(
        (
            report.counters.messages,
            report.counters.ticks,
            report.counters.other_messages
        ),
        (5, 2, 3)
    );
    assert_eq!(report.errors.total, 0);
}

#[test]
fn a_tick_in_single_bytes_and_one_in_fragments_count_as_one_each() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        let mut frame = Vec::new();
        tickertape::frame::text(&mut frame, tick(2, 0).as_bytes());
        for byte in frame {
            peer.get_mut().write_all(&[byte]).unwrap();
        }
        let text = tick(3, 0);
        let (first, last) = text.as_bytes().split_at(20);
        let fragments = [
            &[0x01, 20],
            first,
            &[0x89, 0],
            &[0x80, last.len() as u8],
            last,
        ];
        peer.get_mut().write_all(&fragments.concat()).unwrap();
        finish(peer);
    });
    assert_eq!(
        (
            report.counters.messages,
            report.counters.ticks,
            report.losses.gaps
        ),
        (3, 3, 0)
    );
    assert_eq!(report.errors.total, 0);
}

#[test]
fn many_clients_join_few_at_a_time_and_on_a_ramp() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                let stream = accept(&listener);
                scope.spawn(|| serve_steadily(stream));
            }
        });
        let config = Config {
            clients: 40,
            in_flight: 3,
            ramp: Some(400.0),
            warmup: Duration::from_millis(20),
            pid: Some(std::process::id()),
            ..config(address, WINDOW)
        };
        client::run(config, None).unwrap()
    });
    assert_eq!((report.clients.connected, report.clients.failed), (40, 0));
    assert_eq!(report.response_s.count, 40);
    assert_eq!((report.losses.gaps, report.errors.total), (0, 0));
    assert!(report.counters.ticks >= 40, "{}", report.counters.ticks);
    assert!(report.joining_s >= 39.0 / 400.0, "{}", report.joining_s);
    assert!(report.warmup_s >= 0.02, "{}", report.warmup_s);
    let server = report.server.as_ref().unwrap();
    assert!(
        server.cpu_s > 0.0 && server.rss_bytes_after > 0,
        "{server:?}"
    );
    assert!(
        server.joining_cpu_us_per_client.unwrap() > 0.0,
        "{server:?}"
    );
}

#[test]
fn one_client_without_a_tick_is_an_error_and_the_others_are_reported() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let stream = accept(&listener);
            scope.spawn(|| serve_steadily(stream));
            finish(&mut tungstenite::accept(accept(&listener)).unwrap());
        });
        let config = Config {
            clients: 2,
            ..config(address, WINDOW)
        };
        client::run(config, None).unwrap()
    });
    assert_eq!(kinds(&report), [(ErrorKind::NoTick, 1)]);
    assert_eq!((report.clients.connected, report.response_s.count), (2, 1));
    assert_eq!(report.error(), None);
}

#[test]
fn replies_do_not_count_as_messages() {
    let report = run_bare(
        |address| Config {
            request: Some(
                Template::parse(r#"{"op":"get"}"#, &Field::parse("id").unwrap(), false).unwrap(),
            ),
            rate: 100.0,
            sync: true,
            ..config(address, WINDOW)
        },
        |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            let mut seq = 0;
            answer_requests(&mut peer, Duration::from_millis(20), |peer, request| {
                if let Some(request) = request {
                    let (id, time) = (&request["id"], unix_us());
                    // Far longer than a tick, and with a tick's symbol and price.
                    let padding = "x".repeat(1_000);
                    send(
                        peer,
                        format!(
                            r#"{{"op":"pong","symbol":"A/B","price":1,"id":{id},"time":{time},"x":"{padding}"}}"#
                        ),
                    );
                }
                seq += 1;
                send(peer, tick(seq, 0));
            });
        },
    );
    let requests = report.requests.as_ref().unwrap();
    assert!(requests.counters.replies > 5, "{requests:?}");
    assert_eq!(
        (report.counters.messages, report.counters.other_messages),
        (report.counters.ticks, 0)
    );
    let pongs = report.sync.as_ref().unwrap().answered;
    let answers =
        requests.counters.replies - requests.counters.late..=requests.counters.replies + pongs;
    assert!(
        answers.contains(&report.counters.answers),
        "{} of {answers:?}",
        report.counters.answers
    );
    assert!(report.message_size_bytes_mean.unwrap() < 120.0);
    let messages = report.counters.ticks as f64;
    let rate = report.messages_per_s.unwrap() * report.duration_s;
    assert!((rate - messages).abs() < 1e-6 * messages, "{rate}");
    // If replies counted, it would be about half of that; the end may be late on a busy machine.
    let listened = report.time_between_messages_s_mean.unwrap() * messages;
    assert!(listened > 0.8 * report.duration_s, "{listened}");
    let sum = |count: fn(&Counts) -> u64| -> u64 {
        report
            .intervals
            .iter()
            .map(|interval| count(&interval.counts))
            .sum()
    };
    assert_eq!(sum(|counts| counts.messages), report.counters.messages);
    assert_eq!(sum(|counts| counts.bytes), report.counters.bytes);
}
