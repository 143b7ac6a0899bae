//! The promise for every exchange of the catalogue, by request over https and by stream over wss: a
//! symbol that it does not know prevents the start, prices come with the digits that it sends, its
//! rules for connections are kept, and after a rate limit, a refusal, an outage or a delisting
//! prices return.
//!
//! All exchanges are served by one fake exchange and asked at once, each by a loop of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use exchanges::{Catalogue, Exchange};
use serde_json::{Value, json};
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::temp_file;
use tickertape::feed::Settings;

use crate::audience::{Audience, listen, refusal, settings_at};

/// What every source runs into, one after the other, and the kind that each failure is counted as.
/// Failures of the same kind are apart, or the pauses after them would grow.
const FAULTS: &[(Fault, &str)] = &[
    (Fault::TooMany(Duration::from_secs(1)), "rate_limited"),
    (Fault::Broken, "down"),
    (Fault::Blocked, "blocked"),
    (Fault::Reset, "broken"),
];

/// What only answers to requests have: the exchange's own words for a rate limit. Those for a market
/// that it does not trade are tried at the start.
const FAULT_OF_ANSWERS: (Fault, &str) = (Fault::RateLimited, "rate_limited");

/// The fake exchange, and a server's settings for it.
pub(crate) struct Scene {
    pub(crate) fake: Arc<FakeExchange>,
    pub(crate) settings: Settings,
}

impl Scene {
    /// Calls `play` for all exchanges at once.
    pub(crate) fn play(play: impl Fn(&Self, &Exchange) + Sync) {
        let catalogue = Catalogue::builtin();
        let examples: Vec<_> = catalogue.iter().map(Exchange::example).collect();
        let others = examples
            .iter()
            .filter_map(|example| example.split_once('/'));
        let others = others.map(|(_, quote)| format!("ETH/{quote}"));
        let mut symbols: Vec<_> = examples.iter().map(ToString::to_string).collect();
        symbols.extend(others);
        symbols.sort();
        symbols.dedup();
        let fake = FakeExchange::start(Config {
            symbols,
            tick_every: Duration::from_millis(200),
            ..Config::default()
        });
        let fake = Arc::new(fake.unwrap());
        let ca = temp_file(fake.pem());
        let mut hasty = hasty_entries();
        thread::scope(|scope| {
            for exchange in catalogue.iter() {
                let (play, fake, ca) = (&play, Arc::clone(&fake), ca.path().to_owned());
                let entry = hasty.remove(exchange.id()).unwrap();
                let mut settings = settings_at(&fake.https(), &[exchange.example()]);
                settings.interval = Duration::from_millis(250);
                settings.live.ca = Some(ca);
                settings.live.request_timeout = Duration::from_secs(10);
                let thread = thread::Builder::new().name(exchange.id().to_owned());
                let in_thread = move || {
                    let file = temp_file(entry);
                    settings.live.exchanges = Some(file.path().to_owned());
                    play(&Self { fake, settings }, exchange);
                };
                thread.spawn_scoped(scope, in_thread).unwrap();
            }
        });
    }

    /// Listens to `source` while it runs into all `faults` and recovers. Checks that each good price
    /// has come once.
    fn suffer(&self, source: &str, faults: Vec<(Fault, &'static str)>) {
        let (fake, name) = (Arc::clone(&self.fake), source.to_owned());
        let (index, stage) = (Cell::new(0), Cell::new(Stage::Before));
        let audience = listen(source, &self.settings, move |audience| {
            if audience.ticks.is_empty() {
                return false;
            }
            if let Some(fault) = faults.get(index.get()) {
                let next = stage.get().next(*fault, &fake, &name, audience);
                index.set(index.get() + usize::from(next.is_none()));
                stage.set(next.unwrap_or(Stage::Before));
            }
            index.get() == faults.len()
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
    /// With the number of failures of its kind before.
    Set(u64),
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
        let failures = audience.failures(source, kind);
        match self {
            Self::Before => {
                fake.set_times(source, fault, 1);
                if source.ends_with("+stream") {
                    // It meets the fault when it connects again.
                    fake.cut(source);
                }
                Some(Self::Set(failures))
            }
            Self::Set(before) if failures > before => Some(Self::Counted(ticks)),
            Self::Counted(before) if ticks > before => None,
            stage => Some(stage),
        }
    }
}

/// A catalogue for each exchange, with that one alone and its intervals between requests and between
/// connections shortened.
fn hasty_entries() -> BTreeMap<String, String> {
    let text = fs::read_to_string("crates/exchanges/exchanges.json").unwrap();
    let mut catalogue: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(entries) = catalogue["exchanges"].take() else {
        panic!("a list of exchanges");
    };
    let hasty = entries.into_iter().map(|mut entry| {
        entry["interval_ms"] = 20.into();
        if let Some(interval) = entry.pointer_mut("/many/interval_ms") {
            *interval = 20.into();
        }
        if let Some(stream) = entry.get_mut("stream") {
            stream["connect_every_ms"] = 20.into();
        }
        let id = entry["id"].as_str().unwrap().to_owned();
        (id, json!({ "exchanges": [entry] }).to_string())
    });
    hasty.collect()
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
        scene.suffer(id, [FAULTS, &[FAULT_OF_ANSWERS]].concat());
    });
}

#[test]
fn every_stream_keeps_the_rules_and_recovers_from_what_befalls_it() {
    Scene::play(|scene, exchange| {
        if !exchange.has_stream() {
            return;
        }
        let source = format!("{}+stream", exchange.id());
        // It is cut before each fault, which is as good as a reset.
        let faults = FAULTS.iter().filter(|(fault, _)| *fault != Fault::Reset);
        let faults: Vec<_> = faults.copied().collect();
        let handshakes = 1 + 2 * faults.len();
        scene.suffer(&source, faults);
        assert_eq!(scene.handshakes(&source), handshakes, "{source}");
    });
}
