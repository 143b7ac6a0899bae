//! The promise of HTTPS: only the right server is believed, through a proxy too.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fibers::{fetch_url, in_fiber, ok, settings, trusting};
use testkit::Authority;
use testkit::tcp::{answer, hang, read_head, serve};
use tickertape::http_client::Roots;
use tickertape::http_client::TransportConfig;
use ureq::Proxy;

#[test]
fn https_works_with_a_private_authority_and_only_for_the_right_name() {
    let authority = Authority::new(&["api.test", "127.0.0.1"]);
    let pem = authority.pem.clone();
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        // A client that does not trust us hangs up in the handshake.
        let _ = answer(&mut stream, "secret");
        hang(stream);
    });
    let port = server.port();
    for host in ["api.test", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/");
        let got = fetch_url(url, trusting(&pem));
        assert_eq!(got.expect("a body"), ok("secret"));
    }
    let other_name = format!("https://two.test:{port}/");
    assert!(fetch_url(other_name, trusting(&pem)).is_err());
    let unknown_authority = fetch_url(format!("https://api.test:{port}/"), settings());
    assert!(unknown_authority.is_err());
}

#[test]
fn streams_other_than_http_can_use_tls() {
    let authority = Authority::new(&["api.test"]);
    let roots = Roots::with_pem(authority.pem.as_bytes()).expect("a certificate");
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        let _ = stream.write_all(b"hello");
        hang(stream);
    });
    let got = in_fiber(move |registrar| {
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        let stream = ioloop::net::FiberStream::connect(registrar, server, deadline);
        let config = roots.client_config().expect("good roots");
        let name = "api.test".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(config, name).expect("a good config");
        let mut stream = rustls::StreamOwned::new(connection, stream.expect("connected"));
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).map(|()| buffer)
    });
    assert_eq!(&got.expect("five bytes"), b"hello");
}

#[test]
fn https_goes_through_a_proxy_that_resolves_the_name() {
    let authority = Authority::new(&["target.invalid"]);
    let with_authority = trusting(&authority.pem);
    let server = serve(move |stream| {
        let mut stream = authority.accept(stream);
        let _ = answer(&mut stream, "through");
        hang(stream);
    });
    let tunnels = Arc::new(AtomicUsize::new(0));
    let proxy = proxy(server, Arc::clone(&tunnels));
    let settings = TransportConfig {
        proxy: Proxy::new(&format!("http://api.test:{}", proxy.port())).ok(),
        ..with_authority
    };
    let got = fetch_url("https://target.invalid/".to_owned(), settings);
    assert_eq!(got.expect("a body"), ok("through"));
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
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
fn a_socks_proxy_is_refused_in_words() {
    let settings = TransportConfig {
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
