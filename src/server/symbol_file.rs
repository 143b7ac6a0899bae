//! Reads lists of symbols, and of patterns of symbols, from files and command lines.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::error_text::plain;
use crate::feed::{NAME_LENGTH_MAX, check_market, check_pattern};
use crate::server::hub::SYMBOL_LENGTH_MAX;
use crate::tape::SYMBOLS_MAX;

/// Reads the symbols in a file, separated by lines, blanks or commas; `#` begins a comment.
///
/// # Errors
/// A sentence that names the file, and the invalid symbol.
pub(crate) fn symbols_of_file(file: &Path) -> Result<Vec<String>, String> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read {name}: {}", plain(&error)))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([',', ' ', '\t']));
    let words = words.filter(|word| !word.is_empty());
    match symbols(words) {
        Ok(symbols) if symbols.is_empty() => Err(format!("{name} has no symbols")),
        symbols => symbols.map_err(|error| format!("{name}: {error}")),
    }
}

/// Checks a list of symbols and patterns, each of which may occur once.
pub(crate) fn symbols<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut symbols = Vec::new();
    let mut known = HashSet::new();
    for symbol in words {
        if symbol.contains('*') {
            check_pattern(symbol)?;
        } else {
            check_market(symbol)?;
        }
        if !known.insert(symbol) {
            return Err(format!("duplicate symbol '{symbol}'"));
        }
        symbols.push(symbol.to_owned());
    }
    if symbols.len() > SYMBOLS_MAX {
        return Err(format!("more than {SYMBOLS_MAX} symbols"));
    }
    Ok(symbols)
}

// The server puts the names of sources before a name.
const _: () = assert!("replay:sim:".len() + NAME_LENGTH_MAX <= SYMBOL_LENGTH_MAX);
