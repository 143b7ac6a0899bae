//! What a simulated client is like and what it says: requests, pings and nonsense, in frames that
//! travel in pieces of any size.

use std::collections::VecDeque;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::model::{Place, Set};
use super::net::Closed;

/// How a client takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All of it, whenever it can, and it answers.
    Eager,
    /// A few bytes at a time.
    Slow,
    /// All or nothing.
    Fitful,
    /// Nothing, ever.
    Never,
}

/// A client: what it is waiting for, and what the server has said to it.
pub(super) struct Client {
    pub(super) kind: Kind,
    /// Where it reads, once it was let in.
    pub(super) place: Option<Place>,
    /// What it asked for: a set, if it is one that can be had, and from when on.
    pub(super) wish: (Option<Set>, Option<u64>),
    /// It was let in, at some time.
    pub(super) let_in: bool,
    /// The answer to its request, as far as it has come.
    pub(super) answer: Vec<u8>,
    /// What the server has decided to send and the socket has not taken.
    pub(super) pending: Vec<u8>,
    /// Bytes that the server has decided to send, and bytes that the client took.
    pub(super) committed: u64,
    pub(super) taken: u64,
    /// On its way to the server.
    pub(super) outgoing: VecDeque<u8>,
    /// The answers that must come, in this order.
    pub(super) expects: VecDeque<Expect>,
    /// Frames that must come before all else.
    pub(super) owed: VecDeque<Vec<u8>>,
    /// Heartbeats: where they end in what was sent, and what their pongs must say.
    pub(super) pings: VecDeque<(u64, Vec<u8>)>,
    /// The last heartbeat that it answered.
    pub(super) ponged: u32,
    /// When anything that it said arrived last, and when all of its request had, µs.
    pub(super) arrived: u64,
    pub(super) asked: Option<u64>,
    /// When the server's socket took anything for it last, µs.
    pub(super) moved: u64,
    /// When it may last have missed what was printed, for want of room, µs.
    pub(super) hindered: Option<u64>,
    /// Bytes that the socket has taken for it in all.
    pub(super) written: u64,
    /// The server has accepted it, has not turned it away at once, and when that was, µs.
    pub(super) accepted: bool,
    pub(super) served: bool,
    pub(super) began: u64,
    /// When it is to be told that the server stops, µs.
    pub(super) goodbye_due: Option<u64>,
    /// How the server closes it, as it shows in the step that is looked at; and what was seen of it.
    pub(super) closing: Option<Closed>,
    pub(super) closed: Option<Closed>,
    /// Where the writes to it began in what was sent, those that nobody has looked at.
    pub(super) writes: VecDeque<u64>,
    /// Bytes that it has said, those of them that have arrived, and where messages end that have not.
    said: u64,
    came: u64,
    request: u64,
    ends: VecDeque<u64>,
    /// Messages that have arrived, and those that the server has read.
    pub(super) told: u64,
    pub(super) heard: u64,
    /// The close code that the server sent; nothing may follow.
    pub(super) farewell: Option<u16>,
    /// Why the server may close it, by the name of the reason.
    pub(super) sin: Option<&'static str>,
    sent: u32,
}

/// An answer that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Pong(Vec<u8>),
    Close,
    Time(u32),
    Get { symbol: usize, id: u32 },
    Change { subscribe: bool, set: Set, id: u32 },
    Error(u32),
}

impl Client {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            place: None,
            wish: (None, None),
            let_in: false,
            answer: Vec::new(),
            pending: Vec::new(),
            committed: 0,
            taken: 0,
            outgoing: VecDeque::new(),
            expects: VecDeque::new(),
            owed: VecDeque::new(),
            pings: VecDeque::new(),
            ponged: 0,
            arrived: 0,
            asked: None,
            moved: 0,
            hindered: None,
            written: 0,
            accepted: false,
            served: false,
            began: 0,
            goodbye_due: None,
            closing: None,
            closed: None,
            writes: VecDeque::new(),
            said: 0,
            came: 0,
            request: 0,
            ends: VecDeque::new(),
            told: 0,
            heard: 0,
            farewell: None,
            sin: None,
            sent: 0,
        }
    }

    /// Asks to be let in, or for something else.
    pub(super) fn ask(&mut self, rng: &mut fastrand::Rng, names: &[String], stamp: u64) {
        let all = (1 << names.len()) - 1;
        let mut query = Vec::new();
        self.wish = (Some(all), None);
        if rng.u8(..3) == 0 {
            let set = rng.u32(1..=all);
            query.push(format!("symbols={}", listed(names, set).join(",")));
            self.wish.0 = Some(set);
        }
        if rng.u8(..3) == 0 {
            let back = rng.u64(..60_000);
            let since = match rng.u8(..8) {
                0 => stamp + back,
                1 => stamp,
                _ => stamp.saturating_sub(back),
            };
            query.push(format!("since={since}"));
            self.wish.1 = Some(since);
        }
        let mut head = format!(
            "GET /?{} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            query.join("&")
        );
        let odd = match rng.u8(..40) {
            0 if rng.bool() => Some(("served", "GET / HTTP/1.1\r\nHost: here\r\n\r\n")),
            0 => Some(("served", "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")),
            1 => Some(("refused", "POST / HTTP/1.1\r\nHost: here\r\n\r\n")),
            2 => Some(("refused", "\x16\x03\x01\x02")),
            3 => Some(("refused", "GET /x HTTP/1.1\r\nHost: here\r\n\r\n")),
            4 => Some(("handshake_timeout", "GET / HTTP/1.1\r\nHo")),
            5 => Some(("handshake_timeout", "")),
            _ => None,
        };
        if let Some((reason, text)) = odd {
            self.sin = Some(reason);
            self.wish.0 = None;
            head = text.to_owned();
        }
        self.say(head.bytes());
        self.request = self.said;
    }

    fn say(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let waiting = self.outgoing.len();
        self.outgoing.extend(bytes);
        self.said += (self.outgoing.len() - waiting) as u64;
    }

    /// The next `length` bytes arrive at the server, at `now`.
    pub(super) fn arrive(&mut self, length: usize, now: u64) -> Vec<u8> {
        if length > 0 {
            self.arrived = now;
        }
        self.came += length as u64;
        if self.came >= self.request && self.sin != Some("handshake_timeout") {
            self.asked.get_or_insert(now);
        }
        while self.ends.front().is_some_and(|&end| end <= self.came) {
            self.ends.pop_front();
            self.told += 1;
        }
        self.outgoing.drain(..length).collect()
    }

    /// Says something, if it may.
    pub(super) fn speak(&mut self, rng: &mut fastrand::Rng, names: &[String]) {
        if self.place.is_none() || self.sin.is_some() || self.sent >= MESSAGES_MAX {
            return;
        }
        let (symbol, set) = (rng.usize(..names.len()), rng.u32(..1 << names.len()));
        let id = rng.u32(..1000);
        match rng.u8(..100) {
            0..20 => {
                let length = if rng.bool() { 125 } else { rng.usize(..10) };
                self.ping(vec![b'p'; length], rng);
            }
            20..40 => self.request(
                &format!(r#"{{"op":"ping","id":{id}}}"#),
                Expect::Time(id),
                rng,
            ),
            40..60 => {
                let text = format!(r#"{{"op":"get","symbol":"{}","id":{id}}}"#, names[symbol]);
                self.request(&text, Expect::Get { symbol, id }, rng);
            }
            60..85 => {
                let subscribe = rng.bool();
                let op = if subscribe {
                    "subscribe"
                } else {
                    "unsubscribe"
                };
                let listed = serde_json::Value::from(listed(names, set));
                let text = format!(r#"{{"op":"{op}","symbols":{listed},"id":{id}}}"#);
                self.request(&text, Expect::Change { subscribe, set, id }, rng);
            }
            85..94 => self.request(
                &format!(r#"{{"op":"buy","id":{id}}}"#),
                Expect::Error(id),
                rng,
            ),
            94 => self.say_goodbye(rng),
            _ => self.sin(rng),
        }
    }

    /// Bytes that may be kept for it: the rest of a frame, an answer, a snapshot, a pong and a close
    /// frame, with room; or a page.
    pub(super) fn pending_max(&self) -> usize {
        if self.sin == Some("served") {
            64 * 1024
        } else {
            8192
        }
    }

    /// Says goodbye, if nothing worse came before.
    pub(super) fn say_goodbye(&mut self, rng: &mut fastrand::Rng) {
        if self.place.is_some() && self.sin.is_none() {
            self.sin = Some("closed_by_client");
            self.expects.push_back(Expect::Close);
            self.frame(&GOODBYE, OpCode::Control(Control::Close), true, rng);
        }
    }

    /// Answers the heartbeats that it has taken.
    pub(super) fn pong(&mut self, rng: &mut fastrand::Rng) {
        while self
            .pings
            .front()
            .is_some_and(|(end, _)| *end <= self.taken)
        {
            let (_, payload) = self.pings.pop_front().unwrap_or_default();
            let number = std::str::from_utf8(&payload).ok();
            self.ponged = number.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.frame(&payload, OpCode::Control(Control::Pong), true, rng);
        }
    }

    fn ping(&mut self, payload: Vec<u8>, rng: &mut fastrand::Rng) {
        self.frame(&payload, OpCode::Control(Control::Ping), true, rng);
        self.expects.push_back(Expect::Pong(payload));
    }

    fn request(&mut self, text: &str, expect: Expect, rng: &mut fastrand::Rng) {
        let bytes = text.as_bytes();
        let whole = rng.u8(..4) > 0;
        let (first, rest) = bytes.split_at(if whole { bytes.len() } else { rng.usize(..9) });
        self.frame(first, OpCode::Data(Data::Text), whole, rng);
        if !whole {
            if rng.bool() {
                self.ping(b"between".to_vec(), rng);
            }
            self.frame(rest, OpCode::Data(Data::Continue), true, rng);
        }
        self.expects.push_back(expect);
    }

    fn sin(&mut self, rng: &mut fastrand::Rng) {
        let text = OpCode::Data(Data::Text);
        match rng.u8(..5) {
            0 => {
                self.frame(b"\0\x01", OpCode::Data(Data::Binary), true, rng);
                self.sin = Some("binary");
            }
            1 => {
                self.frame(b"\xff\xfe", text, true, rng);
                self.sin = Some("bad_text");
            }
            2 => {
                self.frame(&[b' '; 5000], text, true, rng);
                self.sin = Some("too_big");
            }
            3 => {
                for _ in 0..4 * MESSAGES_MAX {
                    self.ping(b"f".to_vec(), rng);
                }
                self.sin = Some("flood");
            }
            _ => {
                self.say(*b"\xf1\x80abcd");
                self.sin = Some("protocol");
            }
        }
    }

    fn frame(&mut self, payload: &[u8], opcode: OpCode, is_final: bool, rng: &mut fastrand::Rng) {
        let mask = rng.u32(..).to_be_bytes();
        let header = FrameHeader {
            is_final,
            opcode,
            mask: Some(mask),
            ..FrameHeader::default()
        };
        let mut out = Vec::new();
        let length = payload.len() as u64;
        header
            .format(length, &mut out)
            .expect("a vector takes every write");
        let masked = payload.iter().zip(mask.iter().cycle());
        out.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.say(out);
        if is_final {
            self.ends.push_back(self.said);
        }
        self.sent += 1;
    }
}

/// The names of a set's symbols.
pub(super) fn listed(names: &[String], set: Set) -> Vec<String> {
    let of_set = names.iter().enumerate();
    let of_set = of_set.filter(|(index, _)| set >> index & 1 == 1);
    of_set.map(|(_, name)| name.clone()).collect()
}

/// What a client says at the end: 1000, that all is well (RFC 6455 section 7.4.1).
pub(super) const GOODBYE: [u8; 2] = 1000u16.to_be_bytes();

/// Fewer than are allowed at once, with the parts of messages that are sent in two.
const MESSAGES_MAX: u32 = 40;

/// Messages that the server allows at once: too few for a flood, enough for all others.
pub(super) const BURST: f32 = 100.0;
