//! Sockets for fibers: where a blocking socket would block the thread, these suspend the fiber.
//!
//! Outside a fiber they work as long as they need not wait; otherwise they return an error.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use mio::Token;
use mio::net::{TcpStream, UdpSocket};

use crate::fiber;
use crate::io_loop::Registrar;

/// A TCP stream.
#[derive(Debug)]
pub struct FiberStream {
    socket: TcpStream,
    waiter: Waiter,
    accepts_nudges: bool,
}

/// A UDP socket with one peer; the system drops datagrams from others.
#[derive(Debug)]
pub struct FiberDatagram {
    socket: UdpSocket,
    waiter: Waiter,
}

impl FiberStream {
    /// Turns a connected socket, such as one that a listener accepted, into a stream for fibers.
    ///
    /// # Errors
    /// When the system refuses to watch the socket.
    pub fn new(registrar: &Registrar, mut socket: TcpStream) -> io::Result<Self> {
        let token = registrar.register(&mut socket)?;
        Ok(Self::registered(socket, token))
    }

    fn registered(socket: TcpStream, token: Token) -> Self {
        Self {
            socket,
            waiter: Waiter::new(token),
            accepts_nudges: false,
        }
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, otherwise the system's error.
    pub fn connect(
        registrar: &Registrar,
        address: SocketAddr,
        deadline: Option<Instant>,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        let token = registrar.register(&mut socket)?;
        loop {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Err(error) if error.kind() == ErrorKind::NotConnected => {
                    fiber::wait(token, deadline)?;
                }
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        Ok(Self::registered(socket, token))
    }

    /// Connects to the first of `addresses` that accepts. Each attempt gets an equal share of the
    /// remaining time.
    ///
    /// # Errors
    /// The error of the last address tried; `NotFound` when the list is empty.
    pub fn connect_any(
        registrar: &Registrar,
        addresses: &[SocketAddr],
        deadline: Option<Instant>,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, "no address to connect to");
        for (tried, address) in addresses.iter().enumerate() {
            let share = deadline.map(|deadline| {
                let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
                let now = fiber::time();
                now + deadline.saturating_duration_since(now) / left
            });
            match Self::connect(registrar, *address, share) {
                Ok(stream) => return Ok(stream),
                Err(error) if fiber::is_cancelled() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sets the deadline of all further reads and writes; `None` means no limit.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.waiter.deadline = deadline;
    }

    /// Sets whether a nudge ends a read ([`Fiber::nudge`](crate::Fiber::nudge)), with an error that
    /// [`fiber::is_nudge`] recognises. No bytes are lost by that, and it never ends a write.
    pub fn set_accepts_nudges(&mut self, value: bool) {
        self.accepts_nudges = value;
    }

    /// Sets whether small writes are sent at once (Tornado's `set_nodelay`).
    ///
    /// # Errors
    /// The system's error.
    pub fn set_nodelay(&self, value: bool) -> io::Result<()> {
        self.socket.set_nodelay(value)
    }

    /// Whether the stream is open and has no bytes to read, as an idle one should. Never suspends.
    pub fn is_quiet(&self) -> bool {
        matches!(self.socket.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Read for FiberStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = || (&self.socket).read(buffer);
        if !self.accepts_nudges {
            return self.waiter.retry(read);
        }
        // Before the read, or a peer that always has more to send would keep the nudge waiting.
        fiber::take_nudge()?;
        self.waiter.retry_with(fiber::wait_or_nudge, read)
    }
}

impl Write for FiberStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiter.retry(|| (&self.socket).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FiberDatagram {
    /// Binds a socket to a port that the system picks, for datagrams to and from `peer`.
    ///
    /// # Errors
    /// The system's error, for example that the network is unreachable.
    pub fn connect(registrar: &Registrar, peer: SocketAddr) -> io::Result<Self> {
        let any_port = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let mut socket = UdpSocket::bind(any_port)?;
        socket.connect(peer)?;
        let waiter = Waiter::new(registrar.register(&mut socket)?);
        Ok(Self { socket, waiter })
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// The system's error, which may concern an earlier datagram, for example that no process
    /// listens.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.waiter.retry(|| self.socket.send(datagram)).map(drop)
    }

    /// Receives one datagram, or as much of it as fits into `buffer`.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, otherwise the system's error.
    pub fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.waiter.deadline = Some(deadline);
        self.waiter.retry(|| self.socket.recv(buffer))
    }
}

/// Waits for operations on a socket until they succeed, and yields to others if they never need to
/// wait.
#[derive(Debug)]
struct Waiter {
    token: Token,
    deadline: Option<Instant>,
    /// Calls that succeeded since the fiber was last suspended here.
    done_in_a_row: u32,
}

impl Waiter {
    fn new(token: Token) -> Self {
        Self {
            token,
            deadline: None,
            done_in_a_row: 0,
        }
    }

    /// Calls `operation` until it does not block, and waits between the calls.
    fn retry<R>(&mut self, operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.retry_with(fiber::wait, operation)
    }

    /// Does the same with another kind of wait.
    fn retry_with<R>(
        &mut self,
        wait: fn(Token, Option<Instant>) -> io::Result<()>,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        if self.done_in_a_row == IN_A_ROW_MAX {
            self.yield_to_others()?;
        }
        loop {
            match operation() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.done_in_a_row = 0;
                    wait(self.token, self.deadline)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    self.done_in_a_row += 1;
                    return done;
                }
            }
        }
    }

    /// A peer that always has more to send must neither monopolise the loop nor outlast the
    /// deadline.
    fn yield_to_others(&mut self) -> io::Result<()> {
        self.done_in_a_row = 0;
        if fiber::is_in_fiber() {
            fiber::yield_now()?;
        }
        match self.deadline {
            Some(deadline) if deadline <= fiber::time() => Err(ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

/// How many reads or writes before other fibers get a turn: 128 KiB of HTTPS, under a millisecond.
const IN_A_ROW_MAX: u32 = 8;
