//! What the names of symbols may consist of, whether they come from `--symbols`, from `--source` or
//! from the lines of a script.

use exchanges::text::{is_deceptive, printable};

use super::wanted::Wanted;

/// The longest name of a symbol, in bytes; it leaves room for what the server puts before a name.
pub(crate) const NAME_LENGTH_MAX: usize = 53;

/// Whether a name has letters in any script and signs, but nothing that cannot be seen and nothing
/// that has a meaning in lists of symbols and in patterns.
pub(super) fn is_clear(name: &str) -> bool {
    let has_meaning = |c: char| matches!(c, ',' | '*');
    // Nearly all names are ASCII, and scripts write a million lines.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !has_meaning(byte.into());
    let is_odd = |c: char| has_meaning(c) || c.is_whitespace() || is_deceptive(c);
    name.bytes().all(is_plain) || !name.contains(is_odd)
}

/// Checks the name of a market.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn check_market(name: &str) -> Result<(), String> {
    let parts = name.split_once('/');
    let is_whole = parts
        .is_some_and(|(base, quote)| !base.is_empty() && !quote.is_empty() && !quote.contains('/'));
    if is_whole && is_clear(name) {
        check_length(name)
    } else {
        Err(invalid(name, "BASE/QUOTE, such as BTC/USDT"))
    }
}

/// Checks a pattern of names.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn check_pattern(pattern: &str) -> Result<(), String> {
    if !is_clear(&pattern.replace('*', "")) {
        return Err(invalid(pattern, "BASE/QUOTE, such as */USDT"));
    }
    Wanted::parse(pattern)?;
    check_length(pattern)
}

fn check_length(name: &str) -> Result<(), String> {
    if name.len() <= NAME_LENGTH_MAX {
        Ok(())
    } else {
        Err(invalid(name, &format!("at most {NAME_LENGTH_MAX} bytes")))
    }
}

fn invalid(name: &str, expected: &str) -> String {
    let name = printable(name);
    format!("invalid symbol '{name}': expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_has_two_parts_in_any_script() {
        for name in [
            "BTC/USDT",
            "币安人生/USDT",
            "BTC/USDT:USDT",
            "kraken:A/B",
            "1000🐸/€",
        ] {
            assert_eq!(check_market(name), Ok(()));
        }
        for name in [
            "BTC",
            "/USDT",
            "BTC/",
            "A/B/C",
            "A B/C",
            "A,B/C",
            "*/C",
            "A\u{202e}B/C",
            "A\u{200b}/C",
            "A\u{a0}/C",
            "A\n/C",
        ] {
            let error = check_market(name).unwrap_err();
            assert!(
                error.ends_with("': expected BASE/QUOTE, such as BTC/USDT"),
                "{error}"
            );
            assert!(!error.contains(is_deceptive), "{error}");
        }
    }

    #[test]
    fn a_pattern_is_as_clear_as_a_name() {
        for pattern in ["*", "*/USDT", "币安人生/*", "binance:*/EUR"] {
            assert_eq!(check_pattern(pattern), Ok(()));
        }
        for pattern in ["BT*/USDT", "*/A,B", "*/ A", "*/A\u{200b}"] {
            let error = check_pattern(pattern).unwrap_err();
            assert!(error.starts_with("invalid "), "{error}");
        }
    }

    #[test]
    fn the_length_is_counted_in_bytes() {
        let longest = format!("{}/USDT", "币".repeat(16));
        assert_eq!(longest.len(), NAME_LENGTH_MAX);
        assert_eq!(check_market(&longest), Ok(()));
        let error = check_market(&format!("A{longest}")).unwrap_err();
        assert!(error.ends_with("': expected at most 53 bytes"), "{error}");
        assert!(check_pattern(&format!("*/{longest}")).is_err());
    }
}
