//! Accepting, and what happens when there is no room: every client gets an answer, and the listener
//! neither spins nor falls silent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use rustix::io::Errno;
use tungstenite::http::StatusCode;

use super::close::CloseReason;
use super::config::Config;
use super::connection::Connection;
use super::head::Refusal;
use super::tls::{self, ClientSocket};
use super::{Server, TURN_SHARE, answer};
use crate::io_loop::IoLoop;

/// The listening socket and the means to refuse.
pub(crate) struct Acceptor {
    /// None once the server is shutting down.
    listener: Option<(TcpListener, Token)>,
    address: Option<SocketAddr>,
    /// A descriptor held back: when there are no others, it is given up for the moment that it takes
    /// to accept one client and tell it so.
    reserve: Option<File>,
    /// Clients that were told 503, kept for a moment so that no reset destroys the answer.
    turned_away: VecDeque<(Instant, TcpStream)>,
    /// What they were told.
    no_room: Vec<u8>,
    clients_max: usize,
    /// Accepting goes on by itself, in the next turn or soon.
    queued: bool,
    /// No descriptors are left, and the log knows.
    exhausted: bool,
}

impl Acceptor {
    pub(crate) fn new(
        io_loop: &mut IoLoop<Server>,
        listener: std::net::TcpListener,
        config: &Config,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        let address = listener.local_addr().ok();
        let token = io_loop.add_handler(
            &mut listener,
            Interest::READABLE,
            |server, io_loop, _, _| {
                server.accept(io_loop);
            },
        )?;
        let available = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(u64::MAX)
            .saturating_sub(DESCRIPTORS_RESERVED);
        let available = usize::try_from(available).unwrap_or(usize::MAX).max(1);
        Ok(Self {
            listener: Some((listener, token)),
            address,
            reserve: reserve(),
            turned_away: VecDeque::new(),
            no_room: match &config.tls {
                Some(_) => tls::NO_ROOM.to_vec(),
                None => answer::refuse(&Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the server is full",
                )),
            },
            clients_max: config
                .clients_max
                .map_or(available, |asked| asked.min(available)),
            queued: false,
            exhausted: false,
        })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Stops listening: from now on connecting is refused by the system.
    pub(crate) fn stop(&mut self, io_loop: &mut IoLoop<Server>) {
        let Some((mut listener, token)) = self.listener.take() else {
            return;
        };
        if let Err(error) = io_loop.remove_handler(&mut listener, token) {
            log::debug!("the listener cannot be unregistered: {error}");
        }
    }

    fn accept(&self) -> io::Result<TcpStream> {
        let (listener, _) = self.listener.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        listener.accept().map(|(socket, _)| socket)
    }

    /// Tells a client that there is no room.
    fn turn_away(&mut self, mut socket: TcpStream) {
        // As far as it goes: a new socket has room for so little, and one that has gone needs none.
        let _ = socket.write(&self.no_room);
        let _ = socket.shutdown(Shutdown::Write);
        drain(&mut socket);
        self.turned_away.push_back((Instant::now(), socket));
        if self.turned_away.len() > TURNED_AWAY_MAX {
            self.turned_away.pop_front();
        }
    }

    /// Lets go of those who have had their time to take the answer.
    fn forget_turned_away(&mut self) {
        while let Some((since, socket)) = self.turned_away.front_mut() {
            if since.elapsed() < TURNED_AWAY_TIME {
                break;
            }
            drain(socket);
            self.turned_away.pop_front();
        }
    }
}

impl Server {
    /// Accepts all who wait, in shares: an edge-triggered listener does not remind us of the rest.
    fn accept(&mut self, io_loop: &mut IoLoop<Self>) {
        let until = Instant::now() + TURN_SHARE;
        loop {
            for _ in 0..ACCEPTS_PER_LOOK {
                match self.acceptor.accept() {
                    Ok(socket) => self.welcome(io_loop, socket),
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
                    Err(error) => return self.on_accept_failed(io_loop, &error),
                }
            }
            if Instant::now() >= until {
                if !std::mem::replace(&mut self.acceptor.queued, true) {
                    io_loop.add_callback(Self::accept_queued);
                }
                return;
            }
        }
    }

    fn accept_queued(&mut self, io_loop: &mut IoLoop<Self>) {
        self.acceptor.queued = false;
        self.accept(io_loop);
    }

    fn welcome(&mut self, io_loop: &mut IoLoop<Self>, mut socket: TcpStream) {
        self.counters.accepted += 1;
        if self.connections.len() >= self.acceptor.clients_max {
            self.counters.turned_away += 1;
            self.acceptor.turn_away(socket);
            io_loop.call_later(TURNED_AWAY_TIME, |server, _| {
                server.acceptor.forget_turned_away();
            });
            return;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let handler = Self::on_ready;
        match io_loop.add_handler(&mut socket, interest, handler) {
            Ok(token) => {
                let limit = self.config.handshake_timeout;
                let timeout = io_loop.call_later(limit, move |server, io_loop| {
                    server.on_handshake_timeout(io_loop, token);
                });
                let socket = match &self.tls {
                    Some(tls) => tls.secure(socket),
                    None => ClientSocket::Plain(socket),
                };
                self.connections
                    .insert(Connection::new(socket, token, timeout));
            }
            Err(error) => log::warn!("a client cannot be served: {error}"),
        }
    }

    fn on_handshake_timeout(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "no request within the limit");
        let answer = answer::refuse(&refusal);
        self.close(io_loop, token, &CloseReason::HandshakeTimeout, &answer);
    }

    /// Out of descriptors, or worse: answers some with what is held back, and tries again soon. The
    /// edge is gone, so only a timer makes sure of that; one timer, however many edges come.
    fn on_accept_failed(&mut self, io_loop: &mut IoLoop<Self>, error: &io::Error) {
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
            let Ok(socket) = self.acceptor.accept() else {
                break;
            };
            self.counters.accepted += 1;
            self.counters.turned_away += 1;
            self.acceptor.turn_away(socket);
            // It was accepted with the last descriptor there is.
            self.acceptor.turned_away.clear();
        }
        self.acceptor.reserve = reserve();
        if !std::mem::replace(&mut self.acceptor.queued, true) {
            io_loop.call_later(ACCEPT_RETRY_DELAY, Self::accept_queued);
        }
    }
}

/// Takes what has arrived, so that closing does not answer it with a reset.
fn drain(socket: &mut TcpStream) {
    let mut buffer = [0; 4096];
    // Once: who sends more than a request's worth may as well be reset.
    let _ = socket.read(&mut buffer);
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Accepts between two looks at the clock.
const ACCEPTS_PER_LOOK: usize = 16;

/// Descriptors that clients do not get: the poll, the listener, feeds, the record, logs, and
/// clients that are being turned away.
const DESCRIPTORS_RESERVED: u64 = 64;

/// How many clients are turned away politely at a time.
const TURNED_AWAY_MAX: usize = 16;

/// How long a client has to take its 503.
const TURNED_AWAY_TIME: Duration = Duration::from_secs(1);

/// How soon accepting is tried again.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
