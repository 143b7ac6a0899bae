//! Names connections in the log, and summarizes their ends. The texts are made only when a line is
//! written, so that no connection stores its address for them.

use std::fmt;

use ioloop::generation;
use mio::Token;

use crate::server::close::CloseReason;
use crate::server::socket::Socket;

/// `client 17 (127.0.0.1:4242)`. The number is unique for as long as the server runs. The system
/// may have forgotten the address of a client that has gone.
pub(crate) struct PeerId<'a, S>(pub(crate) &'a S, pub(crate) Token);

/// The last message to a client: its close code, or the length of an answer.
pub(crate) struct CloseSummary<'a>(pub(crate) &'a CloseReason, pub(crate) &'a [u8]);

impl<S: Socket> fmt::Display for PeerId<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(socket, token) = self;
        write!(f, "client {}", generation(*token))?;
        match socket.peer_addr() {
            Ok(address) => write!(f, " ({address})"),
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Display for CloseSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reason, answer) = self;
        match reason.code() {
            _ if !answer.is_empty() => write!(f, "; answered with {} bytes", answer.len()),
            Some(code) => write!(f, "; close code {}", u16::from(code)),
            None => Ok(()),
        }
    }
}
