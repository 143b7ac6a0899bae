//! Real prices: each source has fibers that send requests or listen to a stream, and report to
//! [`Sources`], which decides what to publish. Another fiber for each exchange reads its list of
//! markets and tells which symbols there are, see [`markets`].

mod dial;
mod events;
mod failover;
mod failure;
pub(super) mod groups;
mod health;
mod inbox;
mod listing;
mod log_quota;
mod markets;
mod numbered;
mod order;
mod pace;
pub(super) mod preflight;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rest;
mod roster;
pub(super) mod sources;
mod status;
mod stream;
mod suggest;
mod websocket;

pub use self::failure::Failure;
pub use self::sources::Sources;
pub use self::status::{FetchDurations, SourceStatus};

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchanges::{Exchange, Symbol};
use ioloop::IoLoop;
use ioloop::fiber::{self, Emitter, Exit, STACK_SIZE};
use ureq::http::HeaderMap;

use self::events::EventStream;
use self::inbox::{Inbox, Order};
use self::rest::Rest;
use self::sources::{Event, Group, Update};
use self::status::SourceInfo;
use self::stream::Stream;
use super::publish::{Publish, STALE_AFTER_MIN};
use super::wanted::Wanted;
use crate::http_client::{TransportConfig, UpstreamOverride};

/// Sources that stand in for each other. Each symbol is served by the first healthy one.
pub(super) struct LiveGroup {
    pub(super) sources: Vec<LiveSource>,
    /// The symbols that the user wants, by name and by pattern.
    pub(super) wanted: Vec<Wanted>,
    /// Symbols that other groups serve under the same name: no pattern stands for them.
    pub(super) taken: Vec<Symbol>,
    pub(super) settings: LiveSettings,
}

/// One source of the list.
#[derive(Clone, Debug)]
pub(super) struct LiveSource {
    pub(super) exchange: Exchange,
    /// Whether to listen to its stream instead of sending requests.
    pub(super) streams: bool,
    /// Whether it is a user's URL rather than an exchange.
    pub(super) is_custom: bool,
    /// Whether the user said where that URL's answer has the time (`--time`).
    pub(super) has_time: bool,
    /// What requests to it state.
    pub(super) headers: HeaderMap,
    /// When it may be asked again: the check at the start has used up its first requests.
    pub(super) not_before: Instant,
    /// Why it refused to answer that check, if it did.
    pub(super) refused: Option<Failure>,
    /// Entries of the same exchange that serve other places.
    pub(super) elsewhere: Vec<String>,
}

/// Settings that all sources share.
#[derive(Clone, Debug)]
pub(super) struct LiveSettings {
    pub(super) interval: Duration,
    pub(super) changes_only: bool,
    pub(super) stale_after: Option<Duration>,
    pub(super) transport: TransportConfig,
    pub(super) upstream: Option<UpstreamOverride>,
}

/// One connection of a source, or its requests.
#[derive(Clone, Copy, Debug)]
struct Member {
    group: usize,
    /// The source's number in the group.
    source: usize,
    /// The connection's number among those of the source.
    shard: usize,
}

/// The work of one fiber.
enum Task {
    Rest(Rest),
    Stream(Stream),
    /// Whether a URL answers with a price or with events shows when it is asked.
    Url(Box<(Rest, EventStream)>),
}

impl LiveSource {
    /// Its name in the log.
    pub(super) fn name(&self) -> String {
        let id = self.exchange.id();
        match self {
            Self {
                is_custom: true, ..
            } => self.exchange.name().to_owned(),
            Self { streams: true, .. } => format!("{id}+stream"),
            _ => id.to_owned(),
        }
    }

    /// What its users can do where it does not serve.
    fn way_out(&self) -> String {
        if self.is_custom {
            return "does it want a key? see --source-header".to_owned();
        }
        let own = "an entry of your own with another host, see --exchanges";
        let way_out = match self.elsewhere.as_slice() {
            [] => format!("try {own}"),
            elsewhere => format!("try --source {}, or {own}", elsewhere.join(" or ")),
        };
        match self.exchange.notes() {
            "" => way_out,
            notes => format!("{way_out}. {notes}"),
        }
    }
}

impl LiveGroup {
    /// The name of a source's `symbol` on the wire. With several exchanges it names the exchange.
    fn wire_name(&self, exchange: &str, symbol: &Symbol) -> String {
        if self.has_one_exchange() {
            symbol.to_string()
        } else {
            format!("{exchange}:{symbol}")
        }
    }

    /// Whether all its sources are of one exchange.
    pub(super) fn has_one_exchange(&self) -> bool {
        let mut ids = self.sources.iter().map(|source| source.exchange.id());
        let first = ids.next();
        ids.all(|id| Some(id) == first)
    }

    /// Reads what the user wants, for these sources.
    ///
    /// # Errors
    /// A sentence about the first entry that no source can have.
    pub(super) fn read_wanted(&self, entries: &[String]) -> Result<Vec<Wanted>, String> {
        let ids: Vec<_> = self
            .sources
            .iter()
            .map(|source| source.exchange.id())
            .collect();
        let read = |text: &String| {
            let mut wanted = Wanted::parse(text)?;
            if let Some(source) = &mut wanted.source {
                *source = self.id_of(source).ok_or_else(|| {
                    let sources = ids.join(", ");
                    format!("{text} is from {source}, which is none of the sources: {sources}")
                })?;
            }
            let mut from = self.sources.iter().map(|source| &source.exchange);
            let has_list = |it: &Exchange| it.market_list_url().is_some();
            let is_known = wanted.name().is_some()
                || from.any(|exchange| wanted.is_from(exchange.id()) && has_list(exchange));
            if !is_known {
                return Err(format!(
                    "{text} needs a list of markets, which {} does not have: name its symbols",
                    ids.join(", ")
                ));
            }
            if wanted
                .name()
                .is_some_and(|symbol| self.taken.contains(symbol))
            {
                return Err(format!(
                    "{text} comes from several --source: leave all but one out"
                ));
            }
            Ok(wanted)
        };
        let wanted: Vec<_> = entries.iter().map(read).collect::<Result<_, _>>()?;
        for LiveSource { exchange, .. } in &self.sources {
            let symbols = names(&wanted, exchange.id());
            if let Some((one, other)) = exchange.same_market(&symbols) {
                let (id, market) = (exchange.id(), exchange.market(one));
                return Err(format!(
                    "{one} and {other} are the same market at {id}, {market}: remove one of them"
                ));
            }
        }
        Ok(wanted)
    }

    /// Warns of sources that do not serve what patterns stand for.
    pub(super) fn warn_of_sources_without_lists(&self) {
        let patterns = self.wanted.iter().filter(|it| it.name().is_none());
        let patterns: Vec<_> = patterns.collect();
        for source in &self.sources {
            let exchange = &source.exchange;
            let mut its = patterns.iter().filter(|it| it.is_from(exchange.id()));
            if let Some(pattern) = its.next().filter(|_| exchange.market_list_url().is_none()) {
                let name = source.name();
                log::warn!(
                    "{name} has no list of markets, so it serves nothing for {pattern}: name the \
                     symbols that it should serve, too"
                );
            }
        }
    }

    /// The id of the exchange that the user calls `name`, if it is one of the sources.
    fn id_of(&self, name: &str) -> Option<String> {
        let mut exchanges = self.sources.iter().map(|source| &source.exchange);
        let named = exchanges.find(|exchange| exchange.is_called(name));
        named.map(|exchange| exchange.id().to_owned())
    }

    /// The symbols that the user wants by name from this exchange.
    pub(super) fn names(&self, exchange: &str) -> Vec<Symbol> {
        names(&self.wanted, exchange)
    }

    /// The names on the wire that are known before the feed starts.
    pub(super) fn wire_names(&self) -> HashSet<String> {
        let ids = self.sources.iter().map(|source| source.exchange.id());
        let names = ids.flat_map(|id| {
            let names = self.names(id);
            names
                .into_iter()
                .map(move |symbol| self.wire_name(id, &symbol))
        });
        names.collect()
    }

    /// How long `source` may be silent before its prices are stale, if it has this many symbols. A
    /// stream is not silent while it shows signs of life, so it is never expected to be faster than
    /// those.
    fn stale_after(&self, source: &LiveSource, symbols: usize) -> Duration {
        let limits = source.exchange.stream_limits();
        // After a lost connection, prices come back as their symbols are subscribed to.
        let subscribing = limits.filter(|_| source.streams);
        let subscribing = subscribing.map(|limits| limits.subscribing(symbols));
        self.silence_allowed(source, symbols) + subscribing.unwrap_or_default()
    }

    /// The same for symbols that have been subscribed to.
    fn silence_allowed(&self, source: &LiveSource, symbols: usize) -> Duration {
        let signs = source.exchange.stream_silence_max();
        if let Some(silence_max) = signs.filter(|_| source.streams) {
            let wanted = self.settings.stale_after.unwrap_or(STALE_AFTER_MIN);
            return wanted.max(silence_max);
        }
        let usual = || {
            let cycle = Rest::cycle(&source.exchange, symbols, self.settings.interval);
            (3 * cycle).max(STALE_AFTER_MIN)
        };
        self.settings.stale_after.unwrap_or_else(usual)
    }

    /// How long `source` may be silent before another one takes over: short enough for the other's
    /// price to arrive before this one is stale, but long enough to forgive one late answer.
    fn silence_max(&self, source: &LiveSource, symbols: usize) -> Duration {
        let allowed = self.silence_allowed(source, symbols);
        let one_late_answer = if source.streams {
            Duration::ZERO
        } else {
            2 * Rest::cycle(&source.exchange, symbols, self.settings.interval)
        };
        (allowed * 3 / 4).max(one_late_answer).min(allowed)
    }

    fn initial_state(&self, now: Instant) -> Group {
        let info = |source: &LiveSource| SourceInfo {
            name: source.name(),
            streams: source.streams,
            way_out: source.way_out(),
            refused: source
                .refused
                .clone()
                .map(|failure| (failure, source.not_before)),
            silence_max: self.silence_max(source, self.names(source.exchange.id()).len()),
        };
        let sources = self.sources.iter().map(info).collect();
        Group::new(sources, self.settings.changes_only, now)
    }
}

/// The symbols that are wanted by name from this exchange, each once.
fn names(wanted: &[Wanted], exchange: &str) -> Vec<Symbol> {
    let mut known = HashSet::new();
    let wanted = wanted.iter().filter(|wanted| wanted.is_from(exchange));
    let names = wanted.filter_map(Wanted::name);
    names.filter(|name| known.insert(*name)).cloned().collect()
}

/// The state of a loop on which live sources run. Besides publishing, it keeps what is known about
/// them, because handlers on a loop share only the loop's state.
pub trait HasSources: Publish {
    /// What is known about the sources.
    fn sources(&mut self) -> &mut Sources;
}

impl Task {
    fn run(&self, emitter: &Emitter<Event>) -> std::io::Result<()> {
        match self {
            Self::Rest(rest) => rest.run(emitter),
            Self::Stream(stream) => stream.run(emitter),
            Self::Url(both) => loop {
                let (rest, events) = &**both;
                rest.run(emitter)?;
                events.run(emitter)?;
                // Not at once, or a server that answers now so, now so would keep us busy.
                fiber::sleep(RESTART_AFTER)?;
            },
        }
    }
}

/// Runs the fiber of a connection, and starts another if it ends.
fn spawn<S: HasSources>(
    task: Rc<Task>,
    (member, inbox): (Member, Inbox<Order>),
    restarts: u32,
    io_loop: &mut IoLoop<S>,
) {
    let began = io_loop.time();
    let (body, again) = (Rc::clone(&task), Rc::clone(&task));
    let inbox_again = inbox.clone();
    let spawned = io_loop.spawn(
        STACK_SIZE,
        move |emitter| body.run(emitter),
        move |state: &mut S, io_loop, event| deliver(state, io_loop, member, event),
        move |state, io_loop, exit| match exit {
            Exit::Cancelled => {}
            Exit::Returned(_) | Exit::Panicked(_) => {
                tell_again(state, io_loop, member, &inbox_again);
                let lasted = io_loop.time() - began >= RESTART_AFTER_MAX;
                let restarts = if lasted { 0 } else { restarts };
                spawn_later(again, (member, inbox_again), restarts, io_loop);
            }
        },
    );
    if let Err(error) = spawned {
        log::error!("cannot allocate a coroutine: {error}; trying again later");
        spawn_later(task, (member, inbox), restarts, io_loop);
    }
}

/// Spawns the fiber after a pause that grows with `restarts`: a fiber that panicked would probably
/// panic again at once.
fn spawn_later<S: HasSources>(
    task: Rc<Task>,
    to: (Member, Inbox<Order>),
    restarts: u32,
    io_loop: &mut IoLoop<S>,
) {
    io_loop.call_later(restart_pause(restarts), move |_, io_loop| {
        spawn(task, to, restarts + 1, io_loop);
    });
}

fn restart_pause(restarts: u32) -> Duration {
    let pause = RESTART_AFTER.saturating_mul(1 << restarts.min(10));
    pause.min(RESTART_AFTER_MAX)
}

/// Tells a new fiber the symbols of the one that has ended.
fn tell_again<S: HasSources>(
    state: &mut S,
    io_loop: &mut IoLoop<S>,
    member: Member,
    inbox: &Inbox<Order>,
) {
    inbox.take();
    let group = state.sources().group(member.group);
    let fetched = group.map(|group| group.fetched_by(member.source, member.shard));
    let orders = fetched
        .into_iter()
        .flatten()
        .filter_map(|(number, symbol)| {
            let symbol = symbol.parse().ok()?;
            Some(Order::Add(number, symbol))
        });
    let orders = orders.collect();
    inbox.put(io_loop, orders);
}

fn deliver<S: HasSources>(state: &mut S, io_loop: &mut IoLoop<S>, member: Member, event: Event) {
    let now = io_loop.time();
    let reporter = (member.source, member.shard);
    let group = state.sources().group(member.group);
    let updates = group.map(|group| group.take_of(reporter, event, now));
    for update in updates.into_iter().flatten() {
        match update {
            Update::Tick(tick) => state.publish(io_loop, tick),
            Update::Unchanged(symbol) => state.confirm(io_loop, &symbol),
        }
    }
}

/// A stream of events is presumed dead after a silence of this many times the one that makes its
/// price stale.
const SILENCES_MAX: u32 = 3;

/// A stream of events is not presumed dead after a shorter silence: many send a sign of life every
/// 15 or 30 seconds.
const EVENT_SILENCE_MIN: Duration = Duration::from_secs(60);

/// The pause before a fiber that ended is started again: the first one, and the longest.
const RESTART_AFTER: Duration = Duration::from_secs(1);
const RESTART_AFTER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use exchanges::Catalogue;

    use crate::http_client::{NoProxy, Roots};

    fn source(id: &str, elsewhere: &[&str]) -> LiveSource {
        LiveSource {
            exchange: Catalogue::builtin().get(id).unwrap().clone(),
            streams: true,
            is_custom: false,
            has_time: false,
            headers: HeaderMap::new(),
            not_before: Instant::now(),
            refused: None,
            elsewhere: elsewhere.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn where_an_exchange_does_not_serve_the_way_out_is_named() {
        let okx = source("okx", &["okxus", "okxeea"]).way_out();
        assert!(
            okx.starts_with(
                "try --source okxus or okxeea, or an entry of your own with another host, see --exchanges"
            ),
            "{okx}"
        );
        let gate = source("gate", &[]).way_out();
        assert!(gate.starts_with("try an entry of your own"), "{gate}");
        assert_eq!(source("binance", &[]).exchange.elsewhere(), ["binanceus"]);
    }

    #[test]
    fn another_source_takes_over_before_prices_are_stale_however_many_symbols_there_are() {
        let group = LiveGroup {
            sources: vec![source("coinbase", &[])],
            wanted: Vec::new(),
            taken: Vec::new(),
            settings: LiveSettings {
                interval: Duration::from_millis(250),
                changes_only: false,
                stale_after: None,
                transport: TransportConfig {
                    proxy: None,
                    no_proxy: NoProxy::default(),
                    timeout: Duration::from_secs(10),
                    roots: Roots::default(),
                },
                upstream: None,
            },
        };
        for symbols in [1, 210, 3_000] {
            let source = &group.sources[0];
            let (silence_max, stale_after) = (
                group.silence_max(source, symbols),
                group.stale_after(source, symbols),
            );
            assert!(
                silence_max < stale_after,
                "{symbols}: {silence_max:?} {stale_after:?}"
            );
        }
    }
}
