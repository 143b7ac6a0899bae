//! Names of hosts, as Host headers and origins have them (RFC 9110 section 7.2), and patterns of
//! such names.

use std::net::{IpAddr, Ipv6Addr};

/// A name, or all names below one, and its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    name: Name,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Any,
    /// This one, in lower case.
    Is(String),
    /// Those that end so, in lower case; it begins with a dot.
    EndsWith(String),
}

/// The ports that a pattern matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Any,
    /// This one, or none if none is written.
    Is(Option<u16>),
}

impl HostPattern {
    /// Reads `example.org`, `*.example.org` or `*`, with a port such as `:8443`, with any (`:*`), or
    /// without one, which means `otherwise`. `None` if it is none of these.
    pub(crate) fn parse(text: &str, otherwise: Port) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (host, any_port) = match text.strip_suffix(":*") {
            Some(host) => (host, true),
            None => (&*text, false),
        };
        if host == "*" {
            let (name, port) = (Name::Any, Port::Any);
            return Some(Self { name, port });
        }
        let below = host.strip_prefix("*.");
        let (name, port) = parts(below.unwrap_or(host))?;
        if name.contains('*') || any_port && port.is_some() {
            return None;
        }
        let port = match port {
            _ if any_port => Port::Any,
            None => otherwise,
            port => Port::Is(port),
        };
        let name = match below {
            Some(_) => Name::EndsWith(format!(".{name}")),
            None => Name::Is(name.to_owned()),
        };
        Some(Self { name, port })
    }

    /// Whether a host of this name and port matches.
    pub(crate) fn matches(&self, name: &str, port: Option<u16>) -> bool {
        let name = name.to_ascii_lowercase();
        let is_name = match &self.name {
            Name::Any => true,
            Name::Is(expected) => *expected == name,
            Name::EndsWith(end) => name.len() > end.len() && name.ends_with(end),
        };
        let is_port = match self.port {
            Port::Any => true,
            Port::Is(expected) => expected == port,
        };
        is_name && is_port
    }
}

/// The name and port of a host (RFC 3986 section 3.2); an IPv6 address keeps its brackets. `None` if
/// it is none.
pub(crate) fn parts(text: &str) -> Option<(&str, Option<u16>)> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at(end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some(port) => Some(digits(port)?),
    };
    is_name(name).then_some((name, port))
}

fn digits(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn is_name(text: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    match text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.bytes().all(in_name),
    }
}

/// Whether a name stands for this machine: `localhost`, a name below it (RFC 6761 section 6.3), or a
/// loopback address.
pub(crate) fn is_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    match bare.unwrap_or(&name).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, host: &str) -> bool {
        let pattern = HostPattern::parse(pattern, Port::Any).expect("a pattern");
        let (name, port) = parts(host).expect("a host");
        pattern.matches(name, port)
    }

    #[test]
    fn patterns_match_whole_names_and_names_below() {
        for (pattern, host, expected) in [
            ("a.example", "A.Example", true),
            ("a.example", "a.example:8443", true),
            ("a.example:8443", "a.example:8443", true),
            ("a.example:8443", "a.example", false),
            ("a.example:*", "a.example:1", true),
            ("a.example", "b.a.example", false),
            ("*.example", "a.example", true),
            ("*.example", "b.a.example:1", true),
            ("*.example", "example", false),
            ("*.example", "aexample", false),
            ("*", "anything", true),
            ("[::1]", "[::1]:8888", true),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} and {host}");
        }
    }

    #[test]
    fn a_star_stands_for_whole_labels_in_front() {
        for text in [
            "",
            "a.*",
            "*a.example",
            "a*.example",
            "*.",
            "**",
            "a b",
            "a:1:*",
            "a:",
            "a:x",
            "[::1",
        ] {
            assert_eq!(HostPattern::parse(text, Port::Any), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for name in [
            "localhost",
            "LOCALHOST.",
            "app.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
            "",
            "notlocalhost",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,30}") {
            HostPattern::parse(&text, Port::Any);
            is_loopback(&text);
            if let Some((name, _)) = parts(&text) {
                prop_assert!(text.starts_with(name));
            }
        }
    }
}
