//! The cases on a loop, the server's with real sockets. What the kernel does for them counts as
//! time, but not as instructions.

use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tickertape::feed::Publish;
use tickertape::io_loop::IoLoop;
use tickertape::server::{Config, Server, listen};
use tickertape::tick::{Price, Tick};

const SYMBOL: &str = "sim:BTC/USDT";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Timeouts that wait all the while, as those of a server with so many handshakes do.
const WAITING: usize = 1000;

const AUDIENCE: usize = 64;

/// Room for all that a client has to read at a time; kept, since filling it with zeros costs more
/// than a delivery.
const BUFFER_SIZE: usize = 4096;

pub(super) fn timer(times: u32) {
    let mut io_loop = IoLoop::<u32>::new().expect("a poll descriptor");
    let later = Instant::now() + Duration::from_secs(3600);
    for index in 0..WAITING as u32 {
        io_loop.call_at(later + Duration::from_millis(u64::from(index)), |_, _| {});
    }
    io_loop.add_callback(again);
    let mut left = times;
    io_loop.start(&mut left).expect("polling works");
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

pub(super) fn upgrade(times: u32) {
    let mut visits = Visits {
        left: times,
        client: None,
        buffer: [0; BUFFER_SIZE],
    };
    run(move |address, server, io_loop| visits.proceed(address, server, io_loop));
}

/// Clients that come, one at a time, and leave once they are in.
struct Visits {
    left: u32,
    client: Option<TcpStream>,
    buffer: [u8; BUFFER_SIZE],
}

impl Visits {
    fn proceed(&mut self, address: SocketAddr, _: &mut Server, io_loop: &mut IoLoop<Server>) {
        let Some(client) = &mut self.client else {
            self.client = Some(connect(address));
            return;
        };
        if read(client, &mut self.buffer) == 0 {
            return;
        }
        self.client = None;
        self.left -= 1;
        if self.left == 0 {
            io_loop.stop();
        }
    }
}

pub(super) fn delivery(times: u32) {
    let mut audience = Audience {
        left: times,
        clients: Vec::new(),
        joined: 0,
        missing: 0,
        buffer: [0; BUFFER_SIZE],
    };
    run(move |address, server, io_loop| audience.proceed(address, server, io_loop));
}

/// Clients that stay and get a tick each, again and again.
struct Audience {
    left: u32,
    clients: Vec<TcpStream>,
    joined: usize,
    missing: usize,
    buffer: [u8; BUFFER_SIZE],
}

impl Audience {
    fn proceed(&mut self, address: SocketAddr, server: &mut Server, io_loop: &mut IoLoop<Server>) {
        if self.clients.len() < AUDIENCE {
            self.clients.push(connect(address));
        } else if self.joined < AUDIENCE {
            // In the order of accepting, so that each is asked until it has its answer.
            let client = &mut self.clients[self.joined];
            self.joined += usize::from(read(client, &mut self.buffer) > 0);
        } else if self.missing > 0 {
            for client in &mut self.clients {
                self.missing -= usize::from(read(client, &mut self.buffer) > 0);
            }
        } else if self.left == 0 {
            io_loop.stop();
        } else {
            self.left = self.left.saturating_sub(AUDIENCE as u32);
            self.missing = AUDIENCE;
            server.publish(io_loop, tick());
        }
    }
}

fn tick() -> Tick {
    Tick {
        symbol: SYMBOL.to_owned(),
        price: Price::parse("97123.45").expect("a price"),
        timestamp: 1_732_270_000_123,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("the server listens");
    client.set_nonblocking(true).expect("sockets can be told");
    client
        .write_all(REQUEST)
        .expect("a request fits the buffer");
    client
}

/// How much there was to read.
fn read(client: &mut TcpStream, buffer: &mut [u8]) -> usize {
    match client.read(buffer) {
        Ok(0) => panic!("the server has closed the connection"),
        Ok(length) => black_box(length),
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("cannot read: {error}"),
    }
}

/// Serves, and has the driver proceed in each turn of the loop until it stops it.
fn run(driver: impl FnMut(SocketAddr, &mut Server, &mut IoLoop<Server>) + 'static) {
    let config = Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    };
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = listen(any_port, &config).expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let mut io_loop = IoLoop::new().expect("a poll descriptor");
    let symbols = vec![SYMBOL.to_owned()];
    let mut server =
        Server::new(&mut io_loop, listener, config, symbols).expect("a listener can be watched");
    io_loop.add_callback(move |server, io_loop| drive(driver, address, server, io_loop));
    io_loop.start(&mut server).expect("polling works");
}

fn drive(
    mut driver: impl FnMut(SocketAddr, &mut Server, &mut IoLoop<Server>) + 'static,
    address: SocketAddr,
    server: &mut Server,
    io_loop: &mut IoLoop<Server>,
) {
    driver(address, server, io_loop);
    io_loop.add_callback(move |server, io_loop| drive(driver, address, server, io_loop));
}
