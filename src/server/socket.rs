//! What the rest of the server asks of a client's socket, and nothing else: so that what it does
//! with one can be tried on others than the system's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;

/// A non-blocking stream of bytes. Where it would block it says so by
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock), and an event tells when that has changed.
pub(crate) trait Socket: Read + Write {
    /// Ends the outgoing stream; nothing is written any more.
    fn finish(&mut self);

    /// Has what the peer has not taken thrown away, and the peer told so, when this is dropped.
    fn reset_on_drop(&mut self);
}

impl Socket for TcpStream {
    fn finish(&mut self) {
        // A peer that is gone already needs no end.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset_on_drop(&mut self) {
        let socket = socket2::SockRef::from(&*self);
        if let Err(error) = socket.set_linger(Some(Duration::ZERO)) {
            log::debug!("cannot reset a slow client: {error}");
        }
    }
}
