//! Suggests symbols in place of one that an exchange does not know. Pure: the caller asks the
//! exchange which of them exist.

use exchanges::Symbol;

/// Symbols to try in place of `symbol`, the likeliest first.
pub(super) fn candidates(symbol: &Symbol) -> Vec<Symbol> {
    let (base, quote) = (symbol.base().to_uppercase(), symbol.quote().to_uppercase());
    let (bases, quotes) = (like(&base, BASES), like(&quote, QUOTES));
    let mut pairs = Vec::new();
    for base in &bases {
        pairs.extend(quotes.iter().map(|quote| format!("{base}/{quote}")));
    }
    // The same base in other currencies, and the pair reversed.
    pairs.extend(QUOTES.iter().map(|quote| format!("{base}/{quote}")));
    pairs.push(format!("{quote}/{base}"));
    let mut candidates: Vec<Symbol> = Vec::new();
    for pair in pairs {
        let candidate = pair.parse().ok();
        let is_new =
            |new: &Symbol| new != symbol && new.base() != new.quote() && !candidates.contains(new);
        if let Some(candidate) = candidate.filter(is_new) {
            candidates.push(candidate);
        }
    }
    candidates.truncate(CANDIDATES_MAX);
    candidates
}

/// `code`, and the codes of `known` that it may be a typo of, the likeliest first.
fn like(code: &str, known: &[&str]) -> Vec<String> {
    let is_near = |known: &&&str| strsim::damerau_levenshtein(code, known) == TYPOS_MAX;
    let near = known.iter().filter(is_near).map(|&known| known.to_owned());
    let own = std::iter::once(code.to_owned());
    if known.contains(&code) {
        own.chain(near).collect()
    } else {
        near.chain(own).collect()
    }
}

/// Enough for a good guess, as each candidate costs a request.
const CANDIDATES_MAX: usize = 8;

/// With two typos, almost any three-letter code would be near any other.
const TYPOS_MAX: usize = 1;

/// Assets that are traded everywhere.
const BASES: &[&str] = &[
    "BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "LINK", "AVAX", "DOT", "LTC", "BCH",
];

/// Currencies that prices are quoted in, the commonest first.
const QUOTES: &[&str] = &["USDT", "USD", "USDC", "EUR", "BTC", "KRW"];

#[cfg(test)]
mod tests {
    use super::*;

    fn near(symbol: &str) -> Vec<String> {
        let candidates = candidates(&symbol.parse().unwrap());
        candidates.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn typos_are_corrected_first() {
        assert_eq!(near("BTC/UDST")[0], "BTC/USDT");
        assert_eq!(near("BTCC/USDT")[0], "BTC/USDT");
        assert_eq!(near("btc/usdt")[0], "BTC/USDT");
    }

    #[test]
    fn other_quote_currencies_and_the_reversed_pair_are_tried() {
        let near = near("BTC/USDT");
        assert_eq!(near[..2], ["BTC/USD", "BTC/USDC"]);
        assert!(near.contains(&"USDT/BTC".to_owned()));
        assert!(!near.contains(&"BTC/USDT".to_owned()) && !near.contains(&"BTC/BTC".to_owned()));
    }

    #[test]
    fn the_number_of_candidates_is_limited() {
        assert!(near("A/B").len() <= CANDIDATES_MAX);
    }
}
