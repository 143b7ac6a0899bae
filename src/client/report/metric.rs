//! The metrics of a run, and the name of each wherever it is shown.

use crate::client::report::percentiles::{CurvePoint, Percentiles, Series};
use crate::client::report::{Interval, Report};

/// A metric of a run: a latency, or a lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// From the server's stamp to the client's read: `delivery_us` in the JSON.
    Delivery,
    /// How late ticks were against their schedule (`--expect`): `lateness_us`.
    Lateness,
    /// From the due time of a request to its reply (`--request`): `latency_us`, and `reply_us` in
    /// intervals.
    Reply,
}

impl Metric {
    /// All metrics.
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

    /// The prefix of its other CSV columns.
    pub fn csv_prefix(self) -> &'static str {
        match self {
            Self::Delivery => "",
            Self::Lateness => "late_",
            Self::Reply => "reply_",
        }
    }

    /// Its name in the report and in sentences.
    pub fn title(self) -> &'static str {
        match self {
            Self::Delivery => "Delivery latency",
            Self::Lateness => "Schedule lateness",
            Self::Reply => "Reply latency",
        }
    }

    /// What a legend calls its samples.
    pub fn samples(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries",
            Self::Lateness => "lateness",
            Self::Reply => "replies",
        }
    }

    /// What the title of a chart calls its samples, and what they count from.
    pub fn samples_since(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries since the server's stamp",
            Self::Lateness => "lateness against schedule",
            Self::Reply => "replies since due",
        }
    }
}

impl Report {
    /// The percentiles and the curve of `metric`; `None` if it was not requested.
    pub fn measured(&self, metric: Metric) -> Option<(&Percentiles, &[CurvePoint])> {
        match metric {
            Metric::Delivery => Some((&self.delivery_us, &self.delivery_curve)),
            Metric::Lateness => {
                let schedule = self.schedule.as_ref();
                schedule.map(|schedule| (&schedule.lateness_us, &*schedule.lateness_curve))
            }
            Metric::Reply => {
                let requests = self.requests.as_ref();
                requests.map(|requests| (&requests.latency_us, &*requests.latency_curve))
            }
        }
    }
}

impl Interval {
    /// The samples of `metric` in this interval; `None` if it was not requested.
    pub fn series(&self, metric: Metric) -> Option<&Series> {
        match metric {
            Metric::Delivery => Some(&self.delivery_us),
            Metric::Lateness => self.lateness_us.as_ref(),
            Metric::Reply => self.reply_us.as_ref(),
        }
    }
}
