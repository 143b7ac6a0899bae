//! The end: everybody is told, and it comes in time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{TestServer, closed_with, read_to_end, ticks};
use socket2::SockRef;
use tickertape::server::Config;
use tungstenite::protocol::frame::coding::CloseCode;

#[test]
fn everybody_gets_the_last_tick_and_1001() {
    let server = TestServer::start(Config::default());
    let mut clients: Vec<_> = (0..20).map(|_| server.open("/")).collect();
    let mut waiting = server.connect();
    server.wait_for_metric("clients", |clients| clients == 20);
    server.tick("A", 1);
    server.shut_down();
    for client in &mut clients {
        assert_eq!(ticks(client, 1), [(1, 1)]);
        assert_eq!(closed_with(client), CloseCode::Away);
        client.flush().ok();
    }
    assert!(read_to_end(&mut waiting).starts_with("HTTP/1.1 503 "));
    let address = server.address;
    drop((clients, waiting));
    let began = Instant::now();
    server.join();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it waited for nobody"
    );
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn clients_that_do_not_say_goodbye_delay_it_to_the_limit_only() {
    let shutdown_timeout = Duration::from_millis(150);
    let server = TestServer::start(Config {
        shutdown_timeout,
        ..Config::default()
    });
    let silent = server.open_raw();
    server.wait_for_metric("clients", |clients| clients == 1);
    let began = Instant::now();
    server.shut_down();
    server.join();
    assert!(began.elapsed() >= shutdown_timeout);
    drop(silent);
}

#[test]
fn who_lags_is_told_too_when_it_reads_on() {
    let server = TestServer::start(Config {
        tape_size: 64 << 10,
        send_buffer: 8 << 10,
        conflate_after: Duration::from_millis(1),
        shutdown_timeout: Duration::from_secs(10),
        ..Config::default()
    });
    let mut slow = server.open("/");
    SockRef::from(slow.get_ref())
        .set_recv_buffer_size(4096)
        .unwrap();
    for price in 0..20_000 {
        server.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 20_000);
    server.shut_down();
    assert_eq!(closed_with(&mut slow), CloseCode::Away);
    slow.flush().ok();
    drop(slow);
    server.join();
}
