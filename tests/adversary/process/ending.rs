//! How it ends, and how it starts again.

use std::net::TcpListener;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Outcome, Subject, server};
use crate::cases::{self, Check};
use testkit::frames::{frame, server_frames};
use testkit::{End, Peer};

/// Every client that reads gets 1001 after the last tick, and the end comes in time although some
/// clients never read, never spoke, or never stop asking.
pub(super) fn terminated_under_load() -> Outcome {
    let mut subject = Subject::start(&["--message-rate", "1000000", "--drain", "300ms"]);
    let address = subject.program.address.clone();
    let readers: Vec<_> = (0..100).map(|_| Peer::open(&address).unwrap()).collect();
    let _never_read: Vec<_> = (0..20)
        .map(|_| Peer::connect_narrow(&address).upgrade().unwrap())
        .collect();
    // The system keeps a client that says nothing at all for its first second, and the server then
    // knows nothing of it.
    let halting = || {
        let peer = Peer::connect(&address);
        peer.send(b"GET / HTTP/1.1\r\n");
        peer
    };
    let halting: Vec<_> = (0..20).map(|_| halting()).collect();
    let ended = AtomicBool::new(false);
    let floods = || {
        let requests = frame(0x81, br#"{"op":"get","symbol":"sim:BTC/USDT"}"#).repeat(100);
        let mut peer = Peer::open(&address).unwrap();
        thread::scope(|scope| {
            let stream = peer.stream.try_clone().unwrap();
            let (ended, requests) = (&ended, &requests);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if std::io::Write::write_all(&mut &stream, requests).is_err() {
                        break;
                    }
                }
            });
            peer.read_to_end();
        });
    };
    let storms = || {
        while let Ok(stream) = std::net::TcpStream::connect(&address) {
            drop(stream);
        }
    };
    thread::scope(|scope| {
        let loads = [scope.spawn(floods), scope.spawn(storms)];
        subject.control.await_ticks(30);
        let began = Instant::now();
        subject.signal(Signal::TERM);
        let told = readers
            .into_iter()
            .map(goodbye)
            .collect::<Result<Vec<_>, _>>()
            .map(drop);
        let refused = halting
            .into_iter()
            .map(unserved)
            .collect::<Result<Vec<_>, _>>()
            .map(drop);
        let status = subject.program.exit();
        let took = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().unwrap();
        }
        told?;
        refused?;
        cases::equal("exit status", status, Some(0))?;
        cases::must(took < DRAIN + LIMIT + SLACK, || format!("it took {took:?}"))
    })?;
    let seen = subject.control.end();
    cases::equal("missed", seen.wrong, 0)?;
    cases::equal(
        "the control client's end",
        seen.end.as_deref(),
        Some("closed with 1001"),
    )?;
    Ok(None)
}

fn goodbye(mut peer: Peer) -> Check {
    let received = peer.read_to_end();
    cases::equal("close code", received.close_code()?, 1001)?;
    cases::equal("the end", received.end, End::Fin)?;
    let closes = server_frames(&received.bytes)
        .iter()
        .filter(|(first, _)| *first == 0x88)
        .count();
    cases::equal("close frames", closes, 1)
}

fn unserved(mut peer: Peer) -> Check {
    let received = peer.read_to_end();
    cases::equal(
        "status of a client that had not asked in full",
        (received.status(), received.end),
        (503, End::Fin),
    )
}

/// The system ends its connections; another one takes the same port at once, with old connections
/// still in the system's books.
pub(super) fn killed_and_started_again() -> Outcome {
    let mut subject = Subject::start(&[]);
    let address = subject.program.address.clone();
    let clients: Vec<_> = (0..50).map(|_| Peer::open(&address).unwrap()).collect();
    subject.control.await_ticks(5);
    subject.signal(Signal::KILL);
    subject.program.exit();
    let port = address.rsplit(':').next().unwrap();
    let again = Subject::on_port(port, &mut server());
    cases::equal("address", &again.program.address, &address)?;
    Peer::open(&address)?;
    drop(clients);
    cases::equal("missed", subject.control.end().wrong, 0)?;
    again.unharmed()
}

/// One line that says so, and exit status 1; the server that has the port does not notice.
pub(super) fn port_taken() -> Outcome {
    let subject = Subject::start(&[]);
    let port = subject
        .program
        .address
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    fails(&port, "address already in use")?;
    subject.unharmed()
}

/// The port of another program, which does not even accept.
pub(super) fn port_of_nobody() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    fails(
        &taken.local_addr().unwrap().port().to_string(),
        "address already in use",
    )?;
    Ok(None)
}

fn fails(port: &str, cause: &str) -> Check {
    let Output {
        status,
        stdout,
        stderr,
    } = server()
        .args(["--log", "error", "--port", port])
        .output()
        .unwrap();
    cases::equal("exit status", status.code(), Some(1))?;
    let stderr = String::from_utf8_lossy(&stderr);
    let line = format!("error: cannot listen on 127.0.0.1:{port}: {cause}\n");
    let is_clear = stderr == line && stdout.is_empty();
    cases::must(is_clear, || format!("it said {stderr:?}"))
}

/// The time over which that server closes its clients.
const DRAIN: Duration = Duration::from_millis(300);

/// Its own limit on how long they take then.
const LIMIT: Duration = Duration::from_secs(2);

/// How much later that may be seen on a machine that has much else to do.
const SLACK: Duration = Duration::from_secs(2);
