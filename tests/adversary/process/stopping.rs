//! The process is stopped and continued: ticks come late, none is lost, none is made up for, and
//! what clients did meanwhile was in time.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use testkit::Peer;
use testkit::frames::{frame, handshake};
use tickertape::tick::unix_us;

use super::{INTERVAL, Outcome, Subject, faultless};
use crate::cases;
use crate::control_client::Stall;
use crate::fixture::metric;

/// One long pause, then ticks at their pace: none was lost, none is made up for, and clients that
/// came meanwhile are served.
pub(super) fn stopped() -> Outcome {
    let subject = Subject::start(&[]);
    subject.control.await_ticks(20);
    subject.signal(Signal::STOP);
    let waiting: Vec<_> = (0..20)
        .map(|_| Peer::connect(&subject.program.address))
        .collect();
    waiting
        .iter()
        .for_each(|peer| peer.send(handshake("/").as_bytes()));
    let pause = Duration::from_secs(if crate::is_full() { 5 } else { 1 });
    thread::sleep(pause);
    let resumed = unix_us();
    subject.signal(Signal::CONT);
    for mut peer in waiting {
        let head = peer.head();
        cases::must(head.starts_with("HTTP/1.1 101 "), || {
            format!("a waiting client got {head:?}")
        })?;
    }
    subject.control.await_ticks(50);
    let mut seen = subject.control.leave();
    let stamps: Vec<_> = seen
        .recent
        .iter()
        .map(|(_, sent)| *sent)
        .filter(|sent| *sent >= resumed)
        .collect();
    let window = 10 * INTERVAL.as_micros() as u64;
    let burst = stamps
        .iter()
        .filter(|sent| **sent < stamps[0] + window)
        .count();
    cases::must(burst <= 12, || {
        format!("{burst} ticks came in ten intervals")
    })?;
    let long = |stall: &Stall| stall.to - stall.from >= pause;
    let long = seen.stalls.iter().position(long);
    let long = long.ok_or_else(|| "it was not even stopped".to_owned())?;
    seen.stalls.remove(long);
    faultless(seen)
}

/// Stops as long as a client may be behind, at any moment of the server's work: they are not a
/// client's fault, so nobody skips anything.
pub(super) fn stopped_again_and_again() -> Outcome {
    let subject = Subject::start(&["--conflate-after", "20ms"]);
    // So many that a stop is likely to find it among them.
    let _others: Vec<_> = (0..100)
        .map(|_| Peer::open(&subject.program.address).unwrap())
        .collect();
    for number in 0..25 {
        subject.control.await_ticks(2);
        thread::sleep(INTERVAL * (number % 10) / 10);
        subject.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(30));
        subject.signal(Signal::CONT);
    }
    subject.control.await_ticks(20);
    let seen = subject.control.leave();
    cases::equal("missed", seen.wrong, 0)?;
    Ok(None)
}

/// Data that arrived while the server was stopped was in time, although every limit has passed.
pub(super) fn stopped_beyond_the_limits() -> Outcome {
    let limits = [
        "--ping-interval=1s",
        "--handshake-timeout=1s",
        "--slow-timeout=1s",
    ];
    let subject = Subject::start(&limits);
    // On a machine that takes too long to bring them all that far, the limits are over already.
    let mut crowd = Crowd::gather(&subject)?;
    for _ in 1..TRIES_MAX {
        if crowd.age() > LIMIT / 2 {
            drop(crowd);
            crowd = Crowd::gather(&subject)?;
        }
    }
    let age = crowd.age();
    cases::must(age <= LIMIT / 2, || format!("gathered only in {age:?}"))?;
    subject.signal(Signal::STOP);
    for (peer, ping) in &crowd.listening {
        let request = frame(0x81, br#"{"op":"ping"}"#);
        peer.send(&[frame(0x8a, ping), request].concat());
    }
    for peer in &crowd.asking {
        peer.send(handshake("/").as_bytes());
    }
    thread::sleep(LIMIT * 5 / 4);
    subject.signal(Signal::CONT);
    for peer in &mut crowd.asking {
        let head = peer.head();
        let is_in = head.starts_with("HTTP/1.1 101 ");
        cases::must(is_in, || format!("a client that had asked got {head:?}"))?;
    }
    for (peer, _) in &mut crowd.listening {
        peer.frame(|_, payload| payload.starts_with(br#"{"op":"pong""#))
            .map_err(|error| format!("a client that had answered: {error}"))?;
    }
    subject.control.await_ticks(20);
    let seen = subject.control.leave();
    cases::equal("missed", seen.wrong, 0)?;
    cases::equal("the control client's end", seen.end.as_deref(), None)?;
    Ok(None)
}

/// Clients about to be judged.
struct Crowd {
    /// Each with the ping that it has yet to answer.
    listening: Vec<(Peer, Vec<u8>)>,
    asking: Vec<Peer>,
    /// The newest tick before the first ping: no limit has begun to count earlier. In Unix µs.
    began: u64,
}

impl Crowd {
    fn gather(subject: &Subject) -> Result<Self, String> {
        let address = &subject.program.address;
        let mut peers = Vec::new();
        for _ in 0..EACH {
            peers.push(Peer::open(address)?);
        }
        let mut began = u64::MAX;
        let mut listening = Vec::new();
        for mut peer in peers {
            // When a ping is read says little of when it was sent, on a busy machine.
            let mut newest = 0;
            let ping = peer.frame(|first, payload| {
                newest = stamp(payload).unwrap_or(newest);
                first == 0x89
            })?;
            began = began.min(newest);
            listening.push((peer, ping));
        }
        let crowd = Self {
            listening,
            asking: (0..EACH).map(|_| Peer::connect(address)).collect(),
            began,
        };
        // With the control client, and with the request for the metrics. On a slow machine the
        // server lets some go before the last is there; then the crowd is too old anyway.
        let all = Some(2 + 2 * EACH as u64);
        while metric(&subject.program.metrics(), "connections") != all && crowd.age() <= LIMIT {
            thread::sleep(POLL);
        }
        Ok(crowd)
    }

    /// How long the first limit may have been counting.
    fn age(&self) -> Duration {
        Duration::from_micros(unix_us().saturating_sub(self.began))
    }
}

/// When a tick was sent, in Unix µs; none if it is another message.
fn stamp(payload: &[u8]) -> Option<u64> {
    let tick: Value = serde_json::from_slice(payload).ok()?;
    tick["sent"].as_u64()
}

/// More than the events of one turn of the loop.
const EACH: usize = 80;

/// How often a crowd is gathered until it is young enough.
const TRIES_MAX: usize = 10;

/// The time between two looks at the metrics.
const POLL: Duration = Duration::from_millis(5);

/// Every limit of that server.
const LIMIT: Duration = Duration::from_secs(1);
