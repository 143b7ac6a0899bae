//! One line per metric instead of five, the same for both formats.

use std::fmt;

use ioloop::histogram::Durations;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Format;

/// Writes metrics in one of the formats.
pub(super) struct Writer<'a, 'e> {
    pub(super) format: Format,
    pub(super) encoder: &'a mut DescriptorEncoder<'e>,
}

/// What a family of metrics is called, without its unit, and what it tells.
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) unit: Option<Unit>,
}

/// A family in no unit.
pub(super) fn family<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family {
        name,
        help,
        unit: None,
    }
}

impl Family<'_> {
    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    /// The name with the unit, which the classic format has no word for.
    fn classic(&self, suffix: &str) -> String {
        match &self.unit {
            Some(unit) => format!("{}_{}{suffix}", self.name, unit.as_str()),
            None => format!("{}{suffix}", self.name),
        }
    }
}

impl Writer<'_, '_> {
    pub(super) fn gauge(&mut self, family: &Family<'_>, value: f64) -> fmt::Result {
        self.begin(family, MetricType::Gauge, |metric| {
            metric.encode_gauge(&value)
        })
    }

    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        self.begin(family, MetricType::Gauge, |metric| {
            let mut values = values.into_iter();
            values
                .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
        })
    }

    /// Something that is always 1 and tells by its labels; its name ends in `_info`.
    pub(super) fn info<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        labels: &L,
    ) -> fmt::Result {
        match self.format {
            Format::Classic => {
                let name = format!("{name}_info");
                let mut metric =
                    self.encoder
                        .encode_descriptor(&name, help, None, MetricType::Gauge)?;
                metric.encode_family(labels)?.encode_gauge(&1_u64)
            }
            Format::OpenMetrics => self
                .encoder
                .encode_descriptor(name, help, None, MetricType::Info)?
                .encode_info(labels),
        }
    }

    pub(super) fn counter(&mut self, family: &Family<'_>, value: u64) -> fmt::Result {
        let format = self.format;
        self.begin(family, MetricType::Counter, |metric| {
            count(metric, format, value)
        })
    }

    /// A counter of seconds.
    pub(super) fn seconds(&mut self, family: &Family<'_>, value: f64) -> fmt::Result {
        let format = self.format;
        self.begin(family, MetricType::Counter, |metric| match format {
            Format::Classic => metric.encode_gauge(&value),
            Format::OpenMetrics => metric.encode_counter::<NoLabels, _, f64>(&value, None),
        })
    }

    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let format = self.format;
        self.begin(family, MetricType::Counter, |metric| {
            let mut values = values.into_iter();
            values.try_for_each(|(labels, value)| {
                count(&mut metric.encode_family(&labels)?, format, value)
            })
        })
    }

    pub(super) fn histogram<const N: usize>(
        &mut self,
        family: &Family<'_>,
        durations: &Durations<N>,
    ) -> fmt::Result {
        self.begin(family, MetricType::Histogram, |metric| {
            distribution(metric, durations)
        })
    }

    pub(super) fn histograms<'d, L: EncodeLabelSet, const N: usize>(
        &mut self,
        family: &Family<'_>,
        values: impl IntoIterator<Item = (L, &'d Durations<N>)>,
    ) -> fmt::Result {
        self.begin(family, MetricType::Histogram, |metric| {
            let mut values = values.into_iter();
            values.try_for_each(|(labels, durations)| {
                distribution(&mut metric.encode_family(&labels)?, durations)
            })
        })
    }

    /// Writes a family's head, and what `write` has for it.
    fn begin(
        &mut self,
        family: &Family<'_>,
        kind: MetricType,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let help = family.help;
        match self.format {
            Format::OpenMetrics => {
                let unit = family.unit.as_ref();
                let encoder = &mut *self.encoder;
                write(&mut encoder.encode_descriptor(family.name, help, unit, kind)?)
            }
            Format::Classic => {
                let suffix = match kind {
                    MetricType::Counter => "_total",
                    _ => "",
                };
                let name = family.classic(suffix);
                write(&mut self.encoder.encode_descriptor(&name, help, None, kind)?)
            }
        }
    }
}

/// In the classic format the whole name is in the descriptor already, and a gauge adds nothing.
fn count(metric: &mut MetricEncoder<'_>, format: Format, value: u64) -> fmt::Result {
    match format {
        Format::Classic => metric.encode_gauge(&value),
        Format::OpenMetrics => metric.encode_counter::<NoLabels, _, f64>(&value, None),
    }
}

fn distribution<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    durations: &Durations<N>,
) -> fmt::Result {
    let buckets: Vec<_> = durations.buckets().collect();
    metric.encode_histogram::<NoLabels>(durations.sum(), durations.count(), &buckets, None)
}

/// No exemplars, so none with labels.
type NoLabels = [(&'static str, &'static str); 0];
