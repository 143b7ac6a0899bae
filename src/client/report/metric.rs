//! What may be measured of a run, and what each measure is called wherever it is shown.

use crate::client::report::percentiles::{CurvePoint, Percentiles, Series};
use crate::client::report::{Interval, Report};

/// One of the times that a run may have measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// From the server's stamp to the client's read: `delivery_us` in the JSON.
    Delivery,
    /// How late ticks were against their schedule (`--expect`): `lateness_us`.
    Lateness,
    /// From when a request was due to its reply (`--request`): `latency_us`, and `reply_us` by the
    /// second.
    Reply,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivery, Self::Lateness, Self::Reply];

    /// The tag of its lines in an interval log.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Lateness => "lateness",
            Self::Reply => "reply",
        }
    }

    /// The CSV column that counts its samples.
    pub fn count_column(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries",
            Self::Lateness => "expected",
            Self::Reply => "replies",
        }
    }

    /// What its other CSV columns begin with.
    pub fn csv_prefix(self) -> &'static str {
        match self {
            Self::Delivery => "",
            Self::Lateness => "late_",
            Self::Reply => "reply_",
        }
    }

    /// Its name in a report and in sentences.
    pub fn title(self) -> &'static str {
        match self {
            Self::Delivery => "Delivery latency",
            Self::Lateness => "Schedule lateness",
            Self::Reply => "Reply latency",
        }
    }

    /// Its samples in a legend.
    pub fn samples(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries",
            Self::Lateness => "lateness",
            Self::Reply => "replies",
        }
    }

    /// Its samples, and what they are counted from, in the title of a chart.
    pub fn samples_since(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries since the server's stamp",
            Self::Lateness => "lateness against schedule",
            Self::Reply => "replies since due",
        }
    }
}

impl Report {
    /// What the run has measured of `metric`, and its curve; none if it was not asked for.
    pub fn measured(&self, metric: Metric) -> Option<(&Percentiles, &[CurvePoint])> {
        match metric {
            Metric::Delivery => Some((&self.delivery_us, &self.delivery_curve)),
            Metric::Lateness => {
                let schedule = self.schedule.as_ref();
                schedule.map(|it| (&it.lateness_us, &*it.lateness_curve))
            }
            Metric::Reply => {
                let requests = self.requests.as_ref();
                requests.map(|it| (&it.latency_us, &*it.latency_curve))
            }
        }
    }
}

impl Interval {
    /// What was measured of `metric` in it; none if it was not asked for.
    pub fn series(&self, metric: Metric) -> Option<&Series> {
        match metric {
            Metric::Delivery => Some(&self.delivery_us),
            Metric::Lateness => self.lateness_us.as_ref(),
            Metric::Reply => self.reply_us.as_ref(),
        }
    }
}
