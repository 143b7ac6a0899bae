//! The state that all connections of a fake exchange share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::clock::Clock;
use super::fault::{Fault, Stage, random};
use super::formats::{exchanges, home, lists, streams};
use super::prices::{Book, Delivery, Outcome, padded, price, scaled, with_exponent};
use super::template::fill;
use super::{Config, Seen};
use crate::authority::{Authority, Validity};

/// The state that all connections share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) authority: Authority,
    expired: Arc<ServerConfig>,
    other_name: Arc<ServerConfig>,
    /// The symbols of exchanges that have only one quote currency: every base in that one.
    at_home: HashMap<&'static str, Vec<String>>,
    state: Mutex<State>,
    /// Notified when a stream has taken a turn, or has ended.
    turned: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// How far the clock of the streams is ahead of the system's.
    ahead: Duration,
    /// How many turns each open stream has taken, by the number of its connection.
    turns: HashMap<u64, u64>,
    book: Book,
    /// Indexed by source; the empty name stands for all.
    faults: BTreeMap<String, Setting>,
    /// The seed of random faults, while they are enabled.
    chance: Option<u64>,
    /// How many random faults were drawn for each source.
    chances: HashMap<String, u64>,
    /// How often each fault has struck, by name.
    struck: BTreeMap<&'static str, u64>,
    seen: VecDeque<Seen>,
    opened: u64,
    sockets: HashMap<u64, TcpStream>,
    tokens: HashSet<String>,
    unlisted: HashSet<(String, String)>,
    fillers: HashMap<&'static str, String>,
}

struct Setting {
    fault: Fault,
    /// How often it will strike; `None` means forever.
    left: Option<u64>,
}

/// A requested symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol<'a> {
    pub(super) unified: &'a str,
    pub(super) base: &'a str,
    pub(super) quote: &'a str,
}

impl<'a> Symbol<'a> {
    fn parse(unified: &'a str) -> Self {
        let (base, quote) = unified.split_once('/').unwrap_or((unified, ""));
        Self {
            unified,
            base,
            quote,
        }
    }

    /// The value of a placeholder for one of its currencies.
    pub(super) fn placeholder(&self, placeholder: &str) -> Option<String> {
        match placeholder {
            "BASE" => Some(self.base.to_owned()),
            "QUOTE" => Some(self.quote.to_owned()),
            "base" => Some(self.base.to_lowercase()),
            "quote" => Some(self.quote.to_lowercase()),
            _ => None,
        }
    }
}

/// The circumstances in which a price is drawn.
pub(super) struct Draw<'a> {
    pub(super) exchange: &'static str,
    pub(super) source: &'a str,
    pub(super) symbol: Symbol<'a>,
    pub(super) connection: u64,
    pub(super) fault: Fault,
    /// Whether small numbers have exponents.
    pub(super) exponents: bool,
    pub(super) clock: Clock,
    /// The time in the message, if the client can read it.
    pub(super) stamp: Option<u64>,
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let mut names = vec!["localhost", "127.0.0.1"];
        let of_streams = streams().map(|stream| stream.authority);
        let authorities = exchanges().map(|exchange| exchange.authority);
        let of_lists = lists().filter_map(|list| list.elsewhere);
        names.extend(authorities.chain(of_streams).chain(of_lists).map(host));
        let authority = Authority::new(&names);
        Self {
            expired: authority.issue(&names, Validity::Expired),
            other_name: authority.issue(&["other.invalid"], Validity::Always),
            authority,
            at_home: at_home(&config.symbols),
            state: Mutex::new(State {
                chance: config.random_faults,
                ..State::default()
            }),
            config,
            turned: Condvar::new(),
        }
    }

    /// The time by which streams beat and clients have to.
    pub(super) fn now(&self) -> Instant {
        Instant::now() + self.state().ahead
    }

    /// Lets time pass for all streams, and waits until each has noticed and done what was due.
    pub(super) fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.ahead += by;
        let turns = state.turns.clone();
        // The turn that is under way may have looked at the clock before, so it takes two.
        let lags = |state: &mut State| {
            let mut lagging = turns.iter();
            lagging.any(|(number, before)| {
                let turns = state.turns.get(number);
                turns.is_some_and(|turns| *turns < before + 2)
            })
        };
        drop(self.turned.wait_while(state, lags));
    }

    /// Notes that a stream has taken a turn; false once the exchange has stopped.
    pub(super) fn turned(&self, connection: u64) -> bool {
        let mut state = self.state();
        *state.turns.entry(connection).or_default() += 1;
        self.turned.notify_all();
        !state.stopping
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// The certificate for a new connection.
    pub(super) fn certificate(&self) -> Arc<ServerConfig> {
        match self.fault("", &[Stage::Tls]).0 {
            Fault::CertificateExpired => Arc::clone(&self.expired),
            Fault::CertificateOtherName => Arc::clone(&self.other_name),
            _ => self.authority.config(),
        }
    }

    /// The current fault of `source`, and whether it is random.
    pub(super) fn fault(&self, source: &str, stages: &[Stage]) -> (Fault, bool) {
        let mut state = self.state();
        let (fault, is_by_chance) = self.choose(&mut state, source, stages);
        if fault != Fault::None {
            *state.struck.entry(fault.name()).or_default() += 1;
        }
        (fault, is_by_chance)
    }

    fn choose(&self, state: &mut State, source: &str, stages: &[Stage]) -> (Fault, bool) {
        for scope in [source, ""] {
            let Some(setting) = state.faults.get_mut(scope) else {
                continue;
            };
            let fault = setting.fault;
            if !fault.stage().is_some_and(|stage| stages.contains(&stage)) {
                continue;
            }
            if let Some(left) = &mut setting.left {
                *left -= 1;
                if *left == 0 {
                    state.faults.remove(scope);
                }
            }
            return (fault, false);
        }
        let Some(seed) = state.chance else {
            return (Fault::None, false);
        };
        let number = state.chances.entry(source.to_owned()).or_default();
        *number += 1;
        match random(seed, source, stages, *number) {
            spared if self.config.spared.contains(&spared) => (Fault::None, true),
            fault => (fault, true),
        }
    }

    /// Whether this fault is set for `source`.
    pub(super) fn is_set(&self, source: &str, fault: Fault) -> bool {
        let state = self.state();
        let mut settings = [source, ""]
            .into_iter()
            .filter_map(|scope| state.faults.get(scope));
        settings.any(|setting| setting.fault == fault)
    }

    pub(super) fn leave_to_chance(&self, seed: Option<u64>) {
        self.state().chance = seed;
    }

    pub(super) fn struck(&self) -> BTreeMap<&'static str, u64> {
        self.state().struck.clone()
    }

    pub(super) fn set(&self, source: &str, fault: Fault, times: Option<u64>) {
        // A TLS handshake does not name the exchange.
        let source = match fault.stage() {
            Some(Stage::Tls) => "",
            _ => source,
        };
        let mut state = self.state();
        let setting = Setting { fault, left: times };
        let before = if fault == Fault::None || times == Some(0) {
            state.faults.remove(source)
        } else {
            state.faults.insert(source.to_owned(), setting)
        };
        drop(state);
        let of_tls = |fault: Fault| fault.stage() == Some(Stage::Tls);
        if of_tls(fault) || before.is_some_and(|before| of_tls(before.fault)) {
            self.hang_up();
        }
    }

    pub(super) fn clear(&self) {
        self.state().faults.clear();
    }

    pub(super) fn faults(&self) -> Vec<(String, Fault)> {
        let state = self.state();
        let settings = state.faults.iter();
        settings
            .map(|(source, setting)| (source.clone(), setting.fault))
            .collect()
    }

    pub(super) fn list(&self, exchange: &str, symbol: &str, is_listed: bool) {
        let key = (exchange.to_owned(), symbol.to_owned());
        let mut state = self.state();
        if is_listed {
            state.unlisted.remove(&key)
        } else {
            state.unlisted.insert(key)
        };
    }

    /// Whether `exchange` trades or has traded this symbol.
    pub(super) fn trades(&self, exchange: &str, symbol: &str) -> bool {
        let mut all = self.all_symbols(exchange).iter();
        all.any(|traded| traded == symbol)
    }

    fn all_symbols(&self, exchange: &str) -> &[String] {
        self.at_home.get(exchange).unwrap_or(&self.config.symbols)
    }

    /// The symbols that `exchange` trades.
    pub(super) fn symbols(&self, exchange: &str) -> Vec<Symbol<'_>> {
        let state = self.state();
        let symbols = self
            .all_symbols(exchange)
            .iter()
            .map(|unified| Symbol::parse(unified));
        let is_listed = |symbol: &Symbol<'_>| {
            let key = (exchange.to_owned(), symbol.unified.to_owned());
            !state.unlisted.contains(&key)
        };
        symbols.filter(is_listed).collect()
    }

    /// Draws the next price of a symbol and fills `template` with it; `more` fills other
    /// placeholders. Returns the number of the delivery, whose outcome is still open.
    pub(super) fn draw(
        &self,
        draw: &Draw<'_>,
        template: &str,
        more: &dyn Fn(&str) -> Option<String>,
    ) -> (String, usize) {
        let mut state = self.state();
        let changes = draw.fault != Fault::Unchanged;
        let symbol = draw.symbol.unified;
        let serial = state.book.serial(draw.exchange, symbol, changes);
        let mut quoted = price(self.config.seed, draw.exchange, symbol, serial);
        if template.contains("$scaled") {
            quoted.last = padded(&quoted.last);
        }
        let number = state.book.note(Delivery {
            source: draw.source.to_owned(),
            symbol: symbol.to_owned(),
            price: quoted.last.clone(),
            timestamp_ms: draw.stamp,
            connection: draw.connection,
            fault: draw.fault,
            outcome: Outcome::Sending,
        });
        drop(state);
        let written = |decimal: &str| {
            if draw.exponents {
                with_exponent(decimal).unwrap_or_else(|| decimal.to_owned())
            } else {
                decimal.to_owned()
            }
        };
        let template = disguised(template, draw.fault);
        let text = fill(&template, &|placeholder| match placeholder {
            "last" => Some(written(&quoted.last)),
            "bid" => Some(written(&quoted.bid)),
            "ask" => Some(written(&quoted.ask)),
            "scaled" => Some(scaled(&quoted.last)),
            _ => draw
                .clock
                .placeholder(placeholder)
                .or_else(|| draw.symbol.placeholder(placeholder))
                .or_else(|| more(placeholder)),
        });
        (text, number)
    }

    /// Entries of an exchange's other markets, made once: only their size matters.
    pub(super) fn fillers(
        &self,
        exchange: &'static str,
        entry: &str,
        market: &dyn Fn(Symbol<'_>) -> String,
        key: &dyn Fn(Symbol<'_>) -> String,
    ) -> String {
        let mut state = self.state();
        let make = || {
            let clock = Clock::now(Fault::None);
            let entries = (0..self.config.fillers).map(|number| {
                let unified = format!("X{number}/{}", home(exchange).unwrap_or("USDT"));
                let symbol = Symbol::parse(&unified);
                let quoted = price(self.config.seed, exchange, &unified, 0);
                fill(entry, &|placeholder| match placeholder {
                    "last" => Some(quoted.last.clone()),
                    "bid" => Some(quoted.bid.clone()),
                    "ask" => Some(quoted.ask.clone()),
                    "scaled" => Some(scaled(&quoted.last)),
                    "market" => Some(market(symbol)),
                    "key" => Some(key(symbol)),
                    _ => clock
                        .placeholder(placeholder)
                        .or_else(|| symbol.placeholder(placeholder)),
                })
            });
            entries.collect::<Vec<_>>().join(",")
        };
        state.fillers.entry(exchange).or_insert_with(make).clone()
    }

    pub(super) fn settle(&self, numbers: &[usize], outcome: Outcome) {
        self.state().book.settle(numbers, outcome);
    }

    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.state().book.deliveries().cloned().collect()
    }

    pub(super) fn saw(&self, seen: Seen) {
        let mut state = self.state();
        if state.seen.len() == SEEN_MAX {
            state.seen.pop_front();
        }
        state.seen.push_back(seen);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state().seen.iter().cloned().collect()
    }

    /// A token that opens a stream.
    pub(super) fn token(&self) -> String {
        let mut state = self.state();
        // Like real tokens, it has characters that need escaping in a URL.
        let token = format!("2neAiuYvAU61ZD+/{}=.W+g==", state.tokens.len());
        state.tokens.insert(token.clone());
        token
    }

    pub(super) fn knows_token(&self, token: &str) -> bool {
        self.state().tokens.contains(token)
    }

    /// The number of a new connection; `None` once the exchange has stopped.
    pub(super) fn opened(&self, socket: &TcpStream) -> Option<u64> {
        let mut state = self.state();
        if state.stopping {
            return None;
        }
        state.opened += 1;
        let number = state.opened;
        let socket = socket.try_clone().expect("a descriptor");
        state.sockets.insert(number, socket);
        Some(number)
    }

    pub(super) fn closed(&self, number: u64) {
        let mut state = self.state();
        state.sockets.remove(&number);
        state.turns.remove(&number);
        self.turned.notify_all();
    }

    pub(super) fn connections(&self) -> usize {
        self.state().sockets.len()
    }

    pub(super) fn hang_up(&self) {
        for socket in self.state().sockets.values() {
            // It may already be closed.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn cut(&self, source: &str) {
        let state = self.state();
        let seen = state.seen.iter().filter(|seen| seen.source == source);
        for socket in seen.filter_map(|seen| state.sockets.get(&seen.connection)) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.hang_up();
    }
}

/// The symbols of exchanges that trade every base of `symbols` in one currency only.
fn at_home(symbols: &[String]) -> HashMap<&'static str, Vec<String>> {
    let homes = exchanges().filter_map(|exchange| Some((exchange.id, exchange.home?)));
    let listed = |home: &str| {
        let bases = symbols.iter().map(|unified| Symbol::parse(unified).base);
        let bases: BTreeSet<_> = bases.collect();
        let bases = bases.into_iter();
        bases.map(|base| format!("{base}/{home}")).collect()
    };
    homes.map(|(id, home)| (id, listed(home))).collect()
}

/// The template with its price modified by `fault`.
fn disguised(template: &str, fault: Fault) -> String {
    let bare = template.replace(r#""$last""#, "$last");
    match fault {
        Fault::PriceAsNumber => bare,
        Fault::PriceAsString => bare.replace("$last", r#""$last""#),
        Fault::WrongType => bare.replace("$last", r#"{"amount":"$last"}"#),
        Fault::NoPrice => bare.replace("$last", "null"),
        _ => template.to_owned(),
    }
}

/// An authority without its port.
pub(super) fn host(authority: &str) -> &str {
    authority.split(':').next().unwrap_or(authority)
}

/// A quarter of an hour at a hundred requests a second.
const SEEN_MAX: usize = 100_000;

/// How long to wait for a client that does not read or send.
pub(super) const IDLE: Duration = Duration::from_secs(120);
