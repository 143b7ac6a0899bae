//! The check at the start: whether every exchange knows every symbol that it is to be asked for.
//!
//! It runs before anything is served, on a loop of its own. An exchange that does not answer is no
//! reason not to start: it will be asked again and again. One that answers that there is no such
//! symbol is, since it will say so for ever.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::live::{Line, Live};
use super::near;
use super::rest::fetch;
use super::upstream::{Upstream, Way};
use crate::exchange::{Quote, QuoteError, Request, Symbol};
use crate::fiber::{self, Cancelled, Emitter, STACK_SIZE};
use crate::io_loop::IoLoop;

/// Asks all exchanges for all symbols.
///
/// # Errors
/// One sentence about the first exchange that does not know a symbol.
pub(super) fn check(live: &Live) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let is_new = |line: &&Line| names.insert(line.exchange.id().to_owned());
    let lines: Vec<_> = live.lines.iter().filter(is_new).cloned().collect();
    let findings = run(lines, live).map_err(|error| format!("cannot check sources: {error}"))?;
    findings.into_iter().flatten().next().map_or(Ok(()), Err)
}

/// What is wrong with each exchange, in their order; the state of the check's loop.
type Findings = Vec<Option<String>>;

fn run(lines: Vec<Line>, live: &Live) -> io::Result<Findings> {
    let mut io_loop = IoLoop::<Findings>::new()?;
    let limit = live.settings.way.timeout.min(LIMIT);
    let way = Way {
        timeout: limit,
        ..(*live.settings.way).clone()
    };
    let upstream = Upstream::new(io_loop.registrar(), Rc::new(way)).map_err(io::Error::other)?;
    let mut findings = vec![None; lines.len()];
    let running = Rc::new(());
    for (index, line) in lines.into_iter().enumerate() {
        let check = Check {
            name: line.exchange.id().to_owned(),
            line,
            symbols: live.symbols.clone(),
            upstream: upstream.clone(),
            next: Cell::new(Instant::now()),
        };
        // Each fiber holds a share; who lets go of the last one is the last.
        let share = Rc::clone(&running);
        io_loop.spawn(
            STACK_SIZE,
            move |emitter| Ok(check.run(emitter)?),
            move |findings: &mut Findings, _, wrong| findings[index] = Some(wrong),
            move |_, io_loop, _| {
                if Rc::strong_count(&share) == 1 {
                    io_loop.stop();
                }
            },
        )?;
    }
    drop(running);
    io_loop.call_later(limit, |_, io_loop| io_loop.stop());
    io_loop.start(&mut findings)?;
    Ok(findings)
}

/// The check of one exchange.
struct Check {
    name: String,
    line: Line,
    symbols: Vec<Symbol>,
    upstream: Upstream,
    /// When the exchange may be asked again.
    next: Cell<Instant>,
}

impl Check {
    /// Emits what is wrong, as a sentence; and again, as it becomes better known.
    fn run(&self, emitter: &Emitter<String>) -> Result<(), Cancelled> {
        let mut unknown: Vec<Symbol> = Vec::new();
        for request in self.line.exchange.requests(&self.symbols) {
            let is_about_one = !request.many;
            let doubtful = match self.doubtful(request) {
                Ok(doubtful) => doubtful,
                Err(wrong) => return emitter.emit(wrong),
            };
            for symbol in doubtful {
                if is_about_one || self.is_unknown(&symbol) {
                    unknown.push(symbol);
                    emitter.emit(sentence(&self.name, &unknown, &[]))?;
                }
            }
        }
        match unknown.first() {
            None => Ok(()),
            Some(first) => self.emit_near(emitter, &unknown, first),
        }
    }

    /// The symbols that the exchange may not know: an answer for many may leave one out that is
    /// there, or refuse all on account of one. An error is a sentence about something else.
    fn doubtful(&self, request: Request) -> Result<Vec<Symbol>, String> {
        match self.ask(&request) {
            Ok(quotes) => {
                let mut doubtful = Vec::new();
                for (symbol, quote) in request.symbols.into_iter().zip(quotes) {
                    match quote {
                        Err(QuoteError::UnknownSymbol) => doubtful.push(symbol),
                        Err(error) if self.line.is_custom => return Err(self.no_price(&error)),
                        Ok(quote) if self.line.has_time && quote.timestamp_ms.is_none() => {
                            let name = self.line.exchange.name();
                            return Err(format!(
                                "{name}: no time in the answer (is --time right?)"
                            ));
                        }
                        _ => {}
                    }
                }
                Ok(doubtful)
            }
            Err(Failure::Answer(QuoteError::UnknownSymbol)) => Ok(request.symbols),
            Err(Failure::Answer(error)) if self.line.is_custom && is_for_ever(&error) => {
                Err(self.no_price(&error))
            }
            // The feed will say so too, and go on trying.
            Err(_) => Ok(Vec::new()),
        }
    }

    fn is_unknown(&self, symbol: &Symbol) -> bool {
        let request = self.line.exchange.request(symbol);
        match self.ask(&request) {
            Ok(quotes) => quotes.first() == Some(&Err(QuoteError::UnknownSymbol)),
            Err(failure) => failure == Failure::Answer(QuoteError::UnknownSymbol),
        }
    }

    /// Finds symbols that the exchange does have and that may have been meant by `symbol`. Each is
    /// told as soon as it is found: where a request a second is allowed, there is no time for all.
    fn emit_near(
        &self,
        emitter: &Emitter<String>,
        unknown: &[Symbol],
        symbol: &Symbol,
    ) -> Result<(), Cancelled> {
        let mut near = Vec::new();
        for candidate in near::candidates(symbol) {
            let request = self.line.exchange.request(&candidate);
            if self
                .ask(&request)
                .is_ok_and(|quotes| quotes.iter().all(Result::is_ok))
            {
                near.push(candidate.to_string());
                emitter.emit(sentence(&self.name, unknown, &near))?;
            }
            if near.len() == NEAR_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Asks, but not before the exchange allows another request.
    fn ask(&self, request: &Request) -> Result<Vec<Result<Quote, QuoteError>>, Failure> {
        // If this is cancelled, so is the request.
        let _ = fiber::sleep_until(self.next.get());
        self.next.set(Instant::now() + request.interval);
        fetch(&self.upstream, &self.line.exchange, request).quotes
    }

    fn no_price(&self, error: &QuoteError) -> String {
        let name = self.line.exchange.name();
        format!("{name}: {error} (is --price right?)")
    }
}

/// Whether a URL that answers so is the wrong one.
fn is_for_ever(error: &QuoteError) -> bool {
    matches!(
        error,
        QuoteError::Garbage(_) | QuoteError::Refused(_) | QuoteError::NoPrice(_)
    )
}

fn sentence(exchange: &str, unknown: &[Symbol], near: &[String]) -> String {
    let some: Vec<_> = unknown.iter().map(Symbol::as_str).take(NAMED_MAX).collect();
    let more = if unknown.len() > NAMED_MAX {
        ", …"
    } else {
        ""
    };
    let some = some.join(", ");
    let hint = match near {
        [] => String::new(),
        near => format!(", did you mean {}?", near.join(" or ")),
    };
    format!("{exchange} does not know {some}{more}{hint}")
}

/// How long a check may take; what is not known by then is found out while serving.
const LIMIT: Duration = Duration::from_secs(5);

/// Symbols in one sentence.
const NAMED_MAX: usize = 5;

/// Near names in one sentence.
const NEAR_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_which_and_what_may_have_been_meant() {
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
