//! A server that stalls once cannot hide it: it shows in the lateness of ticks and in the latency
//! of replies.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tickertape::client;
use tickertape::client::config::field::Field;
use tickertape::client::config::template::Template;
use tickertape::client::config::{Behaviour, Config};
use tungstenite::Message;

use crate::server::{
    ENDLESS, Peer, accept, answer_requests, bind, config, finish, run_bare, send, tick,
};

const INTERVAL: Duration = Duration::from_millis(10);

/// How long the server stalls, in the middle of [`RUN`].
const STALL: Duration = Duration::from_secs(2);

const RUN: Duration = Duration::from_secs(3);

fn request(text: &str, in_order: bool) -> Option<Template> {
    Some(Template::parse(text, &Field::parse("id").unwrap(), in_order).unwrap())
}

/// What a server does about the beats that it slept through.
#[derive(Clone, Copy, PartialEq)]
enum After {
    CatchUp,
    Skip,
}

/// Sends ticks on a grid and answers each request, except for one stall.
fn serve_with_a_stall(peer: &mut Peer, after: After) {
    let began = Instant::now();
    let (mut beat, mut seq, mut has_stalled) = (0u32, 1, false);
    answer_requests(peer, Duration::from_millis(1), |peer, request| {
        if let Some(request) = request {
            send(peer, format!(r#"{{"id":{}}}"#, request["id"]));
        }
        if began.elapsed() > Duration::from_millis(500) && !has_stalled {
            // The stall is the subject of the test.
            thread::sleep(STALL);
            has_stalled = true;
            if after == After::Skip {
                beat = (began.elapsed().as_nanos() / INTERVAL.as_nanos()) as u32;
            }
        }
        while began.elapsed() >= INTERVAL * beat {
            beat += 1;
            seq += 1;
            send(peer, tick(seq, 0));
        }
    });
}

#[test]
fn a_stall_shows_in_the_lateness_of_ticks_and_in_corrected_replies() {
    stall(After::CatchUp);
}

#[test]
fn a_server_that_skips_beats_after_a_stall_hides_nothing() {
    stall(After::Skip);
}

fn stall(after: After) {
    let report = run_bare(
        |address| Config {
            expect: Some(INTERVAL),
            request: request(r#"{"op":"get"}"#, false),
            rate: 100.0,
            unanswered_max: 10,
            ..config(address, RUN)
        },
        |stream| serve_with_a_stall(&mut tungstenite::accept(stream).unwrap(), after),
    );
    let (least, most) = (1_900_000, 4_000_000);
    let lateness = &report.schedule.as_ref().unwrap().lateness_us;
    assert!(
        (least..most).contains(&lateness.p999.unwrap()),
        "{lateness:?}"
    );
    // All the beats of the stall were late, not only the last one.
    assert!(lateness.p50.unwrap() > 100_000, "{lateness:?}");
    assert!(lateness.count >= 280, "{lateness:?}");
    let is_blamed = |warning: &String| warning.contains("ticks of a symbol came every");
    assert!(
        !report.warnings.iter().any(is_blamed),
        "{:?}",
        report.warnings
    );
    let requests = report.requests.as_ref().unwrap();
    assert!(
        (least..most).contains(&requests.latency_us.p999.unwrap()),
        "{requests:?}"
    );
    assert!(requests.latency_us.p50.unwrap() > 100_000, "{requests:?}");
    // Ten were in flight during the stall; those held back were answered as soon as they were sent.
    assert!(
        requests.uncorrected_us.p50.unwrap() < 100_000,
        "{requests:?}"
    );
    assert!(
        requests.counters.missing + requests.counters.unsent <= 10,
        "{requests:?}"
    );
    assert!(
        requests.counters.replies.abs_diff(300) <= 20,
        "{requests:?}"
    );
}

#[test]
fn a_wrong_expect_causes_a_warning_that_names_the_real_interval() {
    let report = run_bare(
        |address| Config {
            expect: Some(4 * INTERVAL),
            ..config(address, Duration::from_millis(500))
        },
        |stream| serve_until(stream, ENDLESS),
    );
    let schedule = report.schedule.as_ref().unwrap();
    let mean_s = schedule.interval_s_mean.unwrap();
    // On a busy machine the first ticks may be late, and therefore closer together.
    assert!((0.002..0.03).contains(&mean_s), "{schedule:?}");
    let said = |warning: &String| warning.contains("more often than --expect 40ms");
    assert!(report.warnings.iter().any(said), "{:?}", report.warnings);
}

#[test]
fn missing_ticks_and_replies_count() {
    let report = run_bare(
        |address| Config {
            expect: Some(INTERVAL),
            request: request("[1]", true),
            rate: 50.0,
            unanswered_max: 5,
            ..config(address, Duration::from_millis(500))
        },
        |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            send(&mut peer, tick(1, 0));
            finish(&mut peer);
        },
    );
    let schedule = report.schedule.as_ref().unwrap();
    assert!(schedule.skipped >= 40, "{schedule:?}");
    assert!(schedule.lateness_us.max.unwrap() > 400_000, "{schedule:?}");
    let requests = report.requests.as_ref().unwrap();
    assert_eq!(
        (
            requests.counters.sent,
            requests.counters.missing,
            requests.counters.replies
        ),
        (5, 5, 0)
    );
    assert!(
        (18..=30).contains(&requests.counters.unsent),
        "{requests:?}"
    );
    // The first requests have waited for the window and a second more.
    assert!(requests.latency_us.max.unwrap() > 1_400_000, "{requests:?}");
    let said = |warning: &String| warning.starts_with("5 requests got no reply");
    assert!(report.warnings.iter().any(said), "{:?}", report.warnings);
}

#[test]
fn replies_are_matched_by_id_or_by_order() {
    for (text, in_order) in [(r#"{"a":1}"#, false), (r#"{"a":1}"#, true), ("[1]", false)] {
        let report = run_bare(
            |address| Config {
                request: request(text, in_order),
                rate: 200.0,
                ..config(address, Duration::from_millis(300))
            },
            |stream| {
                let mut peer = tungstenite::accept(stream).unwrap();
                send(&mut peer, tick(1, 0));
                answer_requests(&mut peer, Duration::from_millis(5), |peer, request| {
                    // An echo; and ticks in between, which are not replies.
                    let text = request.map_or_else(|| tick(2, 0), |request| request.to_string());
                    send(peer, text);
                });
            },
        );
        let requests = report.requests.as_ref().unwrap();
        assert!(
            (50..=90).contains(&requests.counters.replies),
            "{text}: {requests:?}"
        );
        assert_eq!(
            requests.counters.replies, requests.counters.sent,
            "{text}: {requests:?}"
        );
        assert_eq!(
            (requests.counters.missing, requests.counters.unexpected),
            (0, 0),
            "{text}: {requests:?}"
        );
        assert_eq!(report.counters.messages, report.counters.ticks, "{text}");
        assert_eq!(
            report.counters.answers,
            requests.counters.replies - requests.counters.late,
            "{text}"
        );
        assert_eq!(report.errors.total, 0);
    }
}

/// Sends ticks on a grid and answers each request, until `end` or until the client closes.
fn serve_until(stream: TcpStream, end: Duration) {
    let began = Instant::now();
    let mut peer = tungstenite::accept(stream).unwrap();
    let pause = Duration::from_millis(1);
    peer.get_ref().set_read_timeout(Some(pause)).unwrap();
    let mut beat = 0u32;
    while began.elapsed() < end {
        match peer.read() {
            Ok(Message::Text(text)) if peer.can_write() => {
                let request: serde_json::Value = serde_json::from_str(&text).unwrap();
                send(&mut peer, format!(r#"{{"id":{}}}"#, request["id"]));
            }
            Err(tungstenite::Error::ConnectionClosed) => return,
            _ => {}
        }
        while peer.can_write() && began.elapsed() >= INTERVAL * beat {
            beat += 1;
            send(&mut peer, tick(u64::from(beat), 0));
        }
    }
}

#[test]
fn ticks_and_replies_due_in_an_outage_are_late() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(move || {
            serve_until(accept(&listener), Duration::from_millis(500));
            drop(listener);
            // The outage ends before the third attempt, which is after 0.7 s at the earliest, so
            // that the client is back in time whatever its random pauses are.
            thread::sleep(Duration::from_millis(500));
            serve_until(accept(&TcpListener::bind(address).unwrap()), ENDLESS);
        });
        let config = Config {
            expect: Some(INTERVAL),
            request: request(r#"{"op":"get"}"#, false),
            rate: 100.0,
            behaviour: Behaviour {
                reconnect: true,
                ..Behaviour::default()
            },
            // With unlucky pauses it may come back 3 s after it was lost.
            ..config(address, RUN + Duration::from_secs(1))
        };
        let report = client::run(config, None).unwrap();
        // If the client has not come back, this ends the server's wait.
        let _ = TcpStream::connect(address);
        report
    });
    assert_eq!(report.reconnects.as_ref().unwrap().counters.returned, 1);
    let lateness = &report.schedule.as_ref().unwrap().lateness_us;
    assert!(lateness.p999.unwrap() > 480_000, "{lateness:?}");
    assert!(lateness.count >= 280, "{lateness:?}");
    let requests = report.requests.as_ref().unwrap();
    assert!(requests.latency_us.p999.unwrap() > 480_000, "{requests:?}");
    let due = requests.counters.replies + requests.counters.missing + requests.counters.unsent;
    assert!(due.abs_diff(400) <= 20, "{requests:?}");
    assert!(
        requests.counters.replies > 200,
        "including those of the outage: {requests:?}"
    );
}

#[test]
fn the_dues_of_lost_clients_count_until_the_end() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let stays = accept(&listener);
            scope.spawn(|| serve_until(stays, ENDLESS));
            serve_until(accept(&listener), Duration::from_millis(250));
        });
        let config = Config {
            clients: 2,
            expect: Some(INTERVAL),
            request: request(r#"{"op":"get"}"#, false),
            rate: 100.0,
            ..config(address, Duration::from_secs(1))
        };
        client::run(config, None).unwrap()
    });
    let requests = report.requests.as_ref().unwrap();
    let due = requests.counters.sent + requests.counters.unsent;
    assert!(due.abs_diff(200) <= 10, "{requests:?}");
    assert!(requests.counters.unsent >= 70, "{requests:?}");
    assert!(requests.latency_us.max.unwrap() > 700_000, "{requests:?}");
    let schedule = report.schedule.as_ref().unwrap();
    assert!(schedule.skipped >= 70, "{schedule:?}");
    assert!(schedule.lateness_us.max.unwrap() > 700_000, "{schedule:?}");
}
