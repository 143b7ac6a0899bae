//! The examples do what they say, on real sockets.
#![allow(dead_code, reason = "each example has a `main`")]
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/echo.rs"]
mod echo;
#[path = "../examples/fetch.rs"]
mod fetch;

/// Runs an example's server until the tests end and returns its address.
fn start(serve: fn(mio::net::TcpListener) -> io::Result<()>) -> SocketAddr {
    let listener = mio::net::TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener));
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

#[test]
fn echo_answers_each_of_many_clients() {
    let address = start(echo::serve);
    let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        write!(client, "I am {number}").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        let mut echo = String::new();
        client.read_to_string(&mut echo).unwrap();
        assert_eq!(echo, format!("I am {number}"));
    }
}

/// Sends a request to the chat without waiting for the answer.
fn ask(address: SocketAddr, path: &str, body: &str) -> TcpStream {
    let mut stream = connect(address);
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    body.trim_end().to_owned()
}

#[test]
fn chat_delivers_messages_to_waiting_and_later_clients() {
    let address = start(chat::serve);
    let waiting = [0, 1].map(|_| ask(address, "/a/message/updates", "0"));
    assert_eq!(
        answer(ask(address, "/a/message/new", "hello \"you\"")),
        r#"{"messages":[{"body":"hello \"you\"","id":1}]}"#
    );
    let later = ask(address, "/a/message/updates", "0");
    for client in waiting.into_iter().chain([later]) {
        assert_eq!(
            answer(client),
            r#"{"messages":[{"body":"hello \"you\"","id":1}]}"#
        );
    }
    let newer = ask(address, "/a/message/updates", "1");
    answer(ask(address, "/a/message/new", "again"));
    assert_eq!(answer(newer), r#"{"messages":[{"body":"again","id":2}]}"#);
    let unknown = answer(ask(address, "/b", ""));
    assert_eq!(unknown, r#"{"error":"not found"}"#);
}

#[test]
fn fetch_waits_for_many_answers_at_once() {
    // The server answers once all requests are there: one after the other would never end.
    const COUNT: usize = 5;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut asking = Vec::new();
        for _ in 0..COUNT {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).unwrap() > 0);
            asking.push(stream);
        }
        for mut stream in asking {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprice")
                .unwrap();
        }
    });
    let fetched = fetch::fetch(vec![url; COUNT]).unwrap();
    let bodies: Vec<_> = fetched.into_iter().map(|(_, body)| body.unwrap()).collect();
    assert_eq!(bodies, ["price"; COUNT]);
    server.join().unwrap();
}

#[test]
fn fetch_reports_failures() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let fetched = fetch::fetch(vec![url]).unwrap();
    assert!(matches!(&fetched[..], [(_, Err(_))]), "{fetched:?}");
}
