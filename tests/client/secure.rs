//! TLS, headers and passwords.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::{Authority, NamedTempFile, Validity, temp_file};
use tickertape::client::config::{Access, Config, Watch};
use tickertape::client::error_kind::ErrorKind;
use tickertape::client::report::Report;
use tickertape::client::{self, config::url::Url};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::server::{ENDLESS, WINDOW, accept, begin, bind, finish, kinds, run_bare, send, tick};

type SecurePeer = WebSocket<StreamOwned<ServerConnection, TcpStream>>;

fn pem_file(authority: &Authority) -> NamedTempFile {
    temp_file(&authority.pem)
}

fn config(url: &str, duration: Duration, access: Access) -> Config {
    Config {
        duration,
        access,
        ..Config::new(Url::parse(url).unwrap())
    }
}

fn trusting(authority: &NamedTempFile) -> Access {
    Access {
        ca: Some(authority.path().to_owned()),
        ..Access::default()
    }
}

fn upgrade(config: Arc<ServerConfig>, stream: TcpStream) -> SecurePeer {
    let connection = ServerConnection::new(config).unwrap();
    tungstenite::accept(StreamOwned::new(connection, stream)).unwrap()
}

/// The report of one client on a server with this certificate, which may be refused.
fn refused(server: Arc<ServerConfig>, host: &str, access: Access) -> Report {
    run_bare(
        |address| {
            config(
                &format!("wss://{host}:{}/", address.port()),
                ENDLESS,
                access,
            )
        },
        |stream| {
            let connection = ServerConnection::new(server).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            assert!(stream.read(&mut [0]).is_err());
        },
    )
}

#[test]
fn ticks_arrive_through_tls_and_the_connection_is_closed_politely() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    let report = run_bare(
        |address| config(&format!("wss://{address}/"), WINDOW, trusting(&file)),
        |stream| {
            let mut peer = upgrade(authority.config(), stream);
            peer.send(Message::Ping("joined?".into())).unwrap();
            assert_eq!(peer.read().unwrap(), Message::Pong("joined?".into()));
            // More than one TLS record, and more than one read of the client.
            let text = format!(
                r#"{{"symbol":"A","price":1,"seq":1,"x":"{}"}}"#,
                "x".repeat(200_000)
            );
            peer.send(Message::text(text)).unwrap();
            for seq in 2..=2_000 {
                peer.write(Message::text(tick(seq, 0))).unwrap();
            }
            peer.flush().unwrap();
            assert_eq!(finish(&mut peer), CloseCode::Normal);
        },
    );
    assert_eq!(
        (report.counters.ticks, report.errors.total),
        (2_000, 0),
        "{:?}",
        report.errors
    );
    assert_eq!(report.losses.gaps, 0);
    assert_eq!(report.error(), None);
}

#[test]
fn the_list_of_symbols_is_requested_through_tls() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    let (listener, address) = bind();
    let watch = Watch {
        count: 1,
        ..Watch::default()
    };
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = upgrade(authority.config(), accept(&listener));
            assert!(peer.read().unwrap().is_text());
            send(
                &mut peer,
                r#"{"op":"list","id":"list","symbols":["A","B"]}"#,
            );
            assert_eq!(finish(&mut peer), CloseCode::Normal);
            let mut peer = upgrade(authority.config(), accept(&listener));
            begin(&mut peer);
            finish(&mut peer);
        });
        let config = Config {
            watch: Some(watch),
            ..config(&format!("wss://{address}/"), WINDOW, trusting(&file))
        };
        client::run(config, None).unwrap()
    });
    assert_eq!((report.counters.ticks, report.errors.total), (1, 0));
    assert_eq!(report.watch.map(|watch| watch.of), Some(2));
}

#[test]
fn the_end_of_tls_that_comes_with_the_last_tick_is_noticed() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    let report = run_bare(
        |address| config(&format!("wss://{address}/"), ENDLESS, trusting(&file)),
        |stream| {
            let mut peer = upgrade(authority.config(), stream);
            peer.send(Message::Ping("joined?".into())).unwrap();
            assert_eq!(peer.read().unwrap(), Message::Pong("joined?".into()));
            let stream = peer.get_mut();
            let mut frame = Vec::new();
            tickertape::frame::text(&mut frame, tick(1, 0).as_bytes());
            stream.conn.writer().write_all(&frame).unwrap();
            stream.conn.send_close_notify();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock).unwrap();
            }
            // The socket itself stays open until the client closes it.
            assert!(matches!(stream.sock.read(&mut [0; 1024]), Ok(0)));
        },
    );
    assert_eq!(report.counters.ticks, 1);
    assert_eq!(kinds(&report), [(ErrorKind::Closed(Some(1006)), 1)]);
}

#[test]
fn an_untrusted_misnamed_or_expired_certificate_is_refused() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    for (server, access, words) in [
        (
            authority.config(),
            Access::default(),
            "the server's certificate is not signed by a trusted authority (see --ca)",
        ),
        (
            authority.issue(&["elsewhere.test"], Validity::Always),
            trusting(&file),
            "the server's certificate is for another name",
        ),
        (
            authority.issue(&["127.0.0.1"], Validity::Expired),
            trusting(&file),
            "the server's certificate has expired",
        ),
    ] {
        let report = refused(server, "127.0.0.1", access);
        assert_eq!(kinds(&report), [(ErrorKind::Tls, 1)]);
        assert_eq!(report.error().as_deref(), Some(words));
    }
}

/// The report on a server whose certificate is accepted unchecked.
fn accepted(server: Arc<ServerConfig>) -> Report {
    let access = Access {
        insecure: true,
        ..Access::default()
    };
    run_bare(
        |address| config(&format!("wss://{address}/"), WINDOW, access),
        |stream| {
            let mut peer = upgrade(server, stream);
            begin(&mut peer);
            finish(&mut peer);
        },
    )
}

#[test]
fn insecure_accepts_any_certificate_and_warns() {
    let authority = Authority::new(&["elsewhere.test"]);
    let report = accepted(authority.config());
    assert_eq!(report.error(), None);
    let warned = report
        .warnings
        .iter()
        .any(|warning| warning.contains("--insecure"));
    assert!(warned, "{:?}", report.warnings);
}

#[test]
fn an_authority_that_is_a_server_certificate_is_refused_with_a_remedy() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    let report = refused(authority.itself(), "127.0.0.1", trusting(&file));
    assert_eq!(kinds(&report), [(ErrorKind::Tls, 1)]);
    let words = "the server's certificate belongs to an authority, not to a server (use it to sign \
                 the server's certificate)";
    assert_eq!(report.error().as_deref(), Some(words));

    let report = accepted(authority.itself());
    assert_eq!(report.error(), None, "the remedy works");
}

#[test]
fn a_certificate_for_another_host_or_not_for_servers_is_refused_with_the_reason() {
    let authority = Authority::new(&["127.0.0.1"]);
    let file = pem_file(&authority);
    for (server, words) in [
        (
            authority.issue(&[], Validity::Always),
            "contains no host name (it needs a subjectAltName)",
        ),
        (
            authority.for_clients(&["127.0.0.1"]),
            "is not meant for servers (it needs extendedKeyUsage serverAuth)",
        ),
    ] {
        let report = refused(server, "127.0.0.1", trusting(&file));
        let sentence = format!("the server's certificate {words}");
        assert_eq!(report.error(), Some(sentence));
    }
}

/// Ends the connection with a reset once data has arrived from the client.
fn reset(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]).unwrap();
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_connection_that_breaks_while_joining_hints_at_the_other_scheme() {
    for (scheme, words) in [
        (
            "wss",
            "the connection broke before TLS was agreed on: connection reset (does it speak TLS \
             on this port? if not, use ws://)",
        ),
        (
            "ws",
            "the connection broke before the handshake was answered: connection reset (does it \
             speak TLS on this port? then use wss://)",
        ),
    ] {
        let url = |address| format!("{scheme}://{address}/");
        let report = run_bare(
            |address| config(&url(address), ENDLESS, Access::default()),
            reset,
        );
        assert_eq!(kinds(&report), [(ErrorKind::Reset, 1)]);
        assert_eq!(report.error().as_deref(), Some(words));
    }
}

#[test]
fn the_wrong_scheme_is_named_either_way() {
    let report = run_bare(
        |address| config(&format!("wss://{address}/"), ENDLESS, Access::default()),
        |mut stream| {
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        },
    );
    let words = "the server does not speak TLS on this port (use ws://)";
    assert_eq!(report.error().as_deref(), Some(words));

    let authority = Authority::new(&["127.0.0.1"]);
    let report = run_bare(
        |address| config(&format!("ws://{address}/"), ENDLESS, Access::default()),
        |stream| {
            let read = authority.accept(stream).read(&mut [0]);
            assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        },
    );
    assert_eq!(kinds(&report), [(ErrorKind::BadHandshake, 1)]);
    assert!(
        report.error().unwrap().contains("wss://"),
        "{:?}",
        report.error()
    );
}

#[test]
fn the_client_gives_up_on_a_tls_handshake_that_never_finishes() {
    let limit = Duration::from_millis(100);
    let with_limit = |address: SocketAddr| Config {
        connect_timeout: limit,
        ..config(&format!("wss://{address}/"), ENDLESS, Access::default())
    };
    let report = run_bare(with_limit, |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(kinds(&report), [(ErrorKind::TlsTimedOut, 1)]);
    let words = "the TLS handshake took longer than 100ms (does it speak TLS on this port? \
                 if not, use ws://)";
    assert_eq!(report.error().as_deref(), Some(words));

    let report = run_bare(with_limit, |mut stream| {
        // Reads the client's first message, or the end of the stream would be a reset.
        let _ = stream.read(&mut [0; 4096]).unwrap();
    });
    assert_eq!(kinds(&report), [(ErrorKind::Tls, 1)]);
    let words = "the server ended the connection during the TLS handshake (does it speak TLS on \
                 this port? if not, use ws://)";
    assert_eq!(report.error().as_deref(), Some(words));
}

#[test]
fn user_and_headers_are_sent_and_the_password_is_not_shown() {
    let (listener, address) = bind();
    let url = format!("ws://Aladdin:open%20sesame@{address}/");
    let access = Access {
        headers: vec![("X-Key".to_owned(), "a b".to_owned())],
        ..Access::default()
    };
    let (report, seen) = thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let mut seen = Vec::new();
            #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
            let look = |request: &Request, response: Response| {
                for name in ["Authorization", "X-Key"] {
                    seen.push(request.headers()[name].to_str().unwrap().to_owned());
                }
                Ok(response)
            };
            let mut peer = tungstenite::accept_hdr(accept(&listener), look).unwrap();
            begin(&mut peer);
            finish(&mut peer);
            seen
        });
        let report = client::run(config(&url, WINDOW, access), None).unwrap();
        (report, seen.join().unwrap())
    });
    // RFC 7617, section 2.
    assert_eq!(seen, ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "a b"]);
    assert_eq!(report.url, format!("ws://{address}/"));
    assert!(!report.to_json().contains("sesame"));
}
