//! The way to the exchanges: one HTTP client for all of them, and `--upstream`, which sends
//! everything elsewhere: `https://api.binance.com/x` to `http://127.0.0.1:9000/api.binance.com/x`.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use exchanges::QuoteError;
use ioloop::{Registrar, fiber};
use rustls::ClientConfig;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body, Proxy};

use super::failure::Failure;
use crate::backoff::retry_after;
use crate::http_client;
use crate::http_client::dns::Resolver;
use crate::tick::unix_us;
use crate::tls::Roots;

/// What requests are sent with. Clones share connections.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) agent: Agent,
    pub(super) resolver: Resolver,
    pub(super) registrar: Registrar,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) way: Rc<Way>,
}

/// What is set about the way, the same for all exchanges.
#[derive(Clone, Debug)]
pub(in crate::feed) struct Way {
    pub(in crate::feed) mirror: Option<Mirror>,
    pub(in crate::feed) proxy: Option<Proxy>,
    /// For a request in all, and for a stream to be open.
    pub(in crate::feed) timeout: Duration,
    pub(in crate::feed) roots: Roots,
}

/// Where everything is sent instead (`--upstream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    is_secure: bool,
    authority: String,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) retry_after: Option<Duration>,
}

impl Upstream {
    /// A client on the loop of `registrar`. Reads the system's files, so it is made before that
    /// starts.
    pub(super) fn new(registrar: &Registrar, way: Rc<Way>) -> Result<Self, rustls::Error> {
        let resolver = Resolver::system(registrar);
        let settings = http_client::Settings {
            timeout: way.timeout,
            proxy: way.proxy.clone(),
            roots: way.roots.clone(),
        };
        Ok(Self {
            agent: http_client::agent(registrar, &resolver, &settings),
            resolver,
            registrar: registrar.clone(),
            tls: way.roots.client_config()?,
            way,
        })
    }

    /// Where `url` really leads.
    pub(super) fn url(&self, url: &str) -> String {
        match &self.way.mirror {
            Some(mirror) => mirror.url(url),
            None => url.to_owned(),
        }
    }

    /// The proxy on the way to `uri`, if there is one.
    pub(super) fn proxy_for(&self, uri: &Uri) -> Option<&Proxy> {
        self.way
            .proxy
            .as_ref()
            .filter(|proxy| !proxy.is_no_proxy(uri))
    }

    /// Asks for `url`.
    pub(super) fn get(&self, url: &str) -> Result<Answer, Failure> {
        let mut url = self.url(url);
        for _ in 0..REDIRECTS_MAX {
            let mut request = self.agent.get(&url).config();
            if self.way.mirror.is_some() {
                request = request.max_redirects(0).max_redirects_will_error(false);
            }
            let response = request.build().call();
            let response = response.map_err(|error| self.failure(&url, &error))?;
            match self.redirect(&url, &response) {
                Some(location) => url = location,
                None => return read(response),
            }
        }
        Err(Failure::Broken("too many redirects".to_owned()))
    }

    /// Posts nothing to `url`.
    pub(super) fn post(&self, url: &str) -> Result<Answer, Failure> {
        let url = self.url(url);
        let response = self.agent.post(&url).send_empty();
        read(response.map_err(|error| self.failure(&url, &error))?)
    }

    /// Why a request for `url` brought no answer.
    fn failure(&self, url: &str, error: &ureq::Error) -> Failure {
        let failure = Failure::of_ureq(error);
        let uri: Option<Uri> = url.parse().ok();
        match uri.as_ref().and_then(|uri| self.proxy_for(uri)) {
            None => failure,
            Some(proxy) => failure.of_proxy(proxy),
        }
    }

    /// Where an answer sends us on, if that is ours to follow: with a mirror it must not lead past
    /// it. Otherwise `ureq` has followed it.
    fn redirect(&self, url: &str, response: &Response<Body>) -> Option<String> {
        let mirror = self.way.mirror.as_ref()?;
        let is_redirect = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
        is_redirect.then(|| mirror.location(url, location))
    }
}

impl Mirror {
    /// Reads `http://127.0.0.1:9000`.
    ///
    /// # Errors
    /// A sentence that shows what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, authority) = text.split_once("://").unwrap_or_default();
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_clean = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@');
        if !matches!(scheme, "http" | "https")
            || authority.is_empty()
            || !authority.chars().all(is_clean)
        {
            return Err(format!("'{text}' is no address, try http://127.0.0.1:9000"));
        }
        Ok(Self {
            is_secure: scheme == "https",
            authority: authority.to_owned(),
        })
    }

    fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let scheme = match (scheme.starts_with("ws"), self.is_secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        format!("{scheme}://{}/{rest}", self.authority)
    }

    /// The target of a redirect from `url`. A mirror may send on to itself, or repeat what the
    /// exchange said.
    fn location(&self, url: &str, location: &str) -> String {
        match location.split_once("://") {
            Some((_, rest)) if authority(rest) == self.authority => location.to_owned(),
            Some(_) => self.url(location),
            None if location.starts_with('/') => {
                let own = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                own + location
            }
            None => {
                let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
                format!("{folder}/{location}")
            }
        }
    }
}

/// The authority that the rest of a URL behind its scheme begins with.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Reads an answer whole, in pieces, so that a long one leaves room for others.
fn read(mut response: Response<Body>) -> Result<Answer, Failure> {
    let retry_after = retry_after(response.headers(), unix_us() / 1_000);
    let status = response.status().as_u16();
    let limit = BODY_LENGTH_MAX as u64 + PIECE;
    // Who says so beforehand is not even listened to, and no memory is touched for it.
    if response.body().content_length() > Some(limit) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    let mut reader = response.body_mut().with_config().limit(limit).reader();
    loop {
        let piece = reader.by_ref().take(PIECE).read_to_end(&mut body);
        if piece.map_err(|error| Failure::of_io(&error))? == 0 {
            break;
        }
        if body.len() > BODY_LENGTH_MAX {
            return Err(too_long());
        }
        // What one read brought may have unpacked to a lot.
        fiber::yield_now().map_err(|cancelled| Failure::of_io(&cancelled.into()))?;
    }
    Ok(Answer {
        status,
        body,
        retry_after,
    })
}

fn too_long() -> Failure {
    let size = BODY_LENGTH_MAX >> 20;
    QuoteError::Garbage(format!("it is longer than {size} MiB")).into()
}

/// The longest answer. Lists of all markets have up to two megabytes; a longer one would keep the
/// loop for too long when it is read.
const BODY_LENGTH_MAX: usize = 4 << 20;

/// How much of an answer is unpacked in one go.
const PIECE: u64 = 64 << 10;

/// As many as `ureq` follows.
const REDIRECTS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_the_original_authority_in_its_paths() {
        let mirror = Mirror::parse("http://127.0.0.1:9000/").unwrap();
        for (url, mirrored) in [
            (
                "https://api.binance.com/api/v3/x?a=b",
                "http://127.0.0.1:9000/api.binance.com/api/v3/x?a=b",
            ),
            (
                "wss://stream.binance.com:9443/ws",
                "ws://127.0.0.1:9000/stream.binance.com:9443/ws",
            ),
            ("wss://a.b?token=1", "ws://127.0.0.1:9000/a.b?token=1"),
        ] {
            assert_eq!(mirror.url(url), mirrored);
        }
        let secure = Mirror::parse("https://localhost").unwrap();
        assert_eq!(secure.url("ws://a/b"), "wss://localhost/a/b");
        for text in ["", "localhost:9000", "ftp://a", "http://", "http://a/b"] {
            assert!(Mirror::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_does_not_lead_past_a_mirror() {
        let mirror = Mirror::parse("http://127.0.0.1:9000").unwrap();
        let from = "http://127.0.0.1:9000/api.x.com/v1/price";
        for (location, to) in [
            ("/other", "http://127.0.0.1:9000/other"),
            ("other", "http://127.0.0.1:9000/api.x.com/v1/other"),
            ("https://api2.x.com/p", "http://127.0.0.1:9000/api2.x.com/p"),
            ("http://127.0.0.1:9000/p", "http://127.0.0.1:9000/p"),
            (
                "http://127.0.0.1:90001/p",
                "http://127.0.0.1:9000/127.0.0.1:90001/p",
            ),
        ] {
            assert_eq!(mirror.location(from, location), to);
        }
    }
}
