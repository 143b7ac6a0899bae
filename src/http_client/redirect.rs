//! Redirects that we follow ourselves: those of requests with headers that are for one host only.

use ureq::http::{HeaderMap, StatusCode, header};

/// The target of an answer that is a redirect, as it is written.
pub(super) fn location(status: StatusCode, headers: &HeaderMap) -> Option<&str> {
    let is_redirect = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    is_redirect.then_some(location)
}

/// The URL that `location` means in an answer of `url` (RFC 3986, section 5.2, but for `..`, which
/// the server resolves as well).
pub(super) fn target(url: &str, location: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if location.contains("://") {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    match location.as_bytes().first() {
        Some(b'/') => format!("{scheme}://{authority}{location}"),
        Some(b'?') => format!("{scheme}://{authority}{path}{location}"),
        _ => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        }
    }
}

/// Whether `other` may have the headers that are for the host of `url`: it is the same host, and
/// the way to it is no less secret.
pub(super) fn is_same_site(url: &str, other: &str) -> bool {
    let parts = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?.to_ascii_lowercase();
        let default = match scheme {
            "https" => ":443",
            _ => ":80",
        };
        let host = host.strip_suffix(default).unwrap_or(&host).to_owned();
        Some((scheme == "https", host))
    };
    match (parts(url), parts(other)) {
        (Some((was_secret, host)), Some((is_secret, other))) => {
            host == other && (is_secret || !was_secret)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_may_be_relative() {
        let url = "https://a.example:8443/v1/price?x=y";
        for (location, expected) in [
            ("http://b/p", "http://b/p"),
            ("//b/p", "https://b/p"),
            ("/p?q", "https://a.example:8443/p?q"),
            ("?q", "https://a.example:8443/v1/price?q"),
            ("last", "https://a.example:8443/v1/last"),
        ] {
            assert_eq!(target(url, location), expected);
        }
        assert_eq!(target("http://a", "p"), "http://a/p");
        assert_eq!(target("http://a?b", "p"), "http://a/p");
    }

    #[test]
    fn headers_stay_at_their_host() {
        for (url, other, expected) in [
            ("https://a/x", "https://a/y", true),
            ("https://A:443/x", "https://a/y", true),
            ("http://a/x", "https://a/y", true),
            ("https://a/x", "http://a/y", false),
            ("https://a/x", "https://a:8443/y", false),
            ("https://a/x", "https://b.a/y", false),
            ("https://a/x", "https://a@b/y", false),
            ("https://a/x", "/y", false),
        ] {
            assert_eq!(is_same_site(url, other), expected, "{url} {other}");
        }
    }
}
