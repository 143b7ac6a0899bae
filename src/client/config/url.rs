//! WebSocket URLs, `ws://user:password@host:port/path?query` or `wss://…`, validated before
//! anything is sent. User, password and `token=` are never shown, not even in errors.

use std::fmt;
use std::net::Ipv6Addr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};

/// A WebSocket URL (RFC 6455 section 3) with optional user information (RFC 3986).
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `wss`.
    secure: bool,
    /// `user:password`, encoded for the `Authorization` header.
    credentials: Option<String>,
    /// A name or an address; an IPv6 address has no brackets here.
    host: String,
    port: u16,
    /// The target of the request line: path and query.
    target: String,
}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    /// A sentence about what is invalid, or an example of a valid URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            format!(
                "invalid URL '{}': expected something like {EXAMPLE}",
                redacted(text)
            )
        })?;
        let secure = scheme.eq_ignore_ascii_case("wss");
        if !secure && !scheme.eq_ignore_ascii_case("ws") {
            // Without a scheme, the text before a later `://` may contain a password.
            let shown = if scheme.contains([':', '@']) {
                "that"
            } else {
                scheme
            };
            return Err(format!("'{shown}://' is not supported, try {EXAMPLE}"));
        }
        check_characters(rest, text)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let (host, port) = authority_parts(authority, default_port(secure))
            .ok_or_else(|| bad_authority(authority, target, rest))?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            secure,
            credentials: user.map(credentials),
            host: host.to_owned(),
            port,
            target: [slash, target].concat(),
        })
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name or an address; an IPv6 address has no brackets here.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; the scheme's default if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Authorization` header: basic authentication (RFC 7617), if the URL has a
    /// user.
    pub fn authorization(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        Some(format!("Basic {credentials}"))
    }

    /// The target of the request line for a client that resumes after the tick stamped `since`
    /// (which replaces the URL's own `since=`) and that wants `symbols`, already encoded and
    /// possibly empty.
    pub fn target_for(&self, since: Option<u64>, symbols: &str) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let is_replaced = |pair: &str| since.is_some() && name(pair) == "since";
        let mut pairs: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !is_replaced(pair))
            .map(str::to_owned)
            .collect();
        pairs.extend(since.map(|since| format!("since={since}")));
        if !symbols.is_empty() {
            pairs.push(format!("symbols={symbols}"));
        }
        format!("{path}?{}", pairs.join("&"))
    }

    /// Whether the query contains `parameter`.
    pub fn asks_for(&self, parameter: &str) -> bool {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|pair| name(pair) == parameter)
    }

    /// The same URL with the comma-separated `symbols` added to the query.
    #[must_use]
    pub fn with_symbols(self, symbols: &str) -> Self {
        let symbols: Vec<String> = symbols
            .split(',')
            .map(|symbol| encoded(symbol).collect())
            .collect();
        self.with_query(&format!("symbols={}", symbols.join(",")))
    }

    /// The same URL with `pair`, which must already be encoded, added to the query.
    #[must_use]
    pub fn with_query(mut self, pair: &str) -> Self {
        let separator = match self.target.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        self.target = [&self.target, separator, pair].concat();
        self
    }

    /// Host and port for the `Host` header; the scheme's default port is omitted.
    pub fn authority(&self) -> String {
        let host = self.bracketed_host();
        if self.port == default_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The target of the request line.
    pub fn target(&self) -> &str {
        &self.target
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
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}", self.authority())?;
        // A token in the query is as secret as a password.
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        f.write_str(path)?;
        let mut separator = if path.len() < self.target.len() {
            "?"
        } else {
            ""
        };
        for pair in query.split('&') {
            let shown = if pair.starts_with("token=") {
                "token=***"
            } else {
                pair
            };
            write!(f, "{separator}{shown}")?;
            separator = "&";
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Encodes a value of the query. Only characters that would end it or change its meaning are
/// encoded (RFC 3986, section 3.4), so that symbols stay legible and lists of them short.
pub(crate) fn encoded(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, ENCODED)
}

/// The name in a `name=value` pair.
fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// User and password in the encoding of basic authentication.
fn credentials(user_information: &str) -> String {
    let (user, password) = user_information
        .split_once(':')
        .unwrap_or((user_information, ""));
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    BASE64_STANDARD.encode([decoded(user), b":".to_vec(), decoded(password)].concat())
}

/// A text that was meant to be a URL, without parts that may be a password.
fn redacted(text: &str) -> String {
    let Some((before, behind)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{behind}"),
        None => format!("***@{behind}"),
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Checks the part of the URL `text` that goes into the request unchanged: blanks and line breaks are
/// not allowed there.
fn check_characters(rest: &str, text: &str) -> Result<(), String> {
    let text = redacted(text);
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "invalid URL '{text}': some characters must be %-encoded"
        ));
    }
    if rest.contains('#') {
        return Err(format!(
            "invalid URL '{text}': WebSocket URLs have no fragment (write a # in a password as %23)"
        ));
    }
    Ok(())
}

/// The error about an invalid authority, in front of `target` in `rest`.
fn bad_authority(authority: &str, target: &str, rest: &str) -> String {
    if target.contains('@') {
        // A password that contains a slash.
        let rest = redacted(rest);
        format!("invalid host and port in '{rest}' (write a / in a password as %2F)")
    } else if authority.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        // User and password without a host.
        let host = authority.split(':').next().unwrap_or_default();
        format!("invalid host and port, beginning with '{host}': expected something like {EXAMPLE}")
    } else {
        format!("invalid host and port '{authority}': expected something like {EXAMPLE}")
    }
}

/// Host and port of an authority; `None` if they are invalid.
fn authority_parts(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(named) {
                return None;
            }
            (host, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => default_port,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        _ => return None,
    };
    (port != 0).then_some((host, port))
}

const EXAMPLE: &str = "ws://127.0.0.1:8888/";

/// All characters but letters, digits and those common in symbols. A comma would end a symbol.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b':')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*');

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_parsed() {
        for (text, authority, target) in [
            ("ws://127.0.0.1:8888/", "127.0.0.1:8888", "/"),
            ("WS://example.org", "example.org", "/"),
            ("ws://example.org:80/a/b?c=d", "example.org", "/a/b?c=d"),
            ("ws://[::1]:8888?since=5", "[::1]:8888", "/?since=5"),
            ("wss://example.org:443/", "example.org", "/"),
            (
                "wss://user:pass@example.org:80/a@b",
                "example.org:80",
                "/a@b",
            ),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.authority().as_str(), url.target()),
                (authority, target)
            );
        }
    }

    #[test]
    fn invalid_urls_are_explained() {
        for (text, part) in [
            ("127.0.0.1:8888", "invalid URL"),
            ("http://example.org/", "'http://' is not supported"),
            ("ws:///path", "invalid host and port"),
            ("ws://user@/", "invalid host and port"),
            ("ws://example.org:0/", "invalid host and port"),
            ("ws://example.org:65536/", "invalid host and port"),
            ("ws://example.org:+80/", "invalid host and port"),
            ("ws://[::1/", "invalid host and port"),
            ("ws://::1/", "invalid host and port"),
            ("ws://example.org/#top", "fragment"),
            ("ws://example.org/a b", "%-encoded"),
            ("ws://example.org/\r\nHost: other", "%-encoded"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_sent_but_never_shown() {
        for (text, shown) in [
            (
                "ws://h/?a=b&token=s?c&since=1",
                "ws://h/?a=b&token=***&since=1",
            ),
            ("ws://h/?token=s", "ws://h/?token=***"),
            ("ws://h/?", "ws://h/?"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(text.ends_with(url.target()));
        }
        for (text, decoded) in [
            ("ws://Aladdin:open%20sesame@h/", "Aladdin:open sesame"),
            ("ws://token@h/", "token:"),
            ("ws://a:b:c%40d@h/", "a:b:c@d"),
            ("ws://a:p@ss@h/", "a:p@ss"),
        ] {
            let url = Url::parse(text).unwrap();
            let expected = format!("Basic {}", BASE64_STANDARD.encode(decoded));
            assert_eq!(url.authorization(), Some(expected), "{text}");
            assert_eq!(url.to_string(), "ws://h/");
            assert_eq!(format!("{url:?}"), "Url(ws://h/)");
        }
        assert_eq!(Url::parse("ws://h/").unwrap().authorization(), None);
        for text in [
            "ws://u:secret @h/",
            "ws://u:secret@h/#a",
            "u:secret@h",
            "ws://u:secret@/",
            "ws://u:secret/@h/",
            "ws://u:secret",
            "u:secret@h://x",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_stamp_to_resume_from_replaces_since_in_the_url() {
        for (text, target) in [
            ("ws://h/", "/?since=7"),
            ("ws://h/a?since=5&symbols=B", "/a?symbols=B&since=7"),
            ("ws://h/?a=b&", "/?a=b&since=7"),
            ("ws://h/?since&sinces=1", "/?sinces=1&since=7"),
        ] {
            assert_eq!(Url::parse(text).unwrap().target_for(Some(7), ""), target);
        }
        let url = Url::parse("ws://h/?since=5").unwrap();
        assert_eq!(url.target_for(None, "A,B"), "/?since=5&symbols=A,B");
        assert_eq!(url.target_for(Some(7), "A"), "/?since=7&symbols=A");
    }

    #[test]
    fn symbols_join_the_query_encoded() {
        for (text, symbols, target) in [
            (
                "ws://h/",
                "BTC/USDT,ETH/USDT",
                "/?symbols=BTC/USDT,ETH/USDT",
            ),
            (
                "ws://h/?since=5",
                "sim:A,*/B",
                "/?since=5&symbols=sim:A,*/B",
            ),
            (
                "ws://h?",
                "A B,\u{e9}&C=+#",
                "/?symbols=A%20B,%C3%A9%26C%3D%2B%23",
            ),
        ] {
            let url = Url::parse(text).unwrap().with_symbols(symbols);
            assert_eq!(url.target(), target);
            assert!(url.asks_for("symbols") && !url.asks_for("symbol"));
        }
        let url = Url::parse("ws://h/").unwrap();
        assert!(!url.asks_for("every"));
        let url = url.with_query("every=1s").with_query("batch");
        assert_eq!(url.target(), "/?every=1s&batch");
        assert!(url.asks_for("batch"));
    }

    proptest! {
        #[test]
        fn a_displayed_url_parses_to_the_same_url(text in "wss?://[a-z0-9.\\[\\]:]{1,12}[/?][/?&=a-z@]{0,9}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(wss?://)?\\PC{0,30}") {
            let _ = Url::parse(&text);
        }
    }
}
