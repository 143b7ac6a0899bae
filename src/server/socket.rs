//! What the rest of the server asks of a client's socket, and nothing else: so that what it does
//! with one can be tried on others than the system's.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;

/// A non-blocking stream of bytes. Where it would block it says so by
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock), and an event tells when that has changed.
pub(crate) trait Socket: Read + Write {
    /// Ends the outgoing stream; nothing is written any more.
    fn finish(&mut self);

    /// Writes what comes right before the end of the stream: the system may keep it until then, to
    /// send both in one packet.
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    /// Writes what the protocol below has to say at the end, if anything, to a peer whose socket is
    /// dropped next. The drop itself ends the stream.
    fn say_goodbye(&mut self) {}

    /// Has what the peer has not taken thrown away, and the peer told so, when this is dropped.
    fn reset_on_drop(&mut self);

    /// Whether it has taken bytes that the system has not. An event tells when that changes, and
    /// [`flush`](Write::flush) sends them on.
    fn has_unsent(&self) -> bool {
        false
    }

    /// Whether there may be more to read of which no event will tell, whatever was read last.
    fn has_unread(&self) -> bool {
        false
    }

    /// Whether it is still agreeing on keys, so that reading from it is costly.
    fn is_securing(&self) -> bool {
        false
    }

    /// Whether its client speaks plain text where TLS was expected.
    fn is_unexpectedly_plain(&self) -> bool {
        false
    }
}

impl Socket for TcpStream {
    #[cfg(target_os = "linux")]
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Without the end it would wait for more, 200 ms at most.
        socket2::SockRef::from(&*self).send_with_flags(bytes, nix::libc::MSG_MORE)
    }

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
