//! Consumers: clients that connect and then do not read, do not speak, or vanish.
//!
//! The contract: none of them costs another client anything, and each is dropped at its limit.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockFilter, SockRef};

use crate::cases::{self, Check};
use crate::fixture::{Fixture, SLACK};
use testkit::frames::{frame, handshake};
use testkit::{End, Peer};

/// A kind of consumer, and what must come of it.
type Case = (&'static str, fn(&Fixture) -> Check);

const CASES: [Case; 12] = [
    ("never reads", never_reads),
    ("reads a byte now and then", reads_a_byte_now_and_then),
    ("vanishes without a FIN", vanishes),
    (
        "vanishes without a FIN before it has spoken",
        vanishes_at_once,
    ),
    ("answers no ping", answers_no_ping),
    ("keeps the connection after the goodbye", never_ends),
    ("half-closes", half_closes),
    (
        "half-closes with an answer to come",
        half_closes_and_listens,
    ),
    ("half-closes in its request", half_closes_in_its_request),
    ("resets", resets),
    ("connects and closes, a storm of it", storms),
    ("says nothing, a crowd of it", never_speaks),
];

/// Runs all cases; returns what failed.
pub(crate) fn run(fixture: &Fixture) -> Vec<String> {
    cases::run(
        "consumers",
        &CASES,
        |(name, _)| name,
        |(_, check)| check(fixture),
    )
}

/// Opened with as little room as can be, so that not reading is felt at once.
fn narrow(fixture: &Fixture) -> Result<Peer, String> {
    Peer::connect_narrow(&fixture.address).upgrade()
}

/// It is dropped, with a reset: it would not have taken the FIN either.
fn never_reads(fixture: &Fixture) -> Check {
    let began = Instant::now();
    let peers: Result<Vec<_>, _> = (0..20).map(|_| narrow(fixture)).collect();
    for peer in peers? {
        await_reset(&peer.stream, fixture)?;
    }
    let limit = fixture.limits.slow;
    fixture
        .limits
        .kept("the limit on slowness", limit, began.elapsed())
}

fn reads_a_byte_now_and_then(fixture: &Fixture) -> Check {
    let mut peer = narrow(fixture)?;
    let until = Instant::now() + fixture.limits.slow + SLACK;
    // Data that had arrived can still be read after the reset.
    while peer.stream.take_error().unwrap().is_none() {
        cases::must(Instant::now() < until, || {
            "it is still being served".to_owned()
        })?;
        cases::equal("a byte", peer.stream.read(&mut [0]).ok(), Some(1))?;
        thread::sleep(fixture.limits.slow / 30);
    }
    Ok(())
}

/// From now on nothing arrives, as if the cable were cut: the kernel drops what comes, so that it
/// is not even acknowledged.
fn cut(peer: &Peer) {
    const RETURN: u16 = 0x06;
    let drop_all = [SockFilter::new(RETURN, 0, 0, 0)];
    SockRef::from(&peer.stream)
        .attach_filter(&drop_all)
        .unwrap();
}

fn vanishes(fixture: &Fixture) -> Check {
    let began = Instant::now();
    let peers: Vec<_> = (0..10)
        .map(|_| Peer::open(&fixture.address).unwrap())
        .collect();
    peers.iter().for_each(cut);
    let limits = fixture.limits;
    let longest = (limits.ping * 2).max(limits.slow) + limits.close;
    await_release(&peers, longest)?;
    cases::must(began.elapsed() < Duration::from_secs(60), || {
        "it took over a minute".to_owned()
    })
}

fn vanishes_at_once(fixture: &Fixture) -> Check {
    let peers: Vec<_> = (0..10).map(|_| Peer::connect(&fixture.address)).collect();
    peers.iter().for_each(cut);
    await_release(&peers, fixture.limits.handshake + fixture.limits.close)
}

/// It reads everything, and gets 1008 when its pong is overdue.
fn answers_no_ping(fixture: &Fixture) -> Check {
    let mut peer = Peer::open(&fixture.address)?;
    let received = peer.read_to_end();
    cases::equal("close code", received.close_code()?, 1008)?;
    cases::equal("the end", received.end, End::Fin)?;
    let pings = received.bytes.windows(2).filter(|at| at[0] == 0x89).count();
    cases::must(pings > 0, || "it was never asked".to_owned())?;
    // It may have joined just before a ping.
    let limit = fixture.limits.ping;
    let late = limit * 2 + SLACK;
    cases::must((limit..late).contains(&received.took), || {
        format!("after {:?}", received.took)
    })
}

/// All has been said; the server ends the connection at its limit whatever the client does.
fn never_ends(fixture: &Fixture) -> Check {
    let mut peer = Peer::open(&fixture.address)?;
    peer.send(&frame(0x88, &1000_u16.to_be_bytes()));
    let received = peer.read_to_end();
    cases::equal("close code", received.close_code()?, 1000)?;
    cases::equal("the end", received.end, End::Fin)?;
    await_release(&[peer], fixture.limits.close)
}

fn half_closes(fixture: &Fixture) -> Check {
    let mut peer = Peer::open(&fixture.address)?;
    peer.half_close();
    cases::equal("the end", peer.read_to_end().end, End::Fin)?;
    let mut peer = Peer::open(&fixture.address)?;
    peer.send(&frame(0x81, b"hello")[..7]);
    peer.half_close();
    cases::equal("the end within a frame", peer.read_to_end().end, End::Fin)?;
    let mut peer = Peer::connect(&fixture.address);
    peer.half_close();
    let received = peer.read_to_end();
    cases::equal("the end of one that said nothing", received.end, End::Fin)?;
    cases::must(received.bytes.is_empty(), || format!("{received:?}"))
}

fn half_closes_and_listens(fixture: &Fixture) -> Check {
    let mut peer = Peer::open(&fixture.address)?;
    peer.send(&frame(0x81, br#"{"op":"ping","id":"last"}"#));
    peer.half_close();
    peer.frame(|_, payload| payload.starts_with(br#"{"op":"pong","id":"last""#))?;
    let mut peer = Peer::connect(&fixture.address);
    peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer.half_close();
    let received = peer.read_to_end();
    cases::equal("status", (received.status(), received.end), (200, End::Fin))
}

/// A client that has begun its request gets an answer.
fn half_closes_in_its_request(fixture: &Fixture) -> Check {
    let mut peer = Peer::connect(&fixture.address);
    peer.send(b"GET / HT");
    peer.half_close();
    let received = peer.read_to_end();
    cases::equal("status", (received.status(), received.end), (400, End::Fin))
}

/// At every point where that can be.
fn resets(fixture: &Fixture) -> Check {
    for _ in 0..20 {
        Peer::connect(&fixture.address).reset();
        let peer = Peer::connect(&fixture.address);
        peer.send(&handshake("/").as_bytes()[..40]);
        peer.reset();
        let peer = Peer::connect(&fixture.address);
        peer.send(handshake("/").as_bytes());
        peer.reset();
        Peer::open(&fixture.address)?.reset();
        let peer = Peer::open(&fixture.address)?;
        peer.send(&frame(0x81, b"hello")[..7]);
        peer.reset();
        let peer = Peer::open(&fixture.address)?;
        peer.send(&frame(0x88, b"\x03\xe8"));
        peer.reset();
    }
    Ok(())
}

fn storms(fixture: &Fixture) -> Check {
    for number in 0..fixture.limits.crowd {
        let peer = Peer::connect(&fixture.address);
        match number % 3 {
            0 => peer.reset(),
            1 => peer.half_close(),
            _ => {}
        }
    }
    Ok(())
}

/// Each of them gets its answer at the limit.
fn never_speaks(fixture: &Fixture) -> Check {
    let mut crowd: Vec<_> = (0..fixture.limits.crowd)
        .map(|_| Peer::connect(&fixture.address))
        .collect();
    for peer in &mut crowd {
        let received = peer.read_to_end();
        cases::equal("status", (received.status(), received.end), (408, End::Fin))?;
        fixture.limits.kept(
            "the handshake limit",
            fixture.limits.handshake,
            received.took,
        )?;
    }
    await_release(&crowd, Duration::ZERO)
}

/// Waits for a reset without reading anything.
fn await_reset(stream: &TcpStream, fixture: &Fixture) -> Check {
    let until = Instant::now() + fixture.limits.slow + SLACK;
    while stream.take_error().unwrap().is_none() {
        cases::must(Instant::now() < until, || "it was not dropped".to_owned())?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits until the server has closed its end of each connection.
fn await_release(peers: &[Peer], limit: Duration) -> Check {
    let until = Instant::now() + limit + SLACK;
    let ends: Vec<_> = peers
        .iter()
        .map(|peer| {
            (
                peer.stream.peer_addr().unwrap(),
                peer.stream.local_addr().unwrap(),
            )
        })
        .collect();
    while let Some(held) = held(&ends) {
        cases::must(Instant::now() < until, || format!("{held} are still held"))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// How many of the connections, each from its server's end, are a process's; none if none is.
fn held(ends: &[(SocketAddr, SocketAddr)]) -> Option<usize> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut owned: Vec<_> = table.lines().skip(1).filter_map(owned_ports).collect();
    owned.sort_unstable();
    let is_held = |(server, client): &&(SocketAddr, SocketAddr)| {
        owned.binary_search(&(server.port(), client.port())).is_ok()
    };
    let count = ends.iter().filter(is_held).count();
    (count > 0).then_some(count)
}

/// Local and remote port of a line of `/proc/net/tcp`, if a descriptor of any process refers to it:
/// without one, it has no inode.
fn owned_ports(line: &str) -> Option<(u16, u16)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
    let (local, remote) = (port(fields.get(1)?)?, port(fields.get(2)?)?);
    (*fields.get(9)? != "0").then_some((local, remote))
}
