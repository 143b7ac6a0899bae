//! A server is replaced by another one on the same port, without any client noticing.

use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{PATIENCE, next};
use rustix::process::Signal;
use socket2::SockRef;
use testkit::ServerProcess;
use tungstenite::Message;

/// How often the server is replaced.
const HANDOVERS: usize = 20;

/// A server on `port` that waits for others no longer than a busy machine needs.
fn server(port: &str) -> ServerProcess {
    let arguments = ["--interval", "5ms", "--drain", "0"];
    let shared = [
        "--reuse-port",
        "--shutdown-timeout",
        "600ms",
        "--port",
        port,
    ];
    crate::common::process(&[&arguments[..], &shared].concat())
}

/// Ends the visits, even if the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects, upgrades, reads a tick and closes.
fn visit(address: &str) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(address).map_err(|error| text(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{address}/");
    let (mut client, _) = tungstenite::client(url, stream).map_err(|error| text(&error))?;
    match client.read().map_err(|error| text(&error))? {
        Message::Text(_) => {}
        other => return Err(format!("{other:?}")),
    }
    client.close(None).map_err(|error| text(&error))?;
    // So many connections must not use up the ports.
    let stream = SockRef::from(client.get_ref());
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    Ok(())
}

#[test]
fn no_client_is_refused_or_reset_while_the_server_is_replaced() {
    let mut present = server("0");
    let address = present.address.clone();
    let port = address.rsplit(':').next().unwrap();
    let done = AtomicBool::new(false);
    let visits = thread::scope(|scope| {
        let visitor = || {
            let mut results = Vec::new();
            while !done.load(Ordering::Relaxed) {
                results.push(visit(&address));
            }
            results
        };
        let visitors = [scope.spawn(visitor), scope.spawn(visitor)];
        let ending = Done(&done);
        for number in 0..HANDOVERS {
            let other = server(port);
            // Sometimes the new server ends instead, and the old one has to continue.
            let (stays, goes) = if number % 4 == 3 {
                (present, other)
            } else {
                (other, present)
            };
            goes.signal(Signal::TERM);
            let (status, log) = goes.wait();
            assert_eq!(status, Some(0), "{log}");
            assert!(
                log.contains("another server has taken over the port"),
                "{log}"
            );
            present = stays;
        }
        drop(ending);
        visitors.map(|visitor| visitor.join().unwrap()).concat()
    });
    let failures: Vec<_> = visits
        .iter()
        .filter_map(|visit| visit.as_ref().err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}: {failures:?}",
        failures.len(),
        visits.len()
    );
    assert!(visits.len() > HANDOVERS, "{}", visits.len());
}

#[test]
fn without_a_successor_the_server_ends_as_usual() {
    let server = server("0");
    let stream = TcpStream::connect(&server.address).unwrap();
    let url = format!("ws://{}/", server.address);
    let mut client = tungstenite::client(url, stream).unwrap().0;
    next(&mut client);
    server.signal(Signal::TERM);
    assert_eq!(u16::from(crate::common::closed_with(&mut client)), 1001);
    client.flush().ok();
    drop(client);
    let address = server.address.clone();
    let (status, log) = server.wait();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("no other server listens on the port"), "{log}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_port_is_shared_only_with_reuse_port() {
    let server = server("0");
    let port = server.address.rsplit(':').next().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_server"))
        .args(["--port", port, "--log", "error"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = format!("error: cannot listen on 127.0.0.1:{port}: ");
    assert!(
        stderr.starts_with(&expected) && stderr.lines().count() == 1,
        "{stderr}"
    );
}
