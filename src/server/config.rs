//! The settings of a server, and every limit that it enforces.

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
    /// The memory for all clients' lists of symbols together, in bytes.
    pub list_memory: usize,
    /// How long a client whose stamp is ahead of the tape waits for the tape to reach it.
    pub resume_wait: Duration,
    /// The most messages in one JSON list, for clients that want lists.
    pub max_batch: usize,
    /// The most connections at a time; `None` for as many as the descriptors allow, less a reserve.
    pub clients_max: Option<usize>,
    /// The most connections at a time from one address, or from one IPv6 /64; `None` for any
    /// number.
    pub clients_per_address_max: Option<usize>,
    /// From the connection to the end of the request head. Where the system keeps silent
    /// connections for a second, the time of a client that speaks later starts at its first byte.
    pub handshake_timeout: Duration,
    /// From an answer to the end of the next request's head on the same connection.
    pub http_idle: Duration,
    /// The most requests that one connection may make.
    pub requests_per_connection: u16,
    /// From the server's last bytes to the end of the client's side.
    pub close_timeout: Duration,
    /// The time between heartbeats; zero for none.
    pub ping_interval: Duration,
    /// From a heartbeat to its pong; not longer than the interval.
    pub ping_timeout: Duration,
    /// The longest message from a client, in bytes.
    pub max_message_size: usize,
    /// Messages per second that a client may send in the long run.
    pub message_rate: f32,
    /// Messages that a client may send at once.
    pub message_burst: f32,
    /// How far a client may fall behind before it skips to the newest ticks.
    pub conflate_after: Duration,
    /// How long a client may take no bytes before it is disconnected.
    pub slow_timeout: Duration,
    /// Unsent bytes that the system may hold for one client.
    pub send_buffer: usize,
    /// The time over which goodbyes are spread after a signal, so that clients do not all return at
    /// once.
    pub drain: Duration,
    /// From the last goodbye to the exit, whatever clients do.
    pub shutdown_timeout: Duration,
    /// The pages that may connect, and the names that the server may be called by.
    pub origins: Origins,
    /// The tokens that let clients connect; `None` lets every client connect.
    pub tokens: Option<Tokens>,
    /// The address that serves `/metrics` instead of the clients' port
    /// ([`Server::serve_admin`](super::Server::serve_admin)).
    pub admin: Option<SocketAddr>,
    /// Lets another process listen at the same port, and take over new clients while this one
    /// drains.
    pub reuse_port: bool,
    /// The certificate and key for TLS; `None` for plain text.
    pub tls: Option<TlsFiles>,
}

/// The files of a server's certificate and key, both in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by its intermediates.
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
            http_idle: Duration::from_secs(15),
            requests_per_connection: 1000,
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
            origins: Origins::default(),
            tokens: None,
            admin: None,
            reuse_port: false,
            tls: None,
        }
    }
}

impl Config {
    /// The most messages that go into one write.
    pub(crate) fn messages_per_write(&self, batches: bool) -> usize {
        if batches { self.max_batch } else { usize::MAX }
    }
}
