//! A wait that ends in the middle, by its deadline or a nudge, loses no byte: with TLS and without.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use testkit::Authority;

use super::*;

/// The server's end of a connection.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A server that lets one client in and serves it.
struct Server {
    url: String,
    roots: Roots,
    serving: JoinHandle<()>,
}

impl Server {
    fn start(has_tls: bool, serve: impl FnOnce(&mut dyn Stream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let authority = Authority::new(&["localhost"]);
        let roots = Roots::with_pem(authority.pem.as_bytes()).unwrap();
        let serving = std::thread::spawn(move || {
            let mut stream: TcpStream = listener.accept().unwrap().0;
            write!(
                stream,
                "INFO {{\"headers\":true,\"tls_required\":{has_tls}}}\r\n"
            )
            .unwrap();
            let mut stream: Box<dyn Stream> = if has_tls {
                Box::new(authority.accept(stream))
            } else {
                Box::new(stream)
            };
            await_ping(&mut *stream);
            serve(&mut *stream);
        });
        Self {
            url: format!("nats://localhost:{port}"),
            roots,
            serving,
        }
    }
}

/// Reads what the client says up to its ping, and answers that.
fn await_ping(stream: &mut dyn Stream) {
    let mut said = Vec::new();
    while !said.ends_with(b"PING\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    say(stream, "PONG\r\n");
}

fn say(stream: &mut dyn Stream, words: &str) {
    stream.write_all(words.as_bytes()).unwrap();
    stream.flush().unwrap();
}

#[test]
fn a_flush_that_the_server_does_not_take_ends_in_time_and_goes_on_later() {
    for has_tls in [false, true] {
        flush_in_two_parts(has_tls);
    }
}

fn flush_in_two_parts(has_tls: bool) {
    let (go_on, gone_on) = mpsc::channel();
    let server = Server::start(has_tls, move |stream| {
        gone_on.recv().unwrap();
        let expected = ["PUB a 1048576\r\n", &"x".repeat(1 << 20), "\r\n"].concat();
        let expected = expected.repeat(20).into_bytes();
        let mut said = vec![0; expected.len()];
        stream.read_exact(&mut said).unwrap();
        assert!(said == expected, "bytes are lost or come twice");
        await_ping(stream);
    });
    let url = server.url;
    in_fiber_with(server.roots, move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        for _ in 0..20 {
            connection.publish("a", None, &[], &vec![b'x'; 1 << 20]);
        }
        let deadline = Instant::now() + Duration::from_millis(50);
        let why = connection.flush(deadline).unwrap_err().to_string();
        assert_eq!(why, "no answer within the limit");
        assert_eq!(connection.receive(deadline), Ok(Received::TimedOut));
        go_on.send(()).unwrap();
        connection.ping();
        assert_eq!(connection.receive(soon()), Ok(Received::Pong));
    });
    server.serving.join().unwrap();
}

#[test]
fn a_nudge_ends_a_wait_for_the_rest_of_a_message() {
    for has_tls in [false, true] {
        let server = Server::start(has_tls, |stream| {
            say(stream, "MSG a 1 4\r\nhe");
            // The nudged client pings, and only then the rest comes.
            let mut said = [0; 6];
            stream.read_exact(&mut said).unwrap();
            say(stream, "re\r\nPONG\r\n");
        });
        let received = nudged(server.url, server.roots);
        let [Received::Nudged, Received::Message(message), Received::Pong] = received.as_slice()
        else {
            panic!("{received:?}");
        };
        assert_eq!(message.payload, b"here");
        server.serving.join().unwrap();
    }
}

/// What a fiber receives that is nudged in its first wait and then pings.
fn nudged(url: String, roots: Roots) -> Vec<Received> {
    let mut io_loop = IoLoop::<Vec<Received>>::new().unwrap();
    io_loop.call_later(2 * LONG, |_, _| panic!("the loop hangs"));
    let config = TransportConfig {
        proxy: None,
        roots,
        ..TransportConfig::default()
    };
    let http_client = HttpClient::new(io_loop.registrar(), config, None).unwrap();
    let is_waiting = Rc::new(Cell::new(false));
    let told = Rc::clone(&is_waiting);
    let body = move |emitter: &Emitter<Received>| {
        let mut connection = open(&http_client, &url).unwrap();
        told.set(true);
        emitter.emit(connection.receive(soon()).unwrap())?;
        connection.ping();
        for _ in 0..2 {
            emitter.emit(connection.receive(soon()).unwrap())?;
        }
        Ok(())
    };
    let on_emit = |all: &mut Vec<_>, _: &mut IoLoop<_>, received| all.push(received);
    let on_exit = |_: &mut Vec<_>, io_loop: &mut IoLoop<_>, _| io_loop.stop();
    let fiber = io_loop.spawn(STACK_SIZE, body, on_emit, on_exit).unwrap();
    let nudge = move |_: &mut Vec<_>, io_loop: &mut IoLoop<_>| {
        if is_waiting.take() {
            fiber.nudge(io_loop);
        }
    };
    ioloop::PeriodicCallback::start(&mut io_loop, Duration::from_millis(5), nudge);
    let mut received = Vec::new();
    io_loop.start(&mut received).unwrap();
    received
}
