//! The promise of the HTTP client: wherever an upstream leaves it hanging, a call ends at its
//! limit, or at once when it is cancelled.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ioloop::IoLoop;
use ioloop::fiber::{self, Exit, STACK_SIZE};

use crate::fibers::{agent, fetch, fetch_url, get, impatient, in_fiber, resolver, settings};
use testkit::NameServer;
use testkit::tcp::{hang, read_head, serve};
use tickertape::http_client::{self, TransportConfig};
use ureq::{Proxy, Timeout};

#[test]
fn a_silent_server_times_out_before_the_header() {
    let server = serve(hang);
    assert_timeout(fetch(server, impatient()));
}

#[test]
fn a_silent_server_times_out_inside_the_header_and_inside_the_body() {
    for part in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal",
    ] {
        let server = serve(move |mut stream| {
            let _ = stream.write_all(part.as_bytes());
            hang(stream);
        });
        assert_timeout(fetch(server, impatient()));
    }
}

#[test]
fn a_body_that_trickles_forever_times_out() {
    let server = serve(|mut stream| {
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while sent.is_ok() {
            thread::sleep(Duration::from_millis(5));
            sent = stream.write_all(b"x");
        }
    });
    assert_timeout(fetch(server, impatient()));
}

#[test]
fn a_silent_server_times_out_in_the_tls_handshake() {
    let server = serve(hang);
    assert_timeout(fetch_url(format!("https://{server}/"), impatient()));
}

#[test]
fn a_silent_proxy_times_out() {
    let proxy = serve(hang);
    let settings = TransportConfig {
        proxy: Proxy::new(&format!("http://{proxy}")).ok(),
        ..impatient()
    };
    assert_timeout(fetch_url("https://target.test/".to_owned(), settings));
}

#[test]
fn a_silent_name_server_times_out() {
    let silent = NameServer::start(|_, _| Vec::new());
    let got = in_fiber(move |registrar| {
        let resolver = resolver(registrar, "", &[silent.address]);
        get(
            &http_client::agent(registrar, &resolver, &impatient()),
            "http://api.test/",
        )
    });
    // It is the name server that is silent, not the host.
    let error = got.expect_err("nobody knows the name");
    assert_eq!(error.to_string(), "other: no name server answers");
}

/// The full queue of a listener that never accepts drops further connections silently.
#[cfg(target_os = "linux")]
#[test]
fn a_connect_that_is_never_answered_times_out() {
    use socket2::{Domain, Socket, Type};

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any_port: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any_port.into()).expect("a free port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let address = address.as_socket().expect("an IP address");
    let _first = TcpStream::connect(address).expect("room for one");
    // Whichever limit it was: no server was reached, which is not the same as no answer.
    match fetch(address, impatient()) {
        Err(ureq::Error::Timeout(Timeout::Connect)) => {}
        got => panic!("{got:?}"),
    }
}

fn assert_timeout(got: Result<(u16, String), ureq::Error>) {
    match got {
        Err(ureq::Error::Timeout(Timeout::Global)) => {}
        got => panic!("{got:?}"),
    }
}

#[test]
fn a_call_can_be_cancelled_wherever_it_waits() {
    for part in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"] {
        let exit = cancelled_in(part);
        assert!(matches!(exit, Exit::Cancelled), "{exit:?}");
    }
}

/// How a fetch ends that is cancelled when the server has sent `part` of its answer.
fn cancelled_in(part: &'static str) -> Exit {
    let asked = Arc::new(AtomicBool::new(false));
    let asked_too = Arc::clone(&asked);
    let server = serve(move |mut stream| {
        read_head(&mut stream).expect("a request");
        let _ = stream.write_all(part.as_bytes());
        asked_too.store(true, Ordering::SeqCst);
        hang(stream);
    });
    let mut io_loop = IoLoop::<Option<Exit>>::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(8), |_, _| panic!("the loop hangs"));
    let agent = agent(io_loop.registrar(), "", &settings());
    let body = move |_: &fiber::Emitter<()>| {
        let got = get(&agent, &format!("http://{server}/"));
        assert!(fiber::is_cancelled());
        got.map(drop).map_err(ureq::Error::into_io)
    };
    let fiber = io_loop.spawn(
        STACK_SIZE,
        body,
        |_, _, ()| {},
        |state, io_loop, exit| {
            *state = Some(exit);
            io_loop.stop();
        },
    );
    let fiber = fiber.expect("memory for a stack");
    fn cancel_when(
        io_loop: &mut IoLoop<Option<Exit>>,
        asked: Arc<AtomicBool>,
        fiber: fiber::Fiber,
    ) {
        io_loop.call_later(Duration::from_millis(5), move |_, io_loop| {
            if asked.load(Ordering::SeqCst) {
                fiber.cancel(io_loop);
            } else {
                cancel_when(io_loop, asked, fiber);
            }
        });
    }
    cancel_when(&mut io_loop, asked, fiber);
    let mut state = None;
    io_loop.start(&mut state).expect("polling works");
    state.expect("an exit")
}

#[test]
fn dropping_the_loop_in_the_middle_of_a_call_is_safe() {
    let halves = Arc::new(AtomicUsize::new(0));
    let (hung_up, ends) = mpsc::channel();
    let served = Arc::clone(&halves);
    let server = serve(move |mut stream| {
        read_head(&mut stream).expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
        served.fetch_add(1, Ordering::SeqCst);
        hang(stream);
        let _ = hung_up.send(());
    });
    let mut io_loop = IoLoop::<()>::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(8), |(), _| panic!("the loop hangs"));
    let agent = agent(io_loop.registrar(), "", &settings());
    let calls = [(); 3].map(|()| {
        let agent = agent.clone();
        let body = move |_: &fiber::Emitter<()>| {
            let got = get(&agent, &format!("http://{server}/"));
            got.map(drop).map_err(ureq::Error::into_io)
        };
        let spawned = io_loop.spawn(STACK_SIZE, body, |(), _, ()| {}, |(), _, _| {});
        spawned.expect("memory for a stack")
    });
    stop_when(&mut io_loop, halves, calls.len());
    io_loop.start(&mut ()).expect("polling works");
    assert!(calls.iter().all(fiber::Fiber::is_running), "none is over");
    drop(io_loop);
    assert!(!calls.iter().any(fiber::Fiber::is_running));
    for _ in calls {
        let end = ends.recv_timeout(Duration::from_secs(8));
        assert_eq!(end, Ok(()), "its connection is closed");
    }
}

fn stop_when(io_loop: &mut IoLoop<()>, reached: Arc<AtomicUsize>, count: usize) {
    io_loop.call_later(Duration::from_millis(1), move |(), io_loop| {
        if reached.load(Ordering::SeqCst) == count {
            io_loop.stop();
        } else {
            stop_when(io_loop, reached, count);
        }
    });
}
