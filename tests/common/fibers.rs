//! Fibers under test: a loop to run them on, and what they resolve and fetch with.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ioloop::fiber::{Emitter, Exit, STACK_SIZE};
use ioloop::{IoLoop, Registrar};
use tickertape::http_client::Roots;
use tickertape::http_client::dns::{Hosts, ResolvConf, Resolver};
use tickertape::http_client::{self, NoProxy, TransportConfig};

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

/// Starts `body` as a fiber that has to succeed. The loop stops when it returns.
pub(crate) fn spawn<S: 'static>(
    io_loop: &mut IoLoop<S>,
    body: impl FnOnce(&Emitter<()>) -> io::Result<()> + 'static,
) {
    let on_exit = |_: &mut S, io_loop: &mut IoLoop<S>, exit| {
        assert!(matches!(exit, Exit::Returned(Ok(()))), "{exit:?}");
        io_loop.stop();
    };
    let spawned = io_loop.spawn(STACK_SIZE, body, |_, _, ()| {}, on_exit);
    spawned.expect("memory for a stack");
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
pub(crate) fn settings() -> TransportConfig {
    TransportConfig {
        timeout: Duration::from_secs(5),
        proxy: None,
        no_proxy: NoProxy::default(),
        roots: Roots::default(),
    }
}

/// An agent that resolves literals and `hosts` only.
pub(crate) fn agent(registrar: &Registrar, hosts: &str, settings: &TransportConfig) -> ureq::Agent {
    http_client::agent(registrar, &resolver(registrar, hosts, &[]), settings)
}

/// The status and the body of the answer to a GET of `url`.
pub(crate) fn get(agent: &ureq::Agent, url: &str) -> Result<(u16, String), ureq::Error> {
    let mut response = agent.get(url).call()?;
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), body))
}

/// One GET in a fiber, of the root of `server`.
pub(crate) fn fetch(
    server: SocketAddr,
    settings: TransportConfig,
) -> Result<(u16, String), ureq::Error> {
    fetch_url(format!("http://{server}/"), settings)
}

/// One GET in a fiber, of any URL.
pub(crate) fn fetch_url(
    url: String,
    settings: TransportConfig,
) -> Result<(u16, String), ureq::Error> {
    in_fiber(move |registrar| get(&agent(registrar, HOSTS, &settings), &url))
}

/// What [`get`] returns when all is well.
pub(crate) fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

/// Settings for upstreams that will not answer.
pub(crate) fn impatient() -> TransportConfig {
    TransportConfig {
        timeout: Duration::from_millis(150),
        ..settings()
    }
}

/// Settings that trust a private authority.
pub(crate) fn trusting(pem: &str) -> TransportConfig {
    TransportConfig {
        roots: Roots::with_pem(pem.as_bytes()).expect("a certificate"),
        ..settings()
    }
}

/// Host names for tests. Nothing listens at the first address of `two.test`.
const HOSTS: &str = "127.0.0.1 api.test\n127.0.0.2 two.test\n127.0.0.1 two.test\n";
