//! The check at the start: whether every exchange knows every symbol that we want from it.
//!
//! It runs before the server serves, on a loop of its own. An exchange that does not answer does
//! not prevent the start, since the feed will ask it again and again. An exchange that does not
//! know a symbol does, since its answer will never change.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use exchanges::{Quote, QuoteError, Request, Symbol};
use ioloop::IoLoop;
use ioloop::fiber::{self, Cancelled, Emitter, STACK_SIZE};

use super::events;
use super::failure::Failure;
use super::rest::fetch;
use super::suggest;
use super::{LiveGroup, LiveSource};
use crate::http_client::{HttpClient, TransportConfig};

/// Asks all exchanges for all symbols. Notes in `live` when each exchange may be asked again.
///
/// # Errors
/// One sentence about the first exchange that does not know a symbol.
pub(in crate::feed) fn check(live: &mut LiveGroup) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let is_new = |source: &&LiveSource| names.insert(source.exchange.id().to_owned());
    let sources: Vec<_> = live.sources.iter().filter(is_new).cloned().collect();
    let checked = run(&sources, live).map_err(|error| format!("cannot check sources: {error}"))?;
    for (source, finding) in sources.iter().zip(&checked) {
        let id = source.exchange.id();
        if !finding.is_done && finding.wrong.is_none() {
            log::warn!("{id}: could not check all symbols in time; serving anyway");
        }
        let same = live.sources.iter_mut();
        let same = same.filter(|source| source.exchange.id() == id);
        same.for_each(|source| source.not_before = finding.not_before);
    }
    let mut wrong = checked.into_iter().filter_map(|finding| finding.wrong);
    wrong.next().map_or(Ok(()), Err)
}

/// What the check found out about one exchange. The findings of all exchanges are the state of the
/// check's loop.
#[derive(Clone, Debug)]
struct Finding {
    /// A sentence about an unknown symbol or another permanent error.
    wrong: Option<String>,
    is_done: bool,
    /// When it may be asked again.
    not_before: Instant,
}

/// What the fiber that checks an exchange reports.
enum Report {
    Wrong(String),
    NotBefore(Instant),
}

fn run(sources: &[LiveSource], live: &LiveGroup) -> io::Result<Vec<Finding>> {
    let mut io_loop = IoLoop::<Vec<Finding>>::new()?;
    let settings = &live.settings;
    let transport = TransportConfig {
        timeout: settings.transport.timeout.min(LIMIT),
        ..settings.transport.clone()
    };
    let http_client = HttpClient::new(io_loop.registrar(), transport, settings.upstream.clone());
    let http_client = http_client.map_err(io::Error::other)?;
    let begun = Finding {
        wrong: None,
        is_done: false,
        not_before: Instant::now(),
    };
    let mut findings = vec![begun; sources.len()];
    for (index, source) in sources.iter().enumerate() {
        let check = Check {
            name: source.exchange.id().to_owned(),
            source: source.clone(),
            symbols: live.symbols.clone(),
            http_client: http_client.with_headers(&source.headers),
            next: Cell::new(Instant::now()),
        };
        io_loop.spawn(
            STACK_SIZE,
            move |emitter| Ok(check.run(emitter)?),
            move |findings: &mut Vec<Finding>, _, report| match report {
                Report::Wrong(wrong) => findings[index].wrong = Some(wrong),
                Report::NotBefore(instant) => findings[index].not_before = instant,
            },
            move |findings, io_loop, _| {
                findings[index].is_done = true;
                if findings.iter().all(|finding| finding.is_done) {
                    io_loop.stop();
                }
            },
        )?;
    }
    io_loop.call_later(NOTICE_AFTER, |_, _| {
        log::info!("checking the symbols with the exchanges");
    });
    let longest = sources
        .iter()
        .map(|source| allowance(source, &live.symbols))
        .max();
    io_loop.call_later(longest.unwrap_or(LIMIT), |_, io_loop| io_loop.stop());
    io_loop.start(&mut findings)?;
    Ok(findings)
}

/// How long the check of an exchange may take if it answers at the usual pace. The check of one
/// that does not answer ends sooner.
fn allowance(source: &LiveSource, symbols: &[Symbol]) -> Duration {
    let requests = source.exchange.requests(symbols);
    let usual = requests
        .iter()
        .map(|request| request.interval.max(USUAL_ANSWER));
    // A little longer than one request may take, so that the request times out first and its own
    // error is reported.
    (LIMIT + usual.sum::<Duration>()).min(LIMIT_MAX)
}

/// The check of one exchange.
struct Check {
    name: String,
    source: LiveSource,
    symbols: Vec<Symbol>,
    http_client: HttpClient,
    /// When the exchange may be asked again.
    next: Cell<Instant>,
}

impl Check {
    /// Emits a sentence about what is wrong, and a better one whenever more is known.
    fn run(&self, emitter: &Emitter<Report>) -> Result<(), Cancelled> {
        let checked = self.check(emitter);
        emitter.emit(Report::NotBefore(self.next.get()))?;
        checked
    }

    fn check(&self, emitter: &Emitter<Report>) -> Result<(), Cancelled> {
        let mut unknown: Vec<Symbol> = Vec::new();
        for request in self.source.exchange.requests(&self.symbols) {
            let is_about_one = !request.is_batch;
            let doubtful = match self.doubtful(request) {
                Ok(doubtful) => doubtful,
                Err(Halt::Wrong(wrong)) => return emitter.emit(Report::Wrong(wrong)),
                Err(Halt::Unreachable) => break,
            };
            for symbol in doubtful {
                if is_about_one || self.is_unknown(&symbol) {
                    unknown.push(symbol);
                    let sentence = sentence(&self.name, &unknown, &[]);
                    emitter.emit(Report::Wrong(sentence))?;
                }
            }
        }
        match unknown.first() {
            None => Ok(()),
            Some(first) => self.emit_near(emitter, &unknown, first),
        }
    }

    /// The symbols that the exchange may not know. A batch answer proves nothing about one symbol:
    /// it may leave out a symbol that exists, or refuse all because of one.
    fn doubtful(&self, request: Request) -> Result<Vec<Symbol>, Halt> {
        match self.ask(&request) {
            Ok(quotes) => {
                let mut doubtful = Vec::new();
                for (symbol, quote) in request.symbols.into_iter().zip(quotes) {
                    match quote {
                        Err(QuoteError::UnknownSymbol) => doubtful.push(symbol),
                        Err(error) if self.source.is_custom => {
                            return Err(Halt::Wrong(self.no_price(&error)));
                        }
                        Ok(quote) if self.source.has_time && quote.timestamp_ms.is_none() => {
                            let name = self.source.exchange.name();
                            return Err(Halt::Wrong(format!(
                                "{name}: no time in the answer (is --time right?)"
                            )));
                        }
                        _ => {}
                    }
                }
                Ok(doubtful)
            }
            Err(Failure::Answer(QuoteError::UnknownSymbol)) => Ok(request.symbols),
            Err(Failure::Answer(error)) if self.source.is_custom && is_permanent(&error) => {
                Err(Halt::Wrong(self.no_price(&error)))
            }
            // The error is about this request only.
            Err(Failure::Answer(error)) if is_permanent(&error) => Ok(Vec::new()),
            Err(failure) => {
                let name = self.source.name();
                log::warn!("{name}: {failure}; cannot check its symbols, serving anyway");
                Err(Halt::Unreachable)
            }
        }
    }

    fn is_unknown(&self, symbol: &Symbol) -> bool {
        let Some(request) = self.source.exchange.request(symbol) else {
            return false;
        };
        match self.ask(&request) {
            Ok(quotes) => quotes.first() == Some(&Err(QuoteError::UnknownSymbol)),
            Err(failure) => failure == Failure::Answer(QuoteError::UnknownSymbol),
        }
    }

    /// Suggests similar symbols that the exchange does have. Emits each as soon as it is found: an
    /// exchange that allows one request a second leaves no time to find all.
    fn emit_near(
        &self,
        emitter: &Emitter<Report>,
        unknown: &[Symbol],
        symbol: &Symbol,
    ) -> Result<(), Cancelled> {
        let mut near = Vec::new();
        for candidate in suggest::candidates(symbol) {
            let request = self.source.exchange.request(&candidate);
            let quotes = request.map(|request| self.ask(&request));
            if quotes
                .is_some_and(|quotes| quotes.is_ok_and(|quotes| quotes.iter().all(Result::is_ok)))
            {
                near.push(candidate.to_string());
                let sentence = sentence(&self.name, unknown, &near);
                emitter.emit(Report::Wrong(sentence))?;
            }
            if near.len() == NEAR_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Sends a request as soon as the exchange allows another one.
    fn ask(&self, request: &Request) -> Result<Vec<Result<Quote, QuoteError>>, Failure> {
        // If this wait is cancelled, the request fails, too.
        let _ = fiber::sleep_until(self.next.get());
        self.next.set(Instant::now() + request.interval);
        let mut fetched = fetch(&self.http_client, &self.source.exchange, request);
        if fetched.is_event_stream && self.source.is_custom {
            let exchange = &self.source.exchange;
            let first = events::first_quotes(&self.http_client, exchange, request, LIMIT);
            (fetched.quotes, fetched.likely_scale) = first;
        }
        if let Some((scale, member)) = &fetched.likely_scale {
            let name = self.source.exchange.name();
            log::warn!(
                "{name}: the price is a long whole number beside \"{member}\"; if that is its \
                 exponent, add --scale {scale}"
            );
        }
        if let (Err(_), Some(wait)) = (&fetched.quotes, fetched.retry_after) {
            self.next.set(Instant::now() + wait);
        }
        fetched.quotes
    }

    fn no_price(&self, error: &QuoteError) -> String {
        let name = self.source.exchange.name();
        format!("{name}: {error} (is --price right?)")
    }
}

/// Why a check ends early.
enum Halt {
    /// An error that will not go away, as a sentence.
    Wrong(String),
    /// The exchange cannot answer at the moment; the log says why.
    Unreachable,
}

/// Whether the error will not go away: the URL or its pointers are wrong.
fn is_permanent(error: &QuoteError) -> bool {
    matches!(
        error,
        QuoteError::Garbage(_) | QuoteError::Refused(_) | QuoteError::NoPrice(_)
    )
}

fn sentence(exchange: &str, unknown: &[Symbol], near: &[String]) -> String {
    let named: Vec<_> = unknown.iter().map(Symbol::as_str).take(NAMED_MAX).collect();
    let more = if unknown.len() > NAMED_MAX {
        ", …"
    } else {
        ""
    };
    let named = named.join(", ");
    let hint = match near {
        [] => String::new(),
        near => format!(", did you mean {}?", near.join(" or ")),
    };
    format!("{exchange} does not know {named}{more}{hint}")
}

/// How long a request of the check may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long the whole check may take. Errors that it has not found by then show while serving.
const LIMIT_MAX: Duration = Duration::from_secs(60);

/// How long an exchange usually takes to answer.
const USUAL_ANSWER: Duration = Duration::from_millis(300);

/// A check that takes longer is mentioned in the log, or it would look like a hang.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How many unknown symbols a sentence names.
const NAMED_MAX: usize = 5;

/// How many similar symbols a sentence suggests.
const NEAR_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_unknown_symbols_and_suggests_others() {
        let near = ["BTC/USDT", "BTC/USD"].map(str::to_owned);
        let unknown = |text: &str| -> Vec<Symbol> {
            text.split(' ')
                .map(|symbol| symbol.parse().unwrap())
                .collect()
        };
        assert_eq!(
            sentence("kraken", &unknown("BTC/USDX"), &near),
            "kraken does not know BTC/USDX, did you mean BTC/USDT or BTC/USD?"
        );
        assert_eq!(
            sentence("okx", &unknown("A/B A/C A/D A/E A/F A/G"), &[]),
            "okx does not know A/B, A/C, A/D, A/E, A/F, …"
        );
    }
}
