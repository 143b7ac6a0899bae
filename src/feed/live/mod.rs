//! Real prices: each source has a fiber that sends requests or listens to a stream, and reports to
//! [`Sources`], which decides what to publish.

mod dial;
mod failover;
mod failure;
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
use ioloop::fiber::{Emitter, Exit, STACK_SIZE};

use self::rest::Rest;
use self::sources::{Event, SourceInfo, Update};
use self::stream::Stream;
use super::publish::{Feed, Publish, Watched};
use crate::http_client::{HttpClient, TransportConfig, UpstreamOverride};

/// A feed of exchange prices. Each symbol is served by the first healthy source that has it.
pub struct Live {
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
    /// When it may be asked again: the check at the start has used up its first requests.
    pub(super) not_before: Instant,
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

/// The work of one fiber.
enum Task {
    Rest(Rest),
    Stream(Stream),
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
}

impl Live {
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
        if source.streams {
            return Task::Stream(Stream {
                exchange: source.exchange.clone(),
                symbols: self.symbols.clone(),
                silence_max: SILENCES_MAX * self.stale_after(source),
                http_client: http_client.clone(),
            });
        }
        Task::Rest(Rest {
            exchange: source.exchange.clone(),
            symbols: self.symbols.clone(),
            interval: self.settings.interval,
            not_before: source.not_before,
            http_client: http_client.clone(),
        })
    }

    /// How long `source` may be silent before its prices are stale.
    fn stale_after(&self, source: &LiveSource) -> Duration {
        let usual = || {
            if source.streams {
                return STALE_AFTER_MIN;
            }
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

    fn initial_state(&self, now: Instant) -> Sources {
        let info = |source: &LiveSource| SourceInfo {
            name: source.name(),
            notes: source.exchange.notes().to_owned(),
            wire_names: self
                .symbols
                .iter()
                .map(|symbol| self.wire_name(source, symbol))
                .collect(),
            silence_max: self.silence_max(source),
        };
        let symbols: Vec<_> = self.symbols.iter().map(ToString::to_string).collect();
        let sources = self.sources.iter().map(info).collect();
        Sources::new(&symbols, sources, self.settings.changes_only, now)
    }
}

/// The state of a loop on which live sources run. Besides publishing, it keeps what is known about
/// them, because handlers on a loop share only the loop's state.
pub trait HasSources: Publish {
    /// What is known about the sources.
    fn sources(&mut self) -> &mut Sources;
}

impl<S: HasSources> Feed<S> for Live {
    fn symbols(&self) -> Vec<String> {
        let watched = Feed::<S>::watched(self);
        watched.into_iter().map(|watched| watched.symbol).collect()
    }

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

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        let (transport, upstream) = (
            self.settings.transport.clone(),
            self.settings.upstream.clone(),
        );
        let http_client = match HttpClient::new(io_loop.registrar(), transport, upstream) {
            Ok(http_client) => http_client,
            Err(error) => return log::error!("cannot set up TLS: {error}"),
        };
        for (index, source) in self.sources.iter().enumerate() {
            let task = Rc::new(self.task(source, &http_client));
            // A TLS handshake costs a millisecond or two of CPU, so spread them over several turns.
            let delay = STAGGER * u32::try_from(index).unwrap_or(u32::MAX);
            io_loop.call_later(delay, move |_, io_loop| spawn(task, index, 0, io_loop));
        }
        // Callbacks run before timeouts, so the state is in place when the first fiber reports.
        io_loop.add_callback(move |state: &mut S, io_loop| {
            *state.sources() = self.initial_state(io_loop.time());
        });
    }
}

impl Task {
    fn run(&self, emitter: &Emitter<Event>) -> std::io::Result<()> {
        match self {
            Self::Rest(rest) => rest.run(emitter),
            Self::Stream(stream) => stream.run(emitter),
        }
    }
}

/// Runs the fiber of source number `index`, and starts another if it ends.
fn spawn<S: HasSources>(task: Rc<Task>, index: usize, restarts: u32, io_loop: &mut IoLoop<S>) {
    let began = io_loop.time();
    let (body, again) = (Rc::clone(&task), Rc::clone(&task));
    let spawned = io_loop.spawn(
        STACK_SIZE,
        move |emitter| body.run(emitter),
        move |state: &mut S, io_loop, event| deliver(state, io_loop, index, event),
        move |_, io_loop, exit| match exit {
            Exit::Cancelled => {}
            Exit::Returned(_) | Exit::Panicked(_) => {
                let lasted = io_loop.time() - began >= RESTART_AFTER_MAX;
                spawn_later(again, index, if lasted { 0 } else { restarts }, io_loop);
            }
        },
    );
    if let Err(error) = spawned {
        log::error!("cannot allocate a coroutine: {error}; trying again later");
        spawn_later(task, index, restarts, io_loop);
    }
}

/// Spawns the fiber after a pause that grows with `restarts`: a fiber that panicked would probably
/// panic again at once.
fn spawn_later<S: HasSources>(
    task: Rc<Task>,
    index: usize,
    restarts: u32,
    io_loop: &mut IoLoop<S>,
) {
    let pause = RESTART_AFTER.saturating_mul(1 << restarts.min(10));
    io_loop.call_later(pause.min(RESTART_AFTER_MAX), move |_, io_loop| {
        spawn(task, index, restarts + 1, io_loop);
    });
}

fn deliver<S: HasSources>(state: &mut S, io_loop: &mut IoLoop<S>, source: usize, event: Event) {
    let now = io_loop.time();
    for update in state.sources().take(source, event, now) {
        match update {
            Update::Tick(tick) => state.publish(io_loop, tick),
            Update::Unchanged(symbol) => state.confirm(io_loop, &symbol),
        }
    }
}

/// No price is stale after a shorter silence, whatever the interval.
const STALE_AFTER_MIN: Duration = Duration::from_secs(5);

/// A stream is presumed dead after a silence of this many times the one that makes a price stale.
/// Quiet markets are stale now and then, and reconnecting would not make them less quiet.
const SILENCES_MAX: u32 = 3;

/// The time between the first requests of two sources.
const STAGGER: Duration = Duration::from_millis(20);

/// The pause before a fiber that ended is started again: the first one, and the longest.
const RESTART_AFTER: Duration = Duration::from_secs(1);
const RESTART_AFTER_MAX: Duration = Duration::from_secs(60);
