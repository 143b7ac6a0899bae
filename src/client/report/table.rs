//! The rows of a table: a label, a number that ends in its column, and what it is a number of.

use std::collections::BTreeMap;
use std::fmt;

use crate::client::report::latencies::Delivery;

/// How many there are of each kind, of no more kinds than a screen has room for.
pub(in crate::client) fn kinds(
    f: &mut fmt::Formatter<'_>,
    counts: &BTreeMap<String, u64>,
) -> fmt::Result {
    let mut frequent: Vec<_> = counts.iter().collect();
    frequent.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let others = frequent.split_off(frequent.len().min(KINDS_SHOWN_MAX));
    frequent.sort_unstable();
    for (kind, count) in frequent {
        row(f, &format!("  {kind}"), &count.to_string(), "")?;
    }
    if others.is_empty() {
        return Ok(());
    }
    let sum = others
        .iter()
        .fold(0_u64, |sum, &(_, &count)| sum.saturating_add(count));
    row(f, "  other kinds", &sum.to_string(), "")
}

/// All rows in one unit, so that they compare at a glance.
pub(in crate::client) fn percentiles(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    things: &str,
    delivery: &Delivery,
) -> fmt::Result {
    let in_ms = delivery.max.is_some_and(|max| max >= 10_000);
    let (unit, per_unit) = if in_ms { ("ms", 1000.0) } else { ("µs", 1.0) };
    let decimals = if in_ms { 3 } else { 0 };
    let count = format!("{unit}, of {} {things}", delivery.count);
    let scaled = |us: Option<f64>| fixed(us.map(|us| us / per_unit), decimals);
    row(f, label, &scaled(delivery.mean), &count)?;
    for (name, us) in [
        ("p50", delivery.p50),
        ("p90", delivery.p90),
        ("p99", delivery.p99),
        ("p99.9", delivery.p999),
        ("max", delivery.max),
    ] {
        row(
            f,
            &format!("  {name}"),
            &scaled(us.map(|us| us as f64)),
            unit,
        )?;
    }
    Ok(())
}

/// A label that is too long takes room from the number's column, so that numbers stay aligned. What
/// still does not fit goes on in a line of its own.
pub(in crate::client) fn row(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    number: &str,
    unit: &str,
) -> fmt::Result {
    let room = (NUMBER_END - 2).saturating_sub(label.chars().count());
    let line = format!("  {label}{:>room$} {unit}", format!(" {number}"));
    let line = line.trim_end();
    if line.chars().count() <= COLUMNS {
        return writeln!(f, "{line}");
    }
    writeln!(f, "  {label}{:>room$}", format!(" {number}"))?;
    paragraph(f, &" ".repeat(NUMBER_END + 1), unit)
}

/// A sentence behind its mark, broken between words.
pub(in crate::client) fn paragraph(
    f: &mut fmt::Formatter<'_>,
    mark: &str,
    sentence: &str,
) -> fmt::Result {
    let mut line = mark.to_owned();
    let longest = COLUMNS - mark.chars().count() - 1;
    for word in sentence.split(' ').flat_map(|word| pieces(word, longest)) {
        if line.chars().count() + word.chars().count() >= COLUMNS {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(mark.chars().count());
        }
        line.push_str(&word);
        line.push(' ');
    }
    writeln!(f, "{}", line.trim_end())
}

/// A word in pieces of at most `length` characters: servers choose the words of their closes.
fn pieces(word: &str, length: usize) -> impl Iterator<Item = String> {
    let characters: Vec<_> = word.chars().collect();
    let count = characters.len().div_ceil(length).max(1);
    (0..count).map(move |i| {
        let from = i * length;
        let to = characters.len().min(from + length);
        characters[from..to].iter().collect()
    })
}

pub(in crate::client) fn fixed(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"))
}

/// As options have it, to four digits.
pub(in crate::client) fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        ..0.001 => (seconds * 1e6, "us"),
        0.001..1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let decimals = 3_usize.saturating_sub(number.max(1.0).log10() as usize);
    let number = format!("{number:.decimals$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{unit}")
}

pub(in crate::client) const COLUMNS: usize = 80;

pub(in crate::client) const KINDS_SHOWN_MAX: usize = 20;

/// The column in which numbers end.
const NUMBER_END: usize = 38;
