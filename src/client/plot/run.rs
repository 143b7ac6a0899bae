//! What is drawn of a run: of the one that has just ended, or of one whose report was kept.

use serde::Deserialize;

use super::axis::nines;
use crate::client::intervals::Interval;
use crate::client::report::{CurvePoint, Report};

/// What is drawn of a run.
#[derive(Clone, Debug)]
pub struct Run {
    label: String,
    drawn: Drawn,
}

/// The part of a report that is drawn.
#[derive(Clone, Debug, Deserialize)]
struct Drawn {
    delivery_us: Samples,
    delivery_curve: Vec<CurvePoint>,
    intervals: Vec<Second>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Samples {
    count: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Second {
    time_s: f64,
    length_s: f64,
    delivery_us: Latencies,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Latencies {
    pub(super) p50: Option<u64>,
    pub(super) p99: Option<u64>,
    pub(super) max: Option<u64>,
}

/// Which of an interval's latencies.
pub(super) type Pick = fn(&Latencies) -> Option<u64>;

impl Run {
    /// The run that has just ended.
    pub fn of(report: &Report) -> Self {
        let second = |interval: &Interval| Second {
            time_s: interval.time_s,
            length_s: interval.length_s,
            delivery_us: Latencies {
                p50: interval.delivery_us.latencies.p50,
                p99: interval.delivery_us.latencies.p99,
                max: interval.delivery_us.latencies.max,
            },
        };
        Self {
            label: "this run".to_owned(),
            drawn: Drawn {
                delivery_us: Samples {
                    count: report.delivery_us.count,
                },
                delivery_curve: report.delivery_curve.clone(),
                intervals: report.intervals.iter().map(second).collect(),
            },
        }
    }

    /// An earlier one, from the JSON that it printed.
    ///
    /// # Errors
    /// Where the text is not what a run prints.
    pub fn parse(label: &str, json: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let drawn = serde_path_to_error::deserialize(&mut reader).map_err(|e| e.to_string())?;
        reader.end().map_err(|e| e.to_string())?;
        let label = label.to_owned();
        Ok(Self { label, drawn })
    }

    /// Its name.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Its percentiles, as places and µs. The last one, 100 %, has no place on an axis of nines; it
    /// is where the share of one sample ends.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        let most = self.nines_max();
        let points = self.drawn.delivery_curve.iter();
        points
            .map(|point| (nines(point.quantile).min(most), at_least_one(point.us)))
            .collect()
    }

    /// How many nines it has samples for.
    pub(super) fn nines_max(&self) -> f64 {
        (self.drawn.delivery_us.count.max(1) as f64).log10()
    }

    /// One of its percentiles over time, in pieces: where no tick came there is no line.
    pub(super) fn over_time(&self, pick: Pick) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = vec![Vec::new()];
        for second in &self.drawn.intervals {
            match (pick(&second.delivery_us), pieces.last_mut()) {
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

    /// When it ended, in seconds from the beginning of the window.
    pub(super) fn end_s(&self) -> f64 {
        let last = self.drawn.intervals.last();
        last.map_or(0.0, |last| last.time_s + last.length_s)
    }

    /// The middle one of its latencies.
    pub(super) fn median_us(&self) -> Option<f64> {
        let mut points = self.drawn.delivery_curve.iter();
        let middle = points.find(|point| point.quantile >= 0.5);
        middle.map(|point| at_least_one(point.us))
    }
}

/// The axis of a latency of zero may be logarithmic; a µs is what the clock can tell.
fn at_least_one(us: u64) -> f64 {
    us.max(1) as f64
}
