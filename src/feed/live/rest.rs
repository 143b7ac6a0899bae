//! Prices by request: a fiber per exchange that sends requests on schedule, one at a time.
//!
//! If the exchange can answer for many symbols at once, one request gets them all; otherwise each
//! beat asks for the next symbol. A beat that passes while an answer is awaited is skipped, never
//! caught up.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use exchanges::{Exchange, Quote, QuoteError, Request, Scale, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Cancelled, Emitter};
use ioloop::periodic::next_deadline;

use super::failure::{Failure, Pause};
use super::sources::Event;
use crate::backoff::Backoff;
use crate::http_client::HttpClient;
use crate::tick::unix_us;

/// The requests to one exchange.
pub(super) struct Rest {
    pub(super) exchange: Exchange,
    pub(super) symbols: Vec<Symbol>,
    /// The time between two prices of a symbol, if the exchange allows that.
    pub(super) interval: Duration,
    /// When the first request may be sent.
    pub(super) not_before: Instant,
    pub(super) http_client: HttpClient,
    /// Whether an answer that is a stream of events is no mistake.
    pub(super) may_be_events: bool,
}

/// The outcome of a request.
pub(super) struct Fetched {
    pub(super) quotes: Result<Vec<Result<Quote, QuoteError>>, Failure>,
    pub(super) retry_after: Option<Duration>,
    /// The answer is a stream of events instead.
    pub(super) is_event_stream: bool,
    /// A likely exponent of the price, see [`Exchange::likely_scale`].
    pub(super) likely_scale: Option<(Scale, String)>,
}

impl Rest {
    /// Sends requests and emits the answers until it is cancelled, or the answer turns out to be a
    /// stream of events.
    pub(super) fn run(&self, emitter: &Emitter<Event>) -> io::Result<()> {
        let mut round = Round::new(self);
        let mut backoff = Backoff::new(Rng::new());
        let mut beat = self.not_before.max(fiber::time());
        loop {
            fiber::sleep_until(beat)?;
            let (request, period) = match round.next(self) {
                Ok(next) => next,
                Err(until) => {
                    beat = until;
                    continue;
                }
            };
            let began = fiber::time();
            let fetched = fetch(&self.http_client, &self.exchange, &request);
            if fiber::is_cancelled() {
                return Ok(());
            }
            if fetched.is_event_stream && self.may_be_events {
                return Ok(());
            }
            let took = fiber::time().saturating_duration_since(began);
            let pause = match fetched.quotes {
                Ok(quotes) => {
                    backoff.succeeded();
                    round.read(emitter, &request, quotes, took)?;
                    None
                }
                Err(Failure::Answer(QuoteError::UnknownSymbol)) => {
                    backoff.succeeded();
                    round.read_unknown(self, emitter, &request, took)?;
                    None
                }
                Err(failure) => {
                    let pause = Pause::after(&failure, fetched.retry_after, &mut backoff);
                    let pause = pause.at_least(period);
                    emitter.emit(Event::Failed {
                        failure,
                        pause,
                        took: Some(took),
                    })?;
                    Some(pause.length)
                }
            };
            let now = fiber::time();
            beat = match pause {
                Some(pause) => now + pause,
                None => next_deadline(beat, period, now),
            };
        }
    }

    /// The time between two requests for the same symbol, if none fails.
    pub(super) fn cycle(exchange: &Exchange, symbols: &[Symbol], interval: Duration) -> Duration {
        let requests = exchange.requests(symbols);
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        match requests.first() {
            None => interval,
            Some(only) if count == 1 => period(interval, only, 1),
            Some(first) => period(interval, first, count).max(USUAL_ANSWER) * count,
        }
    }
}

/// The time between two requests, when a symbol's turn comes with every `count`th of them.
fn period(interval: Duration, request: &Request, count: u32) -> Duration {
    (interval / count.max(1)).max(request.interval)
}

/// Sends one request.
pub(super) fn fetch(http_client: &HttpClient, exchange: &Exchange, request: &Request) -> Fetched {
    let url = request.url_at(unix_us() / 1_000);
    let answer = match &request.post {
        None => http_client.get(&url),
        Some(body) => http_client.post_json(&url, body),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            return Fetched {
                quotes: Err(error.into()),
                retry_after: None,
                is_event_stream: false,
                likely_scale: None,
            };
        }
    };
    if answer.is_event_stream && answer.status == 200 {
        let garbage = QuoteError::Garbage("a stream of events".to_owned());
        return Fetched {
            quotes: Err(garbage.into()),
            retry_after: answer.retry_after,
            is_event_stream: true,
            likely_scale: None,
        };
    }
    let mut pause = || {
        // A cancelled fiber learns of it at its next wait.
        let _ = fiber::yield_now();
    };
    let now_ms = unix_us() / 1_000;
    let quotes = exchange.read_pausing(request, (answer.status, &answer.body), now_ms, &mut pause);
    Fetched {
        quotes: quotes.map_err(Failure::Answer),
        retry_after: answer.retry_after,
        is_event_stream: false,
        likely_scale: exchange.likely_scale(&answer.body),
    }
}

/// The requests that remain until every symbol has had its turn.
struct Round {
    requests: VecDeque<Request>,
    period: Duration,
    indexes: HashMap<Symbol, usize>,
    /// Symbols that the exchange does not know, with the time until which they are left out: one of
    /// them may make the exchange refuse a request for all.
    aside: HashMap<Symbol, Instant>,
}

impl Round {
    fn new(rest: &Rest) -> Self {
        let indexes = rest.symbols.iter().cloned().zip(0..).collect();
        Self {
            requests: VecDeque::new(),
            period: rest.interval,
            indexes,
            aside: HashMap::new(),
        }
    }

    /// The next request, and how much time the schedule allots to it. If all symbols are set aside,
    /// the error is when the first of them may be asked for again.
    fn next(&mut self, rest: &Rest) -> Result<(Request, Duration), Instant> {
        if self.requests.is_empty() {
            let now = fiber::time();
            self.aside.retain(|_, until| *until > now);
            let mut symbols = rest.symbols.clone();
            symbols.retain(|symbol| !self.aside.contains_key(symbol));
            self.requests = rest.exchange.requests(&symbols).into();
            let count = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
            if let Some(request) = self.requests.front() {
                self.period = period(rest.interval, request, count);
            }
        }
        match self.requests.pop_front() {
            Some(request) => {
                let period = self.period.max(request.interval);
                Ok((request, period))
            }
            None => {
                let soonest = self.aside.values().min().copied();
                Err(soonest.unwrap_or_else(|| fiber::time() + ASIDE))
            }
        }
    }

    fn read(
        &mut self,
        emitter: &Emitter<Event>,
        request: &Request,
        quotes: Vec<Result<Quote, QuoteError>>,
        took: Duration,
    ) -> Result<(), Cancelled> {
        let mut read = Vec::with_capacity(quotes.len());
        for (symbol, quote) in request.symbols.iter().zip(quotes) {
            if quote == Err(QuoteError::UnknownSymbol) {
                self.set_aside(symbol);
            }
            if let Some(&index) = self.indexes.get(symbol) {
                read.push((index, quote));
            }
        }
        emitter.emit(Event::Quotes {
            quotes: read,
            received_ms: unix_us() / 1_000,
            took: Some(took),
        })
    }

    /// Handles a request that the exchange refused as a whole because of one unknown symbol: asks
    /// for each symbol alone to find out which one it is.
    fn read_unknown(
        &mut self,
        rest: &Rest,
        emitter: &Emitter<Event>,
        request: &Request,
        took: Duration,
    ) -> Result<(), Cancelled> {
        if request.symbols.len() == 1 {
            let unknown = vec![Err(QuoteError::UnknownSymbol)];
            return self.read(emitter, request, unknown, took);
        }
        for symbol in request.symbols.iter().rev() {
            let alone = rest.exchange.request(symbol);
            alone
                .into_iter()
                .for_each(|alone| self.requests.push_front(alone));
        }
        Ok(())
    }

    fn set_aside(&mut self, symbol: &Symbol) {
        self.aside.insert(symbol.clone(), fiber::time() + ASIDE);
    }
}

/// How long a symbol that the exchange does not know is left out.
const ASIDE: Duration = Duration::from_secs(5);

/// How long an exchange usually takes to answer; a round of many requests takes at least that for
/// each.
const USUAL_ANSWER: Duration = Duration::from_millis(300);
