//! The listening socket. What is set on it, every accepted socket inherits, so that accepting costs
//! no further system calls.

pub(crate) mod accept;
pub(crate) mod acceptor;
pub(crate) mod deferral;
pub(crate) mod handover;
mod handshakes;
pub(crate) mod steering;
mod tcp;

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::server::Config;
use crate::server::listener::steering::share_evenly;

/// Binds and listens.
///
/// The backlog is the largest that the system allows: with a short one, a thousand clients that
/// connect at once leave some waiting a second for their repeated SYN.
///
/// # Errors
/// What the system answers, "address in use" for one.
pub fn listen(address: SocketAddr, config: &Config) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    // Before it is bound, or it shares with nobody.
    socket.set_reuse_port(config.reuse_port)?;
    if address.is_ipv6() {
        // An IPv4 service of the same port is somebody else's.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Before it listens: connections made by the system from then on have inherited already.
    set_inherited_options(&socket, config)?;
    socket.listen(i32::MAX)?;
    if config.reuse_port {
        share_evenly(&socket);
    }
    Ok(socket.into())
}

/// Sets what accepted sockets inherit. A tick goes out at once, and only so much waits in the
/// system for a client that is slow: the rest waits on our tape, where it can be skipped.
fn set_inherited_options(socket: &Socket, config: &Config) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Linux doubles the value for its bookkeeping, and counts that against it.
    socket.set_send_buffer_size(config.send_buffer / 2)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(u32::try_from(config.send_buffer / 4).unwrap_or(u32::MAX))?;
    Ok(())
}
