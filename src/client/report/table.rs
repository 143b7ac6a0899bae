//! A table for people: rows of a label, a right-aligned number, and the unit or an explanation,
//! within 80 columns.

use std::collections::BTreeMap;
use std::fmt;

use crate::client::error_kind::ErrorKind;
use crate::client::report::percentiles::Percentiles;

/// A text that grows row by row.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) text: String,
}

impl Table {
    /// Adds a row. A label that is too long takes space from the number's column, so that numbers
    /// stay aligned. A unit that still does not fit goes on a line of its own.
    pub(super) fn row(&mut self, label: &str, number: impl fmt::Display, unit: &str) {
        let number = format!(" {number}");
        let room = (NUMBER_END - 2).saturating_sub(label.chars().count());
        let line = format!("  {label}{number:>room$} {unit}");
        let line = line.trim_end();
        if line.chars().count() <= COLUMNS {
            self.line(line);
        } else {
            self.line(&format!("  {label}{number:>room$}"));
            self.paragraph(&" ".repeat(NUMBER_END + 1), unit);
        }
    }

    /// Adds the counts of the most frequent kinds, as many as a screen has space for.
    pub(super) fn kinds(&mut self, counts: &BTreeMap<ErrorKind, u64>) {
        let mut frequent: Vec<_> = counts.iter().collect();
        frequent.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        let others = frequent.split_off(frequent.len().min(KINDS_SHOWN_MAX));
        frequent.sort_unstable();
        for (kind, count) in frequent {
            self.row(&format!("  {kind}"), count, "");
        }
        if !others.is_empty() {
            let counts = others.iter().map(|(_, count)| **count);
            self.row("  other kinds", counts.fold(0, u64::saturating_add), "");
        }
    }

    /// Adds percentiles, all in one unit, so that they compare at a glance.
    pub(super) fn percentiles(&mut self, label: &str, things: &str, percentiles: &Percentiles) {
        let in_ms = percentiles.max.is_some_and(|max| max >= 10_000);
        let (unit, per_unit) = if in_ms { ("ms", 1000.0) } else { ("µs", 1.0) };
        let decimals = if in_ms { 3 } else { 0 };
        let count = format!("{unit}, of {} {things}", percentiles.count);
        let scaled = |us: Option<f64>| fixed(us.map(|us| us / per_unit), decimals);
        self.row(label, scaled(percentiles.mean), &count);
        for (name, us) in [
            ("  p50", percentiles.p50),
            ("  p90", percentiles.p90),
            ("  p99", percentiles.p99),
            ("  p99.9", percentiles.p999),
            ("  max", percentiles.max),
        ] {
            self.row(name, scaled(us.map(|us| us as f64)), unit);
        }
    }

    /// Adds a sentence after its mark, broken between words.
    pub(super) fn paragraph(&mut self, mark: &str, sentence: &str) {
        let indent = mark.chars().count();
        let mut line = mark.to_owned();
        let longest = COLUMNS - indent - 1;
        for word in sentence.split(' ').flat_map(|word| pieces(word, longest)) {
            if line.chars().count() + word.chars().count() >= COLUMNS {
                self.line(line.trim_end());
                line = " ".repeat(indent);
            }
            line.push_str(&word);
            line.push(' ');
        }
        self.line(line.trim_end());
    }

    /// Adds a line unchanged.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// A word in pieces of at most `length` characters: servers may send long words in a close frame.
fn pieces(word: &str, length: usize) -> impl Iterator<Item = String> {
    let characters: Vec<_> = word.chars().collect();
    let count = characters.len().div_ceil(length).max(1);
    (0..count).map(move |i| {
        let from = i * length;
        let to = characters.len().min(from + length);
        characters[from..to].iter().collect()
    })
}

/// A number with this many decimals; a dash if it is unknown.
pub(super) fn fixed(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"))
}

/// A duration in the format of options, to four digits.
pub(super) fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        ..0.001 => (seconds * 1e6, "us"),
        0.001..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let decimals = 3_usize.saturating_sub(number.max(1.0).log10() as usize);
    let number = format!("{number:.decimals$}");
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number}{unit}")
}

pub(super) const COLUMNS: usize = 80;

pub(super) const KINDS_SHOWN_MAX: usize = 20;

/// The column in which numbers end.
const NUMBER_END: usize = 38;
