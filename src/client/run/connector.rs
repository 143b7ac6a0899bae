//! Opens the sockets: to which address, from which local address, how many at a time and how fast.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::ws::error::ConnectionError;

/// Opens connections until the configured number is reached.
#[derive(Debug)]
pub(super) struct Connector {
    /// The server's addresses that have not been tried yet, the next one last.
    untried: Vec<SocketAddr>,
    peer: SocketAddr,
    /// How many of the loopback addresses 127.0.0.1, .2, … are used up.
    sources_used: u8,
    sources_max: u8,
    /// How many sockets were opened from the current one.
    from_source: u32,
    /// How many connections are still to be opened.
    left: usize,
    in_flight: usize,
    /// Connections in flight of users that had joined before.
    returning: usize,
    in_flight_max: usize,
    ramp: Option<Ramp>,
}

/// What to do about the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Open it now.
    Open,
    /// Not before this instant.
    At(Instant),
    /// Wait until one of those in flight has joined or failed.
    Wait,
    /// All have been opened.
    Done,
}

/// A constant rate of connections, on a fixed grid.
#[derive(Debug)]
struct Ramp {
    began: Instant,
    per_second: f64,
    opened: u32,
}

impl Connector {
    /// Opens `clients` connections to the first of `addresses` that can be reached.
    ///
    /// # Panics
    /// When `addresses` is empty; a resolved name has at least one address.
    pub(super) fn new(
        mut addresses: Vec<SocketAddr>,
        clients: usize,
        in_flight_max: usize,
        ramp: Option<f64>,
    ) -> Self {
        addresses.reverse();
        let peer = addresses.pop().expect("a resolved name has an address");
        Self {
            untried: addresses,
            peer,
            sources_used: 0,
            sources_max: SOURCES_MAX,
            from_source: 0,
            left: clients,
            in_flight: 0,
            returning: 0,
            in_flight_max,
            ramp: ramp.map(|per_second| Ramp {
                began: Instant::now(),
                per_second,
                opened: 0,
            }),
        }
    }

    /// Leaves most of the loopback addresses to other processes: this is process `number` of `of`.
    pub(super) fn share_sources(&mut self, number: usize, of: usize) {
        let bound = |number: usize| {
            let bound = number.saturating_mul(usize::from(SOURCES_MAX)) / of.max(1);
            u8::try_from(bound).unwrap_or(SOURCES_MAX)
        };
        self.sources_used = bound(number);
        self.sources_max = bound(number + 1).max(self.sources_used + 1);
    }

    /// Whether another connection may be opened at `now`.
    pub(super) fn next(&self, now: Instant) -> Next {
        if self.left == 0 {
            return Next::Done;
        }
        if !self.has_room() {
            return Next::Wait;
        }
        match self.ramp.as_ref().map(Ramp::due) {
            Some(due) if due > now => Next::At(due),
            _ => Next::Open,
        }
    }

    /// Opens the next connection, which is in flight from here on.
    ///
    /// # Errors
    /// When the connection cannot be started.
    pub(super) fn open(&mut self, is_slow: bool) -> Result<TcpStream, ConnectionError> {
        self.left -= 1;
        self.in_flight += 1;
        if let Some(ramp) = &mut self.ramp {
            ramp.opened += 1;
        }
        self.connect(is_slow)
    }

    /// Opens a connection for a client that had one before; it is in flight from here on.
    ///
    /// # Errors
    /// When the connection cannot be started.
    pub(super) fn open_again(&mut self, is_slow: bool) -> Result<TcpStream, ConnectionError> {
        self.returning += 1;
        self.connect(is_slow)
    }

    /// Whether another connection may be in flight.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight + self.returning < self.in_flight_max
    }

    fn connect(&mut self, is_slow: bool) -> Result<TcpStream, ConnectionError> {
        loop {
            if self.from_source >= CONNECTIONS_PER_SOURCE && self.has_more_sources() {
                self.next_source();
            }
            self.from_source += 1;
            match connect(self.peer, self.source(), is_slow) {
                Err(ConnectionError::NoLocalPort(_)) if self.has_more_sources() => {
                    self.next_source();
                }
                connected => return connected,
            }
        }
    }

    /// The address that connections are opened to.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Notes that a connection has joined or failed.
    pub(super) fn settled(&mut self, is_return: bool) {
        if is_return {
            self.returning -= 1;
        } else {
            self.in_flight -= 1;
        }
    }

    /// Moves on to the name's next address after `peer` could not be reached, and opens one more
    /// connection in place of the failed one. Returns false if there is no further address.
    pub(super) fn fall_back(&mut self, peer: SocketAddr) -> bool {
        if peer == self.peer {
            match self.untried.pop() {
                Some(next) => self.peer = next,
                None => return false,
            }
        }
        self.left += 1;
        true
    }

    /// Stops opening connections. Returns how many were not opened.
    pub(super) fn stop(&mut self) -> usize {
        std::mem::take(&mut self.left)
    }

    /// Whether all connections have been opened and have joined or failed.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.in_flight == 0
    }

    /// The local address to connect from; `None` leaves it to the system, as for the first
    /// connections.
    fn source(&self) -> Option<SocketAddr> {
        let source = Ipv4Addr::new(127, 0, 0, self.sources_used + 1);
        (self.sources_used > 0 && self.is_loopback()).then(|| SocketAddr::from((source, 0)))
    }

    /// Only the IPv4 loopback network has spare addresses.
    fn has_more_sources(&self) -> bool {
        self.is_loopback() && self.sources_used < self.sources_max - 1
    }

    fn is_loopback(&self) -> bool {
        matches!(self.peer.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    fn next_source(&mut self) {
        self.sources_used += 1;
        self.from_source = 0;
    }
}

impl Ramp {
    fn due(&self) -> Instant {
        self.began + Duration::from_secs_f64(f64::from(self.opened) / self.per_second)
    }
}

fn connect(
    peer: SocketAddr,
    source: Option<SocketAddr>,
    is_slow: bool,
) -> Result<TcpStream, ConnectionError> {
    begin_connect(peer, source, is_slow).map_err(|error| ConnectionError::connect(peer, error))
}

fn begin_connect(
    peer: SocketAddr,
    source: Option<SocketAddr>,
    is_slow: bool,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if is_slow {
        // Before the connect, which announces the receive window to the server.
        socket.set_recv_buffer_size(SLOW_BUFFER_SIZE)?;
    }
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    match socket.connect(&peer.into()) {
        // The poll reports the result.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
        connected => connected?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// By default an address has 28,000 ports to connect from. Linux tries every other port first; once
/// those are taken, each connect searches all of them (20,000 connections from one address took 16
/// s, from three addresses one second). So the connector moves on well before that.
const CONNECTIONS_PER_SOURCE: u32 = 9_000;

/// The receive buffer of a slow reader, which Linux rounds up to a few KiB.
const SLOW_BUFFER_SIZE: usize = 2 * 1024;

/// 127.0.0.1 to 127.0.0.254.
const SOURCES_MAX: u8 = 254;

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(addresses: &[&str], clients: usize, ramp: Option<f64>) -> Connector {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Connector::new(addresses.collect(), clients, 2, ramp)
    }

    /// Opens a connection without a socket.
    fn pretend(connector: &mut Connector) {
        connector.left -= 1;
        connector.in_flight += 1;
    }

    #[test]
    fn connections_in_flight_are_limited() {
        let mut connector = connector(&["127.0.0.1:1"], 3, None);
        let now = Instant::now();
        pretend(&mut connector);
        assert_eq!(connector.next(now), Next::Open);
        pretend(&mut connector);
        assert_eq!(connector.next(now), Next::Wait);
        connector.settled(false);
        assert_eq!(connector.next(now), Next::Open);
        pretend(&mut connector);
        assert_eq!(connector.next(now), Next::Done);
        assert!(!connector.is_done());
        connector.settled(false);
        connector.settled(false);
        assert!(connector.is_done());
    }

    #[test]
    fn a_ramp_is_a_fixed_grid() {
        let mut connector = connector(&["127.0.0.1:1"], 9, Some(10.0));
        let ramp = connector.ramp.as_mut().unwrap();
        let began = ramp.began;
        ramp.opened = 3;
        let due = began + Duration::from_millis(300);
        assert_eq!(connector.next(began), Next::At(due));
        assert_eq!(connector.next(due), Next::Open);
    }

    #[test]
    fn another_address_is_tried_only_once() {
        let mut connector = connector(&["127.0.0.1:1", "[::1]:1"], 2, None);
        let first = connector.peer();
        pretend(&mut connector);
        pretend(&mut connector);
        assert!(connector.fall_back(first));
        assert!(connector.fall_back(first), "it failed before the change");
        assert_eq!(
            (connector.peer(), connector.left),
            ("[::1]:1".parse().unwrap(), 2)
        );
        assert!(!connector.fall_back(connector.peer()));
    }

    #[test]
    fn loopback_sources_are_used_one_after_the_other() {
        let mut connector = connector(&["127.0.0.1:1"], 1, None);
        assert_eq!(connector.source(), None);
        connector.next_source();
        assert_eq!(connector.source(), Some("127.0.0.2:0".parse().unwrap()));
        while connector.has_more_sources() {
            connector.next_source();
        }
        assert_eq!(connector.source(), Some("127.0.0.254:0".parse().unwrap()));
        assert!(!self::connector(&["192.0.2.1:1"], 1, None).has_more_sources());
        assert!(!self::connector(&["[::1]:1"], 1, None).has_more_sources());
    }

    #[test]
    fn a_spare_source_can_be_connected_from() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut connector = Connector::new(vec![address], 1, 1, None);
        connector.from_source = CONNECTIONS_PER_SOURCE;
        let _socket = connector.open(false).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.2");
    }
}
