//! The metrics about the live sources of prices: exchanges, URLs and scripts.

use std::time::Instant;

use crate::feed::Sources;
use crate::server::metrics::text::{SYMBOL_SERIES_MAX, Text};

/// Writes the metrics about `sources`, or nothing if there are none.
pub(super) fn write(sources: &Sources, now: Instant, out: &mut Text) {
    if sources.iter().next().is_none() {
        return;
    }
    let all = || {
        sources
            .iter()
            .map(|source| ([("source", source.name())], source))
    };
    out.gauges(
        "tickertape_source_up",
        "1 while the newest answer of a source had prices; 0 before the first",
        all().map(|(label, source)| (label, f64::from(source.is_good() == Some(true)))),
    );
    let asked = all().filter(|(_, source)| source.took().count() > 0);
    out.histograms(
        "tickertape_source_fetch_seconds",
        "How long a source took to answer a request, successfully or not",
        asked.map(|(label, source)| (label, source.took())),
    );
    out.counters(
        "tickertape_source_answers_total",
        "Answers and messages of a source that had prices",
        all().map(|(label, source)| (label, source.answers())),
    );
    out.counters(
        "tickertape_source_old_prices_total",
        "Prices of a source that were dropped because they were older than the one before",
        all().map(|(label, source)| (label, source.outdated())),
    );
    out.counters(
        "tickertape_source_untimed_prices_total",
        "Prices of a source that came without a time, so their timestamp is when they arrived",
        all().map(|(label, source)| (label, source.untimed())),
    );
    let waiting = all().filter_map(|(label, source)| Some((label, source.waits(now)?)));
    out.gauges(
        "tickertape_source_wait_seconds",
        "Time until the next attempt at a source that failed or asked to be left alone",
        waiting.map(|(label, waits)| (label, waits.as_secs_f64())),
    );
    let lists = sources.list_waits(now);
    out.gauges(
        "tickertape_market_list_wait_seconds",
        "Time until the next attempt to read an exchange's list of markets, after one that failed",
        lists.map(|(exchange, waits)| ([("exchange", exchange)], waits.as_secs_f64())),
    );
    let failures = sources.iter().flat_map(|source| {
        let failures = source.failures().iter();
        failures.map(|&(kind, count)| ([("source", source.name()), ("kind", kind)], count))
    });
    out.counters(
        "tickertape_source_failures_total",
        "Failures of a source, by kind",
        failures,
    );
    let count = sources.serving().count();
    let serving = sources.serving().filter(|_| count <= SYMBOL_SERIES_MAX);
    out.gauges(
        "tickertape_source_serving",
        "1 for the source that a symbol is served from; left out beyond 1000 symbols",
        serving.map(|(symbol, source)| ([("symbol", symbol), ("source", source)], 1.0)),
    );
}
