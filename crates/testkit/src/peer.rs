//! A raw socket that sends arbitrary bytes, and records the answer: its bytes, and whether the
//! connection ended with a FIN or a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::frames::{handshake, server_frames};

/// One connection to the server.
pub struct Peer {
    /// Its socket, with timeouts set.
    pub stream: TcpStream,
    began: Instant,
}

/// All that the server sent.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How the connection ended.
    pub end: End,
    /// The time from connecting to the end.
    pub took: Duration,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server ended its stream.
    Fin,
    /// The server reset the connection, so bytes may be lost.
    Reset,
    /// The connection stayed open, but no data came within the timeout.
    Open,
}

impl Peer {
    /// Connects without sending data.
    pub fn connect(address: &str) -> Self {
        let began = Instant::now();
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{error}"));
        Self::of(stream, began)
    }

    /// Connects with such a small receive buffer that the server soon notices if it is not read.
    pub fn connect_narrow(address: &str) -> Self {
        let began = Instant::now();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Set before connecting, so that no larger window is ever offered.
        socket.set_recv_buffer_size(2048).unwrap();
        let address: std::net::SocketAddr = address.parse().unwrap();
        socket.connect(&address.into()).unwrap();
        Self::of(socket.into(), began)
    }

    fn of(stream: TcpStream, began: Instant) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, began }
    }

    /// Upgrades the connection to a WebSocket; reads only the head of the answer.
    pub fn upgrade(self) -> Result<Self, String> {
        self.upgrade_at("/")
    }

    /// Upgrades at a path, which may have a query.
    pub fn upgrade_at(mut self, path: &str) -> Result<Self, String> {
        self.send(handshake(path).as_bytes());
        let head = self.head();
        if head.starts_with("HTTP/1.1 101 ") {
            Ok(self)
        } else {
            Err(format!("no upgrade but {head:?}"))
        }
    }

    /// Opens a WebSocket on a new connection.
    pub fn open(address: &str) -> Result<Self, String> {
        Self::connect(address).upgrade()
    }

    /// Sends `bytes`; a server that is closing may refuse the rest.
    pub fn send(&self, bytes: &[u8]) {
        let _ = (&self.stream).write_all(bytes);
    }

    /// Sends byte by byte, each in its own segment, until the server answers.
    pub fn trickle(&self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if (&self.stream).write_all(&[*byte]).is_err() || self.is_answered() {
                return;
            }
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }

    /// Sends `piece` repeatedly for as long as the server takes it; returns when the server has
    /// answered or `limit` bytes were sent.
    pub fn flood(&self, piece: &[u8], limit: usize) {
        for _ in 0..limit.div_ceil(piece.len()) {
            let answered = self.is_answered();
            if answered || (&self.stream).write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Whether there is data to read, or the end.
    fn is_answered(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Ends the sending side of the connection.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset instead of a FIN: data in flight is lost.
    pub fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads to the end.
    pub fn read_to_end(&mut self) -> Received {
        let mut bytes = Vec::new();
        let end = match self.stream.read_to_end(&mut bytes) {
            Ok(_) => End::Fin,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                End::Open
            }
            Err(_) => End::Reset,
        };
        let took = self.began.elapsed();
        Received { bytes, end, took }
    }

    /// Reads to the end, and then sends more: a server that has closed the socket answers with a
    /// reset, and one that had unread data has already sent one. On some systems, though not on
    /// Linux, that destroys the last bytes that the server sent.
    pub fn read_and_probe(&mut self) -> Received {
        let mut received = self.read_to_end();
        for _ in 0..3 {
            let written = self.stream.write(b"?");
            std::thread::yield_now();
            let is_reset = written.is_err() || self.stream.take_error().unwrap().is_some();
            // After that, the server may have stopped waiting.
            if is_reset && received.end == End::Fin && self.began.elapsed() < DRAINED_FOR {
                received.end = End::Reset;
            }
        }
        received
    }

    /// Reads the head of an HTTP answer and no more; empty if there is none.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(self.stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads frames until a `wanted` one; ticks and pings are skipped.
    pub fn frame(&mut self, mut wanted: impl FnMut(u8, &[u8]) -> bool) -> Result<Vec<u8>, String> {
        loop {
            let mut start = [0; 2];
            let mut read = |buffer: &mut [u8]| {
                self.stream
                    .read_exact(buffer)
                    .map_err(|error| format!("no such frame: {error}"))
            };
            read(&mut start)?;
            let mut length = usize::from(start[1]);
            if length == 126 {
                let mut long = [0; 2];
                read(&mut long)?;
                length = usize::from(u16::from_be_bytes(long));
            } else if length == 127 {
                let mut long = [0; 8];
                read(&mut long)?;
                length = u64::from_be_bytes(long) as usize;
            }
            let mut payload = vec![0; length];
            read(&mut payload)?;
            if wanted(start[0], &payload) {
                return Ok(payload);
            }
            if start[0] == 0x88 {
                return Err(format!("closed with {payload:?}"));
            }
        }
    }
}

impl Received {
    /// The status of an HTTP answer; 0 if there is none.
    pub fn status(&self) -> u16 {
        let text = String::from_utf8_lossy(&self.bytes);
        let status = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The code of the close frame at the end; 1005 if the frame has no code.
    pub fn close_code(&self) -> Result<u16, String> {
        match server_frames(&self.bytes).last() {
            Some((0x88, [high, low, ..])) => Ok(u16::from_be_bytes([*high, *low])),
            Some((0x88, [])) => Ok(1005),
            last => Err(format!("the last frame is {last:?}, no close frame")),
        }
    }
}

/// Longer than any limit of a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Half the shortest time that a server keeps reading from a client that has not ended its stream.
const DRAINED_FOR: Duration = Duration::from_millis(250);
