//! Servers that break every rule: no crash, no hang, bounded memory, and one clear sentence.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;
use crate::nats::{Denial, Right};

const INFO: &str = "INFO {\"server_name\":\"x\",\"version\":\"2.0.0\",\"headers\":true}\r\n";

/// A server that serves one client; returns its URL.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    (format!("nats://{address}"), serving)
}

/// Why a connection fails to a server that only says this.
fn refused_after(words: &[u8]) -> String {
    let words = words.to_vec();
    let (url, serving) = server(move |mut stream| {
        // The client may leave before it has heard everything.
        let _ = stream.write_all(&words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let why = refusal(&url);
    serving.join().unwrap();
    why
}

/// What a client receives that got in, and how that ends.
fn received_after(words: impl Into<Vec<u8>>) -> (Vec<Received>, String) {
    let words = words.into();
    let (url, serving) = server(move |mut stream| {
        greet(&mut stream);
        let _ = stream.write_all(&words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let got = in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        let mut received = Vec::new();
        loop {
            match connection.receive(soon()) {
                Ok(one) => received.push(one),
                Err(why) => return (received, why.to_string()),
            }
        }
    });
    serving.join().unwrap();
    got
}

/// Lets the client in.
fn greet(stream: &mut TcpStream) {
    stream.write_all(INFO.as_bytes()).unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"PING\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    stream.write_all(b"PONG\r\n").unwrap();
}

#[test]
fn a_server_that_is_no_nats_server_is_named_by_what_it_says() {
    let protocol = "does not follow the NATS protocol: ";
    for (words, expected) in [
        (
            "HTTP/1.1 400 Bad Request\r\n",
            "unexpected line 'HTTP/1.1 400 Bad Request'",
        ),
        ("PING\r\n", "it does not begin with INFO"),
        ("INFO {\r\n", "its INFO cannot be read: "),
        (
            "MSG a 1 9223372036854775808\r\n",
            "a message is longer than 1114112 bytes",
        ),
    ] {
        let why = refused_after(words.as_bytes());
        assert!(why.starts_with(&format!("{protocol}{expected}")), "{why}");
    }
    let early = format!("{INFO}MSG a 1 0\r\n\r\n");
    let expected = format!("{protocol}it sends a message before it has answered");
    assert_eq!(refused_after(early.as_bytes()), expected);
}

#[test]
fn refusals_are_passed_on() {
    let too_many = format!("{INFO}-ERR 'maximum connections exceeded'\r\n");
    let expected = "refuses the connection: maximum connections exceeded";
    assert_eq!(refused_after(too_many.as_bytes()), expected);
    assert_eq!(
        refused_after(b"-ERR 'maximum connections exceeded'\r\n"),
        expected
    );
    let old = refused_after(b"INFO {\"version\":\"1.4.1\"}\r\n");
    assert_eq!(old, "is too old: version 1.4.1 knows no headers");
}

#[test]
fn an_end_at_any_point_is_a_broken_connection() {
    let whole = format!("{INFO}PO");
    for length in [0, 3, INFO.len(), whole.len()] {
        let why = refused_after(&whole.as_bytes()[..length]);
        assert_eq!(why, "broken connection: unexpected end of the stream");
    }
    let (received, why) = received_after("MSG a 1 5\r\nhel");
    assert_eq!(
        (received, why.as_str()),
        (vec![], "broken connection: unexpected end of the stream")
    );
}

#[test]
fn silence_ends_at_the_deadline() {
    let (url, serving) = server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let why = in_fiber(move |http_client| {
        let settings = settings(&url);
        let deadline = Instant::now() + Duration::from_millis(20);
        let opened = Connection::open(http_client, &settings, &settings.url.servers[0], deadline);
        opened.err().map(|why| why.to_string())
    });
    assert_eq!(why.as_deref(), Some("no answer within the limit"));
    serving.join().unwrap();
}

#[test]
fn lengths_and_lines_beyond_all_limits_take_no_memory() {
    let protocol = "does not follow the NATS protocol: ";
    for claim in [
        "MSG a 1 9223372036854775808\r\n",
        "HMSG a 1 4 18446744073709551615\r\n",
    ] {
        let (received, why) = received_after(claim);
        assert_eq!(received, []);
        assert_eq!(
            why,
            format!("{protocol}a message is longer than 1114112 bytes")
        );
    }
    let (_, why) = received_after([b"INFO ".to_vec(), vec![b'x'; 8 << 20]].concat());
    assert_eq!(why, format!("{protocol}a line is longer than 65536 bytes"));
}

#[test]
fn floods_are_read_to_their_end_while_others_run() {
    let chatter = format!("PING\r\n+OK\r\n{INFO}").repeat(20_000);
    let (received, why) = received_after(chatter + "MSG a 1 2\r\nhi\r\n");
    assert_eq!(why, "broken connection: unexpected end of the stream");
    let [Received::Message(message)] = received.as_slice() else {
        panic!("{received:?}");
    };
    assert_eq!(message.payload, b"hi");
}

#[test]
fn a_flood_without_an_end_does_not_outlast_the_deadline() {
    let (url, serving) = server(|mut stream| {
        greet(&mut stream);
        let chatter = "+OK\r\n".repeat(10_000);
        while stream.write_all(chatter.as_bytes()).is_ok() {}
    });
    let received = in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        connection.receive(Instant::now() + Duration::from_millis(50))
    });
    assert_eq!(received, Ok(Received::TimedOut));
    serving.join().unwrap();
}

#[test]
fn errors_end_the_connection_or_are_passed_on() {
    let violation = "Permissions Violation for Publish to \"a\"";
    let (received, why) = received_after(format!(
        "-ERR '{violation}'\r\n-ERR 'Stale Connection'\r\nPING\r\n"
    ));
    let denial = Denial {
        right: Right::Publish,
        subject: "a".to_owned(),
    };
    assert_eq!(received, [Received::Denied(denial)]);
    assert_eq!(why, "refuses the connection: Stale Connection");
}

#[test]
fn what_a_server_tells_of_others_is_bounded_and_checked() {
    let urls: Vec<_> = (1..=500)
        .map(|port| format!("\"10.0.0.1:{port}\""))
        .collect();
    let info = format!(
        "INFO {{\"connect_urls\":[\"\",\"a b\",\"n1:0\",{}],\"ldm\":true}}\r\n",
        urls.join(",")
    );
    let (url, serving) = server(move |mut stream| {
        greet(&mut stream);
        stream.write_all(info.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (received, heard_of) = in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        assert_eq!(connection.servers_heard_of(), []);
        let received = connection.receive(soon());
        (received, connection.servers_heard_of())
    });
    assert_eq!(received, Ok(Received::Leaving));
    assert_eq!(heard_of.len(), 61);
    let first: ServerAddress = "10.0.0.1:1".parse().unwrap();
    assert_eq!(heard_of[0].to_string(), first.to_string());
    serving.join().unwrap();
}

#[test]
fn nothing_that_came_without_tls_is_believed_after_it() {
    let words = "INFO {\"headers\":true,\"tls_required\":true}\r\nINFO {}\r\n";
    let expected =
        "does not follow the NATS protocol: it goes on without TLS where TLS has to begin";
    assert_eq!(refused_after(words.as_bytes()), expected);
    let (url, serving) = server(|mut stream| {
        let _ = stream.write_all(INFO.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let url = url.replace("nats://", "tls://");
    assert_eq!(
        refusal(&url),
        "does not offer TLS, which a tls:// URL asks for"
    );
    serving.join().unwrap();
}
