//! What can be set about a server, and every limit that it keeps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::server::admission::origin::Origins;
use crate::server::admission::tokens::Tokens;

/// A server's settings. The defaults are the limits that the README promises.
#[derive(Clone, Debug)]
pub struct Config {
    /// The memory of the tape, in bytes. An ordinary tick takes 112 of them.
    pub tape_size: usize,
    /// The memory that the lists of symbols that clients watch may take together, in bytes.
    pub list_memory: usize,
    /// How long a client that comes with a stamp of the future waits for the tape to get there.
    pub resume_wait: Duration,
    /// Messages in one JSON list, for clients that want lists.
    pub max_batch: usize,
    /// Connections at a time; none for as many as the descriptors allow, less a reserve.
    pub clients_max: Option<usize>,
    /// Connections at a time from one address, or network of IPv6 (/64); none for any number.
    pub clients_per_address_max: Option<usize>,
    /// From the connection to the end of the request head. One that speaks late counts from its first
    /// byte, where the system keeps silent ones for a second.
    pub handshake_timeout: Duration,
    /// From our last word to the client's end.
    pub close_timeout: Duration,
    /// Between heartbeats; zero for none.
    pub ping_interval: Duration,
    /// From a heartbeat to its pong; not longer than the interval.
    pub ping_timeout: Duration,
    /// The longest message from a client, in bytes.
    pub max_message_size: usize,
    /// Messages per second that a client may send in the long run.
    pub message_rate: f32,
    /// Messages that a client may send at once.
    pub message_burst: f32,
    /// How far a client may be behind before it skips to now.
    pub conflate_after: Duration,
    /// How long a client may take nothing before it is dropped.
    pub slow_timeout: Duration,
    /// Unsent bytes that the system may hold for one client.
    pub send_buffer: usize,
    /// Over how long goodbyes are spread after a signal, so that not everybody comes back at once.
    pub drain: Duration,
    /// From the end of that to the exit, whatever clients do.
    pub shutdown_timeout: Duration,
    /// Which pages may connect.
    pub origins: Origins,
    /// Who may connect at all; none for everybody.
    pub tokens: Option<Tokens>,
    /// Where `/metrics` is served instead of where clients connect
    /// ([`Server::serve_admin`](super::Server::serve_admin)).
    pub admin: Option<SocketAddr>,
    /// Another process may listen there too, and take over what comes while this one drains.
    pub reuse_port: bool,
    /// The certificate that clients are shown; none for plain text.
    pub tls: Option<TlsFiles>,
}

/// Where a server's certificate and key are, both in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that it is signed by.
    pub cert: PathBuf,
    /// Its private key, without a password.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tape_size: 8 << 20,
            list_memory: 64 << 20,
            resume_wait: Duration::from_secs(2),
            max_batch: 500,
            clients_max: None,
            clients_per_address_max: None,
            handshake_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            max_message_size: 4096,
            message_rate: 50.0,
            message_burst: 100.0,
            conflate_after: Duration::from_secs(1),
            slow_timeout: Duration::from_secs(30),
            send_buffer: 64 << 10,
            drain: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(2),
            origins: Origins::Same,
            tokens: None,
            admin: None,
            reuse_port: false,
            tls: None,
        }
    }
}

impl Config {
    /// How many messages go into one write at most.
    pub(crate) fn messages_per_write(&self, batches: bool) -> usize {
        if batches { self.max_batch } else { usize::MAX }
    }
}
