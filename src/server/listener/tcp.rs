//! Implements the server's socket traits for the system's sockets.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};

use crate::server::listener::{deferral, steering};
use crate::server::socket::{Listen, Socket, Transport};

impl Socket for TcpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }

    fn was_deferred(&self) -> bool {
        deferral::was_deferred(self)
    }

    #[cfg(target_os = "linux")]
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // If the end did not follow, the system would send this after at most 200 ms.
        socket2::SockRef::from(&*self).send_with_flags(bytes, nix::libc::MSG_MORE)
    }

    fn finish(&mut self) {
        // A peer that is already gone needs no end.
        let _ = self.shutdown(Shutdown::Write);
    }

    #[cfg(target_os = "linux")]
    fn limit_silence(&mut self, limit: Duration) {
        let socket = socket2::SockRef::from(&*self);
        if let Err(error) = socket.set_tcp_user_timeout(Some(limit)) {
            log::debug!("cannot limit the silence of a client: {error}");
        }
    }

    fn reset_on_drop(&mut self) {
        let socket = socket2::SockRef::from(&*self);
        if let Err(error) = socket.set_linger(Some(Duration::ZERO)) {
            log::debug!("cannot reset a slow client: {error}");
        }
    }
}

impl Transport for TcpStream {
    type Listener = TcpListener;
}

impl Listen for TcpListener {
    type Socket = TcpStream;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }

    fn descriptors_max(&self) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = limit.current.unwrap_or(u64::MAX);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    fn send_to(&self, index: u32) -> io::Result<TcpStream> {
        steering::send_to(self, index)
    }

    fn defer(&self, silence: Duration) {
        deferral::defer(self, silence);
    }

    fn share_evenly(&self) {
        steering::share_evenly(&socket2::SockRef::from(self));
    }
}
