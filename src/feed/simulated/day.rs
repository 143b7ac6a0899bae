//! The last 24 hours of a simulated market: the fields that a tick may have besides its price. The
//! hours before the start are made up, backwards from the first price; those after it are what the
//! prices were.
//!
//! Time is counted in ticks, so that a seed gives the same day on every run.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::price::{DOLLAR, decimal};
use crate::tick::{Field, FieldSet, Fields, Price};

/// The last 24 hours, by the hour.
pub(super) struct Day {
    /// Oldest first; the last one is not over.
    hours: VecDeque<Hour>,
    ticks_per_hour: u64,
    /// How many more ticks belong to the last hour.
    ticks_left: u64,
    /// Of all hours together.
    high: u64,
    low: u64,
    volume: Volume,
    /// The digits of a price after the decimal point, and those of a volume.
    decimals: u32,
    lot_decimals: u32,
    /// The most lots that are traded in a tick.
    lots_max: u64,
    price: u64,
    bid: Option<u64>,
    ask: u64,
}

/// One hour's prices, in steps.
#[derive(Clone, Copy)]
struct Hour {
    open: u64,
    high: u64,
    low: u64,
    volume: Volume,
}

/// What was traded: the smallest amounts that can be, and their sum in steps of the price.
#[derive(Clone, Copy, Default)]
struct Volume {
    lots: u128,
    turnover: u128,
}

impl Day {
    /// The day of a market whose price, in steps, has `decimals` decimals. One unit of its base is
    /// worth this many `10^-8` dollars, and it ticks once per interval.
    pub(super) fn new(
        (price, decimals): (u64, u32),
        worth: u128,
        interval: Duration,
        rng: &mut Rng,
    ) -> Self {
        let ticks_per_hour = (HOUR.as_nanos() / interval.as_nanos().max(1)).max(1);
        let lot_decimals = lot_decimals(worth);
        let dollars = u128::from(rng.u64(DOLLARS_MIN..=DOLLARS_MAX));
        let lots_a_day = dollars * DOLLAR * 10_u128.pow(lot_decimals) / worth.max(1);
        let lots_max = 2 * lots_a_day / (HOURS as u128 * ticks_per_hour);
        let mut day = Self {
            hours: VecDeque::from([Hour::begin(price)]),
            ticks_per_hour: u64::try_from(ticks_per_hour).unwrap_or(u64::MAX),
            ticks_left: 0,
            high: price,
            low: price,
            volume: Volume::default(),
            decimals,
            lot_decimals,
            lots_max: u64::try_from(lots_max).unwrap_or(u64::MAX).max(1),
            price,
            bid: None,
            ask: price,
        };
        day.ticks_left = day.ticks_per_hour;
        while day.hours.len() < HOURS {
            let close = day.hours[0].open;
            day.hours
                .push_front(Hour::before(close, lots_a_day / HOURS as u128, rng));
        }
        day.add_up();
        day.trade(price, rng);
        day
    }

    /// Takes the price of the next tick, in steps.
    pub(super) fn advance(&mut self, price: u64, rng: &mut Rng) {
        if self.ticks_left == 0 {
            self.hours.pop_front();
            self.hours.push_back(Hour::begin(price));
            self.ticks_left = self.ticks_per_hour;
            self.add_up();
        }
        self.ticks_left -= 1;
        self.trade(price, rng);
    }

    /// Trades some lots at `price`, between a bid and an ask around it.
    fn trade(&mut self, price: u64, rng: &mut Rng) {
        let reach = (price / 20_000).max(1);
        self.price = price;
        // No bid is lower than the smallest step.
        self.bid = Some(price.saturating_sub(rng.u64(1..=reach))).filter(|&bid| bid > 0);
        self.ask = price.saturating_add(rng.u64(1..=reach));
        let traded = Volume::of(rng.u64(1..=self.lots_max).into(), price);
        if let Some(hour) = self.hours.back_mut() {
            hour.take(price, traded);
        }
        (self.high, self.low) = (self.high.max(price), self.low.min(price));
        self.volume.add(traded);
    }

    fn add_up(&mut self) {
        let hours = self.hours.iter();
        (self.high, self.low) = (0, u64::MAX);
        self.volume = Volume::default();
        for hour in hours {
            self.high = self.high.max(hour.high);
            self.low = self.low.min(hour.low);
            self.volume.add(hour.volume);
        }
    }

    /// The fields of the last tick, as far as they are wanted.
    pub(super) fn fields(&self, wanted: FieldSet) -> Fields {
        let values = wanted.iter();
        values
            .filter_map(|field| Some((field, self.value(field)?)))
            .collect()
    }

    fn value(&self, field: Field) -> Option<Price> {
        let price = |steps: u64| decimal("", steps.into(), self.decimals);
        Some(match field {
            Field::Bid => price(self.bid?),
            Field::Ask => price(self.ask),
            Field::High => price(self.high),
            Field::Low => price(self.low),
            Field::Open => price(self.open()),
            Field::Change => self.change(),
            Field::Volume => decimal("", self.volume.lots, self.lot_decimals),
            Field::QuoteVolume => self.quote_volume(),
        })
    }

    fn open(&self) -> u64 {
        self.hours.front().map_or(self.price, |hour| hour.open)
    }

    /// The change since the day began, in thousandths of a per cent.
    fn change(&self) -> Price {
        let open = self.open();
        let change = u128::from(self.price.abs_diff(open)) * 100_000 / u128::from(open.max(1));
        let sign = if self.price < open && change > 0 {
            "-"
        } else {
            ""
        };
        decimal(sign, change, 3)
    }

    fn quote_volume(&self) -> Price {
        let decimals = self.decimals + self.lot_decimals;
        let shown = decimals.min(QUOTE_VOLUME_DECIMALS_MAX);
        decimal(
            "",
            self.volume.turnover / 10_u128.pow(decimals - shown),
            shown,
        )
    }
}

impl Hour {
    fn begin(price: u64) -> Self {
        Self {
            open: price,
            high: price,
            low: price,
            volume: Volume::default(),
        }
    }

    /// Makes up an hour that ended at the price `close`, with about `lots` traded.
    fn before(close: u64, lots: u128, rng: &mut Rng) -> Self {
        let reach = close / 250;
        let open = (close - reach).max(1) + rng.u64(0..=2 * reach);
        let beyond = |rng: &mut Rng| rng.u64(0..=reach / 2);
        let high = open.max(close) + beyond(rng);
        let low = open.min(close).saturating_sub(beyond(rng)).max(1);
        let traded = lots * u128::from(rng.u64(50..=150)) / 100;
        Self {
            open,
            high,
            low,
            volume: Volume::of(traded, u64::midpoint(open, close)),
        }
    }

    fn take(&mut self, price: u64, traded: Volume) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.volume.add(traded);
    }
}

impl Volume {
    fn of(lots: u128, price: u64) -> Self {
        Self {
            lots,
            turnover: lots.saturating_mul(price.into()),
        }
    }

    fn add(&mut self, other: Self) {
        self.lots = self.lots.saturating_add(other.lots);
        self.turnover = self.turnover.saturating_add(other.turnover);
    }
}

/// The digits of a volume after the decimal point: dear assets are traded in small parts.
fn lot_decimals(worth: u128) -> u32 {
    if worth >= 1_000 * DOLLAR {
        5
    } else if worth >= DOLLAR {
        3
    } else {
        0
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

const HOURS: usize = 24;

/// What a market trades in a day, in dollars.
const DOLLARS_MIN: u64 = 20_000_000;
const DOLLARS_MAX: u64 = 2_000_000_000;

/// More digits would be noise.
const QUOTE_VOLUME_DECIMALS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn day(price: u64, seed: u64) -> (Day, Rng) {
        let mut rng = Rng::with_seed(seed);
        let day = Day::new((price, 2), 100 * DOLLAR, MINUTE, &mut rng);
        (day, rng)
    }

    fn number(day: &Day, field: Field) -> f64 {
        day.value(field).unwrap().as_str().parse().unwrap()
    }

    #[test]
    fn bid_and_ask_lie_around_the_price_and_the_price_within_high_and_low() {
        for start in [2, 100, 9_712_345, u64::MAX / 4] {
            let (mut day, mut rng) = day(start, 1);
            for step in 0..5_000 {
                let price = start - start / 100 + rng.u64(0..=start / 50);
                day.advance(price.max(2), &mut rng);
                let bid = day.bid.unwrap();
                assert!(bid < day.price && day.price < day.ask, "step {step}");
                assert!(day.low <= day.price && day.price <= day.high);
                assert!(day.low <= day.open() && day.open() <= day.high);
            }
        }
    }

    #[test]
    fn the_smallest_possible_price_has_no_bid() {
        let (day, _) = day(1, 1);
        assert_eq!(day.value(Field::Bid), None);
        assert_eq!(day.fields(FieldSet::ALL).iter().count(), 7);
    }

    #[test]
    fn the_volume_grows_with_each_tick_of_an_hour() {
        let (mut day, mut rng) = day(10_000, 1);
        for _ in 0..60 {
            let before = [Field::Volume, Field::QuoteVolume].map(|field| number(&day, field));
            day.advance(10_000, &mut rng);
            let after = [Field::Volume, Field::QuoteVolume].map(|field| number(&day, field));
            assert!(after[0] > before[0] && after[1] > before[1]);
        }
        // A hundred dollars a unit.
        let mean = number(&day, Field::QuoteVolume) / number(&day, Field::Volume);
        assert!((90.0..110.0).contains(&mean), "{mean}");
    }

    #[test]
    fn after_a_day_of_ticks_only_these_count() {
        let (mut day, mut rng) = day(10_000, 1);
        let minutes = 24 * 60;
        for minute in 0..=minutes {
            day.advance(20_000 + minute, &mut rng);
        }
        assert_eq!(day.open(), 20_060, "the oldest hour is over");
        assert_eq!((day.low, day.high), (20_060, 20_000 + minutes));
        assert_eq!(day.value(Field::Change).unwrap().as_str(), "6.879");
        day.advance(10_030, &mut rng);
        assert_eq!(day.value(Field::Change).unwrap().as_str(), "-50.000");
        day.advance(20_060, &mut rng);
        assert_eq!(day.value(Field::Change).unwrap().as_str(), "0.000");
        assert_eq!(day.value(Field::Low).unwrap().as_str(), "100.30");
    }

    #[test]
    fn only_wanted_fields_are_given_and_they_do_not_depend_on_each_other() {
        let (one, _) = day(10_000, 7);
        let all = one.fields(FieldSet::ALL);
        assert_eq!(all.names(), FieldSet::ALL);
        let wanted: FieldSet = "ask,low".parse().unwrap();
        let some = one.fields(wanted);
        assert_eq!(some.names(), wanted);
        assert!(
            some.iter()
                .all(|(field, value)| all.get(field) == Some(value))
        );
        assert!(one.fields(FieldSet::default()).is_empty());
    }

    #[test]
    fn a_day_is_plausible_for_dear_and_for_cheap_assets() {
        for (worth, price, decimals) in [
            (9_712_345_000_000, 9_712_345, 2),
            (2_468, 24_680, 9),
            (2_021, 208, 12),
        ] {
            let mut rng = Rng::with_seed(3);
            let market = (price, decimals);
            let day = Day::new(market, worth, Duration::from_millis(250), &mut rng);
            let dollars = number(&day, Field::Volume) * worth as f64 / 1e8;
            assert!((1e7..3e9).contains(&dollars), "{dollars}");
            assert!(number(&day, Field::Change).abs() < 20.0);
        }
    }
}
