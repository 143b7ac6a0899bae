//! `ureq` on the loop, for calls from fibers.
//!
//! TLS, proxies, redirects, compression and pooling are `ureq`'s. Two parts are ours: a
//! [`FiberStream`] replaces its blocking socket, and a [`Resolver`] replaces its own, which would
//! start a thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::net::FiberStream;
use ioloop::{Registrar, fiber};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{self, ResolvedSocketAddrs};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, Transport,
};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::dns::Resolver;
use super::error::LookupError;
use super::no_proxy::NoProxy;
use super::roots::Roots;

/// How to reach hosts.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// How long a request may take in all, from the DNS lookup to the last byte of the body.
    pub timeout: Duration,
    /// The proxy; by default the one from the environment (`HTTPS_PROXY` and so on).
    pub proxy: Option<Proxy>,
    /// The hosts that are reached without it; by default what `NO_PROXY` says.
    pub no_proxy: NoProxy,
    /// The root certificates to trust.
    pub roots: Roots,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            proxy: Proxy::try_from_env(),
            no_proxy: NoProxy::from_env(),
            roots: Roots::default(),
        }
    }
}

/// An HTTP client whose calls suspend the running fiber. A status of 400 or more is an ordinary
/// answer, not an error.
pub fn agent(registrar: &Registrar, resolver: &Resolver, config: &TransportConfig) -> Agent {
    let roots = config.roots.for_ureq();
    let config = Agent::config_builder()
        .timeout_global(Some(config.timeout))
        .proxy(config.proxy.clone())
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        .input_buffer_size(BUFFER_SIZE)
        .output_buffer_size(BUFFER_SIZE)
        .build();
    let socket = SocketConnector {
        registrar: registrar.clone(),
    };
    // The order of ureq's own chain: a tunnel through a proxy, or else a socket; then TLS.
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(socket)
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, resolver.clone())
}

/// Opens sockets where `ureq` would open its own.
#[derive(Debug)]
struct SocketConnector {
    registrar: Registrar,
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, SocketTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        if let Some(proxy) = details.config.proxy().filter(|proxy| is_socks(proxy)) {
            let message = format!("proxy {}: SOCKS is not supported", proxy.host());
            return Err(io::Error::new(ErrorKind::Unsupported, message).into());
        }
        let deadline = deadline(fiber::time(), &details.timeout);
        let stream = FiberStream::connect_any(&self.registrar, &details.addrs, deadline).map_err(
            |error| match error.kind() {
                // Connecting took too long, whichever limit ended it.
                ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::Connect),
                _ => error.into(),
            },
        )?;
        stream.set_nodelay(details.config.no_delay())?;
        let (input, output) = (
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        let buffers = LazyBuffers::new(input, output);
        Ok(Some(Either::B(SocketTransport { stream, buffers })))
    }
}

/// A socket as `ureq` and its TLS use it.
#[derive(Debug)]
struct SocketTransport {
    stream: FiberStream,
    buffers: LazyBuffers,
}

impl SocketTransport {
    /// Sets the stream's deadline. Fails if no time is left, because a socket that always has bytes
    /// to read would never notice the deadline.
    fn limit(&mut self, timeout: &NextTimeout) -> Result<(), ureq::Error> {
        if timeout.after.is_zero() {
            return Err(ureq::Error::Timeout(timeout.reason));
        }
        self.stream.set_deadline(deadline(fiber::time(), timeout));
        Ok(())
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        self.limit(&timeout)?;
        let output = &self.buffers.output()[..amount];
        self.stream
            .write_all(output)
            .map_err(|error| named(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        self.limit(&timeout)?;
        let input = self.buffers.input_append_buf();
        let amount = self
            .stream
            .read(input)
            .map_err(|error| named(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Called while the pool is locked, so it must not suspend.
    fn is_open(&mut self) -> bool {
        self.stream.is_quiet()
    }
}

impl resolver::Resolver for Resolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().or_else(|| match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        let port = port.ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let now = fiber::time();
        let deadline = deadline(now, &timeout).unwrap_or(now + LOOKUP_LIMIT);
        let found = self
            .lookup(host, deadline)
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::InvalidInput => ureq::Error::HostNotFound,
                _ => ureq::Error::Other(Box::new(LookupError(error))),
            })?;
        let sockets = found
            .into_iter()
            .map(|address| SocketAddr::new(address, port));
        let mut addresses = self.empty();
        // ureq's array has room for this many.
        for address in config.ip_family().keep_wanted(sockets).take(16) {
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

fn deadline(now: Instant, timeout: &NextTimeout) -> Option<Instant> {
    // A duration that does not fit means "never".
    now.checked_add(*timeout.after)
}

/// Turns a timeout into `ureq`'s own, which names the stage of the request.
fn named(error: io::Error, timeout: &NextTimeout) -> ureq::Error {
    match error.kind() {
        ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

fn is_socks(proxy: &Proxy) -> bool {
    !matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

pub(crate) const USER_AGENT: &str = concat!("tickertape/", env!("CARGO_PKG_VERSION"));

/// The length of the longest TLS record. The 128 KiB that `ureq` uses by default would cost memory
/// for each open connection.
const BUFFER_SIZE: usize = 16 * 1024;

/// The limit on lookups for calls without a timeout; none of our agents makes any.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);
