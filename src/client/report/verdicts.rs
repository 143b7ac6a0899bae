//! Judges a run by its thresholds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::config::Thresholds;
use crate::client::report::percentiles::Percentiles;

/// The verdict on one threshold. [`Display`](fmt::Display) is the sentence about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The threshold.
    pub name: Limit,
    /// Its value, in the unit of its name.
    pub limit: f64,
    /// The measured value; `None` if it could not be measured, in which case the threshold is not
    /// met.
    pub measured: Option<f64>,
    /// Whether the threshold is met.
    pub met: bool,
}

/// A threshold. In JSON it has the name of its option, with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// The highest acceptable 99th percentile of delivery latency.
    #[serde(rename = "max_p99_us")]
    P99,
    /// The highest acceptable 99.9th percentile of delivery latency.
    #[serde(rename = "max_p999_us")]
    P999,
    /// The highest acceptable number of errors.
    #[serde(rename = "max_errors")]
    Errors,
    /// The lowest acceptable number of messages per second.
    #[serde(rename = "min_throughput_per_s")]
    Throughput,
}

/// Judges a run: one verdict for each threshold that is set.
pub(super) fn judge(
    thresholds: &Thresholds,
    delivery: &Percentiles,
    errors: u64,
    messages_per_s: Option<f64>,
) -> Vec<Verdict> {
    let us = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64() * 1e6);
    let number = |number: Option<u64>| number.map(|number| number as f64);
    let max_errors = number(thresholds.max_errors);
    [
        Limit::P99.judge(us(thresholds.max_p99), number(delivery.p99)),
        Limit::P999.judge(us(thresholds.max_p999), number(delivery.p999)),
        Limit::Errors.judge(max_errors, Some(errors as f64)),
        Limit::Throughput.judge(thresholds.min_throughput, messages_per_s),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The words for a threshold.
struct Wording {
    option: &'static str,
    what: &'static str,
    unit: &'static str,
    /// The factor from the verdict's unit to `unit`.
    scale: f64,
}

impl Limit {
    fn judge(self, limit: Option<f64>, measured: Option<f64>) -> Option<Verdict> {
        let keeps = |limit: f64, measured: f64| {
            if self.is_floor() {
                measured >= limit
            } else {
                measured <= limit
            }
        };
        limit.map(|limit| Verdict {
            name: self,
            limit,
            measured,
            met: measured.is_some_and(|measured| keeps(limit, measured)),
        })
    }

    /// Whether the threshold is a minimum rather than a maximum.
    fn is_floor(self) -> bool {
        self == Self::Throughput
    }

    fn wording(self) -> Wording {
        let (option, what, unit, scale) = match self {
            Self::P99 => ("--max-p99", "delivery latency p99", "ms", 1000.0),
            Self::P999 => ("--max-p999", "delivery latency p99.9", "ms", 1000.0),
            Self::Errors => ("--max-errors", "number of errors", "", 1.0),
            Self::Throughput => ("--min-throughput", "throughput in messages/s", "", 1.0),
        };
        Wording {
            option,
            what,
            unit,
            scale,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wording {
            option,
            what,
            unit,
            scale,
        } = self.name.wording();
        let scaled = |number: f64| (number / scale * 1e3).round() / 1e3;
        let relation = match (self.met, self.name.is_floor()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::Report;
    use crate::client::report::tests::sample;

    fn judge_report(thresholds: &Thresholds, report: &Report) -> Vec<Verdict> {
        let errors = report.errors.total;
        judge(
            thresholds,
            &report.delivery_us,
            errors,
            report.messages_per_s,
        )
    }

    #[test]
    fn limits_are_kept_or_missed_one_by_one() {
        let thresholds = Thresholds {
            max_p99: Some(Duration::from_micros(4_900)),
            max_p999: Some(Duration::from_millis(5)),
            max_errors: Some(0),
            min_throughput: Some(998.5),
        };
        let verdicts = judge_report(&thresholds, &sample());
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
        assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdicts[1]);
    }

    #[test]
    fn unset_limits_are_not_judged() {
        assert!(judge_report(&Thresholds::default(), &sample()).is_empty());
    }

    #[test]
    fn an_unmeasured_limit_is_not_kept() {
        let mut report = sample();
        report.delivery_us.p99 = None;
        let thresholds = Thresholds {
            max_p99: Some(Duration::from_millis(5)),
            ..Thresholds::default()
        };
        let verdict = &judge_report(&thresholds, &report)[0];
        assert!(!verdict.met);
        let sentence = "delivery latency p99 could not be measured, --max-p99 5ms is not kept";
        assert_eq!(verdict.to_string(), sentence);
    }
}
