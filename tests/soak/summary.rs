//! The table at the end, and whether all is well.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Outcome;
use testkit::fake_exchange::FakeExchange;

/// The text, and whether every promise was kept; memory may differ by `limit` bytes.
pub(crate) fn of(outcomes: &[Outcome], exchanges: &[FakeExchange], limit: u64) -> (String, bool) {
    let mut text = format!(
        "{:<24} {:>19} {:>15} {:>8} {:>8} {:>7} {:>5} {:>7} {:>5} {:>6} {:>6}  {:<15} {}\n",
        "server",
        "RSS in KiB",
        "descriptors",
        "good",
        "arrived",
        "missing",
        "twice",
        "foreign",
        "stale",
        "warned",
        "mended",
        "late s p99/max",
        "result"
    );
    for outcome in outcomes {
        let wrongs = wrongs(outcome, limit);
        let (before, after) = (outcome.before, outcome.after);
        let kib = |bytes: u64| bytes / 1024;
        let resident = format!(
            "{} → {}",
            kib(before.resident_bytes),
            kib(after.resident_bytes)
        );
        let descriptors = format!(
            "{} → {} (≤ {})",
            before.descriptors, after.descriptors, outcome.descriptors_max
        );
        let account = &outcome.account;
        let good = account.good.map_or("-".to_owned(), |good| good.to_string());
        let result = if wrongs.is_empty() {
            "pass".to_owned()
        } else {
            format!("FAIL: {}", wrongs.join(", "))
        };
        let _ = writeln!(
            text,
            "{:<24} {resident:>19} {descriptors:>15} {good:>8} {:>8} {:>7} {:>5} {:>7} {:>5} {:>6} {:>6}  {:<15} {result}",
            outcome.source,
            account.arrived,
            account.missing,
            account.twice,
            account.foreign,
            account.stale,
            outcome.warnings,
            outcome.recoveries,
            outcome.lateness,
        );
        for note in &account.notes {
            let _ = writeln!(text, "    {note}");
        }
    }
    let mut struck: BTreeMap<&str, u64> = BTreeMap::new();
    for exchange in exchanges {
        for (name, count) in exchange.struck() {
            *struck.entry(name).or_default() += count;
        }
    }
    let kinds: Vec<_> = struck
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    let all: u64 = struck.values().sum();
    let _ = writeln!(text, "{all} faults: {}", kinds.join(", "));
    let is_good = outcomes
        .iter()
        .all(|outcome| wrongs(outcome, limit).is_empty());
    let has_spoken = outcomes.iter().any(|outcome| outcome.warnings > 0);
    (text, is_good && all > 0 && has_spoken)
}

fn wrongs(outcome: &Outcome, limit: u64) -> Vec<&'static str> {
    let (before, after) = (outcome.before, outcome.after);
    let grown = before.resident_bytes.abs_diff(after.resident_bytes);
    let all = [
        (grown > limit, "memory"),
        (before.descriptors != after.descriptors, "descriptors"),
        (after.threads != 1, "threads"),
        (!outcome.account.is_good(), "deliveries"),
    ];
    all.into_iter()
        .filter_map(|(is_wrong, word)| is_wrong.then_some(word))
        .collect()
}
