//! The promise of the loop: it goes on, on time, while fibers are busy.

#[path = "common/fibers.rs"]
mod fibers;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use fibers::{agent, get, ok, spawn, trusting};
use ioloop::fiber::{self, Exit, STACK_SIZE};
use ioloop::{IoLoop, Registrar};
use testkit::Authority;
use testkit::tcp::{hang, read_head, serve};

#[test]
fn a_stream_that_never_has_to_wait_leaves_turns_to_others() {
    let server = serve(|mut stream| {
        let _ = stream.write_all(&[b'x'; 64]);
        hang(stream);
    });
    let mut io_loop = IoLoop::<u32>::new().expect("a poll descriptor");
    fn count(io_loop: &mut IoLoop<u32>) {
        io_loop.add_callback(|turns, io_loop| {
            *turns += 1;
            count(io_loop);
        });
    }
    let registrar: Registrar = io_loop.registrar().clone();
    let body = move |emitter: &fiber::Emitter<()>| {
        let mut stream = ioloop::net::FiberStream::connect(&registrar, server, None)?;
        while stream.is_quiet() {
            fiber::yield_now()?;
        }
        emitter.emit(())?;
        let mut buffer = [0];
        for _ in 0..64 {
            stream.read_exact(&mut buffer)?;
        }
        Ok(())
    };
    let spawned = io_loop.spawn(
        STACK_SIZE,
        body,
        |turns, _, ()| *turns = 0,
        |_, io_loop, exit| {
            assert!(matches!(exit, Exit::Returned(Ok(()))), "{exit:?}");
            io_loop.stop();
        },
    );
    spawned.expect("memory for a stack");
    count(&mut io_loop);
    let mut turns = 0;
    io_loop.start(&mut turns).expect("polling works");
    assert!((8..=10).contains(&turns), "{turns}");
}

#[test]
fn the_loop_stays_on_time_while_https_is_fetched() {
    const BEAT: Duration = Duration::from_millis(5);
    let authority = Authority::new(&["127.0.0.1"]);
    let with_authority = trusting(&authority.pem);
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        read_head(&mut stream).expect("a request");
        // A slow upstream: 260 ms in all.
        thread::sleep(Duration::from_millis(130));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        thread::sleep(Duration::from_millis(130));
        let _ = stream.write_all(b"half");
        hang(stream);
    });
    let mut io_loop = IoLoop::<Vec<Duration>>::new().expect("a poll descriptor");
    let agent = agent(io_loop.registrar(), "", &with_authority);
    spawn(&mut io_loop, move |_| {
        let got = get(&agent, &format!("https://{server}/"));
        assert_eq!(got.expect("a body"), ok("halfhalf"));
        Ok(())
    });
    fn beat(io_loop: &mut IoLoop<Vec<Duration>>, due: Instant) {
        io_loop.call_at(due, move |lateness, io_loop| {
            lateness.push(due.elapsed());
            beat(io_loop, due + BEAT);
        });
    }
    beat(&mut io_loop, Instant::now() + BEAT);
    let mut lateness = Vec::new();
    io_loop.start(&mut lateness).expect("polling works");
    assert!(lateness.len() > 40, "{} beats", lateness.len());
    lateness.sort_unstable();
    let p90 = lateness[lateness.len() * 9 / 10];
    assert!(p90 < Duration::from_millis(20), "{p90:?}");
}
