//! Exchanges as data: how each one is asked for prices and what it answers, with no code per
//! exchange. What ccxt has a class for is an entry of `exchanges.json` here.
//!
//! Pure: it makes URLs and messages and reads bytes; fetching and connecting are the feeds'. Prices
//! keep the digits that were sent, see [`Quote`].
//!
//! ```
//! use exchanges::{Catalogue, Symbol};
//!
//! let catalogue = Catalogue::builtin();
//! let binance = catalogue.get("binance").unwrap();
//! let symbol: Symbol = "BTC/USDT".parse().unwrap();
//! let request = binance.request(&symbol);
//! assert!(request.url.ends_with("?symbol=BTCUSDT"));
//!
//! let body = br#"{"symbol":"BTCUSDT","lastPrice":"97123.450","closeTime":1732270000123}"#;
//! let quotes = binance.read(&request, 200, body, 1_732_270_000_500).unwrap();
//! let quote = quotes[0].as_ref().unwrap();
//! assert_eq!(quote.price.as_str(), "97123.450");
//! assert_eq!(quote.timestamp_ms, Some(1_732_270_000_123));
//! ```
//!
//! A user's own exchange is an entry in a file of the same format:
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
mod catalogue;
mod check;
mod condition;
mod entry;
pub mod json;
mod message;
mod price;
mod quote;
mod stream;
mod template;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use catalogue::{BadCatalogue, Catalogue, UnknownExchange};
use entry::{Ask, Entry, Many, Shape};
use json::Pointer;
pub use price::{BadPrice, Price};
use quote::{Origin, TimeField, TimeUnit};
pub use quote::{Quote, QuoteError};
pub use stream::{Connection, Session, StreamMessage};
use template::{Market, Spelling, Template, url_encoded};

/// What is traded for what, in ccxt's unified spelling: `BTC/USDT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    text: String,
    slash: usize,
}

/// A text that is no symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSymbol(String);

/// An exchange, or another source of prices on the web.
#[derive(Clone, Debug)]
pub struct Exchange {
    entry: Entry,
}

/// One HTTP request: a GET of `url`, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The URL, everything in it encoded.
    pub url: String,
    /// The symbols that its answer should have, in the order of the quotes.
    pub symbols: Vec<Symbol>,
    /// Whether it uses the exchange's way to ask for many symbols at once.
    pub many: bool,
    /// The shortest time that the exchange allows until the next request.
    pub interval: Duration,
}

impl Exchange {
    /// Any JSON on the web that has a price: `price` and `time` are pointers such as
    /// `/data/0/last`.
    ///
    /// The time's unit is told by its looks. Such a source has one symbol, whatever it is called.
    ///
    /// # Errors
    /// A sentence, when the URL or a pointer is none.
    pub fn custom(url: &str, price: &str, time: Option<&str>) -> Result<Self, String> {
        http_url(url)?;
        let time = time.map(Pointer::parse).transpose()?;
        let host = url.split('/').nth(2).unwrap_or_default();
        let answer = Shape {
            last: Pointer::parse(price)?,
            time: time.map(|at| TimeField {
                at,
                unit: TimeUnit::Auto,
                of: Origin::Entry,
                or: None,
            }),
            ..Shape::default()
        };
        Ok(Self::new(Entry {
            id: "custom".to_owned(),
            name: host.to_owned(),
            spelling: Spelling {
                market: Template::parse("{BASE}/{QUOTE}")?,
                ..Spelling::default()
            },
            interval_ms: CUSTOM_INTERVAL_MS,
            one: Ask {
                url: Template::verbatim(url),
                answer,
            },
            ..Entry::default()
        }))
    }

    fn new(entry: Entry) -> Self {
        Self { entry }
    }

    /// What it is called on the command line.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// What its user should know; often nothing.
    pub fn notes(&self) -> &str {
        &self.entry.notes
    }

    /// A symbol that it trades.
    pub fn example(&self) -> &str {
        &self.entry.example
    }

    /// The symbol as it is spelled in requests to this exchange.
    pub fn market(&self, symbol: &Symbol) -> String {
        self.entry.spelling.market(symbol).spelled().to_owned()
    }

    /// Two of `symbols` that are the same market here, as BTC and XBT are at Kraken: its answers
    /// cannot be told apart.
    pub fn same_market<'s>(&self, symbols: &'s [Symbol]) -> Option<(&'s Symbol, &'s Symbol)> {
        let mut seen = HashMap::new();
        symbols.iter().find_map(|symbol| {
            let first = seen.insert(self.market(symbol), symbol)?;
            Some((first, symbol))
        })
    }

    /// The requests that bring the prices of `symbols`, which must be distinct: as few as the
    /// exchange can do with, where that is not wasteful.
    pub fn requests(&self, symbols: &[Symbol]) -> Vec<Request> {
        match &self.entry.many {
            Some(many) if symbols.len() >= many.from => {
                let lists_all = many.url.holes().next().is_none();
                let most = if lists_all { symbols.len() } else { many.most };
                let chunks = symbols.chunks(most);
                chunks
                    .map(|symbols| self.request_many(many, symbols))
                    .collect()
            }
            _ => symbols.iter().map(|symbol| self.request(symbol)).collect(),
        }
    }

    /// The request for one symbol alone. Some exchanges refuse a request for many on account of
    /// one unknown symbol; asking one by one tells which.
    pub fn request(&self, symbol: &Symbol) -> Request {
        let market = self.entry.spelling.market(symbol);
        let url = &self.entry.one.url;
        Request {
            url: url.fill(|hole| market.hole(hole).as_deref().map(url_encoded)),
            symbols: vec![symbol.clone()],
            many: false,
            interval: Duration::from_millis(self.entry.interval_ms),
        }
    }

    fn request_many(&self, many: &Many, symbols: &[Symbol]) -> Request {
        let markets = self.markets(symbols);
        let each = |market: &Market| {
            let fill = |hole: &str| market.hole(hole).as_deref().map(url_encoded);
            many.each.fill(fill)
        };
        let markets: Vec<_> = markets.iter().map(each).collect();
        let interval_ms = many.interval_ms.unwrap_or(self.entry.interval_ms);
        Request {
            url: many.url.fill(|_| Some(markets.join(&many.between))),
            symbols: symbols.to_vec(),
            many: true,
            interval: Duration::from_millis(interval_ms),
        }
    }

    /// Reads the answer to `request`: a quote or an error for each of its symbols, in their order.
    /// `now_ms` is the wall clock, by which absurd times are told.
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

    /// As [`read`](Self::read), but calls `pause` between pieces of work that take a fraction of a
    /// millisecond. A list of all markets may be megabytes; a coroutine lets others run meanwhile.
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
        let one = &self.entry.one;
        let shape = match self.entry.many.as_ref().filter(|_| request.many) {
            Some(many) => (&many.answer, false),
            // What was asked for one market, or has no place for others, is about that one.
            None => {
                let asks_one = one.answer.is_single() || one.url.holes().next().is_some();
                (&one.answer, asks_one)
            }
        };
        let markets = self.markets(&request.symbols);
        answer::read_answer(&self.entry, shape, &markets, answer, now_ms, pause)
    }

    /// Begins a conversation with its stream about `symbols`, which must be distinct; none if it
    /// has no stream.
    pub fn session(&self, symbols: &[Symbol]) -> Option<Session<'_>> {
        let stream = self.entry.stream.as_ref()?;
        let spelling = stream.spelling.as_ref().unwrap_or(&self.entry.spelling);
        let markets = symbols.iter().map(|symbol| spelling.market(symbol));
        Some(Session::new(stream, markets.collect()))
    }

    /// Whether it has a stream.
    pub fn has_stream(&self) -> bool {
        self.entry.stream.is_some()
    }

    fn markets(&self, symbols: &[Symbol]) -> Vec<Market> {
        let spelling = &self.entry.spelling;
        symbols
            .iter()
            .map(|symbol| spelling.market(symbol))
            .collect()
    }
}

/// How often a source is asked of which nothing is known.
const CUSTOM_INTERVAL_MS: u64 = 1000;

/// Refuses what is no URL of HTTP.
fn http_url(url: &str) -> Result<(), String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    let is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control());
    match host {
        Some(host) if !host.is_empty() && is_clean => Ok(()),
        _ => Err(format!("'{url}' is no URL, try https://example.com/price")),
    }
}

impl Symbol {
    /// What is traded.
    pub fn base(&self) -> &str {
        &self.text[..self.slash]
    }

    /// What it is priced in.
    pub fn quote(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// Both, as in `BTC/USDT`.
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

/// The code of a currency; the longest in use have some twenty letters.
const CODE_LENGTH_MAX: usize = 32;

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for BadSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no symbol, try BTC/USDT", self.0)
    }
}

impl std::error::Error for BadSymbol {}
