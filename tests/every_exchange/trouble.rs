//! The promise for every exchange of the catalogue, by request over https and by stream over wss: a
//! symbol that it does not know prevents the start, prices come with the digits that it sends, its
//! rules for connections are kept, and after a rate limit, a refusal, an outage or a delisting
//! prices return.
//!
//! All exchanges are served by one fake exchange and asked at once, each by a loop of its own.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use exchanges::{Catalogue, Exchange};
use serde_json::Value;
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::temp_file;
use tickertape::feed::Settings;

use crate::audience::{Audience, listen, refusal, settings_at};

/// What every source runs into, one after the other, and the kind that each failure is counted as.
const FAULTS: [(Fault, &str); 4] = [
    (Fault::TooMany(Duration::from_secs(1)), "rate_limited"),
    (Fault::Blocked, "blocked"),
    (Fault::Broken, "down"),
    (Fault::Reset, "broken"),
];

/// The fake exchange, and a server's settings for it.
struct Scene {
    fake: Arc<FakeExchange>,
    settings: Settings,
}

impl Scene {
    /// Calls `play` for all exchanges at once.
    fn play(play: impl Fn(&Self, &Exchange) + Sync) {
        let catalogue = Catalogue::builtin();
        let mut symbols: Vec<_> = catalogue.iter().map(|it| it.example().to_owned()).collect();
        symbols.sort();
        symbols.dedup();
        let fake = FakeExchange::start(Config {
            symbols,
            tick_every: Duration::from_millis(200),
            haste: HASTE,
            ..Config::default()
        });
        let fake = Arc::new(fake.unwrap());
        let hasty = temp_file(hasty_catalogue());
        let ca = temp_file(fake.pem());
        thread::scope(|scope| {
            for exchange in catalogue.iter() {
                let (play, fake) = (&play, Arc::clone(&fake));
                let mut settings = settings_at(&fake.https(), &[exchange.example()]);
                settings.interval = Duration::from_millis(250);
                settings.live.exchanges = Some(hasty.path().to_owned());
                settings.live.ca = Some(ca.path().to_owned());
                settings.live.request_timeout = Duration::from_secs(10);
                let scene = Self { fake, settings };
                let thread = thread::Builder::new().name(exchange.id().to_owned());
                thread
                    .spawn_scoped(scope, move || play(&scene, exchange))
                    .unwrap();
            }
        });
    }

    /// Listens to `source` while it runs into all faults and recovers, `calm` after its first
    /// price. Checks that each good price has come once.
    fn suffer(&self, source: &str, calm: Duration) {
        let (fake, name) = (Arc::clone(&self.fake), source.to_owned());
        let began = Instant::now();
        let (index, stage) = (Cell::new(0), Cell::new(Stage::Before));
        let audience = listen(source, &self.settings, move |audience| {
            if audience.ticks.is_empty() || began.elapsed() < calm {
                return false;
            }
            if let Some(fault) = FAULTS.get(index.get()) {
                let next = stage.get().next(*fault, &fake, &name, audience);
                index.set(index.get() + usize::from(next.is_none()));
                stage.set(next.unwrap_or(Stage::Before));
            }
            index.get() == FAULTS.len()
        });
        let symbol = &self.settings.symbols[0];
        let prices = audience.ticks.iter();
        let prices: Vec<_> = prices.map(|(_, tick)| tick.price.to_string()).collect();
        if let Err(error) = self.fake.check(source, symbol, &prices) {
            panic!("{source}: {error}");
        }
    }

    /// How often a stream was opened.
    fn handshakes(&self, source: &str) -> usize {
        let seen = self.fake.seen();
        seen.iter().filter(|seen| seen.source == source).count()
    }
}

/// How far a source has come with a fault.
#[derive(Clone, Copy)]
enum Stage {
    Before,
    Set,
    /// It is counted as a failure; this many prices had come then.
    Counted(usize),
}

impl Stage {
    /// Sets the fault, waits until it is counted, and then for a price; `None` after that.
    fn next(
        self,
        (fault, kind): (Fault, &str),
        fake: &FakeExchange,
        source: &str,
        audience: &Audience,
    ) -> Option<Self> {
        let ticks = audience.ticks.len();
        match self {
            Self::Before => {
                fake.set_times(source, fault, 1);
                if source.ends_with("+stream") {
                    // It meets the fault when it connects again.
                    fake.cut(source);
                }
                Some(Self::Set)
            }
            Self::Set if audience.failures(source, kind) > 0 => Some(Self::Counted(ticks)),
            Self::Counted(before) if ticks > before => None,
            stage => Some(stage),
        }
    }
}

/// The catalogue with all intervals between requests shortened, and those between pings divided as
/// the fake exchange divides its rules.
fn hasty_catalogue() -> String {
    let text = fs::read_to_string("crates/exchanges/exchanges.json").unwrap();
    let mut catalogue: Value = serde_json::from_str(&text).unwrap();
    for entry in catalogue["exchanges"].as_array_mut().unwrap() {
        entry["interval_ms"] = 20.into();
        if let Some(interval) = entry.pointer_mut("/many/interval_ms") {
            *interval = 20.into();
        }
        if let Some(every) = entry.pointer_mut("/stream/ping/every_ms") {
            *every = (every.as_u64().unwrap() / u64::from(HASTE)).into();
        }
    }
    catalogue.to_string()
}

#[test]
fn every_exchange_recovers_from_what_befalls_its_answers() {
    Scene::play(|scene, exchange| {
        let id = exchange.id();
        let mut settings = scene.settings.clone();
        settings.symbols = vec!["NO/SUCH".to_owned()];
        let refused = refusal(id, &settings);
        assert!(
            refused.starts_with(&format!("{id} does not know NO/SUCH")),
            "{refused}"
        );
        scene.suffer(id, Duration::ZERO);
    });
}

#[test]
fn every_stream_keeps_the_rules_and_recovers_from_what_befalls_it() {
    Scene::play(|scene, exchange| {
        if !exchange.has_stream() {
            return;
        }
        let source = format!("{}+stream", exchange.id());
        scene.suffer(&source, CALM);
        assert_eq!(scene.handshakes(&source), 1 + 2 * FAULTS.len(), "{source}");
    });
}

/// Divides the intervals of pings and of the rules about them.
const HASTE: u32 = 6;

/// Longer than nearly every rule allows a client to be idle, when divided.
const CALM: Duration = Duration::from_secs(7);
