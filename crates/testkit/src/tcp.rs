//! Servers of a few lines on loopback, with a thread for each connection. There are no sleeps to
//! wait for readiness: listeners are bound before their address is known.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Serves each connection with `handler` in its own thread.
pub fn serve(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
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
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Answers one request with `body`.
pub fn answer(stream: &mut (impl Read + Write), body: &str) -> io::Result<()> {
    read_head(stream)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Sends no data until the peer has hung up.
pub fn hang(mut stream: impl Read) {
    while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
}
