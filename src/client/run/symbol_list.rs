//! Asks the server for its symbols (`{"op":"list"}`) before a run, on a separate connection.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ioloop::Registrar;
use ioloop::net::FiberStream;
use rustls::{ClientConnection, StreamOwned};
use serde::Deserialize;
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::run::question;
use crate::client::run::watchlists::Watchlists;
use crate::client::ws::error::{ConnectionError, short};
use crate::client::ws::frames::Frames;
use crate::client::ws::handshake::Handshake;
use crate::client::ws::tls::TlsConnector;

/// The symbols to draw from, if clients have their own lists.
///
/// # Errors
/// A sentence from [`ask`], or one that says that there are too few symbols.
pub(super) fn watchlists(
    config: &Config,
    server: (&[SocketAddr], Option<&TlsConnector>),
    signals: Option<&mut Signals>,
) -> io::Result<Option<Watchlists>> {
    let Some(watch) = &config.watch else {
        return Ok(None);
    };
    let names = if watch.must_ask() {
        ask(config, &watch.of, server, signals)?
    } else {
        watch.of.clone()
    };
    let lists = Watchlists::new(names, watch, config.first_client);
    lists.map(Some).map_err(io::Error::other)
}

/// The names of all symbols that the server has, or of those that match one of `patterns`, in the
/// server's order.
///
/// # Errors
/// A sentence: when the server cannot be reached or does not support the request, when it does not
/// answer within `--connect-timeout`, or at a signal.
fn ask(
    config: &Config,
    patterns: &[String],
    (addresses, tls): (&[SocketAddr], Option<&TlsConnector>),
    signals: Option<&mut Signals>,
) -> io::Result<Vec<String>> {
    let lister = Lister {
        handshake: Handshake::new(&config.url, &config.access.headers, (None, "")),
        patterns: patterns.to_vec(),
        addresses: addresses.to_vec(),
        tls: tls.cloned(),
        limit: config.connect_timeout,
    };
    match question::ask(signals, move |registrar| lister.run(registrar))? {
        Some(Ok(names)) => Ok(names),
        Some(Err(no_list)) => Err(io::Error::other(no_list.to_string())),
        None => Err(io::Error::new(
            ErrorKind::Interrupted,
            "asking the server for its symbols was interrupted by a signal",
        )),
    }
}

/// One query, which runs in a fiber.
struct Lister {
    handshake: Handshake,
    /// The patterns that symbols must match; empty for all symbols.
    patterns: Vec<String>,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsConnector>,
    limit: Duration,
}

/// Why there is no list.
enum NoList {
    /// The connection could not be opened.
    Unreachable(ConnectionError),
    /// The connection ended before the answer.
    Lost(ConnectionError),
    /// The server answered with this error.
    Refused(String),
    /// The server did not answer in time.
    TimedOut(Duration),
}

impl Lister {
    fn run(self, registrar: &Registrar) -> Result<Vec<String>, NoList> {
        let deadline = Instant::now() + self.limit;
        let connected = FiberStream::connect_any(registrar, &self.addresses, Some(deadline));
        let mut socket = connected.map_err(|error| self.unreachable(error))?;
        socket.set_deadline(Some(deadline));
        match self.tls.clone() {
            None => self.converse(&mut socket),
            Some(tls) => {
                let session = tls.session().map_err(|error| self.failed(error))?;
                self.converse(&mut StreamOwned::new(session, socket))
            }
        }
    }

    /// Upgrades `stream`, sends the request and waits for the answer, ignoring ticks; repeats that
    /// if there are more symbols than fit into one answer.
    fn converse(mut self, stream: &mut impl Patient) -> Result<Vec<String>, NoList> {
        let mut buffer = vec![0; BUFFER_SIZE];
        let mut bytes = self.upgrade(stream, &mut buffer)?;
        let mut frames = Frames::default();
        let mut names = Vec::new();
        frames
            .send(stream, request(&self.patterns, None))
            .map_err(NoList::Lost)?;
        loop {
            let mut answer = None;
            let taken = frames.take(&bytes, stream, |payload| {
                answer = answer.take().or_else(|| read(payload.bytes()));
            });
            match answer {
                Some(Ok(Names {
                    some,
                    has_more: true,
                })) if !some.is_empty() => {
                    names.extend(some);
                    let request = request(&self.patterns, names.last());
                    frames.send(stream, request).map_err(NoList::Lost)?;
                }
                Some(answer) => {
                    leave(stream, &mut frames, &mut buffer);
                    names.extend(answer.map_err(NoList::Refused)?.some);
                    return Ok(names);
                }
                None => {}
            }
            taken.map_err(NoList::Lost)?;
            let length = stream
                .read(&mut buffer)
                .map_err(|error| self.failed(error))?;
            if length == 0 {
                return Err(NoList::Lost(ConnectionError::end_of_stream()));
            }
            bytes.clear();
            bytes.extend_from_slice(&buffer[..length]);
        }
    }

    /// Returns the bytes that followed the response to the handshake.
    fn upgrade(&mut self, stream: &mut impl Patient, buffer: &mut [u8]) -> Result<Vec<u8>, NoList> {
        let limit = self.limit;
        let failed = |error: io::Error| {
            NoList::Unreachable(match error.kind() {
                ErrorKind::TimedOut => ConnectionError::HandshakeTimedOut(limit),
                _ => ConnectionError::broken(error),
            })
        };
        let asked = stream.write_all(self.handshake.unsent());
        asked.and_then(|()| stream.flush()).map_err(failed)?;
        loop {
            let length = stream.read(buffer).map_err(failed)?;
            if length == 0 {
                let is_plain = self.tls.is_none();
                return Err(NoList::Unreachable(self.handshake.end_of_stream(is_plain)));
            }
            let answer = self.handshake.take(&buffer[..length]);
            if let Some(behind) = answer.map_err(NoList::Unreachable)? {
                return Ok(behind);
            }
        }
    }

    fn failed(&self, error: io::Error) -> NoList {
        match error.kind() {
            ErrorKind::TimedOut => NoList::TimedOut(self.limit),
            _ => NoList::Lost(ConnectionError::broken(error)),
        }
    }

    fn unreachable(&self, error: io::Error) -> NoList {
        let tried = self.addresses.last().copied();
        let peer = tried.unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
        NoList::Unreachable(match error.kind() {
            ErrorKind::TimedOut => ConnectionError::ConnectTimedOut(peer, self.limit),
            _ => ConnectionError::connect(peer, error),
        })
    }
}

/// Closes politely, and reads until the server ends the stream, for a short time at most.
fn leave(stream: &mut impl Patient, frames: &mut Frames, buffer: &mut [u8]) {
    stream.set_deadline(Instant::now() + LEAVING);
    // The list is complete, so an error in closing does not matter.
    if frames.close(stream).is_ok() {
        while stream.read(buffer).is_ok_and(|length| length > 0) {}
    }
}

/// A stream that blocks, but only until its deadline.
trait Patient: Read + Write {
    fn set_deadline(&mut self, deadline: Instant);
}

impl Patient for FiberStream {
    fn set_deadline(&mut self, deadline: Instant) {
        self.set_deadline(Some(deadline));
    }
}

impl Patient for StreamOwned<ClientConnection, FiberStream> {
    fn set_deadline(&mut self, deadline: Instant) {
        self.sock.set_deadline(Some(deadline));
    }
}

/// A request for all symbols, or for those that match; after the symbol `after`, if given.
fn request(patterns: &[String], after: Option<&String>) -> String {
    let mut request = r#"{"op":"list","id":"list""#.to_owned();
    if !patterns.is_empty() {
        request += &format!(r#","symbols":{}"#, serde_json::Value::from(patterns));
    }
    if let Some(after) = after {
        let after = serde_json::Value::from(after.as_str());
        request += &format!(r#","after":{after}"#);
    }
    request + "}"
}

/// A part of the names.
struct Names {
    some: Vec<String>,
    has_more: bool,
}

/// Reads an answer: names, or the server's error; `None` if `text` is something else.
fn read(text: &[u8]) -> Option<Result<Names, String>> {
    #[derive(Deserialize)]
    struct Answer {
        op: String,
        symbols: Option<Vec<String>>,
        more: Option<u64>,
        message: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(text).ok()?;
    let has_more = answer.more.is_some_and(|more| more > 0);
    match (&*answer.op, answer.symbols) {
        ("list", Some(some)) => Some(Ok(Names { some, has_more })),
        ("list" | "error", _) => Some(Err(answer.message.unwrap_or_default())),
        _ => None,
    }
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            // The same sentence as for every other client.
            Self::Unreachable(error) => return error.fmt(f),
            Self::Lost(error) => error.to_string(),
            Self::Refused(words) => format!("the server answered '{}'", short(words)),
            Self::TimedOut(limit) => format!("no answer within {limit:?}"),
        };
        write!(
            f,
            "cannot get the server's list of symbols ({words}): name some to draw from with \
             --symbols A,B,..."
        )
    }
}

const BUFFER_SIZE: usize = 64 * 1024;

/// How long a server may take to end the stream.
const LEAVING: Duration = Duration::from_millis(500);
