//! Prices from the exchange's own WebSocket: a fiber that connects, subscribes, keeps the
//! connection alive by the rules of that exchange, and starts over when it ends.
//!
//! A connection ends for many reasons, most of them harmless: exchanges close each one after a day,
//! and all of them before maintenance. A connection that has been good for a while is replaced at
//! once, any other after a growing pause.
//!
//! Silence is not an end: most streams send a price when it changes, and a market may rest for
//! hours. Each entry says which sign of life comes in the meantime. While it comes, the prices that
//! arrived on this connection still stand, and are reported as confirmed; a connection without it
//! is dead.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use exchanges::{Connection, Exchange, Quote, QuoteError, Session, StreamMessage, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Cancelled, Emitter};

use super::failure::{Failure, Pause};
use super::inbox::{Inbox, Order};
use super::pace::Pace;
use super::rest::QUOTES_PER_PART;
use super::sources::{Event, Part};
use super::websocket::{Received, Refusal, Socket};
use crate::backoff::Backoff;
use crate::http_client::HttpClient;
use crate::tick::unix_us;

/// One connection to the stream of an exchange; there are several if the exchange does not allow
/// all symbols on one.
pub(super) struct Stream {
    pub(super) exchange: Exchange,
    /// Tells which symbols to subscribe to.
    pub(super) inbox: Inbox<Order>,
    /// When the exchange may be sent a request; only some streams need one first.
    pub(super) pace: Pace,
    /// When the exchange may be connected to.
    pub(super) connects: Pace,
    pub(super) http_client: HttpClient,
}

/// Why a connection ended.
enum End {
    /// The exchange asked for it, in these words.
    Asked(String),
    Failed(Failure),
    /// It was never opened.
    Refused(Refusal),
    /// Many of its symbols are no longer wanted.
    Changed,
    /// The fiber was cancelled.
    Cancelled,
}

impl Stream {
    /// Listens and emits until it is cancelled.
    pub(super) fn run(&self, emitter: &Emitter<Event>) -> io::Result<()> {
        let mut backoff = Backoff::new(Rng::new());
        let mut wanted = Subscriptions::default();
        loop {
            wanted.obey(self.inbox.take());
            if wanted.wanted.is_empty() {
                self.inbox.wait(None)?;
                continue;
            }
            fiber::sleep_until(self.connects.turn(self.connect_every()))?;
            let mut listening = Listening::new();
            let end = match self.listen(emitter, &mut wanted, &mut listening) {
                Err(_) if fiber::is_cancelled() => End::Cancelled,
                Ok(end) | Err(end) => end,
            };
            let was_good = listening.was_good(fiber::time());
            if was_good {
                backoff.succeeded();
            }
            let pause = match end {
                End::Cancelled => return Ok(()),
                End::Changed => continue,
                End::Asked(why) if was_good => {
                    // The pause is random, since the exchange sent all its clients away at once.
                    let pause = PAUSE_AFTER_CLOSE.mul_f64(Rng::new().f64());
                    emitter.emit(Event::Left { why, pause })?;
                    pause
                }
                End::Asked(why) => {
                    let failure = Failure::broken(format!("closed by the exchange: {why}"));
                    give_up(emitter, failure.into(), &mut backoff)?
                }
                End::Failed(failure) => give_up(emitter, failure.into(), &mut backoff)?,
                End::Refused(refusal) => give_up(emitter, refusal, &mut backoff)?,
            };
            fiber::sleep(pause)?;
        }
    }

    /// The shortest time between opening two connections.
    fn connect_every(&self) -> Duration {
        let limits = self.exchange.stream_limits();
        limits.map_or(Duration::ZERO, |limits| limits.connect_every)
    }

    /// Runs one connection, from its first request to its end.
    fn listen(
        &self,
        emitter: &Emitter<Event>,
        wanted: &mut Subscriptions,
        listening: &mut Listening,
    ) -> Result<End, End> {
        let session = self.exchange.session(&[]);
        let mut session = session.ok_or(End::Cancelled)?;
        wanted.begin(&mut session)?;
        let connection = self.connection(&session)?;
        let limit = self.http_client.timeout();
        let mut socket = Socket::open(&self.http_client, &connection.url, fiber::time() + limit)?;
        fiber::sleep(connection.settle)?;
        self.subscribe(&mut session, &mut socket, listening)?;
        listening.begin(&connection, fiber::time());
        loop {
            listening.make_room_for(wanted.numbers.len());
            match socket.receive(listening.until(fiber::time()))? {
                Received::Close(why) => return Ok(End::Asked(why)),
                Received::TimedOut => {}
                Received::SignOfLife => listening.on_sign(fiber::time()),
                Received::Message(bytes) => match session.read(&bytes, now_ms()) {
                    StreamMessage::Leave => {
                        let why = "it asked for a new connection".to_owned();
                        return Ok(End::Asked(why));
                    }
                    message => {
                        let reply = on_message(emitter, (wanted, listening), message)?;
                        if reply.is_some() {
                            socket.send(reply, fiber::time() + limit)?;
                        }
                    }
                },
            }
            let now = fiber::time();
            for indexes in listening.confirmed(now).chunks(CONFIRMED_AT_ONCE) {
                let numbers = indexes.iter().map(|&index| wanted.number(index));
                emitter.emit(Event::Confirmed(numbers.collect()))?;
            }
            if listening.is_ping_due(now) {
                let ping = session.ping(now_ms());
                socket.send(ping, now + limit)?;
            }
            if !wanted.follow(self.inbox.take(), &mut session) {
                return Ok(End::Changed);
            }
            self.subscribe(&mut session, &mut socket, listening)?;
            listening.check(now)?;
        }
    }

    /// Sends the subscribe messages that are due: all of them, unless the exchange wants pauses
    /// between them.
    fn subscribe(
        &self,
        session: &mut Session<'_>,
        socket: &mut Socket,
        listening: &mut Listening,
    ) -> Result<(), End> {
        let limits = self.exchange.stream_limits();
        let every = limits.map_or(Duration::ZERO, |limits| limits.subscribe_every);
        let mut sent = 0;
        while listening.may_subscribe(fiber::time())
            && let Some(text) = session.subscribe_next(now_ms())
        {
            let deadline = fiber::time() + self.http_client.timeout();
            socket.send(Some(text), deadline)?;
            listening.subscribed(every, session.has_more(), fiber::time());
            sent += 1;
            if sent % MESSAGES_PER_TURN == 0 {
                fiber::yield_now()?;
            }
        }
        Ok(())
    }

    /// Where to connect. Some exchanges have to be asked for that.
    fn connection(&self, session: &Session<'_>) -> Result<Connection, End> {
        let Some(url) = session.token_url() else {
            return Ok(session.connection(None, now_ms())?);
        };
        fiber::sleep_until(self.pace.not_before())?;
        let answer = self.http_client.post(url).map_err(Failure::from)?;
        let read = session.connection(Some((answer.status, &answer.body)), now_ms());
        Ok(read.map_err(|error| Refusal {
            failure: error.into(),
            retry_after: answer.retry_after,
        })?)
    }
}

/// Emits the contents of a message, and returns the reply that it calls for.
fn on_message(
    emitter: &Emitter<Event>,
    (wanted, listening): (&Subscriptions, &mut Listening),
    message: StreamMessage,
) -> Result<Option<String>, Cancelled> {
    let now = fiber::time();
    match message {
        StreamMessage::Ticks(quotes) => {
            for (index, quote) in &quotes {
                listening.on_quote(*index, quote.is_ok(), now);
            }
            let mut quotes = quotes.into_iter();
            let quotes = quotes
                .by_ref()
                .map(|(index, quote)| (wanted.number(index), quote));
            report(emitter, quotes.collect())?;
        }
        StreamMessage::Heartbeat(reply) => {
            listening.on_sign(now);
            return Ok(reply);
        }
        StreamMessage::Alive(index) => listening.on_sign_of(index, now),
        StreamMessage::Error(words) => emitter.emit(Event::Complaint(words))?,
        StreamMessage::Unreadable(what) => {
            listening.on_unreadable();
            emitter.emit(Event::Unreadable(what))?;
        }
        StreamMessage::Ack | StreamMessage::Other => listening.on_sign(now),
        StreamMessage::Leave => {}
    }
    Ok(None)
}

/// Reports the prices of one message, in parts if there are many.
fn report(
    emitter: &Emitter<Event>,
    mut quotes: Vec<(usize, Result<Quote, QuoteError>)>,
) -> Result<(), Cancelled> {
    let received_ms = now_ms();
    let mut is_first = true;
    loop {
        let later = quotes.split_off(quotes.len().min(QUOTES_PER_PART));
        let is_last = later.is_empty();
        emitter.emit(Event::Quotes {
            quotes,
            part: Part { is_first, is_last },
            received_ms,
            took: None,
        })?;
        if is_last {
            return Ok(());
        }
        (quotes, is_first) = (later, false);
    }
}

/// Reports a failure and returns how long to wait.
fn give_up(
    emitter: &Emitter<Event>,
    refusal: Refusal,
    backoff: &mut Backoff,
) -> Result<Duration, Cancelled> {
    let failure = refusal.failure;
    let pause = Pause::after(&failure, refusal.retry_after, backoff);
    emitter.emit(Event::Failed {
        failure,
        pause,
        took: None,
    })?;
    Ok(pause.length)
}

/// The symbols of one connection.
#[derive(Default)]
struct Subscriptions {
    /// The symbols that are wanted, with the numbers of their markets.
    wanted: HashMap<Symbol, usize>,
    /// The symbols of the session, wanted or not, with their indexes.
    indexes: HashMap<Symbol, usize>,
    /// The number of the market of each symbol of the session; [`UNWANTED`] if it has none.
    numbers: Vec<usize>,
}

impl Subscriptions {
    /// Adds and removes symbols, in the order of `orders`. Returns those that have changed.
    fn obey(&mut self, orders: Vec<Order>) -> Vec<Symbol> {
        let mut changed = Vec::with_capacity(orders.len());
        for order in orders {
            match order {
                Order::Add(number, symbol) => {
                    self.wanted.insert(symbol.clone(), number);
                    changed.push(symbol);
                }
                Order::Remove(number, symbol) => {
                    if self.wanted.get(&symbol) == Some(&number) {
                        self.wanted.remove(&symbol);
                        changed.push(symbol);
                    }
                }
            }
        }
        changed
    }

    /// Begins a session with all symbols that are wanted.
    fn begin(&mut self, session: &mut Session<'_>) -> Result<(), Cancelled> {
        self.indexes.clear();
        self.numbers.clear();
        let mut symbols: Vec<_> = self.wanted.keys().cloned().collect();
        symbols.sort_by_key(|symbol| self.wanted[symbol]);
        for symbols in symbols.chunks(SYMBOLS_PER_TURN) {
            self.add(session, symbols);
            fiber::yield_now()?;
        }
        Ok(())
    }

    fn add(&mut self, session: &mut Session<'_>, symbols: &[Symbol]) {
        for symbol in symbols {
            self.indexes.insert(symbol.clone(), self.numbers.len());
            let number = self.wanted.get(symbol);
            self.numbers.push(number.copied().unwrap_or(UNWANTED));
        }
        session.add(symbols);
    }

    /// Follows changes during a session. Returns whether it may go on. Prices of symbols that are
    /// no longer wanted keep coming until it ends, and one of these that is wanted again may not be
    /// sent before it changes.
    fn follow(&mut self, orders: Vec<Order>, session: &mut Session<'_>) -> bool {
        let changed = self.obey(orders);
        if changed.is_empty() {
            return true;
        }
        let mut new = Vec::new();
        for symbol in changed {
            let number = self.wanted.get(&symbol).copied();
            match (self.indexes.get(&symbol), number) {
                (Some(&index), None) => self.numbers[index] = UNWANTED,
                (Some(&index), Some(number)) if self.numbers[index] != number => return false,
                (None, Some(_)) if !new.contains(&symbol) => new.push(symbol),
                _ => {}
            }
        }
        if !new.is_empty() && !session.can_grow() {
            return false;
        }
        self.add(session, &new);
        let unwanted = self.numbers.iter().filter(|number| **number == UNWANTED);
        !self.wanted.is_empty() && unwanted.count() * UNWANTED_SHARE <= self.numbers.len()
    }

    /// The number of the market of the session's symbol with this index.
    fn number(&self, index: usize) -> usize {
        self.numbers.get(index).copied().unwrap_or(UNWANTED)
    }
}

/// The timers of one connection, and what it has brought.
struct Listening {
    /// How long it may go without a sign of life.
    silence_max: Duration,
    confirms_one_by_one: bool,
    ping_every: Option<Duration>,
    ping_due: Option<Instant>,
    /// When the next subscribe message may be sent.
    subscribe_due: Option<Instant>,
    /// When it subscribed; `None` before.
    began: Option<Instant>,
    /// The newest sign of life, prices included.
    sign: Option<Instant>,
    /// Whether a sign of life has just come, which is not passed on yet.
    has_news: bool,
    /// When signs of life were last passed on: looking at every symbol for every price would cost
    /// too much.
    confirmed: Option<Instant>,
    has_price: bool,
    /// For each symbol of the session, when its price on this connection was last received or confirmed; `None`
    /// before its first.
    prices: Vec<Option<Instant>>,
    /// Symbols of the session whose own sign of life has come and is not passed on yet.
    alive: Vec<usize>,
}

impl Listening {
    fn new() -> Self {
        Self {
            silence_max: Duration::ZERO,
            confirms_one_by_one: false,
            ping_every: None,
            ping_due: None,
            subscribe_due: None,
            began: None,
            sign: None,
            has_news: false,
            confirmed: None,
            has_price: false,
            prices: Vec::new(),
            alive: Vec::new(),
        }
    }

    fn begin(&mut self, connection: &Connection, now: Instant) {
        self.began = Some(now);
        self.silence_max = connection.silence_max;
        self.confirms_one_by_one = connection.confirms_one_by_one;
        self.ping_every = connection.ping_every;
        self.ping_due = self.ping_every.map(|every| now + every);
    }

    /// Makes room for this many symbols, since they are added while it runs.
    fn make_room_for(&mut self, symbols: usize) {
        self.prices.resize(symbols, None);
    }

    /// Whether the exchange allows a subscribe message now.
    fn may_subscribe(&self, now: Instant) -> bool {
        self.subscribe_due.is_none_or(|due| due <= now)
    }

    /// Notes that a subscribe message was sent, and whether there are more.
    fn subscribed(&mut self, every: Duration, has_more: bool, now: Instant) {
        let is_paced = has_more && !every.is_zero();
        self.subscribe_due = is_paced.then(|| now + every);
    }

    /// Notes a price, or that a symbol has none now.
    fn on_quote(&mut self, index: usize, is_price: bool, now: Instant) {
        if let Some(price) = self.prices.get_mut(index) {
            *price = is_price.then_some(now);
        }
        self.has_price |= is_price;
        self.on_sign(now);
    }

    /// Notes a sign of life of the connection.
    fn on_sign(&mut self, now: Instant) {
        self.sign = Some(now);
        self.has_news |= !self.confirms_one_by_one;
    }

    /// Notes a sign of life of one symbol.
    fn on_sign_of(&mut self, index: usize, now: Instant) {
        self.sign = Some(now);
        self.alive.push(index);
    }

    /// Notes a message that may have been a price, of any symbol: none is known to stand now.
    fn on_unreadable(&mut self) {
        self.prices.fill(None);
    }

    /// The session's symbols whose prices are confirmed by what has arrived, if they have been silent for a
    /// while: others need no confirmation.
    fn confirmed(&mut self, now: Instant) -> Vec<usize> {
        let is_long_ago = |then| now.saturating_duration_since(then) >= CONFIRM_EVERY;
        let is_quiet = |price: &Option<Instant>| price.is_some_and(is_long_ago);
        let mut symbols = std::mem::take(&mut self.alive);
        symbols.retain(|&index| self.prices.get(index).is_some_and(is_quiet));
        // A sign that comes too soon after the last is dropped: passed on later, it would seem newer.
        let has_news = std::mem::take(&mut self.has_news);
        if has_news && self.confirmed.is_none_or(is_long_ago) {
            self.confirmed = Some(now);
            let quiet = self
                .prices
                .iter()
                .enumerate()
                .filter(|(_, price)| is_quiet(price));
            symbols.extend(quiet.map(|(index, _)| index));
        }
        for &index in &symbols {
            self.prices[index] = Some(now);
        }
        symbols
    }

    /// The beginning of the current silence.
    fn silent_since(&self, now: Instant) -> Instant {
        self.sign.or(self.began).unwrap_or(now)
    }

    /// Until when to wait for a message: not long, since symbols may be added.
    fn until(&self, now: Instant) -> Instant {
        let dead = self.silent_since(now) + self.silence_max;
        let due = [self.ping_due, self.subscribe_due];
        let due = due.into_iter().flatten().fold(dead, Instant::min);
        due.min(now + LOOK_EVERY)
    }

    /// Whether a ping is due now. If so, schedules the next one.
    fn is_ping_due(&mut self, now: Instant) -> bool {
        let is_due = self.ping_due.is_some_and(|due| due <= now);
        if is_due {
            self.ping_due = self.ping_every.map(|every| now + every);
        }
        is_due
    }

    /// The watchdog: a connection may be dead without either end noticing.
    fn check(&self, now: Instant) -> Result<(), Failure> {
        let silence = now.saturating_duration_since(self.silent_since(now));
        if silence >= self.silence_max {
            Err(Failure::Silent(silence))
        } else {
            Ok(())
        }
    }

    /// Whether it lasted, and brought prices or lasted long: a market may rest.
    fn was_good(&self, now: Instant) -> bool {
        let lasted = |least| {
            let began = self.began;
            began.is_some_and(|began| now.saturating_duration_since(began) >= least)
        };
        self.has_price && lasted(GOOD_AFTER) || lasted(GOOD_WITHOUT_PRICE_AFTER)
    }
}

fn now_ms() -> u64 {
    unix_us() / 1_000
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<QuoteError> for End {
    fn from(error: QuoteError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Cancelled> for End {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// The longest pause before replacing a connection that ended as planned.
const PAUSE_AFTER_CLOSE: Duration = Duration::from_millis(100);

/// A connection that ended sooner is not replaced at once: an exchange that keeps closing must not
/// make us reconnect ever faster.
const GOOD_AFTER: Duration = Duration::from_secs(3);

/// The same without a price.
const GOOD_WITHOUT_PRICE_AFTER: Duration = Duration::from_secs(60);

/// A symbol is confirmed at most this often.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);

/// How many symbols are confirmed in one turn of the loop.
const CONFIRMED_AT_ONCE: usize = 500;

/// How often a silent connection looks for symbols that were added or removed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many symbols are added to a session in one turn.
const SYMBOLS_PER_TURN: usize = 256;

/// The number of no market.
const UNWANTED: usize = usize::MAX;

/// A connection is replaced when more than one in this many of its symbols is no longer wanted.
const UNWANTED_SHARE: usize = 4;

/// How many subscribe messages are sent in one turn.
const MESSAGES_PER_TURN: u32 = 16;

#[cfg(test)]
mod tests {
    use exchanges::Catalogue;

    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn orders_are_obeyed_one_after_the_other() {
        let mut subscriptions = Subscriptions::default();
        let (add, remove) = (
            |number| Order::Add(number, symbol("A/B")),
            |number| Order::Remove(number, symbol("A/B")),
        );
        subscriptions.obey(vec![add(0), remove(0), add(0)]);
        assert_eq!(subscriptions.wanted.get(&symbol("A/B")), Some(&0));
        subscriptions.obey(vec![remove(0), add(65_536), remove(0)]);
        assert_eq!(subscriptions.wanted.get(&symbol("A/B")), Some(&65_536));
    }

    #[test]
    fn a_session_grows_but_ends_when_a_symbol_is_taken_back() {
        let catalogue = Catalogue::builtin();
        let mut session = catalogue.get("okx").unwrap().session(&[]).unwrap();
        let mut subscriptions = Subscriptions::default();
        let mut follow = |orders| subscriptions.follow(orders, &mut session);
        let names = ["A/X", "B/X", "C/X", "D/X", "E/X"];
        let all = (0..)
            .zip(names)
            .map(|(number, name)| Order::Add(number, symbol(name)));
        assert!(follow(all.collect()));
        assert!(follow(vec![Order::Remove(1, symbol("B/X"))]));
        assert!(!follow(vec![Order::Add(65_537, symbol("B/X"))]));
        assert_eq!(subscriptions.number(0), 0);
        assert_eq!(subscriptions.number(1), UNWANTED);
    }
}
