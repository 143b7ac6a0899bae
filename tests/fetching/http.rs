//! The promise of the HTTP client: what a server answers arrives, and what it fails to answer is an
//! error that says so.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ioloop::fiber;

use crate::fibers::{agent, fetch, fetch_url, get, in_fiber, ok, resolver, settings};
use testkit::NameServer;
use testkit::tcp::{answer, hang, read_head, serve};
use tickertape::http_client;

#[test]
fn an_error_status_is_an_answer_and_the_request_has_a_user_agent() {
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
fn a_chunked_body_may_arrive_byte_by_byte() {
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
fn the_end_of_the_connection_may_end_a_body() {
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
fn closed_ports_and_unknown_names_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let Err(ureq::Error::Io(error)) = fetch(address, settings()) else {
        panic!("somebody listens");
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let got = in_fiber(|registrar| {
        let server = NameServer::start(|query, _| {
            let mut reply = query.clone().into_reply();
            *reply.rcode_mut() = simple_dns::RCODE::NameError;
            vec![reply.build_bytes_vec().expect("a good packet")]
        });
        let resolver = resolver(registrar, "", &[server.address]);
        get(
            &http_client::agent(registrar, &resolver, &settings()),
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
