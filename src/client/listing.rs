//! Which symbols there are: asked of the server before a run, on a connection of its own
//! (`{"op":"list"}`).

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::StreamOwned;
use serde::Deserialize;
use signal_hook_mio::v1_0::Signals;

use super::failure::{Failure, short};
use super::handshake::Handshake;
use super::inbox::Inbox;
use super::options::Config;
use super::preparing::prepare;
use super::tls::Secrets;
use super::watchlists::Watchlists;
use crate::io_loop::Registrar;
use crate::net::FiberStream;

/// What clients draw their lists from, if each is to have one of its own.
///
/// # Errors
/// A sentence: that of [`ask`], or that there are too few symbols.
pub(super) fn watchlists(
    config: &Config,
    server: (&[SocketAddr], Option<&Secrets>),
    signals: Option<&mut Signals>,
) -> io::Result<Option<Watchlists>> {
    let Some(watch) = &config.watch else {
        return Ok(None);
    };
    let names = match watch.must_ask() {
        true => ask(config, &watch.of, server, signals)?,
        false => watch.of.clone(),
    };
    let lists = Watchlists::new(names, watch, config.first_client);
    lists.map(Some).map_err(io::Error::other)
}

/// The names of all symbols that the server has, or of those that match `patterns` if there are
/// any, in its own order.
///
/// # Errors
/// A sentence: when the server cannot be reached or does not know the request, when it has not
/// answered within `--connect-timeout`, or at a signal.
fn ask(
    config: &Config,
    patterns: &[String],
    (addresses, secrets): (&[SocketAddr], Option<&Secrets>),
    signals: Option<&mut Signals>,
) -> io::Result<Vec<String>> {
    let lister = Lister {
        handshake: Handshake::new(&config.url, &config.access.headers, (None, "")),
        request: request(patterns),
        addresses: addresses.to_vec(),
        secrets: secrets.cloned(),
        limit: config.connect_timeout,
    };
    match prepare(signals, move |registrar| lister.run(registrar))? {
        Some(Ok(names)) => Ok(names),
        Some(Err(no_list)) => Err(io::Error::other(no_list.to_string())),
        None => Err(io::Error::new(
            ErrorKind::Interrupted,
            "asking for the server's symbols was ended by a signal",
        )),
    }
}

/// One question, asked in a fiber.
struct Lister {
    handshake: Handshake,
    request: String,
    addresses: Vec<SocketAddr>,
    secrets: Option<Secrets>,
    limit: Duration,
}

/// Why there is no list.
enum NoList {
    /// There is no connection to ask on.
    Unreachable(Failure),
    /// It ended before there was an answer.
    Lost(Failure),
    /// The server answered with this error.
    Refused(String),
    /// It did not answer.
    TimedOut(Duration),
}

impl Lister {
    fn run(self, registrar: &Registrar) -> Result<Vec<String>, NoList> {
        let deadline = Instant::now() + self.limit;
        let connected = FiberStream::connect_any(registrar, &self.addresses, Some(deadline));
        let mut socket = connected.map_err(|error| self.unreachable(error))?;
        socket.set_deadline(Some(deadline));
        let Self {
            handshake,
            request,
            limit,
            ..
        } = self;
        match &self.secrets {
            None => converse(&mut socket, handshake, request, limit),
            Some(secrets) => {
                let session = secrets.session().map_err(|error| failed(error, limit))?;
                let mut stream = StreamOwned::new(session, socket);
                converse(&mut stream, handshake, request, limit)
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> NoList {
        let tried = self.addresses.last().copied();
        let peer = tried.unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
        NoList::Unreachable(match error.kind() {
            ErrorKind::TimedOut => Failure::ConnectTimedOut(peer, self.limit),
            _ => Failure::connect(peer, error),
        })
    }
}

/// Upgrades `stream`, asks and waits for the answer, letting ticks pass.
fn converse(
    stream: &mut (impl Read + Write),
    mut handshake: Handshake,
    request: String,
    limit: Duration,
) -> Result<Vec<String>, NoList> {
    let io_failed = |error| failed(error, limit);
    stream.write_all(handshake.unsent()).map_err(io_failed)?;
    stream.flush().map_err(io_failed)?;
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut bytes = loop {
        let length = stream.read(&mut buffer).map_err(io_failed)?;
        if length == 0 {
            return Err(NoList::Unreachable(handshake.end_of_stream(true)));
        }
        let answer = handshake.take(&buffer[..length]);
        if let Some(behind) = answer.map_err(NoList::Unreachable)? {
            break behind;
        }
    };
    let mut inbox = Inbox::default();
    inbox.send(stream, request).map_err(NoList::Lost)?;
    loop {
        let mut answer = None;
        let taken = inbox.take(&bytes, stream, |payload| {
            answer = answer.take().or_else(|| read(payload.bytes()));
        });
        match (answer, taken) {
            (Some(answer), _) => {
                // Politely, but whether it arrives does not matter any more.
                let _ = inbox.close(stream);
                return answer.map_err(NoList::Refused);
            }
            (None, Err(failure)) => return Err(NoList::Lost(failure)),
            (None, Ok(())) => {}
        }
        let length = stream.read(&mut buffer).map_err(io_failed)?;
        if length == 0 {
            return Err(NoList::Lost(Failure::end_of_stream()));
        }
        bytes.clear();
        bytes.extend_from_slice(&buffer[..length]);
    }
}

fn failed(error: io::Error, limit: Duration) -> NoList {
    match error.kind() {
        ErrorKind::TimedOut => NoList::TimedOut(limit),
        _ => NoList::Lost(Failure::broken(error)),
    }
}

/// Asks for all symbols, or those that match.
fn request(patterns: &[String]) -> String {
    match patterns {
        [] => r#"{"op":"list","id":"list"}"#.to_owned(),
        patterns => {
            let patterns = serde_json::Value::from(patterns);
            format!(r#"{{"op":"list","id":"list","symbols":{patterns}}}"#)
        }
    }
}

/// The answer that `text` is: names, or the server's error; none if it is something else.
fn read(text: &[u8]) -> Option<Result<Vec<String>, String>> {
    #[derive(Deserialize)]
    struct Answer {
        op: String,
        symbols: Option<Vec<String>>,
        message: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(text).ok()?;
    match (&*answer.op, answer.symbols) {
        ("list", Some(symbols)) => Some(Ok(symbols)),
        ("list" | "error", _) => Some(Err(answer.message.unwrap_or_default())),
        _ => None,
    }
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            // As every other client would have found.
            Self::Unreachable(failure) => return failure.fmt(f),
            Self::Lost(failure) => failure.to_string(),
            Self::Refused(words) => format!("it answers '{}'", short(words)),
            Self::TimedOut(limit) => format!("no answer within {limit:?}"),
        };
        write!(
            f,
            "the server does not tell which symbols it has ({words}): name those to draw from with \
             --symbols A,B,..."
        )
    }
}

const BUFFER_SIZE: usize = 64 * 1024;
