//! A connection of a client, with TLS or without; the client decides.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use super::state::{IDLE, Shared};

/// A connection of a client.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// Looks at the first byte to see whether it begins a TLS handshake.
    pub(super) fn accept(socket: TcpStream, shared: &Shared) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(IDLE))?;
        socket.set_write_timeout(Some(IDLE))?;
        let mut first = [0];
        socket.peek(&mut first)?;
        if first != [0x16] {
            return Ok(Self::Plain(socket));
        }
        let connection = ServerConnection::new(shared.certificate()).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Whether the client has hung up, or sends data out of turn, such as its close frame.
    pub(super) fn is_gone(&self) -> bool {
        let socket = self.socket();
        if socket.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = socket.peek(&mut [0]);
        let is_quiet = matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock);
        socket.set_nonblocking(false).is_err() || !is_quiet
    }

    /// Waits, but no longer than the client does.
    pub(super) fn wait(&self, duration: Duration) {
        let until = Instant::now() + duration;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_gone() {
                return;
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    /// Ends the connection without notice.
    pub(super) fn cut(&self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        let linger = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
        // Clones must be closed, too: the reset is sent with the last close.
        if linger.is_err() {
            self.cut();
        }
    }

    /// Ends the connection properly.
    pub(super) fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
        let _ = self.socket().set_read_timeout(Some(Duration::from_secs(1)));
        let mut socket = self.socket();
        while socket.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// How often a wait checks whether the client is still connected.
const STEP: Duration = Duration::from_millis(20);
