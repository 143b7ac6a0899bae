//! The promise of endurance: whatever goes wrong upstream, at random and for long, every good price
//! arrives once, and afterwards the server has the memory and the descriptors that it had before.
//!
//! Servers as processes, each with an exchange of its own by https or wss, and one with a list to
//! fail over in; the fake exchanges are in this process, and a client of each server.
//!
//! ```text
//! SOAK=10m SOAK_SEED=1 cargo test --release --test soak -- --nocapture
//! ```
//!
//! Without `SOAK` it takes a few seconds, in which the longest pauses have no place.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod health;
mod ledger;
mod listener;
mod summary;

use std::thread;
use std::time::{Duration, Instant};

use ledger::Account;
use listener::Listener;
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::{Footprint, ServerProcess, temp_file};
use tickertape::cli::duration;

/// The run that the environment asks for.
struct Plan {
    lasts: Duration,
    /// Faults before the first measurement: code and stacks are touched for the first time then.
    warm_up: Duration,
    seed: u64,
    is_short: bool,
}

/// One server with all that belongs to it.
struct Setup {
    /// As on the server's command line.
    source: String,
    exchange: usize,
    program: ServerProcess,
    listener: Listener,
}

/// The result for one server.
struct Outcome {
    source: String,
    before: Footprint,
    after: Footprint,
    descriptors_max: u64,
    account: Account,
    warnings: u64,
    recoveries: u64,
    lateness: String,
}

#[test]
fn after_random_faults_resources_are_as_before_and_each_good_price_has_arrived_once() {
    let plan = Plan::of_environment();
    let exchanges = [plan.exchange(), plan.exchange()];
    let setups = start(&exchanges);

    leave_to_chance(&exchanges, Some(plan.seed));
    watch(&setups, plan.warm_up);
    calm(&setups, &exchanges);
    let before: Vec<_> = setups
        .iter()
        .map(|setup| setup.program.footprint())
        .collect();
    leave_to_chance(&exchanges, Some(plan.seed));
    let descriptors_max = watch(&setups, plan.lasts);
    calm(&setups, &exchanges);

    let outcomes = setups.iter().zip(before).zip(descriptors_max);
    let outcomes: Vec<_> = outcomes
        .map(|((setup, before), max)| setup.outcome(&exchanges[setup.exchange], before, max))
        .collect();
    let limit = plan.resident_limit();
    let (text, is_good) = summary::of(&outcomes, &exchanges, limit);
    println!("{} of faults, seed {}\n{text}", plan.words(), plan.seed);
    assert!(is_good, "see the table");
}

impl Plan {
    fn of_environment() -> Self {
        let given = std::env::var("SOAK").ok();
        let seed = std::env::var("SOAK_SEED").ok();
        let lasts = given.as_deref().map(|text| duration(text).expect("SOAK"));
        let is_short = lasts.is_none();
        Self {
            lasts: lasts.unwrap_or(SHORT),
            warm_up: lasts.map_or(SHORT_WARM_UP, |lasts| (lasts / 5).min(WARM_UP_MAX)),
            seed: seed.map_or(1, |text| text.parse().expect("SOAK_SEED")),
            is_short,
        }
    }

    fn words(&self) -> String {
        format!("{:?} after {:?} to warm up", self.lasts, self.warm_up)
    }

    fn exchange(&self) -> FakeExchange {
        let config = Config {
            seed: self.seed,
            spared: if self.is_short { LONG } else { &[] },
            symbols: SYMBOLS.map(str::to_owned).to_vec(),
            tick_every: Duration::from_millis(if self.is_short { 10 } else { 40 }),
            patience: Duration::from_secs(3),
            ..Config::default()
        };
        FakeExchange::start(config).unwrap()
    }

    /// Memory touched for the first time counts as well, and a short run does not touch it all
    /// before it measures.
    fn resident_limit(&self) -> u64 {
        if self.is_short { 2 << 20 } else { 1 << 20 }
    }
}

impl Setup {
    fn start(source: &str, exchange: &FakeExchange, number: usize) -> Self {
        let ca = temp_file(exchange.pem());
        let symbols = SYMBOLS.join(",");
        let program = ServerProcess::start(
            env!("CARGO_BIN_EXE_server"),
            &[
                "--source",
                source,
                "--symbols",
                &symbols,
                "--upstream",
                &exchange.https(),
                "--ca",
                ca.path().to_str().unwrap(),
                "--interval",
                "50ms",
                "--request-timeout",
                "1s",
                "--stale-after",
                "400ms",
                "--tape",
                "64KiB",
            ],
        );
        let listener = Listener::start(&program.address);
        let setup = Self {
            source: source.to_owned(),
            exchange: number,
            program,
            listener,
        };
        setup.await_price_of_each_symbol();
        setup
    }

    /// Until then nothing must go wrong, or the client would not know what it has missed.
    fn await_price_of_each_symbol(&self) {
        let begun = self.listener.counts();
        patiently(&self.source, PATIENCE, || {
            let counts = self.listener.counts();
            let has_grown = |symbol: &&str| {
                let of_symbol = counts.iter().filter(|(wire, _)| wire.ends_with(*symbol));
                let old = |wire: &String| begun.get(wire).copied().unwrap_or(0);
                of_symbol
                    .into_iter()
                    .any(|(wire, count)| *count > old(wire))
            };
            SYMBOLS.iter().all(has_grown)
        });
    }

    fn outcome(&self, exchange: &FakeExchange, before: Footprint, descriptors_max: u64) -> Outcome {
        let after = self.program.footprint_like(before);
        Outcome {
            source: self.source.clone(),
            before,
            after,
            descriptors_max,
            account: Account::settle(&self.source, exchange, &self.listener, PATIENCE),
            warnings: self.program.lines("warn: "),
            recoveries: self.program.lines("works again"),
            lateness: health::lateness(&self.program),
        }
    }
}

/// Starts all servers at once.
fn start(exchanges: &[FakeExchange]) -> Vec<Setup> {
    let single = SINGLE.iter().map(|source| (*source, 0));
    thread::scope(|scope| {
        let setups = single.chain([(LIST, 1)]).map(|(source, number)| {
            scope.spawn(move || Setup::start(source, &exchanges[number], number))
        });
        let setups: Vec<_> = setups.collect();
        setups
            .into_iter()
            .map(|setup| setup.join().unwrap())
            .collect()
    })
}

fn leave_to_chance(exchanges: &[FakeExchange], seed: Option<u64>) {
    for exchange in exchanges {
        exchange.leave_to_chance(seed);
    }
}

/// Lets time pass, and sees that the servers answer meanwhile. Returns the most descriptors that
/// each had.
fn watch(setups: &[Setup], lasts: Duration) -> Vec<u64> {
    let until = Instant::now() + lasts;
    let mut most = vec![0; setups.len()];
    while Instant::now() < until {
        for (setup, most) in setups.iter().zip(&mut most) {
            *most = (*most).max(setup.program.footprint().descriptors);
            let asked = Instant::now();
            assert!(health::is_healthy(&setup.program), "{}", setup.source);
            let took = asked.elapsed();
            assert!(took < STALLED, "{}: /healthz took {took:?}", setup.source);
        }
        thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
    most
}

/// Ends all faults and waits until prices come from everywhere again.
fn calm(setups: &[Setup], exchanges: &[FakeExchange]) {
    leave_to_chance(exchanges, None);
    for setup in setups {
        patiently(&setup.source, PATIENCE, || {
            health::sources_are_up(&setup.program)
        });
        setup.await_price_of_each_symbol();
    }
}

/// Looks again and again; for how long is a matter of the pauses between attempts.
fn patiently(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !is_so() {
        assert!(
            Instant::now() < until,
            "{what}: no recovery in {patience:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Each has a server of its own: by request for all symbols or in turns, with times and without; by
/// streams with pings of all kinds, and one that wants a token. No exchange is there twice: before
/// it listens to a stream, a server asks the same exchange whether it knows the symbols.
const SINGLE: &[&str] = &[
    "binance",
    "coinbase",
    "okx",
    "gate",
    "bybit+stream",
    "kraken+stream",
    "bitget+stream",
    "kucoin+stream",
    "bitfinex+stream",
];

/// One server to choose among these. Only one is asked by request: two would share connections, as
/// both are at the same address here, and so need one or two of them as it happens.
const LIST: &str = "bybit,whitebit+stream,bitstamp+stream";

const SYMBOLS: [&str; 2] = ["BTC/USDT", "ETH/USDT"];

/// After these an exchange is not asked again for seconds.
const LONG: &[Fault] = &[
    Fault::Blocked,
    Fault::RateLimited,
    Fault::TooMany(Duration::from_secs(1)),
    Fault::Banned(Duration::from_secs(2)),
];

const SHORT: Duration = Duration::from_millis(1_500);
const SHORT_WARM_UP: Duration = Duration::from_millis(700);
const WARM_UP_MAX: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Longer than any pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(70);

/// Only that it answers at all: machines are busy at times, and that no fault holds the loop is
/// shown one by one, in `live_faults`.
const STALLED: Duration = Duration::from_secs(3);
