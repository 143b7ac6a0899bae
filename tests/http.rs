//! The promise of the HTTP client: whatever an upstream does, a call ends within its limit, and
//! while it lasts the loop goes on.

mod stand_in;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Authority, agent, answer, hang, in_fiber, read_head, serve, settings};
use tickertape::fiber::{self, Exit, STACK_SIZE};
use tickertape::http::{self, Settings};
use tickertape::io_loop::{IoLoop, Registrar};
use tickertape::tls::Roots;
use ureq::{Agent, Proxy, Timeout};

/// What a GET of `url` brings: the status and the body.
fn get(agent: &Agent, url: &str) -> Result<(u16, String), ureq::Error> {
    let mut response = agent.get(url).call()?;
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), body))
}

/// One GET in a fiber, of the root of `server`.
fn fetch(server: SocketAddr, settings: Settings) -> Result<(u16, String), ureq::Error> {
    fetch_url(format!("http://{server}/"), settings)
}

fn fetch_url(url: String, settings: Settings) -> Result<(u16, String), ureq::Error> {
    in_fiber(move |registrar| get(&agent(registrar, HOSTS, &settings), &url))
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

fn impatient() -> Settings {
    Settings {
        timeout: Duration::from_millis(150),
        ..settings()
    }
}

fn trusting(roots: &Roots) -> Settings {
    Settings {
        roots: roots.clone(),
        ..settings()
    }
}

#[test]
fn a_status_is_an_answer_and_the_request_says_who_asks() {
    let server = serve(|mut stream| {
        let head = read_head(&mut stream).expect("a request");
        let agent = format!("user-agent: tickertape/{}\r\n", env!("CARGO_PKG_VERSION"));
        assert!(head.to_ascii_lowercase().contains(&agent), "{head}");
        let _ = stream.write_all(b"HTTP/1.1 429 Slow Down\r\nContent-Length: 4\r\n\r\nlate");
        hang(stream);
    });
    let got = fetch(server, settings()).expect("an answer");
    assert_eq!(got, (429, "late".to_owned()));
}

#[test]
fn a_chunked_body_that_comes_byte_by_byte_is_put_together() {
    let server = serve(|mut stream| {
        read_head(&mut stream).expect("a request");
        stream.set_nodelay(true).expect("it can be set");
        let reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
        for byte in reply {
            stream.write_all(&[*byte]).expect("the peer reads");
            thread::yield_now();
        }
        hang(stream);
    });
    assert_eq!(
        fetch(server, settings()).expect("a body"),
        ok("hello, world")
    );
}

#[test]
fn a_body_may_end_with_the_connection() {
    let server = serve(|mut stream| {
        read_head(&mut stream).expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall there is");
        let _ = stream.shutdown(Shutdown::Write);
        hang(stream);
    });
    assert_eq!(
        fetch(server, settings()).expect("a body"),
        ok("all there is")
    );
}

#[test]
fn a_large_body_arrives_whole() {
    let server = serve(|mut stream| {
        let _ = answer(&mut stream, &"x".repeat(2_000_000));
        hang(stream);
    });
    let (_, body) = fetch(server, settings()).expect("a body");
    assert_eq!(body.len(), 2_000_000);
}

#[test]
fn a_connection_closed_or_reset_early_is_an_error() {
    let closed = serve(|mut stream| {
        read_head(&mut stream).expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    assert!(fetch(closed, settings()).is_err());
    let reset = serve(|mut stream| {
        read_head(&mut stream).expect("a request");
        let socket = socket2::SockRef::from(&stream);
        socket
            .set_linger(Some(Duration::ZERO))
            .expect("it can be set");
    });
    let error = fetch(reset, settings()).expect_err("a reset");
    let ureq::Error::Io(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_silent_server_is_given_up_before_the_header() {
    let server = serve(hang);
    assert_timeout(fetch(server, impatient()));
}

#[test]
fn a_silent_server_is_given_up_inside_the_header_and_inside_the_body() {
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
fn a_body_that_trickles_on_and_on_is_given_up() {
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
fn a_silent_server_is_given_up_in_the_tls_handshake() {
    let server = serve(hang);
    assert_timeout(fetch_url(format!("https://{server}/"), impatient()));
}

#[test]
fn a_silent_proxy_is_given_up() {
    let proxy = serve(hang);
    let settings = Settings {
        proxy: Proxy::new(&format!("http://{proxy}")).ok(),
        ..impatient()
    };
    assert_timeout(fetch_url("https://target.test/".to_owned(), settings));
}

#[test]
fn a_silent_name_server_is_given_up() {
    let silent = stand_in::NameServer::start(|_, _| Vec::new());
    let got = in_fiber(move |registrar| {
        let resolver = stand_in::resolver(registrar, "", &[silent.address]);
        get(
            &http::agent(registrar, &resolver, &impatient()),
            "http://api.test/",
        )
    });
    assert_timeout(got);
}

/// A full queue of a listener that accepts nobody drops further connections without a word.
#[cfg(target_os = "linux")]
#[test]
fn a_connect_into_the_void_is_given_up() {
    use socket2::{Domain, Socket, Type};

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any_port: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any_port.into()).expect("a free port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let address = address.as_socket().expect("an IP address");
    let _first = TcpStream::connect(address).expect("room for one");
    assert_timeout(fetch(address, impatient()));
}

fn assert_timeout(got: Result<(u16, String), ureq::Error>) {
    match got {
        Err(ureq::Error::Timeout(Timeout::Global)) => {}
        got => panic!("{got:?}"),
    }
}

#[test]
fn nobody_listening_and_unknown_names_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let Err(ureq::Error::Io(error)) = fetch(address, settings()) else {
        panic!("somebody listens");
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let got = in_fiber(|registrar| {
        let server = stand_in::NameServer::start(|query, _| {
            let mut reply = query.clone().into_reply();
            *reply.rcode_mut() = simple_dns::RCODE::NameError;
            vec![reply.build_bytes_vec().expect("a good packet")]
        });
        let resolver = stand_in::resolver(registrar, "", &[server.address]);
        get(
            &http::agent(registrar, &resolver, &settings()),
            "http://api.test/",
        )
    });
    assert!(matches!(got, Err(ureq::Error::HostNotFound)), "{got:?}");
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer() {
    let server = serve(|mut stream| {
        let _ = answer(&mut stream, "here");
    });
    // The server has its port on 127.0.0.1 alone.
    let url = format!("http://two.test:{}/", server.port());
    assert_eq!(fetch_url(url, settings()).expect("a body"), ok("here"));
}

#[test]
fn connections_are_reused_until_the_server_closes_them() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let closed = Arc::new(AtomicBool::new(false));
    let (accepted_too, closed_too) = (Arc::clone(&accepted), Arc::clone(&closed));
    let server = serve(move |mut stream| {
        accepted_too.fetch_add(1, Ordering::SeqCst);
        for body in ["first", "second"] {
            let _ = answer(&mut stream, body);
        }
        drop(stream);
        closed_too.store(true, Ordering::SeqCst);
    });
    in_fiber(move |registrar| {
        let agent = agent(registrar, "", &settings());
        let url = format!("http://{server}/");
        assert_eq!(get(&agent, &url).expect("a body"), ok("first"));
        assert_eq!(get(&agent, &url).expect("a body"), ok("second"));
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
        while !closed.load(Ordering::SeqCst) {
            fiber::sleep(Duration::from_millis(1)).expect("it is not cancelled");
        }
        assert_eq!(get(&agent, &url).expect("a body"), ok("first"));
        assert_eq!(accepted.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn https_works_with_an_authority_of_ones_own_and_only_for_the_right_name() {
    let authority = Authority::new(&["api.test", "127.0.0.1"]);
    let roots = authority.roots.clone();
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        // Who does not trust us hangs up in the handshake.
        let _ = answer(&mut stream, "secret");
        hang(stream);
    });
    let port = server.port();
    for host in ["api.test", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/");
        let got = fetch_url(url, trusting(&roots));
        assert_eq!(got.expect("a body"), ok("secret"));
    }
    let other_name = format!("https://two.test:{port}/");
    assert!(fetch_url(other_name, trusting(&roots)).is_err());
    let unknown_authority = fetch_url(format!("https://api.test:{port}/"), settings());
    assert!(unknown_authority.is_err());
}

#[test]
fn tls_is_there_for_other_streams_too() {
    let authority = Authority::new(&["api.test"]);
    let roots = authority.roots.clone();
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        let _ = stream.write_all(b"hello");
        hang(stream);
    });
    let got = in_fiber(move |registrar| {
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        let stream = tickertape::net::FiberStream::connect(registrar, server, deadline);
        let config = roots.client_config().expect("good roots");
        let name = "api.test".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(config, name).expect("a good config");
        let mut stream = rustls::StreamOwned::new(connection, stream.expect("connected"));
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).map(|()| buffer)
    });
    assert_eq!(&got.expect("five bytes"), b"hello");
}

/// A proxy that makes tunnels, all of them to `target`, and counts them.
fn proxy(target: SocketAddr, tunnels: Arc<AtomicUsize>) -> SocketAddr {
    serve(move |mut client| {
        let head = read_head(&mut client).expect("a request");
        assert!(head.starts_with("CONNECT target.invalid:"), "{head}");
        tunnels.fetch_add(1, Ordering::SeqCst);
        let mut server = TcpStream::connect(target).expect("it listens");
        client
            .write_all(b"HTTP/1.1 200 Go on\r\n\r\n")
            .expect("the peer reads");
        let (mut from_server, mut to_client) = (
            server.try_clone().expect("a descriptor"),
            client.try_clone().expect("a descriptor"),
        );
        let back = thread::spawn(move || io::copy(&mut from_server, &mut to_client));
        let _ = io::copy(&mut client, &mut server);
        let _ = server.shutdown(Shutdown::Both);
        let _ = back.join();
    })
}

#[test]
fn https_goes_through_a_proxy_that_resolves_the_name() {
    let authority = Authority::new(&["target.invalid"]);
    let with_authority = trusting(&authority.roots);
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        let _ = answer(&mut stream, "through");
        hang(stream);
    });
    let tunnels = Arc::new(AtomicUsize::new(0));
    let proxy = proxy(server, Arc::clone(&tunnels));
    let settings = Settings {
        proxy: Proxy::new(&format!("http://api.test:{}", proxy.port())).ok(),
        ..with_authority
    };
    let got = fetch_url("https://target.invalid/".to_owned(), settings);
    assert_eq!(got.expect("a body"), ok("through"));
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
}

#[test]
fn a_socks_proxy_is_refused_in_words() {
    let settings = Settings {
        proxy: Proxy::new("socks5://127.0.0.1:1").ok(),
        ..settings()
    };
    let error = fetch_url("https://api.test/".to_owned(), settings).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("proxy 127.0.0.1: SOCKS is not supported"),
        "{error}"
    );
}

/// Runs `body` as a fiber; what it was doing ends when the server has its request.
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
            match asked.load(Ordering::SeqCst) {
                true => fiber.cancel(io_loop),
                false => cancel_when(io_loop, asked, fiber),
            }
        });
    }
    cancel_when(&mut io_loop, asked, fiber);
    let mut state = None;
    io_loop.start(&mut state).expect("polling works");
    state.expect("an exit")
}

#[test]
fn a_call_can_be_cancelled_wherever_it_waits() {
    for part in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"] {
        let exit = cancelled_in(part);
        assert!(matches!(exit, Exit::Cancelled), "{exit:?}");
    }
}

#[test]
fn dropping_the_loop_in_the_middle_of_a_call_is_safe() {
    let server = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
        hang(stream);
    });
    let mut io_loop = IoLoop::<()>::new().expect("a poll descriptor");
    let agent = agent(io_loop.registrar(), "", &settings());
    for _ in 0..3 {
        let agent = agent.clone();
        let body = move |_: &fiber::Emitter<()>| {
            let got = get(&agent, &format!("http://{server}/"));
            got.map(drop).map_err(ureq::Error::into_io)
        };
        let spawned = io_loop.spawn(STACK_SIZE, body, |(), _, ()| {}, |(), _, _| {});
        spawned.expect("memory for a stack");
    }
    io_loop.call_later(Duration::from_millis(20), |(), io_loop| io_loop.stop());
    io_loop.start(&mut ()).expect("polling works");
    drop(io_loop);
}

#[test]
fn a_stream_that_never_has_to_wait_leaves_turns_for_others() {
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
        let mut stream = tickertape::net::FiberStream::connect(&registrar, server, None)?;
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
    let with_authority = trusting(&authority.roots);
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
    let body = move |_: &fiber::Emitter<()>| {
        let got = get(&agent, &format!("https://{server}/"));
        assert_eq!(got.expect("a body"), ok("halfhalf"));
        Ok(())
    };
    let spawned = io_loop.spawn(
        STACK_SIZE,
        body,
        |_, _, ()| {},
        |_, io_loop, exit| {
            assert!(matches!(exit, Exit::Returned(Ok(()))), "{exit:?}");
            io_loop.stop();
        },
    );
    spawned.expect("memory for a stack");
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

/// Names of the tests. Nobody listens at the first address of `two.test`.
const HOSTS: &str = "127.0.0.1 api.test\n127.0.0.2 two.test\n127.0.0.1 two.test\n";
