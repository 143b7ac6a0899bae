//! TLS without a socket: records in, plain text out, and the other way round.
//!
//! Rustls is used without its own buffers, which would stay for as long as the client does: what is
//! kept here is what has not arrived in full, and what the system has not taken; at rest, nothing.

use std::io;
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, WriteTraffic};
use rustls::{ProtocolVersion, ServerConfig};

/// One client's end of TLS.
pub(super) struct Records {
    session: Box<UnbufferedServerConnection>,
    /// What arrived and is no whole record, or handshake message, yet.
    incoming: Vec<u8>,
    /// Plain text that was more than there was room for.
    plaintext: Vec<u8>,
    /// Nothing more comes: the client said so.
    ended: bool,
    /// It went wrong, and whatever there was to say to that has been said.
    failed: bool,
}

/// What is to be said once all that arrived is dealt with.
#[derive(Clone, Copy)]
enum Say<'a> {
    Nothing,
    Text(&'a [u8]),
    Goodbye,
}

/// Where plain text goes: as much as there is room for to who reads, the rest is kept.
struct Plaintext<'a> {
    buffer: &'a mut [u8],
    filled: usize,
    rest: &'a mut Vec<u8>,
}

impl Records {
    pub(super) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self {
            session: Box::new(session),
            incoming: Vec::new(),
            plaintext: Vec::new(),
            ended: false,
            failed: false,
        })
    }

    /// Whether keys are still to be agreed on.
    pub(super) fn is_securing(&self) -> bool {
        self.session.is_handshaking() && !self.failed
    }

    /// Whether there are keys to say anything with.
    pub(super) fn can_speak(&self) -> bool {
        !self.session.is_handshaking() && !self.failed
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn has_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    /// Takes plain text that there was no room for before.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let length = buffer.len().min(self.plaintext.len());
        buffer[..length].copy_from_slice(&self.plaintext[..length]);
        self.plaintext.drain(..length);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        length
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// When too much has come without making a whole.
    pub(super) fn arrive(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.incoming.len() > INCOMING_MAX {
            return Err(invalid("a TLS message over the limit"));
        }
        self.incoming.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether all that is said at the end of the handshake is a ticket for the next one. With TLS
    /// 1.2 it is what the client waits for.
    pub(super) fn has_ticket_to_send(&self) -> bool {
        self.can_speak() && self.session.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Makes plain text of what has arrived. Returns how much of it is in `buffer`; what TLS has to
    /// say to all that is appended to `outgoing`.
    ///
    /// # Errors
    /// What rustls finds wrong, after the alert that tells the client.
    pub(super) fn open(&mut self, buffer: &mut [u8], outgoing: &mut Vec<u8>) -> io::Result<usize> {
        let filled = self.drive(Say::Nothing, buffer, outgoing);
        self.tidy();
        filled
    }

    /// Appends `text`, one record or less of it, to `outgoing`.
    ///
    /// # Errors
    /// When there are no keys, or they are used up.
    pub(super) fn seal(&mut self, text: &[u8], outgoing: &mut Vec<u8>) -> io::Result<()> {
        self.drive(Say::Text(text), &mut [], outgoing).map(drop)
    }

    /// Appends the end of the stream to `outgoing`: `close_notify`.
    pub(super) fn goodbye(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        self.drive(Say::Goodbye, &mut [], outgoing).map(drop)
    }

    fn drive(
        &mut self,
        say: Say<'_>,
        buffer: &mut [u8],
        outgoing: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let mut plaintext = Plaintext {
            buffer,
            filled: 0,
            rest: &mut self.plaintext,
        };
        let mut used = 0;
        loop {
            let status = self.session.process_tls_records(&mut self.incoming[used..]);
            let mut discard = status.discard;
            let done = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        plaintext.push(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    put(outgoing, |room| data.encode(room).map_err(Trouble::from))?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    None
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => Some(say.out(traffic, outgoing)),
                // More must arrive, or nothing more is to be said.
                Ok(_) => Some(Ok(())),
                Err(error) => Some(Err(invalid(error))),
            };
            used += discard;
            match done {
                None => {}
                Some(Ok(())) => {
                    self.incoming.drain(..used);
                    return Ok(plaintext.filled);
                }
                Some(Err(error)) => {
                    self.fail(used, outgoing);
                    return Err(error);
                }
            }
        }
    }

    /// It has gone wrong: says so, which is one alert, and looks at nothing any more.
    fn fail(&mut self, used: usize, outgoing: &mut Vec<u8>) {
        self.failed = true;
        let status = self.session.process_tls_records(&mut self.incoming[used..]);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // What cannot be said need not be.
            let _ = put(outgoing, |room| data.encode(room).map_err(Trouble::from));
        }
        self.incoming = Vec::new();
    }

    /// Keeps no room for what may come.
    fn tidy(&mut self) {
        if self.ended || self.incoming.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.shrink_to_fit();
        }
    }
}

impl Plaintext<'_> {
    fn push(&mut self, text: &[u8]) {
        let room = &mut self.buffer[self.filled..];
        let (now, later) = text.split_at(text.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.rest.extend_from_slice(later);
    }
}

impl Say<'_> {
    fn out<D>(self, mut traffic: WriteTraffic<'_, D>, outgoing: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Text(text) => {
                let length = text.len() + OVERHEAD;
                put_within(outgoing, length, |room| {
                    traffic.encrypt(text, room).map_err(Trouble::from)
                })
            }
            Self::Goodbye => put_within(outgoing, OVERHEAD, |room| {
                traffic.queue_close_notify(room).map_err(Trouble::from)
            }),
        }
    }
}

/// Why something could not be put into a buffer.
enum Trouble {
    /// It takes so many bytes.
    Short(usize),
    Other(io::Error),
}

impl From<EncodeError> for Trouble {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::Short(size.required_size),
            error @ EncodeError::AlreadyEncoded => Self::Other(io::Error::other(error)),
        }
    }
}

impl From<EncryptError> for Trouble {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Short(size.required_size),
            error @ EncryptError::EncryptExhausted => Self::Other(io::Error::other(error)),
        }
    }
}

/// Appends what `write` writes; it is asked again with the room that it says it takes.
fn put(
    out: &mut Vec<u8>,
    write: impl FnMut(&mut [u8]) -> Result<usize, Trouble>,
) -> io::Result<()> {
    put_within(out, 0, write)
}

fn put_within(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Trouble>,
) -> io::Result<()> {
    let begin = out.len();
    loop {
        out.resize(begin + room, 0);
        let written = write(&mut out[begin..]);
        out.truncate(begin + *written.as_ref().unwrap_or(&0));
        match written {
            Ok(_) => return Ok(()),
            Err(Trouble::Short(required)) if required > room => room = required,
            Err(Trouble::Short(_)) => return Err(io::Error::other("no room is enough")),
            Err(Trouble::Other(error)) => return Err(error),
        }
    }
}

/// TLS that went wrong: no socket gives this kind.
fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What may wait for the rest of a message: a record is 18 KiB at most, a handshake message is less
/// from anybody who means well.
const INCOMING_MAX: usize = 32 << 10;

/// What TLS adds to a record, and more.
const OVERHEAD: usize = 64;
