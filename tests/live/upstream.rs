//! A server for HTTP and WebSocket on one port, with answers written by each test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::{Message, WebSocket};

/// The server. It runs until the process ends.
pub(crate) struct Upstream {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
}

/// An answer to a request: status, additional header lines, body.
pub(crate) type Answer = (u16, &'static str, String);

/// The server's end of a stream.
pub(crate) struct Peer(WebSocket<TcpStream>);

impl Upstream {
    /// A server whose `answer` gets the number of a request and its path.
    pub(crate) fn http(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(answer, |_, _| {})
    }

    /// A server that answers requests as well, and whose `stream` gets the number and the peer of
    /// each stream, which ends when it returns.
    pub(crate) fn start(
        answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
        stream: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let (answer, stream) = (Arc::new(answer), Arc::new(stream));
        let streams = Arc::new(Mutex::new(0));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                let (answer, stream) = (Arc::clone(&answer), Arc::clone(&stream));
                let streams = Arc::clone(&streams);
                thread::spawn(move || {
                    if !is_upgrade(&socket) {
                        return serve(socket, &noted, &*answer);
                    }
                    let Ok(socket) = tungstenite::accept(socket) else {
                        return;
                    };
                    let number = {
                        let mut streams = streams.lock().unwrap();
                        *streams += 1;
                        *streams - 1
                    };
                    stream(number, Peer(socket));
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far: when, and for what.
    pub(crate) fn asked(&self) -> Vec<(Instant, String)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Peer {
    pub(crate) fn send(&mut self, text: &str) -> bool {
        self.0.send(Message::text(text)).is_ok()
    }

    pub(crate) fn ping(&mut self) {
        self.0.send(Message::Ping("are you there".into())).unwrap();
    }

    /// The next message that is not a ping; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            match self.0.read() {
                Ok(Message::Ping(_)) => self.0.flush().ok()?,
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(message) => return Some(message),
            }
        }
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> Option<String> {
        match self.next()? {
            Message::Text(text) => Some(text.to_string()),
            other => panic!("{other:?}"),
        }
    }

    /// Closes and waits for the answer.
    pub(crate) fn close(mut self) {
        let _ = self.0.close(None);
        while self.next().is_some() {}
    }
}

/// Whether the waiting request asks for a WebSocket; peeks without reading it.
fn is_upgrade(socket: &TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        let Ok(length @ 1..) = socket.peek(&mut bytes) else {
            return false;
        };
        let head = String::from_utf8_lossy(&bytes[..length]).to_lowercase();
        if head.contains("\r\n\r\n") {
            return head.contains("upgrade: websocket");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn serve(
    mut socket: TcpStream,
    noted: &Mutex<Vec<(Instant, String)>>,
    answer: &dyn Fn(usize, &str) -> Answer,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if socket.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let number = {
            let mut noted = noted.lock().unwrap();
            let same = noted.iter().filter(|(_, other)| *other == path).count();
            noted.push((Instant::now(), path.clone()));
            same
        };
        let (status, headers, body) = answer(number, &path);
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{headers}\r\n");
        if socket.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// The current time in the format of exchanges.
pub(crate) fn now_ms() -> u64 {
    tickertape::tick::unix_us() / 1_000
}

/// A ticker of Binance.
pub(crate) fn binance(price: &str, time: u64) -> String {
    format!(r#"{{"symbol":"BTCUSDT","lastPrice":"{price}","closeTime":{time}}}"#)
}
