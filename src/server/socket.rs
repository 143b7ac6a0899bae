//! What the rest of the server asks of sockets, and nothing else: so that it can be tried on others
//! than the system's.
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
    /// What it accepts.
    type Socket;

    /// The next client in line, and its address.
    fn accept(&self) -> io::Result<(Self::Socket, SocketAddr)>;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// How many descriptors the system lets the process have.
    fn descriptors_max(&self) -> usize;

    /// Has new connections go to the listener of number `index` among those of its port, and none
    /// to this one; then connects, to find out whether there is another. Where nobody has a say in
    /// that, it is [`Unsupported`](io::ErrorKind::Unsupported).
    fn send_to(&self, index: u32) -> io::Result<Self::Socket>;

    /// Has the system keep new connections until they say something, or for `silence`.
    fn defer(&self, _silence: Duration) {}

    /// Has the system choose among the listeners of its port as it does by itself.
    fn share_evenly(&self);
}

/// A socket with nothing over it, as a listener accepts it.
pub(crate) trait Transport: Socket + Source + 'static {
    /// Where such sockets come from.
    type Listener: Listen<Socket = Self>;
}

/// What the server did to a connection.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "only a simulation looks")
)]
pub(crate) enum Deed<'a> {
    /// It read a message of the client.
    Read,
    /// It had the client, which stood at this frame, change its list or the way it gets it.
    Change(FrameNumber),
    /// It had the client skip what it is behind with.
    Skip,
    /// TLS took this plain text to send.
    Seal(&'a [u8]),
    /// It closes the connection, and may have a last word; not if the closing frame of the tape was
    /// that, behind which the stream `is_finished`.
    Close {
        reason: &'a CloseReason,
        is_finished: bool,
    },
}

/// A non-blocking stream of bytes. Where it would block it says so by
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock), and an event tells when that has changed.
pub(crate) trait Socket: Read + Write {
    /// Whose it is, as long as the system knows.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Whether the system had kept it for a second or longer before it was accepted.
    fn was_deferred(&self) -> bool {
        false
    }

    /// The server did something that the bytes alone do not tell. The system does not want to know; a
    /// simulation does.
    fn note(&mut self, _deed: Deed<'_>) {}

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
