//! Prices made up: a random walk per symbol, so that server and client can be tried, tested and
//! measured without an exchange. Every symbol reads `sim:…`; nobody shall take such a price for a
//! real one. A seed makes the walk repeatable.
//!
//! A price is a whole number of ticks, the smallest step that it can make; no float comes near it.

use std::ops::Range;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hashbrown::HashSet;
use ioloop::periodic::next_deadline;
use ioloop::{IoLoop, Wake};
use mio::Token;

use super::publish::{Feed, Publish};
use crate::tick::{Price, Tick, unix_us};

/// A feed of simulated prices.
pub struct Sim {
    walks: Vec<Walk>,
    interval: Duration,
    is_spread: bool,
    rng: Rng,
}

impl Sim {
    /// Simulates `symbols`, `BTC/USDT` or `sim:BTC/USDT`, each with a new price every `interval`,
    /// all at the same moment.
    pub fn new(symbols: &[String], interval: Duration, rng: Rng) -> Self {
        let mut known = HashSet::new();
        let walks = symbols.iter().map(|symbol| Walk::new(symbol));
        Self {
            walks: walks
                .filter(|walk| known.insert(walk.symbol.clone()))
                .collect(),
            interval,
            is_spread: false,
            rng,
        }
    }

    /// Spreads the symbols evenly over the interval, one after the other, if `is_spread`.
    #[must_use]
    pub fn spread(self, is_spread: bool) -> Self {
        Self { is_spread, ..self }
    }

    fn begin_to_spread(&self, now: Instant) -> Option<Spread> {
        let spread = || Spread::new(self.walks.len(), self.interval, now);
        self.is_spread.then(spread)
    }

    fn period(&self, spread: Option<&Spread>) -> Duration {
        spread.map_or(self.interval, Spread::period)
    }

    /// Has new prices at `beat`, and then again and again; how often may change with the symbols, which
    /// may happen before.
    fn beat_at<S: Publish>(mut self: Box<Self>, mut next: Next, io_loop: &mut IoLoop<S>) {
        let (token, beat) = (next.token, next.beat);
        io_loop.call_when_ready(token, Some(beat), move |state: &mut S, io_loop, wake| {
            if let Some(wanted) = state.take_wanted() {
                let changes = self.changes(&wanted);
                return self.follow(changes, next, state, io_loop);
            }
            if wake == Wake::TimedOut {
                let now = io_loop.time();
                let places = next.spread.as_mut().map(|spread| spread.due(now));
                self.publish(places.unwrap_or(0..self.walks.len()), state, io_loop);
                let period = self.period(next.spread.as_ref());
                next.beat = next_deadline(beat, period, io_loop.time());
            }
            self.beat_at(next, io_loop);
        });
    }

    /// Ends the walks of all symbols but these, and finds what else has to be done to have these.
    fn changes(&mut self, wanted: &[String]) -> Changes {
        let names: Vec<String> = wanted.iter().map(|symbol| full_name(symbol)).collect();
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.walks)
            .into_iter()
            .partition(|walk| wanted.contains(&*walk.symbol));
        let come = {
            let mut known: HashSet<&str> = stay.iter().map(|walk| &*walk.symbol).collect();
            let come = names.iter().filter(|name| known.insert(name));
            come.cloned().collect()
        };
        let go = go.into_iter().map(|walk| walk.symbol).collect();
        self.walks = stay;
        Changes { go, come }
    }

    /// Simulates other symbols from now on, a turn's share of them at a time, and then goes on with
    /// its beats; those that stay go on from their prices.
    fn follow<S: Publish>(
        mut self: Box<Self>,
        mut changes: Changes,
        mut next: Next,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) {
        let go = some(&mut changes.go);
        if go.is_empty() {
            self.add(&some(&mut changes.come), state, io_loop);
        } else {
            state.delist(io_loop, &go);
        }
        if !changes.is_empty() {
            return io_loop.add_callback(|state, io_loop| {
                self.follow(changes, next, state, io_loop);
            });
        }
        if let Some(wanted) = state.take_wanted() {
            let changes = self.changes(&wanted);
            return self.follow(changes, next, state, io_loop);
        }
        next.spread = self.begin_to_spread(io_loop.time());
        let period = self.period(next.spread.as_ref());
        next.beat = next.beat.min(io_loop.time() + period);
        self.beat_at(next, io_loop);
    }

    /// Adds symbols, with their start prices.
    fn add<S: Publish>(&mut self, symbols: &[String], state: &mut S, io_loop: &mut IoLoop<S>) {
        state.list(io_loop, symbols);
        let timestamp = unix_us() / 1_000;
        for symbol in symbols {
            let walk = Walk::new(symbol);
            state.publish(io_loop, walk.tick(timestamp));
            self.walks.push(walk);
        }
    }

    /// Moves the walks at these places, counted on beyond the last one, and publishes them.
    fn publish<S: Publish>(
        &mut self,
        places: Range<usize>,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) {
        let timestamp = unix_us() / 1_000;
        let count = self.walks.len();
        for place in places {
            let walk = &mut self.walks[place % count];
            walk.step(&mut self.rng);
            state.publish(io_loop, walk.tick(timestamp));
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

    fn follows_symbols(&self) -> bool {
        true
    }

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        io_loop.add_callback(move |state, io_loop| {
            // The start prices go out before anybody can have joined, so everybody finds one.
            let timestamp = unix_us() / 1_000;
            for walk in &self.walks {
                state.publish(io_loop, walk.tick(timestamp));
            }
            let token = io_loop.registrar().token();
            state.wake_for_wanted(token);
            let spread = self.begin_to_spread(io_loop.time());
            let beat = io_loop.time() + self.period(spread.as_ref());
            self.beat_at(
                Next {
                    beat,
                    spread,
                    token,
                },
                io_loop,
            );
        });
    }
}

/// What a simulation waits for.
struct Next {
    beat: Instant,
    spread: Option<Spread>,
    /// The wait ends early when other symbols are wanted.
    token: Token,
}

/// Symbols that are no longer simulated, and those that are from now on.
struct Changes {
    go: Vec<String>,
    come: Vec<String>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.go.is_empty() && self.come.is_empty()
    }
}

/// Takes a turn's share of symbols, in their order.
fn some(symbols: &mut Vec<String>) -> Vec<String> {
    let later = symbols.split_off(symbols.len().min(CHANGES_PER_TURN));
    std::mem::replace(symbols, later)
}

/// When which symbol is due, if they are spread over the interval.
struct Spread {
    symbols: usize,
    interval: Duration,
    began: Instant,
    /// How many prices there have been since, of all symbols.
    done: usize,
}

impl Spread {
    fn new(symbols: usize, interval: Duration, began: Instant) -> Self {
        Self {
            symbols,
            interval,
            began,
            done: 0,
        }
    }

    /// How often to look for what is due. Where one symbol at a time would be too often for a
    /// timer, a few share a beat.
    fn period(&self) -> Duration {
        let symbols = u32::try_from(self.symbols).unwrap_or(u32::MAX).max(1);
        (self.interval / symbols).max(PERIOD_MIN.min(self.interval))
    }

    /// The prices that are due, by number. None is lost to a late timer; after a longer pause each
    /// symbol comes once, and what else was missed is skipped, never caught up.
    fn due(&mut self, now: Instant) -> Range<usize> {
        let elapsed = now.saturating_duration_since(self.began).as_nanos();
        let due = elapsed * self.symbols as u128 / self.interval.as_nanos();
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        let first = self.done.max(due.saturating_sub(self.symbols));
        self.done = due.max(self.done);
        first..due
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
        let symbol = full_name(symbol);
        let (ticks, decimals) = start_price(&symbol[PREFIX.len()..]);
        Self {
            symbol,
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

    fn tick(&self, timestamp: u64) -> Tick {
        Tick {
            symbol: self.symbol.clone(),
            price: self.price(),
            timestamp,
        }
    }

    fn price(&self) -> Price {
        let width = self.decimals as usize;
        // By hand: formatting would take a fifth of what a tick costs in all.
        let mut text = self.ticks.to_string();
        if text.len() <= width {
            text.insert_str(0, &"0".repeat(width + 1 - text.len()));
        }
        text.insert(text.len() - width, '.');
        Price::parse(&text).expect("digits around a point")
    }
}

/// A symbol as it reads on the wire, with the prefix once.
fn full_name(symbol: &str) -> String {
    format!("{PREFIX}{}", symbol.strip_prefix(PREFIX).unwrap_or(symbol))
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

/// Symbols that come or go in one turn of the loop: about a millisecond's work.
const CHANGES_PER_TURN: usize = 500;

/// More timers than that would cost more than the prices.
const PERIOD_MIN: Duration = Duration::from_micros(100);

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
    fn spread_symbols_tick_one_after_the_other_and_equally_often() {
        let mut sim = sim(&["BTC/USDT", "ETH/USDT", "SOL/USDT"], 1);
        // So long that hardly any pause of a busy machine takes all of it.
        sim.interval = Duration::from_millis(60);
        let ticks = listen(sim.spread(true), 30);
        let symbols = |ticks: &[Tick]| -> Vec<String> {
            ticks.iter().map(|tick| tick.symbol.clone()).collect()
        };
        let round = ["sim:BTC/USDT", "sim:ETH/USDT", "sim:SOL/USDT"];
        assert_eq!(symbols(&ticks[..3]), round);
        // A pause may leave some out, but changes neither their order nor that each has its turn.
        let next =
            |symbol: &str| round[(round.iter().position(|it| *it == symbol).unwrap() + 1) % 3];
        let turns = symbols(&ticks[3..]);
        assert!(
            turns
                .windows(2)
                .filter(|two| next(&two[0]) != two[1])
                .count()
                <= 2
        );
    }

    #[test]
    fn a_spread_is_even_whatever_the_timer_does() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut spread = Spread::new(500, Duration::from_millis(250), start);
        assert_eq!(spread.period(), Duration::from_micros(500));
        assert_eq!(spread.due(start), 0..0);
        assert_eq!(spread.due(ms(1)), 0..2);
        assert_eq!(spread.due(ms(1)), 2..2);
        assert_eq!(spread.due(ms(250)), 2..500);
        // A pause of ten seconds: each symbol once.
        assert_eq!(spread.due(ms(10_250)), 20_000..20_500);
        assert_eq!(spread.due(ms(10_251)), 20_500..20_502);
    }

    #[test]
    fn a_spread_over_no_time_shares_beats() {
        let spread = |symbols, us| Spread::new(symbols, Duration::from_micros(us), Instant::now());
        assert_eq!(spread(5_000, 250_000).period(), Duration::from_micros(100));
        assert_eq!(spread(3, 50).period(), Duration::from_micros(50));
        assert_eq!(spread(0, 1_000).period(), Duration::from_millis(1));
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
