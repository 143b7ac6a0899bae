//! Stand-ins for what is upstream of a fiber: servers in threads, on loopback, and a loop to run
//! the fiber on. Nothing here sleeps to wait for readiness: listeners are bound before they are
//! known to anybody.
#![allow(dead_code, reason = "each test file uses its own part")]

mod authority;
pub(crate) mod exchange;
mod name_server;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub(crate) use authority::Authority;
use ioloop::fiber::STACK_SIZE;
use ioloop::{IoLoop, Registrar};
#[allow(unused_imports, reason = "each test file uses its own part")]
pub(crate) use name_server::{NameFault, NameServer};
use tickertape::http_client::dns::{Hosts, ResolvConf, Resolver};
use tickertape::http_client::{self, Settings};
use tickertape::tls::Roots;

/// Runs `body` as a fiber on a loop of its own and returns what it returns.
pub(crate) fn in_fiber<T: 'static>(body: impl FnOnce(&Registrar) -> T + 'static) -> T {
    let mut io_loop = IoLoop::<Option<T>>::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(8), |_, _| panic!("the loop hangs"));
    let registrar = io_loop.registrar().clone();
    io_loop
        .spawn(
            STACK_SIZE,
            move |emitter| Ok(emitter.emit(body(&registrar))?),
            |state, io_loop: &mut IoLoop<Option<T>>, value| {
                *state = Some(value);
                io_loop.stop();
            },
            |_, io_loop, _| io_loop.stop(),
        )
        .expect("memory for a stack");
    let mut state = None;
    io_loop.start(&mut state).expect("polling works");
    state.expect("the fiber did not panic")
}

/// A resolver that knows `hosts` and asks `servers`, each once and not for long.
pub(crate) fn resolver(registrar: &Registrar, hosts: &str, servers: &[SocketAddr]) -> Resolver {
    let mut conf = ResolvConf::parse("");
    conf.servers = servers.to_vec();
    conf.timeout = Duration::from_millis(300);
    conf.attempts = 1;
    Resolver::new(registrar, conf, Hosts::parse(hosts))
}

/// Settings that do not depend on the environment.
pub(crate) fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(5),
        proxy: None,
        roots: Roots::default(),
    }
}

/// An agent that resolves literals and `hosts` only.
pub(crate) fn agent(registrar: &Registrar, hosts: &str, settings: &Settings) -> ureq::Agent {
    http_client::agent(registrar, &resolver(registrar, hosts, &[]), settings)
}

/// What a GET of `url` brings: the status and the body.
pub(crate) fn get(agent: &ureq::Agent, url: &str) -> Result<(u16, String), ureq::Error> {
    let mut response = agent.get(url).call()?;
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), body))
}

/// One GET in a fiber, of the root of `server`.
pub(crate) fn fetch(server: SocketAddr, settings: Settings) -> Result<(u16, String), ureq::Error> {
    fetch_url(format!("http://{server}/"), settings)
}

/// One GET in a fiber, of any URL.
pub(crate) fn fetch_url(url: String, settings: Settings) -> Result<(u16, String), ureq::Error> {
    in_fiber(move |registrar| get(&agent(registrar, HOSTS, &settings), &url))
}

/// What [`get`] returns when all is well.
pub(crate) fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

/// Settings for upstreams that will not answer.
pub(crate) fn impatient() -> Settings {
    Settings {
        timeout: Duration::from_millis(150),
        ..settings()
    }
}

/// Settings with an authority of one's own.
pub(crate) fn trusting(roots: &Roots) -> Settings {
    Settings {
        roots: roots.clone(),
        ..settings()
    }
}

/// Serves each connection with `handler` in a thread of its own.
pub(crate) fn serve(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handler(stream));
        }
    });
    address
}

/// Reads up to the empty line that ends the head of a request.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Answers one request with `body`.
pub(crate) fn answer(stream: &mut (impl Read + Write), body: &str) -> io::Result<()> {
    read_head(stream)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Says nothing until the peer has gone.
pub(crate) fn hang(mut stream: impl Read) {
    while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
}

/// Names of the tests. Nobody listens at the first address of `two.test`.
const HOSTS: &str = "127.0.0.1 api.test\n127.0.0.2 two.test\n127.0.0.1 two.test\n";
