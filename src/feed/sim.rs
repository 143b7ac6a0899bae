//! Prices made up: a random walk per symbol, so that server and client can be tried, tested and
//! measured without an exchange. Every symbol reads `sim:…`; nobody shall take such a price for a
//! real one. A seed makes the walk repeatable.
//!
//! A price is a whole number of ticks, the smallest step that it can make; no float comes near it.

use std::time::Duration;

use fastrand::Rng;

use super::{Feed, Publish};
use crate::io_loop::IoLoop;
use crate::periodic::PeriodicCallback;
use crate::tick::{Price, Tick, unix_us};

/// A feed of simulated prices.
pub struct Sim {
    walks: Vec<Walk>,
    interval: Duration,
    rng: Rng,
}

impl Sim {
    /// Simulates `symbols`, `BTC/USDT` or `sim:BTC/USDT`, each with a new price every `interval`.
    pub fn new(symbols: &[String], interval: Duration, rng: Rng) -> Self {
        let mut walks: Vec<Walk> = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let walk = Walk::new(symbol);
            if walks.iter().all(|other| other.symbol != walk.symbol) {
                walks.push(walk);
            }
        }
        Self {
            walks,
            interval,
            rng,
        }
    }

    fn step(&mut self) {
        for walk in &mut self.walks {
            walk.step(&mut self.rng);
        }
    }

    fn publish<S: Publish>(&self, state: &mut S, io_loop: &mut IoLoop<S>) {
        let timestamp = unix_us() / 1_000;
        for walk in &self.walks {
            let tick = Tick {
                symbol: walk.symbol.clone(),
                price: walk.price(),
                timestamp,
            };
            state.publish(io_loop, tick);
        }
    }
}

impl<S: Publish> Feed<S> for Sim {
    fn symbols(&self) -> Vec<String> {
        self.walks.iter().map(|walk| walk.symbol.clone()).collect()
    }

    fn describe(&self) -> String {
        format!("prices are simulated (symbols read {PREFIX}…); {WAY_TO_REAL_PRICES}")
    }

    fn start(mut self: Box<Self>, io_loop: &mut IoLoop<S>) {
        io_loop.add_callback(move |state, io_loop| {
            // The start prices go out before anybody can have joined, so everybody finds one.
            self.publish(state, io_loop);
            PeriodicCallback::start(io_loop, self.interval, move |state, io_loop| {
                self.step();
                self.publish(state, io_loop);
            });
        });
    }
}

/// The price of one symbol, on its way.
struct Walk {
    symbol: String,
    ticks: u64,
    /// Where the decimal point stands: a tick is ten to the minus this.
    decimals: u32,
    /// The walk turns back here, so that a long one stays plausible and above zero.
    lowest: u64,
    highest: u64,
}

impl Walk {
    fn new(symbol: &str) -> Self {
        let pair = symbol.strip_prefix(PREFIX).unwrap_or(symbol);
        let (ticks, decimals) = start_price(pair);
        Self {
            symbol: format!("{PREFIX}{pair}"),
            ticks,
            decimals,
            lowest: (ticks / 2).max(1),
            highest: ticks * 2,
        }
    }

    /// Small steps are likelier than large ones. At four steps a second the reach makes about one
    /// percent a day, as calm markets have it.
    fn step(&mut self, rng: &mut Rng) {
        let reach = (self.ticks / 20_000).max(1);
        let (up, down) = (rng.u64(0..=reach), rng.u64(0..=reach));
        self.ticks = (self.ticks + up)
            .saturating_sub(down)
            .clamp(self.lowest, self.highest);
    }

    fn price(&self) -> Price {
        let unit = 10_u64.pow(self.decimals);
        let (whole, fraction) = (self.ticks / unit, self.ticks % unit);
        let width = self.decimals as usize;
        Price::parse(&format!("{whole}.{fraction:0width$}")).expect("digits around a point")
    }
}

/// A plausible price of `BASE/QUOTE`: the ticks, and the decimals that make a tick fit the level.
fn start_price(pair: &str) -> (u64, u32) {
    let (base, quote) = pair.split_once('/').unwrap_or((pair, "USD"));
    // ccxt's derivatives name what they settle in: `BTC/USDT:USDT`.
    let quote = quote.split(':').next().unwrap_or(quote);
    let base = worth(base).unwrap_or_else(|| made_up_worth(base));
    let quote = worth(quote).unwrap_or(DOLLAR);
    let in_ticks = |decimals| base * 10_u128.pow(decimals) / quote;
    let decimals = if base >= quote {
        2
    } else {
        // Below one: five digits that count.
        (5..DECIMALS_MAX)
            .find(|&decimals| in_ticks(decimals) >= 10_000)
            .unwrap_or(DECIMALS_MAX)
    };
    let ticks = u64::try_from(in_ticks(decimals)).unwrap_or(u64::MAX / 4);
    (ticks.max(1), decimals)
}

/// What one of a well-known asset is worth, in hundred millionths of a dollar.
fn worth(asset: &str) -> Option<u128> {
    let known = WORTH.iter().find(|(name, _)| *name == asset);
    known.map(|&(_, worth)| worth)
}

/// Ten to five hundred dollars for an asset that nobody knows, the same on every run.
fn made_up_worth(asset: &str) -> u128 {
    let hash = asset.bytes().fold(7_u128, |hash, byte| {
        (hash * 31 + u128::from(byte)) % 1_000_003
    });
    (1_000 + hash % 49_000) * DOLLAR / 100
}

const PREFIX: &str = "sim:";

/// The rest of the line that says what is simulated.
const WAY_TO_REAL_PRICES: &str = "for real ones use --source binance or another exchange";

/// SHIB in BTC has no more.
const DECIMALS_MAX: u32 = 12;

const DOLLAR: u128 = 100_000_000;

/// Late in 2024, in units of `DOLLAR / 10^8`.
const WORTH: [(&str, u128); 24] = [
    ("BTC", 9_712_345_000_000),
    ("ETH", 331_842_000_000),
    ("BNB", 62_471_000_000),
    ("SOL", 25_536_000_000),
    ("XRP", 147_000_000),
    ("ADA", 88_240_000),
    ("DOGE", 38_215_000),
    ("TRX", 19_874_000),
    ("AVAX", 3_582_000_000),
    ("LINK", 1_527_000_000),
    ("DOT", 645_000_000),
    ("LTC", 8_941_000_000),
    ("BCH", 48_730_000_000),
    ("TON", 553_000_000),
    ("XLM", 24_915_000),
    ("SHIB", 2_468),
    ("PEPE", 2_021),
    ("USD", DOLLAR),
    ("USDT", DOLLAR),
    ("USDC", DOLLAR),
    ("DAI", DOLLAR),
    ("EUR", 104_750_000),
    ("GBP", 125_890_000),
    ("JPY", 646_000),
];

#[cfg(test)]
mod tests {
    use super::super::testing::listen;
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    fn sim(symbols: &[&str], seed: u64) -> Sim {
        let symbols: Vec<String> = symbols.iter().map(ToString::to_string).collect();
        Sim::new(&symbols, Duration::from_millis(1), Rng::with_seed(seed))
    }

    fn prices(seed: u64) -> Vec<String> {
        let ticks = listen(sim(&["BTC/USDT", "ETH/USDT"], seed), 20);
        ticks.iter().map(|tick| tick.price.to_string()).collect()
    }

    #[test]
    fn every_symbol_ticks_on_every_beat_and_says_that_it_is_simulated() {
        let ticks = listen(sim(&["BTC/USDT", "sim:ETH/USDT", "sim:BTC/USDT"], 1), 6);
        let symbols: Vec<&str> = ticks.iter().map(|tick| &*tick.symbol).collect();
        assert_eq!(symbols, ["sim:BTC/USDT", "sim:ETH/USDT"].repeat(3));
        assert!(ticks[5].timestamp.abs_diff(unix_us() / 1_000) < 5_000);
    }

    #[test]
    fn the_first_prices_come_in_the_first_turn() {
        let mut sim = sim(&["BTC/USDT"], 1);
        sim.interval = Duration::from_secs(3_600);
        assert_eq!(listen(sim, 1)[0].price.as_str(), "97123.45");
    }

    #[test]
    fn the_same_seed_gives_the_same_prices() {
        assert_eq!(prices(7), prices(7));
        assert_ne!(prices(7), prices(8));
    }

    #[test]
    fn start_prices_are_plausible_and_their_ticks_fit_them() {
        for (pair, price) in [
            ("BTC/USDT", "97123.45"),
            ("BTC/USDT:USDT", "97123.45"),
            ("XRP/USD", "1.47"),
            ("DOGE/USDT", "0.38215"),
            ("SHIB/USDT", "0.000024680"),
            ("SHIB/BTC", "0.000000000254"),
            ("ETH/BTC", "0.034167"),
            ("USDT/JPY", "154.79"),
        ] {
            assert_eq!(Walk::new(pair).price().as_str(), price, "{pair}");
        }
        let unknown = Walk::new("NEWCOIN/USDT");
        assert!((1_000..=50_000).contains(&unknown.ticks));
        assert_eq!(unknown.decimals, 2);
    }

    #[test]
    fn a_long_walk_moves_by_small_steps_and_stays_near_its_start() {
        let mut rng = Rng::with_seed(3);
        for symbol in ["BTC/USDT", "XRP/USDT", "PEPE/BTC"] {
            let mut walk = Walk::new(symbol);
            let mut moved = 0;
            for _ in 0..20_000 {
                let before = walk.ticks;
                walk.step(&mut rng);
                assert!(walk.ticks.abs_diff(before) <= (before / 20_000).max(1));
                assert!((walk.lowest..=walk.highest).contains(&walk.ticks));
                moved += u32::from(walk.ticks != before);
            }
            assert!(moved > 8_000, "{symbol} moved {moved} times");
        }
    }

    proptest! {
        #[test]
        fn no_symbol_makes_a_price_of_zero(symbol in "\\PC{0,20}|[A-Z]{2,5}/(JPY|SHIB|BTC)") {
            let mut walk = Walk::new(&symbol);
            walk.step(&mut Rng::with_seed(1));
            prop_assert!(walk.ticks > 0);
            walk.price();
        }
    }
}
