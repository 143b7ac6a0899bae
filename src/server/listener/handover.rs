//! Handing the port over to another process that listens there too (`SO_REUSEPORT`).
//!
//! The system spreads connections over the listeners of a port, and resets those that wait at one
//! that is closed. So whoever goes must get no more before it closes. On Linux two small programs of
//! its packet filter see to that, which need no privilege: one, for the port, has all new connections
//! go to the other listener; one, for the listener, lets no first packet through that comes all the
//! same. A client whose packet is lost so sends it again, a second later.
//!
//! ```text
//! steer to another ──▶ drop SYNs ──▶ look whether one answers ──▶ accept for a while ──▶ close
//! ```

use std::io;
use std::time::{Duration, Instant};

use ioloop::IoLoop;

use crate::server::Server;
use crate::server::http::router::Endpoint;
use crate::server::socket::{Listen, Transport};

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{send_to, share_evenly};
#[cfg(not(target_os = "linux"))]
use mio::net::{TcpListener, TcpStream};

/// Elsewhere the system has no say in it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn share_evenly(_listener: &socket2::Socket) {}

/// Elsewhere the system has no say in it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_to(_listener: &TcpListener, _index: u32) -> io::Result<TcpStream> {
    Err(io::ErrorKind::Unsupported.into())
}

impl<S: Transport> Server<S> {
    /// Stops listening once nobody is on the way here any more; `linger` is how long an opening
    /// handshake of TCP may take.
    pub(crate) fn hand_over(&mut self, io_loop: &mut IoLoop<Self>, linger: Duration) {
        self.seek_successor(io_loop, 1, linger);
    }

    /// Steers new connections to the listener of number `index` among those of the port, and
    /// looks whether that is another one than ours. With two, ours is 0 or 1; the older one is 0,
    /// until a third has come.
    fn seek_successor(&mut self, io_loop: &mut IoLoop<Self>, index: u32, linger: Duration) {
        let probe = self
            .acceptor
            .listener()
            .map(|listener| listener.send_to(index));
        match probe {
            Some(Ok(probe)) => {
                let until = io_loop.time() + PROBE_TIME;
                self.look_for_successor(io_loop, probe, (index, until), linger);
            }
            Some(Err(error)) => {
                if error.kind() != io::ErrorKind::Unsupported {
                    log::warn!("cannot hand the port over, so clients may be reset: {error}");
                }
                self.leave_port(io_loop);
            }
            None => {}
        }
    }

    /// A probe that connects has reached another listener: ours takes none.
    fn look_for_successor(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        probe: S,
        (index, until): (u32, Instant),
        linger: Duration,
    ) {
        if probe.peer_addr().is_ok() {
            log::info!("another server has taken over the port");
            // It has this port too, if it is the same.
            self.acceptor.stop(io_loop, Endpoint::Admin);
            io_loop.call_later(linger, Self::leave_port);
        } else if io_loop.time() < until {
            io_loop.call_later(PROBE_BEAT, move |server, io_loop| {
                server.look_for_successor(io_loop, probe, (index, until), linger);
            });
        } else if index > 0 {
            self.seek_successor(io_loop, index - 1, linger);
        } else {
            log::info!("no other server listens on the port");
            self.leave_port(io_loop);
        }
    }

    /// Accepts who has come so far, and stops listening.
    fn leave_port(&mut self, io_loop: &mut IoLoop<Self>) {
        self.accept(io_loop, Endpoint::Public);
        if self.acceptor.is_behind() {
            io_loop.call_later(LEAVE_BEAT, Self::leave_port);
            return;
        }
        if let Some(listener) = self.acceptor.stop(io_loop, Endpoint::Public) {
            // For those who stay. Nobody comes here even now: first packets are dropped.
            listener.share_evenly();
        }
        self.on_removed(io_loop);
    }
}

/// How soon it is tried again, if not all who wait can be accepted at once.
const LEAVE_BEAT: Duration = Duration::from_millis(1);

/// On one machine connecting takes microseconds; it may be a busy one.
const PROBE_TIME: Duration = Duration::from_millis(50);
const PROBE_BEAT: Duration = Duration::from_millis(1);

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::AsFd;

    use mio::net::{TcpListener, TcpStream};
    use nix::libc::{sock_filter, sock_fprog};
    use nix::sys::socket::{setsockopt, sockopt};
    use socket2::{SockFilter, SockRef, Socket};

    /// Has the system choose among the listeners of a port as it does by itself: also when one that
    /// has gone left other orders.
    pub(crate) fn share_evenly(listener: &Socket) {
        if let Err(error) = steer(listener, NO_LISTENER) {
            log::debug!("cannot undo the handover of the port: {error}");
        }
    }

    /// Has new connections go to the listener of number `index`, and none to this one; then tries.
    pub(crate) fn send_to(listener: &TcpListener, index: u32) -> io::Result<TcpStream> {
        steer(listener, index)?;
        SockRef::from(listener).attach_filter(&FIRST_PACKETS_DROPPED)?;
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        TcpStream::connect(address)
    }

    /// Has all new connections of the port go to one of its listeners. With a number that none has,
    /// the system chooses.
    fn steer(listener: &impl AsFd, index: u32) -> io::Result<()> {
        let mut filter = [sock_filter {
            code: RETURN,
            jt: 0,
            jf: 0,
            k: index,
        }];
        let program = sock_fprog {
            len: 1,
            filter: filter.as_mut_ptr(),
        };
        setsockopt(listener, sockopt::AttachReusePortCbpf, &program).map_err(io::Error::from)
    }

    /// The listeners are counted from 0, and there is no such number.
    const NO_LISTENER: u32 = u32::MAX;

    // Operations of the classic packet filter: <linux/bpf_common.h>.
    const RETURN: u16 = 0x06;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;

    /// Returns nothing of a packet with SYN and without ACK, and all of any other. The filter sees
    /// TCP's header at 0, with the flags in byte 13. Connections that are accepted inherit it, and
    /// never get such a packet.
    const FIRST_PACKETS_DROPPED: [SockFilter; 5] = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0x12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
}
