//! The address of a WebSocket, `ws://host:port/path?query`, checked before anything is sent.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A WebSocket URL (RFC 6455 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// A name or an address; one of IPv6 without its brackets.
    host: String,
    port: u16,
    /// What the request line asks for: path and query.
    target: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, or what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("'{text}' is no URL, try {EXAMPLE}"))?;
        if scheme.eq_ignore_ascii_case("wss") {
            return Err("wss:// is not supported yet, only ws:// without TLS".to_owned());
        }
        if !scheme.eq_ignore_ascii_case("ws") {
            return Err(format!("'{scheme}://' is not supported, try {EXAMPLE}"));
        }
        // What stands here goes into the request as it is: no blank or line break may.
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("'{text}' has characters that must be %-encoded"));
        }
        if rest.contains('#') {
            return Err(format!(
                "'{text}' has a fragment, which no WebSocket URL may have"
            ));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = authority_parts(authority)
            .ok_or_else(|| format!("'{authority}' is no host and port, try {EXAMPLE}"))?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: host.to_owned(),
            port,
            target: [slash, target].concat(),
        })
    }

    /// The same with `symbols` added to the query.
    #[must_use]
    pub fn with_symbols(mut self, symbols: &str) -> Self {
        let pair = form_urlencoded::Serializer::new(String::new())
            .append_pair("symbols", symbols)
            .finish();
        let separator = match self.target.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        self.target = [&self.target, separator, &pair].concat();
        self
    }

    /// Host and port as the `Host` header wants them: the scheme's own port is left out.
    pub fn authority(&self) -> String {
        let host = self.bracketed_host();
        match self.port {
            DEFAULT_PORT => host,
            port => format!("{host}:{port}"),
        }
    }

    /// What the request line asks for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The addresses behind the host, those of IPv4 first. This is the one call of the client that
    /// may block, so it is made before the loop starts.
    ///
    /// # Errors
    /// When the name is not known; it says so with the name.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let unknown = |error: &dyn fmt::Display| format!("cannot resolve {}: {error}", self.host);
        let mut addresses: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| io::Error::new(error.kind(), unknown(&error)))?
            .collect();
        if addresses.is_empty() {
            return Err(io::Error::other(unknown(&"it has no address")));
        }
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        Ok(addresses)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.authority(), self.target)
    }
}

/// Host and port of an authority; none if it is not one that this client can ask for.
fn authority_parts(authority: &str) -> Option<(&str, u16)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            // Anything else, such as the @ behind a user's name, belongs to no host name.
            let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(named) {
                return None;
            }
            (host, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => DEFAULT_PORT,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        _ => return None,
    };
    (port != 0).then_some((host, port))
}

const DEFAULT_PORT: u16 = 80;

const EXAMPLE: &str = "ws://127.0.0.1:8888/";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, authority, target) in [
            ("ws://127.0.0.1:8888/", "127.0.0.1:8888", "/"),
            ("WS://example.org", "example.org", "/"),
            ("ws://example.org:80/a/b?c=d", "example.org", "/a/b?c=d"),
            ("ws://[::1]:8888?since=5", "[::1]:8888", "/?since=5"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.authority().as_str(), url.target()),
                (authority, target)
            );
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_sentence() {
        for (text, part) in [
            ("127.0.0.1:8888", "is no URL"),
            ("wss://example.org/", "wss:// is not supported yet"),
            ("http://example.org/", "'http://' is not supported"),
            ("ws:///path", "is no host and port"),
            ("ws://user@example.org/", "is no host and port"),
            ("ws://example.org:0/", "is no host and port"),
            ("ws://example.org:65536/", "is no host and port"),
            ("ws://example.org:+80/", "is no host and port"),
            ("ws://[::1/", "is no host and port"),
            ("ws://::1/", "is no host and port"),
            ("ws://example.org/#top", "fragment"),
            ("ws://example.org/a b", "%-encoded"),
            ("ws://example.org/\r\nHost: other", "%-encoded"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn symbols_join_the_query_encoded() {
        for (text, target) in [
            ("ws://h/", "/?symbols=BTC%2FUSDT%2CETH%2FUSDT"),
            (
                "ws://h/?since=5",
                "/?since=5&symbols=BTC%2FUSDT%2CETH%2FUSDT",
            ),
            ("ws://h?", "/?symbols=BTC%2FUSDT%2CETH%2FUSDT"),
        ] {
            let url = Url::parse(text).unwrap().with_symbols("BTC/USDT,ETH/USDT");
            assert_eq!(url.target(), target);
        }
    }

    #[test]
    fn an_address_resolves_to_itself() {
        let url = Url::parse("ws://[::1]:8888/").unwrap();
        assert_eq!(url.resolve().unwrap(), ["[::1]:8888".parse().unwrap()]);
        let unknown = Url::parse("ws://no-such-host.invalid/").unwrap();
        let error = unknown.resolve().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot resolve no-such-host.invalid: "),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(text in "ws://[a-z0-9.\\[\\]:]{1,12}[/?&=a-z@]{0,9}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(ws://)?\\PC{0,30}") {
            let _ = Url::parse(&text);
        }
    }
}
