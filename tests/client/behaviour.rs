//! Clients that come and go, and clients that read slowly.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tickertape::client;
use tickertape::client::config::{Behaviour, Config};
use tickertape::client::error_kind::ErrorKind;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::server::{
    ENDLESS, SOON, WINDOW, accept, begin, bind, config, finish, kinds, send, serve_steadily, tick,
};

fn reconnecting() -> Behaviour {
    Behaviour {
        reconnect: true,
        ..Behaviour::default()
    }
}

/// Accepts a connection, and returns it with its request target.
fn accept_asking(listener: &TcpListener) -> (WebSocket<TcpStream>, String) {
    let mut target = String::new();
    #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
    let look = |request: &Request, response: Response| {
        target = request.uri().to_string();
        Ok(response)
    };
    let peer = tungstenite::accept_hdr(accept(listener), look).unwrap();
    (peer, target)
}

fn stamped(seq: u64, sent: u64) -> String {
    format!(r#"{{"symbol":"A/B","price":1.5,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
}

#[test]
fn a_lost_connection_is_reopened_and_resumes_after_the_last_tick() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut peer, target) = accept_asking(&listener);
            assert_eq!(target, "/");
            begin(&mut peer);
            send(&mut peer, stamped(2, 777));
            peer.close(None).unwrap();
            finish(&mut peer);
            let (mut peer, target) = accept_asking(&listener);
            assert_eq!(target, "/?since=777");
            // The server kept two ticks and lost one in between; then a new tick follows.
            send(&mut peer, stamped(3, 800));
            send(&mut peer, stamped(5, 900));
            let new = format!(
                r#"{{"symbol":"A/B","price":1,"seq":6,"sent":{}}}"#,
                u64::MAX / 4
            );
            send(&mut peer, new);
            // This client is lost for good: the server closes without a close frame.
            drop(peer);
            let (mut peer, target) = accept_asking(&listener);
            assert_eq!(target, format!("/?since={}", u64::MAX / 4));
            send(&mut peer, stamped(9, u64::MAX / 4 + 1));
            finish(&mut peer);
        });
        let config = Config {
            behaviour: reconnecting(),
            ..config(address, Duration::from_secs(2))
        };
        client::run(config, None).unwrap()
    });
    let reconnects = report.reconnects.as_ref().unwrap();
    assert_eq!(
        (reconnects.counters.lost, reconnects.counters.returned),
        (2, 2)
    );
    assert_eq!(reconnects.counters.failed, 0);
    assert_eq!(
        (reconnects.counters.resumed, reconnects.counters.missed),
        (2, 1 + 2)
    );
    assert_eq!(
        (reconnects.away_us.count, reconnects.response_us.count),
        (2, 2)
    );
    // The first pause is 200 ms, of which half is random.
    assert!(reconnects.away_us.p50.unwrap() >= 99_000, "{reconnects:?}");
    assert_eq!(
        (report.losses.gaps, report.losses.repeats),
        (0, 0),
        "they belong to the reconnects"
    );
    assert_eq!((report.counters.ticks, report.clients.connected), (6, 1));
    let expected = [
        (ErrorKind::Closed(Some(1005)), 1),
        (ErrorKind::Closed(Some(1006)), 1),
    ];
    assert_eq!(kinds(&report), expected);
    assert!(report.to_string().contains("lost connections"));
}

#[test]
fn a_window_without_connections_causes_a_warning() {
    let report = crate::server::run(ENDLESS, |peer| {
        begin(peer);
        peer.close(None).unwrap();
        finish(peer);
    });
    let told = |warning: &String| {
        warning.starts_with("all connections were lost after 0.")
            && warning.ends_with("try --reconnect")
    };
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
}

#[test]
fn ticks_kept_by_a_restarted_server_are_not_deliveries() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut peer, _) = accept_asking(&listener);
            begin(&mut peer);
            (2..=200).for_each(|seq| send(&mut peer, tick(seq, 0)));
            drop(peer);
            // The server's numbers begin again, and its backlog is older than the connection.
            let (mut peer, _) = accept_asking(&listener);
            (1..=20).for_each(|seq| send(&mut peer, tick(seq, 500_000)));
            peer.send(Message::Ping("joined?".into())).unwrap();
            assert!(matches!(peer.read(), Ok(Message::Pong(_))));
            (21..=40).for_each(|seq| send(&mut peer, tick(seq, 0)));
            finish(&mut peer);
        });
        let config = Config {
            behaviour: reconnecting(),
            ..config(address, Duration::from_secs(1))
        };
        client::run(config, None).unwrap()
    });
    let reconnects = report.reconnects.as_ref().unwrap();
    assert_eq!(
        (reconnects.counters.restarts, reconnects.counters.resumed),
        (1, 19)
    );
    assert_eq!(report.counters.ticks, 200 + 40);
    assert!(report.delivery_us.max < Some(100_000), "{report:?}");
}

#[test]
fn absurd_numbers_do_not_overflow() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut peer, _) = accept_asking(&listener);
            begin(&mut peer);
            for seq in [0, u64::MAX, 0, u64::MAX] {
                send(&mut peer, tick(seq, 0));
            }
            finish(&mut peer);
        });
        client::run(config(address, Duration::from_millis(200)), None).unwrap()
    });
    assert_eq!(report.losses.missed, u64::MAX);
}

#[test]
fn reconnects_back_off_and_the_run_ends_in_time() {
    let (listener, address) = bind();
    let began = Instant::now();
    let duration = Duration::from_millis(700);
    let report = thread::scope(|scope| {
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            drop(listener);
            peer.close(None).unwrap();
            finish(&mut peer);
        });
        let config = Config {
            behaviour: reconnecting(),
            ..config(address, duration)
        };
        client::run(config, None).unwrap()
    });
    assert!(began.elapsed() < duration + Duration::from_secs(5));
    let reconnects = report.reconnects.as_ref().unwrap();
    assert_eq!(
        (reconnects.counters.lost, reconnects.counters.returned),
        (1, 0)
    );
    // After pauses of 100 to 200, 200 to 400 and 400 to 800 ms.
    assert!(
        (1..=3).contains(&reconnects.counters.failed),
        "{reconnects:?}"
    );
    assert_eq!(report.error(), None, "a tick was measured before");
    assert!(
        report.duration_s >= 0.7,
        "it waits for the server: {}",
        report.duration_s
    );
}

#[test]
fn clients_do_not_reconnect_by_default() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            peer.close(None).unwrap();
            finish(&mut peer);
        });
        client::run(config(address, ENDLESS), None).unwrap()
    });
    assert!(report.reconnects.is_none());
    assert_eq!(kinds(&report), [(ErrorKind::Closed(Some(1005)), 1)]);
}

#[test]
fn churn_closes_politely_and_measures_reopened_connections() {
    let (listener, address) = bind();
    let (polite, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let stream = accept(&listener);
                scope.spawn(|| polite.fetch_add(serve_once(stream), Ordering::SeqCst));
            }
        });
        let config = Config {
            clients: 5,
            behaviour: Behaviour {
                churn: Some(50.0),
                ..Behaviour::default()
            },
            ..config(address, Duration::from_millis(500))
        };
        let report = client::run(config, None).unwrap();
        is_over.store(true, Ordering::SeqCst);
        TcpStream::connect(address).unwrap();
        report
    });
    let reconnects = report.reconnects.as_ref().unwrap();
    assert!(
        (5..=27).contains(&reconnects.counters.churned),
        "{reconnects:?}"
    );
    assert!(reconnects.counters.returned <= reconnects.counters.churned);
    assert!(reconnects.response_us.count > 0 && reconnects.away_us.count == 0);
    assert_eq!(report.errors.total, 0, "{:?}", report.errors);
    assert_eq!((report.clients.connected, report.response_s.count), (5, 5));
    // A connection that is not upgraded when the run ends is closed without a handshake.
    let polite = polite.load(Ordering::SeqCst) as u64;
    assert_eq!(polite, 5 + reconnects.counters.returned, "{reconnects:?}");
    assert_eq!(report.losses.gaps, 0);
}

/// Sends a tick. Returns one if the client then closes politely, otherwise zero.
fn serve_once(stream: TcpStream) -> usize {
    let Ok(mut peer) = tungstenite::accept(stream) else {
        return 0;
    };
    if peer.send(Message::text(tick(1, 0))).is_err() {
        return 0;
    }
    while peer.read().is_ok() {}
    usize::from(!peer.can_read() && !peer.can_write())
}

#[test]
fn slow_clients_are_reported_separately() {
    let (listener, address) = bind();
    // The bytes that each connection took in the first second.
    let written = Mutex::new(Vec::new());
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                let stream = accept(&listener);
                socket2::SockRef::from(&stream)
                    .set_send_buffer_size(4096)
                    .unwrap();
                scope.spawn(|| {
                    let bytes = flood(stream, Duration::from_secs(1));
                    written.lock().unwrap().push(bytes);
                });
            }
        });
        let config = Config {
            clients: 4,
            behaviour: Behaviour {
                slow: 2,
                ..Behaviour::default()
            },
            ..config(address, Duration::from_millis(1500))
        };
        client::run(config, None).unwrap()
    });
    let slow = report.slow.as_ref().unwrap();
    assert_eq!((slow.asked, slow.counters.joined), (2, 2));
    assert!(
        slow.counters.ticks > 0 && slow.counters.ticks < report.counters.ticks / 10,
        "{slow:?}"
    );
    assert_eq!((report.clients.connected, report.response_s.count), (4, 2));
    assert_eq!(report.errors.total, 0, "{:?}", report.errors);
    let mut written = written.into_inner().unwrap();
    written.sort_unstable();
    assert!(written[1] < 200_000, "tiny buffers fill soon: {written:?}");
    assert!(written[2] > 2 * written[1], "{written:?}");
    assert!(report.to_string().contains("Slow clients"));
}

/// Sends ticks as fast as the socket takes them, for `duration`. Returns the number of bytes.
fn flood(stream: TcpStream, duration: Duration) -> usize {
    let mut peer = tungstenite::accept(stream).unwrap();
    let stream = peer.get_mut();
    stream
        .set_write_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let (mut unsent, mut written, mut seq) = (Vec::new(), 0, 0);
    let began = Instant::now();
    while began.elapsed() < duration {
        if unsent.is_empty() {
            seq += 1;
            tickertape::frame::text(&mut unsent, tick(seq, 0).as_bytes());
        }
        match stream.write(&unsent) {
            Ok(length) => {
                written += length;
                unsent.drain(..length);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    // The rest of the current tick, and the close.
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&unsent).unwrap();
    finish(&mut peer);
    written
}

#[test]
fn a_slow_client_that_the_server_drops_is_not_an_error() {
    let (listener, address) = bind();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let first = accept(&listener);
            scope.spawn(|| serve_steadily(first));
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            send(&mut peer, tick(1, 0));
            send(&mut peer, tick(4, 0));
            let frame = tungstenite::protocol::CloseFrame {
                code: CloseCode::Policy,
                reason: "slow".into(),
            };
            peer.close(Some(frame)).unwrap();
            finish(&mut peer);
        });
        let config = Config {
            clients: 2,
            in_flight: 1,
            behaviour: Behaviour {
                slow: 1,
                ..Behaviour::default()
            },
            ..config(address, Duration::from_millis(1500))
        };
        client::run(config, None).unwrap()
    });
    let slow = report.slow.as_ref().unwrap();
    let ended: Vec<_> = slow.ended.iter().collect();
    assert_eq!(ended, [(&ErrorKind::Closed(Some(1008)), &1)]);
    assert_eq!(report.errors.total, 0, "{:?}", report.errors);
}

#[test]
fn clients_that_do_not_join_in_time_are_abandoned() {
    let (listener, address) = bind();
    let began = Instant::now();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let stream = accept(&listener);
            scope.spawn(|| serve_steadily(stream));
            // Never upgraded; the third one is not even opened.
            let held = accept(&listener);
            let mut byte = [0];
            while !matches!(held.peek(&mut byte), Ok(0)) {
                std::io::Read::read(&mut &held, &mut [0; 1024]).unwrap();
            }
        });
        let config = Config {
            clients: 3,
            in_flight: 1,
            ..config(address, WINDOW)
        };
        client::run(config, None).unwrap()
    });
    assert!(began.elapsed() < WINDOW + Duration::from_secs(5));
    assert!(began.elapsed() < SOON);
    let expected = [(ErrorKind::HandshakeTimedOut, 1), (ErrorKind::NotOpened, 1)];
    assert_eq!(kinds(&report), expected);
    assert_eq!((report.clients.connected, report.clients.failed), (1, 2));
    assert!(
        report.counters.ticks > 0,
        "the one that has joined is measured"
    );
}
