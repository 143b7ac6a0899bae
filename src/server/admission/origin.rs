//! Decides which pages may connect, by the origin that the browser reports (RFC 6454) and by the
//! name under which it called the server.
//!
//! As Tornado's `check_origin` does, it ignores the scheme when it compares the two: a proxy may have
//! removed TLS. The authorities must be equal as they are written. Browsers leave the scheme's
//! default port out of both, so a client that writes it in one of them is not a browser.
//!
//! While only this machine reaches the server, pages of this machine may connect, whatever their
//! port. Then the server must be called by a name of this machine: a foreign site can make its own
//! name point here (DNS rebinding), and would count as the page's own server otherwise.

use tungstenite::http::StatusCode;

use crate::server::admission::host::{self, HostPattern, Port, is_loopback};
use crate::server::rejection::Rejection;

/// The pages that may connect from a browser, and the names that the server may be called by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Every page may connect.
    any: bool,
    /// Pages of these origins may, besides those that the server served itself.
    listed: Vec<OriginPattern>,
    /// The names by which it may be called, besides those of this machine; all if there are none
    /// and others reach the server.
    hosts: Vec<HostPattern>,
    /// Only this machine reaches the server.
    is_local: bool,
}

/// A set of origins that one option allows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OriginPattern {
    /// In lower case; without a host, the whole origin.
    scheme: String,
    host: Option<HostPattern>,
}

impl Origins {
    /// Every page may connect.
    pub fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Lets pages of an origin connect, such as `https://example.org`, `https://*.example.org`,
    /// `http://localhost:*`, `file://`, `null`, or of every origin: `*`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn allow(&mut self, origin: &str) -> Result<(), String> {
        if origin == "*" {
            self.any = true;
        } else {
            self.listed.push(OriginPattern::parse(origin)?);
        }
        Ok(())
    }

    /// Lets the server be called by a name, such as `prices.example.org`, `*.example.org`, or by
    /// every name: `*`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn allow_host(&mut self, host: &str) -> Result<(), String> {
        let pattern = HostPattern::parse(host, Port::Any).ok_or_else(|| {
            format!(
                "invalid host '{}': expected something like prices.example.org, *.example.org, or * \
                 for every name",
                host.escape_debug()
            )
        })?;
        self.hosts.push(pattern);
        Ok(())
    }

    /// Notes whether only this machine reaches the server.
    pub fn set_local(&mut self, is_local: bool) {
        self.is_local = is_local;
    }

    /// Whether every page may connect.
    pub(crate) fn is_any(&self) -> bool {
        self.any
    }

    fn has(&self, origin: &str) -> bool {
        let is_of_here = self.is_local && is_of_this_machine(origin);
        is_of_here || self.listed.iter().any(|pattern| pattern.matches(origin))
    }

    fn answers_to(&self, host: &str) -> bool {
        let Some((name, port)) = host::parts(host) else {
            return false;
        };
        is_loopback(name) || self.hosts.iter().any(|pattern| pattern.matches(name, port))
    }
}

/// Refuses pages that may not connect. A client that sends no origin is not a browser.
///
/// # Errors
/// The answer to such a page.
pub(crate) fn check_origin(
    origin: Option<&[u8]>,
    host: Option<&[u8]>,
    origins: &Origins,
) -> Result<(), Rejection> {
    let Some(origin) = origin.filter(|_| !origins.any) else {
        return Ok(());
    };
    let origin = std::str::from_utf8(origin).unwrap_or_default();
    // An invalid origin, such as `null`, equals no host.
    let authority = parts(origin).map(|(_, authority)| authority);
    let is_own = authority
        .zip(host)
        .is_some_and(|(authority, host)| host.eq_ignore_ascii_case(authority.as_bytes()));
    if is_own || origins.has(origin) {
        return Ok(());
    }
    let host = shown(&String::from_utf8_lossy(host.unwrap_or_default()));
    // What is no origin, or is a pattern, comes from no browser, and is not to be copied.
    if origin.contains('*') || OriginPattern::parse(origin).is_err() {
        let message = "invalid Origin header: expected one origin, as browsers send it";
        return Err(Rejection::new(StatusCode::FORBIDDEN, message));
    }
    let origin = shown(origin);
    let message =
        format!("pages of {origin} may not connect: the server needs --allow-origin {origin}");
    let advice = format!(
        "refused a page of {origin}, which called this server {host}: --allow-origin {origin} lets it \
         in. Behind a proxy, both are equal if the proxy passes the Host header on"
    );
    Err(Rejection::new(StatusCode::FORBIDDEN, message).advise(advice))
}

/// Refuses requests that call the server by a name that is not its own. Only programs that are not
/// browsers leave the name out.
///
/// # Errors
/// The answer to such a request; that to a handshake is 403, as to a page that may not connect.
pub(crate) fn check_host(
    host: Option<&[u8]>,
    is_handshake: bool,
    origins: &Origins,
) -> Result<(), Rejection> {
    if !origins.is_local && origins.hosts.is_empty() {
        return Ok(());
    }
    let Some(host) = host.map(String::from_utf8_lossy) else {
        return Ok(());
    };
    if origins.answers_to(&host) {
        return Ok(());
    }
    let status = if is_handshake {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::MISDIRECTED_REQUEST
    };
    let host = shown(&host);
    let name = host::parts(&host).map_or(&*host, |(name, _)| name);
    let message = format!("this server is not {host}: it needs --allow-host {name}");
    let reason = if origins.is_local {
        "while only this machine reaches the server, it answers to names of this machine"
    } else {
        "the server answers to the names of --allow-host"
    };
    let advice = format!("refused a request for {host}: {reason}. --allow-host {name} adds one");
    Err(Rejection::new(status, message).advise(advice))
}

impl OriginPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || {
            format!(
                "invalid origin '{}': expected something like https://example.org, \
                 https://*.example.org, file://, null, or * for every page",
                text.escape_debug()
            )
        };
        let lower = text.to_ascii_lowercase();
        if matches!(&*lower, "null" | "file://") {
            return Ok(Self {
                scheme: lower,
                host: None,
            });
        }
        let (scheme, authority) = scheme_and_rest(&lower).ok_or_else(invalid)?;
        let authority = without_default_port(scheme, authority);
        let host = HostPattern::parse(authority, Port::Is(None)).ok_or_else(invalid)?;
        Ok(Self {
            scheme: scheme.to_owned(),
            host: Some(host),
        })
    }

    fn matches(&self, origin: &str) -> bool {
        let Some(host) = &self.host else {
            return self.scheme.eq_ignore_ascii_case(origin);
        };
        let Some((scheme, authority)) = parts(origin) else {
            return false;
        };
        let (name, port) = host::parts(authority).unwrap_or((authority, None));
        self.scheme.eq_ignore_ascii_case(scheme) && host.matches(name, port)
    }
}

/// Whether it is the origin of a page of this machine: from one of its ports, or a file. `null` is
/// not, since any site can make a frame of that origin.
fn is_of_this_machine(origin: &str) -> bool {
    let is_page = |(scheme, authority): (&str, &str)| {
        let is_web = ["http", "https"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web));
        is_web && host::parts(authority).is_some_and(|(name, _)| is_loopback(name))
    };
    origin == "file://" || parts(origin).is_some_and(is_page)
}

/// The scheme and authority of an origin; `None` unless it is a single origin in its plain form,
/// without a path, a user or a second origin.
fn parts(text: &str) -> Option<(&str, &str)> {
    scheme_and_rest(text).filter(|(_, authority)| host::parts(authority).is_some())
}

fn scheme_and_rest(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(in_scheme);
    is_scheme.then_some((scheme, rest))
}

/// An authority as a browser writes it.
fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// A text of a client for a log or an answer: short, and without characters that would do something
/// there.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_MAX);
    text[..end].escape_debug().to_string()
}

/// The longest part of a client's text that is shown: longer than a name can be (RFC 1035 section
/// 2.3.4) with its scheme and port.
const SHOWN_MAX: usize = 280;

#[cfg(test)]
mod tests;
