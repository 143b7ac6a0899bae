//! The HTTP client of the feeds: `ureq` in a fiber. It reads the pause that an answer asks for, and
//! applies the [`UpstreamOverride`], which sends all requests to another server.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ioloop::{Registrar, fiber};
use rustls::ClientConfig;
use ureq::http::{self, StatusCode, Uri, header};
use ureq::{Agent, Body, Proxy};

use super::agent::{TransportConfig, agent};
use super::dns::Resolver;
use super::error::TransportError;
use super::retry_after::retry_after;
use super::upstream_override::UpstreamOverride;
use crate::tick::unix_us;

/// Sends requests, and holds what WebSocket connections to the same hosts need. Clones share
/// connections.
#[derive(Clone)]
pub(crate) struct HttpClient {
    agent: Agent,
    resolver: Resolver,
    registrar: Registrar,
    tls: Arc<ClientConfig>,
    config: Rc<TransportConfig>,
    upstream: Option<UpstreamOverride>,
}

/// An answer, whatever its status.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
}

impl HttpClient {
    /// A client on the loop of `registrar`. Reads the system's files, so create it before the loop
    /// starts.
    pub(crate) fn new(
        registrar: &Registrar,
        config: TransportConfig,
        upstream: Option<UpstreamOverride>,
    ) -> Result<Self, rustls::Error> {
        let resolver = Resolver::system(registrar);
        Ok(Self {
            agent: agent(registrar, &resolver, &config),
            resolver,
            registrar: registrar.clone(),
            tls: config.roots.client_config()?,
            config: Rc::new(config),
            upstream,
        })
    }

    /// How long a request may take in all.
    pub(crate) fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Looks up host names.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Registers sockets with the client's loop.
    pub(crate) fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// The TLS configuration for connections other than HTTP.
    pub(crate) fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// The URL to use for `url`, with the upstream override applied.
    pub(crate) fn url(&self, url: &str) -> String {
        match &self.upstream {
            Some(upstream) => upstream.url(url),
            None => url.to_owned(),
        }
    }

    /// The proxy that connections to `uri` go through, if any.
    pub(crate) fn proxy_for(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = self.config.proxy.as_ref();
        proxy.filter(|proxy| !proxy.is_no_proxy(uri))
    }

    /// Sends a GET request.
    pub(crate) fn get(&self, url: &str) -> Result<Response, TransportError> {
        let mut url = self.url(url);
        for _ in 0..REDIRECTS_MAX {
            let mut request = self.agent.get(&url).config();
            if self.upstream.is_some() {
                request = request.max_redirects(0).max_redirects_will_error(false);
            }
            let response = request.build().call();
            let response = response.map_err(|error| self.error(&url, &error))?;
            match self.redirect(&url, &response) {
                Some(location) => url = location,
                None => return read(response),
            }
        }
        Err(TransportError::Broken("too many redirects".to_owned()))
    }

    /// Sends a POST request with an empty body.
    pub(crate) fn post(&self, url: &str) -> Result<Response, TransportError> {
        let url = self.url(url);
        let response = self.agent.post(&url).send_empty();
        read(response.map_err(|error| self.error(&url, &error))?)
    }

    /// Sends a POST request with JSON. Redirects are not followed: that would turn it into a GET.
    pub(crate) fn post_json(&self, url: &str, body: &str) -> Result<Response, TransportError> {
        let url = self.url(url);
        let request = self.agent.post(&url).content_type("application/json");
        let response = request.send(body);
        read(response.map_err(|error| self.error(&url, &error))?)
    }

    /// Why a request for `url` got no answer.
    fn error(&self, url: &str, error: &ureq::Error) -> TransportError {
        let error = TransportError::from_ureq(error);
        let uri: Option<Uri> = url.parse().ok();
        match uri.as_ref().and_then(|uri| self.proxy_for(uri)) {
            None => error,
            Some(proxy) => error.through_proxy(proxy),
        }
    }

    /// The target of a redirect that we have to follow ourselves. With an upstream override, a
    /// redirect must not bypass it; without one, `ureq` follows redirects.
    fn redirect(&self, url: &str, response: &http::Response<Body>) -> Option<String> {
        let upstream = self.upstream.as_ref()?;
        let is_redirect = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
        is_redirect.then(|| upstream.location(url, location))
    }
}

/// Reads a whole answer in pieces, and lets other fibers run in between.
fn read(mut response: http::Response<Body>) -> Result<Response, TransportError> {
    let retry_after = retry_after(response.headers(), unix_us() / 1_000);
    let status = response.status().as_u16();
    let limit = BODY_LENGTH_MAX as u64 + PIECE;
    // Refuse an answer that announces more, before it takes any memory.
    if response.body().content_length() > Some(limit) {
        return Err(TOO_LONG);
    }
    let mut body = Vec::new();
    let mut reader = response.body_mut().with_config().limit(limit).reader();
    loop {
        let piece = reader.by_ref().take(PIECE).read_to_end(&mut body);
        if piece.map_err(|error| TransportError::from_io(&error))? == 0 {
            break;
        }
        if body.len() > BODY_LENGTH_MAX {
            return Err(TOO_LONG);
        }
        // Decompression may have turned one read into a lot of text.
        fiber::yield_now().map_err(|cancelled| TransportError::from_io(&cancelled.into()))?;
    }
    Ok(Response {
        status,
        body,
        retry_after,
    })
}

/// The longest answer. Lists of all markets have up to two megabytes; parsing much longer ones
/// would hold up the loop for too long.
const BODY_LENGTH_MAX: usize = 4 << 20;

const TOO_LONG: TransportError = TransportError::TooLong(BODY_LENGTH_MAX >> 20);

/// How much of an answer is decompressed at once.
const PIECE: u64 = 64 << 10;

/// The limit that `ureq` uses, too.
const REDIRECTS_MAX: u32 = 10;
