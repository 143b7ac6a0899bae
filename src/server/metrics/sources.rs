//! What `/metrics` says about the exchanges that prices come from.

use std::fmt;

use prometheus_client::registry::Unit;

use super::Writer;
use crate::feed;

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
    took: Option<f64>,
    old: u64,
}

impl Sources {
    pub(super) fn of(sources: &feed::Sources) -> Self {
        let source = |source: &feed::Standing| Source {
            name: source.name().to_owned(),
            is_good: source.is_good(),
            answers: source.answers(),
            failures: source.failures().to_vec(),
            took: source.took().map(|took| took.as_secs_f64()),
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
        let label = |source: &Source| [("source", source.name.clone())];
        let all = || self.sources.iter();
        let up: Vec<_> = all()
            .map(|source| (label(source), f64::from(source.is_good == Some(true))))
            .collect();
        out.gauges(
            "source_up",
            "1 while the source answers with prices",
            None,
            &up,
        )?;
        let took: Vec<_> = all()
            .filter_map(|source| Some((label(source), source.took?)))
            .collect();
        let help = "How long the newest request took";
        out.gauges("source_fetch", help, Some(&Unit::Seconds), &took)?;
        let answers: Vec<_> = all().map(|it| (label(it), it.answers)).collect();
        let help = "Answers and messages with prices";
        out.counters("source_answers", help, &answers)?;
        let old: Vec<_> = all().map(|source| (label(source), source.old)).collect();
        let help = "Prices dropped for being older than one before";
        out.counters("source_old", help, &old)?;
        let failures: Vec<_> = all().flat_map(Source::failures).collect();
        out.counters("source_failures", "What went wrong by kind", &failures)?;
        let serving: Vec<_> = self
            .serving
            .iter()
            .map(|(symbol, name)| ([("symbol", &**symbol), ("source", &**name)], 1.0))
            .collect();
        out.gauges(
            "source_serving",
            "Which source serves a symbol",
            None,
            &serving,
        )
    }
}

impl Source {
    fn failures(&self) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
        self.failures.iter().map(|(kind, count)| {
            let labels = [("source", self.name.clone()), ("kind", (*kind).to_owned())];
            (labels, *count)
        })
    }
}
