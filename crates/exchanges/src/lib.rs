//! Exchanges as data: how each one is asked for prices and what it answers, with no code per
//! exchange. Where ccxt has a class, this has an entry in `exchanges.json`.
//!
//! Pure: it builds URLs and messages and reads bytes; the caller fetches and connects. Prices keep
//! the digits that were sent, see [`Quote`].
//!
//! ```
//! use exchanges::{Catalogue, Symbol};
//!
//! let catalogue = Catalogue::builtin();
//! let binance = catalogue.get("binance").unwrap();
//! let symbol: Symbol = "BTC/USDT".parse().unwrap();
//! let request = binance.request(&symbol).unwrap();
//! assert!(request.url.ends_with("?symbol=BTCUSDT"));
//!
//! let body = br#"{"symbol":"BTCUSDT","lastPrice":"97123.450","closeTime":1732270000123}"#;
//! let quotes = binance.read(&request, 200, body, 1_732_270_000_500).unwrap();
//! let quote = quotes[0].as_ref().unwrap();
//! assert_eq!(quote.price.as_str(), "97123.450");
//! assert_eq!(quote.timestamp_ms, Some(1_732_270_000_123));
//! ```
//!
//! Users add an exchange by writing an entry in a file of the same format:
//!
//! ```
//! let file = r#"{"exchanges": [{
//!     "id": "mine",
//!     "name": "My Exchange",
//!     "spelling": {"market": "{base}-{quote}"},
//!     "interval_ms": 1000,
//!     "one": {
//!         "url": "https://example.com/price/{market}",
//!         "answer": {"last": "/data/last", "time": {"at": "/data/time", "unit": "s"}}
//!     }
//! }]}"#;
//! let catalogue = exchanges::Catalogue::builtin().with_file(file).unwrap();
//! assert_eq!(catalogue.get("mine").unwrap().name(), "My Exchange");
//! ```

mod answer;
mod bad_catalogue;
mod catalogue;
mod check;
mod condition;
mod csv;
mod custom;
mod document;
mod entry;
mod fields;
pub mod json;
mod list_path;
mod listing;
mod markets;
mod message;
mod name;
mod number;
mod price;
mod protobuf;
mod quote;
mod stream;
mod template;
pub mod text;
mod time;
mod unpack;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use bad_catalogue::BadCatalogue;
pub use catalogue::{Catalogue, UnknownExchange};
pub use csv::Row;
use csv::Table;
pub use custom::{Custom, Place};
use entry::{Batch, Entry, Mapping, MarketList};
pub use fields::{Field, FieldSet, Fields, UnknownField};
use message::{Context, Message};
pub use number::Scale;
pub use price::{BadPrice, Price};
pub use quote::{Quote, QuoteError};
pub use stream::{Connection, Session, StreamLimits, StreamMessage};
use template::{Market, TIME_PLACEHOLDERS, url_encoded};

/// A market in ccxt's unified notation: `BTC/USDT`, base and quote currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    text: String,
    slash: usize,
}

/// A text that is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSymbol(String);

/// An exchange, or any other source of prices on the web.
#[derive(Clone, Debug)]
pub struct Exchange {
    entry: Entry,
    /// If its answers are not JSON.
    csv: Option<Table>,
}

/// One HTTP request, with the symbols that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The URL, fully encoded but for the time: see [`url_at`](Self::url_at).
    pub url: String,
    /// The body of a POST request, JSON; without it, the request is a GET.
    pub post: Option<String>,
    /// The symbols asked for; the quotes come back in this order.
    pub symbols: Vec<Symbol>,
    /// Whether it uses the exchange's endpoint for several symbols at once.
    pub is_batch: bool,
    /// The shortest time that the exchange allows before the next request.
    pub interval: Duration,
}

impl Request {
    /// The URL to use at `now_ms`, the wall clock: some URLs contain the time, as `{now_ms}` or
    /// `{now_s}`.
    pub fn url_at(&self, now_ms: u64) -> Cow<'_, str> {
        if !self.url.contains("{now_") {
            return Cow::Borrowed(&self.url);
        }
        let url = self.url.replace("{now_ms}", &now_ms.to_string());
        Cow::Owned(url.replace("{now_s}", &(now_ms / 1000).to_string()))
    }
}

/// How many symbols to ask for in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of symbols, at least one.
    pub symbols: usize,
    /// Whether it uses the exchange's endpoint for several symbols at once.
    pub is_batch: bool,
    /// Whether the request is for all markets, and does not name the symbols.
    pub lists_all: bool,
    /// The shortest time that the exchange allows before the next request.
    pub interval: Duration,
}

/// The names by which the answers to a request call its symbols. Thousands take a while to make, so
/// a request that is sent again and again should keep them.
#[derive(Debug)]
pub struct Names {
    markets: Vec<Market>,
    names: answer::Names,
    is_of_batch: bool,
}

impl Exchange {
    fn new(entry: Entry) -> Self {
        Self { entry, csv: None }
    }

    /// The same exchange, whose quotes also have `fields` where it states them; by default they
    /// have none, and nothing is spent on finding them.
    #[must_use]
    pub fn with_fields(mut self, fields: FieldSet) -> Self {
        let Entry {
            one, many, stream, ..
        } = &mut self.entry;
        if let Some(one) = one {
            one.answer.fields.want(fields);
        }
        if let Some(batch) = many {
            batch.answer.fields.want(fields);
        }
        if let Some(stream) = stream {
            stream.ticks.message.fields.want(fields);
        }
        self
    }

    /// The fields that its answers to requests may have, for one symbol or for several.
    pub fn request_fields(&self) -> FieldSet {
        let Entry { one, many, .. } = &self.entry;
        let one = one.iter().map(|one| &one.answer);
        let answers = one.chain(many.iter().map(|batch| &batch.answer));
        answers.fold(FieldSet::NONE, |fields, answer| {
            fields.union(answer.fields.known())
        })
    }

    /// The fields that the messages of its stream may have.
    pub fn stream_fields(&self) -> FieldSet {
        let stream = self.entry.stream.as_ref();
        stream.map_or(FieldSet::NONE, |stream| stream.ticks.message.fields.known())
    }

    /// Its name on the command line.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// Whether `name` is its name on the command line, in any case, or an older one.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.entry.id == name || self.entry.aliases.contains(&name)
    }

    /// Its proper name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// What its users should know; often empty.
    pub fn notes(&self) -> &str {
        &self.entry.notes
    }

    /// The entries of this exchange that serve places which this one refuses; often none.
    pub fn elsewhere(&self) -> &[String] {
        &self.entry.elsewhere
    }

    /// An example of a symbol that it trades.
    pub fn example(&self) -> &str {
        &self.entry.example
    }

    /// The symbol as requests to this exchange write it.
    pub fn market(&self, symbol: &Symbol) -> String {
        self.entry.spelling.market(symbol).as_str().to_owned()
    }

    /// Two of `symbols` that are the same market here, as BTC and XBT are at Kraken: their answers
    /// could not be told apart.
    pub fn same_market<'s>(&self, symbols: &'s [Symbol]) -> Option<(&'s Symbol, &'s Symbol)> {
        let mut seen = HashMap::new();
        symbols.iter().find_map(|symbol| {
            let first = seen.insert(self.market(symbol), symbol)?;
            Some((first, symbol))
        })
    }

    /// Whether it answers requests; some exchanges only have a stream.
    pub fn has_requests(&self) -> bool {
        self.entry.one.is_some() || self.entry.many.is_some()
    }

    /// The headers that its requests need, the handshake of its stream included.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.entry.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The requests that fetch the prices of `symbols`, which must be distinct: as few as the
    /// exchange allows, unless that would be wasteful. None if it only has a stream.
    pub fn requests(&self, symbols: &[Symbol]) -> Vec<Request> {
        let share = self.share(symbols.len());
        let shares = symbols.chunks(share.symbols);
        let requests = shares.map(|symbols| self.request_for(symbols, &share));
        requests.flatten().collect()
    }

    /// How many of `count` symbols to ask for in one request.
    pub fn share(&self, count: usize) -> Share {
        let worthwhile = |batch: &&Batch| self.entry.one.is_none() || count >= batch.from;
        match self.entry.many.as_ref().filter(worthwhile) {
            Some(batch) => {
                let lists_all = batch.lists_all();
                let interval_ms = batch.interval_ms.unwrap_or(self.entry.interval_ms);
                Share {
                    symbols: if lists_all { count.max(1) } else { batch.most },
                    is_batch: true,
                    lists_all,
                    interval: Duration::from_millis(interval_ms),
                }
            }
            None => Share {
                symbols: 1,
                is_batch: false,
                lists_all: false,
                interval: Duration::from_millis(self.entry.interval_ms),
            },
        }
    }

    /// The request for a [`share`](Self::share) of the symbols, or for what remains of them; `None`
    /// for no symbols, or if it only has a stream.
    pub fn request_for(&self, symbols: &[Symbol], share: &Share) -> Option<Request> {
        let first = symbols.first()?;
        match &self.entry.many {
            Some(batch) if share.is_batch => Some(self.batch_request(batch, symbols)),
            _ => self.request(first),
        }
    }

    /// The request for one symbol alone; `None` if it only has a stream. Some exchanges refuse a
    /// whole batch because of one unknown symbol; asking one by one tells which.
    pub fn request(&self, symbol: &Symbol) -> Option<Request> {
        let symbols = std::slice::from_ref(symbol);
        let Some(one) = &self.entry.one else {
            let batch = self.entry.many.as_ref()?;
            return Some(self.batch_request(batch, symbols));
        };
        let markets = self.markets(symbols);
        let value = |name: &str| markets[0].value_of(name).as_deref().map(url_encoded);
        Some(Request {
            url: one.url.fill(|name| value(name).or_else(|| later(name))),
            post: one.post.as_ref().map(|post| body(post, &markets, "")),
            symbols: symbols.to_vec(),
            is_batch: false,
            interval: Duration::from_millis(self.entry.interval_ms),
        })
    }

    fn batch_request(&self, batch: &Batch, symbols: &[Symbol]) -> Request {
        // A list of all markets, which may be thousands, names none.
        let markets = if batch.lists_all() {
            Vec::new()
        } else {
            self.markets(symbols)
        };
        let joined = |encode: fn(&str) -> String| {
            let each = |market: &Market| {
                let fill = |name: &str| market.value_of(name).as_deref().map(encode);
                batch.each.fill(fill)
            };
            let each: Vec<_> = markets.iter().map(each).collect();
            each.join(&batch.between)
        };
        let interval_ms = batch.interval_ms.unwrap_or(self.entry.interval_ms);
        let post = batch.post.as_ref();
        Request {
            url: batch.url.fill(|name| match name {
                "markets" => Some(joined(url_encoded)),
                name => later(name),
            }),
            post: post.map(|post| body(post, &markets, &joined(str::to_owned))),
            symbols: symbols.to_vec(),
            is_batch: true,
            interval: Duration::from_millis(interval_ms),
        }
    }

    /// Reads the answer to `request`: a quote or an error for each of its symbols, in their order.
    /// `now_ms` is the wall clock, against which implausible times are recognised.
    ///
    /// # Errors
    /// When the answer as a whole is an error.
    pub fn read(
        &self,
        request: &Request,
        status: u16,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Vec<Result<Quote, QuoteError>>, QuoteError> {
        self.read_pausing(request, (status, body), now_ms, &mut || {})
    }

    /// Like [`read`](Self::read), but calls `pause` between pieces of work that take a fraction of
    /// a millisecond each. A list of all markets may be megabytes; a coroutine lets others run
    /// meanwhile.
    ///
    /// # Errors
    /// When the answer as a whole is an error.
    pub fn read_pausing(
        &self,
        request: &Request,
        answer: (u16, &[u8]),
        now_ms: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Vec<Result<Quote, QuoteError>>, QuoteError> {
        let names = self.names(request, pause);
        self.read_named(&names, answer, now_ms, pause)
    }

    /// Like [`read_pausing`](Self::read_pausing), with the [`names`](Self::names) of the request.
    ///
    /// # Errors
    /// When the answer as a whole is an error.
    pub fn read_named(
        &self,
        names: &Names,
        answer: (u16, &[u8]),
        now_ms: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<Vec<Result<Quote, QuoteError>>, QuoteError> {
        let Some((mapping, _)) = self.mapping(names.is_of_batch) else {
            return Err(QuoteError::Refused("it has no requests".to_owned()));
        };
        let (status, body) = answer;
        let row = match &self.csv {
            // An error is described in other ways.
            Some(table) if (200..300).contains(&status) => Some(table.read(body, pause)?),
            _ => None,
        };
        let body = row.as_ref().map_or(body, |row| row.as_bytes());
        let names = (names.markets.as_slice(), &names.names);
        answer::read_answer(&self.entry, mapping, names, (status, body), now_ms, pause)
    }

    /// Where the answers to requests have prices, and whether they need not say which market they
    /// are about: an answer for one market, or one with no room for others.
    fn mapping(&self, is_batch: bool) -> Option<(&Mapping, bool)> {
        let Entry { one, many, .. } = &self.entry;
        match (many.as_ref().filter(|_| is_batch), one) {
            (Some(batch), _) => Some((&batch.answer, false)),
            (None, Some(one)) => {
                let asks_one = one.answer.is_single() || one.names_market();
                Some((&one.answer, asks_one))
            }
            (None, None) => None,
        }
    }

    /// The names by which the answers to `request` call its symbols. Calls `pause` between pieces
    /// of work.
    pub fn names(&self, request: &Request, pause: &mut dyn FnMut()) -> Names {
        let mut names = answer::Names::default();
        let mut markets = Vec::with_capacity(request.symbols.len());
        for symbols in request.symbols.chunks(NAMES_PER_PAUSE) {
            markets.extend(self.markets(symbols));
            pause();
        }
        if let Some((mapping, asks_one)) = self.mapping(request.is_batch) {
            names.add(mapping, &markets, pause);
            if asks_one && markets.len() == 1 && markets[0].is_possible() {
                names.is_about_one();
            }
        }
        Names {
            markets,
            names,
            is_of_batch: request.is_batch,
        }
    }

    /// The URL of the list of all its markets; `None` if the catalogue has none, and its prices do
    /// not tell which markets there are.
    pub fn market_list_url(&self) -> Option<String> {
        self.market_list().map(|list| list.url.clone())
    }

    /// Reads the list of all markets: the symbols that are traded, in unified notation, sorted and
    /// without duplicates. Calls `pause` between pieces of work, as
    /// [`read_pausing`](Self::read_pausing) does.
    ///
    /// # Errors
    /// When the answer is an error, or has no markets.
    pub fn read_market_list(
        &self,
        answer: (u16, &[u8]),
        pause: &mut dyn FnMut(),
    ) -> Result<Vec<Symbol>, QuoteError> {
        match self.market_list() {
            Some(list) => markets::read_markets(&self.entry, &list, answer, pause),
            None => Err(QuoteError::Refused("it has no list of markets".to_owned())),
        }
    }

    fn market_list(&self) -> Option<Cow<'_, MarketList>> {
        let own = self.entry.markets.as_ref().map(Cow::Borrowed);
        own.or_else(|| MarketList::of_prices(&self.entry).map(Cow::Owned))
    }

    /// Begins a conversation with its stream about `symbols`, which must be distinct; `None` if it
    /// has no stream.
    pub fn session(&self, symbols: &[Symbol]) -> Option<Session<'_>> {
        let stream = self.entry.stream.as_ref()?;
        let format = stream.spelling.as_ref().unwrap_or(&self.entry.spelling);
        let mut session = Session::new(&self.entry, stream, format);
        session.add(symbols);
        Some(session)
    }

    /// The limits of its stream; `None` if it has no stream.
    pub fn stream_limits(&self) -> Option<StreamLimits> {
        self.entry.stream.as_ref().map(StreamLimits::of)
    }

    /// How long its stream may go without a sign of life before it is presumed dead; `None` if it
    /// has no stream.
    pub fn stream_silence_max(&self) -> Option<Duration> {
        let stream = self.entry.stream.as_ref()?;
        Some(stream.alive.silence_max())
    }

    /// Whether it has a stream.
    pub fn has_stream(&self) -> bool {
        self.entry.stream.is_some()
    }

    fn markets(&self, symbols: &[Symbol]) -> Vec<Market> {
        let format = &self.entry.spelling;
        symbols.iter().map(|symbol| format.market(symbol)).collect()
    }
}

/// The placeholders of a URL that are filled when it is sent.
fn later(name: &str) -> Option<String> {
    TIME_PLACEHOLDERS
        .contains(&name)
        .then(|| format!("{{{name}}}"))
}

/// The body of a POST request.
fn body(post: &Message, markets: &[Market], joined: &str) -> String {
    post.render(Context {
        id: 1,
        markets,
        joined,
        ..Context::default()
    })
}

/// A fraction of a millisecond.
const NAMES_PER_PAUSE: usize = 128;

/// Refuses anything but an HTTP URL.
fn http_url(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    let is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    match host {
        Some(host) if !host.is_empty() && is_clean => Ok(()),
        _ => Err(format!(
            "invalid URL '{url}': expected something like https://example.com/price"
        )),
    }
}

impl Symbol {
    /// The currency that is traded.
    pub fn base(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The currency that the price is in.
    pub fn quote(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// The whole symbol, as in `BTC/USDT`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Symbol {
    type Err = BadSymbol;

    fn from_str(text: &str) -> Result<Self, BadSymbol> {
        let is_code = |code: &str| {
            let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
            !code.is_empty() && code.len() <= CODE_LENGTH_MAX && !code.contains(odd)
        };
        match text.split_once('/') {
            Some((base, quote)) if is_code(base) && is_code(quote) => Ok(Self {
                text: text.to_owned(),
                slash: base.len(),
            }),
            _ => Err(BadSymbol(json::excerpt(text))),
        }
    }
}

/// The longest currency code; the longest in use have some twenty letters.
const CODE_LENGTH_MAX: usize = 32;

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for BadSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid symbol '{}': expected something like BTC/USDT",
            self.0
        )
    }
}

impl std::error::Error for BadSymbol {}
