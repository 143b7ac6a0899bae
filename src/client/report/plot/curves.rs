//! What is drawn of a run: of the one that has just ended, or of one whose report was kept.

use serde::Deserialize;

use crate::client::measure::intervals::{self, Interval};
use crate::client::report::Report;
use crate::client::report::latencies::CurvePoint;
use crate::client::report::plot::axis::nines;

/// What is drawn of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// One for each thing that was measured.
    pub(in crate::client) curves: Vec<Curve>,
}

/// One thing that a run has measured: its percentiles, of all the run and of each second.
#[derive(Clone, Debug)]
pub(in crate::client) struct Curve {
    /// The run's name.
    pub(in crate::client) run: String,
    pub(in crate::client) kind: Kind,
    count: u64,
    points: Vec<CurvePoint>,
    seconds: Vec<(Span, Option<Latencies>)>,
}

/// What may be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::client) enum Kind {
    Deliveries,
    Lateness,
    Replies,
}

/// The part of a report that is drawn.
#[derive(Clone, Debug, Deserialize)]
struct Drawn {
    delivery_us: Samples,
    delivery_curve: Vec<CurvePoint>,
    schedule: Option<DrawnSchedule>,
    requests: Option<DrawnRequests>,
    intervals: Vec<Second>,
}

#[derive(Clone, Debug, Deserialize)]
struct DrawnSchedule {
    lateness_us: Samples,
    /// Reports did not always have it.
    #[serde(default)]
    lateness_curve: Vec<CurvePoint>,
}

#[derive(Clone, Debug, Deserialize)]
struct DrawnRequests {
    latency_us: Samples,
    /// Reports did not always have it.
    #[serde(default)]
    latency_curve: Vec<CurvePoint>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Samples {
    count: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Second {
    #[serde(flatten)]
    span: Span,
    delivery_us: Latencies,
    lateness_us: Option<Latencies>,
    reply_us: Option<Latencies>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Span {
    time_s: f64,
    length_s: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(in crate::client) struct Latencies {
    pub(in crate::client) p50: Option<u64>,
    pub(in crate::client) p99: Option<u64>,
    pub(in crate::client) max: Option<u64>,
}

/// Which of an interval's latencies.
pub(in crate::client) type Pick = fn(&Latencies) -> Option<u64>;

impl Run {
    /// The run that has just ended.
    pub fn of(report: &Report) -> Self {
        Self::named("this run", Drawn::of(report))
    }

    /// An earlier one, from the JSON that it printed.
    ///
    /// # Errors
    /// Where the text is not what a run prints.
    pub fn parse(label: &str, json: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let drawn = serde_path_to_error::deserialize(&mut reader).map_err(|e| e.to_string())?;
        reader.end().map_err(|e| e.to_string())?;
        Ok(Self::named(label, drawn))
    }

    fn named(label: &str, drawn: Drawn) -> Self {
        let curve = |kind, count, points, pick: fn(&Second) -> Option<Latencies>| Curve {
            run: label.to_owned(),
            kind,
            count,
            points,
            seconds: (drawn.intervals.iter())
                .map(|second| (second.span, pick(second)))
                .collect(),
        };
        let deliveries = curve(
            Kind::Deliveries,
            drawn.delivery_us.count,
            drawn.delivery_curve,
            |second| Some(second.delivery_us),
        );
        let lateness = drawn.schedule.map(|it| {
            let count = it.lateness_us.count;
            curve(Kind::Lateness, count, it.lateness_curve, |it| {
                it.lateness_us
            })
        });
        let replies = drawn.requests.map(|it| {
            let count = it.latency_us.count;
            curve(Kind::Replies, count, it.latency_curve, |it| it.reply_us)
        });
        let further = [lateness, replies].into_iter().flatten();
        let further: Vec<_> = further.filter(|curve| !curve.points.is_empty()).collect();
        // Without anything else, the legend names the run even if there is nothing to draw.
        let is_shown = further.is_empty() || !deliveries.points.is_empty();
        let mut curves = Vec::from_iter(is_shown.then_some(deliveries));
        curves.extend(further);
        Self { curves }
    }
}

impl Drawn {
    fn of(report: &Report) -> Self {
        Self {
            delivery_us: Samples {
                count: report.delivery_us.count,
            },
            delivery_curve: report.delivery_curve.clone(),
            schedule: report.schedule.as_ref().map(|it| DrawnSchedule {
                lateness_us: Samples {
                    count: it.lateness_us.count,
                },
                lateness_curve: it.lateness_curve.clone(),
            }),
            requests: report.requests.as_ref().map(|it| DrawnRequests {
                latency_us: Samples {
                    count: it.latency_us.count,
                },
                latency_curve: it.latency_curve.clone(),
            }),
            intervals: report.intervals.iter().map(Second::of).collect(),
        }
    }
}

impl Second {
    fn of(interval: &Interval) -> Self {
        let series = |it: &intervals::Series| Latencies {
            p50: it.latencies.p50,
            p99: it.latencies.p99,
            max: it.latencies.max,
        };
        Self {
            span: Span {
                time_s: interval.time_s,
                length_s: interval.length_s,
            },
            delivery_us: series(&interval.delivery_us),
            lateness_us: interval.lateness_us.as_ref().map(series),
            reply_us: interval.reply_us.as_ref().map(series),
        }
    }
}

impl Kind {
    /// Its name in a legend.
    pub(in crate::client) fn name(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::Lateness => "lateness",
            Self::Replies => "replies",
        }
    }
}

impl Curve {
    /// Its percentiles, as places and µs. The last one, 100 %, has no place on an axis of nines; it
    /// is where the share of one sample ends.
    pub(in crate::client) fn by_percentile(&self) -> Vec<(f64, f64)> {
        let most = self.nines_max();
        let points = self.points.iter();
        points
            .map(|point| (nines(point.quantile).min(most), at_least_one(point.us)))
            .collect()
    }

    /// How many nines it has samples for.
    pub(in crate::client) fn nines_max(&self) -> f64 {
        (self.count.max(1) as f64).log10()
    }

    /// One of its percentiles over time, in pieces: where no sample is there is no line.
    pub(in crate::client) fn over_time(&self, pick: Pick) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = vec![Vec::new()];
        for (span, latencies) in &self.seconds {
            match (latencies.as_ref().and_then(pick), pieces.last_mut()) {
                (Some(us), Some(piece)) => {
                    let middle_s = span.time_s + span.length_s / 2.0;
                    piece.push((middle_s, at_least_one(us)));
                }
                _ => pieces.push(Vec::new()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// When it ended, in seconds from the beginning of the window.
    pub(in crate::client) fn end_s(&self) -> f64 {
        let last = self.seconds.last();
        last.map_or(0.0, |(span, _)| span.time_s + span.length_s)
    }

    /// The middle one of its latencies.
    pub(in crate::client) fn median_us(&self) -> Option<f64> {
        let mut points = self.points.iter();
        let middle = points.find(|point| point.quantile >= 0.5);
        middle.map(|point| at_least_one(point.us))
    }
}

/// The axis of a latency of zero may be logarithmic; a µs is what the clock can tell.
fn at_least_one(us: u64) -> f64 {
    us.max(1) as f64
}
