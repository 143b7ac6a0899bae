//! Suggests symbols in place of one that an exchange does not know, and patterns in place of one
//! that matches no market. Pure: without a list of markets, the caller asks the exchange which of
//! the symbols exist.

use std::collections::HashMap;

use exchanges::Symbol;

use crate::feed::wanted::{Wanted, What};

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

/// What `wanted`, which stands for none of `list`, may be a typo of: the likeliest first.
pub(super) fn near(wanted: &Wanted, list: &[Symbol]) -> Vec<String> {
    let with = |what| Wanted {
        what,
        ..wanted.clone()
    };
    let candidates: Vec<Wanted> = match &wanted.what {
        What::Name(symbol) => {
            let mut bases = near_codes(symbol.base(), list.iter().map(Symbol::base));
            let mut quotes = near_codes(symbol.quote(), list.iter().map(Symbol::quote));
            bases.insert(0, symbol.base().to_owned());
            quotes.insert(0, symbol.quote().to_owned());
            // With none of them, any market of the same base.
            let of_base = list.iter().filter(|listed| listed.base() == symbol.base());
            let pairs = bases.iter().flat_map(|base| {
                let pair = move |quote: &String| format!("{base}/{quote}").parse().ok();
                quotes.iter().filter_map(pair)
            });
            let pairs: Vec<Symbol> = pairs.chain(of_base.cloned()).collect();
            let known = pairs
                .into_iter()
                .filter(|similar| list.binary_search(similar).is_ok());
            known.map(|symbol| with(What::Name(symbol))).collect()
        }
        What::Pattern { base, quote } => {
            let near_base = base.as_deref().map_or_else(Vec::new, |base| {
                near_codes(base, list.iter().map(Symbol::base))
            });
            let near_quote = quote.as_deref().map_or_else(Vec::new, |quote| {
                near_codes(quote, list.iter().map(Symbol::quote))
            });
            let bases = near_base.into_iter().map(|near| What::Pattern {
                base: Some(near),
                quote: quote.clone(),
            });
            let quotes = near_quote.into_iter().map(|near| What::Pattern {
                base: base.clone(),
                quote: Some(near),
            });
            bases.chain(quotes).map(with).collect()
        }
    };
    let mut near: Vec<String> = Vec::new();
    for candidate in candidates.iter().map(ToString::to_string) {
        if !near.contains(&candidate) && near.len() < NEAR_MAX {
            near.push(candidate);
        }
    }
    near
}

/// Those of `known` that `code` may be a typo of: the closest first, of these the commonest.
fn near_codes<'a>(code: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    known.for_each(|known| *counts.entry(known).or_default() += 1);
    let capitals = code.to_uppercase();
    let distance = |known: &str| {
        if known.to_uppercase() == capitals {
            0
        } else {
            strsim::damerau_levenshtein(&capitals, known)
        }
    };
    let counted = counts.into_iter().filter(|&(known, _)| known != code);
    let counted = counted.map(|(known, count)| (distance(known), count, known));
    let mut near: Vec<_> = counted
        .filter(|&(distance, ..)| distance <= TYPOS_MAX)
        .collect();
    near.sort_by_key(|&(distance, count, known)| (distance, std::cmp::Reverse(count), known));
    near.truncate(NEAR_MAX);
    near.into_iter()
        .map(|(.., known)| known.to_owned())
        .collect()
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

/// How many similar entries are suggested.
const NEAR_MAX: usize = 3;

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
