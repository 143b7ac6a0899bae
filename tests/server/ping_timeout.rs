//! The heartbeat: a client that answers stays, one that does not is closed.

use std::time::{Duration, Instant};

use crate::common::{TestServer, close_code};
use tickertape::server::Config;
use tungstenite::Message;

fn beating(ping_interval: Duration) -> TestServer {
    TestServer::start(Config {
        ping_interval,
        ping_timeout: ping_interval,
        ..Config::default()
    })
}

#[test]
fn a_listener_that_only_answers_pings_is_never_dropped() {
    // The timeout is as long as the interval, so there is time to answer on a busy machine.
    let server = beating(Duration::from_secs(1));
    let mut client = server.open("/");
    let mut pings = 0;
    // With the second ping, the time for the first pong is over.
    while pings < 2 {
        match client.read().unwrap() {
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    client.flush().unwrap();
    assert_eq!(server.metric("clients"), 1);
}

#[test]
fn a_client_that_does_not_answer_is_closed_with_1008() {
    let server = beating(Duration::from_millis(400));
    let began = Instant::now();
    let mut deaf = server.open_raw();
    assert_eq!(close_code(&mut deaf), 1008);
    assert!(began.elapsed() >= Duration::from_millis(400));
}
