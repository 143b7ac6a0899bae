//! The promise of a nudge: it ends the wait of a fiber that accepts nudges, is never lost, and
//! disturbs no other wait.

mod common;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ioloop::fiber::{self, Emitter, Exit, Fiber, STACK_SIZE};
use ioloop::net::FiberStream;
use ioloop::{IoLoop, Registrar};

use self::common::{LONG, Words, watched_loop};

/// Spawns a fiber that pushes the words that it emits. The loop stops when it ends.
fn spawn(
    io_loop: &mut IoLoop<Words>,
    body: impl FnOnce(&Emitter<String>) -> io::Result<()> + 'static,
) -> Fiber {
    let on_emit = |words: &mut Words, _: &mut IoLoop<Words>, word| words.push(word);
    let on_exit = |words: &mut Words, io_loop: &mut IoLoop<Words>, exit| {
        words.push(match exit {
            Exit::Returned(Ok(())) => "returned".to_owned(),
            Exit::Returned(Err(error)) => error.to_string(),
            Exit::Cancelled => "cancelled".to_owned(),
            Exit::Panicked(message) => message,
        });
        io_loop.stop();
    };
    let spawned = io_loop.spawn(STACK_SIZE, body, on_emit, on_exit);
    spawned.expect("memory for a stack")
}

fn run(io_loop: &mut IoLoop<Words>) -> Words {
    let mut words = Words::new();
    io_loop.start(&mut words).expect("polling works");
    words
}

/// How a wait ended, in one word.
fn word(waited: io::Result<()>) -> String {
    match waited {
        Ok(()) => "ready".to_owned(),
        Err(error) if fiber::is_nudge(&error) => "nudged".to_owned(),
        Err(error) => error.kind().to_string(),
    }
}

/// Both ends of a connection.
struct Pair {
    registrar: Registrar,
    address: SocketAddr,
    listener: TcpListener,
}

impl Pair {
    fn new(io_loop: &IoLoop<Words>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            registrar: io_loop.registrar().clone(),
            address: listener.local_addr().expect("it is bound"),
            listener,
        }
    }

    /// In a fiber: our end, which accepts nudges, and the other.
    fn open(&self) -> io::Result<(FiberStream, TcpStream)> {
        let mut stream = FiberStream::connect(&self.registrar, self.address, None)?;
        stream.set_accepts_nudges(true);
        Ok((stream, self.listener.accept()?.0))
    }
}

#[test]
fn a_nudge_ends_a_read_and_the_next_one_gets_every_byte() {
    let mut io_loop = watched_loop();
    let pair = Pair::new(&io_loop);
    let reader = spawn(&mut io_loop, move |emitter| {
        let (mut stream, mut peer) = pair.open()?;
        peer.write_all(b"ab")?;
        let mut bytes = [0; 2];
        stream.read_exact(&mut bytes)?;
        emitter.emit("reads".to_owned())?;
        let nudged = stream.read(&mut bytes);
        emitter.emit(word(nudged.map(drop)))?;
        peer.write_all(b"cd")?;
        stream.read_exact(&mut bytes)?;
        Ok(emitter.emit(String::from_utf8_lossy(&bytes).into_owned())?)
    });
    nudge_after_a_word(&mut io_loop, reader);
    assert_eq!(run(&mut io_loop), ["reads", "nudged", "cd", "returned"]);
}

/// Nudges `fiber` some turns after it has emitted a word.
fn nudge_after_a_word(io_loop: &mut IoLoop<Words>, fiber: Fiber) {
    io_loop.call_later(Duration::from_millis(1), move |words, io_loop| {
        if words.is_empty() {
            nudge_after_a_word(io_loop, fiber);
        } else {
            fiber.nudge(io_loop);
        }
    });
}

#[test]
fn a_nudge_from_before_the_wait_is_not_lost_and_several_count_as_one() {
    let mut io_loop = watched_loop();
    let pair = Pair::new(&io_loop);
    let fiber = spawn(&mut io_loop, move |emitter| {
        let (mut stream, _peer) = pair.open()?;
        stream.set_deadline(Some(fiber::time() + Duration::from_millis(20)));
        for _ in 0..2 {
            let read = stream.read(&mut [0]);
            emitter.emit(word(read.map(drop)))?;
        }
        Ok(())
    });
    for _ in 0..3 {
        fiber.nudge(&mut io_loop);
    }
    assert_eq!(run(&mut io_loop), ["nudged", "timed out", "returned"]);
}

#[test]
fn sleeps_and_plain_waits_are_left_alone() {
    let mut io_loop = watched_loop();
    let registrar = io_loop.registrar().clone();
    let fiber = spawn(&mut io_loop, move |emitter| {
        let begin = Instant::now();
        let pause = Duration::from_millis(30);
        fiber::sleep(pause)?;
        assert!(begin.elapsed() >= pause, "the nudge ended the sleep");
        let token = registrar.token();
        let waited = fiber::wait(token, Some(begin + 2 * pause));
        emitter.emit(word(waited))?;
        // It is still there for who wants it.
        let waited = fiber::wait_or_nudge(token, Some(begin + LONG));
        Ok(emitter.emit(word(waited))?)
    });
    io_loop.call_later(Duration::from_millis(5), move |_, io_loop| {
        fiber.nudge(io_loop);
    });
    assert_eq!(run(&mut io_loop), ["timed out", "nudged", "returned"]);
}

#[test]
fn a_nudge_never_ends_a_write() {
    let mut io_loop = watched_loop();
    let pair = Pair::new(&io_loop);
    let length = 8 << 20;
    let writer = spawn(&mut io_loop, move |emitter| {
        let (mut stream, mut peer) = pair.open()?;
        let reader = std::thread::spawn(move || {
            let mut sink = vec![0; length];
            peer.read_exact(&mut sink).map(|()| peer)
        });
        emitter.emit("writes".to_owned())?;
        stream.write_all(&vec![7; length])?;
        let _peer = reader.join().expect("no panic")?;
        emitter.emit("written".to_owned())?;
        Ok(emitter.emit(word(stream.read(&mut [0]).map(drop)))?)
    });
    nudge_after_a_word(&mut io_loop, writer);
    assert_eq!(
        run(&mut io_loop),
        ["writes", "written", "nudged", "returned"]
    );
}

#[test]
fn a_peer_that_always_sends_does_not_keep_a_nudge_waiting() {
    let mut io_loop = watched_loop();
    let pair = Pair::new(&io_loop);
    let fiber = spawn(&mut io_loop, move |emitter| {
        let (mut stream, mut peer) = pair.open()?;
        peer.write_all(&[7; 1000])?;
        emitter.emit("reads".to_owned())?;
        fiber::sleep(Duration::from_millis(5))?;
        // There is something to read, so it need not wait.
        emitter.emit(word(stream.read(&mut [0]).map(drop)))?;
        Ok(emitter.emit(word(stream.read(&mut [0]).map(drop)))?)
    });
    nudge_after_a_word(&mut io_loop, fiber);
    assert_eq!(run(&mut io_loop), ["reads", "nudged", "ready", "returned"]);
}

#[test]
fn a_cancelled_fiber_is_told_that_and_not_of_the_nudge() {
    let mut io_loop = watched_loop();
    let fiber = spawn(&mut io_loop, move |_| {
        fiber::sleep(LONG).unwrap_or_default();
        let error = fiber::wait_or_nudge(ioloop::Token(7), None).expect_err("it is cancelled");
        assert!(!fiber::is_nudge(&error), "{error}");
        Ok(())
    });
    io_loop.call_later(Duration::from_millis(2), move |_, io_loop| {
        fiber.nudge(io_loop);
        fiber.cancel(io_loop);
        fiber.nudge(io_loop);
    });
    assert_eq!(run(&mut io_loop), ["cancelled"]);
}

#[test]
fn a_fiber_may_be_nudged_after_its_end() {
    let mut io_loop = watched_loop();
    let fiber = spawn(&mut io_loop, |_| Ok(()));
    assert_eq!(run(&mut io_loop), ["returned"]);
    fiber.nudge(&mut io_loop);
}
