//! Hosts that are reached without the proxy, as curl and Go read `NO_PROXY`.
//!
//! | entry | covers |
//! |---|---|
//! | `example.com` | that host and all below it |
//! | `.example.com`, `*.example.com` | all below it |
//! | `192.0.2.1`, `2001:db8::1`, `[::1]` | that address |
//! | `192.0.2.0/24`, `2001:db8::/32` | that network, where a URL has an address for a host |
//! | any of the above with `:8080` | that port only |
//! | `*` | all hosts |
//!
//! Entries are separated by commas or blanks, and case does not matter. Loopback needs no entry: no
//! proxy could reach it.

use std::env;
use std::net::IpAddr;

use ureq::http::Uri;

/// The hosts that are reached without the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Exception>);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// The only port that it holds for.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// The addresses that begin with the first N bits of this one.
    Network(IpAddr, u8),
    /// The hosts below this domain, and the domain itself if so.
    Domain {
        name: String,
        itself: bool,
    },
}

impl NoProxy {
    /// The list from the environment: `no_proxy`, or `NO_PROXY`.
    pub fn from_env() -> Self {
        let lists = ["no_proxy", "NO_PROXY"].map(|name| env::var(name).ok());
        let list = lists.into_iter().flatten().find(|list| !list.is_empty());
        Self::parse(&list.unwrap_or_default())
    }

    /// Reads a list. Other programs ignore entries that make no sense, and so does this.
    pub fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Whether connections to `uri` bypass the proxy.
    pub(super) fn covers(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else {
            return false;
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address = address(&host);
        if is_loopback(&host, address) {
            return true;
        }
        let is_secure = matches!(uri.scheme_str(), Some("https" | "wss"));
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        self.0.iter().any(|exception| {
            let is_port = exception.port.is_none_or(|only| only == port);
            is_port && exception.hosts.cover(&host, address)
        })
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        // The colons of a bare IPv6 address separate no port.
        if let Some(network) = Hosts::network(&text) {
            return Some(Self {
                hosts: network,
                port: None,
            });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        let hosts = Hosts::network(name).or_else(|| Hosts::domain(name))?;
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn network(text: &str) -> Option<Self> {
        let Some((first, bits)) = text.split_once('/') else {
            let only = address(text)?;
            return Some(Self::Network(only, length(only)));
        };
        let first = address(first)?;
        let bits = bits.parse().ok().filter(|bits| *bits <= length(first))?;
        Some(Self::Network(first, bits))
    }

    fn domain(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        let name = below.unwrap_or(text).trim_end_matches('.');
        (!name.is_empty()).then(|| Self::Domain {
            name: name.to_owned(),
            itself: below.is_none(),
        })
    }

    fn cover(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Network(first, bits) => {
                address.is_some_and(|address| prefix(address, *bits) == prefix(*first, *bits))
            }
            Self::Domain { name, itself } => match host.strip_suffix(name.as_str()) {
                Some("") => *itself,
                Some(before) => before.ends_with('.'),
                None => false,
            },
        }
    }
}

/// The address that a host is written as, with or without brackets. An IPv4 address within IPv6 is
/// the IPv4 address.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(host).parse().ok()?;
    Some(address.to_canonical())
}

fn is_loopback(host: &str, address: Option<IpAddr>) -> bool {
    let is_named = host == "localhost" || host.ends_with(".localhost");
    is_named || address.is_some_and(|address| address.is_loopback())
}

/// How many bits an address has.
fn length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first `bits` of an address, which tell the networks of this length apart.
fn prefix(address: IpAddr, bits: u8) -> (bool, u128) {
    let (number, length) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let rest = u32::from(length - bits);
    (address.is_ipv4(), number.checked_shr(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &str, url: &str) -> bool {
        NoProxy::parse(list).covers(&url.parse().unwrap())
    }

    #[test]
    fn each_kind_of_entry_covers_its_hosts_and_no_others() {
        for (list, covered, others) in [
            (
                "example",
                vec!["https://prices.example/", "http://example/x"],
                vec!["https://notexample/", "https://example.com/"],
            ),
            (
                "Example.COM.",
                vec!["wss://example.com/", "https://a.b.EXAMPLE.com./"],
                vec!["https://anexample.com/"],
            ),
            (
                ".example.com",
                vec!["https://a.example.com/"],
                vec!["https://example.com/", "https://aexample.com/"],
            ),
            (
                "*.example.com",
                vec!["https://a.example.com/"],
                vec!["https://example.com/"],
            ),
            (
                "192.0.2.7",
                vec!["http://192.0.2.7:9/", "http://[::ffff:192.0.2.7]/"],
                vec!["http://192.0.2.70/", "http://x.192.0.2.8/"],
            ),
            (
                "192.0.2.0/24",
                vec!["http://192.0.2.255/"],
                vec!["http://192.0.3.0/", "http://host.example/"],
            ),
            (
                "2001:db8::/32",
                vec!["http://[2001:db8:9::1]/"],
                vec!["http://[2001:db9::1]/", "http://32.1.13.184/"],
            ),
            ("2001:db8::1", vec!["http://[2001:db8::1]:80/"], vec![]),
            (
                "0.0.0.0/0",
                vec!["http://192.0.2.1/"],
                vec!["http://a.example/"],
            ),
            ("*", vec!["https://anything.example/"], vec![]),
            (
                "example.com:8443",
                vec!["https://a.example.com:8443/"],
                vec!["https://example.com/"],
            ),
            (
                "example.com:443, 192.0.2.1:80",
                vec!["wss://example.com/", "http://192.0.2.1/"],
                vec!["ws://example.com/", "https://192.0.2.1/"],
            ),
            (
                "[2001:db8::1]:81",
                vec!["http://[2001:db8::1]:81/"],
                vec!["http://[2001:db8::1]/"],
            ),
        ] {
            for url in covered {
                assert!(covers(list, url), "{list} covers {url}");
            }
            for url in others {
                assert!(!covers(list, url), "{list} does not cover {url}");
            }
        }
    }

    #[test]
    fn entries_are_separated_by_commas_or_blanks() {
        for list in ["a.test, b.test", "a.test b.test", " a.test ,, b.test,"] {
            assert!(covers(list, "http://b.test/") && covers(list, "http://a.test/"));
            assert!(!covers(list, "http://c.test/"), "{list}");
        }
    }

    #[test]
    fn loopback_is_never_proxied() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "feed.localhost:9000",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(covers("", &format!("http://{host}/")), "{host}");
        }
        assert!(!covers("", "http://localhost.example/"));
    }

    #[test]
    fn entries_that_make_no_sense_are_ignored() {
        let list = "/, 1.2.3.4/33, a:b:c, :80, ., ::/129, *., example:99999";
        assert!(!covers(list, "http://1.2.3.4/") && !covers(list, "http://example/"));
    }
}
