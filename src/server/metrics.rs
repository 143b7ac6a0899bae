//! `/metrics`: the server's counters in the Prometheus text format.

mod sources;

use std::collections::HashSet;
use std::fmt;

use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use self::sources::Sources;
use super::Server;
use super::close;
use super::counters::Counters;
use crate::feed::Recorder;
use crate::io_loop::IoLoop;
use crate::tick;
use crate::usage::Usage;

/// The format's media type.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes out everything that is counted.
pub(crate) fn render(server: &Server, io_loop: &IoLoop<Server>) -> String {
    let mut registry = Registry::with_prefix("tickertape");
    registry.register_collector(Box::new(Sample::of(server, io_loop)));
    let mut out = String::new();
    match text::encode(&mut out, &registry) {
        Ok(()) => out,
        Err(error) => {
            // Formatting into a string does not fail; if it did, an empty page is no lie.
            log::warn!("metrics cannot be written: {error}");
            String::new()
        }
    }
}

/// The numbers of one moment.
#[derive(Debug)]
struct Sample {
    counters: Counters,
    connections: usize,
    tapes: usize,
    unrecorded: u64,
    usage: Option<Usage>,
    lateness: Buckets,
    turns: Buckets,
    symbols: Vec<Symbol>,
    sources: Sources,
}

/// What is said of one symbol.
#[derive(Debug)]
struct Symbol {
    name: String,
    ticks: u64,
    /// Of the newest tick, in seconds.
    age: f64,
    is_stale: bool,
}

/// A histogram as Prometheus takes it: seconds.
#[derive(Debug)]
struct Buckets {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl Sample {
    fn of(server: &Server, io_loop: &IoLoop<Server>) -> Self {
        let now = tick::unix_us();
        let stale: HashSet<_> = server.board.stale().collect();
        let symbols = server.board.listings().map(|(name, ticks, sent)| Symbol {
            name: name.to_owned(),
            ticks,
            age: now.saturating_sub(sent) as f64 / 1e6,
            is_stale: stale.contains(name),
        });
        Self {
            counters: server.counters.clone(),
            connections: server.connections.len(),
            tapes: server.board.tapes(),
            unrecorded: server.recorder.as_ref().map_or(0, Recorder::left_out),
            usage: Usage::of_self().ok(),
            lateness: Buckets::of(io_loop.lag().lateness()),
            turns: Buckets::of(io_loop.lag().turns()),
            symbols: symbols.collect(),
            sources: Sources::of(&server.sources),
        }
    }
}

impl Buckets {
    /// Every value is counted once, by the upper end of what the histogram cannot tell apart.
    fn of(histogram: &Histogram<u64>) -> Self {
        let bounds = BOUNDS_US.iter().map(|&bound| (bound as f64 / 1e6, 0));
        let mut buckets: Vec<_> = bounds.chain([(f64::INFINITY, 0)]).collect();
        for value in histogram.iter_recorded() {
            let bucket = BOUNDS_US.partition_point(|&bound| bound < value.value_iterated_to());
            buckets[bucket].1 += value.count_since_last_iteration();
        }
        let count = histogram.len();
        Self {
            sum: histogram.mean() * count as f64 / 1e6,
            count,
            buckets,
        }
    }
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = &self.counters;
        let mut out = Writer(&mut encoder);
        out.gauge(
            "clients",
            "WebSocket clients at the moment",
            counters.clients as f64,
        )?;
        out.gauge(
            "connections",
            "Connections in any state",
            self.connections as f64,
        )?;
        out.gauge(
            "tapes",
            "Distinct sets of symbols being read",
            self.tapes as f64,
        )?;
        out.counter("accepted", "Connections accepted", counters.accepted)?;
        out.counter(
            "turned_away",
            "Connections refused for want of room",
            counters.turned_away,
        )?;
        out.counter(
            "turned_away_by_address",
            "Connections refused because their address had as many as it may",
            counters.turned_away_by_address,
        )?;
        out.counter("opened", "Handshakes completed", counters.opened)?;
        out.counter("ticks", "Ticks printed", counters.ticks)?;
        out.counter("writes", "Writes of tape to clients", counters.writes)?;
        out.counter(
            "written_bytes",
            "Bytes of tape written to clients",
            counters.bytes,
        )?;
        out.counter("messages", "Messages read from clients", counters.messages)?;
        out.counter(
            "conflated",
            "Times that a slow client skipped to now",
            counters.conflated,
        )?;
        out.counter(
            "skipped_bytes",
            "Bytes of tape that they skipped",
            counters.skipped_bytes,
        )?;
        out.counter(
            "unrecorded_ticks",
            "Ticks left out of the record",
            self.unrecorded,
        )?;
        let closed = close::NAMES.iter().zip(counters.closed);
        let closed: Vec<_> = closed
            .map(|(&name, count)| ([("reason", name)], count))
            .collect();
        out.counters("closed", "Connections closed by reason", &closed)?;
        let ticks = self
            .symbols
            .iter()
            .map(|symbol| ([("symbol", &*symbol.name)], symbol.ticks));
        out.counters(
            "symbol_ticks",
            "Ticks printed by symbol",
            &ticks.collect::<Vec<_>>(),
        )?;
        out.ages(&self.symbols)?;
        out.stale(&self.symbols)?;
        self.sources.encode(&mut out)?;
        out.histogram("loop_lateness", "How late timers ran", &self.lateness)?;
        out.histogram(
            "loop_turn",
            "How long the loop worked between polls",
            &self.turns,
        )?;
        self.usage.as_ref().map_or(Ok(()), |usage| out.usage(usage))
    }
}

/// One line per metric instead of five.
struct Writer<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(
            self.0
                .encode_descriptor(name, help, None, gauge.metric_type())?,
        )
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(
            self.0
                .encode_descriptor(name, help, None, counter.metric_type())?,
        )
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: &[(L, u64)],
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let counter = ConstCounter::new(*value);
            counter.encode(metric.encode_family(labels)?)?;
        }
        Ok(())
    }

    /// Only of symbols that have had a tick.
    fn ages(&mut self, symbols: &[Symbol]) -> fmt::Result {
        let help = "Time since the newest tick was printed";
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Gauge);
        let mut metric = self
            .0
            .encode_descriptor("newest_tick_age", help, unit, kind)?;
        for symbol in symbols.iter().filter(|symbol| symbol.ticks > 0) {
            let gauge = ConstGauge::new(symbol.age);
            gauge.encode(metric.encode_family(&[("symbol", symbol.name.as_str())])?)?;
        }
        Ok(())
    }

    fn stale(&mut self, symbols: &[Symbol]) -> fmt::Result {
        let stale: Vec<_> = symbols
            .iter()
            .map(|symbol| ([("symbol", &*symbol.name)], f64::from(symbol.is_stale)))
            .collect();
        let help = "1 while the symbol has been silent for longer than it should";
        self.gauges("symbol_stale", help, None, &stale)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: &[(L, f64)],
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in values {
            let gauge = ConstGauge::new(*value);
            gauge.encode(metric.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &Buckets) -> fmt::Result {
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        let Buckets {
            sum,
            count,
            buckets,
        } = buckets;
        metric.encode_histogram::<[(&str, &str); 0]>(*sum, *count, buckets, None)
    }

    fn usage(&mut self, usage: &Usage) -> fmt::Result {
        let cpu = ConstCounter::new(usage.cpu.as_secs_f64());
        let (unit, kind) = (Some(&Unit::Seconds), cpu.metric_type());
        let help = "CPU time of the process";
        cpu.encode(self.0.encode_descriptor("process_cpu", help, unit, kind)?)?;
        let memory = usage.resident_bytes as f64;
        self.gauge("process_resident_bytes", "Memory of the process", memory)
    }
}

/// Upper bounds of the histograms' buckets, in µs.
const BOUNDS_US: [u64; 10] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000, 1_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_one_bucket() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 2).unwrap();
        for value in (0..2_000_000).step_by(97) {
            histogram.record(value).unwrap();
        }
        let Buckets { count, buckets, .. } = Buckets::of(&histogram);
        assert_eq!(count, histogram.len());
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), count);
        assert_eq!(buckets.last().map(|(bound, _)| *bound), Some(f64::INFINITY));
        assert!(buckets.iter().all(|(_, count)| *count > 0), "{buckets:?}");
    }
}
