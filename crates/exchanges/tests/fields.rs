//! Price, time and all fields of recorded and documented answers, digit for digit.
//!
//! The expected values in `data/exchange_fields.json` were taken from the bodies by hand and by
//! plain text search, never by the catalogue's pointers.

#![allow(clippy::unwrap_used, reason = "the helpers belong to the tests")]

use std::collections::{BTreeMap, BTreeSet};

use exchanges::{Catalogue, Exchange, Field, FieldSet, Quote, QuoteError, Request, StreamMessage};
use serde::Deserialize;

/// 2026-11-30, later than all of them.
const NOW: u64 = 1_796_000_000_000;

#[derive(Deserialize)]
struct Sample {
    exchange: String,
    kind: Kind,
    symbol: String,
    body: String,
    /// By name; the time in Unix ms. What is not here must be absent.
    expect: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    One,
    Many,
    Stream,
}

fn samples() -> Vec<Sample> {
    serde_json::from_str(include_str!("data/exchange_fields.json")).unwrap()
}

impl Sample {
    /// What our reader finds.
    fn read(&self, exchange: &Exchange) -> Result<Quote, QuoteError> {
        let symbols = [self.symbol.parse().unwrap()];
        if self.kind == Kind::Stream {
            let mut session = exchange.session(&symbols).unwrap();
            return match session.read(self.body.as_bytes(), NOW) {
                StreamMessage::Ticks(mut ticks) => ticks.pop().unwrap().1,
                other => panic!("{}: {other:?}", self.exchange),
            };
        }
        let request = Request {
            is_batch: self.kind == Kind::Many,
            ..exchange.request(&symbols[0]).unwrap()
        };
        let quotes = exchange.read(&request, 200, self.body.as_bytes(), NOW);
        quotes?.pop().unwrap()
    }
}

fn written(quote: &Quote) -> BTreeMap<String, String> {
    let fields = quote.fields.iter();
    let mut all: BTreeMap<_, _> = fields
        .map(|(field, value)| (field.name().to_owned(), value.to_string()))
        .collect();
    all.insert("price".to_owned(), quote.price.to_string());
    if let Some(time) = quote.timestamp_ms {
        all.insert("time".to_owned(), time.to_string());
    }
    all
}

#[test]
fn every_value_is_the_one_that_was_sent() {
    let catalogue = Catalogue::builtin();
    for sample in samples() {
        let exchange = catalogue.get(&sample.exchange).unwrap().clone();
        let what = format!("{} {:?} {}", sample.exchange, sample.kind, sample.body);
        let quote = sample.read(&exchange.clone().with_fields(FieldSet::ALL));
        assert_eq!(written(&quote.unwrap()), sample.expect, "{what}");
        let only: FieldSet = [Field::Ask, Field::Change].into_iter().collect();
        let quote = sample.read(&exchange.clone().with_fields(only)).unwrap();
        assert!(
            quote.fields.iter().all(|(field, _)| only.contains(field)),
            "{what}"
        );
        assert!(sample.read(&exchange).unwrap().fields.is_empty(), "{what}");
    }
}

#[test]
fn every_field_that_an_entry_promises_is_in_a_sample() {
    let catalogue = Catalogue::builtin();
    let mut sampled = BTreeSet::new();
    for sample in samples() {
        for name in sample.expect.keys() {
            let field = name.parse::<Field>().ok();
            let is_stream = sample.kind == Kind::Stream;
            sampled.insert((sample.exchange.clone(), is_stream, field));
        }
    }
    let known: BTreeSet<_> = samples()
        .into_iter()
        .map(|sample| sample.exchange)
        .collect();
    assert!(known.len() >= 20, "{known:?}");
    for id in known {
        let exchange = catalogue.get(&id).unwrap();
        for (is_stream, fields) in [
            (false, exchange.request_fields()),
            (true, exchange.stream_fields()),
        ] {
            for field in fields.iter() {
                let key = (id.clone(), is_stream, Some(field));
                assert!(sampled.contains(&key), "{key:?}");
            }
        }
    }
}
