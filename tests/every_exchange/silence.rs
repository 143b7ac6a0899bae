//! Streams that send only when a price changes, on a clock that the test sets: the feed, its
//! sockets and the exchange are real, and ten minutes take seconds.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use exchanges::{Catalogue, Exchange, FieldSet};
use ioloop::{Driver, IoLoop, ManualClock, Ready};
use mio::{Events, Poll, Token};
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::temp_file;
use tickertape::feed::{
    Feed, HasSources, LiveOptions, Publish, Settings, Source, SourceStatus, Sources, Speed, Watched,
};
use tickertape::http_client::UpstreamOverride;
use tickertape::tick::Tick;

/// Applies the server's rule: a symbol is stale when neither a price nor a confirmation has come
/// for too long.
pub(crate) struct Audience {
    watched: Vec<Watched>,
    /// When each symbol was last heard of, by the loop's clock.
    touched: BTreeMap<String, Instant>,
    pub(crate) ticks: Vec<Tick>,
    /// Symbols in the order in which they were listed, and delisted.
    pub(crate) listed: Vec<String>,
    pub(crate) delisted: Vec<String>,
    sources: Sources,
}

impl Audience {
    /// The symbols that are stale now.
    fn stale(&self, now: Instant) -> Vec<&str> {
        let is_stale = |watched: &&Watched| {
            let touched = self.touched.get(&watched.symbol);
            touched.is_none_or(|touched| now - *touched > watched.stale_after)
        };
        let stale = self.watched.iter().filter(is_stale);
        stale.map(|watched| watched.symbol.as_str()).collect()
    }

    fn failures(&self) -> Vec<(&'static str, u64)> {
        let all = self.sources.iter().flat_map(SourceStatus::failures);
        all.copied().collect()
    }
}

impl Publish for Audience {
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
        self.touched.insert(tick.symbol.clone(), io_loop.time());
        self.ticks.push(tick);
    }

    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str) {
        self.touched.insert(symbol.to_owned(), io_loop.time());
    }

    fn list(&mut self, _: &mut IoLoop<Self>, symbols: &[String]) -> usize {
        self.listed.extend_from_slice(symbols);
        0
    }

    fn watch(&mut self, _: &mut IoLoop<Self>, _: Vec<Watched>) {}

    fn delist(&mut self, _: &mut IoLoop<Self>, symbols: &[String]) {
        self.delisted.extend_from_slice(symbols);
    }
}

impl HasSources for Audience {
    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

/// The system's poll, but time passes only by the test's hand.
struct Events256 {
    events: Events,
    longest: Duration,
    were_any: bool,
}

impl Driver<Audience> for Events256 {
    fn poll(
        &mut self,
        poll: &mut Poll,
        timeout: Option<Duration>,
        ready: &mut VecDeque<(Token, Ready)>,
    ) -> io::Result<()> {
        let timeout = timeout.unwrap_or(self.longest).min(self.longest);
        poll.poll(&mut self.events, Some(timeout))?;
        self.were_any = !self.events.is_empty();
        ready.extend(self.events.iter().map(|event| {
            let ready = Ready {
                readable: event.is_readable() || event.is_read_closed(),
                writable: event.is_writable(),
                closed: event.is_read_closed() || event.is_error(),
            };
            (event.token(), ready)
        }));
        Ok(())
    }
}

/// A feed of one source, with its exchange, on one clock.
pub(crate) struct Stage {
    source: String,
    pub(crate) exchange: FakeExchange,
    clock: ManualClock,
    io_loop: IoLoop<Audience>,
    pub(crate) audience: Audience,
    driver: Events256,
}

impl Stage {
    /// With the stream of this exchange, and one symbol.
    fn new(id: &str) -> Self {
        let symbol = Catalogue::builtin().get(id).unwrap().example().to_owned();
        Self::open(&format!("{id}+stream"), &symbol)
    }

    /// With this source, and what `symbols` stands for.
    pub(crate) fn open(source: &str, symbols: &str) -> Self {
        let exchange = FakeExchange::start(Config::default()).unwrap();
        let ca = temp_file(exchange.pem());
        let settings = Settings {
            symbols: vec![symbols.to_owned()],
            symbols_file: None,
            interval: Duration::from_millis(250),
            spread: false,
            seed: None,
            speed: Speed::Max,
            fields: FieldSet::NONE,
            live: LiveOptions {
                upstream: Some(UpstreamOverride::parse(&exchange.https()).unwrap()),
                ca: Some(ca.path().to_owned()),
                ..LiveOptions::default()
            },
        };
        let feed: Box<dyn Feed<Audience>> = Source::parse(source).unwrap().open(&settings).unwrap();
        let audience = Audience {
            watched: feed.watched(),
            touched: BTreeMap::new(),
            ticks: Vec::new(),
            listed: Vec::new(),
            delisted: Vec::new(),
            sources: Sources::default(),
        };
        let clock = ManualClock::new(Instant::now());
        let mut io_loop = IoLoop::by_hand(clock.clone(), 256).unwrap();
        feed.start(&mut io_loop);
        Self {
            source: source.to_owned(),
            exchange,
            clock,
            io_loop,
            audience,
            driver: Events256 {
                events: Events::with_capacity(256),
                longest: Duration::ZERO,
                were_any: false,
            },
        }
    }

    /// Runs turns until nothing more is ready.
    fn settle(&mut self) {
        loop {
            let turned = self.io_loop.turn(&mut self.audience, &mut self.driver);
            turned.unwrap();
            if !self.driver.were_any && !self.io_loop.has_callbacks() {
                return;
            }
        }
    }

    /// Lets `time` pass in steps, and calls `look` after each.
    fn pass(&mut self, time: Duration, look: impl FnMut(&Self)) {
        self.pass_in(STEP, time, look);
    }

    pub(crate) fn pass_in(&mut self, step: Duration, time: Duration, mut look: impl FnMut(&Self)) {
        let end = self.clock.time() + time;
        while self.clock.time() < end {
            self.step(step);
            look(self);
        }
    }

    pub(crate) fn step(&mut self, time: Duration) {
        self.exchange.advance(time);
        self.clock.advance(time);
        self.settle();
    }

    /// Lets time pass until `is_so`, no faster than by the system's clock: handshakes need both.
    pub(crate) fn pass_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.driver.longest = HANDSHAKE_STEP;
        let began = Instant::now();
        while !is_so(self) {
            self.step(HANDSHAKE_STEP);
            let failures = self.audience.failures();
            assert!(
                began.elapsed() < PATIENCE,
                "{}: {what}: {failures:?}",
                self.source
            );
        }
        self.driver.longest = Duration::ZERO;
    }

    pub(crate) fn handshakes(&self) -> usize {
        let seen = self.exchange.seen();
        seen.iter()
            .filter(|seen| seen.source == self.source)
            .count()
    }

    fn now(&self) -> Instant {
        self.clock.time()
    }
}

/// Runs `play` for every exchange that has a stream, several at once: most of the time they wait.
fn for_each_stream(play: fn(&str)) {
    let catalogue = Catalogue::builtin();
    let streams = catalogue.iter().filter(|exchange| exchange.has_stream());
    let queue = Mutex::new(streams.map(Exchange::id).collect::<Vec<_>>());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop();
                    let Some(id) = next else { return };
                    play(id);
                }
            });
        }
    });
}

#[test]
fn ten_minutes_without_a_trade_are_neither_stale_nor_a_reason_to_reconnect() {
    for_each_stream(|id| {
        let mut stage = Stage::new(id);
        stage.pass_until("no price", |stage| !stage.audience.ticks.is_empty());
        // The exchange's rules about pings hold while it trades, too.
        stage.pass(Duration::from_secs(120), |_| {});
        stage.exchange.set(&stage.source, Fault::StreamQuiet);
        stage.pass(Duration::from_secs(5), |_| {});
        let ticks = stage.audience.ticks.len();
        stage.pass_in(LONG_STEP, Duration::from_secs(600), |stage| {
            let stale = stage.audience.stale(stage.now());
            assert!(stale.is_empty(), "{id}: {stale:?} are stale");
        });
        assert_eq!(
            stage.audience.ticks.len(),
            ticks,
            "{id}: no price is made up"
        );
        assert_eq!(stage.audience.failures(), [], "{id}");
        assert_eq!(stage.handshakes(), 1, "{id}: it has reconnected");
        // The next trade arrives as if nothing had been.
        stage.exchange.clear();
        stage.pass_until("no price again", |stage| stage.audience.ticks.len() > ticks);
        assert_eq!(stage.handshakes(), 1, "{id}: it has reconnected");
    });
}

#[test]
fn a_dead_connection_is_noticed_within_its_limit_and_replaced() {
    for_each_stream(|id| {
        let limit = Catalogue::builtin().get(id).unwrap().stream_silence_max();
        let limit = limit.unwrap();
        let mut stage = Stage::new(id);
        stage.pass_until("no price", |stage| !stage.audience.ticks.is_empty());
        // Also after a rest, when no price has come for longer than the limit.
        stage.exchange.set(&stage.source, Fault::StreamQuiet);
        stage.pass(2 * limit, |_| {});
        stage.exchange.set(&stage.source, Fault::StreamSilent);
        let began = stage.now();
        let mut stale_after = None;
        let mut noticed_after = None;
        // Not a step further: what follows is a handshake, which needs the system's time, too.
        while stale_after.is_none() || noticed_after.is_none() {
            stage.step(STEP);
            let now = stage.now();
            assert!(
                now - began < 2 * limit,
                "{id}: {stale_after:?} {noticed_after:?}"
            );
            if !stage.audience.stale(now).is_empty() {
                stale_after.get_or_insert(now - began);
            }
            if stage.audience.failures() == [("silent", 1)] {
                noticed_after.get_or_insert(now - began);
            }
        }
        let soon = |after: Option<Duration>| {
            after.is_some_and(|after| after <= limit + Duration::from_secs(2))
        };
        assert!(soon(stale_after), "{id}: stale after {stale_after:?}");
        assert!(soon(noticed_after), "{id}: noticed after {noticed_after:?}");
        let ticks = stage.audience.ticks.len();
        stage.exchange.clear();
        stage.pass_until("no recovery", |stage| stage.audience.ticks.len() > ticks);
        assert_eq!(stage.audience.stale(stage.now()), [""; 0], "{id}");
        assert_eq!(stage.handshakes(), 2, "{id}");
    });
}

/// No exchange wants an answer sooner than in five seconds.
pub(crate) const STEP: Duration = Duration::from_secs(1);
const LONG_STEP: Duration = Duration::from_secs(2);

const HANDSHAKE_STEP: Duration = Duration::from_millis(20);

/// How long a handshake may take by the system's clock, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many exchanges are tried at once.
const AT_A_TIME: usize = 64;
