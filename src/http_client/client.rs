//! The HTTP client of the feeds: `ureq` in a fiber. It reads the pause that an answer asks for,
//! sends a source's own headers to its host only, and applies the [`UpstreamOverride`], which sends
//! all requests to another server.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ioloop::{Registrar, fiber};
use rustls::ClientConfig;
use ureq::http::{self, HeaderMap, StatusCode, Uri, header};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, Proxy, RequestBuilder};

use super::agent::{TransportConfig, agent};
use super::dns::Resolver;
use super::error::TransportError;
use super::redirect;
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
    /// What every request states.
    headers: HeaderMap,
}

/// An answer, whatever its status.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
    /// It would be a stream of events without an end, and its body has not been read.
    pub(crate) is_event_stream: bool,
}

/// An answer to a request for a stream of events.
pub(crate) enum Opened {
    /// The stream.
    Events(Box<dyn Read>),
    /// Another answer.
    Other(Response),
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
            headers: HeaderMap::new(),
        })
    }

    /// The same client, whose requests state `headers`. After a redirect to another host, they do
    /// not.
    pub(crate) fn with_headers(&self, headers: &HeaderMap) -> Self {
        Self {
            headers: headers.clone(),
            ..self.clone()
        }
    }

    /// What every request states.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
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
        let proxy = self.config.proxy.as_ref()?;
        (!self.config.no_proxy.covers(uri)).then_some(proxy)
    }

    /// The proxy for a request, as `ureq` wants it. Its own reading of `NO_PROXY` knows neither
    /// networks nor ports, and would send requests to this machine through the proxy.
    fn ureq_proxy(&self, url: &str) -> Option<Proxy> {
        let uri: Option<Uri> = url.parse().ok();
        uri.and_then(|uri| self.proxy_for(&uri).cloned())
    }

    /// Sends a GET request.
    pub(crate) fn get(&self, url: &str) -> Result<Response, TransportError> {
        read(self.call(url, None)?)
    }

    /// Sends a GET request for a stream of events, of which the last one was `last_id`. The stream
    /// breaks when it is silent for longer than `silence_max`.
    pub(crate) fn open_events(
        &self,
        url: &str,
        last_id: &str,
        silence_max: Duration,
    ) -> Result<Opened, TransportError> {
        let response = self.call(url, Some((last_id, silence_max)))?;
        if response.status() != StatusCode::OK || !is_event_stream(&response) {
            return Ok(Opened::Other(read(response)?));
        }
        let body = response.into_body().into_with_config().limit(u64::MAX);
        Ok(Opened::Events(Box::new(body.reader())))
    }

    /// Sends a GET request, and follows redirects.
    fn call(
        &self,
        url: &str,
        events: Option<(&str, Duration)>,
    ) -> Result<http::Response<Body>, TransportError> {
        let mut url = self.url(url);
        let mut headers = &self.headers;
        let none = HeaderMap::new();
        for _ in 0..REDIRECTS_MAX {
            let mut request = self.agent.get(&url);
            request
                .headers_mut()
                .into_iter()
                .for_each(|all| all.extend(headers.clone()));
            if let Some((last_id, _)) = events {
                request = request.header(header::ACCEPT, EVENT_STREAM);
                // Compression would hold events back.
                request = request.header(header::ACCEPT_ENCODING, "identity");
                request = request.header(header::CACHE_CONTROL, "no-store");
                if !last_id.is_empty() {
                    request = request.header("Last-Event-ID", last_id);
                }
            }
            let mut request = request.config().proxy(self.ureq_proxy(&url));
            if self.follows_redirects() {
                request = request.max_redirects(0).max_redirects_will_error(false);
            }
            if let Some((_, silence_max)) = events {
                let limit = Some(self.timeout());
                request = request
                    .timeout_global(None)
                    .timeout_resolve(limit)
                    .timeout_connect(limit)
                    .timeout_recv_response(limit)
                    .timeout_per_read(Some(silence_max));
            }
            let response = request.build().call();
            let response = response.map_err(|error| self.error(&url, &error))?;
            let Some(next) = self.redirect(&url, &response) else {
                return Ok(response);
            };
            if !self.is_same_site(&url, &next) {
                headers = &none;
            }
            url = next;
        }
        Err(TransportError::Broken("too many redirects".to_owned()))
    }

    /// Sends a POST request with an empty body.
    pub(crate) fn post(&self, url: &str) -> Result<Response, TransportError> {
        let url = self.url(url);
        let response = self.poster(&url).send_empty();
        read(response.map_err(|error| self.error(&url, &error))?)
    }

    /// Sends a POST request with JSON. Redirects are not followed: that would turn it into a GET.
    pub(crate) fn post_json(&self, url: &str, body: &str) -> Result<Response, TransportError> {
        let url = self.url(url);
        let request = self.poster(&url).content_type("application/json");
        let response = request.send(body);
        read(response.map_err(|error| self.error(&url, &error))?)
    }

    /// A POST request with the source's headers. Those would follow a redirect, so there is none.
    fn poster(&self, url: &str) -> RequestBuilder<WithBody> {
        let request = self.agent.post(url).config();
        let mut request = request.proxy(self.ureq_proxy(url)).build();
        if self.headers.is_empty() {
            return request;
        }
        if let Some(all) = request.headers_mut() {
            all.extend(self.headers.clone());
        }
        let request = request.config().max_redirects(0);
        request.max_redirects_will_error(false).build()
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

    /// Whether redirects must not be left to `ureq`: one must not bypass the upstream override, and
    /// none may take a source's headers to another host.
    fn follows_redirects(&self) -> bool {
        self.upstream.is_some() || !self.headers.is_empty()
    }

    /// The target of a redirect that we have to follow ourselves.
    fn redirect(&self, url: &str, response: &http::Response<Body>) -> Option<String> {
        if !self.follows_redirects() {
            return None;
        }
        let location = redirect::location(response.status(), response.headers())?;
        Some(match &self.upstream {
            Some(upstream) => upstream.location(url, location),
            None => redirect::target(url, location),
        })
    }

    /// Whether both URLs are of one host.
    fn is_same_site(&self, url: &str, other: &str) -> bool {
        match &self.upstream {
            Some(_) => UpstreamOverride::is_same_site(url, other),
            None => redirect::is_same_site(url, other),
        }
    }
}

/// Whether the answer is a stream of events.
fn is_event_stream(response: &http::Response<Body>) -> bool {
    let kind = response.body().mime_type().unwrap_or_default();
    kind.eq_ignore_ascii_case(EVENT_STREAM)
}

/// Reads a whole answer in pieces, and lets other fibers run in between.
fn read(mut response: http::Response<Body>) -> Result<Response, TransportError> {
    let retry_after = retry_after(response.headers(), unix_us() / 1_000);
    let status = response.status().as_u16();
    if is_event_stream(&response) {
        return Ok(Response {
            status,
            body: Vec::new(),
            retry_after,
            is_event_stream: true,
        });
    }
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
        is_event_stream: false,
    })
}

const EVENT_STREAM: &str = "text/event-stream";

/// The longest answer. Lists of all markets have up to two megabytes; parsing much longer ones
/// would hold up the loop for too long.
const BODY_LENGTH_MAX: usize = 4 << 20;

const TOO_LONG: TransportError = TransportError::TooLong(BODY_LENGTH_MAX >> 20);

/// How much of an answer is decompressed at once.
const PIECE: u64 = 64 << 10;

/// The limit that `ureq` uses, too.
const REDIRECTS_MAX: u32 = 10;
