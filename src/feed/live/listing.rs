//! The list of markets of one exchange: a fiber that fetches it, at the start and again every hour,
//! and reports which symbols come and go. Listings that patterns match are added, and markets that
//! are gone are removed.
//!
//! Names are reported at once, and stay as long as the user wants them. A few need no list: the check
//! at the start asks for each.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

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
    /// The list has so few markets, compared with the one before, that it is read again before it
    /// is believed.
    Doubted { markets: usize },
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

/// What the fiber knows.
struct Knowledge {
    wanted: Vec<Wanted>,
    /// The symbols that it has reported as served, in their order.
    served: Vec<Symbol>,
    list: Option<Vec<Symbol>>,
    backoff: Backoff,
    /// When the list is read next.
    due: Instant,
    /// Whether the last attempt to read it failed, or gave a list that is hard to believe.
    is_doubtful: bool,
}

impl Listing {
    /// Reports until it is cancelled.
    pub(super) fn run(&self, emitter: &Emitter<ListEvent>) -> io::Result<()> {
        let mut known = Knowledge {
            wanted: self.wanted.clone(),
            served: self.served.clone(),
            list: None,
            backoff: Backoff::new(Rng::new()),
            due: fiber::time(),
            is_doubtful: false,
        };
        // What is known is served before the exchange is asked.
        self.report(emitter, &mut known)?;
        loop {
            // Those who fetch prices may ask the exchange meanwhile.
            let due = known.due.max(self.pace.not_before());
            let due = Some(due).filter(|_| self.needs_list(&known.wanted));
            if due.is_some_and(|due| due <= fiber::time()) {
                self.read(emitter, &mut known)?;
                if fiber::is_cancelled() {
                    return Ok(());
                }
            }
            let due = due.map(|due| due.max(known.due));
            if due.is_none_or(|due| due > fiber::time()) {
                self.inbox.wait(due)?;
            }
            if let Some(wanted) = self.inbox.take().pop() {
                known.wanted = wanted;
                // The list may have changed, too; but a failed attempt is not repeated sooner.
                if !known.is_doubtful {
                    known.due = fiber::time();
                }
                self.report(emitter, &mut known)?;
            }
        }
    }

    fn needs_list(&self, wanted: &[Wanted]) -> bool {
        let is_needed = has_patterns(wanted) || wanted.len() > NAMES_ASKED_MAX;
        is_needed && self.exchange.market_list_url().is_some()
    }

    /// Reads the list, reports what has changed and sets the time of the next attempt.
    fn read(&self, emitter: &Emitter<ListEvent>, known: &mut Knowledge) -> Result<(), Cancelled> {
        let read = match self.fetch() {
            Ok(read) => read,
            Err(_) if fiber::is_cancelled() => return Err(Cancelled),
            Err((failure, retry_after)) => {
                let pause = Pause::after(&failure, retry_after, &mut known.backoff);
                // Prices may come all the same, unless the exchange wants no requests.
                if failure.forbids_requests() || retry_after.is_some() {
                    self.pace.waits(pause.length);
                }
                known.due = fiber::time() + pause.length;
                known.is_doubtful = true;
                return emitter.emit(ListEvent::Failed { failure, pause });
            }
        };
        known.backoff.succeeded();
        let before = known.list.as_ref().map_or(0, Vec::len);
        let has_shrunk = read.len() < before / 2;
        if has_shrunk && !known.is_doubtful {
            known.due = fiber::time() + DOUBT;
            known.is_doubtful = true;
            let markets = read.len();
            return emitter.emit(ListEvent::Doubted { markets });
        }
        known.is_doubtful = false;
        known.due = fiber::time() + EVERY;
        emitter.emit(ListEvent::Read(read.len()))?;
        known.list = Some(read);
        self.report(emitter, known)
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
    fn report(&self, emitter: &Emitter<ListEvent>, known: &mut Knowledge) -> Result<(), Cancelled> {
        let list = known.list.as_deref();
        let target = self.target(&known.wanted, list.unwrap_or_default());
        let removed = missing(&known.served, &target);
        let added = missing(&target, &known.served);
        if !removed.is_empty() || !added.is_empty() {
            emitter.emit(ListEvent::Begin(target.len()))?;
        }
        for symbols in removed.chunks(CHANGES_PER_TURN) {
            emitter.emit(ListEvent::Remove(symbols.to_vec()))?;
        }
        for symbols in added.chunks(CHANGES_PER_TURN) {
            emitter.emit(ListEvent::Add(symbols.to_vec()))?;
        }
        known.served = target;
        let has_list = self.exchange.market_list_url().is_some();
        emitter.emit(ListEvent::Done {
            is_waiting: has_patterns(&known.wanted) && has_list && list.is_none(),
            unmatched: list.map_or_else(Vec::new, |list| {
                unmatched(&self.exchange, &known.wanted, list, &mut pause)
            }),
        })
    }

    /// The symbols that are wanted, in their order and each once.
    fn target(&self, wanted: &[Wanted], list: &[Symbol]) -> Vec<Symbol> {
        let (mut target, mut markets) = (Vec::new(), HashSet::new());
        let names = wanted.iter().filter_map(Wanted::name);
        for (count, symbol) in names.enumerate() {
            pause_now_and_then(count);
            target.push(symbol.clone());
            markets.insert(self.exchange.market(symbol));
        }
        let patterns: Vec<_> = wanted
            .iter()
            .filter(|wanted| wanted.name().is_none())
            .collect();
        for (count, symbol) in list.iter().enumerate() {
            pause_now_and_then(count);
            let is_wanted = symbol.as_str().len() <= self.name_length_max
                && !self.taken.contains(symbol)
                && patterns.iter().any(|pattern| pattern.matches(symbol));
            // A name may be another one of a market that a pattern matches, as XBT/USD is BTC/USD.
            if is_wanted && markets.insert(self.exchange.market(symbol)) {
                target.push(symbol.clone());
            }
        }
        target.sort_unstable();
        target.dedup();
        target
    }
}

/// Lets others run between two pieces of work, given the number of the next symbol.
fn pause_now_and_then(count: usize) {
    if count % SYMBOLS_PER_PAUSE == SYMBOLS_PER_PAUSE - 1 {
        pause();
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
/// that stand for some. Calls `pause` now and then.
fn unmatched(
    exchange: &Exchange,
    wanted: &[Wanted],
    list: &[Symbol],
    pause: &mut dyn FnMut(),
) -> Vec<(String, Vec<String>)> {
    let is_missing = |wanted: &&Wanted| match wanted.name() {
        Some(symbol) => list.binary_search(symbol).is_err(),
        None => !list.iter().any(|symbol| wanted.matches(symbol)),
    };
    let missing: Vec<_> = wanted.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    // A name may be written in another way than in the list, as XBT/USD is BTC/USD.
    let mut markets = HashSet::new();
    for symbols in list.chunks(SYMBOLS_PER_PAUSE) {
        markets.extend(symbols.iter().map(|symbol| exchange.market(symbol)));
        pause();
    }
    let is_unknown = |wanted: &&&Wanted| {
        let name = wanted.name();
        name.is_none_or(|symbol| !markets.contains(&exchange.market(symbol)))
    };
    let unmatched = missing.iter().filter(is_unknown).take(UNMATCHED_MAX);
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

/// How soon a list is read again that has lost most of its markets.
const DOUBT: Duration = Duration::from_secs(60);

/// How often the list is read again.
const EVERY: Duration = Duration::from_secs(3_600);

/// How many symbols are added or removed in one turn of the loop.
const CHANGES_PER_TURN: usize = 128;

/// How many symbols are compared with the patterns between two pauses.
const SYMBOLS_PER_PAUSE: usize = 256;

#[cfg(test)]
mod tests {
    use exchanges::Catalogue;

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
        let catalogue = Catalogue::builtin();
        let kraken = catalogue.get("kraken").unwrap();
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
            let found = unmatched(kraken, &[wanted(entry)], &list, &mut || {});
            let near: Vec<_> = near.iter().map(ToString::to_string).collect();
            assert_eq!(found, [(entry.to_owned(), near)]);
        }
        let good = ["*", "*/EUR", "BTC/*", "ETH/USDT", "XBT/EUR"].map(wanted);
        assert!(unmatched(kraken, &good, &list, &mut || {}).is_empty());
    }
}
