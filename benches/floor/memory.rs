//! What a connection costs in memory: the slope of the server's RSS between two crowds of clients,
//! so that neither the program nor what grows only once is counted. The clients are bare sockets of
//! this process, as the load client has no requests to send.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tickertape::usage::Usage;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::Bench;
use crate::common::interrupted;
use crate::common::memory::resident_bytes;
use crate::common::table::Figure;
use crate::process::{Server, Which};

impl Bench {
    /// Bytes per connection between `few` and `many` of them, each of which has sent so many
    /// messages.
    pub(crate) fn memory(&mut self, (few, many): (usize, usize), messages: u32) -> Figure {
        let mut slope = |which| {
            if interrupted() {
                return None;
            }
            eprintln!("memory, {messages} messages each: {which}");
            match self.slope(which, (few, many), messages) {
                Ok(slope) => Some(slope),
                Err(error) => {
                    self.findings
                        .problem(format!("memory, {messages} messages, {which}: {error}"));
                    None
                }
            }
        };
        // Their ratio says nothing: what the floor keeps is a descriptor.
        vec![slope(Which::Floor), slope(Which::Ours), None]
    }

    fn slope(
        &self,
        which: Which,
        (few, many): (usize, usize),
        messages: u32,
    ) -> Result<f64, String> {
        // With a tick within the run some clients would have more behind them than others.
        let server = Server::start(which, Duration::from_secs(3600), &self.cores)?;
        let mut crowd = Vec::with_capacity(many);
        let mut resident_at = |count| {
            while crowd.len() < count {
                let client = join(server.address(), messages, which == Which::Ours)
                    .map_err(|error| format!("client {}: {error}", crowd.len() + 1))?;
                crowd.push(client);
            }
            settle(server.pid())
                .and_then(|()| resident_bytes(server.pid()))
                .map_err(|error| format!("its memory cannot be read: {error}"))
        };
        let (before, after) = (resident_at(few)?, resident_at(many)?);
        drop(crowd);
        server.stop()?;
        Ok((after as f64 - before as f64) / (many - few) as f64)
    }
}

/// Connects, upgrades and sends the messages, each after the answer to the one before if there are
/// answers.
fn join(address: &str, messages: u32, answers: bool) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(ANSWER_LIMIT))?;
    // Ends in a reset, so that no port is kept for a minute.
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
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

/// Waits until the server has nothing left to do: it uses no CPU for a while.
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

/// A pause that is long beside what answering takes.
const QUIET: Duration = Duration::from_millis(50);
