//! Deferred accepting: the system keeps a new connection to itself until its first bytes arrive
//! (Linux's `TCP_DEFER_ACCEPT`), so that accepting, watching and reading take one turn of the loop
//! instead of two.
//!
//! A silent client does not notice this. It is connected; after a second the system hands the
//! connection over as it is, and that second counts towards the time limit of its request. Until
//! then no metric counts it and it takes no client's place. If the server stops meanwhile, the
//! client learns of it only when it sends something and gets a reset. If there are more silent
//! connections than the backlog holds, the system answers the rest with SYN cookies and hands those
//! over at once.
//!
//! It is not used with `--reuse-port`: in a handover both servers would lose the clients that the
//! system still keeps. Nor is it used at the admin port, where it would not pay for so few
//! connections.

use std::time::Duration;

use crate::server::Config;

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{defer, was_deferred};

/// How long the system may keep a silent connection; zero for not at all.
pub(crate) fn silence(config: &Config) -> Duration {
    let is_worth_it = cfg!(target_os = "linux") && config.handshake_timeout >= 2 * SILENCE;
    if is_worth_it && !config.reuse_port {
        SILENCE
    } else {
        Duration::ZERO
    }
}

/// The time after which Linux repeats its half of TCP's handshake and can, at the earliest, hand
/// over a connection that is still silent.
const SILENCE: Duration = Duration::from_secs(1);

/// Other systems have no such option.
#[cfg(not(target_os = "linux"))]
pub(crate) fn defer(_listener: &mio::net::TcpListener, _silence: Duration) {}

/// Other systems defer nothing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn was_deferred(_socket: &mio::net::TcpStream) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use mio::net::TcpStream;
    use nix::libc;
    use nix::sys::socket::sockopt::{GetStruct, SetUsize};
    use nix::sys::socket::{getsockopt, setsockopt};

    /// Makes the system keep new connections until they send something, or for `silence`. A system
    /// without this hands them over at once, which is only slower.
    pub(crate) fn defer(listener: &impl AsFd, silence: Duration) {
        let seconds = silence.as_secs() as usize;
        if seconds > 0
            && let Err(error) = setsockopt(listener, DeferAccept, &seconds)
        {
            log::debug!("cannot defer accepting: {error}");
        }
    }

    /// Whether the system had kept a connection for a second or longer: then it has repeated its
    /// half of the handshake.
    pub(crate) fn was_deferred(socket: &TcpStream) -> bool {
        getsockopt(socket, Info).is_ok_and(|info| info[TOTAL_RETRANSMITS] > 0)
    }

    /// The time in seconds.
    #[derive(Clone, Copy)]
    struct DeferAccept;

    nix::setsockopt_impl!(
        DeferAccept,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        usize,
        SetUsize
    );

    /// `struct tcp_info` as far as [`TOTAL_RETRANSMITS`], in words.
    #[derive(Clone, Copy)]
    struct Info;

    type Words = [u32; TOTAL_RETRANSMITS + 1];

    nix::getsockopt_impl!(
        Info,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        Words,
        GetStruct<Words>
    );

    /// The position of `tcpi_total_retrans`, which counts repeats during the handshake too.
    const TOTAL_RETRANSMITS: usize = 25;

    #[cfg(test)]
    mod tests {
        use ioloop::IoLoop;
        use nix::sys::socket::sockopt::GetUsize;

        use super::*;
        use crate::server::{Config, Server, listen};

        nix::getsockopt_impl!(
            DeferAccept,
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            usize,
            GetUsize
        );

        /// How many seconds the system keeps silent connections.
        fn deferred(config: Config) -> usize {
            let mut io_loop = IoLoop::new().unwrap();
            let listener = listen("127.0.0.1:0".parse().unwrap(), &config).unwrap();
            let server = Server::new(&mut io_loop, listener, config, Vec::new()).unwrap();
            getsockopt(server.acceptor.listener().unwrap(), DeferAccept).unwrap()
        }

        #[test]
        fn accepting_is_deferred_unless_the_time_limit_is_short_or_the_port_is_shared() {
            let default = Config::default();
            assert_eq!(deferred(default.clone()), 1);
            let short = Config {
                handshake_timeout: Duration::from_millis(1999),
                ..default.clone()
            };
            assert_eq!(deferred(short), 0);
            let shared = Config {
                reuse_port: true,
                ..default
            };
            assert_eq!(deferred(shared), 0);
        }
    }
}
