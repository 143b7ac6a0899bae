//! Chooses the listener of a shared port that gets new connections (`SO_REUSEPORT`).
//!
//! The system spreads connections over the listeners of a port, and resets those that wait at a
//! listener that is closed. So a server must stop getting connections before it closes its
//! listener. On Linux two small packet filter programs, which need no privilege, ensure that: one,
//! attached to the port, steers all new connections to the other listener; the other, attached to
//! this listener, drops any first packet that still reaches it. A client whose packet was dropped
//! sends it again a second later.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{send_to, share_evenly};
#[cfg(not(target_os = "linux"))]
use mio::net::{TcpListener, TcpStream};

/// Other systems offer no control over this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn share_evenly(_listener: &socket2::Socket) {}

/// Other systems offer no control over this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_to(_listener: &TcpListener, _index: u32) -> std::io::Result<TcpStream> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::AsFd;

    use mio::net::{TcpListener, TcpStream};
    use nix::libc::{sock_filter, sock_fprog};
    use nix::sys::socket::{setsockopt, sockopt};
    use socket2::{SockFilter, SockRef, Socket};

    /// Restores the system's own choice among the listeners of a port, which a server that has gone
    /// may have changed.
    pub(crate) fn share_evenly(listener: &Socket) {
        if let Err(error) = steer(listener, NO_LISTENER) {
            log::debug!("cannot undo the handover of the port: {error}");
        }
    }

    /// Steers new connections to the listener with number `index` and away from this one; then
    /// connects.
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

    /// Steers all new connections of the port to one of its listeners. If no listener has that
    /// number, the system chooses.
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

    /// Listeners are numbered from 0, so no listener has this number.
    const NO_LISTENER: u32 = u32::MAX;

    // Instructions of the classic packet filter: <linux/bpf_common.h>.
    const RETURN: u16 = 0x06;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;

    /// Drops packets with SYN and without ACK, and passes all others. The filter sees TCP's header
    /// at 0, with the flags in byte 13. Accepted connections inherit the filter, but never get such
    /// a packet.
    const FIRST_PACKETS_DROPPED: [SockFilter; 5] = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0x12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
}
