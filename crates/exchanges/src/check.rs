//! Checks what the types of a catalogue entry cannot express: which placeholders are allowed where,
//! and which fields need each other.

use std::collections::BTreeMap;

use super::entry::{Batch, Encoding, Entry, Mapping, MarketList, Query, Sign, StreamEntry};
use super::message::Message;
use super::stream::websocket_url;
use super::template::{MARKET_PLACEHOLDERS, SymbolFormat, TIME_PLACEHOLDERS, Template};

/// An error names the field and what is wrong with it.
type Checked = Result<(), (String, String)>;

impl Entry {
    /// Checks a whole entry.
    pub(super) fn check(&self) -> Checked {
        check_name("id", &self.id)?;
        if ["sim", "replay"].contains(&self.id.as_str()) {
            let reason = format!("'{}' is reserved, choose another name", self.id);
            return Err(("id".to_owned(), reason));
        }
        for alias in &self.aliases {
            check_name("aliases", alias)?;
        }
        for other in &self.elsewhere {
            check_name("elsewhere", other)?;
        }
        self.example
            .parse::<super::Symbol>()
            .map_err(|error| ("example".to_owned(), error.to_string()))?;
        positive("interval_ms", self.interval_ms)?;
        if self.interval_ms > INTERVAL_MS_MAX {
            let reason = format!("must be at most {INTERVAL_MS_MAX} (one day)");
            return Err(("interval_ms".to_owned(), reason));
        }
        self.spelling.check("spelling")?;
        check_headers(&self.headers)?;
        if let Some(one) = &self.one {
            one.check()?;
        }
        if let Some(batch) = &self.many {
            batch.check()?;
        }
        if let Some(list) = &self.markets {
            list.check()?;
        }
        match &self.stream {
            Some(stream) => stream.check(),
            None if self.one.is_none() && self.many.is_none() => {
                let reason = "missing: without many and stream there is nothing to ask".to_owned();
                Err(("one".to_owned(), reason))
            }
            None => Ok(()),
        }
    }
}

impl Query {
    fn check(&self) -> Checked {
        let known = [MARKET_PLACEHOLDERS, TIME_PLACEHOLDERS].concat();
        check_url("one.url", &self.url, &known)?;
        check_post("one.post", self.post.as_ref())?;
        self.answer.check("one.answer")?;
        if !self.names_market() && self.answer.is_single() {
            let reason = "without {market} every symbol would have the same price".to_owned();
            return Err(("one.url".to_owned(), reason));
        }
        Ok(())
    }
}

impl Batch {
    fn check(&self) -> Checked {
        let known = [&["markets"], TIME_PLACEHOLDERS].concat();
        check_url("many.url", &self.url, &known)?;
        check_post("many.post", self.post.as_ref())?;
        in_field("many.each", self.each.allow(MARKET_PLACEHOLDERS))?;
        positive("many.from", self.from as u64)?;
        positive("many.most", self.most as u64)?;
        positive("many.interval_ms", self.interval_ms.unwrap_or(1))?;
        self.answer.check("many.answer")?;
        if self.answer.is_single() {
            let reason = "needs list or map, to tell the symbols apart".to_owned();
            return Err(("many.answer".to_owned(), reason));
        }
        Ok(())
    }
}

impl Mapping {
    fn check(&self, field: &str) -> Checked {
        for name in &self.names {
            in_field(&format!("{field}.names"), name.allow(MARKET_PLACEHOLDERS))?;
        }
        in_field(&format!("{field}.last"), self.last.check())?;
        for (name, place) in self.fields.iter() {
            in_field(&format!("{field}.fields.{name}"), place.check())?;
        }
        let wrong = |reason: &str| Err((field.to_owned(), reason.to_owned()));
        match (&self.list, &self.map) {
            (Some(_), Some(_)) => wrong("expected either list or map, not both"),
            (Some(_), None) if self.symbol.is_none() && self.channel.is_none() => {
                wrong("a list needs symbol, to tell its entries apart")
            }
            _ => Ok(()),
        }
    }
}

impl SymbolFormat {
    fn check(&self, field: &str) -> Checked {
        let placeholders: Vec<_> = MARKET_PLACEHOLDERS
            .iter()
            .copied()
            .filter(|&placeholder| placeholder != "market")
            .collect();
        in_field(&format!("{field}.market"), self.market.allow(&placeholders))?;
        let long = self.long.as_ref();
        let checked = long.map_or(Ok(()), |long| long.allow(&placeholders));
        in_field(&format!("{field}.long"), checked)
    }
}

impl MarketList {
    fn check(&self) -> Checked {
        in_field("markets.url", super::http_url(&self.url))?;
        let wrong = |reason: &str| Err(("markets".to_owned(), reason.to_owned()));
        if self.list.is_some() == self.map.is_some() {
            return wrong("needs either list or map");
        }
        for written in &self.written {
            let placeholders = ["BASE", "QUOTE", "base", "quote"];
            in_field("markets.written", written.allow(&placeholders))?;
        }
        let has_name = self.name.is_some() || self.map.is_some();
        match (&self.base, &self.quote) {
            (Some(_), Some(_)) => Ok(()),
            (None, None) if has_name => Ok(()),
            _ => wrong("needs base and quote, or name"),
        }
    }
}

impl StreamEntry {
    fn check(&self) -> Checked {
        let own: &[&str] = match self.token {
            Some(_) => &["endpoint", "token", "id", "markets"],
            None => &["id", "markets"],
        };
        let known = [own, MARKET_PLACEHOLDERS].concat();
        in_field("stream.url", self.url.allow(&known))?;
        match &self.token {
            Some(token) => in_field("stream.token.post", super::http_url(&token.post))?,
            None => in_field("stream.url", websocket_url(&self.url.fill(|_| None)))?,
        }
        in_field("stream.each", self.each.allow(MARKET_PLACEHOLDERS))?;
        positive("stream.most", self.most as u64)?;
        positive("stream.per_connection", self.per_connection as u64)?;
        if self.replaces && self.subscribe.as_ref().is_some_and(Message::is_per_market) {
            let reason = "a message for one market cannot name all others".to_owned();
            return Err(("stream.replaces".to_owned(), reason));
        }
        if let Some(spelling) = &self.spelling {
            spelling.check("stream.spelling")?;
        }
        self.check_subscriptions()?;
        self.ticks.message.check("stream.ticks.message")?;
        if self.encoding == Encoding::Protobuf && self.ticks.message.map.is_some() {
            let reason = "protobuf has no map of entries by symbol: expected list".to_owned();
            return Err(("stream.ticks.message.map".to_owned(), reason));
        }
        for heartbeat in &self.heartbeats {
            let checked = heartbeat.reply.as_ref().map_or(Ok(()), Message::check);
            in_field("stream.heartbeats.reply", checked)?;
        }
        if let Some(ping) = &self.ping {
            positive("stream.ping.every_ms", ping.every_ms)?;
            let checked = ping.send.as_ref().map_or(Ok(()), Message::check);
            in_field("stream.ping.send", checked)?;
        }
        positive("stream.alive.every_ms", self.alive.every_ms)?;
        if self.alive.by != Sign::Pong && self.heartbeats.is_empty() {
            let reason = "only \"pong\" needs no heartbeats".to_owned();
            return Err(("stream.alive.by".to_owned(), reason));
        }
        let ticks = &self.ticks.message;
        let ack = self.ack.as_ref();
        let is_announced = ack.is_some_and(|ack| ack.channel.is_some() && ack.symbol.is_some());
        if ticks.channel.is_some() && !is_announced {
            let reason = "ticks with a channel need channel and symbol here".to_owned();
            return Err(("stream.ack".to_owned(), reason));
        }
        if ticks.channel.is_none() && ticks.symbol.is_none() && ticks.map.is_none() {
            let reason = "needs symbol, map or channel, to tell the symbols apart".to_owned();
            return Err(("stream.ticks.message".to_owned(), reason));
        }
        Ok(())
    }
}

impl StreamEntry {
    /// Somewhere, the markets must be named.
    fn check_subscriptions(&self) -> Checked {
        let fields = [
            ("stream.before", self.before.as_slice()),
            ("stream.subscribe", self.subscribe.as_slice()),
            ("stream.after", self.after.as_slice()),
        ];
        for (field, messages) in fields {
            for message in messages {
                in_field(field, message.check())?;
            }
        }
        let in_url = [MARKET_PLACEHOLDERS, &["markets"]].concat();
        if self.subscribe.is_none() && !self.url.mentions(&in_url) {
            let reason = "missing: without it, the URL must name the markets".to_owned();
            return Err(("stream.subscribe".to_owned(), reason));
        }
        Ok(())
    }
}

/// A header must be one line, and ours are not to be replaced.
fn check_headers(headers: &BTreeMap<String, String>) -> Checked {
    let wrong = |reason: String| Err(("headers".to_owned(), reason));
    for (name, value) in headers {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return wrong(format!("invalid header name '{name}'"));
        }
        if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return wrong(format!("invalid value of {name}: expected printable ASCII"));
        }
        let lower = name.to_ascii_lowercase();
        let is_ours = OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("sec-websocket-");
        if is_ours {
            return wrong(format!("{name} is part of the protocol and cannot be set"));
        }
    }
    Ok(())
}

/// What HTTP and the WebSocket handshake need for themselves.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// A body is made before it is known when it will be sent, and answers nothing.
fn check_post(field: &str, post: Option<&Message>) -> Checked {
    let Some(post) = post else {
        return Ok(());
    };
    in_field(field, post.check())?;
    if post.mentions(TIME_PLACEHOLDERS) {
        let reason = "a body cannot contain the time: expected it in the URL";
        return Err((field.to_owned(), reason.to_owned()));
    }
    Ok(())
}

const INTERVAL_MS_MAX: u64 = 86_400_000;

fn check_name(field: &str, name: &str) -> Checked {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        let reason = format!("invalid name '{name}': expected only a-z, 0-9, '-', '_' and '.'");
        return Err((field.to_owned(), reason));
    }
    Ok(())
}

fn check_url(field: &str, url: &Template, placeholders: &[&str]) -> Checked {
    in_field(field, url.allow(placeholders))?;
    in_field(field, super::http_url(&url.fill(|_| None)))
}

fn positive(field: &str, number: u64) -> Checked {
    match number {
        0 => Err((field.to_owned(), "must be at least 1".to_owned())),
        _ => Ok(()),
    }
}

fn in_field(field: &str, checked: Result<(), String>) -> Checked {
    checked.map_err(|reason| (field.to_owned(), reason))
}
