//! An exchange's WebSocket as it is spoken: what to send, and what each message means.
//!
//! A [`Session`] is the conversation on one connection. It does no I/O: the feed connects, sends
//! the texts it is given and hands over what arrives.

use std::borrow::Cow;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;

use super::answer::{Names, not_json, read_shape, text_of};
use super::condition::{Condition, Facts};
use super::entry::{Ack, StreamEntry};
use super::json::{Node, excerpt};
use super::message::{Context, Message};
use super::quote::{Quote, QuoteError};
use super::template::{Market, url_encoded};

/// The conversation on one connection to a stream. A new connection needs a new one.
#[derive(Debug)]
pub struct Session<'e> {
    entry: &'e StreamEntry,
    markets: Vec<Market>,
    names: Names,
    /// Counts the messages sent, since many exchanges want to see a number in each.
    next_id: u64,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// A `ws://` or `wss://` URL.
    pub url: String,
    /// How long to wait after connecting before anything is sent.
    pub settle: Duration,
    /// How often the client has to send a ping; see [`Session::ping`].
    pub ping_every: Option<Duration>,
}

/// What a message of a stream means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamMessage {
    /// Prices: the index of the symbol among the session's, and its quote. In the order sent, so
    /// of several for one symbol the last is the newest.
    Ticks(Vec<(usize, Result<Quote, QuoteError>)>),
    /// A subscription is confirmed.
    Ack,
    /// A sign of life, with the text to send back at once, if one is due.
    Heartbeat(Option<String>),
    /// The exchange complains, of an unknown symbol for example. The connection may go on.
    Error(String),
    /// The exchange asks to connect anew, as before maintenance.
    Leave,
    /// Nothing that concerns us.
    Other,
}

impl<'e> Session<'e> {
    pub(super) fn new(entry: &'e StreamEntry, markets: Vec<Market>) -> Self {
        let names = Names::new(&entry.ticks.message, &markets);
        Self {
            entry,
            markets,
            names,
            next_id: 1,
        }
    }

    /// The URL to POST to, with an empty body, before connecting; most exchanges need none.
    pub fn token_url(&self) -> Option<&'e str> {
        self.entry.token.as_ref().map(|token| token.post.as_str())
    }

    /// Where to connect. `token` is the answer to the POST, if one was due.
    ///
    /// # Errors
    /// When that answer has no token.
    pub fn connection(
        &self,
        token: Option<(u16, &[u8])>,
        now_ms: u64,
    ) -> Result<Connection, QuoteError> {
        let mut ping_ms = self.entry.ping.as_ref().map(|ping| ping.every_ms);
        let mut endpoint = None;
        let mut secret = None;
        if let Some(fields) = &self.entry.token {
            let (status, body) = token.unwrap_or_default();
            let text = text_of(body)?;
            let answer = Node::parse(text)
                .map_err(|_| QuoteError::Garbage(format!("HTTP {status}, {}", not_json(text))))?;
            let refused = || {
                let words = excerpt(text);
                QuoteError::Refused(format!("no token: HTTP {status}, {words}"))
            };
            endpoint = Some(answer.scalar(&fields.endpoint).ok_or_else(refused)?);
            secret = Some(answer.scalar(&fields.token).ok_or_else(refused)?);
            let told = fields.ping_ms.as_ref();
            let told = told.and_then(|pointer| answer.scalar(pointer)?.parse().ok());
            let told = told.map(|told: u64| told.clamp(PING_MS_MIN, PING_MS_MAX));
            ping_ms = told.or(ping_ms);
        }
        let url = self.entry.url.fill(|hole| match hole {
            "endpoint" => endpoint.as_deref().map(str::to_owned),
            "token" => secret.as_deref().map(url_encoded),
            "id" => Some(now_ms.to_string()),
            _ => None,
        });
        // The endpoint is what somebody answered: it must not lead elsewhere than to a WebSocket.
        websocket_url(&url).map_err(QuoteError::Garbage)?;
        Ok(Connection {
            url,
            settle: Duration::from_millis(self.entry.settle_ms),
            ping_every: ping_ms.map(Duration::from_millis),
        })
    }

    /// The texts that subscribe to all symbols, to be sent in this order.
    pub fn subscribe(&mut self, now_ms: u64) -> Vec<String> {
        let entry = self.entry;
        let most = match entry.subscribe.is_per_market() {
            true => 1,
            false => entry.most,
        };
        let markets = std::mem::take(&mut self.markets);
        let texts = markets
            .chunks(most)
            .map(|markets| self.render(&entry.subscribe, markets, None, now_ms))
            .collect();
        self.markets = markets;
        texts
    }

    /// What to send every [`Connection::ping_every`]; none means a ping frame.
    pub fn ping(&mut self, now_ms: u64) -> Option<String> {
        let send = self.entry.ping.as_ref()?.send.as_ref()?;
        Some(self.render(send, &[], None, now_ms))
    }

    /// Says what a message means, text or binary, also one that is compressed by itself. `now_ms`
    /// is the wall clock.
    pub fn read(&mut self, message: &[u8], now_ms: u64) -> StreamMessage {
        let Ok(message) = unpacked(message) else {
            return StreamMessage::Error("a message that cannot be unpacked".to_owned());
        };
        self.read_plain(&message, now_ms)
    }

    fn read_plain(&mut self, message: &[u8], now_ms: u64) -> StreamMessage {
        let Ok(text) = text_of(message) else {
            return StreamMessage::Error("a message that is not UTF-8 text".to_owned());
        };
        let json = Node::parse(text).ok();
        let facts = Facts {
            status: None,
            text,
            json: json.as_ref(),
        };
        let any = |conditions: &[Condition]| conditions.iter().any(|it| it.holds(&facts));
        // Prices first: nearly all messages are.
        if let Some(json) = &json
            && self.entry.ticks.when.holds(&facts)
        {
            return self.read_ticks(json, now_ms);
        }
        let mut heartbeats = self.entry.heartbeats.iter();
        if let Some(heartbeat) = heartbeats.find(|heartbeat| heartbeat.when.holds(&facts)) {
            let reply = heartbeat.reply.as_ref();
            let reply = reply.map(|reply| self.render(reply, &[], json.as_ref(), now_ms));
            return StreamMessage::Heartbeat(reply);
        }
        if any(&self.entry.leave) {
            return StreamMessage::Leave;
        }
        if any(&self.entry.errors) {
            return StreamMessage::Error(excerpt(text));
        }
        match &self.entry.ack {
            Some(ack) if ack.when.holds(&facts) => self.read_ack(ack, json.as_ref()),
            _ => StreamMessage::Other,
        }
    }

    fn read_ticks(&self, message: &Node<'_>, now_ms: u64) -> StreamMessage {
        let mut ticks = Vec::new();
        let shape = &self.entry.ticks.message;
        let read = read_shape(
            shape,
            message,
            &self.names,
            now_ms,
            &mut || {},
            // An update may be about other things: without a word of the price it still stands.
            &mut |index, quote| {
                if !quote.as_ref().is_err_and(QuoteError::is_silence) {
                    ticks.push((index, quote));
                }
            },
        );
        match read {
            // A channel that we did not ask for, or no longer want.
            Err(_) => StreamMessage::Other,
            Ok(()) if ticks.is_empty() => StreamMessage::Other,
            Ok(()) => StreamMessage::Ticks(ticks),
        }
    }

    /// Where ticks carry only the number of their channel, this is what tells its symbol.
    fn read_ack(&mut self, ack: &Ack, message: Option<&Node<'_>>) -> StreamMessage {
        let told = message.and_then(|message| {
            let channel = message.scalar(ack.channel.as_ref()?)?;
            let symbol = message.scalar(ack.symbol.as_ref()?)?;
            Some((channel.into_owned(), self.index_of(&symbol)?))
        });
        if let Some((channel, index)) = told {
            self.names.rename(index, &channel);
        }
        StreamMessage::Ack
    }

    fn index_of(&self, spelled: &str) -> Option<usize> {
        let mut markets = self.markets.iter();
        markets.position(|market| market.spelled() == spelled)
    }

    fn render(
        &mut self,
        message: &Message,
        markets: &[Market],
        answered: Option<&Node<'_>>,
        now_ms: u64,
    ) -> String {
        let id = self.next_id;
        self.next_id += 1;
        message.render(Context {
            now_ms,
            id,
            markets,
            answered,
        })
    }
}

/// What an exchange may ask for: nobody makes us send all the time, or never.
const PING_MS_MIN: u64 = 1_000;
const PING_MS_MAX: u64 = 60_000;

/// HTX packs each message with gzip, which nothing in JSON begins like.
fn unpacked(message: &[u8]) -> std::io::Result<Cow<'_, [u8]>> {
    if !message.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(message));
    }
    let mut plain = Vec::new();
    let unpacker = GzDecoder::new(message);
    let length = unpacker.take(UNPACKED_MAX + 1).read_to_end(&mut plain)?;
    match length as u64 > UNPACKED_MAX {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(Cow::Owned(plain)),
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A message of a few bytes may unpack to a thousand times as many.
const UNPACKED_MAX: u64 = 1 << 20;

/// Refuses what is no URL of a WebSocket.
pub(super) fn websocket_url(url: &str) -> Result<(), String> {
    let is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_clean && (url.starts_with("wss://") || url.starts_with("ws://")) {
        Ok(())
    } else {
        Err(format!("'{}' is no WebSocket URL", excerpt(url)))
    }
}
