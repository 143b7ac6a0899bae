//! Real prices: each source has a fiber that sends requests or listens to a stream, and reports to
//! [`Sources`], which decides what to publish.

mod dial;
mod events;
mod failover;
mod failure;
pub(super) mod groups;
mod health;
mod log_quota;
mod order;
pub(super) mod preflight;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rest;
pub(super) mod sources;
mod status;
mod stream;
mod suggest;
mod websocket;

pub use self::failure::Failure;
pub use self::sources::Sources;
pub use self::status::{FetchDurations, SourceStatus};

use std::rc::Rc;
use std::time::{Duration, Instant};

use exchanges::{Exchange, Symbol};
use ioloop::IoLoop;
use ioloop::fiber::{self, Emitter, Exit, STACK_SIZE};
use ureq::http::HeaderMap;

use self::events::EventStream;
use self::rest::Rest;
use self::sources::{Event, Group, Update};
use self::status::SourceInfo;
use self::stream::Stream;
use super::publish::{Publish, STALE_AFTER_MIN, Watched};
use crate::http_client::{HttpClient, TransportConfig, UpstreamOverride};

/// Sources that stand in for each other. Each symbol is served by the first healthy one.
pub(super) struct LiveGroup {
    pub(super) sources: Vec<LiveSource>,
    pub(super) symbols: Vec<Symbol>,
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

/// Where a source is among all of them.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    /// Its number in the group.
    source: usize,
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
    fn wire_name(&self, source: &LiveSource, symbol: &Symbol) -> String {
        let id = source.exchange.id();
        let is_one = self.sources.iter().all(|other| other.exchange.id() == id);
        if is_one {
            symbol.to_string()
        } else {
            format!("{id}:{symbol}")
        }
    }

    fn task(&self, source: &LiveSource, http_client: &HttpClient) -> Task {
        let http_client = &http_client.with_headers(&source.headers);
        if source.streams {
            return Task::Stream(Stream {
                exchange: source.exchange.clone(),
                symbols: self.symbols.clone(),
                not_before: source.not_before,
                http_client: http_client.clone(),
            });
        }
        let rest = Rest {
            exchange: source.exchange.clone(),
            symbols: self.symbols.clone(),
            interval: self.settings.interval,
            not_before: source.not_before,
            http_client: http_client.clone(),
            may_be_events: source.is_custom,
        };
        match self.symbols.first() {
            Some(symbol) if source.is_custom => {
                let silence_max = SILENCES_MAX * self.stale_after(source);
                let events = EventStream {
                    exchange: source.exchange.clone(),
                    symbol: symbol.clone(),
                    silence_max: silence_max.max(EVENT_SILENCE_MIN),
                    http_client: http_client.clone(),
                };
                Task::Url(Box::new((rest, events)))
            }
            _ => Task::Rest(rest),
        }
    }

    /// How long `source` may be silent before its prices are stale. A stream is not silent while it
    /// shows signs of life, so it is never expected to be faster than those.
    fn stale_after(&self, source: &LiveSource) -> Duration {
        let signs = source.exchange.stream_silence_max();
        if let Some(silence_max) = signs.filter(|_| source.streams) {
            let wanted = self.settings.stale_after.unwrap_or(STALE_AFTER_MIN);
            return wanted.max(silence_max);
        }
        let usual = || {
            let cycle = Rest::cycle(&source.exchange, &self.symbols, self.settings.interval);
            (3 * cycle).max(STALE_AFTER_MIN)
        };
        self.settings.stale_after.unwrap_or_else(usual)
    }

    /// How long `source` may be silent before another one takes over: short enough for the other's
    /// price to arrive before this one is stale, but long enough to forgive one late answer.
    fn silence_max(&self, source: &LiveSource) -> Duration {
        let stale_after = self.stale_after(source);
        let cycle = Rest::cycle(&source.exchange, &self.symbols, self.settings.interval);
        (stale_after * 3 / 4).max(2 * cycle).min(stale_after)
    }

    fn initial_state(&self, now: Instant) -> Group {
        let info = |source: &LiveSource| SourceInfo {
            name: source.name(),
            way_out: source.way_out(),
            refused: source
                .refused
                .clone()
                .map(|failure| (failure, source.not_before)),
            wire_names: self
                .symbols
                .iter()
                .map(|symbol| self.wire_name(source, symbol))
                .collect(),
            silence_max: self.silence_max(source),
        };
        let symbols: Vec<_> = self.symbols.iter().map(ToString::to_string).collect();
        let sources = self.sources.iter().map(info).collect();
        Group::new(&symbols, sources, self.settings.changes_only, now)
    }
}

/// The state of a loop on which live sources run. Besides publishing, it keeps what is known about
/// them, because handlers on a loop share only the loop's state.
pub trait HasSources: Publish {
    /// What is known about the sources.
    fn sources(&mut self) -> &mut Sources;
}

impl LiveGroup {
    fn watched(&self) -> Vec<Watched> {
        let mut all: Vec<Watched> = Vec::new();
        for source in &self.sources {
            for symbol in &self.symbols {
                let wire_name = self.wire_name(source, symbol);
                // The stream and the requests of one exchange bring the same prices.
                if all.iter().all(|known| known.symbol != wire_name) {
                    all.push(Watched {
                        symbol: wire_name,
                        market: symbol.to_string(),
                        stale_after: self.stale_after(source),
                    });
                }
            }
        }
        all
    }

    fn describe(&self) -> String {
        let names: Vec<_> = self.sources.iter().map(LiveSource::name).collect();
        let symbols: Vec<_> = self.symbols.iter().map(Symbol::as_str).collect();
        let (names, symbols) = (names.join(", else "), symbols.join(", "));
        format!("prices of {symbols} come from {names}")
    }

    /// Starts the fibers of group `number`, whose state must be in place when the first reports.
    fn start<S: HasSources>(
        &self,
        number: usize,
        http_client: &HttpClient,
        io_loop: &mut IoLoop<S>,
    ) {
        for (index, source) in self.sources.iter().enumerate() {
            let task = Rc::new(self.task(source, http_client));
            let place = Place {
                group: number,
                source: index,
            };
            // A TLS handshake costs a millisecond or two of CPU, so spread them over several turns.
            let delay = STAGGER * u32::try_from(number + index).unwrap_or(u32::MAX);
            io_loop.call_later(delay, move |_, io_loop| spawn(task, place, 0, io_loop));
        }
    }
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

/// Runs the fiber of the source at `place`, and starts another if it ends.
fn spawn<S: HasSources>(task: Rc<Task>, place: Place, restarts: u32, io_loop: &mut IoLoop<S>) {
    let began = io_loop.time();
    let (body, again) = (Rc::clone(&task), Rc::clone(&task));
    let spawned = io_loop.spawn(
        STACK_SIZE,
        move |emitter| body.run(emitter),
        move |state: &mut S, io_loop, event| deliver(state, io_loop, place, event),
        move |_, io_loop, exit| match exit {
            Exit::Cancelled => {}
            Exit::Returned(_) | Exit::Panicked(_) => {
                let lasted = io_loop.time() - began >= RESTART_AFTER_MAX;
                spawn_later(again, place, if lasted { 0 } else { restarts }, io_loop);
            }
        },
    );
    if let Err(error) = spawned {
        log::error!("cannot allocate a coroutine: {error}; trying again later");
        spawn_later(task, place, restarts, io_loop);
    }
}

/// Spawns the fiber after a pause that grows with `restarts`: a fiber that panicked would probably
/// panic again at once.
fn spawn_later<S: HasSources>(
    task: Rc<Task>,
    place: Place,
    restarts: u32,
    io_loop: &mut IoLoop<S>,
) {
    let pause = RESTART_AFTER.saturating_mul(1 << restarts.min(10));
    io_loop.call_later(pause.min(RESTART_AFTER_MAX), move |_, io_loop| {
        spawn(task, place, restarts + 1, io_loop);
    });
}

fn deliver<S: HasSources>(state: &mut S, io_loop: &mut IoLoop<S>, place: Place, event: Event) {
    let now = io_loop.time();
    let group = state.sources().group(place.group);
    let updates = group.map(|group| group.take(place.source, event, now));
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

/// The time between the first requests of two sources.
const STAGGER: Duration = Duration::from_millis(20);

/// The pause before a fiber that ended is started again: the first one, and the longest.
const RESTART_AFTER: Duration = Duration::from_secs(1);
const RESTART_AFTER_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use exchanges::Catalogue;

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
}
