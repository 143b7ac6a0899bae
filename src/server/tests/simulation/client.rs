//! Simulated clients: their nature, and the requests, pings and nonsense that they say, in frames
//! that travel in pieces of any size.

use std::collections::VecDeque;
use std::time::Duration;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::server::tests::simulation::list::{List, bare};
use crate::server::tests::simulation::model::{Model, Symbol};
use crate::server::tests::simulation::net::Closed;
use crate::server::tests::simulation::place::Place;
use crate::server::tests::simulation::tls::Peer;

/// How a client takes the bytes sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Takes everything, whenever it can, and answers.
    Eager,
    /// Takes a few bytes at a time.
    Slow,
    /// Takes everything or no bytes at all.
    Fitful,
    /// Never takes a byte.
    Never,
}

/// A client: what it waits for, and what the server has sent it.
pub(super) struct Client {
    pub(super) kind: Kind,
    /// Its end of TLS, if it speaks that.
    pub(super) tls: Option<Box<Peer>>,
    /// Where it reads, once the server has let it in.
    pub(super) place: Option<Place>,
    /// What it asked for, if it asked to read.
    pub(super) wish: Option<Wish>,
    /// Whether the server has ever let it in.
    pub(super) let_in: bool,
    /// The answer to its request, as far as it has arrived.
    pub(super) answer: Vec<u8>,
    /// Bytes that the server has decided to send and the socket has not taken.
    pub(super) pending: Vec<u8>,
    /// Bytes that the server has decided to send, and bytes that the client took.
    pub(super) committed: u64,
    pub(super) taken: u64,
    /// Bytes on their way to the server.
    pub(super) outgoing: VecDeque<u8>,
    /// The answers that must come, in this order.
    pub(super) expects: VecDeque<Expect>,
    /// Heartbeats: their ends in the stream sent to the client, and the payloads of their pongs.
    pub(super) pings: VecDeque<(u64, Vec<u8>)>,
    /// The last heartbeat that it was sent, and the last that it answered.
    pub(super) pinged: u32,
    pub(super) ponged: u32,
    /// When the last of its bytes arrived, and when its request had arrived whole, µs.
    pub(super) arrived: u64,
    pub(super) asked: Option<u64>,
    /// When the server's socket last took bytes for it, µs.
    pub(super) moved: u64,
    /// How many bytes the socket has taken for it.
    pub(super) written: u64,
    /// Whether the server accepted it and did not reject it immediately, and when, µs.
    pub(super) accepted: bool,
    pub(super) served: bool,
    pub(super) began: u64,
    /// When it is to be told that the server stops, µs.
    pub(super) goodbye_due: Option<u64>,
    /// How the server closes it in the current step, and what the client saw of that.
    pub(super) closing: Option<Closed>,
    pub(super) closed: Option<Closed>,
    /// The bytes that it has said, the bytes that have arrived, and the ends of messages still
    /// under way.
    said: u64,
    came: u64,
    request: u64,
    ends: VecDeque<u64>,
    /// Messages that have arrived, and messages that the server has read.
    pub(super) messages_arrived: u64,
    pub(super) messages_read: u64,
    /// The close code that the server sent; no frame may follow it.
    pub(super) farewell: Option<u16>,
    /// The name of the reason that the server has to close it.
    pub(super) sin: Option<&'static str>,
    sent: u32,
}

/// An expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Pong(Vec<u8>),
    Close,
    Time(u32),
    Get { name: String, id: u32 },
    List(u32),
    Change(Change),
    Error(u32),
}

/// What a client asks for when it connects.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// `None` for everything.
    pub(super) entries: Option<Vec<String>>,
    pub(super) since: Option<u64>,
    pub(super) every: Option<Duration>,
    pub(super) batches: bool,
}

/// A change of what it reads, or how; it changes the period and the JSON lists only if it names
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) subscribe: bool,
    pub(super) entries: Vec<String>,
    pub(super) every: Option<Option<Duration>>,
    pub(super) batches: Option<bool>,
    pub(super) id: u32,
}

impl Wish {
    /// The list that the change makes now, or the beginning of an error.
    pub(super) fn list(&self, model: &Model) -> Result<List, String> {
        match &self.entries {
            None => Ok(List::everything(&model.symbols)),
            Some(entries) => List::default().changed(entries, true, &model.symbols),
        }
    }

    /// Any wish, from these symbols; the newest tick has this stamp.
    fn any(rng: &mut fastrand::Rng, symbols: &[Symbol], stamp: u64) -> Self {
        let back = rng.u64(..60_000);
        let since = match rng.u8(..24) {
            0 if rng.bool() => Some(stamp + back * 100),
            0 => Some(stamp + back),
            1 => Some(stamp + 1),
            2 => Some(stamp),
            3..8 => Some(stamp.saturating_sub(back)),
            _ => None,
        };
        Self {
            entries: (rng.u8(..4) > 0).then(|| entries(rng, symbols)),
            since,
            every: (rng.u8(..6) == 0).then(|| period(rng)),
            batches: rng.u8(..5) == 0,
        }
    }

    fn query(&self) -> String {
        let mut query = Vec::new();
        if let Some(entries) = &self.entries {
            query.push(format!("symbols={}", entries.join(",")));
        }
        if let Some(since) = self.since {
            query.push(format!("since={since}"));
        }
        if let Some(every) = self.every {
            query.push(format!("every={}ms", every.as_millis()));
        }
        if self.batches {
            query.push("batch".to_owned());
        }
        query.join("&")
    }
}

impl Change {
    fn any(rng: &mut fastrand::Rng, symbols: &[Symbol], id: u32) -> Self {
        let subscribe = rng.u8(..5) > 1;
        let has_way = subscribe && rng.u8(..3) == 0;
        let every = (has_way && rng.bool()).then(|| rng.bool().then(|| period(rng)));
        Self {
            subscribe,
            entries: if has_way && rng.bool() {
                Vec::new()
            } else {
                entries(rng, symbols)
            },
            every,
            batches: (has_way && rng.bool()).then(|| rng.bool()),
            id,
        }
    }

    fn text(&self) -> String {
        let (op, id) = (
            if self.subscribe {
                "subscribe"
            } else {
                "unsubscribe"
            },
            self.id,
        );
        let entries = serde_json::Value::from(&*self.entries);
        let mut text = format!(r#"{{"op":"{op}","symbols":{entries},"id":{id}"#);
        match self.every {
            Some(Some(every)) => text += &format!(r#","every":"{}ms""#, every.as_millis()),
            Some(None) => text += r#","every":null"#,
            None => {}
        }
        if let Some(batches) = self.batches {
            text += &format!(r#","batch":{batches}"#);
        }
        text + "}"
    }
}

/// A few names, bare names and patterns; now and then an invalid one.
fn entries(rng: &mut fastrand::Rng, symbols: &[Symbol]) -> Vec<String> {
    (0..rng.usize(1..5)).map(|_| entry(rng, symbols)).collect()
}

fn entry(rng: &mut fastrand::Rng, symbols: &[Symbol]) -> String {
    let Some(symbol) = rng.choice(symbols) else {
        return "*".to_owned();
    };
    let name = &*symbol.name;
    let market = bare(name).unwrap_or(name);
    let source = name.strip_suffix(market).unwrap_or("");
    let (base, quote) = market.split_once('/').unwrap_or((market, ""));
    match rng.u8(..100) {
        0..52 => name.to_owned(),
        52..60 => market.to_owned(),
        60..72 => format!("*/{quote}"),
        72..84 => format!("{base}/*"),
        84..90 => format!("{source}*"),
        90..93 => format!("{source}{base}/*"),
        93..98 => "*".to_owned(),
        98 => format!("{base}/GONE"),
        _ => format!("{base}/U*"),
    }
}

/// One of a few periods, so that clients share them.
fn period(rng: &mut fastrand::Rng) -> Duration {
    let ms = [10, 20, 50, 250, 1000, 3000];
    Duration::from_millis(*rng.choice(&ms).unwrap_or(&10))
}

impl Client {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            tls: None,
            place: None,
            wish: None,
            let_in: false,
            answer: Vec::new(),
            pending: Vec::new(),
            committed: 0,
            taken: 0,
            outgoing: VecDeque::new(),
            expects: VecDeque::new(),
            pings: VecDeque::new(),
            pinged: 0,
            ponged: 0,
            arrived: 0,
            asked: None,
            moved: 0,
            written: 0,
            accepted: false,
            served: false,
            began: 0,
            goodbye_due: None,
            closing: None,
            closed: None,
            said: 0,
            came: 0,
            request: 0,
            ends: VecDeque::new(),
            messages_arrived: 0,
            messages_read: 0,
            farewell: None,
            sin: None,
            sent: 0,
        }
    }

    /// Sends a valid request.
    pub(super) fn ask_for(&mut self, wish: Wish) {
        let head = format!(
            "GET /?{} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            wish.query()
        );
        self.wish = Some(wish);
        self.say(head.bytes());
        self.request = self.said;
    }

    /// Sends a request, valid or not.
    pub(super) fn ask(&mut self, rng: &mut fastrand::Rng, model: &Model) {
        let wish = Wish::any(rng, &model.symbols, model.last_stamp);
        let odd = match rng.u8(..40) {
            0 if rng.bool() => Some((
                "served",
                "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            )),
            0 => Some((
                "served",
                "GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            )),
            1 => Some((
                "refused",
                "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            )),
            2 => Some(("refused", "\x16\x03\x01\x02")),
            3 => Some((
                "refused",
                "GET /x HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            )),
            4 => Some(("handshake_timeout", "GET / HTTP/1.1\r\nHo")),
            5 => Some(("handshake_timeout", "")),
            _ => None,
        };
        let Some((reason, text)) = odd else {
            return self.ask_for(wish);
        };
        self.sin = Some(reason);
        self.say(text.bytes());
        self.request = self.said;
    }

    fn say(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let waiting = self.outgoing.len();
        self.outgoing.extend(bytes);
        self.said += (self.outgoing.len() - waiting) as u64;
    }

    /// Speaks plain text to a server that expects TLS.
    pub(super) fn ask_in_plain_text(&mut self) {
        self.sin = Some("refused");
        self.say(*b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        self.request = self.said;
    }

    /// Sends bytes that are not TLS.
    pub(super) fn babble(&mut self) {
        self.sin = Some("tls");
        self.say(*b"\x99 is no record");
        self.request = self.said;
    }

    /// How many bytes it can send now.
    pub(super) fn sendable(&mut self) -> usize {
        match &mut self.tls {
            Some(tls) => tls.seal(&mut self.outgoing),
            None => self.outgoing.len(),
        }
    }

    /// Whether it has said anything that has not arrived.
    pub(super) fn has_unsaid(&self) -> bool {
        let is_on_its_way = self.tls.as_ref().is_some_and(|tls| tls.has_unsaid());
        is_on_its_way || !self.outgoing.is_empty()
    }

    /// Takes bytes that the network has held for it; with TLS, these are records.
    pub(super) fn take(&mut self, (count, records): &(usize, Vec<u8>)) {
        self.taken += match &mut self.tls {
            Some(tls) => tls.receive(records) as u64,
            None => *count as u64,
        };
    }

    /// Lets the next `length` bytes arrive at the server, at `now`.
    pub(super) fn arrive(&mut self, length: usize, now: u64) -> Vec<u8> {
        if length > 0 {
            self.arrived = now;
        }
        let bytes = if let Some(tls) = &mut self.tls {
            let (bytes, came) = tls.arrive(length);
            self.came = came;
            bytes
        } else {
            self.came += length as u64;
            self.outgoing.drain(..length).collect()
        };
        if self.came >= self.request && self.sin != Some("handshake_timeout") {
            self.asked.get_or_insert(now);
        }
        while self.ends.front().is_some_and(|&end| end <= self.came) {
            self.ends.pop_front();
            self.messages_arrived += 1;
        }
        bytes
    }

    /// Says something, if it may.
    pub(super) fn speak(&mut self, rng: &mut fastrand::Rng, symbols: &[Symbol]) {
        if self.place.is_none() || self.sin.is_some() || self.sent >= MESSAGES_MAX {
            return;
        }
        let id = rng.u32(..1000);
        match rng.u8(..100) {
            0..15 => {
                let length = if rng.bool() { 125 } else { rng.usize(..10) };
                self.ping(vec![b'p'; length], rng);
            }
            15..25 => self.request(
                &format!(r#"{{"op":"ping","id":{id}}}"#),
                Expect::Time(id),
                rng,
            ),
            25..40 => {
                let name = entry(rng, symbols).replace('*', "GONE");
                let text = format!(r#"{{"op":"get","symbol":"{name}","id":{id}}}"#);
                self.request(&text, Expect::Get { name, id }, rng);
            }
            40..45 => self.request(
                &format!(r#"{{"op":"list","id":{id}}}"#),
                Expect::List(id),
                rng,
            ),
            45..88 => {
                let change = Change::any(rng, symbols, id);
                self.ask_to_change(change, rng);
            }
            88..94 => self.request(
                &format!(r#"{{"op":"buy","id":{id}}}"#),
                Expect::Error(id),
                rng,
            ),
            94 => self.send_close(rng),
            _ => self.sin(rng),
        }
    }

    /// Asks to read another list, or in another way.
    pub(super) fn ask_to_change(&mut self, change: Change, rng: &mut fastrand::Rng) {
        self.request(&change.text(), Expect::Change(change), rng);
    }

    /// The most bytes that the server may keep for it: the rest of a frame, an answer, a snapshot,
    /// a pong and a close frame, with some margin; or a page.
    pub(super) fn pending_max(&self) -> usize {
        if self.sin == Some("served") {
            64 * 1024
        } else {
            96 * 1024
        }
    }

    /// Sends a close frame, unless it has given a worse reason to be closed.
    pub(super) fn send_close(&mut self, rng: &mut fastrand::Rng) {
        if self.place.is_some() && self.sin.is_none() {
            self.sin = Some("closed_by_client");
            self.expects.push_back(Expect::Close);
            self.frame(&NORMAL_CLOSURE, OpCode::Control(Control::Close), true, rng);
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
            let number = number.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.ponged = self.ponged.max(number);
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

/// The payload of a client's close frame: the code 1000, a normal closure (RFC 6455 section
/// 7.4.1).
pub(super) const NORMAL_CLOSURE: [u8; 2] = 1000u16.to_be_bytes();

/// Fewer messages than the server allows at once, counting the parts of those that are sent in two.
const MESSAGES_MAX: u32 = 40;

/// How many messages the server allows at once: too few for a flood, enough for all other clients.
pub(super) const BURST: f32 = 100.0;
