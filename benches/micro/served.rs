//! The cases on a loop; the cases of the server use real sockets. The kernel's work for them counts as
//! time, but not as instructions.

use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ioloop::IoLoop;
use tickertape::feed::Publish;
use tickertape::server::{Config, Server, listen};
use tickertape::tick::{Price, Tick};

use crate::time;

const SYMBOL: &str = "sim:BTC/USDT";

/// Timeouts that are pending all the while, as in a server with this many handshakes.
const WAITING: usize = 1000;

pub(crate) const AUDIENCE: usize = 64;

/// Room for everything that a client has to read at a time. It is kept, since filling it with zeros
/// costs more than a delivery.
pub(crate) const BUFFER_SIZE: usize = 4096;

pub(super) fn timer(times: u32) -> Duration {
    let mut io_loop = IoLoop::<u32>::new().expect("a poll descriptor");
    let later = Instant::now() + Duration::from_secs(3600);
    for index in 0..WAITING as u32 {
        io_loop.call_at(later + Duration::from_millis(u64::from(index)), |_, _| {});
    }
    io_loop.add_callback(again);
    let mut left = times;
    time(|| io_loop.start(&mut left).expect("polling works"))
}

fn again(left: &mut u32, io_loop: &mut IoLoop<u32>) {
    let cancelled = io_loop.call_later(Duration::from_secs(60), |_, _| {});
    io_loop.remove_timeout(cancelled);
    *left -= 1;
    if *left == 0 {
        io_loop.stop();
    } else {
        io_loop.call_at(Instant::now(), again);
    }
}

pub(super) fn upgrade(times: u32) -> Duration {
    let mut visits = Visits::new(times, vec!["/".to_owned()]);
    let symbols = vec![SYMBOL.to_owned()];
    time(|| run(symbols, move |turn| visits.proceed(turn)))
}

/// Clients that join, one at a time, and leave once they have joined.
pub(crate) struct Visits {
    left: u32,
    /// What they request, in turn.
    targets: Vec<String>,
    client: Option<TcpStream>,
    buffer: [u8; BUFFER_SIZE],
}

impl Visits {
    pub(crate) fn new(times: u32, targets: Vec<String>) -> Self {
        Self {
            left: times,
            targets,
            client: None,
            buffer: [0; BUFFER_SIZE],
        }
    }

    pub(crate) fn proceed(&mut self, turn: &mut Turn<'_>) {
        let Some(client) = &mut self.client else {
            let target = &self.targets[self.left as usize % self.targets.len()];
            self.client = Some(connect(turn.address, target));
            return;
        };
        if read(client, &mut self.buffer) == 0 {
            return;
        }
        self.client = None;
        self.left -= 1;
        if self.left == 0 {
            turn.io_loop.stop();
        }
    }
}

pub(super) fn delivery(times: u32) -> Duration {
    let symbols = vec![SYMBOL.to_owned()];
    let mut audience = Audience::new(times, vec!["/".to_owned(); AUDIENCE], symbols.clone());
    time(|| run(symbols, move |turn| audience.proceed(turn)))
}

/// Clients that stay and receive the ticks of repeated bursts of all symbols, each for its list.
pub(crate) struct Audience {
    left: u32,
    /// What they request.
    targets: Vec<String>,
    symbols: Vec<String>,
    clients: Vec<TcpStream>,
    joined: usize,
    missing: usize,
    /// Ticks that one burst delivers to all of them.
    per_burst: u32,
    buffer: [u8; BUFFER_SIZE],
}

impl Audience {
    /// An audience for `times` ticks, one client for each of `targets`. Each client receives its
    /// ticks of a burst together.
    pub(crate) fn new(times: u32, targets: Vec<String>, symbols: Vec<String>) -> Self {
        let watched = targets
            .iter()
            .map(|target| target.split(',').count() as u32);
        Self {
            left: times,
            per_burst: watched.sum(),
            targets,
            symbols,
            clients: Vec::new(),
            joined: 0,
            missing: 0,
            buffer: [0; BUFFER_SIZE],
        }
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.joined == self.targets.len()
    }

    pub(crate) fn proceed(&mut self, turn: &mut Turn<'_>) {
        if self.clients.len() < self.targets.len() {
            let target = &self.targets[self.clients.len()];
            self.clients.push(connect(turn.address, target));
        } else if self.joined < self.clients.len() {
            // In the order of accepting, so each is read until it has its answer.
            let client = &mut self.clients[self.joined];
            self.joined += usize::from(read(client, &mut self.buffer) > 0);
        } else if self.missing > 0 {
            for client in &mut self.clients {
                self.missing -= usize::from(read(client, &mut self.buffer) > 0);
            }
        } else if self.left == 0 {
            turn.io_loop.stop();
        } else {
            self.left = self.left.saturating_sub(self.per_burst);
            self.missing = self.clients.len();
            for symbol in &self.symbols {
                turn.server.publish(turn.io_loop, tick(symbol));
            }
        }
    }
}

pub(crate) fn tick(symbol: &str) -> Tick {
    Tick::new(
        symbol,
        Price::parse("97123.45").expect("a price"),
        1_732_270_000_123,
    )
}

/// A client that requests `target`.
pub(crate) fn connect(address: SocketAddr, target: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("the server listens");
    client
        .set_nonblocking(true)
        .expect("a socket can be made non-blocking");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client
        .write_all(request.as_bytes())
        .expect("a request fits the buffer");
    client
}

/// How many bytes there were to read.
pub(crate) fn read(client: &mut TcpStream, buffer: &mut [u8]) -> usize {
    match client.read(buffer) {
        Ok(0) => panic!("the server has closed the connection"),
        Ok(length) => black_box(length),
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("cannot read: {error}"),
    }
}

/// The context of a driver in a turn of the loop.
pub(crate) struct Turn<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) server: &'a mut Server,
    pub(crate) io_loop: &'a mut IoLoop<Server>,
}

/// Serves prices of `symbols`, and calls the driver in each turn of the loop until it stops the
/// loop.
pub(crate) fn run(symbols: Vec<String>, driver: impl FnMut(&mut Turn<'_>) + 'static) {
    let config = Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    };
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = listen(any_port, &config).expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let mut io_loop = IoLoop::new().expect("a poll descriptor");
    let mut server =
        Server::new(&mut io_loop, listener, config, symbols).expect("a listener can be watched");
    io_loop.add_callback(move |server, io_loop| drive(driver, address, server, io_loop));
    io_loop.start(&mut server).expect("polling works");
}

fn drive(
    mut driver: impl FnMut(&mut Turn<'_>) + 'static,
    address: SocketAddr,
    server: &mut Server,
    io_loop: &mut IoLoop<Server>,
) {
    driver(&mut Turn {
        address,
        server,
        io_loop,
    });
    io_loop.add_callback(move |server, io_loop| drive(driver, address, server, io_loop));
}
