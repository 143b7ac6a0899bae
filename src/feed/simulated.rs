//! Simulated prices: a random walk per symbol, to try, test and measure server and client without
//! an exchange. Every symbol is named `sim:…`, so such a price is never mistaken for a real one. A
//! seed makes the walk repeatable.
//!
//! A price is a whole number of steps, the smallest by which it can change, and never a float.

mod day;
mod price;

use std::ops::Range;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hashbrown::HashSet;
use ioloop::periodic::next_deadline;
use ioloop::{IoLoop, Wake};
use mio::Token;

use self::day::Day;
use self::price::{base_worth, decimal, start_price};
use super::publish::{Feed, Publish};
use super::wanted::is_pattern;
use crate::tape::SYMBOLS_MAX;
use crate::tick::{FieldSet, Price, Tick, unix_us};

/// A feed of simulated prices.
pub struct Sim {
    walks: Vec<Walk>,
    interval: Duration,
    is_spread: bool,
    rng: Rng,
    fields: FieldSet,
    /// Apart from the prices', which are the same with and without fields.
    fields_rng: Rng,
}

impl Sim {
    /// Simulates `symbols`, written as `BTC/USDT` or `sim:BTC/USDT`. All get a new price at the
    /// same moment, once per `interval`.
    pub fn new(symbols: &[String], interval: Duration, rng: Rng) -> Self {
        let mut known = HashSet::new();
        let walks = symbols.iter().map(|symbol| Walk::new(symbol));
        Self {
            walks: walks
                .filter(|walk| known.insert(walk.symbol.clone()))
                .collect(),
            interval,
            is_spread: false,
            fields: FieldSet::default(),
            fields_rng: Rng::with_seed(rng.get_seed() ^ FIELDS_SEED),
            rng,
        }
    }

    /// Gives ticks these fields, too.
    #[must_use]
    pub fn with_fields(mut self, fields: FieldSet) -> Self {
        self.fields = fields;
        let mut walks = std::mem::take(&mut self.walks);
        walks.iter_mut().for_each(|walk| self.begin_day(walk));
        Self { walks, ..self }
    }

    /// Gives a walk a day to tell about, if ticks are to have fields.
    fn begin_day(&mut self, walk: &mut Walk) {
        if !self.fields.is_empty() {
            let market = (walk.steps, walk.decimals);
            let worth = base_worth(&walk.symbol[PREFIX.len()..]);
            let day = Day::new(market, worth, self.interval, &mut self.fields_rng);
            walk.day = Some(Box::new(day));
        }
    }

    /// If `is_spread`, spreads the new prices evenly over the interval, one symbol after the other.
    #[must_use]
    pub fn spread(self, is_spread: bool) -> Self {
        Self { is_spread, ..self }
    }

    fn start_spread(&self, now: Instant) -> Option<Spread> {
        let spread = || Spread::new(self.walks.len(), self.interval, now);
        self.is_spread.then(spread)
    }

    fn period(&self, spread: Option<&Spread>) -> Duration {
        spread.map_or(self.interval, Spread::period)
    }

    /// Waits for the next beat, publishes new prices and repeats. The symbols may change while it
    /// waits, and with them the period.
    fn wait<S: Publish>(mut self: Box<Self>, mut next: NextBeat, io_loop: &mut IoLoop<S>) {
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
            self.wait(next, io_loop);
        });
    }

    /// Ends the walks of symbols that are no longer wanted, and finds out which symbols to delist
    /// and which to add.
    fn changes(&mut self, wanted: &[String]) -> Changes {
        if let Some(pattern) = wanted.iter().find(|symbol| is_pattern(symbol)) {
            log::warn!("leaving out {pattern}: a simulation needs the names of its symbols");
        }
        let names = wanted.iter().filter(|symbol| !is_pattern(symbol));
        let names: Vec<String> = names.map(|symbol| full_name(symbol)).collect();
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        let (kept, removed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.walks)
            .into_iter()
            .partition(|walk| wanted.contains(&*walk.symbol));
        let added = {
            let mut known: HashSet<&str> = kept.iter().map(|walk| &*walk.symbol).collect();
            let added = names.iter().filter(|name| known.insert(name));
            added.cloned().collect()
        };
        let removed = removed.into_iter().map(|walk| walk.symbol).collect();
        self.walks = kept;
        Changes {
            removed,
            added,
            ..Changes::default()
        }
    }

    /// Applies changes of the symbols, a bounded number of them per turn, and then waits for the
    /// next beat. Symbols that stay continue from their prices.
    fn follow<S: Publish>(
        mut self: Box<Self>,
        mut changes: Changes,
        mut next: NextBeat,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) {
        let removed = take_some(&mut changes.removed);
        if removed.is_empty() {
            let added = take_some(&mut changes.added);
            let left_out = self.add(&added, state, io_loop);
            changes.added_count += added.len() - left_out;
            changes.left_out_count += left_out;
        } else {
            state.delist(io_loop, &removed);
            changes.removed_count += removed.len();
        }
        if !changes.is_empty() {
            return io_loop.add_callback(|state, io_loop| {
                self.follow(changes, next, state, io_loop);
            });
        }
        changes.log();
        if let Some(wanted) = state.take_wanted() {
            let changes = self.changes(&wanted);
            return self.follow(changes, next, state, io_loop);
        }
        next.spread = self.start_spread(io_loop.time());
        let period = self.period(next.spread.as_ref());
        next.beat = next.beat.min(io_loop.time() + period);
        self.wait(next, io_loop);
    }

    /// Adds symbols, with their start prices, as far as there is room. Returns how many found none:
    /// they do not walk, so that they count as missing when the symbols change again.
    fn add<S: Publish>(
        &mut self,
        symbols: &[String],
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) -> usize {
        let left_out = state.list(io_loop, symbols);
        let timestamp = unix_us() / 1_000;
        for symbol in &symbols[..symbols.len() - left_out] {
            let mut walk = Walk::new(symbol);
            self.begin_day(&mut walk);
            state.publish(io_loop, walk.tick(timestamp, self.fields));
            self.walks.push(walk);
        }
        left_out
    }

    /// Moves the walks at `places` and publishes their prices. Places beyond the last walk start
    /// over with the first.
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
            walk.advance(&mut self.rng);
            if let Some(day) = &mut walk.day {
                day.advance(walk.steps, &mut self.fields_rng);
            }
            state.publish(io_loop, walk.tick(timestamp, self.fields));
        }
    }
}

impl<S: Publish> Feed<S> for Sim {
    fn symbols(&self) -> Vec<String> {
        self.walks.iter().map(|walk| walk.symbol.clone()).collect()
    }

    fn describe(&self) -> String {
        format!("prices are simulated (symbols begin with {PREFIX}); {WAY_TO_REAL_PRICES}")
    }

    fn follows_symbols(&self) -> bool {
        true
    }

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        io_loop.add_callback(move |state, io_loop| {
            // Publish the start prices before the first client can join, so that each finds one.
            let timestamp = unix_us() / 1_000;
            for walk in &self.walks {
                state.publish(io_loop, walk.tick(timestamp, self.fields));
            }
            let token = io_loop.registrar().token();
            state.wake_for_wanted(token);
            let spread = self.start_spread(io_loop.time());
            let beat = io_loop.time() + self.period(spread.as_ref());
            self.wait(
                NextBeat {
                    beat,
                    spread,
                    token,
                },
                io_loop,
            );
        });
    }
}

/// The next beat, and what else may end the wait for it.
struct NextBeat {
    beat: Instant,
    spread: Option<Spread>,
    /// Ends the wait early when the user wants other symbols.
    token: Token,
}

/// Changes to the symbols.
#[derive(Default)]
struct Changes {
    /// Symbols that have not been removed or added yet.
    removed: Vec<String>,
    added: Vec<String>,
    /// How many have been, and how many found no room.
    removed_count: usize,
    added_count: usize,
    left_out_count: usize,
}

impl Changes {
    /// Logs them, once they are made.
    fn log(&self) {
        log::info!(
            "reloaded the symbols: {} added, {} removed",
            self.added_count,
            self.removed_count
        );
        if self.left_out_count > 0 {
            log::warn!(
                "cannot add {} symbols: a server can have at most {SYMBOLS_MAX}, and removed ones \
                 count until their last ticks are off the tape; the next SIGHUP tries again",
                self.left_out_count
            );
        }
    }

    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// Takes as many symbols as one turn may change, from the front.
fn take_some(symbols: &mut Vec<String>) -> Vec<String> {
    let later = symbols.split_off(symbols.len().min(CHANGES_PER_TURN));
    std::mem::replace(symbols, later)
}

/// The schedule of symbols that are spread over the interval.
struct Spread {
    symbols: usize,
    interval: Duration,
    began: Instant,
    /// How many prices have been published since then, of all symbols.
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

    /// The time between two beats. Several symbols share a beat if one beat per symbol would be too
    /// often for a timer.
    fn period(&self) -> Duration {
        let symbols = u32::try_from(self.symbols).unwrap_or(u32::MAX).max(1);
        (self.interval / symbols).max(PERIOD_MIN.min(self.interval))
    }

    /// The prices that are due, by number. A late timer loses none of them. After a longer pause
    /// each symbol is due once, and the other missed prices are skipped, never caught up.
    fn due(&mut self, now: Instant) -> Range<usize> {
        let elapsed = now.saturating_duration_since(self.began).as_nanos();
        let due = elapsed * self.symbols as u128 / self.interval.as_nanos();
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        let first = self.done.max(due.saturating_sub(self.symbols));
        self.done = due.max(self.done);
        first..due
    }
}

/// The random walk of one symbol's price.
struct Walk {
    symbol: String,
    /// The price, in steps.
    steps: u64,
    /// The digits after the decimal point: a step is ten to the minus this.
    decimals: u32,
    /// The limits of the walk, which keep a long one plausible and above zero.
    lowest: u64,
    highest: u64,
    /// What the fields besides the price are made of, if there are any.
    day: Option<Box<Day>>,
}

impl Walk {
    fn new(symbol: &str) -> Self {
        let symbol = full_name(symbol);
        let (steps, decimals) = start_price(&symbol[PREFIX.len()..]);
        Self {
            symbol,
            steps,
            decimals,
            lowest: (steps / 2).max(1),
            highest: steps * 2,
            day: None,
        }
    }

    /// Moves the price; small moves are likelier than large ones. At four moves a second, this
    /// reach adds up to about one percent a day, as in calm markets.
    fn advance(&mut self, rng: &mut Rng) {
        let reach = (self.steps / 20_000).max(1);
        let (up, down) = (rng.u64(0..=reach), rng.u64(0..=reach));
        self.steps = (self.steps + up)
            .saturating_sub(down)
            .clamp(self.lowest, self.highest);
    }

    fn tick(&self, timestamp: u64, wanted: FieldSet) -> Tick {
        let fields = self.day.as_ref().map(|day| day.fields(wanted));
        Tick {
            symbol: self.symbol.clone(),
            price: self.price(),
            timestamp,
            fields: fields.unwrap_or_default(),
        }
    }

    fn price(&self) -> Price {
        decimal("", self.steps.into(), self.decimals)
    }
}

/// The name of a symbol on the wire, with the prefix exactly once.
fn full_name(symbol: &str) -> String {
    format!("{PREFIX}{}", symbol.strip_prefix(PREFIX).unwrap_or(symbol))
}

const PREFIX: &str = "sim:";

/// The end of the line that says that prices are simulated.
const WAY_TO_REAL_PRICES: &str = "for real ones use --source binance or another exchange";

/// Turns the seed of the prices into that of the fields.
const FIELDS_SEED: u64 = 0x5eed_0ff1_e1d5;

/// How many symbols are added or removed in one turn of the loop: about a millisecond of work.
const CHANGES_PER_TURN: usize = 500;

/// With shorter periods the timers would cost more than the prices.
const PERIOD_MIN: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::super::testing::{Audience, listen};
    use super::*;
    use crate::tick::Fields;
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
    fn every_symbol_ticks_on_every_beat_under_a_simulated_name() {
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
    fn fields_are_as_repeatable_as_prices_and_do_not_change_them() {
        let ticks = |seed, fields: &str| {
            let sim = sim(&["BTC/USDT", "SHIB/BTC"], seed);
            listen(sim.with_fields(fields.parse().unwrap()), 40)
        };
        let told = |ticks: &[Tick]| -> Vec<(Price, Fields)> {
            let ticks = ticks.iter();
            ticks
                .map(|tick| (tick.price.clone(), tick.fields.clone()))
                .collect()
        };
        let all = FieldSet::ALL.to_string();
        let first = ticks(7, &all);
        assert_eq!(told(&first), told(&ticks(7, &all)));
        assert_ne!(told(&first), told(&ticks(8, &all)));
        assert!(
            first
                .iter()
                .all(|tick| tick.fields.names() == FieldSet::ALL)
        );
        let of_price: Vec<String> = listen(sim(&["BTC/USDT", "SHIB/BTC"], 7), 40)
            .iter()
            .map(|tick| tick.price.to_string())
            .collect();
        assert!(first.iter().map(|tick| tick.price.as_str()).eq(of_price));
        let some = ticks(7, "low,bid");
        for (one, other) in some.iter().zip(&first) {
            assert_eq!(one.fields.names().to_string(), "bid, low");
            assert!(
                one.fields
                    .iter()
                    .all(|(field, value)| other.fields.get(field) == Some(value))
            );
        }
    }

    #[test]
    fn symbols_that_find_no_room_are_added_when_they_are_wanted_again() {
        let mut sim = sim(&["BTC/USDT", "ETH/USDT"], 1);
        let mut io_loop = IoLoop::new().unwrap();
        let mut market = Audience::new(usize::MAX, 1);
        let wanted = ["BTC/USDT", "SOL/USDT", "XRP/USDT"].map(String::from);
        let changes = sim.changes(&wanted);
        assert_eq!(changes.removed, ["sim:ETH/USDT"]);
        assert_eq!(changes.added, ["sim:SOL/USDT", "sim:XRP/USDT"]);
        assert_eq!(sim.add(&changes.added, &mut market, &mut io_loop), 1);
        let ticks = market.ticks.iter().map(|tick| &*tick.symbol);
        assert!(ticks.eq(["sim:SOL/USDT"]), "what is not listed has no tick");
        let again = sim.changes(&wanted);
        assert_eq!(
            (again.removed.len(), &*again.added),
            (0, &changes.added[1..])
        );
    }

    #[test]
    fn spread_symbols_tick_one_after_the_other_and_equally_often() {
        let mut sim = sim(&["BTC/USDT", "ETH/USDT", "SOL/USDT"], 1);
        // Longer than almost any pause of a busy machine.
        sim.interval = Duration::from_millis(60);
        let ticks = listen(sim.spread(true), 30);
        let symbols = |ticks: &[Tick]| -> Vec<String> {
            ticks.iter().map(|tick| tick.symbol.clone()).collect()
        };
        let round = ["sim:BTC/USDT", "sim:ETH/USDT", "sim:SOL/USDT"];
        assert_eq!(symbols(&ticks[..3]), round);
        // A pause may skip some, but the symbols keep their order and each gets its turn.
        let next = |symbol: &str| {
            let place = round.iter().position(|known| *known == symbol).unwrap();
            round[(place + 1) % 3]
        };
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
    fn a_spread_stays_even_when_timers_are_late() {
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
    fn symbols_share_beats_if_the_interval_is_short() {
        let spread = |symbols, us| Spread::new(symbols, Duration::from_micros(us), Instant::now());
        assert_eq!(spread(5_000, 250_000).period(), Duration::from_micros(100));
        assert_eq!(spread(3, 50).period(), Duration::from_micros(50));
        assert_eq!(spread(0, 1_000).period(), Duration::from_millis(1));
    }

    #[test]
    fn start_prices_are_plausible_and_have_fitting_decimals() {
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
        assert!((1_000..=50_000).contains(&unknown.steps));
        assert_eq!(unknown.decimals, 2);
    }

    #[test]
    fn a_long_walk_moves_by_small_steps_and_stays_near_its_start() {
        let mut rng = Rng::with_seed(3);
        for symbol in ["BTC/USDT", "XRP/USDT", "PEPE/BTC"] {
            let mut walk = Walk::new(symbol);
            let mut moved = 0;
            for _ in 0..20_000 {
                let before = walk.steps;
                walk.advance(&mut rng);
                assert!(walk.steps.abs_diff(before) <= (before / 20_000).max(1));
                assert!((walk.lowest..=walk.highest).contains(&walk.steps));
                moved += u32::from(walk.steps != before);
            }
            assert!(moved > 8_000, "{symbol} moved {moved} times");
        }
    }

    proptest! {
        #[test]
        fn no_symbol_gets_a_price_of_zero(symbol in "\\PC{0,20}|[A-Z]{2,5}/(JPY|SHIB|BTC)") {
            let mut walk = Walk::new(&symbol);
            walk.advance(&mut Rng::with_seed(1));
            prop_assert!(walk.steps > 0);
            walk.price();
        }
    }
}
