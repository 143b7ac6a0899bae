//! Distributions in a few numbers: percentiles, curves, response times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::measure::latency::{Compact, Latency};

/// A distribution of times in µs. Without samples all fields but the count are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The number of samples.
    pub count: u64,
    /// The mean.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<u64>,
    /// The 90th percentile.
    pub p90: Option<u64>,
    /// The 99th percentile.
    pub p99: Option<u64>,
    /// The 99.9th percentile.
    pub p999: Option<u64>,
    /// The maximum, to three digits like all of these.
    pub max: Option<u64>,
}

impl Percentiles {
    pub(super) fn of(latency: &Latency) -> Self {
        let any = !latency.is_empty();
        let mut values = latency.value_at_quantiles([0.5, 0.9, 0.99, 0.999]);
        let mut next = || values.next().filter(|_| any);
        Self {
            count: latency.len(),
            mean: any.then(|| latency.mean()),
            p50: next(),
            p90: next(),
            p99: next(),
            p999: next(),
            max: any.then(|| latency.max()),
        }
    }
}

/// The distribution of an interval, as percentiles and in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The percentiles.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// The full histogram; not in the JSON.
    #[serde(skip)]
    pub latencies: Compact,
}

impl Series {
    pub(super) fn of(latencies: &Compact) -> Self {
        Self {
            percentiles: Percentiles::of(&latencies.latency()),
            latencies: latencies.clone(),
        }
    }
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// A share of samples, from 0 to 1.
    pub quantile: f64,
    /// The latency in µs that this share did not exceed.
    pub us: u64,
}

impl CurvePoint {
    /// The curve of a distribution. Points get closer towards 1, as in HdrHistogram's percentile
    /// output.
    pub(super) fn curve(latency: &Latency) -> Vec<Self> {
        let steps = latency.iter_quantiles(STEPS_PER_HALVING);
        steps
            .map(|step| Self {
                quantile: step.quantile_iterated_to(),
                us: step.value_iterated_to(),
            })
            .collect()
    }
}

/// How many points there are each time the distance to 1 halves: a hundred or so for a million
/// samples.
const STEPS_PER_HALVING: u32 = 5;

/// Response times, in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// How many connections got a tick.
    pub count: usize,
    /// The mean.
    pub mean: Option<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: Option<f64>,
    /// The sample standard deviation; `None` with fewer than two.
    pub stdev: Option<f64>,
    /// The minimum.
    pub min: Option<f64>,
    /// The maximum.
    pub max: Option<f64>,
}

impl Response {
    pub(super) fn of(samples: &[Duration]) -> Self {
        let mut sorted: Vec<_> = samples.iter().map(Duration::as_secs_f64).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let mean = (count > 0).then(|| sorted.iter().sum::<f64>() / count as f64);
        let median = match (sorted.get(count / 2), count.checked_sub(1)) {
            (Some(&upper), Some(last)) => Some((sorted[last / 2] + upper) / 2.0),
            _ => None,
        };
        let stdev = mean.filter(|_| count > 1).map(|mean| {
            let squares: f64 = sorted.iter().map(|sample| (sample - mean).powi(2)).sum();
            (squares / (count - 1) as f64).sqrt()
        });
        Self {
            count,
            mean,
            median,
            stdev,
            min: sorted.first().copied(),
            max: sorted.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn milliseconds(samples: &[u64]) -> Response {
        let samples: Vec<_> = samples.iter().copied().map(Duration::from_millis).collect();
        Response::of(&samples)
    }

    #[test]
    fn response_times_are_summed_up_as_python_does() {
        let response = milliseconds(&[4, 1, 3, 2]);
        assert_eq!(response.mean, Some(0.0025));
        assert_eq!(response.median, Some(0.0025));
        // statistics.stdev([4, 1, 3, 2]) / 1000
        let stdev = response.stdev.unwrap();
        assert!(
            (stdev - 0.001_290_994_448_735_805_6).abs() < 1e-12,
            "{stdev}"
        );
        assert_eq!((response.min, response.max), (Some(0.001), Some(0.004)));
        assert_eq!(milliseconds(&[9, 1, 2]).median, Some(0.002));
    }

    #[test]
    fn missing_samples_make_statistics_none() {
        let one = milliseconds(&[5]);
        assert_eq!((one.median, one.stdev), (Some(0.005), None));
        let none = milliseconds(&[]);
        assert_eq!((none.count, none.mean, none.median), (0, None, None));
    }

    #[test]
    fn percentiles_without_samples_are_none() {
        let mut latency = Latency::default();
        assert_eq!(Percentiles::of(&latency).p50, None);
        for us in 1..=1000 {
            latency.record(us);
        }
        let delivery = Percentiles::of(&latency);
        assert_eq!(delivery.mean, Some(500.5));
        assert_eq!(
            (delivery.p50, delivery.p999, delivery.max),
            (Some(500), Some(999), Some(1000))
        );
    }

    proptest! {
        #[test]
        fn the_median_lies_between_the_extremes(samples in proptest::collection::vec(0u64..10_000, 1..50)) {
            let response = milliseconds(&samples);
            prop_assert!(response.min <= response.median && response.median <= response.max);
            prop_assert!(response.mean.unwrap() >= response.min.unwrap() - 1e-9);
        }
    }
}
