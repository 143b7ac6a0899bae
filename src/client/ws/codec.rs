//! tungstenite's protocol machine, for the frames that need one: pings, closes, fragments.
//!
//! It is fed whole frames, so it need not exist between two messages.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use crate::client::received::Payload;
use crate::client::ws::error::ConnectionError;
use crate::error_text::plain_text;
use crate::frame::Boundaries;

/// One connection's protocol machine.
#[derive(Debug)]
pub(crate) struct Codec {
    context: WebSocketContext,
    boundaries: Boundaries,
    /// Frames since it was last between two messages.
    frames: u32,
    /// Whether all its output has been sent.
    flushed: bool,
}

impl Codec {
    pub(crate) fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_MAX)
            .max_frame_size(Some(MESSAGE_SIZE_MAX))
            .max_message_size(Some(MESSAGE_SIZE_MAX));
        Self {
            context: WebSocketContext::new(Role::Client, Some(config)),
            boundaries: Boundaries::default(),
            frames: 0,
            flushed: true,
        }
    }

    /// Whether text frames may bypass it: no fragmented message is in progress.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.boundaries.at_rest()
    }

    /// Whether it has to be kept: a fragmented message is in progress, output is unsent, or a close
    /// frame has been sent, after which nothing may follow.
    pub(crate) fn is_needed(&self) -> bool {
        !self.boundaries.at_rest() || !self.flushed || !self.context.can_write()
    }

    pub(crate) fn take(
        &mut self,
        frame: &[u8],
        socket: &mut impl Write,
        on_message: &mut impl FnMut(Payload<'_>),
    ) -> Result<(), ConnectionError> {
        self.boundaries.advance(frame);
        self.frames = if self.boundaries.at_rest() {
            0
        } else {
            self.frames + 1
        };
        if self.frames > FRAGMENTS_MAX {
            // Empty fragments would never reach the limit on a message's size.
            let _ = self.close(socket, CloseCode::Protocol);
            let what = format!("a message in more than {FRAGMENTS_MAX} fragments");
            return Err(ConnectionError::Protocol(what));
        }
        let mut line = Line { frame, socket };
        let read = loop {
            match self.context.read(&mut line) {
                Ok(Message::Text(text)) => on_message(Payload::Text(text.as_bytes())),
                Ok(Message::Binary(bytes)) => on_message(Payload::Binary(&bytes)),
                Ok(Message::Close(close)) => break Err(closed(close)),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(connection_error(error)),
            }
        };
        if let Err(ConnectionError::Protocol(_)) = read {
            // The server should learn the reason, but the connection ends even if it cannot.
            let _ = self.close(socket, CloseCode::Protocol);
            return read;
        }
        self.flush(socket)?;
        read
    }

    /// Whether all its output has been sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushed
    }

    pub(crate) fn send(
        &mut self,
        socket: &mut impl Write,
        text: String,
    ) -> Result<(), ConnectionError> {
        let mut line = Line { frame: &[], socket };
        let sent = self.context.write(&mut line, Message::text(text));
        let sent = sent.and_then(|()| self.context.flush(&mut line));
        self.note_flushed(sent)
    }

    pub(crate) fn close(
        &mut self,
        socket: &mut impl Write,
        code: CloseCode,
    ) -> Result<(), ConnectionError> {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::default(),
        };
        let mut line = Line { frame: &[], socket };
        let closed = self.context.close(&mut line, Some(frame));
        self.note_flushed(closed)
    }

    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> Result<(), ConnectionError> {
        let flushed = self.context.flush(&mut Line { frame: &[], socket });
        self.note_flushed(flushed)
    }

    fn note_flushed(&mut self, flushed: tungstenite::Result<()>) -> Result<(), ConnectionError> {
        self.flushed = flushed.is_ok();
        match flushed {
            Err(Error::Io(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                Err(ConnectionError::Reset(error))
            }
            _ => Ok(()),
        }
    }
}

/// Yields one frame and then blocks; writes go to the socket.
struct Line<'a, W> {
    frame: &'a [u8],
    socket: &'a mut W,
}

impl<W> Read for Line<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.frame.read(buffer) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn closed(close: Option<CloseFrame>) -> ConnectionError {
    ConnectionError::Closed {
        code: close
            .as_ref()
            .map_or(CloseCode::Status, |close| close.code)
            .into(),
        reason: close.map_or_else(String::new, |close| close.reason.to_string()),
    }
}

/// Converts an error of tungstenite.
pub(crate) fn connection_error(error: Error) -> ConnectionError {
    match error {
        Error::Io(error) => ConnectionError::Reset(error),
        Error::Capacity(_) => too_long(),
        // The sentence already mentions the protocol.
        Error::Protocol(error) => ConnectionError::Protocol(plain_text(&error.to_string())),
        error => ConnectionError::Protocol(error.to_string()),
    }
}

/// The error for a message of more than [`MESSAGE_SIZE_MAX`], in one frame or several.
pub(crate) fn too_long() -> ConnectionError {
    ConnectionError::Protocol("a message of more than 1 MiB".to_owned())
}

/// The most frames of one message: one MiB in pieces of 256 bytes.
const FRAGMENTS_MAX: u32 = 4096;

/// The longest message that is assembled; a tick has about a hundred bytes.
pub(crate) const MESSAGE_SIZE_MAX: usize = 1 << 20;

/// Room for a request, a pong and a close frame.
const WRITE_BUFFER_MAX: usize = 20 * 1024;
