//! The URL of a log on NATS: which servers, who we are, and what the log is called.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::address::ServerAddress;
use super::credentials::Credentials;

/// A `nats://` or `tls://` URL: `[USER:PASSWORD@]HOST[:PORT],…/NAME?replicas=3&domain=hub`. It is
/// shown without passwords and tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// Whether TLS is a must, as `tls://` says. A server may demand it in any case.
    pub(crate) is_tls: bool,
    /// The servers, in the order given.
    pub(crate) servers: Vec<ServerAddress>,
    /// The name of the log: the stream, and what its subjects begin with.
    pub(crate) name: String,
    /// On how many servers the log is kept.
    pub(crate) replicas: Option<u8>,
    /// The JetStream domain, for a log behind a leaf node.
    pub(crate) domain: Option<String>,
    /// Whether TLS begins before the server has said anything.
    pub(crate) is_handshake_first: bool,
    credentials: Option<Credentials>,
}

impl NatsUrl {
    /// The user and password, or the token, in the URL.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// A URL with the default options.
    fn new(is_tls: bool, servers: Vec<ServerAddress>) -> Self {
        Self {
            is_tls,
            servers,
            name: DEFAULT_NAME.to_owned(),
            replicas: None,
            domain: None,
            is_handshake_first: false,
            credentials: None,
        }
    }

    /// Sets an option of the query.
    fn set(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key {
            "replicas" => self.replicas = Some(replicas(value)?),
            "domain" => self.domain = Some(name(value, "domain")?),
            "handshake_first" => self.is_handshake_first = flag(key, value)?,
            _ => {
                return Err(format!(
                    "unknown option '{option}' of a broker URL: expected replicas, domain or \
                     handshake_first"
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for NatsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(EXPECTED.to_owned()),
        };
        // At the last one, or a password that nobody has encoded would be quoted in an error.
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (servers, path) = place.split_once('/').unwrap_or((place, ""));
        let mut url = Self::new(is_tls, self::servers(servers)?);
        url.credentials = user.map(credentials).transpose()?;
        if !path.is_empty() {
            url.name = name(path, "name")?;
        }
        let options = query.split('&').filter(|option| !option.is_empty());
        for option in options {
            url.set(option)?;
        }
        if url.is_handshake_first && !is_tls {
            return Err("handshake_first needs a tls:// URL".to_owned());
        }
        Ok(url)
    }
}

fn servers(list: &str) -> Result<Vec<ServerAddress>, String> {
    let servers: Result<Vec<_>, _> = list.split(',').map(str::parse).collect();
    let servers = servers?;
    if servers.len() > SERVERS_MAX {
        return Err(format!("a broker URL has at most {SERVERS_MAX} servers"));
    }
    Ok(servers)
}

/// `USER:PASSWORD`, or a token. Neither may be quoted in an error.
fn credentials(user: &str) -> Result<Credentials, String> {
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        let decoded = decoded.map_err(|_| "invalid user or password in a broker URL".to_owned())?;
        Ok::<_, String>(decoded.into_owned())
    };
    let credentials = match user.split_once(':') {
        Some((user, password)) => Credentials::User(decode(user)?, decode(password)?),
        None => Credentials::Token(decode(user)?),
    };
    if user.is_empty() || user == ":" {
        return Err("a broker URL has an @ but neither a user nor a token before it".to_owned());
    }
    Ok(credentials)
}

/// A name that can be a part of a subject, and of a file name at the server.
fn name(text: &str, what: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > NAME_LENGTH_MAX || !text.chars().all(fits) {
        return Err(format!(
            "invalid {what} '{text}' in a broker URL: expected up to {NAME_LENGTH_MAX} letters, \
             digits, - and _"
        ));
    }
    Ok(text.to_owned())
}

fn replicas(value: &str) -> Result<u8, String> {
    match value {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err(format!("invalid replicas '{value}': expected 1, 3 or 5")),
    }
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("invalid {key} '{value}': expected true or false")),
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls { "tls://" } else { "nats://" })?;
        if self.credentials.is_some() {
            f.write_str("***@")?;
        }
        for (index, server) in self.servers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{server}")?;
        }
        write!(f, "/{}", self.name)
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const EXPECTED: &str =
    "invalid broker URL: expected nats://HOST[:PORT],.../NAME or tls://HOST[:PORT],.../NAME";

const DEFAULT_NAME: &str = "tickertape";

/// Far below the 255 that servers accept, since a subject has more than the name.
const NAME_LENGTH_MAX: usize = 64;

const SERVERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> NatsUrl {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<NatsUrl>().unwrap_err()
    }

    #[test]
    fn all_parts_are_read() {
        let url = read("tls://n1,n2:7000,[::1]/prices?replicas=3&domain=hub&handshake_first");
        assert!(url.is_tls && url.is_handshake_first);
        let servers: Vec<_> = url.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["n1:4222", "n2:7000", "[::1]:4222"]);
        assert_eq!((url.name.as_str(), url.replicas), ("prices", Some(3)));
        assert_eq!(url.domain.as_deref(), Some("hub"));
        assert_eq!(url.credentials(), None);
    }

    #[test]
    fn the_least_is_a_host() {
        for text in ["nats://n1", "nats://n1/", "nats://n1/?"] {
            let url = read(text);
            assert!(!url.is_tls && !url.is_handshake_first);
            assert_eq!((url.name.as_str(), url.replicas), ("tickertape", None));
        }
    }

    #[test]
    fn credentials_are_read_and_never_shown() {
        let url = read("nats://me:p%40ss%2f/w@n1,n2/prices");
        let user = Credentials::User("me".to_owned(), "p@ss//w".to_owned());
        assert_eq!(url.credentials(), Some(&user));
        assert_eq!(url.to_string(), "nats://***@n1:4222,n2:4222/prices");
        assert_eq!(format!("{url:?}"), url.to_string());
        let url = read("nats://s3cret@n1");
        let token = Credentials::Token("s3cret".to_owned());
        assert_eq!(url.credentials(), Some(&token));
        assert!(!format!("{url:?} {url}").contains("s3cret"));
    }

    #[test]
    fn errors_say_what_was_expected_and_quote_no_password() {
        for text in ["", "n1", "http://n1", "nats:n1", "redis://me:secret@n1"] {
            assert_eq!(error(text), EXPECTED);
        }
        for (text, expected) in [
            ("nats://", "invalid server '': expected HOST or HOST:PORT"),
            (
                "nats://n1,/x",
                "invalid server '': expected HOST or HOST:PORT",
            ),
            (
                "nats://@n1",
                "a broker URL has an @ but neither a user nor a token before it",
            ),
            (
                "nats://%ff:x@n1",
                "invalid user or password in a broker URL",
            ),
            (
                "nats://n1/a.b",
                "invalid name 'a.b' in a broker URL: expected up to 64 letters, digits, - and _",
            ),
            (
                "nats://n1/a/b",
                "invalid name 'a/b' in a broker URL: expected up to 64 letters, digits, - and _",
            ),
            (
                "nats://n1?domain=",
                "invalid domain '' in a broker URL: expected up to 64 letters, digits, - and _",
            ),
            (
                "nats://n1?replicas=2",
                "invalid replicas '2': expected 1, 3 or 5",
            ),
            (
                "tls://n1?handshake_first=1",
                "invalid handshake_first '1': expected true or false",
            ),
            (
                "nats://n1?handshake_first",
                "handshake_first needs a tls:// URL",
            ),
            (
                "nats://n1?x=1",
                "unknown option 'x=1' of a broker URL: expected replicas, domain or handshake_first",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        let many = format!("nats://{}", ["n"; 33].join(","));
        assert_eq!(error(&many), "a broker URL has at most 32 servers");
        for password in ["secret", "secret/", "secret?", "?secret", "@secret:"] {
            let shown = error(&format!("nats://me:{password}@n1:x/y"));
            assert_eq!(shown, "invalid server 'n1:x': expected HOST or HOST:PORT");
        }
    }
}
