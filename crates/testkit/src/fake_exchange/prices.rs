//! The prices of the fake exchange: a random walk without pauses, and a record of the prices sent.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::fault::Fault;

/// A price with its bid and ask, as plain decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    pub(super) last: String,
    pub(super) bid: String,
    pub(super) ask: String,
}

/// The price number `serial` of a symbol at an exchange: always the same, and different from that
/// of any nearby serial. Its last four digits are those of the serial, so that a missing or
/// repeated price is easily seen, and trailing zeros occur.
pub(super) fn price(seed: u64, exchange: &str, symbol: &str, serial: u64) -> Quoted {
    let (base, quote) = symbol.split_once('/').unwrap_or((symbol, ""));
    let (mut lead, mut decimals) = match base {
        "BTC" => (9_712_345, 2),
        "ETH" => (331_045, 2),
        "SOL" => (24_150, 2),
        "DOGE" => (38_125, 5),
        "SHIB" => (24_150, 9),
        _ => {
            let hash = hashed(&(seed, symbol));
            (10_000 + hash % 90_000, hash / 90_000 % 5)
        }
    };
    if quote == "KRW" {
        lead *= 14;
        decimals = decimals.saturating_sub(2);
    }
    // Up and down by one percent, in two hundred irregular steps each.
    let phase = serial % 400;
    let slope = phase.min(400 - phase) * lead / 20_000;
    let noise = hashed(&(seed, exchange, symbol, serial)) % (lead / 2_000 + 2);
    let step = lead / 10_000 + 1;
    let middle = lead + slope + noise;
    let decimal = |lead: u64| decimal(lead * SERIALS + serial % SERIALS, decimals + 4);
    Quoted {
        last: decimal(middle),
        bid: decimal(middle - step),
        ask: decimal(middle + step),
    }
}

/// The last digits repeat after this many prices.
const SERIALS: u64 = 10_000;

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// `units` with the decimal point `decimals` digits from the end.
fn decimal(units: u64, decimals: u64) -> String {
    let decimals = usize::try_from(decimals).expect("a handful");
    let digits = format!("{units:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{whole}.{fraction}")
}

/// The same number in the notation that some exchanges use for small ones: `2.4150e-5`.
pub(super) fn with_exponent(decimal: &str) -> Option<String> {
    let fraction = decimal.strip_prefix("0.")?;
    let digits = fraction.trim_start_matches('0');
    let zeros = fraction.len() - digits.len();
    let (first, rest) = digits.split_at_checked(1)?;
    (zeros >= 3).then(|| format!("{first}.{rest}e-{}", zeros + 1))
}

/// The same number with at least eight decimals, as exchanges with scaled prices have them.
pub(super) fn padded(decimal: &str) -> String {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}.{fraction:0<SCALE$}")
}

/// A padded number times 10^8: an integer unless it has more decimals.
pub(super) fn scaled(padded: &str) -> String {
    let (whole, fraction) = padded.split_once('.').unwrap_or((padded, ""));
    let fraction = format!("{fraction:0<SCALE$}");
    let (moved, rest) = fraction.split_at(SCALE);
    let digits = format!("{whole}{moved}");
    let integer = match digits.trim_start_matches('0') {
        "" => "0",
        integer => integer,
    };
    match rest {
        "" => integer.to_owned(),
        rest => format!("{integer}.{rest}"),
    }
}

/// The decimals that a scaled price has no more.
const SCALE: usize = 8;

/// A price that was sent to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The source in the format of the server's command line: `binance` or `binance+stream`.
    pub source: String,
    /// The symbol in unified notation.
    pub symbol: String,
    /// The digits in the plain form that a client should convert them to.
    pub price: String,
    /// The time sent with the price, in Unix ms, if any.
    pub timestamp_ms: Option<u64>,
    /// The number of the connection, counted from 1.
    pub connection: u64,
    /// The fault that struck it.
    pub fault: Fault,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Some of it has not been passed to the system yet.
    Sending,
    /// All of it was sent intact: the client must receive it once.
    Good,
    /// It was cut off or damaged on purpose: the client must not accept it as a price.
    Spoiled,
    /// The client had hung up.
    Lost,
}

/// All prices sent, in order.
#[derive(Debug, Default)]
pub(super) struct Book {
    serials: HashMap<(&'static str, String), u64>,
    deliveries: VecDeque<Delivery>,
    /// How many were removed from the front.
    forgotten: usize,
}

impl Book {
    /// The serial of a symbol's next price; the last one again unless the price `changes`.
    pub(super) fn serial(&mut self, exchange: &'static str, symbol: &str, changes: bool) -> u64 {
        let key = (exchange, symbol.to_owned());
        let next = self.serials.entry(key).or_default();
        *next += u64::from(changes || *next == 0);
        *next - 1
    }

    /// Records a delivery and returns its number.
    pub(super) fn note(&mut self, delivery: Delivery) -> usize {
        if self.deliveries.len() == DELIVERIES_MAX {
            self.deliveries.pop_front();
            self.forgotten += 1;
        }
        self.deliveries.push_back(delivery);
        self.forgotten + self.deliveries.len() - 1
    }

    pub(super) fn settle(&mut self, numbers: &[usize], outcome: Outcome) {
        for number in numbers {
            let index = number.checked_sub(self.forgotten);
            if let Some(delivery) = index.and_then(|index| self.deliveries.get_mut(index)) {
                delivery.outcome = outcome;
            }
        }
    }

    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter()
    }
}

/// About 100 MB; ten minutes at a thousand prices a second.
const DELIVERIES_MAX: usize = 600_000;
