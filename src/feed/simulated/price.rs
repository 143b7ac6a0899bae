//! Plausible prices: what assets are worth, and numbers of steps as decimals.

use crate::tick::Price;

/// `digits`, the last `decimals` of them behind the decimal point.
pub(super) fn decimal(sign: &str, digits: u128, decimals: u32) -> Price {
    let width = decimals as usize;
    // Built by hand, since formatting would be a fifth of the whole cost of a tick.
    let mut text = digits.to_string();
    if text.len() <= width {
        text.insert_str(0, &"0".repeat(width + 1 - text.len()));
    }
    if width > 0 {
        text.insert(text.len() - width, '.');
    }
    text.insert_str(0, sign);
    Price::parse(&text).expect("digits around a point")
}

/// A plausible price of `BASE/QUOTE`: the number of steps, and the decimals of a step that suits a
/// price of that size.
pub(super) fn start_price(pair: &str) -> (u64, u32) {
    let (_, quote) = pair.split_once('/').unwrap_or((pair, "USD"));
    // Derivatives in ccxt also name the currency they settle in: `BTC/USDT:USDT`.
    let quote = quote.split(':').next().unwrap_or(quote);
    let base = base_worth(pair);
    let quote = worth(quote).unwrap_or(DOLLAR);
    let in_steps = |decimals| base * 10_u128.pow(decimals) / quote;
    let decimals = if base >= quote {
        2
    } else {
        // Prices below one get five significant digits.
        (5..DECIMALS_MAX)
            .find(|&decimals| in_steps(decimals) >= 10_000)
            .unwrap_or(DECIMALS_MAX)
    };
    let steps = u64::try_from(in_steps(decimals)).unwrap_or(u64::MAX / 4);
    (steps.max(1), decimals)
}

/// What one unit of the base of `BASE/QUOTE` is worth, in units of `10^-8` dollars.
pub(super) fn base_worth(pair: &str) -> u128 {
    let base = pair.split('/').next().unwrap_or(pair);
    worth(base).unwrap_or_else(|| invented_worth(base))
}

/// What one unit of a well-known asset is worth, in units of `10^-8` dollars.
fn worth(asset: &str) -> Option<u128> {
    let known = WORTH.iter().find(|(name, _)| *name == asset);
    known.map(|&(_, worth)| worth)
}

/// Ten to five hundred dollars for an unknown asset, the same on every run.
fn invented_worth(asset: &str) -> u128 {
    let hash = asset.bytes().fold(7_u128, |hash, byte| {
        (hash * 31 + u128::from(byte)) % 1_000_003
    });
    (1_000 + hash % 49_000) * DOLLAR / 100
}

/// Enough for the price of SHIB in BTC.
const DECIMALS_MAX: u32 = 12;

/// A dollar, in units of `10^-8` dollars.
pub(super) const DOLLAR: u128 = 100_000_000;

/// Prices of late 2024, in units of `10^-8` dollars.
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
