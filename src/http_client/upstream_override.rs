//! `--upstream` sends everything to another server: `https://api.binance.com/x` becomes
//! `http://127.0.0.1:9000/api.binance.com/x`.

/// A server that gets all requests instead of the hosts in their URLs (`--upstream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOverride {
    is_secure: bool,
    authority: String,
}

impl UpstreamOverride {
    /// Reads `http://127.0.0.1:9000`.
    ///
    /// # Errors
    /// A sentence that shows a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, authority) = text.split_once("://").unwrap_or_default();
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_clean = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@');
        if !matches!(scheme, "http" | "https")
            || authority.is_empty()
            || !authority.chars().all(is_clean)
        {
            return Err(format!(
                "invalid address '{text}': expected something like http://127.0.0.1:9000"
            ));
        }
        Ok(Self {
            is_secure: scheme == "https",
            authority: authority.to_owned(),
        })
    }

    /// The URL on the upstream server that stands for `url`.
    pub(super) fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let scheme = match (scheme.starts_with("ws"), self.is_secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        format!("{scheme}://{}/{rest}", self.authority)
    }

    /// Whether two URLs on the upstream server stand for URLs of one host.
    pub(super) fn is_same_site(url: &str, other: &str) -> bool {
        let site = |url: &str| {
            url.split(['/', '?', '#'])
                .take(4)
                .collect::<Vec<_>>()
                .join("/")
        };
        site(url) == site(other)
    }

    /// The target of a redirect from `url`. The upstream server may redirect to itself, or pass on
    /// a redirect of the exchange.
    pub(super) fn location(&self, url: &str, location: &str) -> String {
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

/// The authority at the beginning of a URL without its scheme.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overridden_url_has_the_original_host_in_its_path() {
        let upstream = UpstreamOverride::parse("http://127.0.0.1:9000/").unwrap();
        for (url, expected) in [
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
            assert_eq!(upstream.url(url), expected);
        }
        let secure = UpstreamOverride::parse("https://localhost").unwrap();
        assert_eq!(secure.url("ws://a/b"), "wss://localhost/a/b");
        for text in ["", "localhost:9000", "ftp://a", "http://", "http://a/b"] {
            assert!(UpstreamOverride::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_does_not_bypass_the_override() {
        let upstream = UpstreamOverride::parse("http://127.0.0.1:9000").unwrap();
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
            assert_eq!(upstream.location(from, location), to);
        }
    }
}
