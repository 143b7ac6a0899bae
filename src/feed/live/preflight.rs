//! The check at the start: whether every exchange knows every symbol that the user names.
//!
//! It runs before the server serves, on a loop of its own. An exchange that does not answer does
//! not prevent the start, since the feed will ask it again and again; and neither does a source of
//! the user's own that answers nonsense, since it may have a bad minute. An exchange that does not
//! know a symbol does, since its answer will never change.
//!
//! It keeps to the exchange's limits as the feed does: one request per interval, and none after an
//! exchange has refused one for now. The feed goes on from there.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use exchanges::{Quote, QuoteError, Request, Symbol};
use fastrand::Rng;
use ioloop::IoLoop;
use ioloop::fiber::{self, Cancelled, Emitter, STACK_SIZE};

use super::events;
use super::failure::{Failure, Pause};
use super::listing::NAMES_ASKED_MAX;
use super::rest::{fetch, pause};
use super::suggest;
use super::{LiveGroup, LiveSettings, LiveSource};
use crate::backoff::Backoff;
use crate::http_client::{HttpClient, TransportConfig};

/// Asks the sources of all groups, at once, for the symbols that the user names. Notes in `groups`
/// when each exchange may be asked again, and why if it has to wait.
///
/// # Errors
/// One sentence about the first exchange that does not know a symbol.
pub(in crate::feed) fn check(groups: &mut [LiveGroup]) -> Result<(), String> {
    let mut checked = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let mut names = BTreeSet::new();
        let is_new = |source: &&LiveSource| names.insert(source.exchange.id().to_owned());
        let sources = group.sources.iter().filter(is_new);
        checked.extend(sources.map(|source| Checked {
            group: number,
            source: source.clone(),
            symbols: checked_here(group, source),
        }));
    }
    // All groups are reached in the same way.
    let Some(settings) = groups.first().map(|group| group.settings.clone()) else {
        return Ok(());
    };
    let findings = run(&checked, &settings);
    let findings = findings.map_err(|error| format!("cannot check sources: {error}"))?;
    for (Checked { group, source, .. }, finding) in checked.iter().zip(&findings) {
        let id = source.exchange.id();
        match &finding.refused {
            _ if finding.wrong.is_some() => {}
            Some((failure, pause)) => {
                let name = source.name();
                log::warn!("{name}: {failure}; {pause}; serving with unchecked symbols");
            }
            None if !finding.is_done => {
                log::warn!("{id}: could not check all symbols in time; serving anyway");
            }
            None => {}
        }
        let same = groups[*group].sources.iter_mut();
        for source in same.filter(|source| source.exchange.id() == id) {
            source.not_before = finding.not_before;
            let refused = finding.refused.as_ref();
            source.refused = refused.map(|(failure, _)| failure.clone());
        }
    }
    let mut wrong = findings.into_iter().filter_map(|finding| finding.wrong);
    wrong.next().map_or(Ok(()), Err)
}

/// A source that is asked for these symbols.
struct Checked {
    /// The number of its group.
    group: usize,
    source: LiveSource,
    symbols: Vec<Symbol>,
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
    /// Why it answered no more, and how long it has to be left alone.
    refused: Option<(Failure, Pause)>,
}

/// What the fiber that checks an exchange reports.
enum Report {
    Wrong(String),
    /// When the exchange may be asked again.
    NotBefore(Instant),
    Refused(Failure, Pause),
}

fn run(checked: &[Checked], settings: &LiveSettings) -> io::Result<Vec<Finding>> {
    let mut io_loop = IoLoop::<Vec<Finding>>::new()?;
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
        refused: None,
    };
    let mut findings = vec![begun; checked.len()];
    for (
        index,
        Checked {
            source, symbols, ..
        },
    ) in checked.iter().enumerate()
    {
        let check = Check {
            name: source.exchange.id().to_owned(),
            source: source.clone(),
            symbols: symbols.clone(),
            http_client: http_client.with_headers(&source.headers),
        };
        io_loop.spawn(
            STACK_SIZE,
            move |emitter| Ok(check.run(emitter)?),
            move |findings: &mut Vec<Finding>, _, report| match report {
                Report::Wrong(wrong) => findings[index].wrong = Some(wrong),
                Report::NotBefore(instant) => findings[index].not_before = instant,
                Report::Refused(failure, pause) => {
                    findings[index].refused = Some((failure, pause));
                }
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
    let longest = checked
        .iter()
        .map(|checked| allowance(&checked.source, &checked.symbols))
        .max();
    io_loop.call_later(longest.unwrap_or(LIMIT), |_, io_loop| io_loop.stop());
    io_loop.start(&mut findings)?;
    Ok(findings)
}

/// The symbols to check before serving: those that the user names. If there are too many to ask for
/// one by one, and the exchange has a list of markets, that list is checked later instead.
fn checked_here(live: &LiveGroup, source: &LiveSource) -> Vec<Symbol> {
    let names = live.names(source.exchange.id());
    let has_list = source.exchange.market_list_url().is_some();
    if has_list && names.len() > NAMES_ASKED_MAX {
        return Vec::new();
    }
    names
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
}

/// When the exchange may be asked again.
struct Schedule {
    next: Instant,
    backoff: Backoff,
}

/// The answer to a request: prices, or an error that is about this request only.
type Answer = Result<Vec<Result<Quote, QuoteError>>, QuoteError>;

/// Why a check ends early.
enum Halt {
    /// The exchange refuses to answer for now, and the log says why.
    Refused,
    Cancelled,
}

impl Check {
    /// Emits a sentence about what is wrong, and a better one whenever more is known.
    fn run(&self, emitter: &Emitter<Report>) -> Result<(), Cancelled> {
        let mut schedule = Schedule {
            next: fiber::time(),
            backoff: Backoff::new(Rng::new()),
        };
        match self.check(emitter, &mut schedule) {
            Ok(()) | Err(Halt::Refused) => Ok(()),
            Err(Halt::Cancelled) => Err(Cancelled),
        }
    }

    fn check(&self, emitter: &Emitter<Report>, schedule: &mut Schedule) -> Result<(), Halt> {
        let mut unknown: Vec<Symbol> = Vec::new();
        for request in self.source.exchange.requests(&self.symbols) {
            let is_about_one = !request.is_batch;
            let answer = self.ask(&request, emitter, schedule)?;
            for symbol in self.doubtful(request, answer) {
                if is_about_one || self.is_unknown(&symbol, emitter, schedule)? {
                    unknown.push(symbol);
                    let sentence = sentence(&self.name, &unknown, &[]);
                    emitter.emit(Report::Wrong(sentence))?;
                }
            }
        }
        match unknown.first() {
            None => Ok(()),
            Some(first) => self.emit_near(&unknown, first, emitter, schedule),
        }
    }

    /// The symbols that the exchange may not know. A batch answer proves nothing about one symbol:
    /// it may leave out a symbol that exists, or refuse all because of one.
    fn doubtful(&self, request: Request, answer: Answer) -> Vec<Symbol> {
        if self.source.is_custom {
            self.warn_of_pointers(&answer);
        }
        match answer {
            Ok(quotes) => {
                let symbols = request.symbols.into_iter().zip(quotes);
                let doubtful =
                    symbols.filter(|(_, quote)| *quote == Err(QuoteError::UnknownSymbol));
                doubtful.map(|(symbol, _)| symbol).collect()
            }
            Err(QuoteError::UnknownSymbol) => request.symbols,
            Err(_) => Vec::new(),
        }
    }

    /// The user has said where the answer of this source has the price and its time. If they are
    /// not there now, they may be later, so this is no reason not to start.
    fn warn_of_pointers(&self, answer: &Answer) {
        let name = self.source.exchange.name();
        match answer.as_ref().map(|quotes| quotes.first()) {
            Ok(Some(Err(error))) | Err(error) => {
                // Of these two the answer is good, but not where the user looks for the price.
                let hint = match error {
                    QuoteError::NoPrice(_) => " (is the place of the price right?)",
                    QuoteError::Blocked(_) => " (does it want a key? see --source-header)",
                    _ => "",
                };
                log::warn!("{name}: {error}{hint}; serving anyway");
            }
            Ok(Some(Ok(quote))) if self.source.has_time && quote.timestamp_ms.is_none() => {
                log::warn!("{name}: no time in the answer (is --time right?); serving anyway");
            }
            Ok(_) => {}
        }
    }

    fn is_unknown(
        &self,
        symbol: &Symbol,
        emitter: &Emitter<Report>,
        schedule: &mut Schedule,
    ) -> Result<bool, Halt> {
        let Some(request) = self.source.exchange.request(symbol) else {
            return Ok(false);
        };
        Ok(match self.ask(&request, emitter, schedule)? {
            Ok(quotes) => quotes.first() == Some(&Err(QuoteError::UnknownSymbol)),
            Err(error) => error == QuoteError::UnknownSymbol,
        })
    }

    /// Suggests similar symbols that the exchange does have. Emits each as soon as it is found: an
    /// exchange that allows one request a second leaves no time to find all.
    fn emit_near(
        &self,
        unknown: &[Symbol],
        symbol: &Symbol,
        emitter: &Emitter<Report>,
        schedule: &mut Schedule,
    ) -> Result<(), Halt> {
        let mut near = Vec::new();
        for candidate in suggest::candidates(symbol) {
            let request = self.source.exchange.request(&candidate);
            let Some(request) = request else {
                continue;
            };
            let answer = self.ask(&request, emitter, schedule)?;
            if answer.is_ok_and(|quotes| quotes.iter().all(Result::is_ok)) {
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

    /// Sends a request as soon as the exchange allows another one. Fails if it does not answer, or
    /// wants no more requests for now: another one would only annoy it.
    fn ask(
        &self,
        request: &Request,
        emitter: &Emitter<Report>,
        schedule: &mut Schedule,
    ) -> Result<Answer, Halt> {
        fiber::sleep_until(schedule.next)?;
        schedule.next = fiber::time() + request.interval;
        // Before the request, since this fiber may be cancelled before it has the answer.
        emitter.emit(Report::NotBefore(schedule.next))?;
        let names = self.source.exchange.names(request, &mut pause);
        let mut fetched = fetch(&self.http_client, &self.source.exchange, request, &names);
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
        if fiber::is_cancelled() {
            return Err(Halt::Cancelled);
        }
        let failure = match fetched.quotes {
            Ok(quotes) => return Ok(Ok(quotes)),
            Err(Failure::Answer(error))
                if is_about_request(&error) && fetched.retry_after.is_none() =>
            {
                return Ok(Err(error));
            }
            Err(failure) => failure,
        };
        let pause = Pause::after(&failure, fetched.retry_after, &mut schedule.backoff);
        let pause = pause.at_least(request.interval);
        emitter.emit(Report::NotBefore(fiber::time() + pause.length))?;
        emitter.emit(Report::Refused(failure, pause))?;
        Err(Halt::Refused)
    }
}

impl From<Cancelled> for Halt {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Whether the error says something about the symbols asked for or about the answer, not about the
/// exchange or our right to ask it.
fn is_about_request(error: &QuoteError) -> bool {
    matches!(
        error,
        QuoteError::UnknownSymbol
            | QuoteError::Garbage(_)
            | QuoteError::Refused(_)
            | QuoteError::NoPrice(_)
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
