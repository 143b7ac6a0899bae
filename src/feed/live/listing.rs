//! The list of markets of one exchange: a fiber that fetches it, at the start and again every hour,
//! and reports which symbols come and go. Listings that patterns match are added, and markets that
//! are gone are removed.
//!
//! Names are reported at once, and stay as long as the user wants them. A few need no list: the check
//! at the start asks for each.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use exchanges::{Exchange, Symbol};
use fastrand::Rng;
use ioloop::fiber::{self, Cancelled, Emitter};

use super::failure::{Failure, Pause};
use super::inbox::Inbox;
use super::pace::Pace;
use super::rest::pause;
use super::suggest;
use crate::backoff::Backoff;
use crate::feed::wanted::Wanted;
use crate::http_client::HttpClient;

/// The list of one exchange.
pub(super) struct Listing {
    pub(super) exchange: Exchange,
    /// What the user wants of it at the start, and whenever that changes.
    pub(super) wanted: Vec<Wanted>,
    pub(super) inbox: Inbox<Vec<Wanted>>,
    /// The symbols that are served already, in their order.
    pub(super) served: Vec<Symbol>,
    /// The longest name of a symbol that the server can have.
    pub(super) name_length_max: usize,
    /// Symbols that others serve under the same name.
    pub(super) taken: Vec<Symbol>,
    pub(super) pace: Pace,
    pub(super) http_client: HttpClient,
}

/// What the fiber reports.
#[derive(Debug)]
pub(super) enum ListEvent {
    /// The list was read, and has this many markets.
    Read(usize),
    /// It could not be read. The next attempt follows after the pause.
    Failed { failure: Failure, pause: Pause },
    /// Changes follow, after which this many symbols are served.
    Begin(usize),
    /// These are served no longer.
    Remove(Vec<Symbol>),
    /// These are served from now on.
    Add(Vec<Symbol>),
    /// All changes were reported.
    Done {
        /// Whether the user still waits for the list.
        is_waiting: bool,
        /// Entries that no market matches, each with similar ones that some do.
        unmatched: Vec<(String, Vec<String>)>,
    },
}

impl Listing {
    /// Reports until it is cancelled.
    pub(super) fn run(&self, emitter: &Emitter<ListEvent>) -> io::Result<()> {
        let mut wanted = self.wanted.clone();
        let mut served = self.served.clone();
        let mut list: Option<Vec<Symbol>> = None;
        let mut backoff = Backoff::new(Rng::new());
        let mut due = fiber::time();
        loop {
            let mut next = None;
            let needs_list = has_patterns(&wanted) || wanted.len() > NAMES_ASKED_MAX;
            // What is known is served before the exchange is asked.
            self.report(emitter, &wanted, list.as_deref(), &mut served)?;
            if needs_list && self.exchange.market_list_url().is_some() {
                // Those who fetch prices may ask the exchange meanwhile.
                while fiber::time() < due.max(self.pace.not_before()) {
                    fiber::sleep_until(due.max(self.pace.not_before()))?;
                }
                due = match self.fetch() {
                    Ok(read) => {
                        backoff.succeeded();
                        emitter.emit(ListEvent::Read(read.len()))?;
                        list = Some(read);
                        self.report(emitter, &wanted, list.as_deref(), &mut served)?;
                        fiber::time() + EVERY
                    }
                    Err(_) if fiber::is_cancelled() => return Ok(()),
                    Err((failure, retry_after)) => {
                        let pause = Pause::after(&failure, retry_after, &mut backoff);
                        // Prices may come all the same, unless the exchange wants no requests.
                        if failure.forbids_requests() || retry_after.is_some() {
                            self.pace.waits(pause.length);
                        }
                        emitter.emit(ListEvent::Failed { failure, pause })?;
                        fiber::time() + pause.length
                    }
                };
                next = Some(due);
            }
            while next.is_none_or(|next| fiber::time() < next) {
                self.inbox.wait(next)?;
                if let Some(new) = self.inbox.take().pop() {
                    wanted = new;
                    // After a failure it still has to wait.
                    due = if list.is_some() { fiber::time() } else { due };
                    break;
                }
            }
        }
    }

    /// Fetches the list. The error comes with how long the exchange asks us to wait.
    fn fetch(&self) -> Result<Vec<Symbol>, (Failure, Option<Duration>)> {
        let url = self.exchange.market_list_url().unwrap_or_default();
        self.pace
            .asks(fiber::time(), self.exchange.share(1).interval);
        let answer = self.http_client.get(&url);
        let answer = answer.map_err(|error| (Failure::from(error), None))?;
        let read = self
            .exchange
            .read_market_list((answer.status, &answer.body), &mut pause);
        read.map_err(|error| (Failure::from(error), answer.retry_after))
    }

    /// Reports what has changed since the last time, a share of it in each turn.
    fn report(
        &self,
        emitter: &Emitter<ListEvent>,
        wanted: &[Wanted],
        list: Option<&[Symbol]>,
        served: &mut Vec<Symbol>,
    ) -> Result<(), Cancelled> {
        let target = self.target(wanted, list.unwrap_or_default());
        let removed = missing(served, &target);
        let added = missing(&target, served);
        if !removed.is_empty() || !added.is_empty() {
            emitter.emit(ListEvent::Begin(target.len()))?;
        }
        for symbols in removed.chunks(CHANGES_PER_TURN) {
            emitter.emit(ListEvent::Remove(symbols.to_vec()))?;
        }
        for symbols in added.chunks(CHANGES_PER_TURN) {
            emitter.emit(ListEvent::Add(symbols.to_vec()))?;
        }
        *served = target;
        let has_list = self.exchange.market_list_url().is_some();
        emitter.emit(ListEvent::Done {
            is_waiting: has_patterns(wanted) && has_list && list.is_none(),
            unmatched: list.map_or_else(Vec::new, |list| unmatched(wanted, list, &mut pause)),
        })
    }

    /// The symbols that are wanted, in their order and each once.
    fn target(&self, wanted: &[Wanted], list: &[Symbol]) -> Vec<Symbol> {
        let names = wanted.iter().filter_map(Wanted::name);
        let mut target: Vec<Symbol> = names.cloned().collect();
        // A name may be another one of a market that a pattern matches, as XBT/USD is BTC/USD.
        let mut markets: HashSet<String> = HashSet::new();
        markets.extend(target.iter().map(|symbol| self.exchange.market(symbol)));
        let mut piece = 0;
        for symbol in list {
            piece += 1;
            if piece % SYMBOLS_PER_PAUSE == 0 {
                pause();
            }
            let is_wanted = symbol.as_str().len() <= self.name_length_max
                && !self.taken.contains(symbol)
                && wanted.iter().any(|wanted| wanted.matches(symbol));
            if is_wanted && markets.insert(self.exchange.market(symbol)) {
                target.push(symbol.clone());
            }
        }
        target.sort_unstable();
        target.dedup();
        target
    }
}

fn has_patterns(wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| wanted.name().is_none())
}

/// Those of `all` that `others` lacks; both are in order.
fn missing(all: &[Symbol], others: &[Symbol]) -> Vec<Symbol> {
    let is_missing = |symbol: &&Symbol| others.binary_search(symbol).is_err();
    all.iter().filter(is_missing).cloned().collect()
}

/// The patterns that match none of `list`, and the names that are not in it, each with similar ones
/// that stand for some.
fn unmatched(
    wanted: &[Wanted],
    list: &[Symbol],
    pause: &mut dyn FnMut(),
) -> Vec<(String, Vec<String>)> {
    let is_unmatched = |wanted: &&Wanted| match wanted.name() {
        Some(symbol) => list.binary_search(symbol).is_err(),
        None => !list.iter().any(|symbol| wanted.matches(symbol)),
    };
    let unmatched = wanted.iter().filter(is_unmatched).take(UNMATCHED_MAX);
    let with_near = unmatched.map(|wanted| {
        pause();
        (wanted.to_string(), suggest::near(wanted, list))
    });
    with_near.collect()
}

/// How many entries that no market matches are named.
const UNMATCHED_MAX: usize = 20;

/// If the user names more symbols than this, the list tells which of them exist: asking for each
/// would take too long.
pub(super) const NAMES_ASKED_MAX: usize = 200;

/// How often the list is read again.
const EVERY: Duration = Duration::from_secs(3_600);

/// How many symbols are added or removed in one turn of the loop.
const CHANGES_PER_TURN: usize = 128;

/// How many symbols are compared with the patterns between two pauses.
const SYMBOLS_PER_PAUSE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(texts: &[&str]) -> Vec<Symbol> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_missing_is_found_in_order() {
        let (old, new) = (symbols(&["A/X", "B/X", "D/X"]), symbols(&["B/X", "C/X"]));
        assert_eq!(missing(&old, &new), symbols(&["A/X", "D/X"]));
        assert_eq!(missing(&new, &old), symbols(&["C/X"]));
    }

    #[test]
    fn entries_that_match_no_market_are_named_with_similar_ones() {
        let list = symbols(&["BTC/EUR", "BTC/USDT", "ETH/USDT", "SOL/USDT"]);
        let wanted = |text: &str| Wanted::parse(text).unwrap();
        for (entry, near) in [
            ("*/USDX", &["*/USDT"][..]),
            ("*/usdt", &["*/USDT"]),
            ("BTCC/*", &["BTC/*"]),
            ("x:*/ERU", &["x:*/EUR"]),
            ("BTC/UDST", &["BTC/USDT", "BTC/EUR"]),
            ("ETH/EUR", &["ETH/USDT"]),
            ("*/NOTHING", &[]),
        ] {
            let found = unmatched(&[wanted(entry)], &list, &mut || {});
            let near: Vec<_> = near.iter().map(ToString::to_string).collect();
            assert_eq!(found, [(entry.to_owned(), near)]);
        }
        let good = ["*", "*/EUR", "BTC/*", "ETH/USDT"].map(wanted);
        assert!(unmatched(&good, &list, &mut || {}).is_empty());
    }
}
