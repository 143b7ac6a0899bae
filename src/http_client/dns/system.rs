//! The system's configuration of names: `resolv.conf` and the hosts file.
//!
//! Both are read as glibc reads them, and like glibc we skip invalid lines: these files belong to
//! others, and a typo in them must not prevent the program from starting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The name servers and how to ask them, from `resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The servers, in the order to ask them.
    pub servers: Vec<SocketAddr>,
    /// The domains in which to search for short names.
    pub search: Vec<String>,
    /// A name with at least this many dots is tried as it is before any search.
    pub ndots: usize,
    /// How long to wait for the answer of one server.
    pub timeout: Duration,
    /// How often to go through the servers.
    pub attempts: usize,
}

/// The hosts file: addresses by lower-case name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(HashMap<String, Vec<IpAddr>>);

impl ResolvConf {
    /// Reads the text of a `resolv.conf`. If it names no server, the server is this machine.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                // The last line counts. `domain` is an old way to set a single search domain.
                Some("search") => conf.search = words.map(domain).collect(),
                Some("domain") => conf.search = words.take(1).map(domain).collect(),
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        conf.search.retain(|domain| !domain.is_empty());
        conf.search.truncate(SEARCH_MAX);
        conf.servers.truncate(SERVERS_MAX);
        if conf.servers.is_empty() {
            conf.servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        conf
    }

    /// The full names that `host` may stand for, in the order to ask for them.
    pub fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(full) = host.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{domain}"));
        let mut candidates: Vec<_> = searched.collect();
        if host.matches('.').count() >= self.ndots {
            candidates.insert(0, host.to_owned());
        } else {
            candidates.push(host.to_owned());
        }
        candidates
    }

    fn set(&mut self, option: &str) {
        let Some((name, Ok(value))) = option
            .split_once(':')
            .map(|(name, value)| (name, value.parse::<u16>()))
        else {
            return;
        };
        match name {
            "ndots" => self.ndots = usize::from(value.min(15)),
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = usize::from(value.clamp(1, 5)),
            _ => {}
        }
    }
}

impl Hosts {
    /// Reads the text of a hosts file.
    pub fn parse(text: &str) -> Self {
        let mut hosts = HashMap::<_, Vec<_>>::new();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words {
                hosts.entry(domain(name)).or_default().push(address);
            }
        }
        Self(hosts)
    }

    /// The addresses of `host`, which must be in lower case; `None` if the file does not name it.
    pub fn addresses(&self, host: &str) -> Option<&[IpAddr]> {
        self.0.get(host).map(Vec::as_slice)
    }
}

/// An address, possibly with a zone: `fe80::1%2`.
fn server(word: &str) -> Option<SocketAddr> {
    let address = word.parse::<IpAddr>().ok();
    address
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .or_else(|| format!("[{word}]:{DNS_PORT}").parse().ok())
}

fn domain(word: &str) -> String {
    word.trim_matches('.').to_ascii_lowercase()
}

const DNS_PORT: u16 = 53;

/// The number of servers that glibc uses.
const SERVERS_MAX: usize = 3;

/// glibc uses any number, but each domain costs a question for every name that does not exist.
const SEARCH_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_resolv_conf_is_read_as_glibc_reads_it() {
        let conf = ResolvConf::parse(
            "# by hand\n; old\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # no comment here\n\
             nameserver fe80::1%2\nnameserver 192.0.2.4\n\
             domain old.example\nsearch Corp.Example. example.com\n\
             options ndots:2 timeout:3 attempts:9 rotate edns0\n",
        );
        let servers = ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%2]:53"];
        let servers = servers.map(|server| server.parse::<SocketAddr>().unwrap());
        assert_eq!(conf.servers, servers);
        assert_eq!(conf.search, ["corp.example", "example.com"]);
        assert_eq!((conf.ndots, conf.attempts), (2, 5));
        assert_eq!(conf.timeout, Duration::from_secs(3));
    }

    #[test]
    fn invalid_lines_in_a_resolv_conf_are_skipped() {
        let conf = ResolvConf::parse(
            "nameserver\nnameserver 300.1.1.1\nnameserver fe80::1%eth0\nsearch . ..\n\
             options ndots: timeout:x attempts:-1 :\nsortlist 1.2.3.4\n\u{0}\n",
        );
        assert_eq!(conf, ResolvConf::parse(""));
        assert_eq!(conf.servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn names_with_few_dots_are_searched_first_and_full_names_never() {
        let conf = ResolvConf::parse("search a.example b.example\noptions ndots:2");
        let tail = ["api.a.example", "api.b.example"];
        assert_eq!(conf.candidates("api"), [tail[0], tail[1], "api"]);
        let first = &conf.candidates("api.kraken.com")[0];
        assert_eq!(first, "api.kraken.com");
        assert_eq!(conf.candidates("api."), ["api"]);
    }

    #[test]
    fn a_hosts_file_may_list_several_names_and_addresses() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n#10.0.0.1 off\n\
             10.0.0.2\tDB.Example. db\nnonsense here\n10.0.0.3\n",
        );
        let loopback: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(hosts.addresses("localhost"), Some(&loopback[..]));
        assert_eq!(hosts.addresses("db.example").map(<[_]>::len), Some(1));
        assert_eq!(hosts.addresses("off"), None);
        assert_eq!(hosts.addresses("here"), None);
    }

    proptest! {
        #[test]
        fn reading_any_text_never_panics(
            text in "((nameserver|search|options|domain|::1) ?)?(\\PC|[ \n:.%#]){0,60}",
            host in "[a-z.]{0,20}",
        ) {
            let conf = ResolvConf::parse(&text);
            prop_assert!((1..=SERVERS_MAX).contains(&conf.servers.len()));
            prop_assert!(conf.candidates(&host).len() <= SEARCH_MAX + 1);
            let _ = Hosts::parse(&text).addresses(&host);
        }

        #[test]
        fn a_name_in_a_hosts_file_is_found_in_any_case(name in "[a-zA-Z0-9.-]{1,30}") {
            prop_assume!(!domain(&name).is_empty());
            let hosts = Hosts::parse(&format!("192.0.2.7 other {name}"));
            prop_assert!(hosts.addresses(&domain(&name)).is_some());
        }
    }
}
