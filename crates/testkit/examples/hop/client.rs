//! One client: a connection to one server at a time, and its progress over all of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use testkit::frames::{frame, handshake};

use crate::progress::Progress;

/// A client that can go from server to server.
pub(crate) struct Client {
    /// The servers that it goes to in turn, and which of them it is at.
    servers: Rc<[SocketAddr]>,
    at: usize,
    /// The only symbol that it wants; all if there is none.
    symbol: Option<String>,
    state: State,
    /// What was received, up to what has been looked at.
    pub(crate) bytes: Vec<u8>,
    pub(crate) progress: Progress,
    /// When the present connection was opened, Unix µs: what was sent before is history.
    pub(crate) opened: u64,
    /// When the last tick came.
    pub(crate) heard: Option<Instant>,
    /// When it next has something to do by itself: see [`Load`](crate::load::Load).
    pub(crate) due: Option<Instant>,
    pub(crate) next_hop: Option<Instant>,
}

enum State {
    Away,
    Connecting(TcpStream),
    Upgrading(TcpStream),
    Open(TcpStream),
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// The server has upgraded it.
    Opened,
    /// The server did not upgrade it.
    Refused,
    /// It broke, or ended.
    Lost,
}

impl Client {
    pub(crate) fn new(servers: &Rc<[SocketAddr]>, at: usize, symbol: Option<String>) -> Self {
        Self {
            servers: Rc::clone(servers),
            at: at % servers.len(),
            symbol,
            state: State::Away,
            bytes: Vec::new(),
            progress: Progress::default(),
            opened: 0,
            heard: None,
            due: None,
            next_hop: None,
        }
    }

    /// The number of its server.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it waits for a server.
    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting(_) | State::Upgrading(_))
    }

    /// Whether it gets all symbols.
    pub(crate) fn wants_all(&self) -> bool {
        self.symbol.is_none()
    }

    /// Turns to the next server.
    pub(crate) fn turn(&mut self) {
        self.at = (self.at + 1) % self.servers.len();
    }

    /// Ends the connection without a word.
    pub(crate) fn leave(&mut self) {
        self.state = State::Away;
        self.bytes.clear();
    }

    /// Connects to its server.
    pub(crate) fn connect(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.leave();
        let mut stream = TcpStream::connect(self.servers[self.at])?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.state = State::Connecting(stream);
        Ok(())
    }

    /// Goes on as far as it can without waiting; `scratch` is for reading.
    pub(crate) fn advance(&mut self, scratch: &mut [u8]) -> Change {
        match self.try_to_advance(scratch) {
            Ok(change) => change,
            Err(_) => Change::Lost,
        }
    }

    fn try_to_advance(&mut self, scratch: &mut [u8]) -> io::Result<Change> {
        if let State::Connecting(stream) = &self.state
            && !is_connected(stream)?
        {
            return Ok(Change::None);
        }
        self.state = match std::mem::replace(&mut self.state, State::Away) {
            State::Connecting(mut stream) => {
                // A new connection has room for so little.
                stream.write_all(handshake(&self.path()).as_bytes())?;
                State::Upgrading(stream)
            }
            state => state,
        };
        let (State::Upgrading(stream) | State::Open(stream)) = &mut self.state else {
            return Ok(Change::None);
        };
        let is_over = read_all(stream, scratch, &mut self.bytes)?;
        if is_over {
            return Ok(Change::Lost);
        }
        if self.is_open() {
            return Ok(Change::None);
        }
        Ok(self.upgrade())
    }

    /// Looks for the end of the answer to the handshake.
    fn upgrade(&mut self) -> Change {
        let end = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end else {
            return Change::None;
        };
        if !self.bytes.starts_with(b"HTTP/1.1 101 ") {
            return Change::Refused;
        }
        self.bytes.drain(..end + 4);
        self.opened = now_us();
        self.state = match std::mem::replace(&mut self.state, State::Away) {
            State::Upgrading(stream) => State::Open(stream),
            state => state,
        };
        Change::Opened
    }

    fn path(&self) -> String {
        let mut path = "/?".to_owned();
        if let Some(symbol) = &self.symbol {
            path += &format!("symbols={symbol}&");
        }
        if let Some(sent) = self.progress.sent() {
            path += &format!("since={sent}");
        }
        path
    }

    /// Answers a ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Open(stream) => stream.write_all(&frame(0x8A, payload)),
            _ => Ok(()),
        }
    }
}

fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads what there is; true if there will be no more.
fn read_all(stream: &mut TcpStream, scratch: &mut [u8], into: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        match stream.read(scratch) {
            Ok(0) => return Ok(true),
            Ok(length) => into.extend_from_slice(&scratch[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The wall clock, Unix µs.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
