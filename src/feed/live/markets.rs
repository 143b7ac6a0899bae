//! The feed while it runs. Markets come and go: what the lists of the exchanges report is handed on to
//! the clients, to the fibers that fetch the prices, and to [`Sources`](super::Sources).

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use exchanges::{Exchange, Symbol};
use ioloop::fiber::{Exit, STACK_SIZE};
use ioloop::{IoLoop, Registrar};
use mio::Token;

use super::events::EventStream;
use super::inbox::Inbox;
use super::listing::{ListEvent, Listing};
use super::pace::Pace;
use super::rest::Rest;
use super::roster::{ListStatus, Team};
use super::sources::Group;
use super::stream::Stream;
use super::{
    EVENT_SILENCE_MIN, HasSources, LiveGroup, LiveSource, Member, SILENCES_MAX, Task,
    restart_pause, spawn,
};
use crate::feed::publish::Watched;
use crate::feed::wanted::Wanted;
use crate::http_client::HttpClient;
use crate::tape::SYMBOLS_MAX;

/// A feed that runs, with what its fibers share.
struct Running {
    live: LiveGroup,
    /// The number of the group.
    number: usize,
    /// Each exchange of its sources once.
    exchanges: Vec<Listed>,
    http_client: HttpClient,
}

/// An exchange, and how it is asked for its list.
struct Listed {
    exchange: Exchange,
    /// Its sources by number: its requests, its stream or both.
    sources: Vec<usize>,
    pace: Pace,
    /// When it may be connected to, for its stream.
    connects: Pace,
    inbox: Inbox<Vec<Wanted>>,
}

impl LiveGroup {
    /// The symbols that the user wants by name: they are known before the feed starts.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let mut all: Vec<Watched> = Vec::new();
        let mut exchanges = HashSet::new();
        for source in &self.sources {
            let id = source.exchange.id();
            // The stream and the requests of one exchange bring the same prices.
            if !exchanges.insert(id) {
                continue;
            }
            let names = self.names(id);
            let same = self
                .sources
                .iter()
                .filter(|other| other.exchange.id() == id);
            let limits = same.map(|source| self.stale_after(source, names.len()));
            let stale_after = limits.max().unwrap_or_default();
            all.extend(names.iter().map(|symbol| Watched {
                symbol: self.wire_name(id, symbol),
                market: symbol.to_string(),
                stale_after,
            }));
        }
        all
    }

    /// Whether its symbols are those of `--symbols`, which the user may change: a URL has its own.
    pub(in crate::feed) fn follows_symbols(&self) -> bool {
        !self.sources.iter().any(|source| source.is_custom)
    }

    pub(super) fn describe(&self) -> String {
        let names: Vec<_> = self.sources.iter().map(LiveSource::name).collect();
        let shown = self.wanted.iter().take(DESCRIBED_MAX);
        let shown: Vec<_> = shown.map(ToString::to_string).collect();
        let (names, symbols) = (names.join(", else "), shown.join(", "));
        match self.wanted.len() - shown.len() {
            0 => format!("prices of {symbols} come from {names}"),
            more => format!("prices of {symbols} and {more} more come from {names}"),
        }
    }

    /// Starts to read the lists, and to fetch what they and the user say. The state of this group,
    /// which has that `number`, is in place.
    pub(super) fn start<S: HasSources>(
        self,
        number: usize,
        http_client: &HttpClient,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) {
        let running = Running::new(self, number, http_client, io_loop.registrar());
        start(Rc::new(running), state, io_loop);
    }
}

impl Running {
    fn new(
        live: LiveGroup,
        number: usize,
        http_client: &HttpClient,
        registrar: &Registrar,
    ) -> Self {
        let mut exchanges: Vec<Listed> = Vec::new();
        for (index, source) in live.sources.iter().enumerate() {
            let id = source.exchange.id();
            match exchanges.iter_mut().find(|known| known.exchange.id() == id) {
                Some(known) => known.sources.push(index),
                None => exchanges.push(Listed {
                    exchange: source.exchange.clone(),
                    sources: vec![index],
                    pace: Pace::new(source.not_before),
                    connects: Pace::default(),
                    inbox: Inbox::new(registrar),
                }),
            }
        }
        Self {
            live,
            number,
            exchanges,
            http_client: http_client.clone(),
        }
    }

    fn task(
        &self,
        member: Member,
        symbols: usize,
        shard: &Inbox<super::Order>,
        Listed { pace, connects, .. }: &Listed,
    ) -> Task {
        let source = &self.live.sources[member.source];
        let http_client = self.http_client.with_headers(&source.headers);
        if source.streams {
            return Task::Stream(Stream {
                exchange: source.exchange.clone(),
                inbox: shard.clone(),
                pace: pace.clone(),
                connects: connects.clone(),
                http_client,
            });
        }
        let rest = Rest {
            exchange: source.exchange.clone(),
            inbox: shard.clone(),
            interval: self.live.settings.interval,
            pace: pace.clone(),
            http_client: http_client.clone(),
            may_be_events: source.is_custom,
        };
        match self.live.names(source.exchange.id()).into_iter().next() {
            Some(symbol) if source.is_custom => {
                let silence_max = SILENCES_MAX * self.live.stale_after(source, symbols);
                let events = EventStream {
                    exchange: source.exchange.clone(),
                    symbol,
                    silence_max: silence_max.max(EVENT_SILENCE_MIN),
                    http_client,
                };
                Task::Url(Box::new((rest, events)))
            }
            _ => Task::Rest(rest),
        }
    }

    /// The state of the group.
    fn group<'s, S: HasSources>(&self, state: &'s mut S) -> &'s mut Group {
        let group = state.sources().group(self.number);
        group.expect("the state was in place before the group was started")
    }

    fn team(&self, source: usize) -> Team {
        let source = &self.live.sources[source];
        let limits = source.exchange.stream_limits();
        let capacity = limits.filter(|_| source.streams);
        let capacity = capacity.map_or(usize::MAX, |limits| limits.per_connection);
        let symbols = self.live.names(source.exchange.id()).len();
        Team::new(capacity, self.live.stale_after(source, symbols))
    }
}

/// Starts to read the lists, and to fetch what they and the user say.
fn start<S: HasSources>(running: Rc<Running>, state: &mut S, io_loop: &mut IoLoop<S>) {
    let sources = 0..running.live.sources.len();
    let teams = sources.map(|source| running.team(source)).collect();
    running.group(state).roster.teams = teams;
    for (index, listed) in running.exchanges.iter().enumerate() {
        let exchange = &listed.exchange;
        let wanted = running.live.wanted.iter();
        let wanted = wanted.filter(|wanted| wanted.is_from(exchange.id()));
        let is_custom = running.live.sources[listed.sources[0]].is_custom;
        let name = if is_custom {
            exchange.name()
        } else {
            exchange.id()
        };
        let mut status = ListStatus::new(name);
        status.want(wanted.cloned().collect(), &listed.exchange);
        running.group(state).roster.lists.push(status);
        list(Rc::clone(&running), index, 0, state, io_loop);
    }
    if running.live.follows_symbols() {
        let token = io_loop.registrar().token();
        state.wake_for_wanted(token);
        follow(running, token, state, io_loop);
    }
}

/// Hands on what the user wants whenever that changes.
fn follow<S: HasSources>(
    running: Rc<Running>,
    token: Token,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    if let Some(wanted) = state.take_wanted() {
        match running.live.read_wanted(&wanted) {
            Err(error) => log::warn!("{error}; keeping the current symbols"),
            Ok(wanted) => {
                log::info!("reloaded the list of symbols");
                for (index, listed) in running.exchanges.iter().enumerate() {
                    let its = wanted
                        .iter()
                        .filter(|wanted| wanted.is_from(listed.exchange.id()));
                    let its: Vec<_> = its.cloned().collect();
                    let status = &mut running.group(state).roster.lists[index];
                    status.want(its.clone(), &listed.exchange);
                    listed.inbox.put(io_loop, vec![its]);
                }
            }
        }
    }
    io_loop.call_when_ready(token, None, move |state, io_loop, _| {
        follow(running, token, state, io_loop);
    });
}

/// Runs the fiber that reads the list of exchange number `index`, and starts another if it ends.
fn list<S: HasSources>(
    running: Rc<Running>,
    index: usize,
    restarts: u32,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let listed = &running.exchanges[index];
    let sources = running.group(state);
    let served = listed.sources.first().map(|&source| sources.had_by(source));
    let listing = Listing {
        exchange: listed.exchange.clone(),
        wanted: sources.roster.lists[index].wanted.clone(),
        inbox: listed.inbox.clone(),
        served: served.unwrap_or_default(),
        name_length_max: NAME_LENGTH_MAX - listed.exchange.id().len() - 1,
        pace: listed.pace.clone(),
        taken: running.live.taken.clone(),
        http_client: running
            .http_client
            .with_headers(&running.live.sources[listed.sources[0]].headers),
    };
    let (reader, again) = (Rc::clone(&running), Rc::clone(&running));
    let spawned = io_loop.spawn(
        STACK_SIZE,
        move |emitter| listing.run(emitter),
        move |state: &mut S, io_loop, event| take(&reader, index, event, state, io_loop),
        move |_, io_loop, exit| match exit {
            Exit::Cancelled => {}
            Exit::Returned(_) | Exit::Panicked(_) => {
                io_loop.call_later(restart_pause(restarts), move |state, io_loop| {
                    list(again, index, restarts + 1, state, io_loop);
                });
            }
        },
    );
    if let Err(error) = spawned {
        log::error!("cannot allocate a coroutine: {error}; trying again later");
        io_loop.call_later(restart_pause(restarts), move |state, io_loop| {
            list(running, index, restarts + 1, state, io_loop);
        });
    }
}

/// Takes a report about the list of exchange number `index`.
fn take<S: HasSources>(
    running: &Rc<Running>,
    index: usize,
    event: ListEvent,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let now = io_loop.time();
    let status = &mut running.group(state).roster.lists[index];
    match event {
        ListEvent::Read(markets) => status.read(markets, now),
        ListEvent::Failed { failure, pause } => status.failed(&failure, pause, now),
        ListEvent::Doubted { markets } => status.doubted(markets),
        ListEvent::Begin(symbols) => begin(running, index, symbols, state),
        ListEvent::Remove(symbols) => {
            status.left_out.retain(|symbol| !symbols.contains(symbol));
            status.removed += symbols.len();
            remove(running, index, &symbols, state, io_loop);
        }
        ListEvent::Add(symbols) => {
            add(running, index, symbols, state, io_loop);
        }
        ListEvent::Done {
            is_waiting,
            unmatched,
        } => {
            status.is_waiting = is_waiting;
            status.note_unmatched(unmatched);
            status.log_changes();
            let left_out = std::mem::take(&mut status.left_out);
            if !left_out.is_empty() {
                let tried = left_out.len();
                add(running, index, left_out, state, io_loop);
                let left_out = running.group(state).roster.lists[index].left_out.len();
                if left_out == tried {
                    log::warn!(
                        "{}: cannot add {left_out} symbols: a server can have at most \
                         {SYMBOLS_MAX}, and removed ones count until their last ticks are off the \
                         tape; trying again with the next list",
                        running.exchanges[index].exchange.id()
                    );
                }
            }
            tell(running, index, state, io_loop);
        }
    }
}

/// Adapts the limits on silence to the number of symbols: a round of requests may take longer.
fn begin<S: HasSources>(running: &Rc<Running>, index: usize, symbols: usize, state: &mut S) {
    let listed = &running.exchanges[index];
    let live = &running.live;
    running.group(state).roster.lists[index].total = symbols;
    for &number in &listed.sources {
        let source = &live.sources[number];
        let stale_after = live.stale_after(source, symbols);
        let sources = running.group(state);
        if sources.roster.teams[number].stale_after != stale_after {
            sources.roster.teams[number].stale_after = stale_after;
            sources.set_silence_max(number, live.silence_max(source, symbols));
            sources.roster.lists[index].must_watch_again = true;
        }
    }
}

fn remove<S: HasSources>(
    running: &Running,
    index: usize,
    symbols: &[Symbol],
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let listed = &running.exchanges[index];
    let name = |symbol: &Symbol| running.live.wire_name(listed.exchange.id(), symbol);
    let names: Vec<_> = symbols.iter().map(name).collect();
    state.delist(io_loop, &names);
    for &source in &listed.sources {
        for symbol in symbols {
            let sources = running.group(state);
            if let Some((number, shard)) = sources.detach(source, symbol.as_str()) {
                sources.roster.teams[source].remove(shard, number, symbol.clone());
            }
        }
    }
}

/// Adds symbols as far as there is room; the others wait for the next list.
fn add<S: HasSources>(
    running: &Running,
    index: usize,
    mut symbols: Vec<Symbol>,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let listed = &running.exchanges[index];
    let id = listed.exchange.id();
    let name = |symbol: &Symbol| running.live.wire_name(id, symbol);
    let mut names: Vec<_> = symbols.iter().map(name).collect();
    let left_out = state.list(io_loop, &names);
    let with_room = symbols.len() - left_out;
    let left_out = symbols.split_off(with_room);
    names.truncate(with_room);
    let status = &mut running.group(state).roster.lists[index];
    status.added += with_room;
    status.left_out.extend(left_out);
    let now = io_loop.time();
    let registrar = io_loop.registrar().clone();
    for &source in &listed.sources {
        for (symbol, name) in symbols.iter().zip(&names) {
            let sources = running.group(state);
            let shard = sources.roster.teams[source].room(&registrar);
            let number = sources.attach((source, shard), symbol.as_str(), name, now);
            if let Some(number) = number {
                sources.roster.teams[source].add(shard, number, symbol.clone());
            }
        }
    }
    watch(running, index, &symbols, state, io_loop);
}

/// Lets symbols become stale when they fall silent.
fn watch<S: HasSources>(
    running: &Running,
    index: usize,
    symbols: &[Symbol],
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let listed = &running.exchanges[index];
    // The stream and the requests of one exchange bring the same prices.
    let teams = &running.group(state).roster.teams;
    let limits = listed
        .sources
        .iter()
        .map(|&source| teams[source].stale_after);
    let Some(stale_after) = limits.max() else {
        return;
    };
    let watched = symbols.iter().map(|symbol| Watched {
        symbol: running.live.wire_name(listed.exchange.id(), symbol),
        market: symbol.to_string(),
        stale_after,
    });
    let watched = watched.collect();
    state.watch(io_loop, watched);
}

/// Tells the fibers of the exchange what has changed, and starts those that are new.
fn tell<S: HasSources>(
    running: &Rc<Running>,
    index: usize,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let listed = &running.exchanges[index];
    for &source in &listed.sources {
        let new = running.group(state).roster.teams[source].tell(io_loop);
        for (shard, inbox) in new {
            let member = Member {
                group: running.number,
                source,
                shard,
            };
            let total = running.group(state).roster.lists[index].total;
            let task = Rc::new(running.task(member, total, &inbox, listed));
            // A TLS handshake costs a millisecond or two of CPU, so spread them over several turns.
            let delay = STAGGER * u32::try_from(running.number + source).unwrap_or(u32::MAX);
            io_loop.call_later(delay, move |_, io_loop| {
                spawn(task, (member, inbox), 0, io_loop);
            });
        }
    }
    if std::mem::take(&mut running.group(state).roster.lists[index].must_watch_again) {
        let source = listed.sources.first();
        let had = source.map(|&source| running.group(state).had_by(source));
        watch_again(
            Rc::clone(running),
            index,
            had.unwrap_or_default(),
            state,
            io_loop,
        );
    }
}

/// Lets all symbols become stale by the present limit, a share of them in each turn.
fn watch_again<S: HasSources>(
    running: Rc<Running>,
    index: usize,
    mut symbols: Vec<Symbol>,
    state: &mut S,
    io_loop: &mut IoLoop<S>,
) {
    let later = symbols.split_off(symbols.len().min(WATCHED_PER_TURN));
    watch(&running, index, &symbols, state, io_loop);
    if !later.is_empty() {
        io_loop.add_callback(move |state, io_loop| {
            watch_again(running, index, later, state, io_loop);
        });
    }
}

/// The longest name of a symbol.
const NAME_LENGTH_MAX: usize = 64;

/// The time between the first requests of two sources.
const STAGGER: Duration = Duration::from_millis(20);

/// How many symbols are watched by a new limit in one turn of the loop.
const WATCHED_PER_TURN: usize = 256;

/// How many symbols and patterns the log names at the start.
const DESCRIBED_MAX: usize = 20;
