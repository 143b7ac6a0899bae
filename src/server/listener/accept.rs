//! Accepting, and what happens when there is no room: every client gets an answer, and the listener
//! neither spins nor falls silent.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ioloop::{Handler, IoLoop, Timeout, slot};
use mio::{Interest, Token};
use rustix::io::Errno;
use tungstenite::http::StatusCode;

use crate::server::admission::addresses::Addresses;
use crate::server::close::CloseReason;
use crate::server::config::Config;
use crate::server::connection::Connection;
use crate::server::http::request::{Port, Refusal};
use crate::server::http::response;
use crate::server::listener::deferral::silence;
use crate::server::peer::Who;
use crate::server::refusals::Cause;
use crate::server::socket::{Listener, Socket, Transport};
use crate::server::tls::{self, ClientSocket};
use crate::server::{Server, TURN_SHARE};

/// The listening sockets and the means to refuse.
pub(crate) struct Acceptor<S: Transport> {
    /// Where clients connect; none once the server has stopped listening there.
    public: Option<Door<S::Listener>>,
    /// Where its state can be asked for, if that is another place.
    admin: Option<Door<S::Listener>>,
    address: Option<SocketAddr>,
    /// A descriptor held back: when there are no others, it is given up for the moment that it takes
    /// to accept one client and tell it so.
    reserve: Option<File>,
    /// Clients that were told 503 or 429, kept for a moment so that no reset destroys the answer.
    turned_away: VecDeque<(Instant, S)>,
    /// Clients do; who asks for the server's state does not.
    speaks_tls: bool,
    clients_max: usize,
    addresses: Addresses,
    /// Connections that came by the admin door. They are none of the clients.
    admins: usize,
    /// For how long the system may keep clients that say nothing.
    silence: Duration,
    /// No descriptors are left, and the log knows.
    exhausted: bool,
}

/// A listening socket.
struct Door<L> {
    listener: L,
    token: Token,
    /// Accepting goes on by itself, in the next turn or soon.
    queued: bool,
}

impl<S: Transport> Acceptor<S> {
    pub(crate) fn new(
        io_loop: &mut IoLoop<Server<S>>,
        listener: S::Listener,
        config: &Config,
    ) -> io::Result<Self> {
        let address = listener.local_addr().ok();
        let descriptors = listener.descriptors_max();
        let available = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(1);
        let silence = silence(config);
        listener.defer(silence);
        let public = Door::new(io_loop, listener, |server, io_loop, _, _| {
            server.accept(io_loop, Port::Public);
        })?;
        Ok(Self {
            public: Some(public),
            admin: None,
            address,
            reserve: reserve(),
            turned_away: VecDeque::new(),
            speaks_tls: config.tls.is_some(),
            clients_max: config
                .clients_max
                .map_or(available, |asked| asked.min(available)),
            addresses: Addresses::new(config.clients_per_address_max),
            admins: 0,
            silence,
            exhausted: false,
        })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Listens for those who ask for the server's state, too.
    pub(crate) fn open_admin(
        &mut self,
        io_loop: &mut IoLoop<Server<S>>,
        listener: S::Listener,
    ) -> io::Result<()> {
        let door = Door::new(io_loop, listener, |server, io_loop, _, _| {
            server.accept(io_loop, Port::Admin);
        })?;
        self.admin = Some(door);
        Ok(())
    }

    /// Stops listening: from now on connecting is refused by the system, or answered by another
    /// process that shares the port. That is so once the socket returned is dropped.
    pub(crate) fn stop(
        &mut self,
        io_loop: &mut IoLoop<Server<S>>,
        port: Port,
    ) -> Option<S::Listener> {
        let mut door = self.door(port).take()?;
        if let Err(error) = io_loop.remove_handler(&mut door.listener, door.token) {
            log::debug!("the listener cannot be unregistered: {error}");
        }
        Some(door.listener)
    }

    /// The socket that listens for clients, while there is one.
    pub(crate) fn listener(&self) -> Option<&S::Listener> {
        self.public.as_ref().map(|door| &door.listener)
    }

    /// Whether it has been left with some waiting, to come back to them soon.
    pub(crate) fn is_behind(&self) -> bool {
        self.public.as_ref().is_some_and(|door| door.queued)
    }

    /// Connections that came by the admin door.
    pub(crate) fn admins(&self) -> usize {
        self.admins
    }

    /// A connection is gone.
    pub(crate) fn leave(&mut self, token: Token, port: Port) {
        self.addresses.leave(slot(token));
        if port == Port::Admin {
            self.admins -= 1;
        }
    }

    fn door(&mut self, port: Port) -> &mut Option<Door<S::Listener>> {
        match port {
            Port::Public => &mut self.public,
            Port::Admin => &mut self.admin,
        }
    }

    fn accept(&mut self, port: Port) -> io::Result<(S, IpAddr)> {
        let door = self.door(port).as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        let (socket, peer) = door.listener.accept()?;
        Ok((socket, peer.ip()))
    }

    /// Notes that accepting goes on by itself; returns whether that is news.
    fn queue(&mut self, port: Port) -> bool {
        let door = self.door(port).as_mut();
        door.is_some_and(|door| !std::mem::replace(&mut door.queued, true))
    }

    /// Why there is no room for one more among `connections`, if there is none; the log is told too.
    fn no_room(&self, connections: usize, peer: IpAddr, port: Port) -> Option<(Cause, Refusal)> {
        match port {
            Port::Admin if self.admins >= ADMINS_MAX => {
                log::warn!("{ADMINS_MAX} connections ask for the server's state: others get 503");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let refusal = Refusal::new(status, "too many ask at once");
                Some((Cause::Unavailable, refusal))
            }
            Port::Public if connections - self.admins >= self.clients_max => {
                log::warn!(
                    "the server is full, {} connections: others {} (--max-clients)",
                    self.clients_max,
                    if self.speaks_tls {
                        "get an alert of TLS"
                    } else {
                        "are answered 503"
                    }
                );
                Some((Cause::Full, full()))
            }
            // It is the client that asks for too much: to others, a server that says 503 is ill.
            Port::Public if !self.addresses.has_room(peer) => {
                log::warn!("{peer} has as many connections as it may (--max-clients-per-ip)");
                let status = StatusCode::TOO_MANY_REQUESTS;
                let refusal = Refusal::new(status, "too many connections from your address");
                Some((Cause::TooMany, refusal))
            }
            Port::Admin | Port::Public => None,
        }
    }

    /// Tells a client that there is no room.
    fn turn_away(&mut self, mut socket: S, (port, now): (Port, Instant), refusal: &Refusal) {
        // Before there are keys, who speaks TLS understands nothing else.
        let answer = match port {
            Port::Public if self.speaks_tls => tls::NO_ROOM.to_vec(),
            _ => response::refuse(refusal),
        };
        // As far as it goes: a new socket has room for so little, and one that has gone needs none.
        let _ = socket.write(&answer);
        socket.finish();
        drain(&mut socket);
        self.turned_away.push_back((now, socket));
        if self.turned_away.len() > TURNED_AWAY_MAX
            && let Some((_, mut socket)) = self.turned_away.pop_front()
        {
            drain(&mut socket);
        }
    }

    /// Lets go of those who have had their time to take the answer.
    fn forget_turned_away(&mut self, now: Instant) {
        while let Some((since, socket)) = self.turned_away.front_mut() {
            if now.saturating_duration_since(*since) < TURNED_AWAY_TIME {
                break;
            }
            drain(socket);
            self.turned_away.pop_front();
        }
    }
}

impl<L: Listener> Door<L> {
    fn new<T>(io_loop: &mut IoLoop<T>, mut listener: L, handler: Handler<T>) -> io::Result<Self> {
        let token = io_loop.add_handler(&mut listener, Interest::READABLE, handler)?;
        Ok(Self {
            listener,
            token,
            queued: false,
        })
    }
}

impl<S: Transport> Server<S> {
    /// Accepts all who wait, in shares: an edge-triggered listener does not remind us of the rest.
    pub(crate) fn accept(&mut self, io_loop: &mut IoLoop<Self>, port: Port) {
        let until = io_loop.time() + TURN_SHARE;
        loop {
            for _ in 0..ACCEPTS_PER_LOOK {
                match self.acceptor.accept(port) {
                    Ok((socket, peer)) => self.welcome(io_loop, socket, peer, port),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.acceptor.exhausted = false;
                        return;
                    }
                    // It went away while it waited, or a signal came: on to the next.
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                        ) => {}
                    Err(error) => return self.on_accept_failed(io_loop, &error, port),
                }
            }
            if io_loop.time() >= until {
                if self.acceptor.queue(port) {
                    io_loop.add_callback(move |server, io_loop| {
                        server.accept_queued(io_loop, port);
                    });
                }
                return;
            }
        }
    }

    fn accept_queued(&mut self, io_loop: &mut IoLoop<Self>, port: Port) {
        if let Some(door) = self.acceptor.door(port) {
            door.queued = false;
            self.accept(io_loop, port);
        }
    }

    fn welcome(&mut self, io_loop: &mut IoLoop<Self>, mut socket: S, peer: IpAddr, port: Port) {
        if let Some((cause, refusal)) = self.acceptor.no_room(self.connections.len(), peer, port) {
            self.counters.turned_away(cause);
            return self.turn_away(io_loop, socket, port, &refusal);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let handler = Self::on_ready;
        match io_loop.add_handler(&mut socket, interest, handler) {
            Ok(token) => {
                self.counters.accepted();
                let timeout = self.limit_handshake(io_loop, token, port);
                match port {
                    Port::Public => self.acceptor.addresses.enter(slot(token), peer),
                    Port::Admin => self.acceptor.admins += 1,
                }
                let socket = match (&self.tls, port) {
                    (Some(tls), Port::Public) => tls.secure(socket),
                    _ => ClientSocket::Plain(socket),
                };
                log::debug!("{}: accepted", Who(&socket, token));
                self.connections
                    .insert(Connection::new(socket, token, timeout, port));
            }
            Err(error) => {
                self.counters.turned_away(Cause::Other);
                log::warn!("a client cannot be served: {error}");
            }
        }
    }

    /// Has the wait for a request end at its limit. The system may have kept the connection for a
    /// part of that; whether it has is asked only when it matters.
    fn limit_handshake(&self, io_loop: &mut IoLoop<Self>, token: Token, port: Port) -> Timeout {
        let end = io_loop.time() + self.config.handshake_timeout;
        let silence = self.acceptor.silence;
        if silence.is_zero() || port == Port::Admin {
            return end_handshake_at(io_loop, end, token);
        }
        io_loop.call_at(end - silence, move |server, io_loop| {
            let connection = server.connections.get_mut(token);
            let Some(connection) = connection.filter(|it| it.handshake_timeout().is_some()) else {
                return;
            };
            let end = if connection.socket().was_deferred() {
                io_loop.time()
            } else {
                end
            };
            connection.set_handshake_timeout(end_handshake_at(io_loop, end, token));
        })
    }

    fn turn_away(&mut self, io_loop: &mut IoLoop<Self>, socket: S, port: Port, refusal: &Refusal) {
        self.acceptor
            .turn_away(socket, (port, io_loop.time()), refusal);
        io_loop.call_later(TURNED_AWAY_TIME, |server, io_loop| {
            server.acceptor.forget_turned_away(io_loop.time());
        });
    }

    pub(crate) fn on_handshake_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let connection = self.connections.get_mut(token);
        if connection.is_none_or(|connection| connection.handshake_timeout().is_none()) {
            return;
        }
        let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "no request within the limit");
        let answer = response::refuse(&refusal);
        self.close(io_loop, token, &CloseReason::HandshakeTimeout, &answer);
    }

    /// Out of descriptors, or worse: answers some with what is held back, and tries again soon. The
    /// edge is gone, so only a timer makes sure of that; one timer, however many edges come.
    fn on_accept_failed(&mut self, io_loop: &mut IoLoop<Self>, error: &io::Error, port: Port) {
        if !self.acceptor.exhausted {
            log::warn!("cannot accept: {error}");
            self.acceptor.exhausted = true;
        }
        let for_want_of_descriptors = [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        let answers = if for_want_of_descriptors {
            ACCEPTS_PER_LOOK
        } else {
            0
        };
        for _ in 0..answers {
            self.acceptor.reserve = None;
            let Ok((socket, _)) = self.acceptor.accept(port) else {
                break;
            };
            self.counters.turned_away(Cause::Descriptors);
            self.acceptor
                .turn_away(socket, (port, io_loop.time()), &full());
            // It was accepted with the last descriptor there is.
            self.acceptor.turned_away.clear();
        }
        self.acceptor.reserve = reserve();
        if self.acceptor.queue(port) {
            io_loop.call_later(ACCEPT_RETRY_DELAY, move |server, io_loop| {
                server.accept_queued(io_loop, port);
            });
        }
    }
}

fn end_handshake_at<S: Transport>(
    io_loop: &mut IoLoop<Server<S>>,
    end: Instant,
    token: Token,
) -> Timeout {
    io_loop.call_at(end, move |_, io_loop| {
        // After a pause of the process a request that came in time is not read yet.
        io_loop.call_after_events(move |server: &mut Server<S>, io_loop| {
            server.on_handshake_limit(io_loop, token);
        });
    })
}

fn full() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is full")
}

/// Takes what has arrived, so that closing does not answer it with a reset.
fn drain(socket: &mut impl Transport) {
    let mut buffer = [0; 4096];
    // Once: who sends more than a request's worth may as well be reset.
    let _ = socket.read(&mut buffer);
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Accepts between two looks at the clock.
const ACCEPTS_PER_LOOK: usize = 16;

/// How many may ask for the server's state at a time, where that is another port.
const ADMINS_MAX: usize = 16;

/// Descriptors that clients do not get: the poll, the listeners, feeds, the record, logs, who asks
/// for the server's state, and clients that are being turned away.
const DESCRIPTORS_RESERVED: usize = 64;

/// How many clients are turned away politely at a time.
const TURNED_AWAY_MAX: usize = 16;

/// How long a client has to take its answer.
const TURNED_AWAY_TIME: Duration = Duration::from_secs(1);

/// How soon accepting is tried again.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
