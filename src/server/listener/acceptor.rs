//! The listening sockets, the limits on their clients, and the rejection of those beyond.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ioloop::{Handler, IoLoop, slot};
use mio::{Interest, Token};
use tungstenite::http::StatusCode;

use crate::error_text::plain;
use crate::server::admission::addresses::Addresses;
use crate::server::config::Config;
use crate::server::http::response;
use crate::server::http::router::Endpoint;
use crate::server::listener::deferral::silence;
use crate::server::rejection::{Rejection, RejectionCause};
use crate::server::socket::{Listen, Transport};
use crate::server::tls;

/// The listening sockets, and the state for rejecting clients.
pub(crate) struct Acceptor<S: Transport> {
    /// The clients' endpoint, until the server stops listening there.
    public: Option<Listener<S::Listener>>,
    /// The endpoint of `--admin`.
    admin: Option<Listener<S::Listener>>,
    address: Option<SocketAddr>,
    /// A reserved descriptor: when there are no others, it is released for a moment, to accept one
    /// client and tell it so.
    reserve: Option<File>,
    /// Rejected clients, kept for a moment so that no reset destroys the answer.
    rejected: VecDeque<(Instant, S)>,
    /// Whether the public endpoint expects TLS.
    speaks_tls: bool,
    clients_max: usize,
    addresses: Addresses,
    /// Connections at the admin endpoint; they are not clients.
    admins: usize,
    /// How long the system may keep silent connections to itself.
    silence: Duration,
    /// Accepting fails, and the log says so.
    exhausted: bool,
}

/// A listening socket.
struct Listener<L> {
    socket: L,
    token: Token,
    /// Accepting is scheduled to continue, in the next turn or soon.
    queued: bool,
}

impl<S: Transport> Acceptor<S> {
    /// Accepts clients at `listener`; `on_client` is called when some wait.
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

    /// Stops listening. Once the returned socket is dropped, the system refuses new connections, or
    /// gives them to another process that shares the port.
    pub(crate) fn stop<T>(
        &mut self,
        io_loop: &mut IoLoop<T>,
        endpoint: Endpoint,
    ) -> Option<S::Listener> {
        let mut listener = self.listener_at(endpoint).take()?;
        if let Err(error) = io_loop.remove_handler(&mut listener.socket, listener.token) {
            log::debug!("cannot unregister the listener: {}", plain(&error));
        }
        Some(listener.socket)
    }

    /// The socket that listens for clients, until the server stops listening.
    pub(crate) fn listener(&self) -> Option<&S::Listener> {
        self.public.as_ref().map(|listener| &listener.socket)
    }

    /// Whether clients still wait to be accepted and a later turn will accept them.
    pub(crate) fn is_behind(&self) -> bool {
        self.public.as_ref().is_some_and(|listener| listener.queued)
    }

    /// How long the system may keep silent connections to itself.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// The number of connections at the admin endpoint.
    pub(crate) fn admins(&self) -> usize {
        self.admins
    }

    /// Counts a connection that is admitted.
    pub(super) fn enter(&mut self, token: Token, peer: IpAddr, endpoint: Endpoint) {
        match endpoint {
            Endpoint::Public => self.addresses.enter(slot(token), peer),
            Endpoint::Admin => self.admins += 1,
        }
    }

    /// Counts a connection that is gone.
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

    /// Accepts the next waiting client.
    ///
    /// # Errors
    /// The system's error; `WouldBlock` when no client waits.
    pub(super) fn accept(&mut self, endpoint: Endpoint) -> io::Result<(S, IpAddr)> {
        let listener = self
            .listener_at(endpoint)
            .as_ref()
            .ok_or(io::ErrorKind::WouldBlock)?;
        let (socket, peer) = listener.socket.accept()?;
        Ok((socket, peer.ip()))
    }

    /// Notes that accepting is scheduled to continue; returns false if it already was.
    pub(super) fn queue(&mut self, endpoint: Endpoint) -> bool {
        let listener = self.listener_at(endpoint).as_mut();
        listener.is_some_and(|listener| !std::mem::replace(&mut listener.queued, true))
    }

    /// Notes that accepting continues now; returns whether the server still listens there.
    pub(super) fn unqueue(&mut self, endpoint: Endpoint) -> bool {
        let listener = self.listener_at(endpoint).as_mut();
        listener.map(|listener| listener.queued = false).is_some()
    }

    /// Notes that all waiting clients were accepted.
    pub(super) fn on_all_accepted(&mut self) {
        self.exhausted = false;
    }

    /// Logs that accepting failed, once until it works again.
    pub(super) fn on_failure(&mut self, error: &io::Error) {
        if !self.exhausted {
            log::warn!("cannot accept: {}", plain(error));
            self.exhausted = true;
        }
    }

    /// The reason to reject another client beside `connections`, if any; logs it too.
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
            // The client is at fault, so the answer is not 503: other clients and monitors would
            // take that for a failing server.
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
        // Before keys are agreed on, a TLS client understands only an alert.
        let answer = match endpoint {
            Endpoint::Public if self.speaks_tls => tls::NO_ROOM.to_vec(),
            _ => response::reject(rejection),
        };
        // An error can be ignored: a new socket has room for a short answer, and a client that has
        // gone needs none.
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

    /// Uses the reserved descriptor to tell one client that there is no room. Returns whether a
    /// client waited.
    pub(super) fn reject_by_reserve(&mut self, endpoint: Endpoint, now: Instant) -> bool {
        self.reserve = None;
        let accepted = self.accept(endpoint);
        let is_accepted = accepted.is_ok();
        if let Ok((socket, _)) = accepted {
            self.reject(socket, (endpoint, now), &full());
            // It was accepted with the last descriptor.
            self.rejected.clear();
        }
        self.reserve = reserve();
        is_accepted
    }

    /// Drops rejected clients that have had their time to read the answer.
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

/// The answer to a client when the server is full.
fn full() -> Rejection {
    Rejection::unavailable("the server is full")
}

/// Reads the bytes that have arrived, so that closing does not cause a reset.
fn drain(socket: &mut impl Transport) {
    let mut buffer = [0; 4096];
    // One read is enough: a client that sends more than a request may be reset.
    let _ = socket.read(&mut buffer);
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The most connections at a time to a separate admin port.
const ADMINS_MAX: usize = 16;

/// Descriptors reserved from clients: for the poll, the listeners, feeds, the recording, logs,
/// admin connections, and clients that are being rejected.
const DESCRIPTORS_RESERVED: usize = 64;

/// The most rejected clients kept at a time.
const REJECTED_MAX: usize = 16;

/// How long a rejected client has to read its answer.
pub(super) const REJECTED_TIME: Duration = Duration::from_secs(1);
