//! The listening sockets, how many clients they let in, and how the others are told.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ioloop::{Handler, IoLoop, slot};
use mio::{Interest, Token};
use tungstenite::http::StatusCode;

use crate::server::admission::addresses::Addresses;
use crate::server::config::Config;
use crate::server::http::response;
use crate::server::http::router::Endpoint;
use crate::server::listener::deferral::silence;
use crate::server::rejection::{Rejection, RejectionCause};
use crate::server::socket::{Listen, Transport};
use crate::server::tls;

/// The listening sockets, and what it takes to reject clients.
pub(crate) struct Acceptor<S: Transport> {
    /// Where clients connect, until the server stops listening there.
    public: Option<Listener<S::Listener>>,
    /// Where `--admin` serves the server's state.
    admin: Option<Listener<S::Listener>>,
    address: Option<SocketAddr>,
    /// A descriptor held back: when there are no others, it is given up for the moment that it takes
    /// to accept one client and tell it so.
    reserve: Option<File>,
    /// Clients that were told 503 or 429, kept for a moment so that no reset destroys the answer.
    rejected: VecDeque<(Instant, S)>,
    /// At the public endpoint.
    speaks_tls: bool,
    clients_max: usize,
    addresses: Addresses,
    /// Connections that came by the admin endpoint; they are not clients.
    admins: usize,
    /// For how long the system may keep clients that say nothing.
    silence: Duration,
    /// No descriptors are left, and the log knows.
    exhausted: bool,
}

/// A listening socket.
struct Listener<L> {
    socket: L,
    token: Token,
    /// Accepting goes on by itself, in the next turn or soon.
    queued: bool,
}

impl<S: Transport> Acceptor<S> {
    /// Accepts clients at `listener`; `on_client` is called when some have come.
    ///
    /// # Errors
    /// When the listener cannot be watched.
    pub(crate) fn new<T>(
        io_loop: &mut IoLoop<T>,
        listener: S::Listener,
        config: &Config,
        on_client: Handler<T>,
    ) -> io::Result<Self> {
        let address = listener.local_addr().ok();
        let descriptors = listener.descriptors_max();
        let available = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(1);
        let silence = silence(config);
        listener.defer(silence);
        let public = Listener::new(io_loop, listener, on_client)?;
        Ok(Self {
            public: Some(public),
            admin: None,
            address,
            reserve: reserve(),
            rejected: VecDeque::new(),
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

    /// Accepts at the admin endpoint too.
    ///
    /// # Errors
    /// When the listener cannot be watched.
    pub(crate) fn open_admin<T>(
        &mut self,
        io_loop: &mut IoLoop<T>,
        listener: S::Listener,
        on_client: Handler<T>,
    ) -> io::Result<()> {
        self.admin = Some(Listener::new(io_loop, listener, on_client)?);
        Ok(())
    }

    /// Stops listening: from now on connecting is refused by the system, or answered by another
    /// process that shares the port. That is so once the socket returned is dropped.
    pub(crate) fn stop<T>(
        &mut self,
        io_loop: &mut IoLoop<T>,
        endpoint: Endpoint,
    ) -> Option<S::Listener> {
        let mut listener = self.listener_at(endpoint).take()?;
        if let Err(error) = io_loop.remove_handler(&mut listener.socket, listener.token) {
            log::debug!("cannot unregister the listener: {error}");
        }
        Some(listener.socket)
    }

    /// The socket that listens for clients, while there is one.
    pub(crate) fn listener(&self) -> Option<&S::Listener> {
        self.public.as_ref().map(|listener| &listener.socket)
    }

    /// Whether it has been left with some waiting, to come back to them soon.
    pub(crate) fn is_behind(&self) -> bool {
        self.public.as_ref().is_some_and(|listener| listener.queued)
    }

    /// How long the system may keep clients that say nothing.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// Connections that came by the admin endpoint.
    pub(crate) fn admins(&self) -> usize {
        self.admins
    }

    /// A connection is let in.
    pub(super) fn enter(&mut self, token: Token, peer: IpAddr, endpoint: Endpoint) {
        match endpoint {
            Endpoint::Public => self.addresses.enter(slot(token), peer),
            Endpoint::Admin => self.admins += 1,
        }
    }

    /// A connection is gone.
    pub(crate) fn leave(&mut self, token: Token, endpoint: Endpoint) {
        self.addresses.leave(slot(token));
        if endpoint == Endpoint::Admin {
            self.admins -= 1;
        }
    }

    fn listener_at(&mut self, endpoint: Endpoint) -> &mut Option<Listener<S::Listener>> {
        match endpoint {
            Endpoint::Public => &mut self.public,
            Endpoint::Admin => &mut self.admin,
        }
    }

    /// The next client that waits.
    ///
    /// # Errors
    /// What the system answers, `WouldBlock` when nobody waits.
    pub(super) fn accept(&mut self, endpoint: Endpoint) -> io::Result<(S, IpAddr)> {
        let listener = self
            .listener_at(endpoint)
            .as_ref()
            .ok_or(io::ErrorKind::WouldBlock)?;
        let (socket, peer) = listener.socket.accept()?;
        Ok((socket, peer.ip()))
    }

    /// Notes that accepting goes on by itself; returns whether that is news.
    pub(super) fn queue(&mut self, endpoint: Endpoint) -> bool {
        let listener = self.listener_at(endpoint).as_mut();
        listener.is_some_and(|listener| !std::mem::replace(&mut listener.queued, true))
    }

    /// Accepting goes on now, if the server still listens there.
    pub(super) fn unqueue(&mut self, endpoint: Endpoint) -> bool {
        let listener = self.listener_at(endpoint).as_mut();
        listener.map(|listener| listener.queued = false).is_some()
    }

    /// All who waited are accepted.
    pub(super) fn on_all_accepted(&mut self) {
        self.exhausted = false;
    }

    /// Accepting failed. The log is told once, until it works again.
    pub(super) fn on_failure(&mut self, error: &io::Error) {
        if !self.exhausted {
            log::warn!("cannot accept: {error}");
            self.exhausted = true;
        }
    }

    /// Why there is no room for one more among `connections`, if there is none; logs it too.
    pub(super) fn rejection(
        &self,
        connections: usize,
        peer: IpAddr,
        endpoint: Endpoint,
    ) -> Option<(RejectionCause, Rejection)> {
        match endpoint {
            Endpoint::Admin if self.admins >= ADMINS_MAX => {
                log::warn!(
                    "refusing connections to the --admin port with 503: all {ADMINS_MAX} are in use"
                );
                let rejection = Rejection::unavailable("too many connections to this port");
                Some((RejectionCause::Unavailable, rejection))
            }
            Endpoint::Public if connections - self.admins >= self.clients_max => {
                log::warn!(
                    "the server is full, {} connections: others {} (--max-clients)",
                    self.clients_max,
                    if self.speaks_tls {
                        "get a TLS alert"
                    } else {
                        "are answered 503"
                    }
                );
                Some((RejectionCause::Full, full()))
            }
            // It is the client that asks for too much: to others, a server that says 503 is ill.
            Endpoint::Public if !self.addresses.has_room(peer) => {
                log::warn!("refusing {peer}: at its connection limit (--max-clients-per-ip)");
                let status = StatusCode::TOO_MANY_REQUESTS;
                let rejection = Rejection::new(status, "too many connections from your address");
                Some((RejectionCause::TooMany, rejection))
            }
            Endpoint::Admin | Endpoint::Public => None,
        }
    }

    /// Tells a client that there is no room.
    pub(super) fn reject(
        &mut self,
        mut socket: S,
        (endpoint, now): (Endpoint, Instant),
        rejection: &Rejection,
    ) {
        // Before there are keys, who speaks TLS understands nothing else.
        let answer = match endpoint {
            Endpoint::Public if self.speaks_tls => tls::NO_ROOM.to_vec(),
            _ => response::reject(rejection),
        };
        // As far as it goes: a new socket has room for so little, and one that has gone needs none.
        let _ = socket.write(&answer);
        socket.finish();
        drain(&mut socket);
        self.rejected.push_back((now, socket));
        if self.rejected.len() > REJECTED_MAX
            && let Some((_, mut socket)) = self.rejected.pop_front()
        {
            drain(&mut socket);
        }
    }

    /// Tells one client that there is no room, with the descriptor that is held back. Returns whether
    /// one waited.
    pub(super) fn reject_by_reserve(&mut self, endpoint: Endpoint, now: Instant) -> bool {
        self.reserve = None;
        let accepted = self.accept(endpoint);
        let is_accepted = accepted.is_ok();
        if let Ok((socket, _)) = accepted {
            self.reject(socket, (endpoint, now), &full());
            // It was accepted with the last descriptor there is.
            self.rejected.clear();
        }
        self.reserve = reserve();
        is_accepted
    }

    /// Lets go of those who have had their time to take the answer.
    pub(super) fn forget_rejected(&mut self, now: Instant) {
        while let Some((since, socket)) = self.rejected.front_mut() {
            if now.saturating_duration_since(*since) < REJECTED_TIME {
                break;
            }
            drain(socket);
            self.rejected.pop_front();
        }
    }
}

impl<L: Listen> Listener<L> {
    fn new<T>(io_loop: &mut IoLoop<T>, mut socket: L, handler: Handler<T>) -> io::Result<Self> {
        let token = io_loop.add_handler(&mut socket, Interest::READABLE, handler)?;
        Ok(Self {
            socket,
            token,
            queued: false,
        })
    }
}

/// The answer to a client for which there is no room.
fn full() -> Rejection {
    Rejection::unavailable("the server is full")
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

/// How many may ask for the server's state at a time, where that is another port.
const ADMINS_MAX: usize = 16;

/// Descriptors that clients do not get: the poll, the listeners, feeds, the record, logs, who asks
/// for the server's state, and clients that are being rejected.
const DESCRIPTORS_RESERVED: usize = 64;

/// How many clients are rejected politely at a time.
const REJECTED_MAX: usize = 16;

/// How long a client has to take its answer.
pub(super) const REJECTED_TIME: Duration = Duration::from_secs(1);
