//! Limits that a run must keep, for machines that judge it: continuous integration.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::client::report::Report;

/// The limits asked for. None of them is set by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The most that the 99th percentile of delivery latency may be.
    pub max_p99: Option<Duration>,
    /// The same for the 99.9th.
    pub max_p999: Option<Duration>,
    /// How many errors there may be.
    pub max_errors: Option<u64>,
    /// How many messages per second there must be.
    pub min_throughput: Option<f64>,
}

/// What became of one limit. [`Display`](fmt::Display) is the sentence about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The option as a name with its unit: `max_p99_us`, `max_errors`, `min_throughput_per_s`.
    pub name: &'static str,
    /// What it asks for.
    pub limit: f64,
    /// What there was; none if it could not be measured, and then the limit is not kept.
    pub measured: Option<f64>,
    /// Whether it is kept.
    pub met: bool,
    #[serde(skip)]
    kind: Kind,
}

/// How a limit reads.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    name: &'static str,
    option: &'static str,
    what: &'static str,
    /// What one of `unit` is in the report's.
    scale: f64,
    unit: &'static str,
    /// Whether the limit is the least that must be, and not the most that may be.
    is_floor: bool,
}

impl Thresholds {
    /// Holds a run against the limits: one verdict for each that is set.
    pub fn judge(&self, report: &Report) -> Vec<Verdict> {
        let delivery = &report.delivery_us;
        let us = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64() * 1e6);
        let number = |number: Option<u64>| number.map(|number| number as f64);
        let errors = Some(report.errors.total as f64);
        [
            P99.judge(us(self.max_p99), number(delivery.p99)),
            P999.judge(us(self.max_p999), number(delivery.p999)),
            ERRORS.judge(number(self.max_errors), errors),
            THROUGHPUT.judge(self.min_throughput, report.messages_per_s),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Kind {
    fn judge(self, limit: Option<f64>, measured: Option<f64>) -> Option<Verdict> {
        let keeps = |limit: f64, measured: f64| match self.is_floor {
            true => measured >= limit,
            false => measured <= limit,
        };
        limit.map(|limit| Verdict {
            name: self.name,
            limit,
            measured,
            met: measured.is_some_and(|measured| keeps(limit, measured)),
            kind: self,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind {
            option, what, unit, ..
        } = self.kind;
        let scaled = |number: f64| (number / self.kind.scale * 1e3).round() / 1e3;
        let relation = match (self.met, self.kind.is_floor) {
            (true, _) => "keeps to",
            (false, true) => "is under",
            (false, false) => "is over",
        };
        let limit = scaled(self.limit);
        match self.measured.map(scaled) {
            Some(measured) => write!(
                f,
                "{what} {measured}{unit} {relation} {option} {limit}{unit}"
            ),
            None => write!(
                f,
                "{what} could not be measured, {option} {limit}{unit} is not kept"
            ),
        }
    }
}

const P99: Kind = Kind {
    name: "max_p99_us",
    option: "--max-p99",
    what: "delivery latency p99",
    scale: 1000.0,
    unit: "ms",
    is_floor: false,
};

const P999: Kind = Kind {
    name: "max_p999_us",
    option: "--max-p999",
    what: "delivery latency p99.9",
    ..P99
};

const ERRORS: Kind = Kind {
    name: "max_errors",
    option: "--max-errors",
    what: "number of errors",
    scale: 1.0,
    unit: "",
    is_floor: false,
};

const THROUGHPUT: Kind = Kind {
    name: "min_throughput_per_s",
    option: "--min-throughput",
    what: "throughput in messages/s",
    is_floor: true,
    ..ERRORS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::tests::sample;

    #[test]
    fn limits_are_kept_or_missed_one_by_one() {
        let thresholds = Thresholds {
            max_p99: Some(Duration::from_micros(4_900)),
            max_p999: Some(Duration::from_millis(5)),
            max_errors: Some(0),
            min_throughput: Some(998.5),
        };
        let verdicts = thresholds.judge(&sample());
        let sentences: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
        assert_eq!(
            sentences,
            [
                "delivery latency p99 4.9ms keeps to --max-p99 4.9ms",
                "delivery latency p99.9 9ms is over --max-p999 5ms",
                "number of errors 2 is over --max-errors 0",
                "throughput in messages/s 998 is under --min-throughput 998.5",
            ]
        );
        let met: Vec<_> = verdicts.iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, false, false, false]);
        let json = serde_json::to_string(&verdicts[1]).unwrap();
        let expected = r#"{"name":"max_p999_us","limit":5000.0,"measured":9000.0,"met":false}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_not_asked_for_is_not_judged() {
        assert!(Thresholds::default().judge(&sample()).is_empty());
    }

    #[test]
    fn what_could_not_be_measured_keeps_no_limit() {
        let mut report = sample();
        report.delivery_us.p99 = None;
        let thresholds = Thresholds {
            max_p99: Some(Duration::from_millis(5)),
            ..Thresholds::default()
        };
        let verdict = &thresholds.judge(&report)[0];
        assert!(!verdict.met);
        let sentence = "delivery latency p99 could not be measured, --max-p99 5ms is not kept";
        assert_eq!(verdict.to_string(), sentence);
    }
}
