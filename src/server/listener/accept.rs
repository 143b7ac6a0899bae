//! Accepts clients. Without room every client still gets an answer, and the listener neither spins
//! nor falls silent.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ioloop::IoLoop;
use mio::Interest;
use rustix::io::Errno;

use crate::error_text::plain;
use crate::server::connection::Connection;
use crate::server::http::router::Endpoint;
use crate::server::listener::acceptor::REJECTED_TIME;
use crate::server::peer::PeerId;
use crate::server::rejection::{Rejection, RejectionCause};
use crate::server::socket::Transport;
use crate::server::tls::ClientSocket;
use crate::server::{Server, TURN_SHARE};

impl<S: Transport> Server<S> {
    /// Accepts all waiting clients, in shares: an edge-triggered listener does not report the rest
    /// again.
    pub(crate) fn accept(&mut self, io_loop: &mut IoLoop<Self>, endpoint: Endpoint) {
        let until = io_loop.time() + TURN_SHARE;
        loop {
            for _ in 0..ACCEPTS_PER_LOOK {
                match self.acceptor.accept(endpoint) {
                    Ok((socket, peer)) => self.admit(io_loop, socket, peer, endpoint),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.acceptor.on_all_accepted();
                        return;
                    }
                    // The client left while it waited, or a signal came: try the next one.
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                        ) => {}
                    Err(error) => return self.on_accept_failed(io_loop, &error, endpoint),
                }
            }
            if io_loop.time() >= until {
                if self.acceptor.queue(endpoint) {
                    io_loop.add_callback(move |server, io_loop| {
                        server.accept_queued(io_loop, endpoint);
                    });
                }
                return;
            }
        }
    }

    fn accept_queued(&mut self, io_loop: &mut IoLoop<Self>, endpoint: Endpoint) {
        if self.acceptor.unqueue(endpoint) {
            self.accept(io_loop, endpoint);
        }
    }

    /// Admits a client, or tells it that there is no room.
    fn admit(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        mut socket: S,
        peer: IpAddr,
        endpoint: Endpoint,
    ) {
        if let Some((cause, rejection)) =
            self.acceptor
                .rejection(self.connections.len(), peer, endpoint)
        {
            self.counters.rejected(cause);
            return self.reject(io_loop, socket, endpoint, &rejection);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let handler = Self::on_ready;
        match io_loop.add_handler(&mut socket, interest, handler) {
            Ok(token) => {
                self.counters.accepted();
                let timeout = self.limit_handshake(io_loop, token, endpoint);
                self.acceptor.enter(token, peer, endpoint);
                let socket = match (&self.tls, endpoint) {
                    (Some(tls), Endpoint::Public) => tls.secure(socket),
                    _ => ClientSocket::Plain(socket),
                };
                log::debug!("{}: accepted", PeerId(&socket, token));
                self.connections
                    .insert(Connection::new(socket, token, timeout, endpoint));
            }
            Err(error) => {
                self.counters.rejected(RejectionCause::Other);
                log::warn!("cannot serve a client: {}", plain(&error));
            }
        }
    }

    fn reject(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        socket: S,
        endpoint: Endpoint,
        rejection: &Rejection,
    ) {
        self.acceptor
            .reject(socket, (endpoint, io_loop.time()), rejection);
        io_loop.call_later(REJECTED_TIME, |server, io_loop| {
            server.acceptor.forget_rejected(io_loop.time());
        });
    }

    /// Handles a failed accept: for lack of descriptors it answers some clients with the reserved
    /// one, and it tries again soon. The edge has passed, so only a timer ensures another try; one
    /// timer is enough, however many edges come.
    fn on_accept_failed(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        error: &io::Error,
        endpoint: Endpoint,
    ) {
        self.acceptor.on_failure(error);
        let for_want_of_descriptors = [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        let answers = if for_want_of_descriptors {
            ACCEPTS_PER_LOOK
        } else {
            0
        };
        for _ in 0..answers {
            if !self.acceptor.reject_by_reserve(endpoint, io_loop.time()) {
                break;
            }
            self.counters.rejected(RejectionCause::Descriptors);
        }
        if self.acceptor.queue(endpoint) {
            io_loop.call_later(ACCEPT_RETRY_DELAY, move |server, io_loop| {
                server.accept_queued(io_loop, endpoint);
            });
        }
    }
}

/// Accepts between two readings of the clock.
const ACCEPTS_PER_LOOK: usize = 16;

/// The delay before another try to accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
