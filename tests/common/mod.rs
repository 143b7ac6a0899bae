//! What the tests of the server share: a server in a thread with prices on demand, and clients that
//! fail a test instead of hanging it.
#![allow(unreachable_pub, reason = "each test is a crate of its own")]
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ioloop::{IoLoop, PeriodicCallback};
use serde_json::Value;
pub use testkit::PATIENCE;
use testkit::frames::{handshake, server_frames};
use testkit::{ServerProcess, metrics};
use tickertape::feed::Publish;
use tickertape::server::{Config, Server, listen};
use tickertape::tick::{Price, Tick};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// A server on a free port.
pub struct TestServer {
    pub address: SocketAddr,
    orders: Sender<Order>,
    /// Hangs up when the thread ends, however it does.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

enum Order {
    Tick(Tick),
    List(String),
    Delist(String),
    ShutDown,
}

/// A client that speaks WebSocket.
pub type Client = WebSocket<TcpStream>;

impl TestServer {
    /// With the symbols `A` and `B`.
    pub fn start(config: Config) -> Self {
        Self::with_symbols(config, &["A", "B"])
    }

    pub fn with_symbols(config: Config, symbols: &[&str]) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &config).unwrap();
        let address = listener.local_addr().unwrap();
        let symbols = symbols.iter().map(ToString::to_string).collect();
        let (orders, inbox) = channel();
        let (ends, ended) = channel();
        let thread = std::thread::spawn(move || {
            let _ends: Sender<()> = ends;
            run(listener, config, symbols, inbox);
        });
        Self {
            address,
            orders,
            ended,
            thread,
        }
    }

    /// Publishes a price.
    pub fn tick(&self, symbol: &str, price: u64) {
        assert!(self.offer(symbol, price), "the server has ended");
    }

    /// Publishes a price, unless the server has ended; returns whether it had not.
    pub fn offer(&self, symbol: &str, price: u64) -> bool {
        let price = Price::parse(&price.to_string()).unwrap();
        let tick = Tick::new(symbol, price, 1);
        self.orders.send(Order::Tick(tick)).is_ok()
    }

    /// Adds a symbol.
    pub fn list(&self, symbol: &str) {
        self.orders.send(Order::List(symbol.to_owned())).unwrap();
    }

    /// Takes a symbol away.
    pub fn delist(&self, symbol: &str) {
        self.orders.send(Order::Delist(symbol.to_owned())).unwrap();
    }

    pub fn shut_down(&self) {
        self.orders.send(Order::ShutDown).unwrap();
    }

    /// Waits for the loop to end, which must be soon.
    pub fn join(self) {
        let ended = self.ended.recv_timeout(PATIENCE);
        assert_ne!(ended, Err(RecvTimeoutError::Timeout), "the server ends");
        self.thread.join().unwrap();
    }

    /// Connects without saying anything.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Opens a WebSocket; `path` may have a query.
    pub fn open(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.address);
        tungstenite::client(url, self.connect()).unwrap().0
    }

    /// Opens a WebSocket and hands out its stream, for raw frames.
    pub fn open_raw(&self) -> TcpStream {
        upgraded(self.connect())
    }

    /// Sends `request`, which is the last, and reads the answer to the connection's end: a page, or
    /// a refusal.
    pub fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_to_end(&mut stream)
    }

    /// The value of a metric, as the page has it.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let value = metrics::value(&page, &format!("tickertape_{name}"));
        value.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// Waits until a metric has a value.
    pub fn wait_for_metric(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        metrics::wait_until(name, || self.metric(name), wanted);
    }
}

/// The server as a process.
pub fn process(arguments: &[&str]) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_server"), arguments)
}

/// Has a stream to a server become a WebSocket, and hands it out behind the answer's head.
pub fn upgraded<S: Read + Write>(mut stream: S) -> S {
    stream.write_all(handshake("/").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

fn run(listener: TcpListener, config: Config, symbols: Vec<String>, inbox: Receiver<Order>) {
    let mut io_loop = IoLoop::new().unwrap();
    let mut server = Server::new(&mut io_loop, listener, config, symbols).unwrap();
    let beat = Duration::from_micros(500);
    PeriodicCallback::start(&mut io_loop, beat, move |server: &mut Server, io_loop| {
        loop {
            match inbox.try_recv() {
                Ok(Order::Tick(tick)) => server.publish(io_loop, tick),
                Ok(Order::List(symbol)) => {
                    server.list(io_loop, &[symbol]);
                }
                Ok(Order::Delist(symbol)) => server.delist(io_loop, &[symbol]),
                Ok(Order::ShutDown) => server.shut_down(io_loop),
                Err(TryRecvError::Empty) => return,
                // The test is over. A server that stayed would slow down all the others.
                Err(TryRecvError::Disconnected) => return io_loop.stop(),
            }
        }
    });
    io_loop.start(&mut server).unwrap();
}

pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match read {
        Ok(_) => answer,
        // As after 101: whoever is let in is asked with `open`.
        Err(error) => panic!("the server does not end the connection ({error}) after: {answer}"),
    }
}

/// The next text message, as JSON; pings on the way are answered.
pub fn next(client: &mut Client) -> Value {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => client.flush().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// The numbers and prices of the next ticks.
pub fn ticks(client: &mut Client, count: usize) -> Vec<(u64, u64)> {
    let numbers = |tick: Value| {
        (
            tick["seq"].as_u64().unwrap(),
            tick["price"].as_u64().unwrap(),
        )
    };
    (0..count).map(|_| numbers(next(client))).collect()
}

/// Asks and returns the answer, letting ticks pass.
pub fn ask(client: &mut Client, request: &str) -> Value {
    client.send(Message::text(request)).unwrap();
    loop {
        let answer = next(client);
        if answer.get("op").is_some() || answer.get("id").is_some() {
            return answer;
        }
    }
}

/// Reads until the server's close frame; then the end of the connection must follow.
pub fn close_code(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let frames = server_frames(&bytes);
    let close = frames.iter().position(|(first, _)| *first == 0x88);
    let close = close.unwrap_or_else(|| panic!("no close frame in {bytes:?}"));
    assert_eq!(close + 1, frames.len(), "nothing follows the close frame");
    let payload = frames[close].1;
    u16::from_be_bytes([payload[0], payload[1]])
}

/// The code that a client sees, by reading on.
pub fn closed_with(client: &mut Client) -> CloseCode {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => return frame.code,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
