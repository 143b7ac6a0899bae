//! One authenticated connection to a server, used inside a fiber.
//!
//! The order at the begin is the server's: it says what it is (`INFO`), TLS begins if either side
//! wants it, we say who we are (`CONNECT`) and ask for an answer (`PING`), which comes if we are
//! welcome (`PONG`). Afterwards the caller subscribes, publishes, and receives what comes.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::address::ServerAddress;
use super::credentials::Credentials;
use super::decoder::{Op, PAYLOAD_LENGTH_MAX};
use super::denial::Denial;
use super::encoder;
use super::failure::Failure;
use super::info::Info;
use super::link::{Link, Next};
use super::message::Message;
use super::shown::shown;
use super::traffic::Traffic;
use super::url::NatsUrl;
use crate::http_client::{HttpClient, Route, TransportError};

/// What all connections to one log have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) url: NatsUrl,
    /// Used instead of those in the URL.
    pub(crate) credentials: Option<Credentials>,
    /// How long connecting may take, up to the server's first answer.
    pub(crate) connect_timeout: Duration,
    /// The name under which the server's operator sees us.
    pub(crate) client_name: String,
    /// The bytes that they carry.
    pub(crate) traffic: Traffic,
}

/// An open connection.
pub(crate) struct Connection {
    link: Link,
    server: ServerAddress,
    info: Info,
    /// Servers that this one told of since the caller asked.
    heard_of: Vec<ServerAddress>,
    /// Whether the caller knows that the server is leaving.
    is_leaving_told: bool,
}

/// What came, or why nothing did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Message),
    /// The answer to a [`ping`](Connection::ping).
    Pong,
    /// The fiber was nudged.
    Nudged,
    TimedOut,
    /// The server will stop soon: go to another one now.
    Leaving,
    /// We lack a right, and the connection stays.
    Denied(Denial),
    /// The server refuses something else, and the connection stays.
    Complaint(String),
}

impl Connection {
    /// Connects to `server`, and proves who we are.
    pub(crate) fn open(
        http_client: &HttpClient,
        settings: &Settings,
        server: &ServerAddress,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let place = (server.host.as_str(), server.port);
        let route = Route::connect(http_client, place, deadline)?;
        let mut link = Link::new(route, settings.traffic.clone());
        let url = &settings.url;
        if url.is_handshake_first {
            link = link.secure(http_client, server)?;
        }
        let info = await_info(&mut link, deadline)?;
        check(&info, url)?;
        let is_secure = url.is_tls || info.tls_required;
        if is_secure && !url.is_handshake_first {
            link = link.secure(http_client, server)?;
        }
        let options = options(settings, &info, is_secure)?;
        encoder::connect(link.outgoing(), &options);
        encoder::ping(link.outgoing());
        let mut connection = Self {
            link,
            server: server.clone(),
            info: Info::default(),
            heard_of: Vec::new(),
            is_leaving_told: false,
        };
        connection.learn(info);
        connection.await_welcome(deadline)?;
        connection.link.accept_nudges();
        Ok(connection)
    }

    /// The server's name for itself, short and safe to show.
    #[cfg(test)]
    pub(crate) fn server_name(&self) -> String {
        shown(&self.info.server_name)
    }

    /// The server's version, short and safe to show.
    pub(crate) fn version(&self) -> String {
        shown(&self.info.version)
    }

    /// Whether the server itself has JetStream. Behind a leaf node, another one may.
    pub(crate) fn has_jetstream(&self) -> bool {
        self.info.jetstream
    }

    /// The longest payload, headers included, that may be published here and read back.
    pub(crate) fn max_payload(&self) -> usize {
        match usize::try_from(self.info.max_payload) {
            Ok(length @ 1..PAYLOAD_LENGTH_MAX) => length,
            _ => PAYLOAD_LENGTH_MAX,
        }
    }

    /// The addresses of all servers that this one told of since the last call.
    pub(crate) fn servers_heard_of(&mut self) -> Vec<ServerAddress> {
        std::mem::take(&mut self.heard_of)
    }

    /// Subscribes to `subject`, whose messages will have the number `sid`. Like all that is written,
    /// it is sent by the next [`flush`](Self::flush) or [`receive`](Self::receive).
    pub(crate) fn subscribe(&mut self, subject: &str, sid: u64) {
        encoder::subscribe(self.link.outgoing(), subject, sid);
    }

    /// Ends a subscription.
    #[cfg(test)]
    pub(crate) fn unsubscribe(&mut self, sid: u64) {
        encoder::unsubscribe(self.link.outgoing(), sid);
    }

    /// Publishes a message.
    pub(crate) fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) {
        encoder::publish(self.link.outgoing(), subject, reply, headers, payload);
    }

    /// Asks for a [`Received::Pong`], which comes after the server has read all before it.
    pub(crate) fn ping(&mut self) {
        encoder::ping(self.link.outgoing());
    }

    /// Sends what was written.
    pub(crate) fn flush(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.link.flush(deadline)
    }

    /// Sends what was written, and waits for what comes next. Answers pings.
    pub(crate) fn receive(&mut self, deadline: Instant) -> Result<Received, Failure> {
        loop {
            if self.info.is_leaving && !self.is_leaving_told {
                self.is_leaving_told = true;
                return Ok(Received::Leaving);
            }
            let op = match self.link.next(deadline)? {
                Next::Op(op) => op,
                Next::Nudged => return Ok(Received::Nudged),
                Next::TimedOut => return Ok(Received::TimedOut),
            };
            match op {
                Op::Message(message) => return Ok(Received::Message(message)),
                Op::Pong => return Ok(Received::Pong),
                Op::Error(text) => return complaint(text),
                Op::Ping => encoder::pong(self.link.outgoing()),
                Op::Info(info) => self.learn(*info),
                Op::Ok => {}
            }
        }
    }

    /// Waits for the answer to our introduction.
    fn await_welcome(&mut self, deadline: Instant) -> Result<(), Failure> {
        loop {
            match in_time(self.link.next(deadline)?)? {
                Op::Pong => return Ok(()),
                Op::Error(text) => return Err(refusal(&text)),
                Op::Ping => encoder::pong(self.link.outgoing()),
                Op::Info(info) => self.learn(*info),
                Op::Ok => {}
                Op::Message(_) => {
                    let why = "it sends a message before it has answered";
                    return Err(Failure::Protocol(why.to_owned()));
                }
            }
        }
    }

    /// Takes up what the server says of itself and of its cluster.
    fn learn(&mut self, info: Info) {
        let urls = info.connect_urls.iter().take(HEARD_OF_MAX);
        // An address that cannot be read is one that we could not use.
        let addresses = urls.filter_map(|url| url.parse::<ServerAddress>().ok());
        let addresses: Vec<_> = addresses
            .map(|address| address.heard_from(&self.server))
            .collect();
        if !addresses.is_empty() {
            self.heard_of = addresses;
        }
        self.info = info;
    }
}

/// Waits for the server's first words.
fn await_info(link: &mut Link, deadline: Instant) -> Result<Info, Failure> {
    match in_time(link.next(deadline)?)? {
        Op::Info(info) => Ok(*info),
        Op::Error(text) => Err(refusal(&text)),
        _ => Err(Failure::Protocol("it does not begin with INFO".to_owned())),
    }
}

/// The operation, while the connection is being opened.
fn in_time(next: Next) -> Result<Op, Failure> {
    match next {
        Next::Op(op) => Ok(op),
        // Nudges are accepted later.
        Next::Nudged | Next::TimedOut => {
            let error = std::io::ErrorKind::TimedOut.into();
            Err(TransportError::from_io(&error).into())
        }
    }
}

/// Refuses a server that lacks what we need.
fn check(info: &Info, url: &NatsUrl) -> Result<(), Failure> {
    if !info.headers {
        let version = shown(&info.version);
        let why = format!("is too old: version {version} knows no headers");
        return Err(Failure::Refused(why));
    }
    let has_tls = info.tls_required || info.tls_available;
    if url.is_tls && !has_tls && !url.is_handshake_first {
        let why = "does not offer TLS, which a tls:// URL asks for";
        return Err(Failure::Refused(why.to_owned()));
    }
    Ok(())
}

/// What we say of ourselves.
fn options(settings: &Settings, info: &Info, is_secure: bool) -> Result<Value, Failure> {
    let mut options = Map::new();
    let credentials = settings.credentials.as_ref();
    if let Some(credentials) = credentials.or(settings.url.credentials()) {
        let proved = credentials.prove(info.nonce.as_deref(), &mut options);
        proved.map_err(Failure::Refused)?;
    }
    let ours = json!({
        "verbose": false,
        "pedantic": false,
        "lang": "tickertape",
        "version": env!("CARGO_PKG_VERSION"),
        "name": settings.client_name,
        // We understand an INFO at any time.
        "protocol": 1,
        "headers": true,
        // A request that nobody serves is answered by a status.
        "no_responders": true,
        "tls_required": is_secure,
    });
    options.extend(ours.as_object().cloned().unwrap_or_default());
    Ok(options.into())
}

/// What an `-ERR` means for the connection. The server closes it after nearly all of them.
fn complaint(text: String) -> Result<Received, Failure> {
    let lower = text.to_ascii_lowercase();
    let mut survived = SURVIVED.iter();
    if !survived.any(|begin| lower.starts_with(begin)) {
        return Err(refusal(&text));
    }
    Ok(Denial::read(&text).map_or(Received::Complaint(text), Received::Denied))
}

fn refusal(text: &str) -> Failure {
    let lower = text.to_ascii_lowercase();
    let hint = if lower.starts_with("authorization") {
        " (check the user, password, token or credentials)"
    } else {
        ""
    };
    let why = format!("refuses the connection: {text}{hint}");
    if LASTING.iter().any(|begin| lower.starts_with(begin)) {
        Failure::Refused(why)
    } else {
        Failure::TurnedAway(why)
    }
}

/// What errors begin with that another attempt would not change.
const LASTING: [&str; 5] = [
    "authorization violation",
    "authentication expired",
    "user authentication",
    "account authentication",
    "secure connection",
];

/// What errors begin with that leave a connection open.
const SURVIVED: [&str; 3] = [
    "permissions violation",
    "invalid subject",
    "maximum subscriptions exceeded",
];

/// How many servers of a cluster are remembered.
const HEARD_OF_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_errors_leave_the_connection_open() {
        let text = "Permissions Violation for Publish to \"a\"".to_owned();
        let denied = Denial::read(&text).map(Received::Denied).unwrap();
        assert_eq!(complaint(text), Ok(denied));
        let text = "Invalid Subject".to_owned();
        let complained = Received::Complaint(text.clone());
        assert_eq!(complaint(text), Ok(complained));
        let closed = complaint("Slow Consumer".to_owned()).unwrap_err();
        assert_eq!(closed.to_string(), "refuses the connection: Slow Consumer");
        let wrong = complaint("Authorization Violation".to_owned()).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "refuses the connection: Authorization Violation \
             (check the user, password, token or credentials)"
        );
    }

    #[test]
    fn only_what_lasts_is_a_refusal() {
        for text in ["Authorization Violation", "User Authentication Revoked"] {
            assert!(matches!(refusal(text), Failure::Refused(_)), "{text}");
        }
        for text in [
            "maximum connections exceeded",
            "maximum account active connections exceeded",
            "Authentication Timeout",
            "Stale Connection",
        ] {
            assert!(matches!(refusal(text), Failure::TurnedAway(_)), "{text}");
        }
    }
}
