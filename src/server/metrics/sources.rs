//! What `/metrics` says about the exchanges that prices come from.

use std::fmt;

use prometheus_client::registry::Unit;

use super::writer::{Writer, family};
use crate::feed::{self, FetchDurations};

/// The numbers of one moment about all sources.
#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Source>,
    /// For each symbol, the source that serves it.
    serving: Vec<(String, String)>,
}

#[derive(Debug)]
struct Source {
    name: String,
    is_good: Option<bool>,
    answers: u64,
    failures: Vec<(&'static str, u64)>,
    took: FetchDurations,
    old: u64,
}

impl Sources {
    pub(super) fn of(sources: &feed::Sources) -> Self {
        let source = |source: &feed::Standing| Source {
            name: source.name().to_owned(),
            is_good: source.is_good(),
            answers: source.answers(),
            failures: source.failures().to_vec(),
            took: source.took().clone(),
            old: source.old(),
        };
        let owned = |(symbol, name): (&str, &str)| (symbol.to_owned(), name.to_owned());
        Self {
            sources: sources.iter().map(source).collect(),
            serving: sources.serving().map(owned).collect(),
        }
    }

    pub(super) fn encode(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        if self.sources.is_empty() {
            return Ok(());
        }
        let all = || self.sources.iter();
        let up = all().map(|it| (it.label(), f64::from(it.is_good == Some(true))));
        let help = "1 while the newest answer of a source had prices; 0 before the first";
        out.gauges(&family("source_up", help), up)?;
        let help = "How long a source took to answer a request, successfully or not";
        let fetch = family("source_fetch", help).in_unit(Unit::Seconds);
        let took = all().filter(|it| it.took.count() > 0);
        out.histograms(&fetch, took.map(|it| (it.label(), &it.took)))?;
        let help = "Answers and messages of a source that had prices";
        let answers = all().map(|it| (it.label(), it.answers));
        out.counters(&family("source_answers", help), answers)?;
        let help =
            "Prices of a source that were dropped because they were older than the one before";
        let old = all().map(|it| (it.label(), it.old));
        out.counters(&family("source_old_prices", help), old)?;
        let help = "Failures of a source, by kind";
        let failures = all().flat_map(Source::failures);
        out.counters(&family("source_failures", help), failures)?;
        let serving = self.serving.iter();
        let serving = serving.map(|(symbol, source)| {
            let labels = [("symbol", symbol.as_str()), ("source", source.as_str())];
            (labels, 1.0)
        });
        let help = "1 for the source that a symbol is served from";
        out.gauges(&family("source_serving", help), serving)
    }
}

impl Source {
    fn label(&self) -> [(&'static str, &str); 1] {
        [("source", &self.name)]
    }

    fn failures(&self) -> impl Iterator<Item = ([(&'static str, &str); 2], u64)> {
        self.failures.iter().map(|(kind, count)| {
            let labels = [("source", self.name.as_str()), ("kind", *kind)];
            (labels, *count)
        })
    }
}
