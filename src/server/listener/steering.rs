//! Which of the listeners of a shared port gets new connections (`SO_REUSEPORT`).
//!
//! The system spreads connections over the listeners of a port, and resets those that wait at one
//! that is closed. So a server that leaves must get no more before it closes. On Linux two small programs of
//! its packet filter see to that, which need no privilege: one, for the port, has all new connections
//! go to the other listener; one, for the listener, lets no first packet through that comes all the
//! same. A client whose packet is lost so sends it again, a second later.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{send_to, share_evenly};
#[cfg(not(target_os = "linux"))]
use mio::net::{TcpListener, TcpStream};

/// Elsewhere the system has no say in it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn share_evenly(_listener: &socket2::Socket) {}

/// Elsewhere the system has no say in it.
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
