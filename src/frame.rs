//! WebSocket framing (RFC 6455 section 5) outside tungstenite: writes the frames that all clients
//! share, and finds where frames end in a byte stream.
//!
//! Knowing the boundaries lets an idle connection do without a codec: tungstenite's state machine
//! is needed only between the first byte of a message and its last.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The first byte of a text message in a single frame.
const FINAL_TEXT: u8 = 0x81;

/// The longest reason that fits into a close frame besides its code (RFC 6455 section 5.5).
pub const CLOSE_REASON_MAX: usize = 123;

/// Two bytes, eight of length, four of mask (RFC 6455 section 5.2).
const HEADER_LENGTH_MAX: usize = 14;

/// Appends `payload` to `out` as an unmasked text frame.
pub fn text(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Data(Data::Text), payload);
}

/// Appends an unmasked ping. `payload` must not exceed 125 bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, OpCode::Control(Control::Ping), payload);
}

/// Appends an unmasked close frame; a reason that is too long is cut at a character.
pub fn close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_MAX)];
    let payload = [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat();
    frame(out, OpCode::Control(Control::Close), &payload);
}

/// Whether `bytes` begin with a close frame, as [`close`] writes it.
pub fn is_close(bytes: &[u8]) -> bool {
    const FINAL_CLOSE: u8 = 0x88;
    bytes.first() == Some(&FINAL_CLOSE)
}

fn frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    header
        .format(payload.len() as u64, out)
        .expect("a vector takes every write");
    out.extend_from_slice(payload);
}

/// The payload of the text frame at the start of `bytes`, and the length of the whole frame, if it
/// is the plain kind that servers push: unfragmented, unmasked, and complete.
pub fn pushed_text(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (&[FINAL_TEXT, length], rest) = bytes.split_first_chunk::<2>()? else {
        return None;
    };
    let (length, rest) = match length {
        0..126 => (usize::from(length), rest),
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // Masked, or too long for a tick.
        _ => return None,
    };
    let payload = rest.get(..length)?;
    Some((payload, bytes.len() - rest.len() + length))
}

/// The payload of one whole frame that this module wrote: unmasked, with the shortest header. Empty
/// for an empty frame.
pub fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(..126) => 2,
        Some(126) => 4,
        _ => 10,
    };
    frame.get(header..).unwrap_or_default()
}

/// Whether one whole frame is a text frame.
pub fn is_text(frame: &[u8]) -> bool {
    frame.first() == Some(&FINAL_TEXT)
}

/// Follows the frames of a byte stream that arrives in pieces of any size.
#[derive(Debug, Default)]
pub struct Boundaries {
    /// The bytes of a header that has not arrived in full.
    header: Vec<u8>,
    /// How many bytes of the current frame's payload have not arrived.
    payload_left: u64,
    /// Whether a fragmented message is in progress.
    in_message: bool,
    /// Whether there are no more boundaries: a header was invalid, or a close frame has begun.
    over: bool,
}

impl Boundaries {
    /// Takes the next piece of the stream. Returns how many frames began in it.
    pub fn advance(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        while !bytes.is_empty() && !self.over {
            if self.payload_left > 0 {
                let here = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            frames += u32::from(self.header.is_empty());
            let known = self.header.len();
            self.header
                .extend_from_slice(&bytes[..bytes.len().min(HEADER_LENGTH_MAX)]);
            let mut cursor = Cursor::new(&self.header);
            match FrameHeader::parse(&mut cursor) {
                Ok(Some((header, length))) => {
                    // The header did not need these bytes; they belong to the payload and were only
                    // looked at.
                    let used = usize::try_from(cursor.position()).unwrap_or(known) - known;
                    bytes = &bytes[used..];
                    self.header.clear();
                    self.payload_left = length;
                    match header.opcode {
                        OpCode::Data(_) => self.in_message = !header.is_final,
                        // Data after a close frame is ignored (RFC 6455 section 5.5.1).
                        OpCode::Control(control) => self.over = control == Control::Close,
                    }
                }
                Ok(None) => bytes = &[],
                Err(_) => self.over = true,
            }
        }
        frames
    }

    /// Whether the stream is between two messages, with no frame begun.
    pub fn at_rest(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0 && !self.in_message && !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::{Role, WebSocketContext};
    use tungstenite::{Bytes, Message};

    fn read_back(bytes: Vec<u8>) -> Message {
        let mut context = WebSocketContext::from_partially_read(bytes, Role::Client, None);
        let mut nothing = Cursor::new(Vec::new());
        context.read(&mut nothing).unwrap()
    }

    #[test]
    fn tungstenite_reads_our_frames() {
        let mut out = Vec::new();
        text(&mut out, "prices: 1 €".as_bytes());
        assert_eq!(read_back(out), Message::text("prices: 1 €"));
        let mut out = Vec::new();
        ping(&mut out, b"7");
        assert_eq!(read_back(out), Message::Ping(Bytes::from_static(b"7")));
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_at_a_character() {
        let mut out = Vec::new();
        close(&mut out, CloseCode::Policy, &"€".repeat(60));
        let Message::Close(Some(close)) = read_back(out) else {
            panic!("no close")
        };
        assert_eq!(
            (close.code, close.reason.as_str()),
            (CloseCode::Policy, &*"€".repeat(41))
        );
    }

    #[test]
    fn only_plain_pushed_text_is_taken_without_a_codec() {
        let mut long = Vec::new();
        text(&mut long, &[b'x'; 300]);
        long.push(0x89);
        assert_eq!(pushed_text(&long), Some((&[b'x'; 300][..], 304)));
        assert_eq!(pushed_text(&long[..303]), None);
        assert_eq!(pushed_text(b"\x81\x02hi"), Some((&b"hi"[..], 4)));
        for other in [
            &b"\x81"[..],
            b"\x01\x02hi",
            b"\x82\x02hi",
            b"\xc1\x02hi",
            b"\x81\x82masked",
        ] {
            assert_eq!(pushed_text(other), None);
        }
    }

    #[test]
    fn no_frames_follow_a_close() {
        let mut boundaries = Boundaries::default();
        assert_eq!(
            boundaries.advance(b"\x89\x00\x88\x02\x03\xe8\x89\x00\x89\x00"),
            2
        );
        assert_eq!(boundaries.advance(b"\x89\x00"), 0);
    }

    #[test]
    fn a_fragmented_message_is_at_rest_only_after_its_last_fragment() {
        let mut boundaries = Boundaries::default();
        assert_eq!(boundaries.advance(b"\x01\x01a"), 1);
        assert!(!boundaries.at_rest());
        // A control frame may come in between (RFC 6455 section 5.4).
        assert_eq!(boundaries.advance(b"\x89\x00"), 1);
        assert!(!boundaries.at_rest());
        assert_eq!(boundaries.advance(b"\x80\x01b"), 1);
        assert!(boundaries.at_rest());
    }

    proptest! {
        #[test]
        fn cuts_in_the_stream_do_not_move_boundaries(
            lengths in proptest::collection::vec(prop_oneof![0usize..200, Just(126), 65_000usize..66_000], 1..6),
            cuts in proptest::collection::vec(1usize..5_000, 1..40),
        ) {
            let mut stream = Vec::new();
            let mut ends = vec![0];
            for &length in &lengths {
                let mut frame = Frame::message(vec![b'x'; length], OpCode::Data(Data::Text), true);
                frame.header_mut().mask = Some([1, 2, 3, 4]);
                frame.format(&mut stream).unwrap();
                ends.push(stream.len());
            }
            let mut boundaries = Boundaries::default();
            let (mut at, mut frames) = (0, 0);
            for &cut in cuts.iter().cycle() {
                let end = stream.len().min(at + cut);
                frames += boundaries.advance(&stream[at..end]);
                at = end;
                prop_assert_eq!(boundaries.at_rest(), ends.contains(&at));
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(frames as usize, lengths.len());
        }

        #[test]
        fn no_bytes_make_boundaries_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            Boundaries::default().advance(&bytes);
            pushed_text(&bytes);
        }
    }
}
