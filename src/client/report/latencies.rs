//! The times in a report: of deliveries, by percentile and as a curve, and of responses.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Delivery latencies, in µs.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Half of them were no longer.
    pub p50: Option<u64>,
    /// Nine of ten were no longer.
    pub p90: Option<u64>,
    /// 99 of 100 were no longer.
    pub p99: Option<u64>,
    /// 999 of 1000 were no longer.
    pub p999: Option<u64>,
    /// The longest, to three digits like all of them.
    pub max: Option<u64>,
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The share of samples, 0 to 1, …
    pub quantile: f64,
    /// … that took no longer than this, in µs.
    pub us: u64,
}

impl CurvePoint {
    /// The curve of a histogram of µs: closer together the closer to 1, as HdrHistogram steps.
    pub(in crate::client) fn curve(histogram: &Histogram<u64>) -> Vec<Self> {
        let steps = histogram.iter_quantiles(STEPS_PER_HALVING);
        steps
            .map(|step| Self {
                quantile: step.quantile_iterated_to(),
                us: step.value_iterated_to(),
            })
            .collect()
    }
}

/// Points each time that what is left to 1 has halved: some hundred for a million samples.
const STEPS_PER_HALVING: u32 = 5;

/// Response times, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    /// Connections that got a tick.
    pub count: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: Option<f64>,
    /// The sample standard deviation; none of fewer than two.
    pub stdev: Option<f64>,
    /// The shortest.
    pub min: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}
