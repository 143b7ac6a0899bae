//! The address of one server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name to expect in its certificate, where that is not `host`.
    tls_name: Option<String>,
}

impl ServerAddress {
    /// The name to expect in its certificate.
    pub(super) fn tls_name(&self) -> &str {
        self.tls_name.as_deref().unwrap_or(&self.host)
    }

    /// The address of a server that `teller` knows. Servers tell each other's addresses as numbers,
    /// while certificates have names: that of the teller has to do for all of the cluster.
    pub(super) fn heard_from(mut self, teller: &Self) -> Self {
        if self.host.parse::<IpAddr>().is_ok() && self.host != teller.host {
            self.tls_name = Some(teller.tls_name().to_owned());
        }
        self
    }

    /// Whether both are the same place.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    /// Reads `HOST` or `HOST:PORT`, with an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid server '{text}': expected HOST or HOST:PORT");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(invalid)?;
                let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
                if !is_address || !(rest.is_empty() || rest.starts_with(':')) {
                    return Err(invalid());
                }
                (host, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) if is_digits(port) => port.parse().map_err(|_| invalid())?,
            Some(_) => return Err(invalid()),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > HOST_LENGTH_MAX || !host.chars().all(fits) || port == 0 {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            tls_name: None,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The port of NATS.
const DEFAULT_PORT: u16 = 4222;

/// The longest name that DNS knows.
const HOST_LENGTH_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ServerAddress {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_and_ports_are_read_and_shown() {
        for (text, shown) in [
            ("n1", "n1:4222"),
            ("n1.example.org:7000", "n1.example.org:7000"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[::1]", "[::1]:4222"),
            ("[fe80::1]:99", "[fe80::1]:99"),
        ] {
            assert_eq!(read(text).to_string(), shown);
        }
        assert_eq!(read("[::1]").host, "::1");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in [
            "", ":4222", "n1:", "n1:x", "n1:+1", "n1:0", "n1:65536", "n 1", "::1", "[::1", "[n1]",
            "[::1]x", "a@b", "n1\n", "n\u{e9}",
        ] {
            let expected = format!("invalid server '{text}': expected HOST or HOST:PORT");
            assert_eq!(text.parse::<ServerAddress>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn numbers_that_a_named_server_tells_are_checked_against_its_name() {
        let named = read("nats.example.org");
        let told = |text: &str| read(text).heard_from(&named);
        assert_eq!(told("10.0.0.2").tls_name(), "nats.example.org");
        assert_eq!(told("n2.example.org").tls_name(), "n2.example.org");
        let second_hand = read("10.0.0.3").heard_from(&told("10.0.0.2"));
        assert_eq!(second_hand.tls_name(), "nats.example.org");
        let numbered = read("10.0.0.1");
        assert_eq!(
            read("10.0.0.1").heard_from(&numbered).tls_name(),
            "10.0.0.1"
        );
    }
}
