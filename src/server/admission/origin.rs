//! Decides which pages may connect, by the origin that the browser reports (RFC 6454).
//!
//! As Tornado's `check_origin` does, it ignores the scheme: a proxy may have removed TLS. The
//! authorities must be equal as they are written. Browsers leave the scheme's default port out of
//! both, so a client that writes it in one of them is not a browser.

use std::net::Ipv6Addr;

use tungstenite::http::StatusCode;

use crate::server::rejection::Rejection;

/// The pages that may connect from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages that this server served: the origin's authority equals the Host header.
    #[default]
    Same,
    /// Pages that this server served, and pages of the origins listed (`https://example.org`).
    Listed(Vec<String>),
    /// Every page.
    Any,
}

/// Refuses pages that may not connect. A client that sends no origin is not a browser.
pub(crate) fn check_origin(
    origin: Option<&[u8]>,
    host: Option<&[u8]>,
    origins: &Origins,
) -> Result<(), Rejection> {
    let Some(origin) = origin.filter(|_| *origins != Origins::Any) else {
        return Ok(());
    };
    let origin = std::str::from_utf8(origin).unwrap_or_default();
    // An invalid origin, such as `null`, equals no host.
    if let Some((_, authority)) = parts(origin) {
        let same = host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()));
        let is_it = |one: &String| one.eq_ignore_ascii_case(origin);
        if same || matches!(origins, Origins::Listed(list) if list.iter().any(is_it)) {
            return Ok(());
        }
    }
    let message = "pages from this origin may not connect: the server needs --allow-origin";
    Err(Rejection::new(StatusCode::FORBIDDEN, message))
}

/// An origin as a browser writes it: in lower case, without the scheme's default port.
pub(crate) fn normalized(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = parts(&text)?;
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    Some(format!("{scheme}://{authority}"))
}

/// The scheme and authority of an origin; `None` unless it is a single origin in its plain form,
/// without a path, a user or a second origin.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = text.split_once("://")?;
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(in_scheme);
    (is_scheme && is_authority(authority)).then_some((scheme, authority))
}

/// Whether it is a host and perhaps a port (RFC 3986 section 3.2).
fn is_authority(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, rest) = match bracketed {
        Some((host, rest)) => (host.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(host), rest)
        }
    };
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_name(text: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    !text.is_empty() && text.bytes().all(in_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn may(origin: &str, host: &str, origins: &Origins) -> bool {
        check_origin(Some(origin.as_bytes()), Some(host.as_bytes()), origins).is_ok()
    }

    #[test]
    fn a_page_may_connect_to_the_host_that_it_came_from() {
        for (origin, host) in [
            ("http://a.example", "a.example"),
            ("https://A.example:8888", "a.EXAMPLE:8888"),
            ("http://127.0.0.1:8888", "127.0.0.1:8888"),
            ("http://[::1]:8888", "[::1]:8888"),
            ("https://[2001:db8::1]", "[2001:DB8::1]"),
        ] {
            assert!(may(origin, host, &Origins::Same), "{origin} at {host}");
        }
        assert!(check_origin(None, Some(b"a"), &Origins::Same).is_ok());
    }

    #[test]
    fn other_pages_and_invalid_origins_are_refused() {
        for (origin, host) in [
            ("http://b.example", "a.example"),
            ("http://a.example:8889", "a.example:8888"),
            ("http://a.example", "a.example:8888"),
            // No browser writes the scheme's default port, so the comparison is exact.
            ("http://a.example:80", "a.example"),
            ("http://a.example.b.example", "a.example"),
            ("http://a.example http://b.example", "a.example"),
            ("http://a.example/", "a.example"),
            ("null", "null"),
            ("", ""),
            ("a.example", "a.example"),
            // These texts equal their hosts, but are not valid origins.
            ("://a.example", "a.example"),
            ("http://", ""),
            ("not a scheme://a.example", "a.example"),
            ("http://user@a.example", "user@a.example"),
            ("http://a.example:99999", "a.example:99999"),
            ("http://a.example:", "a.example:"),
            ("http://[::1", "[::1"),
            ("http://[::1]x", "[::1]x"),
            ("http://[a.example]", "[a.example]"),
            ("http://a.example?x", "a.example?x"),
            ("http://\u{e9}.example", "\u{e9}.example"),
        ] {
            let listed = Origins::Listed(vec![origin.to_owned()]);
            assert!(!may(origin, host, &Origins::Same), "{origin} at {host}");
            assert!(may(origin, host, &Origins::Any));
            assert_eq!(
                may(origin, "c", &listed),
                parts(origin).is_some(),
                "{origin}"
            );
        }
    }

    #[test]
    fn listed_origins_are_normalized_as_browsers_write_them() {
        for (given, written) in [
            ("https://Example.org", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(normalized(given).as_deref(), Some(written));
        }
        for text in ["example.org", "https://example.org/", "https://", "null"] {
            assert_eq!(normalized(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_checked_without_a_panic(origin in "\\PC{0,30}", host in "\\PC{0,30}") {
            may(&origin, &host, &Origins::Same);
            if let Some(written) = normalized(&origin) {
                prop_assert_eq!(normalized(&written), Some(written));
            }
        }
    }
}
