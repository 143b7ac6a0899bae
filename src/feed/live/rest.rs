//! Prices by request: a fiber per exchange that sends requests on schedule, one at a time.
//!
//! If the exchange can answer for many symbols at once, one request gets them all; otherwise each
//! beat asks for the next symbol. A beat that passes while an answer is awaited is skipped, never
//! caught up.
//!
//! There may be thousands of symbols, and they come and go. So a request for all is kept as long as
//! they stay the same, others are made one at a time, and a long answer is reported in parts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchanges::{Exchange, Names, Quote, QuoteError, Request, Scale, Share, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Cancelled, Emitter};
use ioloop::periodic::next_deadline;

use super::failure::{Failure, Pause};
use super::inbox::{Inbox, Order};
use super::pace::Pace;
use super::sources::{Event, Part};
use crate::backoff::Backoff;
use crate::http_client::HttpClient;
use crate::tick::unix_us;

/// The requests to one exchange.
pub(super) struct Rest {
    pub(super) exchange: Exchange,
    /// Tells which symbols to fetch.
    pub(super) inbox: Inbox<Order>,
    /// The time between two prices of a symbol, if the exchange allows that.
    pub(super) interval: Duration,
    /// When the exchange may be asked again.
    pub(super) pace: Pace,
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
        let mut round = Round::new();
        let mut backoff = Backoff::new(Rng::new());
        let mut beat = fiber::time();
        loop {
            round.obey(self.inbox.take());
            if round.symbols.is_empty() {
                self.inbox.wait(None)?;
                continue;
            }
            // Others ask the exchange, too: for its list of markets.
            beat = self.pace.not_before().max(beat);
            if fiber::time() < beat {
                self.inbox.wait(Some(beat))?;
                continue;
            }
            let (prepared, period) = match round.next(self) {
                Ok(next) => next,
                Err(until) => {
                    beat = until;
                    continue;
                }
            };
            let request = &prepared.request;
            // The request may have taken a while to make, and others may have asked meanwhile.
            while fiber::time() < self.pace.not_before() {
                fiber::sleep_until(self.pace.not_before())?;
            }
            self.pace.asks(beat, request.interval);
            let began = fiber::time();
            let fetched = fetch(&self.http_client, &self.exchange, request, &prepared.names);
            if fiber::is_cancelled() {
                return Ok(());
            }
            if fetched.is_event_stream && self.may_be_events {
                // For the next time.
                self.inbox.put_back(round.orders());
                return Ok(());
            }
            let took = fiber::time().saturating_duration_since(began);
            let pause = match fetched.quotes {
                Ok(quotes) => {
                    backoff.succeeded();
                    round.read(emitter, request, quotes, took)?;
                    None
                }
                Err(Failure::Answer(QuoteError::UnknownSymbol)) => {
                    backoff.succeeded();
                    round.read_unknown(self, emitter, request, took)?;
                    None
                }
                Err(failure) => {
                    let pause = Pause::after(&failure, fetched.retry_after, &mut backoff);
                    let pause = pause.at_least(period);
                    self.pace.waits(pause.length);
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

    /// The time between two requests for the same one of `symbols`, if none fails.
    pub(super) fn cycle(exchange: &Exchange, symbols: usize, interval: Duration) -> Duration {
        let share = exchange.share(symbols);
        match symbols.div_ceil(share.symbols) {
            0 => interval,
            1 => period(interval, &share, 1),
            count => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                period(interval, &share, count).max(USUAL_ANSWER) * count
            }
        }
    }
}

/// The time between two requests, when a symbol's turn comes with every `count`th of them.
fn period(interval: Duration, share: &Share, count: u32) -> Duration {
    (interval / count.max(1)).max(share.interval)
}

/// Sends one request.
pub(super) fn fetch(
    http_client: &HttpClient,
    exchange: &Exchange,
    request: &Request,
    names: &Names,
) -> Fetched {
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
    let now_ms = unix_us() / 1_000;
    let quotes = exchange.read_named(names, (answer.status, &answer.body), now_ms, &mut pause);
    Fetched {
        quotes: quotes.map_err(Failure::Answer),
        retry_after: answer.retry_after,
        is_event_stream: false,
        likely_scale: exchange.likely_scale(&answer.body),
    }
}

/// Lets others run between two pieces of work. A cancelled fiber learns of it at its next wait.
pub(super) fn pause() {
    let _ = fiber::yield_now();
}

/// A request, with the names that its answers use.
struct Prepared {
    request: Request,
    names: Names,
}

impl Prepared {
    fn new(exchange: &Exchange, request: Request) -> Self {
        let names = exchange.names(&request, &mut pause);
        Self { request, names }
    }
}

/// The requests that remain until every symbol has had its turn.
struct Round {
    /// All symbols, in the order of their turns.
    symbols: Vec<Symbol>,
    /// The number of each symbol's market.
    numbers: HashMap<Symbol, usize>,
    /// How many symbols have had their turn in this round.
    done: usize,
    share: Option<Share>,
    period: Duration,
    /// The request for all symbols, if there is one, as long as they stay the same.
    whole: Option<Rc<Prepared>>,
    /// Requests for single symbols that come first.
    single: VecDeque<Request>,
    /// Symbols that the exchange does not know, with the time until which they are left out: one of
    /// them may make the exchange refuse a request for all.
    aside: HashMap<Symbol, Instant>,
}

impl Round {
    fn new() -> Self {
        Self {
            symbols: Vec::new(),
            numbers: HashMap::new(),
            done: 0,
            share: None,
            period: Duration::ZERO,
            whole: None,
            single: VecDeque::new(),
            aside: HashMap::new(),
        }
    }

    /// What it was told, in short.
    fn orders(&self) -> Vec<Order> {
        let numbers = self.numbers.iter();
        let orders = numbers.map(|(symbol, number)| Order::Add(*number, symbol.clone()));
        orders.collect()
    }

    /// Adds and removes symbols.
    fn obey(&mut self, orders: Vec<Order>) {
        if orders.is_empty() {
            return;
        }
        for (index, order) in orders.into_iter().enumerate() {
            if index % ORDERS_PER_PAUSE == ORDERS_PER_PAUSE - 1 {
                pause();
            }
            match order {
                Order::Add(number, symbol) => {
                    self.numbers.insert(symbol, number);
                }
                Order::Remove(number, symbol) => {
                    if self.numbers.get(&symbol) == Some(&number) {
                        self.numbers.remove(&symbol);
                        self.aside.remove(&symbol);
                    }
                }
            }
        }
        let known: HashSet<Symbol> = self.symbols.iter().cloned().collect();
        let numbers = &self.numbers;
        self.symbols.retain(|symbol| numbers.contains_key(symbol));
        let new = numbers.keys().filter(|symbol| !known.contains(symbol));
        let mut new: Vec<_> = new.cloned().collect();
        new.sort_by_key(|symbol| numbers[symbol]);
        self.symbols.extend(new);
        self.single
            .retain(|request| numbers.contains_key(&request.symbols[0]));
        // The new ones have their turn, and the others again.
        self.done = 0;
        self.share = None;
        self.whole = None;
    }

    /// The next request, and how much time the schedule allots to it. If all symbols are set aside,
    /// the error is when the first of them may be asked for again.
    fn next(&mut self, rest: &Rest) -> Result<(Rc<Prepared>, Duration), Instant> {
        if let Some(request) = self.single.pop_front() {
            let period = self.period.max(request.interval);
            return Ok((Rc::new(Prepared::new(&rest.exchange, request)), period));
        }
        if self.share.is_none() || self.done >= self.symbols.len() {
            self.begin(rest);
        }
        if let Some(whole) = &self.whole {
            self.done = self.symbols.len();
            return Ok((Rc::clone(whole), self.period));
        }
        let mut symbols = self.take_turns();
        if symbols.is_empty() && self.aside.len() < self.symbols.len() {
            // The last ones of the round are set aside.
            self.begin(rest);
            symbols = self.take_turns();
        }
        let request = self.share.and_then(|share| {
            let request = rest.exchange.request_for(&symbols, &share);
            Some((request?, share))
        });
        let Some((request, share)) = request else {
            let soonest = self.aside.values().min().copied();
            return Err(soonest.unwrap_or_else(|| fiber::time() + ASIDE));
        };
        let is_whole = symbols.len() == self.symbols.len();
        let prepared = Rc::new(Prepared::new(&rest.exchange, request));
        self.whole = is_whole.then(|| Rc::clone(&prepared));
        Ok((prepared, self.period.max(share.interval)))
    }

    /// The symbols whose turn it is.
    fn take_turns(&mut self) -> Vec<Symbol> {
        let most = self.share.map_or(1, |share| share.symbols);
        let mut symbols = Vec::new();
        while symbols.len() < most && self.done < self.symbols.len() {
            let symbol = &self.symbols[self.done];
            if !self.aside.contains_key(symbol) {
                symbols.push(symbol.clone());
            }
            self.done += 1;
        }
        symbols
    }

    /// Begins a round.
    fn begin(&mut self, rest: &Rest) {
        let now = fiber::time();
        self.aside.retain(|_, until| *until > now);
        self.done = 0;
        let count = self.symbols.len() - self.aside.len();
        let share = rest.exchange.share(count);
        let requests = u32::try_from(count.div_ceil(share.symbols)).unwrap_or(u32::MAX);
        self.period = period(rest.interval, &share, requests);
        self.share = Some(share);
        if !self.aside.is_empty() {
            self.whole = None;
        }
    }

    /// Reports an answer, in parts if it is long.
    fn read(
        &mut self,
        emitter: &Emitter<Event>,
        request: &Request,
        quotes: Vec<Result<Quote, QuoteError>>,
        took: Duration,
    ) -> Result<(), Cancelled> {
        // A request for all markets names none, so that unknown ones do no harm.
        let lists_all = request.is_batch && self.share.is_some_and(|share| share.lists_all);
        let received_ms = unix_us() / 1_000;
        let parts = request.symbols.len().div_ceil(QUOTES_PER_PART).max(1);
        let mut quotes = request.symbols.iter().zip(quotes);
        for part in 0..parts {
            let mut read = Vec::with_capacity(QUOTES_PER_PART.min(request.symbols.len()));
            for (symbol, quote) in quotes.by_ref().take(QUOTES_PER_PART) {
                if quote == Err(QuoteError::UnknownSymbol) && !lists_all {
                    self.set_aside(symbol);
                }
                if let Some(&number) = self.numbers.get(symbol) {
                    read.push((number, quote));
                }
            }
            emitter.emit(Event::Quotes {
                quotes: read,
                part: Part {
                    is_first: part == 0,
                    is_last: part + 1 == parts,
                },
                received_ms,
                took: Some(took).filter(|_| part == 0),
            })?;
        }
        Ok(())
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
                .for_each(|alone| self.single.push_front(alone));
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

/// How many prices are published in one turn of the loop: a fraction of a millisecond.
pub(super) const QUOTES_PER_PART: usize = 128;

/// How many symbols are added or removed between two pauses.
const ORDERS_PER_PAUSE: usize = 256;
