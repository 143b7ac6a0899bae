//! The protocol of an exchange's WebSocket: what to send, and what each message means.
//!
//! A [`Session`] is the conversation on one connection. It does no I/O: the caller connects, sends
//! the texts that it is given and hands over what arrives.

use std::collections::VecDeque;
use std::time::Duration;

use super::Symbol;
use super::answer::{Names, not_json, read_mapped, text_of, whole_error};
use super::condition::{Condition, Inputs};
use super::document::Document;
use super::entry::{Ack, Alive, Encoding, Entry, Sign, StreamEntry};
use super::json::{Node, excerpt};
use super::message::{Context, Message};
use super::quote::{Quote, QuoteError};
use super::template::{Market, SymbolFormat, url_encoded};
use super::unpack::unpacked;

/// The conversation on one connection to a stream. Each connection needs its own.
#[derive(Debug)]
pub struct Session<'e> {
    exchange: &'e Entry,
    entry: &'e StreamEntry,
    format: &'e SymbolFormat,
    markets: Vec<Market>,
    names: Names,
    /// How many of the markets it has asked for, or will with the texts in the queue.
    subscribed: usize,
    queue: VecDeque<String>,
    /// Whether the messages that follow the first subscriptions were queued.
    is_announced: bool,
    /// Counts the messages sent: many exchanges require a number in each.
    next_id: u64,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// A `ws://` or `wss://` URL.
    pub url: String,
    /// How long to wait after connecting before anything is sent.
    pub settle: Duration,
    /// How often to send a ping, if the client has to; see [`Session::ping`].
    pub ping_every: Option<Duration>,
    /// How long it may go without a sign of life before it is presumed dead.
    pub silence_max: Duration,
    /// Whether only [`StreamMessage::Alive`] confirms prices. Otherwise whatever arrives shows that
    /// the connection works, and so confirms all of them.
    pub confirms_one_by_one: bool,
}

/// What a message of a stream means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamMessage {
    /// Prices: each symbol by its index in the session, with its quote. They are in the order sent,
    /// so the last of several for one symbol is the newest.
    Ticks(Vec<(usize, Result<Quote, QuoteError>)>),
    /// A subscription is confirmed.
    Ack,
    /// A sign of life, with the text to send back at once, if it needs a reply.
    Heartbeat(Option<String>),
    /// A sign of life for one symbol, by its index: its last price still stands.
    Alive(usize),
    /// The exchange reports an error, for example an unknown symbol. The connection may go on.
    Error(String),
    /// The exchange asks the client to reconnect, as before maintenance.
    Leave,
    /// A message that makes no sense, with what is wrong with it.
    Unreadable(String),
    /// Anything else.
    Other,
}

/// What an exchange allows on its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// How many symbols one connection may have.
    pub per_connection: usize,
    /// How many symbols one subscribe message may have.
    pub per_message: usize,
    /// The shortest time between two subscribe messages on a connection.
    pub subscribe_every: Duration,
    /// The shortest time between opening two connections.
    pub connect_every: Duration,
}

impl StreamLimits {
    pub(super) fn of(entry: &StreamEntry) -> Self {
        let per_connection = if entry.names_one_market() {
            1
        } else if entry.replaces || entry.names_markets() {
            // The last subscription of a connection, or its URL, has to name all of its symbols.
            entry.per_connection.min(entry.most)
        } else {
            entry.per_connection
        };
        let is_per_market = entry.subscribe.as_ref().is_some_and(Message::is_per_market);
        Self {
            per_connection,
            per_message: if is_per_market { 1 } else { entry.most },
            subscribe_every: Duration::from_millis(entry.subscribe_every_ms),
            connect_every: Duration::from_millis(entry.connect_every_ms),
        }
    }
}

impl StreamLimits {
    /// How long it takes to connect and to subscribe to this many symbols.
    pub fn subscribing(&self, symbols: usize) -> Duration {
        let pauses = |count: usize| u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        let connections = symbols.div_ceil(self.per_connection.max(1));
        let on_one = symbols.min(self.per_connection);
        let messages = on_one.div_ceil(self.per_message.max(1));
        let connecting = self.connect_every.saturating_mul(pauses(connections));
        connecting + self.subscribe_every.saturating_mul(pauses(messages))
    }
}

impl<'e> Session<'e> {
    pub(super) fn new(
        exchange: &'e Entry,
        entry: &'e StreamEntry,
        format: &'e SymbolFormat,
    ) -> Self {
        Self {
            exchange,
            entry,
            format,
            markets: Vec::new(),
            names: Names::default(),
            subscribed: 0,
            queue: VecDeque::new(),
            is_announced: false,
            next_id: 1,
        }
    }

    /// Appends symbols; [`subscribe_next`](Self::subscribe_next) subscribes to them.
    pub fn add(&mut self, symbols: &[Symbol]) {
        let from = self.markets.len();
        let markets = symbols.iter().map(|symbol| self.format.market(symbol));
        self.markets.extend(markets);
        let mapping = &self.entry.ticks.message;
        self.names.add(mapping, &self.markets[from..], &mut || {});
    }

    /// The URL to POST to, with an empty body, before connecting; most exchanges have none.
    pub fn token_url(&self) -> Option<&'e str> {
        self.entry.token.as_ref().map(|token| token.post.as_str())
    }

    /// Where to connect. `token` is the answer to the POST to [`token_url`](Self::token_url).
    ///
    /// # Errors
    /// When that answer has no token, or is an error of the exchange.
    pub fn connection(
        &self,
        token: Option<(u16, &[u8])>,
        now_ms: u64,
    ) -> Result<Connection, QuoteError> {
        let mut ping_ms = self.entry.ping.as_ref().map(|ping| ping.every_ms);
        let mut endpoint = None;
        let mut token_text = None;
        if let Some(fields) = &self.entry.token {
            let (status, body) = token.unwrap_or_default();
            let text = text_of(body);
            let readable = text.as_ref().copied().unwrap_or_default();
            let answer = Node::parse(readable).map(Document::Json);
            self.check_answer(status, readable, answer.as_ref().ok())?;
            let text = text?;
            let answer = answer
                .map_err(|_| QuoteError::Garbage(format!("HTTP {status}, {}", not_json(text))))?;
            let refused = || {
                let excerpt = excerpt(text);
                QuoteError::Refused(format!("no token: HTTP {status}, {excerpt}"))
            };
            endpoint = Some(answer.scalar(&fields.endpoint).ok_or_else(refused)?);
            token_text = Some(answer.scalar(&fields.token).ok_or_else(refused)?);
            let wanted = fields.ping_ms.as_ref();
            let wanted = wanted.and_then(|pointer| answer.scalar(pointer)?.parse().ok());
            let wanted = wanted.map(|ms: u64| ms.clamp(PING_MS_MIN, PING_MS_MAX));
            ping_ms = wanted.or(ping_ms);
        }
        let url = self.entry.url.fill(|placeholder| match placeholder {
            "endpoint" => endpoint.as_deref().map(str::to_owned),
            "token" => token_text.as_deref().map(url_encoded),
            "id" => Some(now_ms.to_string()),
            "markets" => Some(self.joined(&self.markets, url_encoded)),
            name => self
                .markets
                .first()
                .and_then(|market| market.value_of(name))
                .map(|value| url_encoded(&value)),
        });
        // The endpoint comes from the network: it must not lead anywhere but to a WebSocket.
        websocket_url(&url).map_err(QuoteError::Garbage)?;
        Ok(Connection {
            url,
            settle: Duration::from_millis(self.entry.settle_ms),
            ping_every: self.entry.alive.ping_ms(ping_ms).map(Duration::from_millis),
            silence_max: self.entry.alive.silence_max(),
            confirms_one_by_one: self.entry.alive.by == Sign::Channel,
        })
    }

    /// Recognises the errors that every request can meet, as in answers with prices.
    fn check_answer(
        &self,
        status: u16,
        text: &str,
        document: Option<&Document<'_>>,
    ) -> Result<(), QuoteError> {
        let inputs = Inputs {
            status: Some(status),
            text,
            document,
        };
        let ok = self.exchange.ok.as_ref();
        match whole_error(self.exchange, ok, status, &inputs) {
            Some(
                error @ (QuoteError::RateLimited | QuoteError::Blocked(_) | QuoteError::Down(_)),
            ) => Err(error),
            _ => Ok(()),
        }
    }

    /// The texts that subscribe to all symbols that have been added, in the order to send them. A
    /// stream whose URL names the symbols needs none.
    pub fn subscribe(&mut self, now_ms: u64) -> Vec<String> {
        std::iter::from_fn(|| self.subscribe_next(now_ms)).collect()
    }

    /// The next text that subscribes to symbols that have been added; `None` when there are none.
    pub fn subscribe_next(&mut self, now_ms: u64) -> Option<String> {
        if self.queue.is_empty() && self.subscribed < self.markets.len() {
            self.queue_more(now_ms);
        }
        self.queue.pop_front()
    }

    /// Renders the texts for the next symbols that have been added: not for all, since they may be
    /// a thousand.
    fn queue_more(&mut self, now_ms: u64) {
        let entry = self.entry;
        let from = if entry.replaces { 0 } else { self.subscribed };
        let to = if entry.replaces {
            self.markets.len()
        } else {
            // Whole messages, except the last one.
            let queued = entry.most * (QUEUED / entry.most).max(1);
            self.markets.len().min(from + queued)
        };
        let (is_first, is_last) = (self.subscribed == 0, to == self.markets.len());
        // Messages that name no markets are sent once.
        let is_due = |message: &&Message, is_now| is_now || message.mentions_markets();
        let is_now = is_last && !self.is_announced;
        let before = entry
            .before
            .iter()
            .filter(|message| is_due(message, is_first));
        let after = entry.after.iter().filter(|message| is_due(message, is_now));
        let messages: Vec<_> = before.chain(&entry.subscribe).chain(after).collect();
        self.is_announced |= is_last;
        self.subscribed = to;
        let markets = std::mem::take(&mut self.markets);
        for message in messages {
            let new = &markets[from..to];
            let most = match message {
                message if message.is_per_market() => 1,
                message if entry.replaces || !message.mentions_markets() => new.len(),
                _ => entry.most,
            };
            for markets in new.chunks(most.max(1)) {
                let text = self.render(message, markets, None, now_ms);
                self.queue.push_back(text);
            }
        }
        self.markets = markets;
    }

    /// Whether [`subscribe_next`](Self::subscribe_next) has another text.
    pub fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.subscribed < self.markets.len()
    }

    /// Whether symbols can be added after connecting.
    pub fn can_grow(&self) -> bool {
        self.entry.subscribe.is_some() && !self.entry.names_markets()
    }

    /// What `{markets}` stands for.
    fn joined(&self, markets: &[Market], encode: fn(&str) -> String) -> String {
        let entry = self.entry;
        let each = |market: &Market| {
            entry
                .each
                .fill(|name| market.value_of(name).map(|value| encode(&value)))
        };
        let each: Vec<_> = markets.iter().map(each).collect();
        each.join(&entry.between)
    }

    /// The text to send every [`Connection::ping_every`]; `None` stands for a ping frame.
    pub fn ping(&mut self, now_ms: u64) -> Option<String> {
        let send = self.entry.ping.as_ref()?.send.as_ref()?;
        Some(self.render(send, &[], None, now_ms))
    }

    /// Interprets a message, text or binary, which may be compressed with gzip or zlib. `now_ms` is
    /// the wall clock.
    pub fn read(&mut self, message: &[u8], now_ms: u64) -> StreamMessage {
        match unpacked(message) {
            Ok(message) => self.read_plain(&message, now_ms),
            Err(_) => StreamMessage::Unreadable("invalid compressed data".to_owned()),
        }
    }

    fn read_plain(&mut self, message: &[u8], now_ms: u64) -> StreamMessage {
        let (text, document) = match text_of(message) {
            Ok(text) => {
                let json = Node::parse(self.json_of(text)).ok().map(Document::Json);
                (text, json)
            }
            Err(_) => ("", None),
        };
        let document = match document {
            None if self.entry.encoding == Encoding::Protobuf => Some(Document::Protobuf(message)),
            None if text.is_empty() && !message.is_empty() => {
                return StreamMessage::Unreadable("not UTF-8 text".to_owned());
            }
            document => document,
        };
        self.interpret(text, document.as_ref(), now_ms)
    }

    /// The part of a message that is JSON.
    fn json_of<'t>(&self, text: &'t str) -> &'t str {
        match self.entry.encoding {
            Encoding::Json | Encoding::Protobuf => text,
            Encoding::SocketIo => text.trim_start_matches(|c: char| c.is_ascii_digit()),
        }
    }

    fn interpret(
        &mut self,
        text: &str,
        document: Option<&Document<'_>>,
        now_ms: u64,
    ) -> StreamMessage {
        let inputs = Inputs {
            status: None,
            text,
            document,
        };
        let any = |conditions: &[Condition]| {
            let mut conditions = conditions.iter();
            conditions.any(|condition| condition.holds(&inputs))
        };
        // Prices first: nearly all messages are.
        if let Some(document) = document
            && self.entry.ticks.when.holds(&inputs)
        {
            return self.read_ticks(document, now_ms);
        }
        let mut heartbeats = self.entry.heartbeats.iter();
        if let Some(heartbeat) = heartbeats.find(|heartbeat| heartbeat.when.holds(&inputs)) {
            if let Some(index) = document.and_then(|document| self.confirmed(document)) {
                return StreamMessage::Alive(index);
            }
            let reply = heartbeat.reply.as_ref();
            let reply = reply.map(|reply| self.render(reply, &[], document, now_ms));
            return StreamMessage::Heartbeat(reply);
        }
        if any(&self.entry.leave) {
            return StreamMessage::Leave;
        }
        if any(&self.entry.errors) {
            return StreamMessage::Error(excerpt(text));
        }
        match &self.entry.ack {
            Some(ack) if ack.when.holds(&inputs) => self.read_ack(ack, document),
            _ if document.is_none() => StreamMessage::Unreadable(not_json(text)),
            _ => StreamMessage::Other,
        }
    }

    /// The symbol that a heartbeat is about, if this exchange has a heartbeat for each.
    fn confirmed(&self, heartbeat: &Document<'_>) -> Option<usize> {
        if self.entry.alive.by != Sign::Channel {
            return None;
        }
        let mapping = &self.entry.ticks.message;
        let name = match (&mapping.symbol, &mapping.channel) {
            (Some(symbol), _) => symbol.read(heartbeat, heartbeat),
            (None, channel) => heartbeat.scalar(channel.as_ref()?),
        };
        self.names.index(&name?)
    }

    fn read_ticks(&self, message: &Document<'_>, now_ms: u64) -> StreamMessage {
        let mut ticks = Vec::new();
        let mapping = &self.entry.ticks.message;
        let read = read_mapped(
            mapping,
            message,
            (&self.markets, &self.names),
            now_ms,
            &mut || {},
            // An update may be about something else: a price that it does not mention still stands.
            &mut |index, quote| {
                if !quote.as_ref().is_err_and(QuoteError::is_silence) {
                    ticks.push((index, quote));
                }
            },
        );
        match read {
            Err(error) if !mapping.is_single() => StreamMessage::Unreadable(error.to_string()),
            // For a channel that we did not ask for, or have left.
            Err(_) => StreamMessage::Other,
            Ok(()) if ticks.is_empty() => StreamMessage::Other,
            Ok(()) => StreamMessage::Ticks(ticks),
        }
    }

    /// Where ticks carry only the number of their channel, the acknowledgement names its symbol.
    fn read_ack(&mut self, ack: &Ack, message: Option<&Document<'_>>) -> StreamMessage {
        let announced = message.and_then(|message| {
            let channel = message.scalar(ack.channel.as_ref()?)?;
            let symbol = message.scalar(ack.symbol.as_ref()?)?;
            Some((channel.into_owned(), self.index_of(&symbol)?))
        });
        if let Some((channel, index)) = announced {
            self.names.rename(index, &channel);
        }
        StreamMessage::Ack
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        let mut markets = self.markets.iter();
        markets.position(|market| market.as_str() == name)
    }

    fn render(
        &mut self,
        message: &Message,
        markets: &[Market],
        answered: Option<&Document<'_>>,
        now_ms: u64,
    ) -> String {
        let id = self.next_id;
        self.next_id += 1;
        let joined = self.joined(markets, str::to_owned);
        message.render(Context {
            now_ms,
            id,
            markets,
            joined: &joined,
            answered,
        })
    }
}

impl Alive {
    /// How often to ping, where the exchange or its entry asks for a ping every `asked_ms`.
    fn ping_ms(self, asked_ms: Option<u64>) -> Option<u64> {
        match self.by {
            Sign::Pong => Some(asked_ms.unwrap_or(self.every_ms).min(self.every_ms)),
            Sign::Heartbeat | Sign::Channel => asked_ms,
        }
    }

    /// One interval, and half of another for a sign that is late.
    pub(super) fn silence_max(self) -> Duration {
        let every = Duration::from_millis(self.every_ms);
        every + (every / 2).max(LATE_MIN)
    }
}

/// How late a sign of life may be, at least: an answer may take seconds.
const LATE_MIN: Duration = Duration::from_secs(5);

/// The limits on what an exchange may ask for: it cannot make us send constantly, or never.
const PING_MS_MIN: u64 = 1_000;
const PING_MS_MAX: u64 = 60_000;

/// Refuses anything but a WebSocket URL.
pub(super) fn websocket_url(url: &str) -> Result<(), String> {
    let is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_clean && (url.starts_with("wss://") || url.starts_with("ws://")) {
        Ok(())
    } else {
        Err(format!(
            "invalid WebSocket URL '{}': expected ws:// or wss://",
            excerpt(url)
        ))
    }
}

/// About how many markets the texts in the queue are for: a fraction of a millisecond.
const QUEUED: usize = 128;
