//! Compares what a client got with what it should have got for what it sent.
//!
//! What it sent is read again in one piece, by a state machine that never has to wait: cutting and
//! blocking must make no difference.

use std::collections::HashMap;
use std::io::{Cursor, ErrorKind};

use serde_json::value::RawValue;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::server::close::{self, CloseReason};
use crate::server::tests::properties::request::{check_reply, object, string, watched};
use crate::server::tests::simulation::net::Closed;

/// The symbols of the server.
pub(super) const SYMBOLS: [&str; 3] = ["A", "B/C", "€"];

/// What a client sent.
pub(super) struct Seen {
    texts: Vec<String>,
    pings: Vec<Vec<u8>>,
    /// Why that ends the connection, if it does.
    end: Option<CloseReason>,
    /// The answer to a close frame from the client.
    goodbye: Option<Vec<u8>>,
}

/// A frame that the client got.
type Frame<'o> = (OpCode, &'o [u8]);

impl Seen {
    pub(super) fn new(sent: &[u8], limit: usize) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let mut context = WebSocketContext::new(Role::Server, Some(config));
        let mut stream = OneWay {
            sent: Cursor::new(sent),
            answered: Vec::new(),
        };
        let mut seen = Self {
            texts: Vec::new(),
            pings: Vec::new(),
            end: None,
            goodbye: None,
        };
        while seen.end.is_none() {
            match context.read(&mut stream) {
                Ok(Message::Text(text)) => seen.texts.push(text.to_string()),
                Ok(Message::Ping(payload)) => seen.pings.push(payload.to_vec()),
                Ok(Message::Binary(_)) => seen.end = Some(CloseReason::Binary),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => seen.end = Some(error.into()),
            }
        }
        let (frames, _) = frames(&stream.answered);
        let goodbye = frames.last().filter(|(opcode, _)| *opcode == CLOSE);
        seen.goodbye = goodbye.map(|(_, payload)| payload.to_vec());
        seen
    }

    /// Judges `out`, everything that the client got. `reason` is why it was closed; `is_whole` says
    /// that it took everything that was sent. With `gaps`, it has skipped ticks.
    pub(super) fn check(&self, out: &[u8], reason: Option<Closed>, is_whole: bool, gaps: bool) {
        let head = out.windows(4).position(|part| part == b"\r\n\r\n");
        let out = &out[head.expect("the handshake is answered") + 4..];
        let (frames, rest) = frames(out);
        assert!(
            rest.is_empty() || !is_whole,
            "{} bytes of a torn frame",
            rest.len()
        );
        let closes = frames.iter().filter(|(opcode, _)| *opcode == CLOSE).count();
        let last = frames.last().filter(|(opcode, _)| *opcode == CLOSE);
        assert_eq!(
            closes,
            usize::from(last.is_some()),
            "frames behind a close frame"
        );
        let replies = self.check_texts(&frames, gaps);
        self.check_pongs(&frames);
        self.check_end(reason, last.map(|(_, payload)| *payload), is_whole);
        if is_whole && reason.is_none() {
            assert_eq!(replies, self.texts.len(), "requests without an answer");
        }
    }

    /// Checks why it was closed and the close code that it got.
    fn check_end(&self, reason: Option<Closed>, told: Option<&[u8]>, is_whole: bool) {
        let Some(reason) = reason else {
            assert!(told.is_none(), "told goodbye, but kept");
            let missed = self.end.as_ref().filter(|_| is_whole);
            assert!(missed.is_none(), "goes on after: {missed:?}");
            return;
        };
        let name = close::NAMES[reason.reason];
        if OWN.contains(&name) {
            let end = self.end.as_ref().map(CloseReason::index);
            assert_eq!(end, Some(reason.reason), "{name}, not {:?}", self.end);
        }
        if !is_whole || matches!(name, "vanished" | "failed") {
            return;
        }
        if reason.code.is_some() {
            let told = told.and_then(|told| told.first_chunk());
            assert_eq!(told.map(|told| u16::from_be_bytes(*told)), reason.code);
        } else {
            assert_eq!(told, self.goodbye.as_deref(), "{name}");
        }
    }

    /// Answers come in the order of the requests, and each tick comes once, only to readers of its
    /// symbol. Returns how many answers there are.
    fn check_texts(&self, frames: &[Frame<'_>], gaps: bool) -> usize {
        let mut set: Vec<String> = SYMBOLS.map(str::to_owned).to_vec();
        let mut last: HashMap<String, u64> = HashMap::new();
        let mut gaps = gaps;
        let mut asked = self.texts.iter();
        for (_, payload) in frames.iter().filter(|(opcode, _)| *opcode == TEXT) {
            let text = std::str::from_utf8(payload).expect("UTF-8");
            let batch: Option<Vec<&RawValue>> = serde_json::from_str(text).ok();
            let ticks = batch.map_or(vec![text], |list| {
                list.iter().map(|message| message.get()).collect()
            });
            for tick in ticks {
                let fields = object(tick).unwrap_or_else(|| panic!("no JSON object: {text}"));
                if fields.contains_key("id") {
                    check_reply(asked.next().expect("an answer, but no request"), tick);
                    let op = fields.get("op").copied();
                    if matches!(op, Some("\"subscribe\"" | "\"unsubscribe\"")) {
                        set = watched(&SYMBOLS, &fields);
                        // Symbols that it keeps go on without a gap; new symbols start at any
                        // number.
                        last.retain(|symbol, _| set.contains(symbol));
                        gaps |= fields.contains_key("every");
                    }
                    continue;
                }
                let symbol = string(&fields, "symbol");
                assert!(
                    set.contains(&symbol),
                    "a tick of {symbol}, which it does not read"
                );
                let seq: u64 = fields["seq"].parse().expect("a number");
                let before = last.insert(symbol, seq);
                let is_next = before.is_none_or(|before| {
                    if gaps {
                        seq > before
                    } else {
                        seq == before + 1
                    }
                });
                assert!(is_next, "{text} after {before:?}");
            }
        }
        self.texts.len() - asked.len()
    }

    /// Pings are numbered, and each pong answers a later ping of the client than the one before.
    fn check_pongs(&self, frames: &[Frame<'_>]) {
        let mut pings = self.pings.iter();
        let mut heartbeat = 0;
        for (opcode, payload) in frames {
            match *opcode {
                OpCode::Control(Control::Pong) => {
                    assert!(pings.any(|ping| ping == payload), "a pong without a ping");
                }
                OpCode::Control(Control::Ping) => {
                    let number = std::str::from_utf8(payload).ok();
                    let number = number.and_then(|text| text.parse::<u32>().ok());
                    assert!(number > Some(heartbeat), "{number:?} after {heartbeat}");
                    heartbeat = number.unwrap_or(heartbeat);
                }
                _ => {}
            }
        }
    }
}

/// The whole frames in `bytes`, which must be of kinds that a server sends, and the bytes after
/// them.
fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, &[u8]) {
    let mut frames = Vec::new();
    loop {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).expect("a header") else {
            return (frames, bytes);
        };
        let is_plain = header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3;
        assert!(is_plain && header.mask.is_none(), "{header:?}");
        let opcode = header.opcode;
        assert!(KINDS.contains(&opcode), "{opcode}");
        let (start, length) = (cursor.position() as usize, length as usize);
        let Some(payload) = bytes.get(start..start + length) else {
            return (frames, bytes);
        };
        frames.push((opcode, payload));
        bytes = &bytes[start + length..];
    }
}

/// A stream that has all that was sent ready to read, and takes all that is written.
struct OneWay<'s> {
    sent: Cursor<&'s [u8]>,
    answered: Vec<u8>,
}

impl std::io::Read for OneWay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.sent.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl std::io::Write for OneWay<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.answered.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The reasons to be closed that a client itself gives by what it sends.
const OWN: [&str; 5] = [
    "closed_by_client",
    "protocol",
    "binary",
    "bad_text",
    "too_big",
];

const TEXT: OpCode = OpCode::Data(Data::Text);
const CLOSE: OpCode = OpCode::Control(Control::Close);
const KINDS: [OpCode; 4] = [
    TEXT,
    CLOSE,
    OpCode::Control(Control::Ping),
    OpCode::Control(Control::Pong),
];
