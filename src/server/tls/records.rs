//! TLS without a socket: decrypts records and encrypts plain text.
//!
//! Rustls runs without its own buffers, which would last as long as the client. The buffers here
//! hold only incomplete records and undelivered plain text; at rest they use no memory.

use std::io;
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, WriteTraffic};
use rustls::{ProtocolVersion, ServerConfig};

/// The server's side of one TLS session.
pub(super) struct Records {
    session: Box<UnbufferedServerConnection>,
    /// Bytes of an incomplete record or handshake message.
    incoming: Vec<u8>,
    /// Plain text that did not fit the reader's buffer.
    plaintext: Vec<u8>,
    /// The client has sent its `close_notify`.
    ended: bool,
    /// TLS has failed, and any alert has been written.
    failed: bool,
}

/// The output once all input is handled.
#[derive(Clone, Copy)]
enum Say<'a> {
    Nothing,
    Text(&'a [u8]),
    CloseNotify,
}

/// Receives plain text: fills the reader's buffer first, and keeps the rest.
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

    /// Whether the handshake is still under way.
    pub(super) fn is_securing(&self) -> bool {
        self.session.is_handshaking() && !self.failed
    }

    /// Whether there are keys to send anything with.
    pub(super) fn can_speak(&self) -> bool {
        !self.session.is_handshaking() && !self.failed
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn has_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    /// Moves plain text that did not fit before into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let length = buffer.len().min(self.plaintext.len());
        buffer[..length].copy_from_slice(&self.plaintext[..length]);
        self.plaintext.drain(..length);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        length
    }

    /// Accepts bytes from the socket.
    ///
    /// # Errors
    /// When too many bytes arrived without completing a message.
    pub(super) fn arrive(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.incoming.len() > INCOMING_MAX {
            return Err(invalid("a TLS message over the limit"));
        }
        self.incoming.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether the server ends the handshake with nothing but tickets for the next one, as in TLS
    /// 1.3. In TLS 1.2 the client waits for that last message.
    pub(super) fn has_ticket_to_send(&self) -> bool {
        self.can_speak() && self.session.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Decrypts the bytes that have arrived. Returns the length of the plain text in `buffer`, and
    /// appends TLS's answers to `outgoing`.
    ///
    /// # Errors
    /// Those of rustls, after the alert to the client is written.
    pub(super) fn open(&mut self, buffer: &mut [u8], outgoing: &mut Vec<u8>) -> io::Result<usize> {
        let filled = self.drive(Say::Nothing, buffer, outgoing);
        self.tidy();
        filled
    }

    /// Encrypts `text`, at most one record of it, and appends it to `outgoing`.
    ///
    /// # Errors
    /// When there are no keys, or they are used up.
    pub(super) fn seal(&mut self, text: &[u8], outgoing: &mut Vec<u8>) -> io::Result<()> {
        self.drive(Say::Text(text), &mut [], outgoing).map(drop)
    }

    /// Appends the end of the stream to `outgoing`: `close_notify`.
    pub(super) fn close_notify(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        self.drive(Say::CloseNotify, &mut [], outgoing).map(drop)
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
                // More bytes must arrive, or no output is left.
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

    /// Handles a failure of TLS: writes the alert, and ignores all further input.
    fn fail(&mut self, used: usize, outgoing: &mut Vec<u8>) {
        self.failed = true;
        let status = self.session.process_tls_records(&mut self.incoming[used..]);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // An alert that cannot be encoded is not needed.
            let _ = put(outgoing, |room| data.encode(room).map_err(Trouble::from));
        }
        self.incoming = Vec::new();
    }

    /// Frees the memory of empty buffers.
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
            Self::CloseNotify => put_within(outgoing, OVERHEAD, |room| {
                traffic.queue_close_notify(room).map_err(Trouble::from)
            }),
        }
    }
}

/// The reason that a buffer could not be filled.
enum Trouble {
    /// The output needs this many bytes.
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

/// Appends the output of `write`, which is called again with more room if it asks for that.
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

/// Marks a failure of TLS, with a kind that no socket returns.
fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The most bytes of an incomplete message: a record has 18 KiB at most, and an honest handshake
/// message is shorter.
const INCOMING_MAX: usize = 32 << 10;

/// An upper bound of the bytes that TLS adds to a record.
const OVERHEAD: usize = 64;
