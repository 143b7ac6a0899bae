//! The listening socket. Accepted sockets inherit its options, so that accepting costs no further
//! system calls.

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
/// connect at once leave some waiting a second to repeat their SYN.
///
/// # Errors
/// The system's error, such as "address in use".
pub fn listen(address: SocketAddr, config: &Config) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    // It must be set before binding to have an effect.
    socket.set_reuse_port(config.reuse_port)?;
    if address.is_ipv6() {
        // An IPv4 service on the same port belongs to another process.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Set before listening: connections that the system makes after that have already inherited the
    // options.
    set_inherited_options(&socket, config)?;
    socket.listen(i32::MAX)?;
    if config.reuse_port {
        share_evenly(&socket);
    }
    Ok(socket.into())
}

/// Sets the options that accepted sockets inherit. A tick goes out at once, and the system holds
/// only a limited amount for a slow client: the rest waits on our tape, where it can be skipped.
fn set_inherited_options(socket: &Socket, config: &Config) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Linux doubles the value to allow for its bookkeeping, which it counts too.
    socket.set_send_buffer_size(config.send_buffer / 2)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(u32::try_from(config.send_buffer / 4).unwrap_or(u32::MAX))?;
    Ok(())
}
