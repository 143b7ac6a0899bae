//! The traits of the server's sockets, so that it can run on simulated sockets as well as on those
//! of the system.
//!
//! ```text
//! Listener ──accept──▶ Transport ──(TLS or not)──▶ Socket ──▶ outbox
//! ```

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Source;

use crate::server::close::CloseReason;
use crate::tape::FrameNumber;

/// A socket that listens, and never blocks.
pub(crate) trait Listen: Source + 'static {
    /// The type of accepted sockets.
    type Socket;

    /// Accepts the next waiting client, and returns its address too.
    fn accept(&self) -> io::Result<(Self::Socket, SocketAddr)>;

    /// The address that it listens at.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The most descriptors that the system allows the process.
    fn descriptors_max(&self) -> usize;

    /// Steers new connections to the listener with number `index` on its port, and away from this
    /// one; then connects, to find out whether such a listener exists. Returns
    /// [`Unsupported`](io::ErrorKind::Unsupported) on systems that cannot steer.
    fn send_to(&self, index: u32) -> io::Result<Self::Socket>;

    /// Makes the system keep new connections until they send something, or for `silence`.
    fn defer(&self, _silence: Duration) {}

    /// Restores the system's own choice among the listeners of its port.
    fn share_evenly(&self);
}

/// A bare socket, as a listener accepts it.
pub(crate) trait Transport: Socket + Source + 'static {
    /// The listener that accepts such sockets.
    type Listener: Listen<Socket = Self>;
}

/// An action of the server on a connection.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "only a simulation looks")
)]
pub(crate) enum Deed<'a> {
    /// The server read a message from the client.
    Read,
    /// The server changed the client's list or its delivery; the client stood at this frame.
    Change(FrameNumber),
    /// The server made the client skip the ticks that it was behind with.
    Skip,
    /// TLS accepted this plain text for sending.
    Seal(&'a [u8]),
    /// The server closes the connection. It may still send a message, unless the stream
    /// `is_finished` because the closing frame came from the tape.
    Close {
        reason: &'a CloseReason,
        is_finished: bool,
    },
}

/// A non-blocking stream of bytes. Instead of blocking it returns
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock), and an event tells when that has changed.
pub(crate) trait Socket: Read + Write {
    /// The address of the client, as long as the system remembers it.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Whether the system had kept the connection for a second or longer before it was accepted.
    fn was_deferred(&self) -> bool {
        false
    }

    /// Reports an action that the bytes alone do not show. The system ignores it; a simulation
    /// checks it.
    fn note(&mut self, _deed: Deed<'_>) {}

    /// Ends the outgoing stream. No writes may follow.
    fn finish(&mut self);

    /// Writes the last bytes before the end of the stream. The system may keep them until then, to
    /// send both in one packet.
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    /// Sends `close_notify`, if it is TLS, right before the socket is dropped. Dropping the socket
    /// ends the stream.
    fn send_close_notify(&mut self) {}

    /// Lets the connection fail if the peer acknowledges no bytes for `limit`: it has gone without a
    /// word, and is not asked for pongs.
    fn limit_silence(&mut self, _limit: Duration) {}

    /// Makes dropping the socket discard its unsent bytes and reset the connection.
    fn reset_on_drop(&mut self);

    /// Whether it holds bytes that the system has not taken. An event tells when that changes, and
    /// [`flush`](Write::flush) sends them.
    fn has_unsent(&self) -> bool {
        false
    }

    /// Whether there may be more to read without an event to announce it, whatever the last read
    /// returned.
    fn has_unread(&self) -> bool {
        false
    }

    /// Whether its TLS handshake is still under way, so that reading is costly.
    fn is_securing(&self) -> bool {
        false
    }

    /// Whether the client speaks plain text where TLS was expected.
    fn is_unexpectedly_plain(&self) -> bool {
        false
    }
}
