//! Turns the bytes of a connection into messages.
//!
//! Nearly all data consists of whole text frames that the server pushes: those are passed on
//! straight from the read buffer. A frame cut off by the end of a read is kept until the rest
//! arrives. Everything else (pings, closes, fragments) goes to tungstenite, one whole frame at a
//! time; its machine exists only while it has something to do. So an idle connection owns no
//! memory.

use std::io::{Cursor, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::client::received::Payload;
use crate::client::ws::codec::{Codec, MESSAGE_SIZE_MAX, connection_error, too_long};
use crate::client::ws::error::ConnectionError;
use crate::frame;

/// The state of the stream between two reads.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of a frame whose end has not arrived.
    partial: Vec<u8>,
    codec: Option<Box<Codec>>,
}

impl Frames {
    /// Takes the next piece of the stream and passes each complete message to `on_message`. Answers
    /// to the server are written to `socket`.
    ///
    /// # Errors
    /// Why the connection ends; this includes the server's close frame, which has then been
    /// answered.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        socket: &mut impl Write,
        mut on_message: impl FnMut(Payload<'_>),
    ) -> Result<(), ConnectionError> {
        while !self.partial.is_empty() && !bytes.is_empty() {
            let missing = missing(&self.partial)?.min(bytes.len());
            self.partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            self.take_completed(socket, &mut on_message)?;
        }
        while !bytes.is_empty() {
            if let Some((payload, length)) = self.pushed_text(bytes) {
                on_message(Payload::Text(payload));
                bytes = &bytes[length..];
                continue;
            }
            // Usually the last frame of a read, cut off by the end of the buffer.
            match frame_length(bytes)?.and_then(|length| bytes.split_at_checked(length)) {
                Some((frame, rest)) => {
                    self.take_other(frame, socket, &mut on_message)?;
                    bytes = rest;
                }
                None => {
                    self.partial = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Begins the closing handshake with code 1000.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn close(&mut self, socket: &mut impl Write) -> Result<(), ConnectionError> {
        self.codec().close(socket, CloseCode::Normal)
    }

    /// Whether a text may be sent: all earlier ones have been sent.
    pub(crate) fn has_room(&self) -> bool {
        self.codec.as_ref().is_none_or(|codec| codec.is_flushed())
    }

    /// Sends a text message. What the socket does not take is kept for [`flush`](Self::flush).
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn send(
        &mut self,
        socket: &mut impl Write,
        text: String,
    ) -> Result<(), ConnectionError> {
        self.codec().send(socket, text)?;
        self.drop_idle_codec();
        Ok(())
    }

    /// Sends what the socket did not take earlier.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> Result<(), ConnectionError> {
        match &mut self.codec {
            None => Ok(()),
            Some(codec) => {
                codec.flush(socket)?;
                self.drop_idle_codec();
                Ok(())
            }
        }
    }

    /// The fast path: `None` while a fragmented message is in progress, when no text may begin. It
    /// does not check for UTF-8: ticks are checked when they are read, and other texts may be
    /// anything.
    fn pushed_text<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], usize)> {
        match &self.codec {
            Some(codec) if !codec.is_between_messages() => None,
            _ => frame::pushed_text(bytes),
        }
    }

    /// Passes on the frame that was cut off, once it is complete.
    fn take_completed(
        &mut self,
        socket: &mut impl Write,
        on_message: &mut impl FnMut(Payload<'_>),
    ) -> Result<(), ConnectionError> {
        if missing(&self.partial)? > 0 {
            return Ok(());
        }
        let frame = std::mem::take(&mut self.partial);
        match self.pushed_text(&frame) {
            Some((payload, _)) => on_message(Payload::Text(payload)),
            None => self.take_other(&frame, socket, on_message)?,
        }
        Ok(())
    }

    fn take_other(
        &mut self,
        frame: &[u8],
        socket: &mut impl Write,
        on_message: &mut impl FnMut(Payload<'_>),
    ) -> Result<(), ConnectionError> {
        self.codec().take(frame, socket, on_message)?;
        self.drop_idle_codec();
        Ok(())
    }

    fn codec(&mut self) -> &mut Codec {
        self.codec.get_or_insert_with(|| Box::new(Codec::new()))
    }

    fn drop_idle_codec(&mut self) {
        self.codec = self.codec.take().filter(|codec| codec.is_needed());
    }
}

/// How many bytes are still missing of the frame that `partial` begins; while the header is
/// incomplete, one.
fn missing(partial: &[u8]) -> Result<usize, ConnectionError> {
    Ok(frame_length(partial)?.map_or(1, |length| length - partial.len().min(length)))
}

/// The length of the whole frame at the start of `bytes`; `None` if its header is incomplete.
fn frame_length(bytes: &[u8]) -> Result<Option<usize>, ConnectionError> {
    let mut cursor = Cursor::new(bytes);
    let Some((_, payload)) = FrameHeader::parse(&mut cursor).map_err(connection_error)? else {
        return Ok(None);
    };
    // Checked before waiting for the payload: the length is only a claim.
    let payload = usize::try_from(payload).unwrap_or(usize::MAX);
    if payload > MESSAGE_SIZE_MAX {
        return Err(too_long());
    }
    // The header is a few bytes, and the payload's length has just been checked to fit in memory.
    Ok(Some(cursor.position() as usize + payload))
}

#[cfg(test)]
mod tests;
