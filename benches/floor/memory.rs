//! The memory that a connection and a watchlist take: the slope of the server's RSS between two
//! numbers of clients, so that neither the program nor one-time growth is counted. The clients are
//! bare sockets of this process, as the load client has no requests to send.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tickertape::process::Usage;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::Bench;
use crate::common::interrupted;
use crate::common::memory::resident_bytes;
use crate::common::table::Figure;
use crate::lists::{self, Lists};
use crate::process::{Prices, Server, Which};

/// The behaviour of the clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// The lists that they watch; `None` is everything, which is one symbol.
    pub(crate) lists: Option<Lists>,
    /// Whether all have the same list.
    pub(crate) are_alike: bool,
    /// How many messages each sends.
    pub(crate) messages: u32,
    /// They read server-sent events, where the server has them.
    pub(crate) reads_events: bool,
}

impl Crowd {
    /// Clients that read everything and send no messages.
    pub(crate) const IDLE: Self = Self {
        lists: None,
        are_alike: false,
        messages: 0,
        reads_events: false,
    };

    /// Prices without ticks during the run: with one, some clients would have more unread data than
    /// others.
    fn prices(&self) -> Prices {
        Prices {
            symbols: self.lists.map(|lists| lists.symbols),
            ..Duration::from_secs(3600).into()
        }
    }

    fn target(&self, client: usize) -> String {
        let client = if self.are_alike { 0 } else { client };
        let list = self.lists.map(|lists| lists.of(client));
        lists::target(&list.unwrap_or_default())
    }
}

impl Bench {
    /// The memory of all lists and their index: the RSS with `clients` that have their own lists,
    /// minus the RSS with as many that have the same.
    pub(crate) fn memory_of_lists(&mut self, lists: Lists, clients: usize) -> Option<f64> {
        let mut resident = |are_alike| {
            let crowd = Crowd {
                lists: Some(lists),
                are_alike,
                messages: 0,
                reads_events: false,
            };
            eprintln!("memory, {} symbols, {clients} clients", lists.symbols);
            let found = self.resident(Which::Ours, crowd, &[clients]);
            let found = found.map(|resident| resident[0]);
            found.map_err(|error| self.findings.problem(format!("memory of lists: {error}")))
        };
        let (alike, own) = (resident(true).ok()?, resident(false).ok()?);
        Some(own - alike)
    }

    /// Bytes per connection, from the difference between `few` and `many` connections.
    pub(crate) fn memory(&mut self, (few, many): (usize, usize), crowd: Crowd) -> Figure {
        let mut slope = |which| {
            if interrupted() {
                return None;
            }
            let of = crowd.lists.map_or(1, |lists| lists.symbols);
            eprintln!(
                "memory, {} messages each, {of} symbols: {which}",
                crowd.messages
            );
            match self.resident(which, crowd, &[few, many]) {
                Ok(resident) => Some((resident[1] - resident[0]) / (many - few) as f64),
                Err(error) => {
                    self.findings
                        .problem(format!("memory, {crowd:?}, {which}: {error}"));
                    None
                }
            }
        };
        // Their ratio is meaningless: the floor keeps a descriptor for each.
        vec![slope(Which::Floor), slope(Which::Ours), None]
    }

    /// The server's RSS with each of these numbers of clients, which must ascend.
    fn resident(&self, which: Which, crowd: Crowd, counts: &[usize]) -> Result<Vec<f64>, String> {
        let server = Server::start(which, crowd.prices(), &self.cores)?;
        let mut clients = Vec::new();
        let resident_at = |&count| {
            while clients.len() < count {
                let target = crowd.target(clients.len());
                let answers = which == Which::Ours;
                let joined = if crowd.reads_events && which == Which::Ours {
                    join_stream(server.address())
                } else {
                    join(server.address(), &target, crowd.messages, answers)
                };
                let client =
                    joined.map_err(|error| format!("client {}: {error}", clients.len() + 1))?;
                clients.push(client);
            }
            settle(server.pid())
                .and_then(|()| resident_bytes(server.pid()))
                .map(|bytes| bytes as f64)
                .map_err(|error| format!("its memory cannot be read: {error}"))
        };
        let resident = counts.iter().map(resident_at).collect::<Result<_, _>>()?;
        drop(clients);
        server.stop()?;
        Ok(resident)
    }
}

/// Connects to a stream of server-sent events.
fn join_stream(address: &str) -> io::Result<TcpStream> {
    let mut client = connect(address)?;
    client.write_all(format!("GET /sse HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    read_until(&mut client, b"\r\n\r\n")?;
    Ok(client)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(ANSWER_LIMIT))?;
    // Ends in a reset, so that no port stays occupied for a minute.
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    Ok(client)
}

/// Connects, upgrades and sends the messages, each after the answer to the one before if there are
/// answers.
fn join(address: &str, target: &str, messages: u32, answers: bool) -> io::Result<TcpStream> {
    let mut client = connect(address)?;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    client.write_all(request.as_bytes())?;
    read_until(&mut client, b"\r\n\r\n")?;
    for id in 1..=messages {
        client.write_all(&ping(id))?;
        if answers {
            read_until(&mut client, b"\"pong\"")?;
        }
    }
    Ok(client)
}

/// A request as a masked text frame.
fn ping(id: u32) -> Vec<u8> {
    let request = format!(r#"{{"op":"ping","id":{id}}}"#);
    let mut frame = Frame::message(request, OpCode::Data(Data::Text), true);
    frame.header_mut().mask = Some([1, 2, 3, 4]);
    let mut out = Vec::new();
    frame.format(&mut out).expect("a vector takes every write");
    out
}

fn read_until(client: &mut TcpStream, expected: &[u8]) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen
        .windows(expected.len())
        .any(|window| window == expected)
    {
        match client.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => seen.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}

/// Waits until the server has finished its work: it uses no CPU for a while.
fn settle(pid: u32) -> io::Result<()> {
    let give_up = Instant::now() + SETTLE_LIMIT;
    let mut used = Usage::of(pid)?.cpu;
    while Instant::now() < give_up {
        thread::sleep(QUIET);
        let now = Usage::of(pid)?.cpu;
        if now.saturating_sub(used) < QUIET / 100 {
            break;
        }
        used = now;
    }
    Ok(())
}

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A long pause compared with the time of an answer.
const QUIET: Duration = Duration::from_millis(50);
