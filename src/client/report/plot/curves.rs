//! The data of a chart: from the run that has just ended, or from an earlier run's report.

use crate::client::report::Report;
use crate::client::report::metric::Metric;
use crate::client::report::percentiles::{CurvePoint, Percentiles};
use crate::client::report::plot::axis::nines;

/// One metric of a run: its percentiles, for the whole run and for each second.
#[derive(Clone, Debug)]
pub(super) struct Curve<'a> {
    /// The run's name.
    pub(super) run: &'a str,
    pub(super) metric: Metric,
    count: u64,
    points: &'a [CurvePoint],
    seconds: Vec<Second<'a>>,
}

/// One interval of a run.
#[derive(Clone, Debug)]
struct Second<'a> {
    time_s: f64,
    length_s: f64,
    percentiles: Option<&'a Percentiles>,
}

/// Selects one of an interval's percentiles.
pub(super) type Pick = fn(&Percentiles) -> Option<u64>;

/// The curves of a run: one for each metric that it measured.
pub(super) fn curves_of<'a>(run: &'a str, report: &'a Report) -> Vec<Curve<'a>> {
    let curves = Metric::ALL.into_iter();
    let mut curves: Vec<_> = curves
        .filter_map(|metric| Curve::of(run, report, metric))
        .collect();
    // A run without other curves keeps an empty one, so that the legend names it.
    let is_drawn = |curve: &Curve<'_>| !curve.points.is_empty();
    if curves.iter().any(is_drawn) {
        curves.retain(is_drawn);
    } else {
        curves.truncate(1);
    }
    curves
}

impl<'a> Curve<'a> {
    /// `None` if the metric was not requested.
    fn of(run: &'a str, report: &'a Report, metric: Metric) -> Option<Self> {
        let (percentiles, points) = report.measured(metric)?;
        let seconds = report.intervals.iter().map(|interval| Second {
            time_s: interval.time_s,
            length_s: interval.length_s,
            percentiles: interval.series(metric).map(|series| &series.percentiles),
        });
        Some(Self {
            run,
            metric,
            count: percentiles.count,
            points,
            seconds: seconds.collect(),
        })
    }

    /// The curve as nines and µs. The last point, 100 %, has no position on an axis of nines; it
    /// goes where the share of one sample ends.
    pub(super) fn by_percentile(&self) -> Vec<(f64, f64)> {
        let most = self.nines_max();
        let points = self.points.iter();
        points
            .map(|point| (nines(point.quantile).min(most), at_least_one(point.us)))
            .collect()
    }

    /// How many nines it has samples for.
    pub(super) fn nines_max(&self) -> f64 {
        (self.count.max(1) as f64).log10()
    }

    /// One percentile over time, in pieces: the line breaks where there are no samples.
    pub(super) fn over_time(&self, pick: Pick) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = vec![Vec::new()];
        for second in &self.seconds {
            match (second.percentiles.and_then(pick), pieces.last_mut()) {
                (Some(us), Some(piece)) => {
                    let middle_s = second.time_s + second.length_s / 2.0;
                    piece.push((middle_s, at_least_one(us)));
                }
                _ => pieces.push(Vec::new()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// When the last interval ended, in seconds from the start of the window.
    pub(super) fn end_s(&self) -> f64 {
        let last = self.seconds.last();
        last.map_or(0.0, |second| second.time_s + second.length_s)
    }

    /// The median of its latencies.
    pub(super) fn median_us(&self) -> Option<f64> {
        let mut points = self.points.iter();
        let middle = points.find(|point| point.quantile >= 0.5);
        middle.map(|point| at_least_one(point.us))
    }
}

/// A logarithmic axis has no zero, and the clock resolves no less than a µs.
fn at_least_one(us: u64) -> f64 {
    us.max(1) as f64
}
