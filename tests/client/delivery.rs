//! Delivery latency: with known delays, from other servers' ticks, and across differing clocks.

use std::io::Write;
use std::time::{Duration, Instant};

use tickertape::client::config::Config;
use tickertape::client::error_kind::ErrorKind;
use tickertape::client::{config::Fields, config::field::Field, config::unit::Unit};
use tickertape::tick::unix_us;
use tungstenite::Message;

use crate::server::{
    ENDLESS, Peer, WINDOW, answer_requests, begin, config, finish, join, kinds, run, run_bare,
    send, tick,
};

/// A tick in the layout of another server.
fn other_tick(number: u64, sent_ms: u64) -> String {
    format!(r#"{{"s":"A","data":[{{"n":"{number}","ts":{sent_ms}}}],"sent":7}}"#)
}

fn pointer(text: &str) -> Field {
    Field::parse(text).unwrap()
}

#[test]
fn known_delays_are_measured() {
    // One tick in a hundred is stamped 2 s in the past, and another one 5 s: far longer than a busy
    // machine takes to deliver one.
    let report = run(ENDLESS, |peer| {
        begin(peer);
        for seq in 2..=1_001 {
            let age_us = match seq % 100 {
                17 => 5_000_000,
                71 => 2_000_000,
                _ => 0,
            };
            send(peer, tick(seq, age_us));
        }
        peer.close(None).unwrap();
        finish(peer);
    });
    let delivery = &report.delivery_us;
    assert_eq!(delivery.count, 1_000);
    let within = |value: Option<u64>, delay: u64| {
        let value = value.unwrap();
        assert!((delay..delay + 500_000).contains(&value), "{delivery:?}");
    };
    within(delivery.p50, 0);
    within(delivery.p90, 0);
    within(delivery.p99, 2_000_000);
    within(delivery.p999, 5_000_000);
    // Subtracting the injected delays leaves the machine's own.
    let machine = delivery.mean.unwrap() - 70_000.0;
    assert!((0.0..500_000.0).contains(&machine), "{delivery:?}");
}

#[test]
fn fields_of_other_servers_are_read() {
    let fields = Fields {
        symbol: pointer("s"),
        seq: pointer("/data/0/n"),
        sent: pointer("/data/0/ts"),
        sent_unit: Unit::Milliseconds,
        ..Fields::default()
    };
    let report = run_bare(
        |address| Config {
            fields,
            ..config(address, WINDOW)
        },
        |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            begin(&mut peer);
            let now_ms = unix_us() / 1_000;
            for (number, age_ms) in [(1, 0), (2, 3_000), (4, 3_000), (3, 3_000), (3, 3_000)] {
                send(&mut peer, other_tick(number, now_ms - age_ms));
            }
            finish(&mut peer);
        },
    );
    // `begin` sends a tick in our layout, which lacks these fields.
    assert_eq!(
        (
            report.counters.messages,
            report.counters.ticks,
            report.counters.stamped
        ),
        (6, 5, 5)
    );
    assert_eq!(report.delivery_us.count, 4);
    let p50 = report.delivery_us.p50.unwrap();
    assert!((3_000_000..4_000_000).contains(&p50), "{p50}");
    assert_eq!((report.losses.gaps, report.losses.missed), (1, 0));
    assert_eq!((report.losses.reordered, report.losses.repeats), (1, 1));
    assert_eq!(report.symbols.len(), 1);
    assert_eq!(
        (
            &*report.symbols[0].symbol,
            report.symbols[0].losses.reordered
        ),
        ("A", 1)
    );
}

#[test]
fn a_server_without_stamps_is_measured_by_the_time_between_messages() {
    let report = run(WINDOW, |peer| {
        join(peer);
        for temperature in 0..5 {
            send(peer, format!(r#"{{"temperature":{temperature}}}"#));
        }
        finish(peer);
    });
    assert_eq!(
        (
            report.counters.ticks,
            report.counters.stamped,
            report.losses.numbered
        ),
        (5, 0, 0)
    );
    assert_eq!((report.delivery_us.count, report.error()), (0, None));
    assert!(report.time_between_messages_s_mean.unwrap() > 0.0);
    let said = |warning: &&String| warning.contains("the time between messages but no latency");
    assert_eq!(
        report.warnings.iter().filter(said).count(),
        1,
        "{:?}",
        report.warnings
    );
}

#[test]
fn binary_and_non_json_messages_are_counted() {
    let report = run(WINDOW, |peer| {
        begin(peer);
        send(peer, "hello");
        peer.send(Message::binary(vec![0, 159])).unwrap();
        peer.send(Message::binary(tick(2, 0))).unwrap();
        finish(peer);
    });
    assert_eq!((report.counters.messages, report.counters.ticks), (4, 2));
    assert_eq!(
        (
            report.counters.binary_messages,
            report.counters.not_json_messages
        ),
        (2, 2)
    );
}

#[test]
fn messages_that_are_not_json_measure_nothing() {
    let report = run(WINDOW, |peer| {
        join(peer);
        send(peer, "hello");
        finish(peer);
    });
    let kinds = kinds(&report);
    assert_eq!(
        (report.counters.ticks, kinds),
        (0, vec![(ErrorKind::NoTick, 1)])
    );
    let sentence = "no tick among 1 messages (1 not JSON): see --sent-field, --seq-field and \
                    --symbol-field";
    assert_eq!(report.error().as_deref(), Some(sentence));
}

/// Answers pings with a clock that is ahead, and stamps ticks with it, until the client closes.
fn serve_ahead(peer: &mut Peer, ahead_us: u64) {
    let mut seq = 0;
    answer_requests(
        peer,
        Duration::from_millis(2),
        |peer, request| match request {
            Some(request) => {
                let id = &request["id"];
                let time = unix_us() + ahead_us;
                send(peer, format!(r#"{{"op":"pong","id":{id},"time":{time}}}"#));
            }
            None => {
                seq += 1;
                let sent = unix_us() + ahead_us;
                let tick = format!(
                    r#"{{"symbol":"A","price":1,"timestamp":1,"seq":{seq},"sent":{sent}}}"#
                );
                send(peer, tick);
            }
        },
    );
}

#[test]
fn clocks_that_differ_are_compared_and_latencies_corrected() {
    const AHEAD_US: u64 = 3_600_000_000;
    let report = run_bare(
        |address| Config {
            sync: true,
            ..config(address, WINDOW)
        },
        |stream| serve_ahead(&mut tungstenite::accept(stream).unwrap(), AHEAD_US),
    );
    let sync = report.sync.unwrap();
    assert!(sync.answered >= 16, "{sync:?}");
    let (offset_us, error_us) = (sync.offset_us.unwrap(), sync.error_us.unwrap());
    assert!(
        offset_us.unsigned_abs().abs_diff(AHEAD_US) <= error_us,
        "{sync:?}"
    );
    assert_eq!(report.counters.negative_latencies, 0);
    assert!(report.delivery_us.count > 0 && report.delivery_us.max < Some(5_000_000));
}

#[test]
fn a_server_that_is_mute_for_a_while_is_pinged_again() {
    const BEHIND_US: u64 = 1_000_000;
    // Longer than the first comparison takes, so that ticks are measured without an estimate.
    let mute_for = Duration::from_millis(1_200);
    let report = run_bare(
        |address| Config {
            sync: true,
            ..config(address, 6 * WINDOW)
        },
        |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            let (mut seq, mut first_asked) = (0, None);
            answer_requests(&mut peer, Duration::from_millis(2), |peer, request| {
                if let Some(request) = request {
                    let first: &mut Instant = first_asked.get_or_insert_with(Instant::now);
                    if first.elapsed() > mute_for {
                        let (id, time) = (&request["id"], unix_us() - BEHIND_US);
                        send(peer, format!(r#"{{"op":"pong","id":{id},"time":{time}}}"#));
                    }
                } else {
                    seq += 1;
                    send(peer, tick(seq, BEHIND_US));
                }
            });
        },
    );
    let sync = report.sync.as_ref().unwrap();
    let (offset_us, error_us) = (sync.offset_us.unwrap(), sync.error_us.unwrap());
    let ahead_us = -(BEHIND_US as i64);
    assert!(offset_us.abs_diff(ahead_us) <= error_us, "{sync:?}");
    // Ticks before the first answer seem a second late; the report counts them.
    let deliveries = report.delivery_us.count;
    assert!((1..deliveries).contains(&sync.uncorrected), "{sync:?}");
    let told = format!("{} deliveries arrived before", sync.uncorrected);
    let said = |warning: &String| warning.starts_with(&told);
    assert!(report.warnings.iter().any(said), "{:?}", report.warnings);
}

#[test]
fn a_server_without_pings_is_measured_uncorrected() {
    let began = Instant::now();
    let report = run_bare(
        |address| Config {
            sync: true,
            ..config(address, WINDOW)
        },
        crate::server::serve_steadily,
    );
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it waits for pongs"
    );
    assert_eq!(report.sync.unwrap().offset_us, None);
    assert!(report.delivery_us.count > 0);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("answered no ping"))
    );
}

#[test]
fn many_ticks_in_one_read_all_count() {
    const TICKS: u64 = 20_000;
    let report = run(ENDLESS, |peer| {
        begin(peer);
        let mut frames = Vec::new();
        for seq in 2..=TICKS {
            tickertape::frame::text(&mut frames, tick(seq, 0).as_bytes());
        }
        peer.get_mut().write_all(&frames).unwrap();
        peer.close(None).unwrap();
        finish(peer);
    });
    assert_eq!(
        (
            report.counters.ticks,
            report.losses.gaps,
            report.losses.repeats
        ),
        (TICKS, 0, 0)
    );
    assert!(
        report.client.reads.reads < TICKS / 8,
        "{}",
        report.client.reads.reads
    );
}
