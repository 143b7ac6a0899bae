//! Prices from the exchange's own WebSocket: a fiber that connects, subscribes, keeps the
//! connection alive by the rules of that exchange, and starts over when it ends.
//!
//! A connection ends for many reasons, most of them harmless: exchanges close each one after a day,
//! and all of them before maintenance. A connection that has been good for a while is replaced at
//! once, any other after a growing pause.

use std::io;
use std::time::{Duration, Instant};

use exchanges::{Connection, Exchange, QuoteError, Session, StreamMessage, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Cancelled, Emitter};

use super::failure::Failure;
use super::sources::Event;
use super::websocket::{Received, Refusal, Socket};
use crate::backoff::Backoff;
use crate::http_client::HttpClient;
use crate::tick::unix_us;

/// The stream of one exchange.
pub(super) struct Stream {
    pub(super) exchange: Exchange,
    pub(super) symbols: Vec<Symbol>,
    /// How long it may send no price before the connection is presumed dead.
    pub(super) silence_max: Duration,
    pub(super) http_client: HttpClient,
}

/// Why a connection ended.
enum End {
    /// The exchange asked for it, in these words.
    Asked(String),
    Failed(Failure),
    /// It was never opened.
    Refused(Refusal),
    /// The fiber was cancelled.
    Cancelled,
}

impl Stream {
    /// Listens and emits until it is cancelled.
    pub(super) fn run(&self, emitter: &Emitter<Event>) -> io::Result<()> {
        let mut backoff = Backoff::new(Rng::new());
        let mut quiet = 0;
        loop {
            let mut listening = Listening::new(self.silence_max * (1 << quiet));
            let end = match self.listen(emitter, &mut listening) {
                Err(_) if fiber::is_cancelled() => End::Cancelled,
                Ok(end) | Err(end) => end,
            };
            let was_good = listening.was_good();
            quiet = match &end {
                End::Failed(Failure::Silent(_)) if listening.was_quiet() => {
                    QUIET_MAX.min(quiet + 1)
                }
                _ => 0,
            };
            if was_good {
                backoff.succeeded();
            }
            let pause = match end {
                End::Cancelled => return Ok(()),
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

    /// Runs one connection, from its first request to its end.
    fn listen(&self, emitter: &Emitter<Event>, listening: &mut Listening) -> Result<End, End> {
        let session = self.exchange.session(&self.symbols);
        let mut session = session.ok_or(End::Cancelled)?;
        let connection = self.connection(&session)?;
        let limit = self.http_client.timeout();
        let mut socket = Socket::open(&self.http_client, &connection.url, Instant::now() + limit)?;
        fiber::sleep(connection.settle)?;
        for text in session.subscribe(now_ms()) {
            socket.send(Some(text), Instant::now() + limit)?;
        }
        listening.begin(connection.ping_every);
        loop {
            match socket.receive(listening.until())? {
                Received::Close(why) => return Ok(End::Asked(why)),
                Received::TimedOut | Received::SignOfLife => {}
                Received::Message(bytes) => match session.read(&bytes, now_ms()) {
                    StreamMessage::Leave => {
                        let why = "it asked for a new connection".to_owned();
                        return Ok(End::Asked(why));
                    }
                    message => {
                        let reply = self.on_message(emitter, listening, message)?;
                        if reply.is_some() {
                            socket.send(reply, Instant::now() + limit)?;
                        }
                    }
                },
            }
            if listening.is_ping_due() {
                let ping = session.ping(now_ms());
                socket.send(ping, Instant::now() + limit)?;
            }
            listening.check()?;
        }
    }

    /// Where to connect. Some exchanges have to be asked for that.
    fn connection(&self, session: &Session<'_>) -> Result<Connection, Failure> {
        let answer = match session.token_url() {
            Some(url) => Some(self.http_client.post(url)?),
            None => None,
        };
        let answer = answer
            .as_ref()
            .map(|answer| (answer.status, answer.body.as_slice()));
        Ok(session.connection(answer, now_ms())?)
    }

    /// Emits the contents of a message, and returns the reply that it calls for.
    fn on_message(
        &self,
        emitter: &Emitter<Event>,
        listening: &mut Listening,
        message: StreamMessage,
    ) -> Result<Option<String>, Cancelled> {
        match message {
            StreamMessage::Ticks(quotes) => {
                if quotes.iter().any(|(_, quote)| quote.is_ok()) {
                    listening.on_price();
                }
                emitter.emit(Event::Quotes {
                    quotes,
                    received_ms: now_ms(),
                    took: None,
                })?;
            }
            StreamMessage::Heartbeat(reply) => return Ok(reply),
            StreamMessage::Error(words) => emitter.emit(Event::Complaint(words))?,
            StreamMessage::Ack | StreamMessage::Leave | StreamMessage::Other => {}
        }
        Ok(None)
    }
}

/// Reports a failure and returns how long to wait.
fn give_up(
    emitter: &Emitter<Event>,
    refusal: Refusal,
    backoff: &mut Backoff,
) -> Result<Duration, Cancelled> {
    let failure = refusal.failure;
    let (first, longest) = failure.pauses();
    let pause = backoff.failed(first, longest);
    let pause = refusal.retry_after.unwrap_or(pause);
    let took = None;
    emitter.emit(Event::Failed {
        failure,
        pause,
        took,
    })?;
    Ok(pause)
}

/// The timers of one connection.
struct Listening {
    silence_max: Duration,
    ping_every: Option<Duration>,
    ping_due: Option<Instant>,
    /// When it subscribed; `None` before.
    began: Option<Instant>,
    /// When the newest price arrived.
    price: Option<Instant>,
    /// How many messages contained prices.
    prices: u32,
}

impl Listening {
    fn new(silence_max: Duration) -> Self {
        Self {
            silence_max,
            ping_every: None,
            ping_due: None,
            began: None,
            price: None,
            prices: 0,
        }
    }

    fn begin(&mut self, ping_every: Option<Duration>) {
        let now = Instant::now();
        self.began = Some(now);
        self.ping_every = ping_every;
        self.ping_due = ping_every.map(|every| now + every);
    }

    fn on_price(&mut self) {
        self.price = Some(Instant::now());
        self.prices = self.prices.saturating_add(1);
    }

    /// The beginning of the current silence.
    fn silent_since(&self) -> Instant {
        let since = self.price.or(self.began);
        since.unwrap_or_else(Instant::now)
    }

    /// Until when to wait for a message.
    fn until(&self) -> Instant {
        let dead = self.silent_since() + self.silence_max;
        self.ping_due.map_or(dead, |due| due.min(dead))
    }

    /// Whether a ping is due now. If so, schedules the next one.
    fn is_ping_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.ping_due.is_some_and(|due| due <= now);
        if is_due {
            self.ping_due = self.ping_every.map(|every| now + every);
        }
        is_due
    }

    /// The watchdog: a connection may be dead without either end noticing.
    fn check(&self) -> Result<(), Failure> {
        let silence = self.silent_since().elapsed();
        if silence >= self.silence_max {
            Err(Failure::Silent(silence))
        } else {
            Ok(())
        }
    }

    /// Whether it brought some prices, but so few that the market itself may be silent.
    fn was_quiet(&self) -> bool {
        (1..=FEW_PRICES).contains(&self.prices)
    }

    /// Whether it brought prices and lasted.
    fn was_good(&self) -> bool {
        let lasted = self
            .began
            .is_some_and(|began| began.elapsed() >= GOOD_AFTER);
        lasted && self.price.is_some()
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

/// The most price messages from a quiet market: those that answer the subscription, and a few more.
const FEW_PRICES: u32 = 10;

/// How often the limit on silence is doubled for a quiet market: up to sixteen times the first.
const QUIET_MAX: u32 = 4;
