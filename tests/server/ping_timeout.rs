//! The heartbeat: who answers stays, who does not is closed.

use std::time::{Duration, Instant};

use crate::common::{TestServer, close_code};
use tickertape::server::Config;
use tungstenite::Message;

fn beating() -> TestServer {
    let ping_interval = Duration::from_millis(400);
    TestServer::start(Config {
        ping_interval,
        ping_timeout: ping_interval,
        ..Config::default()
    })
}

#[test]
fn a_listener_that_only_answers_pings_is_never_dropped() {
    let server = beating();
    let mut client = server.open("/");
    let mut pings = 0;
    while pings < 3 {
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
    let server = beating();
    let began = Instant::now();
    let mut deaf = server.open_raw();
    assert_eq!(close_code(&mut deaf), 1008);
    assert!(began.elapsed() >= Duration::from_millis(400));
}
