//! Prices from a URL that answers with Server-Sent Events: a fiber that listens, and reconnects
//! where the stream ended. Each event has the same JSON that a plain answer would have.

mod parser;

use std::io::{self, Read};
use std::time::{Duration, Instant};

use exchanges::{Exchange, Quote, QuoteError, Request, Scale, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Emitter};

use self::parser::{Item, Message, Parser};
use super::failure::{Failure, Pause};
use super::sources::{Event, Part};
use crate::backoff::Backoff;
use crate::http_client::{HttpClient, Opened, TransportError};
use crate::tick::unix_us;

/// A stream of events about one symbol.
pub(super) struct EventStream {
    pub(super) exchange: Exchange,
    pub(super) symbol: Symbol,
    /// How long it may send nothing, not even a comment, before the connection is presumed dead.
    pub(super) silence_max: Duration,
    pub(super) http_client: HttpClient,
}

/// What a stream says about reconnecting.
struct Resume {
    /// How long to wait.
    pause: Duration,
    last_id: String,
}

/// How a connection ended.
enum End {
    /// The stream ended without an error.
    Over,
    /// The answer is not a stream.
    OtherAnswer,
    Failed(Failure, Option<Duration>),
}

impl EventStream {
    /// Listens and emits until it is cancelled, or the URL answers with something else than events.
    pub(super) fn run(&self, emitter: &Emitter<Event>) -> io::Result<()> {
        let mut backoff = Backoff::new(Rng::new());
        let mut resume = Resume {
            pause: PAUSE,
            last_id: String::new(),
        };
        loop {
            let mut prices = 0;
            let end = self.listen(emitter, &mut resume, &mut prices)?;
            if prices > 0 {
                backoff.succeeded();
            }
            let pause = match end {
                End::OtherAnswer => return Ok(()),
                End::Over if prices > 0 => {
                    let (why, pause) = ("the stream has ended".to_owned(), resume.pause);
                    emitter.emit(Event::Left { why, pause })?;
                    pause
                }
                End::Over => {
                    let failure = Failure::broken("the stream ended without a price");
                    self.give_up(emitter, (failure, None), &mut backoff, &resume)?
                }
                End::Failed(failure, retry_after) => {
                    self.give_up(emitter, (failure, retry_after), &mut backoff, &resume)?
                }
            };
            fiber::sleep(pause)?;
        }
    }

    /// Reports a failure and returns how long to wait.
    fn give_up(
        &self,
        emitter: &Emitter<Event>,
        (failure, retry_after): (Failure, Option<Duration>),
        backoff: &mut Backoff,
        resume: &Resume,
    ) -> io::Result<Duration> {
        let least = if retry_after.is_none() {
            resume.pause
        } else {
            Duration::ZERO
        };
        let pause = Pause::after(&failure, retry_after, backoff).at_least(least);
        emitter.emit(Event::Failed {
            failure,
            pause,
            took: None,
        })?;
        Ok(pause.length)
    }

    /// Runs one connection, from its request to its end. Counts the events that had a price.
    fn listen(
        &self,
        emitter: &Emitter<Event>,
        resume: &mut Resume,
        prices: &mut u64,
    ) -> io::Result<End> {
        // A URL of a user can always be asked.
        let Some(request) = self.exchange.request(&self.symbol) else {
            return Ok(End::OtherAnswer);
        };
        let opened = self
            .http_client
            .open_events(&request.url, &resume.last_id, self.silence_max);
        if fiber::is_cancelled() {
            return Err(fiber::Cancelled.into());
        }
        let mut stream = match opened {
            Ok(Opened::Events(stream)) => stream,
            Ok(Opened::Other(answer)) => {
                let now_ms = unix_us() / 1_000;
                let read = self
                    .exchange
                    .read(&request, answer.status, &answer.body, now_ms);
                return Ok(match read {
                    Err(error) if answer.status != 200 => {
                        End::Failed(error.into(), answer.retry_after)
                    }
                    _ => End::OtherAnswer,
                });
            }
            Err(error) => return Ok(End::Failed(error.into(), None)),
        };
        let mut parser = Parser::after(resume.last_id.clone());
        let mut buffer = vec![0; READ_SIZE];
        let mut confirmed = fiber::time();
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => return Ok(End::Over),
                Ok(count) => count,
                Err(error) if fiber::is_cancelled() => return Err(error),
                Err(error) => return Ok(End::Failed(self.broken(&error), None)),
            };
            let before = *prices;
            for item in parser.read(&buffer[..count]) {
                self.on_item(emitter, &request, item, resume, prices)?;
            }
            // Whatever else arrives shows that the price of this connection still stands.
            let now = fiber::time();
            let is_due = now.saturating_duration_since(confirmed) >= CONFIRM_EVERY;
            if before > 0 && *prices == before && is_due {
                confirmed = now;
                emitter.emit(Event::Confirmed(vec![0]))?;
            }
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        match TransportError::from_io(error) {
            TransportError::Timeout(_) => Failure::Silent(self.silence_max),
            error => error.into(),
        }
    }

    fn on_item(
        &self,
        emitter: &Emitter<Event>,
        request: &Request,
        item: Item,
        resume: &mut Resume,
        prices: &mut u64,
    ) -> io::Result<()> {
        match item {
            Item::Comment => {}
            Item::Retry(pause) => resume.pause = pause.clamp(PAUSE_MIN, PAUSE_MAX),
            Item::TooLong => {
                emitter.emit(Event::Complaint(TOO_LONG.to_owned()))?;
            }
            Item::Event(message) => {
                resume.last_id.clone_from(&message.id);
                self.on_message(emitter, request, &message, prices)?;
            }
        }
        Ok(())
    }

    fn on_message(
        &self,
        emitter: &Emitter<Event>,
        request: &Request,
        message: &Message,
        prices: &mut u64,
    ) -> io::Result<()> {
        let received_ms = unix_us() / 1_000;
        let quotes = self.exchange.read(request, 200, &message.data, received_ms);
        let quotes = quotes.unwrap_or_else(|error| vec![Err(error)]);
        let has_price = quotes.iter().any(Result::is_ok);
        // Streams have events of other kinds, too: a greeting, a sign of life.
        if !has_price && !message.name.is_empty() && message.name != "message" {
            return Ok(());
        }
        *prices += u64::from(has_price);
        emitter.emit(Event::Quotes {
            quotes: (0..).zip(quotes).collect(),
            part: Part::WHOLE,
            received_ms,
            took: None,
        })?;
        Ok(())
    }
}

/// The quotes of the first event that has some, or else of the last one within `limit`, and the
/// likely exponent of its price.
pub(super) fn first_quotes(
    http_client: &HttpClient,
    exchange: &Exchange,
    request: &Request,
    limit: Duration,
) -> (Quotes, Option<(Scale, String)>) {
    let deadline = Instant::now() + limit;
    let mut quotes = Err(Failure::Silent(limit));
    let mut stream = match http_client.open_events(&request.url, "", limit) {
        Ok(Opened::Events(stream)) => stream,
        Ok(Opened::Other(_)) => return (quotes, None),
        Err(error) => return (Err(error.into()), None),
    };
    let mut parser = Parser::default();
    let mut buffer = vec![0; READ_SIZE];
    while Instant::now() < deadline {
        let count = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return (quotes, None),
            Ok(count) => count,
        };
        for item in parser.read(&buffer[..count]) {
            let Item::Event(message) = item else { continue };
            let read = exchange.read(request, 200, &message.data, unix_us() / 1_000);
            let has_price = read.iter().flatten().any(Result::is_ok);
            quotes = read.map_err(Failure::Answer);
            if has_price {
                return (quotes, exchange.likely_scale(&message.data));
            }
        }
    }
    (quotes, None)
}

/// The outcome of a request.
type Quotes = Result<Vec<Result<Quote, QuoteError>>, Failure>;

/// How often signs of life are passed on, at most.
const CONFIRM_EVERY: Duration = Duration::from_millis(100);

/// How long to wait before reconnecting, unless the stream says so.
const PAUSE: Duration = Duration::from_secs(3);

/// The bounds of what a stream may ask for.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How much is read at once.
const READ_SIZE: usize = 8 << 10;

const TOO_LONG: &str = "an event is longer than 64 KiB and is left out";
