//! Serves streams: checks messages of clients like the exchange would, and drops clients that break
//! its rules.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Error, Message, WebSocket};

use super::clock::Clock;
use super::fault::{Fault, Stage};
use super::formats::{KUCOIN, Rule, Stream, Wrapping, streams};
use super::prices::Outcome;
use super::protobuf;
use super::request::Request;
use super::state::{Draw, Shared, Symbol};
use super::template::{Captured, fill, matches, matches_target};
use super::wire::Wire;

/// Whether an exchange has a stream at this authority.
pub(super) fn knows(authority: &str) -> bool {
    streams().any(|stream| stream.authority == authority)
}

fn format(request: &Request) -> Option<&'static Stream> {
    let path = request.target.split('?').next().unwrap_or_default();
    let names_markets = |stream: &Stream| matches_target(stream.path, &request.target).is_some();
    streams().find(|stream| {
        let is_path = path == stream.path || (stream.path.is_empty() && path == "/");
        let is_path = is_path || (stream.path.contains('$') && names_markets(stream));
        stream.authority == request.authority && is_path
    })
}

/// The requested source in the format of the server's command line.
pub(super) fn source(request: &Request) -> String {
    format(request).map_or_else(String::new, |stream| format!("{}+stream", stream.id))
}

/// Serves one stream until its end.
pub(super) fn serve(
    shared: &Shared,
    mut wire: Wire,
    request: &Request,
    connection: u64,
) -> io::Result<()> {
    let refuse = |mut wire: Wire, status: &str| {
        write!(wire, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
        wire.flush()?;
        wire.close();
        Ok(())
    };
    let key = request.header("sec-websocket-key");
    let version = request.header("sec-websocket-version");
    let (Some(format), Some(key), Some("13")) = (format(request), key, version) else {
        return refuse(wire, "404 Not Found");
    };
    if format.authority == KUCOIN && !has_token(shared, &request.target) {
        return refuse(wire, "401 Unauthorized");
    }
    if format
        .needs
        .is_some_and(|header| request.header(header).is_none())
    {
        return refuse(wire, "403 Forbidden");
    }
    // Before the client can have the answer: it may send exactly when it is allowed to.
    let now = shared.now();
    let accept = derive_accept_key(key.as_bytes());
    write!(
        wire,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    wire.flush()?;
    wire.socket().set_read_timeout(Some(TURN))?;
    let mut talk = Talk {
        shared,
        format,
        source: source(request),
        connection,
        socket: WebSocket::from_raw_socket(wire, Role::Server, None),
        began: now,
        subscribed: BTreeMap::new(),
        channels: 0,
        is_open: format.opening.is_none(),
        has_also: false,
        spoke: None,
        heard: now,
        asked: now + format.settle,
        asked_unanswered: None,
        next_tick: now,
        next_heartbeat: now,
        quiet_until: now,
        silent_until: now,
    };
    let named = matches_target(format.path, &request.target);
    match talk.run(named.filter(|captured| !captured.markets().is_empty())) {
        // All of these are intended.
        Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {}
        Err(Error::Io(error)) => return Err(error),
        Err(error) => return Err(io::Error::other(error)),
    }
    Ok(())
}

fn has_token(shared: &Shared, target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.any(|(name, value)| name == "token" && shared.knows_token(&value))
}

/// The conversation on one connection.
struct Talk<'s> {
    shared: &'s Shared,
    format: &'static Stream,
    source: String,
    connection: u64,
    socket: WebSocket<Wire>,
    began: Instant,
    /// Indexed by market in the exchange's notation, with the number of the channel.
    subscribed: BTreeMap<String, (Symbol<'s>, u32)>,
    channels: u32,
    /// Whether the client has sent the opening.
    is_open: bool,
    /// Whether it has sent the other message.
    has_also: bool,
    /// When it last sent a message.
    spoke: Option<Instant>,
    /// When the client last did what the rule requires.
    heard: Instant,
    /// When the exchange last sent a ping.
    asked: Instant,
    asked_unanswered: Option<Instant>,
    next_tick: Instant,
    next_heartbeat: Instant,
    /// Until when no prices are sent, and until when nothing is.
    quiet_until: Instant,
    silent_until: Instant,
}

impl<'s> Talk<'s> {
    /// Talks until the end; `named` are the markets that the URL names.
    fn run(&mut self, named: Option<Captured>) -> Result<(), Error> {
        self.say(self.format.greeting, &|_| None)?;
        if let Some(captured) = named {
            self.on_subscribe(&captured)?;
        }
        while self.shared.turned(self.connection) {
            let now = self.shared.now();
            if self.is_dead(now) {
                thread::sleep(TURN);
                continue;
            }
            match self.socket.read() {
                Ok(message) => self.on_message(&message)?,
                Err(Error::Io(error)) if is_patient(&error) => {}
                Err(error) => return Err(error),
            }
            if self.breaks_rules(now)? {
                // Like the real exchanges: without a message or a close frame.
                self.socket.get_ref().cut();
                return Ok(());
            }
            let is_quiet = now < self.quiet_until || self.subscribed.is_empty();
            if now >= self.next_tick && !is_quiet {
                self.next_tick = now + self.shared.config.tick_every;
                if !self.tick_all(now)? {
                    return Ok(());
                }
            }
            self.beat(now)?;
        }
        Ok(())
    }

    /// Whether the stream neither sends nor reads for now. If that is because of a fault that was
    /// set, it strikes once per price that would have been due.
    fn is_dead(&mut self, now: Instant) -> bool {
        let is_set = self.shared.is_set(&self.source, Fault::StreamSilent);
        if !is_set || self.subscribed.is_empty() {
            return now < self.silent_until;
        }
        if now >= self.next_tick {
            self.next_tick = now + self.shared.config.tick_every;
            self.shared.fault(&self.source, &[Stage::Stream]);
        }
        true
    }

    fn on_message(&mut self, message: &Message) -> Result<(), Error> {
        let now = self.shared.now();
        match message {
            Message::Text(text) => self.on_text(text.as_str(), now),
            Message::Binary(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.on_text(&text, now)
            }
            Message::Ping(_) | Message::Pong(_) => {
                if matches!(self.format.rule, Rule::Sign(_) | Rule::Pong(..)) {
                    self.heard = now;
                    self.asked_unanswered = None;
                }
                // tungstenite has queued the answer to a ping.
                self.socket.flush()
            }
            Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn on_text(&mut self, text: &str, now: Instant) -> Result<(), Error> {
        let format = self.format;
        if matches!(format.rule, Rule::Sign(_)) {
            self.heard = now;
        }
        if now < self.began + format.settle {
            return self.say(TOO_EARLY, &|_| None);
        }
        let is_hasty = self.spoke.is_some_and(|spoke| now < spoke + format.pace);
        self.spoke = Some(now);
        if is_hasty {
            return self.say(format.invalid, &|_| None);
        }
        if let Some((opening, answer)) = format.opening
            && !self.is_open
        {
            self.is_open = matches(opening, text).is_some();
            let answer = if self.is_open { answer } else { format.invalid };
            return self.say(answer, &|_| None);
        }
        if let Rule::Reply(.., reply) = format.rule
            && matches(reply, text).is_some()
        {
            self.asked_unanswered = None;
            return Ok(());
        }
        if let Some((ping, pong)) = format.ping
            && let Some(captured) = matches(ping, text)
        {
            self.heard = now;
            let id = captured.id;
            return self.say(pong, &|placeholder| {
                id.clone().filter(|_| placeholder == "id")
            });
        }
        if let Some((also, answer)) = format.also
            && matches(also, text).is_some()
        {
            self.has_also = true;
            return self.say(answer, &|_| None);
        }
        match matches(format.subscribe, text) {
            Some(captured) if captured.markets().len() <= format.most => {
                self.on_subscribe(&captured)
            }
            _ => self.say(format.invalid, &|_| None),
        }
    }

    /// A subscription that names no market is for all of them.
    fn on_subscribe(&mut self, captured: &Captured) -> Result<(), Error> {
        let format = self.format;
        let refuses = self.shared.fault(&self.source, &[Stage::Symbol]).0 == Fault::UnknownSymbol;
        let traded = if refuses {
            Vec::new()
        } else {
            self.shared.symbols(format.id)
        };
        if format.replaces {
            self.subscribed.clear();
        }
        let mut known = Vec::new();
        let mut markets = captured.markets();
        if markets.is_empty() {
            let all = traded.iter();
            markets.extend(all.map(|symbol| (format.spell)(symbol.base, symbol.quote)));
        }
        for market in &markets {
            let mut traded = traded.iter();
            let symbol = traded.find(|symbol| (format.spell)(symbol.base, symbol.quote) == *market);
            match symbol {
                Some(symbol) => {
                    self.channels += 1;
                    let channel = 1000 + self.channels;
                    self.subscribed.insert(market.clone(), (*symbol, channel));
                    known.push(market);
                }
                None => self.confirm(format.unknown, market, captured)?,
            }
        }
        let confirmed = if format.ack_each { known.len() } else { 1 };
        for market in known.into_iter().take(confirmed) {
            self.confirm(format.ack, market, captured)?;
        }
        // The current price is sent at once.
        self.next_tick = self.shared.now();
        Ok(())
    }

    fn confirm(&mut self, template: &str, market: &str, captured: &Captured) -> Result<(), Error> {
        let known = self.subscribed.get(market).copied();
        self.say(template, &|placeholder| match placeholder {
            "market" => Some(market.to_owned()),
            "id" => captured.id.clone(),
            "channel" => known.map(|(_, channel)| channel.to_string()),
            placeholder => known.and_then(|(symbol, _)| symbol.placeholder(placeholder)),
        })
    }

    /// Whether the client has broken the rule; sends a ping when one is due.
    fn breaks_rules(&mut self, now: Instant) -> Result<bool, Error> {
        let haste = self.shared.config.haste;
        if let Some(limit) = self.format.subscribe_within
            && self.subscribed.is_empty()
            && now > self.began + limit / haste
        {
            return Ok(true);
        }
        let unanswered = self.asked_unanswered;
        match self.format.rule {
            Rule::Free => Ok(false),
            Rule::Also(limit) => Ok(!self.has_also && now > self.began + limit / haste),
            Rule::Ping(limit) | Rule::Sign(limit) => Ok(now > self.heard + limit / haste),
            Rule::Pong(every, within) | Rule::Reply(every, within, ..) => {
                let within = (within / haste).max(HASTE_MIN);
                if unanswered.is_some_and(|since| now > since + within) {
                    return Ok(true);
                }
                if now >= self.asked + every / haste {
                    self.asked = now;
                    self.asked_unanswered = unanswered.or(Some(now));
                    self.ask()?;
                }
                Ok(false)
            }
        }
    }

    fn ask(&mut self) -> Result<(), Error> {
        match self.format.rule {
            Rule::Reply(_, _, question, _) => self.say(question, &|_| None),
            _ => self.socket.send(Message::Ping("1672515782136".into())),
        }
    }

    /// Sends the exchange's heartbeat, for each channel if it names one.
    fn beat(&mut self, now: Instant) -> Result<(), Error> {
        let Some((heartbeat, every)) = self.format.heartbeat else {
            return Ok(());
        };
        let is_unwanted = self.format.also.is_some() && !self.has_also;
        if now < self.next_heartbeat || is_unwanted || self.subscribed.is_empty() {
            return Ok(());
        }
        self.next_heartbeat = now + every / self.shared.config.haste;
        let mut channels: Vec<_> = self
            .subscribed
            .values()
            .map(|(_, channel)| *channel)
            .collect();
        if !heartbeat.contains("$channel") {
            channels.truncate(1);
        }
        for channel in channels {
            self.say(heartbeat, &|_| Some(channel.to_string()))?;
        }
        Ok(())
    }

    /// Sends the next price of each symbol, unless a fault prevents it; false at the end.
    fn tick_all(&mut self, now: Instant) -> Result<bool, Error> {
        let subscribed: Vec<_> = self.subscribed.clone().into_iter().collect();
        for (market, (symbol, channel)) in subscribed {
            let stages = [Stage::Price, Stage::Stream];
            let (fault, is_by_chance) = self.shared.fault(&self.source, &stages);
            match fault {
                Fault::StreamQuiet | Fault::StreamSilent => {
                    let config = &self.shared.config;
                    let lasts = if is_by_chance {
                        config.patience
                    } else {
                        config.tick_every
                    };
                    self.quiet_until = now + lasts;
                    if fault == Fault::StreamSilent {
                        self.silent_until = now + lasts;
                    }
                    return Ok(true);
                }
                Fault::StreamClosed => {
                    self.leave(CloseCode::Away)?;
                    return Ok(false);
                }
                Fault::StreamLeave => {
                    self.say(self.format.leave, &|_| None)?;
                    self.leave(CloseCode::Restart)?;
                    return Ok(false);
                }
                Fault::StreamCut => {
                    self.socket.get_ref().cut();
                    return Ok(false);
                }
                Fault::StreamGarbage => self.say("\u{1}<html>", &|_| None)?,
                // These only concern answers to requests.
                Fault::RateLimited | Fault::UnknownSymbol => continue,
                _ => {}
            }
            self.tick(&market, symbol, channel, fault)?;
        }
        Ok(true)
    }

    fn tick(
        &mut self,
        market: &str,
        symbol: Symbol<'_>,
        channel: u32,
        fault: Fault,
    ) -> Result<(), Error> {
        let clock = Clock::now(fault);
        let draw = Draw {
            exchange: self.format.id,
            source: &self.source,
            symbol,
            connection: self.connection,
            fault,
            exponents: self.format.id == "bithumb",
            clock,
            stamp: clock.stamp(&[self.format.tick]),
        };
        let (text, number) =
            self.shared
                .draw(&draw, self.format.tick, &|placeholder| match placeholder {
                    "market" => Some(market.to_owned()),
                    "MARKET" => Some(market.to_uppercase()),
                    "channel" => Some(channel.to_string()),
                    _ => None,
                });
        // Recorded before it is sent: a client that has received it must find it recorded.
        let outcome = if fault.is_harmless() {
            Outcome::Good
        } else {
            Outcome::Spoiled
        };
        self.shared.settle(&[number], outcome);
        let sent = match self.format.wrapping {
            Wrapping::Protobuf => self
                .socket
                .send(Message::Binary(protobuf::encoded(&text).into())),
            _ => self.send(text),
        };
        if sent.is_err() && fault.is_harmless() {
            self.shared.settle(&[number], Outcome::Lost);
        }
        sent
    }

    /// Sends a message; an exchange that has no such message sends none.
    fn say(&mut self, template: &str, more: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        if template.is_empty() {
            return Ok(());
        }
        let clock = Clock::now(Fault::None);
        let text = fill(template, &|placeholder| {
            clock.placeholder(placeholder).or_else(|| more(placeholder))
        });
        self.send(text)
    }

    fn send(&mut self, text: String) -> Result<(), Error> {
        self.socket.send(match self.format.wrapping {
            Wrapping::Gzip => Message::Binary(gzipped(text.as_bytes())?.into()),
            Wrapping::Zlib => Message::Binary(deflated(text.as_bytes())?.into()),
            Wrapping::Binary => Message::Binary(text.into_bytes().into()),
            Wrapping::Text | Wrapping::Protobuf => Message::Text(text.into()),
        })
    }

    /// Ends the stream politely, as long as the client cooperates.
    fn leave(&mut self, code: CloseCode) -> Result<(), Error> {
        let reason = "see you".into();
        self.socket.close(Some(CloseFrame { code, reason }))?;
        let until = Instant::now() + GOODBYE;
        while Instant::now() < until {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::Io(error)) if is_patient(&error) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }
}

fn gzipped(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

fn deflated(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether the error only means that no data has arrived yet.
fn is_patient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Crypto.com's answer to a client that sends too soon after connecting.
const TOO_EARLY: &str = r#"{"id":-1,"code":42901,"message":"TOO_MANY_REQUESTS"}"#;

/// The least time for an answer, however much intervals are divided: machines are busy at times.
const HASTE_MIN: Duration = Duration::from_millis(500);

/// How long one turn waits for the client.
const TURN: Duration = Duration::from_millis(1);

/// How long to wait for the answer to a close frame.
const GOODBYE: Duration = Duration::from_secs(2);
