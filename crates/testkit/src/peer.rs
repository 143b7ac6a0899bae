//! A raw socket that sends what a test wants, and remembers how it was answered: which bytes came,
//! and whether the end was one (FIN) or a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::frames::{handshake, server_frames};

/// One connection to the server.
pub struct Peer {
    /// Its socket, with [`Peer`]'s patience set as limits.
    pub stream: TcpStream,
    began: Instant,
}

/// All that the server had to say.
#[derive(Debug)]
pub struct Heard {
    /// All of it.
    pub bytes: Vec<u8>,
    /// How it stopped.
    pub end: End,
    /// From before connecting to the end.
    pub took: Duration,
}

/// How it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended its stream.
    Fin,
    /// It reset the connection: what it said may be lost.
    Reset,
    /// It goes on; nothing came within the patience.
    Open,
}

impl Peer {
    /// Connects without saying anything.
    pub fn connect(address: &str) -> Self {
        let began = Instant::now();
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{error}"));
        Self::of(stream, began)
    }

    /// With so small a receive buffer that not reading is soon felt by the server.
    pub fn connect_narrow(address: &str) -> Self {
        let began = Instant::now();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Before the connection is made: then the window is never offered larger.
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

    /// Makes it a WebSocket; the answer's head is read, nothing behind it.
    pub fn upgrade(self) -> Result<Self, String> {
        self.upgrade_at("/")
    }

    /// The same at a path, which may have a query.
    pub fn upgrade_at(mut self, path: &str) -> Result<Self, String> {
        self.send(handshake(path).as_bytes());
        let head = self.head();
        match head.starts_with("HTTP/1.1 101 ") {
            true => Ok(self),
            false => Err(format!("no upgrade but {head:?}")),
        }
    }

    /// A WebSocket on a new connection.
    pub fn open(address: &str) -> Result<Self, String> {
        Self::connect(address).upgrade()
    }

    /// Sends; a server that has heard enough may refuse the rest.
    pub fn send(&self, bytes: &[u8]) {
        let _ = (&self.stream).write_all(bytes);
    }

    /// Sends byte by byte, each in a segment of its own, until the server answers.
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

    /// Sends `piece` again and again for as long as the server takes it; returns when the server
    /// has answered or `limit` bytes were sent.
    pub fn flood(&self, piece: &[u8], limit: usize) {
        for _ in 0..limit.div_ceil(piece.len()) {
            let answered = self.is_answered();
            if answered || (&self.stream).write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Whether there is something to read, or the end.
    fn is_answered(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// No more will be sent.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends with a reset instead of a FIN: data in flight is lost.
    pub fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads to the end.
    pub fn hear(&mut self) -> Heard {
        let mut bytes = Vec::new();
        let end = match self.stream.read_to_end(&mut bytes) {
            Ok(_) => End::Fin,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                End::Open
            }
            Err(_) => End::Reset,
        };
        let took = self.began.elapsed();
        Heard { bytes, end, took }
    }

    /// Reads to the end, and then sends more: a server that has closed the socket answers that with
    /// a reset, and one that had something unread has sent one already. There are systems where
    /// that destroys what it said last, although Linux is not one of them.
    pub fn hear_out(&mut self) -> Heard {
        let mut heard = self.hear();
        for _ in 0..3 {
            let written = self.stream.write(b"?");
            std::thread::yield_now();
            let is_reset = written.is_err() || self.stream.take_error().unwrap().is_some();
            // Later, its patience may be over.
            if is_reset && heard.end == End::Fin && self.began.elapsed() < HEARD_FOR {
                heard.end = End::Reset;
            }
        }
        heard
    }

    /// Reads an HTTP answer's head and nothing behind it; empty if there is none.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(self.stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads frames until one that is wanted; ticks and pings pass.
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

impl Heard {
    /// The status of an HTTP answer; 0 if there was none.
    pub fn status(&self) -> u16 {
        let text = String::from_utf8_lossy(&self.bytes);
        let status = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The code of the close frame that ends what was heard; 1005 if the frame has none.
    pub fn close_code(&self) -> Result<u16, String> {
        match server_frames(&self.bytes).last() {
            Some((0x88, [high, low, ..])) => Ok(u16::from_be_bytes([*high, *low])),
            Some((0x88, [])) => Ok(1005),
            last => Err(format!("the last frame is {last:?}, no close frame")),
        }
    }
}

/// Longer than any limit that a server has.
const PATIENCE: Duration = Duration::from_secs(60);

/// Half of the shortest time that a server still listens to a client that has not ended its stream.
const HEARD_FOR: Duration = Duration::from_millis(250);
